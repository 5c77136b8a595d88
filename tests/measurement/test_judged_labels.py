from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from judged_helpers import items_of, superpopulation_draws
from scipy.stats import binom

from trialist.errors import MeasurementUndefined
from trialist.measurement.judged.choose import GoldDesign, judged_estimate
from trialist.measurement.judged.items import judged_items
from trialist.measurement.judged.labels import (
    judge_strata,
    labels_for_claim,
    labels_for_width,
    neyman_allocation,
    neyman_gain,
)
from trialist.measurement.judged.ppi import ppi_mean
from trialist.measurement.proportions import upper_bound


@pytest.mark.parametrize(("rate", "threshold"), [(0.0, 0.05), (0.01, 0.05), (0.02, 0.06), (0.1, 0.2)])
def test_a_claim_plan_is_the_cheapest_by_brute_force(rate: float, threshold: float) -> None:
    plan = labels_for_claim(rate, threshold)

    def passes(n: int) -> int:
        """Largest number of events with which the bound is below the threshold."""
        k = -1
        while k + 1 < n and upper_bound(k + 1, n) <= threshold:
            k += 1
        return k

    assert passes(plan.num_gold) == plan.num_allowed
    assert plan.power == pytest.approx(binom.cdf(plan.num_allowed, plan.num_gold, rate))
    assert plan.power >= 0.8
    cheaper = [n for n in range(1, plan.num_gold) if (k := passes(n)) >= 0 and binom.cdf(k, n, rate) >= 0.8]
    assert not cheaper
    assert plan.power_twice <= plan.power


def test_claim_plans_known_and_refused() -> None:
    assert labels_for_claim(0, 0.05).num_gold == 59
    assert labels_for_claim(0, 0.01, confidence=0.99).num_gold == 459
    assert labels_for_claim(0.02, 0.05).num_gold < labels_for_claim(0.03, 0.05).num_gold
    for rate, threshold in ((0.05, 0.05), (0.1, 0.05), (-0.1, 0.05), (0.01, 1.0), (np.nan, 0.05)):
        with pytest.raises(MeasurementUndefined):
            labels_for_claim(rate, threshold)
    with pytest.raises(MeasurementUndefined, match="too close"):
        labels_for_claim(0.0499, 0.05)


@pytest.mark.parametrize("population", ["bank", "superpopulation"])
def test_a_width_plan_gives_its_width(population: str) -> None:
    (draw,) = superpopulation_draws(0.3, 2000, 3200, judge=(0.9, 0.95), repetitions=1, seed=0)
    plan = labels_for_width(items_of(draw), 0.03, population=population)
    assert plan.num_with_judge is not None
    assert plan.num_with_judge < 0.5 * plan.num_alone
    draws = superpopulation_draws(
        0.3, plan.num_with_judge, 5200 - plan.num_with_judge, judge=(0.9, 0.95), repetitions=20, seed=1
    )
    halves = [ppi_mean(items_of(d), population=population).interval().width / 2 for d in draws]
    assert np.mean(halves) == pytest.approx(0.03, rel=0.12)


def test_a_width_plan_at_its_limits() -> None:
    (draw,) = superpopulation_draws(0.3, 100, 150, judge=(0.9, 0.95), repetitions=1, seed=2)
    items = items_of(draw)
    assert labels_for_width(items, 0.001).num_with_judge == items.num_judged
    assert labels_for_width(items, 0.01, population="superpopulation").num_with_judge is None
    with pytest.raises(MeasurementUndefined):
        labels_for_width(items, 0.0)
    with pytest.raises(MeasurementUndefined):
        labels_for_width(judged_items([0.0] * 9, [0.0] * 4 + [np.nan] * 5), 0.1)


def test_the_gain_of_neyman_allocation_at_a_rare_rate() -> None:
    """Rate .005, sensitivity .8, flag rate 5%: 2.5 in variance at known rates."""
    rates = [0.8 * 0.005 / 0.05, 0.2 * 0.005 / 0.95]
    gain = neyman_gain([0.05, 0.95], rates)
    assert gain == pytest.approx(2.527, abs=1e-3)
    # The same by simulation of both designs at 1,000 labels.
    generator = np.random.default_rng(3)
    flagged = round(1000 * 0.05 * np.sqrt(rates[0] * (1 - rates[0])) / 0.04437)
    stratified = sum(
        w * generator.binomial(n, p, 20000) / n
        for w, p, n in zip((0.05, 0.95), rates, (flagged, 1000 - flagged), strict=True)
    )
    uniform = generator.binomial(1000, 0.005, 20000) / 1000
    assert uniform.var() / stratified.var() == pytest.approx(gain, rel=0.1)
    assert neyman_gain([0.05, 0.95], [0.005, 0.005]) == pytest.approx(1)


