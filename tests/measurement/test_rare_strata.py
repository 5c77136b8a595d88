from __future__ import annotations

import math
import re
from itertools import pairwise, product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import bdtr, chdtri, logsumexp, xlogy

from trialist.errors import MeasurementUndefined
from trialist.measurement.proportions import lower_bound, upper_bound, wilson
from trialist.measurement.rare import combine
from trialist.measurement.rare.combine import lower_betting, lower_fisher, upper_betting, upper_fisher
from trialist.measurement.rare.strata import allocate, describe, rate, strata, upper_pooled, upper_union

BOUNDS = (upper_union, upper_fisher, upper_betting)


def chance(k: int, n: int, p: float) -> float:
    return math.comb(n, k) * p**k * (1 - p) ** (n - k)


def tables(sizes: tuple[int, int]) -> list[tuple[int, int]]:
    return list(product(range(sizes[0] + 1), range(sizes[1] + 1)))


def e_value(k: tuple[int, ...], n: tuple[int, ...], q: tuple[float, ...]) -> float:
    """The e-value of ``combine`` straight from its definition."""
    ratios = np.array([[s**a * ((1 - s * r) / (1 - r)) ** (m - a) for a, m, r in zip(k, n, q, strict=True)]
                       for s in combine.SHRINK])  # fmt: skip
    prior = np.exp(combine.LOG_PRIOR)
    return float(prior @ ratios.prod(axis=1) / 2 + (prior @ ratios).prod() / 2)


@pytest.mark.parametrize("p", [(0.02, 0.3), (0.5, 0.5), (0.001, 0.9)])
def test_expected_e_value_is_one_at_the_truth(p: tuple[float, float]) -> None:
    n = (4, 7)
    total = sum(chance(a, 4, p[0]) * chance(b, 7, p[1]) * e_value((a, b), n, p) for a, b in tables(n))
    assert total == pytest.approx(1, abs=1e-12)


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 20), st.integers(1, 30), st.floats(0.001, 0.95)), min_size=1, max_size=4))
def test_fast_e_value_equals_plain_and_its_slope_is_right(rows: list[tuple[int, int, float]]) -> None:
    k = np.array([a for a, _, _ in rows], float)
    n = k + np.array([m for _, m, _ in rows])
    q = np.array([r for _, _, r in rows])
    bets = combine._Bets(k, n, float(k.sum()), 0.0)
    value, slope = bets.log_e(q)
    plain = e_value(tuple(int(a) for a in k), tuple(int(m) for m in n), tuple(q.tolist()))
    assert value == pytest.approx(math.log(plain), rel=1e-9, abs=1e-9)
    step = 1e-7
    for h, move in enumerate(np.eye(len(q)) * step):
        numeric = (bets.log_e(q + move)[0] - bets.log_e(q - move)[0]) / (2 * step)
        assert slope[h] == pytest.approx(numeric, rel=1e-4, abs=1e-4)


def test_coverage_by_enumeration_of_every_table() -> None:
    """Exact: at no pair of rates does any bound hold less often than it says; Wald's fails on the same draws."""
    n, w = (2, 6), (0.3, 0.7)
    found = {k: [bound(strata(k, n, w), 0.9) for bound in BOUNDS] for k in tables(n)}
    grid = (0.02, 0.1, 0.3, 0.6, 0.9)
    lowest, plain = np.ones(3), 1.0
    for p in product(grid, grid):
        truth = w[0] * p[0] + w[1] * p[1]
        chances = {k: chance(k[0], n[0], p[0]) * chance(k[1], n[1], p[1]) for k in tables(n)}
        covered = np.array([sum(c for k, c in chances.items() if found[k][j] >= truth - 1e-12) for j in range(3)])
        lowest = np.minimum(lowest, covered)
        wald = sum(c for k, c in chances.items() if wald_upper(k, n, w) >= truth)
        plain = min(plain, wald)
    assert (lowest >= 0.9).all()
    assert plain < 0.6


def wald_upper(k: tuple[int, int], n: tuple[int, int], w: tuple[float, float]) -> float:
    shares = [a / m for a, m in zip(k, n, strict=True)]
    variance = sum(x * x * s * (1 - s) / m for x, s, m in zip(w, shares, n, strict=True))
    return sum(x * s for x, s in zip(w, shares, strict=True)) + 1.2816 * math.sqrt(variance)


