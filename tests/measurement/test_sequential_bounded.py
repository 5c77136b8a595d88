from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trialist.errors import MeasurementUndefined
from trialist.measurement.check import CERTAINTY, coverage
from trialist.measurement.interval import Interval
from trialist.measurement.proportions import clopper_pearson
from trialist.measurement.sequential.bounded import (
    BoundedProcess,
    Scale,
    Shows,
)
from trialist.measurement.sequential.mean_sequence import MeanSequence, mean_sequence
from trialist.measurement.sequential.protocol import EProcess
from trialist.measurement.sequential.wealth import UNIVERSAL, Bets, Path, designed, log_path, log_sum

SIDES: tuple[Shows, ...] = ("above", "below")
unit_values = st.lists(st.one_of(st.sampled_from([0.0, 1.0]), st.floats(0, 1)), min_size=1, max_size=30)
some_bets = st.sampled_from([UNIVERSAL, designed(0.05), designed(0.3), Bets((0.5,), (2.0,), 0.95)])

BANKS = (
    (0.0, 0.0, 0.0, 1.0),
    (1.0, 1.0, 1.0, 1.0, 0.0),
    (0.2, 0.9, 0.0, 1.0, 0.5),
    (0.0, 0.0, 0.0, 0.0, 0.0, 1.0),
    (0.05, 0.1, 0.0, 0.95, 1.0, 0.3),
)


def run(process: EProcess, values: Sequence[float]) -> list[float]:
    found = []
    for value in values:
        process.update(value)
        found.append(process.log_e)
    return found


def plain_path(values: Sequence[float]) -> Path:
    x = np.asarray(values, dtype=np.float64)
    return Path(x, x, np.zeros_like(x), np.ones_like(x))


def slow_log_e(values: Sequence[float], m: float, num_items: int | None, bets: Bets) -> float:
    """The definition, one component at a time, each variance from all its values again."""
    logs = []
    for gap, weight in zip(bets.gaps, bets.weights, strict=True):
        log_e = math.log(weight / sum(bets.weights))
        for t, x in enumerate(values):
            past = list(values[:t])
            left = math.inf if num_items is None else num_items - t
            target = m if num_items is None else (num_items * m - sum(past)) / left
            growth = 1.0 if num_items is None else num_items / left
            means = [(0.5 + sum(past[:k])) / (1 + k) for k in range(t + 1)]
            squares = 0.25 + sum((z - means[k]) * (z - means[k + 1]) for k, z in enumerate(past))
            d = min(1.0, gap * growth)
            target = max(target, 0.0)
            stake = d / (squares / (t + 1) + d * d)
            if target > 0:
                stake = min(stake, bets.share / target)
            log_e += math.log(1 + stake * (x - target))
        logs.append(log_e)
    if num_items is not None and sum(values) > num_items * m + 1e-9 * num_items:
        return math.inf
    return log_sum(logs)


