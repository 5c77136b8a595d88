from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import hypergeom

from trialist.errors import MeasurementUndefined
from trialist.measurement import proportions
from trialist.measurement.check import coverage
from trialist.measurement.interval import Interval
from trialist.measurement.judged import reliance
from trialist.measurement.judged.gold import (
    best_bounds,
    gold_bounds,
    hypergeometric_lower,
    hypergeometric_upper,
    judge_bounds,
)
from trialist.measurement.judged.items import JudgedItems, judged_items
from trialist.measurement.judged.weighted import _log_capital, weighted_bounds, weighted_mean

unit = st.floats(0, 1).map(lambda x: round(x, 3))


def sampled(y: np.ndarray, f: np.ndarray, n: int, generator: np.random.Generator) -> JudgedItems:
    gold = np.full(len(y), np.nan)
    chosen = generator.choice(len(y), n, replace=False)
    gold[chosen] = y[chosen]
    return JudgedItems(f, gold)


def noisy(y: np.ndarray, sensitivity: float, specificity: float, generator: np.random.Generator) -> np.ndarray:
    u = generator.random(len(y))
    return np.where(y == 1, u < sensitivity, u > specificity).astype(float)


# Exact bounds from gold labels alone


def test_hypergeometric_bounds_cover_every_bank_exactly() -> None:
    for num, n in ((30, 8), (41, 20), (12, 11)):
        bounds = [hypergeometric_upper(k, n, num, 0.9) for k in range(n + 1)]
        assert bounds == sorted(bounds)
        for total in range(num + 1):
            chances = hypergeom.pmf(range(n + 1), num, total, n)
            holds = sum(p for p, bound in zip(chances, bounds, strict=True) if bound >= total / num - 1e-12)
            assert holds >= 0.9 - 1e-12
        for k in range(n + 1):
            assert hypergeometric_lower(k, n, num, 0.9) == pytest.approx(1 - bounds[n - k])
            assert hypergeometric_lower(k, n, num, 0.9) < bounds[k]


def test_hypergeometric_approaches_clopper_pearson_and_beats_it_on_a_small_bank() -> None:
    for k, n in ((0, 59), (3, 100), (40, 80)):
        assert hypergeometric_upper(k, n, 10**6) == pytest.approx(proportions.upper_bound(k, n), abs=3e-5)
        assert hypergeometric_upper(k, n, 2 * n) < proportions.upper_bound(k, n) - 0.005
    with pytest.raises(MeasurementUndefined):
        hypergeometric_upper(1, 20, 10)


# The judge's betting bound


def expected_capital(track: reliance.Track, m: float, chances: np.ndarray | float) -> float:
    bets = reliance._bets(track, math.log(20))
    return float((np.exp(reliance.log_capitals(m, bets, track)) * chances).sum())


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(unit, unit), min_size=3, max_size=6), st.integers(1, 4))
def test_expected_capital_is_one_on_any_bank_with_any_judge(bank: list[tuple[float, float]], n: int) -> None:
    """Exact expectation over every ordered sample without replacement."""
    y, f = (np.array(x) for x in zip(*bank, strict=True))
    orders = np.array(list(itertools.permutations(range(len(bank)), min(n, len(bank)))))
    for use_judge in (True, False):
        track = reliance.bank_track(y[orders], f[orders], total=f.sum(), num_bank=len(bank), use_judge=use_judge)
        assert expected_capital(track, y.mean(), 1 / len(orders)) == pytest.approx(1, abs=1e-9)


def test_expected_capital_is_one_on_a_superpopulation() -> None:
    """Gold pairs (Y, f) and the means of their batches, by enumeration of three draws."""
    pairs = [(0.0, 0.2, 0.5), (1.0, 0.9, 0.3), (0.5, 1.0, 0.2)]
    judged = np.array([f for _, f, _ in pairs])
    chance = np.array([p for _, _, p in pairs])
    batches = [(judged[[i, j]].mean(), chance[i] * chance[j]) for i in range(3) for j in range(3)]
    draws = [(y, f - b, p * q) for y, f, p in pairs for b, q in batches]
    rows = list(itertools.product(draws, repeat=3))
    y, against, chances = (np.array([[d[k] for d in row] for row in rows]) for k in range(3))
    track = reliance.superpopulation_track(y, against)
    truth = sum(y * p for y, _, p in pairs)
    assert chances.prod(axis=1).sum() == pytest.approx(1)
    assert expected_capital(track, truth, chances.prod(axis=1)) == pytest.approx(1, abs=1e-9)


def test_the_banks_own_order_would_break_the_bound() -> None:
    """The control: a bank sorted by value, its sample taken in the bank's order instead of a random one."""
    y = np.array([0.0, 0, 0, 0, 0, 1, 1, 1, 1, 1])
    orders = np.array(list(itertools.combinations(range(10), 5)))
    track = reliance.bank_track(y[orders], y[orders] * 0, total=0.0, num_bank=10)
    assert expected_capital(track, 0.5, 1 / len(orders)) > 1.2