def test_pooled_bound_is_valid_for_unequal_rates() -> None:
    n, w = (6, 6), (0.5, 0.5)
    found = {k: upper_pooled(strata(k, n, w), 0.9) for k in tables(n)}
    for p in product((0.01, 0.1, 0.3, 0.5, 0.8, 0.99), repeat=2):
        truth = sum(p) / 2
        covered = sum(chance(a, 6, p[0]) * chance(b, 6, p[1]) for a, b in tables(n) if found[a, b] >= truth)
        assert covered >= 0.9
    assert found[0, 0] == pytest.approx(upper_bound(0, 12, 0.9))
    with pytest.raises(MeasurementUndefined, match="proportion"):
        upper_pooled(strata((0, 0), (6, 7), w))


@pytest.mark.parametrize(("k", "n", "w"), [((1, 0), (30, 60), (0.1, 0.9)), ((4, 1), (5, 200), (0.4, 0.6))])
def test_bounds_are_the_maximum_over_their_set(k: tuple[int, int], n: tuple[int, int], w: tuple[float, float]) -> None:
    """A fine grid of rates, plain formulas: nothing in the set beats the bound, and something comes within 2%."""
    a, b = np.meshgrid(np.linspace(0, 0.999, 200), np.concatenate([np.linspace(0, 0.2, 250), [0.5, 0.9]]))
    value = w[0] * a + w[1] * b
    fisher = -2 * np.log(np.maximum(bdtr(k[0], n[0], a) * bdtr(k[1], n[1], b), 1e-300)) < chdtri(4, 0.05)
    logs = [[xlogy(m, s) + (o - m) * (np.log1p(-s * q) - np.log1p(-q)) for m, o, q in zip(k, n, (a, b), strict=True)]
            for s in combine.SHRINK]  # fmt: skip
    each = np.array(logs) + combine.LOG_PRIOR[:, None, None, None]
    common = logsumexp(np.array(logs).sum(axis=1) + combine.LOG_PRIOR[:, None, None], axis=0)
    betting = np.logaddexp(common, logsumexp(each, axis=0).sum(axis=0)) - math.log(2) < math.log(20)
    for mask, bound in ((fisher, upper_fisher), (betting, upper_betting)):
        best, found = float(value[mask].max()), bound(strata(k, n, w))
        assert best <= found + 1e-9
        assert found <= 1.02 * best


@settings(max_examples=10)
@given(st.integers(1, 300), st.floats(0, 1), st.sampled_from([0.5, 0.9, 0.99]))
def test_one_stratum_is_clopper_pearson(n: int, share: float, confidence: float) -> None:
    k = round(n * share)
    one = strata([k], [n], [1.0])
    assert upper_fisher(one, confidence) == pytest.approx(upper_bound(k, n, confidence), abs=1e-7)
    assert upper_union(one, confidence) == pytest.approx(upper_bound(k, n, confidence), abs=1e-12)
    assert lower_fisher(one, confidence) == pytest.approx(lower_bound(k, n, confidence), abs=1e-7)
    assert describe(one, confidence).low == pytest.approx(wilson(k, n, confidence).low, abs=1e-12)
    assert describe(one, confidence).high == pytest.approx(wilson(k, n, confidence).high, abs=1e-12)


@settings(max_examples=3)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 60), st.floats(0.05, 1)), min_size=1, max_size=3))
def test_bounds_hold_the_rate_and_forget_the_order(rows: list[tuple[int, int, float]]) -> None:
    k, more, w = (np.array(column, float) for column in zip(*rows, strict=True))
    n, w = k + more + 1, w / w.sum()
    sample, turned = strata(k, n, w), strata(k[::-1], n[::-1], w[::-1])
    limits = describe(sample)
    assert limits.low <= rate(sample) <= limits.high
    assert limits.width > 0
    for bound, low in ((upper_fisher, lower_fisher), (upper_betting, lower_betting)):
        assert low(sample) - 1e-9 <= rate(sample) <= bound(sample) + 1e-9 <= 1 + 1e-9
        assert bound(turned) == pytest.approx(bound(sample), rel=3e-4)
        # A part of the population nobody sampled counts in full; one of no size not at all.
        wider = strata(np.append(k, 0), np.append(n, 0), np.append(0.9 * w, 0.1))
        assert bound(wider) == pytest.approx(0.1 + 0.9 * bound(sample), rel=3e-4)
        none = strata(np.append(k, 5), np.append(n, 9), np.append(w, 0.0))
        assert bound(none) == pytest.approx(bound(sample), rel=3e-4)


