"""Simulated power of the betting bounds and the enumerated sequential gate, each against a slower twin."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.integrate import quad

from trialist.errors import MeasurementUndefined
from trialist.measurement import betting, noninferiority
from trialist.measurement.planning.betting_power import (
    BettingClaim,
    betting_power,
    clustered_binary,
    graded,
    paired_binary,
    resampled,
    upper_below,
)
from trialist.measurement.planning.exact import claim_plan
from trialist.measurement.planning.sequential_power import boundaries, sequential_plan, simulate, stopping
from trialist.measurement.proportions import clopper_pearson


@pytest.mark.parametrize(("num", "threshold"), [(7, 0.5), (30, 0.2), (30, 0.25), (70, 0.12)])
def test_the_fast_rule_is_the_bound(num: int, threshold: float) -> None:
    means = clustered_binary(0.05, cluster_size=5, icc=0.3)(np.random.default_rng(num), (40, num))
    plain = [betting.upper_mean(row) < threshold for row in means]
    assert upper_below(means, threshold, 0.05).tolist() == plain
    assert 0 < sum(plain) < 40, "the case separates"


@pytest.mark.parametrize(("side", "threshold"), [("above", -0.1), ("above", -0.03), ("above", 0.02), ("below", 0.08)])
def test_the_fast_claim_on_pairs_is_noninferiority(side: str, threshold: float) -> None:
    net = paired_binary(0.05, 0.02, cluster_size=2, icc=0.2)(np.random.default_rng(1), (25, 90))
    claim = BettingClaim("above" if side == "above" else "below", -1.0, 1.0, 0.95, paired_binary=True)
    plain: list[bool] = []
    for row in net:
        bounds = noninferiority.difference_bounds(row, side=claim.side)
        plain.append(bounds.lower > threshold if side == "above" else bounds.upper < threshold)
    assert claim.passes(net, threshold).tolist() == plain


def test_power_counts_the_bounds_of_the_library() -> None:
    draw = graded(0.2, 0.15)
    found = betting_power(draw, 40, threshold=0.3, generator=np.random.default_rng(5), repetitions=400)
    generator = np.random.default_rng(6)
    passed = sum(betting.upper_mean(row) < 0.3 for row in draw(generator, (100, 40)))
    assert abs(found.power - passed / 100) < 4 * math.hypot(found.error, math.sqrt(0.25 / 100))
    again = betting_power(draw, 40, threshold=0.3, generator=np.random.default_rng(5), repetitions=400)
    assert again == found


def test_the_claim_is_wrong_no_more_often_than_it_says() -> None:
    """At the threshold itself: the error stays below alpha, where a t test on the same draws goes above it."""
    draw = clustered_binary(0.05, cluster_size=5, icc=0.3)
    found = betting_power(draw, 60, threshold=0.05, generator=np.random.default_rng(2), repetitions=2000)
    assert found.power <= 0.05
    means = draw(np.random.default_rng(2), (2000, 60))
    naive = means.mean(axis=1) + 1.671 * means.std(axis=1, ddof=1) / math.sqrt(60) < 0.05
    assert clopper_pearson(int(naive.sum()), 2000, 0.999).low > 0.05


def test_power_rises_with_clusters_and_effect() -> None:
    def power(num: int, rate: float) -> float:
        draw = clustered_binary(rate, cluster_size=5, icc=0.3)
        return betting_power(draw, num, threshold=0.15, generator=np.random.default_rng(3), repetitions=400).power

    by_size = [power(num, 0.05) for num in (20, 40, 80)]
    by_rate = [power(40, rate) for rate in (0.02, 0.05, 0.1, 0.15)]
    assert by_size == sorted(by_size)
    assert by_rate == sorted(by_rate, reverse=True)
    assert by_size[0] < 0.4 < 0.9 < by_size[-1]


def test_no_result_passes_with_too_few_clusters() -> None:
    """At most 3/4 of the capital is at risk: ln 20 / ln(1 + .75 p0 / (1 - p0)) clusters are the least, 78 for .05."""
    least = math.ceil(math.log(20) / math.log1p(betting.CAP * 0.05 / 0.95))
    assert least == 78
    assert not upper_below(np.zeros((1, least - 1)), 0.05, 0.05)[0]
    reaches = [num for num in range(least, 2 * least) if upper_below(np.zeros((1, num)), 0.05, 0.05)[0]]
    assert min(reaches) - least < 3


def test_draws_have_the_moments_they_name() -> None:
    generator = np.random.default_rng(11)
    means = clustered_binary(0.2, cluster_size=5, icc=0.3)(generator, (400, 100))
    assert means.mean() == pytest.approx(0.2, abs=0.005)
    assert means.var() == pytest.approx(0.16 / 5 * (1 + 4 * 0.3), rel=0.03)
    values = graded(0.4, 0.3, low=-1.0, high=2.0)(generator, (400, 100))
    assert (values.mean(), values.std()) == pytest.approx((0.4, 0.3), abs=0.01)
    net = paired_binary(0.15, 0.05, cluster_size=4, icc=0.25)(generator, (400, 100))
    assert net.mean() == pytest.approx(0.1, abs=0.005)
    assert net.var() == pytest.approx((0.2 - 0.01) / 4 * (1 + 3 * 0.25), rel=0.03)
    assert set(np.unique(paired_binary(0.1, 0.1, cluster_size=3, icc=1.0)(generator, (20, 20)))) <= {-1.0, 0.0, 1.0}
    assert set(np.unique(resampled([0.25, 0.5])(generator, (5, 5)))) == {0.25, 0.5}


def test_refusals_of_simulations() -> None:
    generator = np.random.default_rng(0)
    with pytest.raises(MeasurementUndefined, match="inside the range"):
        betting_power(graded(0.2, 0.1), 20, threshold=1.0, generator=generator)
    with pytest.raises(MeasurementUndefined, match="can't spread like that"):
        graded(0.1, 0.4)
    with pytest.raises(MeasurementUndefined, match="pilot"):
        resampled([0.1])
    with pytest.raises(MeasurementUndefined, match="whole number"):
        betting_power(graded(0.2, 0.1), 0, threshold=0.5, generator=generator)


# --- the sequential gate -------------------------------------------------------------------------------------------


def test_boundaries_are_where_the_mixture_integrals_say() -> None:
    """E by numerical integration of the likelihood ratio over the cut prior, on both sides of each boundary."""
    p0, a, b = 0.1, 0.5, 5.0
    limits = boundaries(120, threshold=p0, prior=(a, b))

    def density(p: float) -> float:
        return p ** (a - 1) * (1 - p) ** (b - 1)

    def e_value(k: int, n: int, low: float, high: float) -> float:
        top = quad(lambda p: (p / p0) ** k * ((1 - p) / (1 - p0)) ** (n - k) * density(p), low, high, limit=200)[0]
        return top / quad(density, low, high, limit=200)[0]

    for n in (40, 80, 120):
        k = int(limits.passing[n - 1])
        assert e_value(k, n, 0, p0) >= 20 > e_value(k + 1, n, 0, p0)
        k = int(limits.failing[n - 1])
        assert e_value(k, n, p0, 1) >= 20 > e_value(k - 1, n, p0, 1)


@pytest.mark.parametrize("rate", [0.0, 0.02, 0.05, 0.12])
def test_enumeration_is_the_simulation(rate: float) -> None:
    limits = boundaries(400, threshold=0.05)
    found = sequential_plan(rate, 400, threshold=0.05)
    passes, fails, mean = simulate(rate, limits, repetitions=4000, generator=np.random.default_rng(1))
    assert clopper_pearson(round(passes * 4000), 4000, 0.999).contains(found.passes)
    assert clopper_pearson(round(fails * 4000), 4000, 0.999).contains(found.fails)
    assert mean == pytest.approx(found.mean_items, abs=4 * 150 / math.sqrt(4000) + 1e-9)


def test_errors_at_the_threshold_stay_below_alpha() -> None:
    for p0 in (0.05, 0.5):
        found = sequential_plan(p0, 1500, threshold=p0)
        assert 0.02 < found.passes < 0.05
        assert 0.02 < found.fails < 0.05


def test_savings_against_the_fixed_plan() -> None:
    """Fixed n for power .9 at p0/3 over the mean number of items: as measured before with the same gate."""
    p0 = 0.2
    fixed = claim_plan(p0 / 3, threshold=p0, steady=False).num_items

    def saving(rate: float) -> float:
        return fixed / sequential_plan(rate, 20 * fixed, threshold=p0).mean_items

    assert 3.2 < saving(0) < 3.6
    assert 2.4 < saving(p0 / 10) < 2.6
    assert 1.05 < saving(p0 / 3) < 1.2
    assert 0.5 < saving(p0 / 2) < 0.6
    assert 4 < saving(3 * p0) < 5.2
    assert sequential_plan(0.0, 1000, threshold=0.01).mean_items == 367, "the premium over 299 clean runs"


def test_chances_add_up_and_grow_with_the_cap() -> None:
    limits = boundaries(600, threshold=0.1)
    by_cap = np.cumsum(stopping(0.05, limits), axis=1)
    assert (np.diff(by_cap) >= 0).all()
    found = sequential_plan(0.05, 600, threshold=0.1)
    assert found.passes == pytest.approx(by_cap[0, -1])
    assert found.passes + found.fails + found.undecided == pytest.approx(1)
    assert found.median_items <= found.most_items <= found.max_items == 600
    with pytest.raises(MeasurementUndefined, match="too many items"):
        boundaries(10**6, threshold=0.1)
    with pytest.raises(MeasurementUndefined, match="prior"):
        boundaries(10, threshold=0.1, prior=(0.0, 1.0))