@settings(max_examples=60, deadline=None)
@given(unit_values, st.floats(0.02, 0.98), st.one_of(st.none(), st.integers(0, 20)), some_bets)
def test_process_path_and_definition_agree(values: list[float], m: float, spare: int | None, bets: Bets) -> None:
    num_items = None if spare is None else len(values) + spare
    steps = run(BoundedProcess(m, shows="above", num_items=num_items, bets=bets), values)
    path = log_path(plain_path(values), m, num_items, bets)
    for t in range(len(values)):
        slow = slow_log_e(values[: t + 1], m, num_items, bets)
        assert steps[t] == pytest.approx(slow, abs=1e-9)
        assert path[t] == pytest.approx(slow, abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(unit_values, st.floats(0.05, 0.95), st.booleans())
def test_mirror_and_scale(values: list[float], m: float, bank: bool) -> None:
    num_items = len(values) + 3 if bank else None
    below = run(BoundedProcess(m, shows="below", num_items=num_items), values)
    mirrored = run(BoundedProcess(1 - m, shows="above", num_items=num_items), [1 - v for v in values])
    assert below == pytest.approx(mirrored, abs=1e-7)
    wide = Bets(tuple(3 * g for g in UNIVERSAL.gaps), UNIVERSAL.weights, UNIVERSAL.share)
    scaled = BoundedProcess(3 * m - 1, shows="above", low=-1, high=2, num_items=num_items, bets=wide)
    plain = run(BoundedProcess(m, shows="above", num_items=num_items), values)
    assert run(scaled, [3 * v - 1 for v in values]) == pytest.approx(plain, abs=1e-6)


@pytest.mark.parametrize("bank", BANKS)
@pytest.mark.parametrize("shows", SIDES)
@pytest.mark.parametrize("bets", [UNIVERSAL, designed(0.2), Bets((1.0,), (1.0,), 0.95)])
def test_expected_evidence_is_at_most_one_over_all_orders(bank: tuple[float, ...], shows: Shows, bets: Bets) -> None:
    """Exact, at the boundary and inside the null, at every fixed time and when stopped at the first e of 2."""
    truth = sum(bank) / len(bank)
    for inside in (0.0, 0.07):
        m = truth + inside if shows == "above" else truth - inside
        if not 0 < m < 1:
            continue
        evidence = np.array([np.exp(run(process_for(m, shows, bank, bets), p)) for p in itertools.permutations(bank)])
        assert np.isfinite(evidence).all()
        means = evidence.mean(axis=0)
        assert (means <= 1 + 1e-9).all(), means
        if inside == 0.0:
            # At the boundary every bet is fair.
            assert means == pytest.approx(1, abs=1e-7)
        stopped = [next((e for e in row if e >= 2), row[-1]) for row in evidence]
        assert np.mean(stopped) <= 1 + 1e-9


def process_for(m: float, shows: Shows, bank: Sequence[float], bets: Bets) -> BoundedProcess:
    return BoundedProcess(m, shows=shows, num_items=len(bank), bets=bets)


def test_an_impossible_null_is_refuted_and_a_certain_one_only_loses() -> None:
    process = BoundedProcess(0.5, shows="above", num_items=4)
    assert run(process, [1.0, 1.0])[-1] < math.inf  # two more zeros give exactly 1/2
    process.update(0.25)
    assert process.log_e == process.max_log_e == math.inf
    process.update(0.0)
    assert process.log_e == math.inf
    process = BoundedProcess(0.5, shows="below", num_items=4)
    log_e = run(process, [1.0, 1.0, 0.5, 0.0])  # the mean is at least 1/2 from the second value on
    assert log_e[3] < log_e[2] < log_e[1] < log_e[0] < 0
    assert process.num_seen == 4
    assert process.max_log_e == 0.0


@settings(max_examples=40, deadline=None)
@given(unit_values, st.floats(0.05, 0.95), some_bets)
def test_a_whole_bank_decides(values: list[float], m: float, bets: Bets) -> None:
    mean = float(np.mean(values))
    if abs(mean - m) < 1e-6:
        return
    above = run(BoundedProcess(m, shows="above", num_items=len(values), bets=bets), values)[-1]
    below = run(BoundedProcess(m, shows="below", num_items=len(values), bets=bets), values)[-1]
    assert (above == math.inf) == (mean > m)
    assert (below == math.inf) == (mean < m)


@settings(max_examples=40, deadline=None)
@given(unit_values, st.floats(0.02, 0.98), st.floats(0.02, 0.98), st.booleans(), some_bets)
def test_evidence_falls_in_the_threshold(values: list[float], a: float, b: float, bank: bool, bets: Bets) -> None:
    """What makes bisection for the confidence limits right."""
    num_items = len(values) + 5 if bank else None
    low, high = (log_path(plain_path(values), m, num_items, bets) for m in sorted((a, b)))
    assert (low >= high - 1e-9).all()


def skewed(generator: np.random.Generator) -> np.ndarray:
    """A bank of 150 with rare failures and a few graded ones."""
    bank = np.zeros(150)
    bank[:5] = 1.0
    bank[5:12] = 0.3
    return generator.permutation(bank)


def test_rarely_crosses_under_the_null_on_skewed_data() -> None:
    """P(ever e >= 20) <= .05 at the boundary, whole bank looked at after every value; and a positive control."""
    generator = np.random.default_rng(1)
    repetitions = 1500
    truth = float(skewed(generator).mean())
    crossed = dict.fromkeys(SIDES, 0)
    naive = 0
    for _ in range(repetitions):
        x = skewed(generator)
        path = plain_path(x)
        crossed["above"] += int(log_path(path, truth, 150, designed(0.03)).max() >= math.log(20))
        crossed["below"] += int(log_path(path.mirrored(), 1 - truth, 150, designed(0.03)).max() >= math.log(20))
        # A z test at every look from 20 values on.
        n = np.arange(1, 151)
        mean = np.cumsum(x) / n
        error = np.sqrt(np.maximum(np.cumsum(x * x) / n - mean**2, 0) / n)
        naive += int((mean + 1.645 * error < truth)[20:].any())
    for shows, count in crossed.items():
        assert clopper_pearson(count, repetitions, CERTAINTY).low <= 0.05, (shows, count)
        assert count > 0
    assert clopper_pearson(naive, repetitions, CERTAINTY).low > 0.15


@pytest.mark.parametrize("num_items", [None, 90])
def test_the_confidence_sequence_covers_at_all_times(num_items: int | None) -> None:
    """The intervals are nested, so the last one holds the mean only if all do. An empty one misses."""

    def draw(generator: np.random.Generator) -> np.ndarray:
        bank = np.concatenate([np.zeros(81), np.ones(9)])
        return generator.permutation(bank) if num_items else generator.choice(bank, 90)

    def estimator(values: np.ndarray) -> Interval | None:
        try:
            return mean_sequence(values, at=[80], level=0.9, num_items=num_items)[0]
        except MeasurementUndefined:
            return Interval(math.nan, math.nan)

    found = coverage(estimator, draw, truth=0.1, repetitions=100, generator=np.random.default_rng(3))
    assert found.reaches(0.9)
    assert found.share < 1


@settings(max_examples=15, deadline=None)
@given(unit_values, st.booleans())
def test_intervals_are_nested_and_end_at_the_truth(values: list[float], bank: bool) -> None:
    num_items = len(values) if bank else None
    times = list(range(len(values) + 1))
    intervals = mean_sequence(values, at=times, num_items=num_items)
    assert intervals[0] == Interval(0, 1)
    for outer, inner in itertools.pairwise(intervals):
        assert outer.low <= inner.low <= inner.high <= outer.high
    if bank:
        assert intervals[-1].low == pytest.approx(np.mean(values), abs=1e-8)
        assert intervals[-1].high == pytest.approx(np.mean(values), abs=1e-8)
        assert intervals[-1].contains(float(np.mean(values)))


def test_interval_and_process_say_the_same() -> None:
    values = np.random.default_rng(4).beta(2, 5, 60)
    (interval,) = mean_sequence(values, at=[60], level=0.9, num_items=200)

    def refuted(m: float) -> bool:
        process = BoundedProcess(m, shows="above", num_items=200)
        run(process, values.tolist())
        return process.max_log_e >= math.log(20)

    assert 0.1 < interval.low < float(values.mean()) < interval.high < 0.6
    assert refuted(interval.low - 1e-6)
    assert not refuted(interval.low + 1e-6)


def test_a_paired_difference() -> None:
    """d in [-1, 1]; claim 'mean d > -.1' shown by the process 'above -.1'."""
    generator = np.random.default_rng(5)
    d = generator.choice([-1.0, 0.0, 1.0], 400, p=[0.05, 0.9, 0.05])
    d -= 0.0
    process = BoundedProcess(-0.1, shows="above", low=-1, high=1, num_items=400, bets=designed(0.1))
    log_e = run(process, d.tolist())
    assert process.max_log_e > math.log(20)
    assert 10 < next(t for t, e in enumerate(log_e) if e > math.log(20)) < 250
    other = BoundedProcess(-0.1, shows="below", low=-1, high=1, num_items=400, bets=designed(0.1))
    run(other, d.tolist())
    assert other.max_log_e < math.log(20)
    (interval,) = mean_sequence(d, at=[400], low=-1, high=1)
    assert interval.low < 0.01
    assert interval.high > -0.01
    assert interval.width < 0.25


def test_degenerate_inputs() -> None:
    zeros = mean_sequence(np.zeros(300), at=[1, 300])
    assert 0.9 < zeros[0].high <= 1
    assert zeros[1].low == 0
    assert 0 < zeros[1].high < 0.05
    ones = mean_sequence(np.ones(300), at=[300])[0]
    assert 0.95 < ones.low < 1
    assert ones.high == 1
    same = mean_sequence(np.full(300, 0.5), at=[300])[0]
    assert same.low < 0.5 < same.high


def refusals() -> list[Callable[[], object]]:
    full = BoundedProcess(0.5, shows="above", num_items=1)
    full.update(0.5)
    process = BoundedProcess(0.5, shows="above")
    sequence = MeanSequence(num_items=1)
    sequence.update(1.0)
    return [
        lambda: full.update(0.5),
        lambda: sequence.update(0.5),
        lambda: process.update(math.nan),
        lambda: process.update(1.1),
        lambda: process.update(-math.inf),
        lambda: BoundedProcess(0.0, shows="above"),
        lambda: BoundedProcess(math.nan, shows="above"),
        lambda: BoundedProcess(0.5, shows="at most"),  # pyright: ignore[reportArgumentType]
        lambda: BoundedProcess(0.5, shows="above", num_items=0),
        lambda: BoundedProcess(0.5, shows="above", low=1, high=0),
        lambda: Scale.make(0, math.inf),
        lambda: Bets((), ()),
        lambda: Bets((0.1,), (0.0,)),
        lambda: Bets((0.1,), (1.0,), share=1.0),
        lambda: designed(-0.05),
        lambda: MeanSequence(level=1.0),
        lambda: mean_sequence([0.5], at=[2]),
        lambda: mean_sequence([0.5, 0.5], at=[2, 1]),
    ]


@pytest.mark.parametrize("number", range(18))
def test_refusals(number: int) -> None:
    with pytest.raises(MeasurementUndefined):
        refusals()[number]()


def test_a_refused_value_leaves_the_process_as_it_was() -> None:
    process = BoundedProcess(0.5, shows="above")
    process.update(1.0)
    before = (process.log_e, process.num_seen)
    with pytest.raises(MeasurementUndefined):
        process.update(2.0)
    assert (process.log_e, process.num_seen) == before


def test_impossible_sequences_are_refused_not_collapsed() -> None:
    """A sequence against the order: first all ones, then all zeros, refutes every mean of a constant stream."""
    with pytest.raises(MeasurementUndefined, match="every mean"):
        mean_sequence([1.0] * 200 + [0.0] * 2000, at=[2200])
