from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trialist.errors import MeasurementUndefined
from trialist.measurement.sequential.active import ActiveSampling
from trialist.measurement.sequential.bounded import rebuild
from trialist.measurement.sequential.bounded_gate import bounded_gate
from trialist.measurement.sequential.certificate import Key, digest
from trialist.measurement.sequential.driver import ONE_BY_ONE, Batches, Decision, decide
from trialist.measurement.sequential.gate import Gate, verify
from trialist.measurement.sequential.predictors import mean_of_others
from trialist.measurement.sequential.variates import ControlVariate, random_order


class Scripted:
    """A respondent with known answers that remembers what it was asked, and may fall silent."""

    def __init__(self, values: Sequence[float | None], *, fails_at_call: int = -1) -> None:
        self.values = values
        self.batches: list[tuple[Key, ...]] = []
        self.kept: dict[Key, float | None] = {}
        self.fails_at_call = fails_at_call

    def __call__(self, items: Sequence[Key]) -> Mapping[Key, float | None]:
        if len(self.batches) == self.fails_at_call:
            # Half a batch was answered and stored before the connection broke.
            self.kept |= {item: self.values[int(item)] for item in items[: len(items) // 2]}
            raise ConnectionError
        self.batches.append(tuple(items))
        found = {item: self.values[int(item)] for item in reversed(items)}  # finished in another order
        self.kept |= found
        return found


def gate_for(n: int = 400, *, cap: int | None = None) -> Gate:
    return bounded_gate(0.5, claim="above", gap=0.15, num_items=n, cap=cap)


def answers(share: float, n: int = 400) -> list[float]:
    return (np.random.default_rng(8).random(n) < share).astype(float).tolist()


ORDER = random_order(400, np.random.default_rng(1)).tolist()


@pytest.mark.parametrize(("share", "verdict"), [(0.75, "PASS"), (0.25, "FAIL")])
def test_decides_early_and_asks_little_in_vain(share: float, verdict: str) -> None:
    respondent = Scripted(answers(share))
    found = decide(gate_for(), respondent, order=ORDER)
    assert found.verdict == found.certificate.verdict == verdict
    assert found.certificate.num_seen < 120
    assert [len(b) for b in respondent.batches] == [8, 10, 13, 17, 22, 28][: len(respondent.batches)]
    assert len(respondent.batches) >= 2
    assert found.asked == tuple(k for b in respondent.batches for k in b) == tuple(ORDER[: len(found.asked)])
    assert found.num_unused == len(found.asked) - found.certificate.num_seen
    assert found.num_unused <= 8 + 0.25 * found.certificate.num_seen
    assert found.certificate.order_sha256 == digest(ORDER)
    used = list(found.values.values())[: found.certificate.num_seen]
    fresh = rebuild(found.certificate.rule.pass_process), rebuild(found.certificate.rule.fail_process)
    assert verify(found.certificate, used, order=ORDER, processes=fresh) == ()


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 60), st.floats(1, 3), st.integers(60, 300), st.sampled_from([0.4, 0.6, 0.8]))
def test_any_batch_size_gives_the_same_certificate(first: int, growth: float, largest: int, share: float) -> None:
    def run(batch: Batches) -> Decision:
        return decide(gate_for(), Scripted(answers(share)), order=ORDER, batch=batch)

    assert run(Batches(first, growth, largest)).certificate == run(ONE_BY_ONE).certificate


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 6), st.sampled_from([0.45, 0.6, 0.8]))
def test_an_interrupted_call_goes_on_where_it_stopped(fails_at_call: int, share: float) -> None:
    whole = decide(gate_for(), Scripted(answers(share)), order=ORDER)
    first = Scripted(answers(share), fails_at_call=fails_at_call)
    try:
        decide(gate_for(), first, order=ORDER)
    except ConnectionError:
        second = Scripted(answers(share))
        found = decide(gate_for(), second, order=ORDER, stored=first.kept)
        assert found.certificate == whole.certificate
        assert not set(found.asked) & set(first.kept)
        assert found.values.items() <= whole.values.items()
    again = decide(gate_for(), Scripted([], fails_at_call=0), order=ORDER, stored=whole.values)
    assert again.certificate == whole.certificate
    assert again.asked == ()