few = st.integers(0, 5)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(5, 400), few, few), min_size=2, max_size=5), st.data())
def test_an_allocation_spends_what_it_has(strata: list[tuple[int, int, int]], data: st.DataObject) -> None:
    sizes = [size for size, _, _ in strata]
    events, labelled = ([pick(a, b) for _, a, b in strata] for pick in (min, max))
    num = data.draw(st.integers(2 * len(sizes), sum(sizes)))
    found = neyman_allocation(sizes, events, labelled, num_gold=num)
    assert sum(found.num_gold) == num
    assert all(2 <= n <= size for n, size in zip(found.num_gold, sizes, strict=True))
    assert 0 < found.uniform_upper <= 1
    assert 0 < found.stratified_upper <= 1


def test_an_allocation_close_to_neymans_and_never_starving_a_silent_stratum() -> None:
    found = neyman_allocation([500, 9500], [20, 2], [250, 2000], num_gold=1000)
    p = np.array([20.5 / 251, 2.5 / 2001])
    due = np.array([0.05, 0.95]) * np.sqrt(p * (1 - p))
    assert found.num_gold == pytest.approx(tuple(1000 * due / due.sum()), abs=1)
    assert found.gain == pytest.approx(neyman_gain([0.05, 0.95], p), rel=0.01)
    silent = neyman_allocation([500, 500], [10, 0], [20, 20], num_gold=100)
    assert silent.num_gold[1] > 10
    # A gain in variance isn't yet a gain in what can be claimed with a split error.
    assert found.gain > 2
    assert found.stratified_upper > 0.8 * found.uniform_upper


def test_from_a_pilot_to_bounds_with_unequal_probabilities() -> None:
    """Strata, allocation, labels drawn within strata, Horvitz-Thompson bounds around the truth."""
    generator = np.random.default_rng(4)
    y = np.repeat([1.0, 0.0], [150, 1350])
    judge = np.where(y == 1, generator.random(1500) < 0.8, generator.random(1500) < 0.1).astype(float)
    pilot = np.where(np.isin(np.arange(1500), generator.choice(1500, 200, replace=False)), y, np.nan)
    strata = judge_strata(judged_items(judge, pilot), [0.5])
    assert sum(strata.sizes) == 1500
    assert sum(strata.labelled) == 200
    assert sum(strata.events) == int(np.nansum(pilot))
    assert strata.sizes[1] == int(judge.sum())
    plan = neyman_allocation(strata.sizes, strata.events, strata.labelled, num_gold=400)
    assert plan.inclusion[1] > plan.inclusion[0]
    pi, held = np.array(plan.inclusion)[strata.of], 0
    for _ in range(40):
        gold = np.full(1500, np.nan)
        for h, n in enumerate(plan.num_gold):
            chosen = generator.choice(np.flatnonzero(strata.of == h), n, replace=False)
            gold[chosen] = y[chosen]
        design = GoldDesign(random=False, inclusion=pi)
        found = judged_estimate(judge, gold, design=design).interval
        assert found is not None
        held += found.contains(0.1)
    assert held >= 35  # P(Binomial(40, .95) < 35) < .004


def test_strata_refusals() -> None:
    items = judged_items([0.1, 0.9, 0.4], [1.0, 0.0, np.nan])
    assert judge_strata(items, [0.4]).of.tolist() == [0, 1, 1]
    for cuts in ([], [0.5, 0.5], [0.5, 0.2], [0.95]):
        with pytest.raises(MeasurementUndefined):
            judge_strata(items, cuts)
    with pytest.raises(MeasurementUndefined):
        judge_strata(judged_items([0.1, 0.9], [0.4, np.nan], graded=True), [0.5])


def test_allocation_refusals() -> None:
    for sizes, events, labelled, num in (
        ([100], [1], [10], 50),
        ([100, 100], [11, 0], [10, 10], 50),
        ([100, 100], [1, 0], [10, 200], 50),
        ([100, 1], [1, 0], [10, 1], 50),
        ([100, 100], [1, 0], [10, 10], 3),
        ([100, 100], [1, 0], [10, 10], 201),
        ([100, 100], [1, np.nan], [10, 10], 20),
    ):
        with pytest.raises(MeasurementUndefined):
            neyman_allocation(sizes, events, labelled, num_gold=num)
    for weights, rates in (([0.5, 0.6], [0.1, 0.1]), ([0.5, 0.5], [0.0, 1.0]), ([0.5, 0.5], [0.1, 1.2])):
        with pytest.raises(MeasurementUndefined):
            neyman_gain(weights, rates)