def test_widths_stated_on_the_page() -> None:
    """Five strata of 200, no event; then four unequal ones with a flagged stratum."""
    clean = strata([0] * 5, [200] * 5, [0.2] * 5)
    assert upper_union(clean) == pytest.approx(1 - 0.01 ** (1 / 200))
    assert upper_pooled(clean) == pytest.approx(0.00299, abs=1e-5)
    assert upper_fisher(clean) == pytest.approx(0.00911, abs=1e-5)
    assert upper_betting(clean) == pytest.approx(0.00425, abs=2e-5)
    mixed = strata([12, 2, 0, 0], [50, 150, 300, 500], [0.02, 0.08, 0.3, 0.6])
    assert upper_union(mixed) == pytest.approx(0.02186, abs=1e-5)
    assert upper_fisher(mixed) == pytest.approx(0.01412, abs=1e-5)
    assert upper_betting(mixed) == pytest.approx(0.01475, abs=2e-5)


def test_a_hard_problem_for_the_solver_stays_a_bound() -> None:
    """Small strata with large shares send the first solver astray; half-spaces bring it back."""
    k, n, w = [0, 2, 0, 40], [1, 3, 2, 300], [0.5, 1e-6, 0.3, 0.2 - 1e-6]
    found = upper_betting(strata(k, n, w))
    assert rate(strata(k, n, w)) < found <= 1
    assert found >= 0.5 * 0.9


def test_all_events_no_items_and_refusals() -> None:
    assert upper_fisher(strata([3, 4], [3, 4], [0.5, 0.5])) == 1
    assert upper_betting(strata([3, 4], [3, 4], [0.5, 0.5])) == 1
    assert lower_betting(strata([0, 0], [3, 4], [0.5, 0.5])) == pytest.approx(0, abs=1e-12)
    assert upper_union(strata([0, 0], [0, 5], [0.5, 0.5])) > 0.5
    with pytest.raises(MeasurementUndefined, match="no item"):
        rate(strata([0, 0], [0, 5], [0.5, 0.5]))
    bad = [([1], [2], [0.9]), ([3], [2], [1.0]), ([-1], [2], [1.0]), ([0.5], [2], [1.0]),
           ([], [], []), ([0], [math.nan], [1.0]), ([0, 0], [1, 1], [1.5, -0.5]),
           ([0], [0], [1.0]), ([0], [1, 2], [1.0])]  # fmt: skip
    for k, n, w in bad:
        with pytest.raises(MeasurementUndefined):
            strata(k, n, w)
    with pytest.raises(MeasurementUndefined, match="split"):
        upper_union(strata([0, 0], [5, 5], [0.5, 0.5]), split=[0.9, 0.9])


def test_neyman_allocation_minimises_the_variance() -> None:
    w, g, total = np.array([0.05, 0.35, 0.6]), np.array([0.4, 0.02, 0.001]), 60
    sizes = allocate(w, g, total)
    assert sizes.sum() == total
    assert (sizes >= 1).all()

    def variance(n: np.ndarray) -> float:
        return float((w**2 * g * (1 - g) / n).sum())

    every = [np.array([a, b, total - a - b]) for a in range(1, 59) for b in range(1, total - a)]
    assert variance(sizes) <= 1.005 * min(variance(n) for n in every)
    assert variance(sizes) < 0.8 * variance(np.array([3, 21, 36]))
    assert allocate([0.5, 0.5], [0.0, 1.0], 10).sum() == 10
    assert allocate([0.5, 0.5], [0.0, 0.1], 10, at_least=2).tolist() == [2, 8]
    with pytest.raises(MeasurementUndefined):
        allocate([0.5, 0.5], [0.1, 0.1], 1)


def test_the_page_runs_as_it_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    page = Path(__file__).parents[2] / "docs/measurement/rare-events.md"
    (code,) = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    exec(code, {})  # noqa: S102 - our own page
    shown = [line[2:] for before, line in pairwise(code.splitlines()) if before.startswith("print(") and line[0] == "#"]
    assert capsys.readouterr().out.splitlines() == shown