def test_cap_and_end_of_the_order_leave_it_undecided() -> None:
    respondent = Scripted(answers(0.5))
    found = decide(gate_for(cap=30), respondent, order=ORDER)
    assert found.verdict == "UNDECIDED"
    assert len(found.asked) == found.certificate.num_seen == 30  # never beyond the cap
    found = decide(gate_for(), Scripted(answers(0.5)), order=ORDER[:20])
    assert found.verdict == "UNDECIDED"
    assert len(found.asked) == 20
    assert decide(gate_for(), Scripted([]), order=[]).certificate.num_seen == 0


def test_missing_answers_never_help() -> None:
    values = answers(0.75)
    holes: list[float | None] = [None if i % 3 == 0 else v for i, v in enumerate(values)]
    found = decide(gate_for(), Scripted(holes), order=ORDER)
    full = decide(gate_for(), Scripted(values), order=ORDER)
    assert full.verdict == "PASS"
    assert found.verdict != "FAIL"
    assert found.certificate.num_seen > full.certificate.num_seen
    assert found.certificate.num_missing > 0
    assert decide(gate_for(), Scripted([None] * 400), order=ORDER).verdict == "UNDECIDED"


def test_with_a_control_variate_and_with_active_sampling() -> None:
    generator = np.random.default_rng(3)
    n = 600
    ability = generator.random(n)
    others = (generator.random((n, 20)) < ability[:, None]).astype(float)
    values = (generator.random(n) < ability).astype(float)
    threshold = float(values.mean()) - 0.1

    def run(order: object, batch: Batches, **kind: object) -> Decision:
        gate = bounded_gate(threshold, claim="above", gap=0.1, **kind)  # pyright: ignore[reportArgumentType]
        return decide(gate, Scripted(values.tolist()), order=order, batch=batch)  # pyright: ignore[reportArgumentType]

    plain, helped = [], []
    for order in (random_order(n, generator) for _ in range(12)):
        plain.append(run(order, Batches(), num_items=n))
        helped.append(run(order, Batches(), sampling=ControlVariate(order, mean_of_others(others))))
    active = ActiveSampling(n, mean_of_others(others), np.random.default_rng(4))
    chosen = run(active.items(), ONE_BY_ONE, sampling=active)
    assert {found.verdict for found in (*plain, *helped, chosen)} == {"PASS"}
    calls = [sum(found.certificate.num_seen for found in kind) for kind in (helped, plain)]
    assert calls[0] < 0.85 * calls[1]
    assert chosen.asked == active.drawn
    assert chosen.certificate.order_sha256 == ""
    assert helped[0].certificate.rule.pass_process["sampling"] == "control variate"


def test_paired_difference_of_two_models() -> None:
    generator = np.random.default_rng(6)
    d = generator.choice([-1.0, 0.0, 1.0], 500, p=[0.04, 0.92, 0.04])
    order = random_order(500, generator)
    gate = bounded_gate(-0.1, claim="above", gap=0.1, low=-1, high=1, num_items=500)
    found = decide(gate, Scripted(d.tolist()), order=order)
    assert found.verdict == "PASS"
    assert found.certificate.num_seen < 200
    assert gate.rule.missing == (-1, 1)
    lower_is_better = bounded_gate(0.2, claim="below", gap=0.1, num_items=500)
    assert lower_is_better.rule.missing == (1.0, 0.0)
    assert decide(lower_is_better, Scripted([0.0] * 500), order=order).verdict == "PASS"


def refusals() -> list[Callable[[], object]]:
    used = gate_for()
    used.update(1.0)
    return [
        lambda: decide(used, Scripted([]), order=[0]),
        lambda: decide(gate_for(), Scripted([1.0, 1.0]), order=[0, 0]),
        lambda: decide(gate_for(), lambda items: {}, order=[0]),
        lambda: decide(gate_for(), lambda items: {9: 1.0}, order=[0]),
        lambda: decide(gate_for(), lambda items: {0: math.nan}, order=[0]),
        lambda: Batches(0),
        lambda: Batches(growth=0.5),
        lambda: bounded_gate(0.5, claim="above", gap=0.1),
        lambda: bounded_gate(0.5, claim="above", gap=0.1, num_items=10, cap=11),
        lambda: bounded_gate(0.5, claim="over", gap=0.1, cap=11),  # pyright: ignore[reportArgumentType]
    ]


@pytest.mark.parametrize("number", range(10))
def test_refusals(number: int) -> None:
    with pytest.raises(MeasurementUndefined):
        refusals()[number]()