def test_bets_and_reliance_look_only_backwards() -> None:
    generator = np.random.default_rng(0)
    y, f = generator.random((2, 3, 12))
    y2, f2 = y.copy(), f.copy()
    y2[:, 7:], f2[:, 7:] = generator.random((2, 3, 5))
    total = 30.0
    first, second = (reliance.bank_track(a, b, total=total, num_bank=60) for a, b in ((y, f), (y2, f2)))
    assert (first.room[:, :8] == second.room[:, :8]).all()
    assert not (first.room[:, 8:] == second.room[:, 8:]).all()
    one, two = (reliance._bets(track, 3.0) for track in (first, second))
    assert (one[:, :8] == two[:, :8]).all()


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(unit, unit), min_size=2, max_size=12), st.floats(0, 1), st.floats(0, 1), st.booleans())
def test_capital_rises_with_the_candidate(gold: list[tuple[float, float]], a: float, b: float, bank: bool) -> None:
    y, f = (np.array([x]) for x in zip(*gold, strict=True))
    if bank:
        track = reliance.bank_track(y, f, total=float(f.sum()) + 5, num_bank=y.size + 10)
    else:
        track = reliance.superpopulation_track(y, f - 0.4)
    low, high = sorted((a, b))
    if bank:
        low, high = (y.sum() / track.num_bank + m * (1 - y.sum() / track.num_bank) for m in (low, high))
    bets = reliance._bets(track, 3.0)
    assert reliance.log_capital(low, bets, track) <= reliance.log_capital(high, bets, track) + 1e-9


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(unit, unit), min_size=2, max_size=10), st.integers(0, 40), st.sampled_from(["bank", "super"]))
def test_bounds_are_ordered_inside_the_scale_and_scale_along(
    gold: list[tuple[float, float]], more: int, name: str
) -> None:
    y, f = (np.array(x) for x in zip(*gold, strict=True))
    spare = more + len(y)
    judge = np.concatenate([f, np.linspace(0, 1, spare)])
    items = JudgedItems(judge, np.concatenate([y, np.full(spare, np.nan)]), graded=True)
    population = "bank" if name == "bank" else "superpopulation"
    found = judge_bounds(items, population=population)
    assert 0 <= found.lower < found.upper <= 1
    scaled = JudgedItems(3 * items.judge - 1, 3 * items.gold - 1, -1.0, 2.0, True)
    assert judge_bounds(scaled, population=population).upper == pytest.approx(3 * found.upper - 1, abs=1e-8)
    mirrored = judge_bounds(items.mirrored(), population=population)
    assert mirrored.lower == pytest.approx(1 - found.upper, abs=1e-8)
    wider = judge_bounds(items, population=population, confidence=0.99)
    assert wider.lower <= found.lower + 1e-9
    assert wider.upper >= found.upper - 1e-9


@pytest.mark.parametrize("judge", ["good", "opposite", "constant"])
@pytest.mark.parametrize("population", ["bank", "superpopulation"])
def test_one_sided_coverage_whatever_the_judge(judge: str, population: str) -> None:
    truth, num, n = 0.2, 240, 60

    def draw(generator: np.random.Generator) -> JudgedItems:
        y = np.repeat([1.0, 0.0], [48, 192]) if population == "bank" else (generator.random(num) < truth).astype(float)
        f = {"good": noisy(y, 0.9, 0.95, generator), "opposite": 1 - y, "constant": np.full(num, 0.4)}[judge]
        return sampled(y, f, n, generator)

    # The bound is below the truth exactly if the capital bet against the truth reaches 1/alpha.
    generator, held = np.random.default_rng(5), 0
    for _ in range(300):
        track = reliance._track(draw(generator), population, 0, True)
        held += reliance.log_capital(truth, reliance._bets(track, math.log(10)), track) < math.log(10)
    assert proportions.clopper_pearson(held, 300, 0.999).high >= 0.9
    items = draw(generator)
    bound = reliance.upper_mean(items, population=population, confidence=0.9)
    track = reliance._track(items, population, 0, True)
    for m, reached in ((bound - 1e-6, False), (bound + 1e-6, True)):
        assert (reliance.log_capital(m, reliance._bets(track, math.log(10)), track) >= math.log(10)) == reached


def test_a_good_judge_helps_a_weak_one_costs_and_nothing_helps_at_rare_rates() -> None:
    """Mean distance of the upper bound from the truth, over that of the gold labels alone."""

    def ratio(theta: float, n: int, sensitivity: float, specificity: float) -> float:
        generator = np.random.default_rng(6)
        y = (np.arange(2000) < round(2000 * theta)).astype(float)
        alone, best = [], []
        for _ in range(8):
            items = sampled(y, noisy(y, sensitivity, specificity, generator), n, generator)
            alone.append(gold_bounds(items).upper - theta)
            best.append(best_bounds(items).upper - theta)
        return float(np.mean(best) / np.mean(alone))

    assert ratio(0.3, 200, 0.95, 0.99) < 0.75
    assert 1.02 < ratio(0.3, 200, 0.7, 0.8) < 1.3
    assert ratio(0.02, 100, 0.9, 0.95) > 1.05


