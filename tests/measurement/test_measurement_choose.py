from __future__ import annotations

import pytest

from trialist.measurement.choose import DEFAULTS, METHODS, Bank, Design, Purpose, choose

PURPOSES: tuple[Purpose, ...] = ("describe", "claim")


@pytest.mark.parametrize(
    ("design", "describe", "claim"),
    [
        (Design("binary", True, 40), "wilson", "clopper-pearson"),
        (Design("binary", True, 1), "wilson", "clopper-pearson"),
        (Design("binary", False, 40), "wilson-effective", "rare-clusters"),
        (Design("graded", True, 40), "t", "betting"),
        (Design("graded", False, 40), "cr2", "betting"),
        (Design("graded", True, 40, skewness=1.5), "bootstrap-t", "betting"),
        (Design("graded", True, 57, skewness=1.5), "t", "betting"),
        (Design("graded", True, 10, skewness=1.5), "betting-interval", "betting"),
        (Design("graded", True, 10, skewness=1.5, finite=False), "t", None),
        (Design("graded", False, 40, crossed=True), "crossed", None),
        (Design("binary", True, 40, bank=Bank(400, 40)), "hypergeometric", "hypergeometric-bounds"),
        (Design("graded", True, 40, bank=Bank(400, 40)), "bank-t", "bank-betting"),
        (Design("graded", True, 40, bank=Bank(40, 40, 4)), "within", "hoeffding"),
        (Design("binary", True, 40, bank=Bank(40, 40)), None, None),
        (Design("graded", False, 40, bank=Bank(400, 40)), None, None),
        (Design("graded", False, 40, share_alike=0.95), "betting-interval", "betting"),
        (Design("graded", True, 3), "betting-interval", "betting"),
        (Design("paired binary", True, 40), "tango", "noninferiority"),
        (Design("paired binary", False, 40), "tango-effective", "noninferiority"),
        (Design("paired graded", False, 40, share_alike=1.0), "betting-interval", "noninferiority"),
        (Design("function", False, 40), "jackknife", None),
    ],
)
def test_defaults(design: Design, describe: str | None, claim: str | None) -> None:
    assert choose(design, "describe").method == describe
    chosen = choose(design, "claim")
    assert chosen.method == claim
    assert bool(chosen.reason) == (claim is None)


@pytest.mark.parametrize("situation", list(DEFAULTS))
def test_fewer_than_five_clusters_give_no_interval_and_say_why(situation: str) -> None:
    refused = choose(Design(situation, False, 4), "describe")  # type: ignore[arg-type]
    assert refused.method is None
    assert "4 clusters" in refused.reason
    assert choose(Design(situation, False, 5), "describe").method is not None  # type: ignore[arg-type]


def test_a_function_of_few_items_is_refused_too() -> None:
    assert "4 items" in choose(Design("function", True, 4), "describe").reason


def test_values_without_bounds() -> None:
    assert choose(Design("graded", True, 30, finite=False), "describe").method == "t"
    assert "finite bounds" in choose(Design("graded", True, 30, finite=False, share_alike=1.0), "describe").reason
    assert "too few" in choose(Design("graded", True, 3, finite=False), "describe").reason
    assert "finite bounds" in choose(Design("graded", True, 30, finite=False), "claim").reason


def test_every_method_is_described_and_reached() -> None:
    designs = [
        Design(kind, independent, 40, share_alike=alike, skewness=skewness, crossed=crossed, bank=bank)
        for kind in DEFAULTS
        for independent in (True, False)
        for alike in (0.0, 1.0)
        for skewness in (0.0, 3.0)
        for crossed in (True, False)
        for bank in (None, Bank(400, 40), Bank(40, 40, 4))
    ]
    reached = {choose(design, purpose).method for design in designs for purpose in PURPOSES}
    assert reached - {None} == set(METHODS)
    assert all(method.text and method.citation and method.why for method in METHODS.values())
    # Who only describes says what is known to go wrong, unless it is exact; who carries claims has no shortfall.
    exact = {"betting-interval", "hypergeometric"}
    describing = {choose(design, "describe").method for design in designs} - {None} - exact
    assert {name for name, method in METHODS.items() if method.shortfall} == describing


@pytest.mark.parametrize("purpose", PURPOSES)
def test_a_refusal_says_why_and_what_to_do(purpose: Purpose) -> None:
    designs = [
        Design("function", True, 3), Design("graded", True, 3, finite=False), Design("binary", False, 3, crossed=True),
        Design("function", False, 9, crossed=True), Design("function", False, 9, bank=Bank(9, 9)),
        Design("binary", True, 9, bank=Bank(9, 9)), Design("graded", False, 9, bank=Bank(90, 9)),
    ]  # fmt: skip
    for design in designs:
        choice = choose(design, purpose)
        assert choice.method is None
        assert choice.reason
        assert choice.next_step