def test_degenerate_gold_samples() -> None:
    judge = np.linspace(0, 1, 50)
    for label in (0.0, 1.0):
        gold = np.full(50, np.nan)
        gold[:5] = label
        for population in ("bank", "superpopulation"):
            for graded in (False, True):
                items = judged_items(judge, gold, graded=graded)
                for rule in (gold_bounds, judge_bounds, best_bounds):
                    found = rule(items, population=population)
                    assert 0 <= found.lower < found.upper <= 1
                    assert found.upper == 1 if label else found.lower == 0
    single = judged_items(judge, np.array([1.0, *[np.nan] * 49]))
    assert judge_bounds(single).upper == 1
    assert gold_bounds(single).lower == pytest.approx(0.06)
    almost = judged_items([0.0] * 100, [0.0] * 99 + [np.nan])
    assert gold_bounds(almost).upper == pytest.approx(0.01)
    assert gold_bounds(almost).lower == 0
    census = judged_items([0.0, 1.0], [0.0, 1.0])
    for rule in (gold_bounds, judge_bounds, best_bounds):
        with pytest.raises(MeasurementUndefined, match="every item of the bank"):
            rule(census)
    few = judged_items(judge, np.where(judge < 0.8, 1.0, np.nan))
    with pytest.raises(MeasurementUndefined, match="of its own"):
        judge_bounds(few, population="superpopulation")
    assert judge_bounds(few).lower < judge_bounds(few).upper


# Unequal inclusion probabilities


def designs() -> dict[str, tuple[np.ndarray, list[tuple[np.ndarray, float]]]]:
    """Inclusion probabilities and every sample with its chance: independent, simple random, stratified."""
    pi = np.array([0.2, 0.9, 0.5, 0.3, 0.6])
    poisson = [
        (np.array(bits, dtype=bool), float(np.where(bits, pi, 1 - pi).prod()))
        for bits in itertools.product([0, 1], repeat=5)
    ]
    pairs = [np.isin(np.arange(5), c) for c in itertools.combinations(range(5), 2)]
    simple = [(pair, 1 / len(pairs)) for pair in pairs]
    strata = [(np.isin(np.arange(5), [a, *b]), 1 / 6) for a in (0, 1) for b in itertools.combinations((2, 3, 4), 2)]
    return {
        "poisson": (pi, poisson),
        "simple": (np.full(5, 0.4), simple),
        "stratified": (np.array([0.5, 0.5, 2 / 3, 2 / 3, 2 / 3]), strata),
    }


@pytest.mark.parametrize("name", ["poisson", "simple", "stratified"])
def test_expected_capital_is_at_most_one_for_every_design(name: str) -> None:
    pi, samples = designs()[name]
    for y in [*itertools.product([0.0, 1.0], repeat=5), (0.5, 0.2, 0.9, 0.0, 1.0), (0.3, 0.3, 0.3, 0.3, 0.3)]:
        labels, truth = np.array(y), float(np.mean(y))
        total = 0.0
        for chosen, chance in samples:
            sides = [
                (np.where(chosen, labels / pi, 0.0), np.ones(5), 1 / float(pi.min())),
                (1 - np.where(chosen, (1 - labels) / pi, 0.0), np.ones(5), 1.0),
            ]
            if truth < 1:
                total += chance * math.exp(_log_capital(truth, sides))
        assert total <= 1 + 1e-12


def test_weighted_bounds_cover_where_the_plain_ones_fail() -> None:
    """Flagged items get labels four times as often; ignoring that overstates the rate."""
    y = np.repeat([1.0, 0.0], [60, 540])
    f = noisy(y, 0.8, 0.9, np.random.default_rng(7))
    pi = np.where(f == 1, 0.8, 0.2)

    def draw(generator: np.random.Generator) -> JudgedItems:
        return JudgedItems(f, np.where(generator.random(600) < pi, y, np.nan))

    def weighted(items: JudgedItems) -> Interval:
        bounds = weighted_bounds(items, pi, confidence=0.975)
        assert bounds.lower <= weighted_mean(items, pi) <= bounds.upper
        return Interval(bounds.lower, bounds.upper)

    def plain(items: JudgedItems) -> Interval:
        bounds = gold_bounds(items, confidence=0.975)
        return Interval(bounds.lower, bounds.upper)

    given = {"truth": 0.1, "repetitions": 60}
    ours = coverage(weighted, draw, generator=np.random.default_rng(8), **given)
    assert ours.reaches(0.95)
    assert ours.mean_width < 0.35
    assert coverage(plain, draw, generator=np.random.default_rng(8), **given).high < 0.5


def test_weighted_refusals_and_extremes() -> None:
    gold = np.array([0.0, 0.0, np.nan, np.nan])
    items = judged_items(np.zeros(4), gold)
    found = weighted_bounds(items, np.full(4, 0.5))
    assert found.lower == 0
    assert 0.3 < found.upper <= 1
    for pi in ([0.5, 0.5, 0.0, 0.5], [0.5, 0.5, 1.1, 0.5], [0.5, 0.5, np.nan, 0.5], [0.5, 0.5]):
        with pytest.raises(MeasurementUndefined):
            weighted_bounds(items, np.array(pi))
