"""Sample sizes of means: worked example, the noncentral t against simulation of the jackknife, round trips."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import nct

from trialist.errors import MeasurementUndefined
from trialist.measurement import clustered
from trialist.measurement.planning.normal import (
    Spread,
    binary_variance,
    detectable,
    num_clusters_needed,
    paired_variance,
    power,
)
from trialist.measurement.proportions import clopper_pearson


def example(epochs: int) -> Spread:
    """w2 = 1/9 and s2 = 1/6 for each of the two."""
    return Spread(paired_variance((1 / 18, 1 / 18), 0.0, within=(1 / 6, 1 / 6), epochs=(epochs, epochs)))


def test_the_worked_example() -> None:
    assert num_clusters_needed(0.03, example(1), t=False) == 3876
    assert num_clusters_needed(0.03, Spread(1 / 9), t=False) == 969
    assert detectable(198, example(1), t=False) == pytest.approx(0.1327, abs=5e-5)
    assert detectable(198, example(10), t=False) == pytest.approx(0.0757, abs=5e-5)
    assert 0 < num_clusters_needed(0.03, example(1)) - 3876 < 5, "t asks for a little more"


def test_power_against_the_other_noncentral_t() -> None:
    for num in (2, 3, 5, 20, 60, 500, 5000):
        for effect in (0.0, 0.05, 0.2, 0.5, 1.5):
            shift = effect * math.sqrt(num)
            truth = nct.sf(-nct.ppf(0.025, num - 1, 0), num - 1, shift)
            assert power(effect, num, Spread(1.0)) == pytest.approx(truth, abs=1e-7), (num, effect)


@pytest.mark.parametrize(("num", "effect"), [(12, 0.35), (60, 0.13)])
def test_power_is_how_often_the_jackknife_excludes_zero(num: int, effect: float) -> None:
    """Clusters of 4 normal items, correlation .3: the interval that describes such data, counted."""
    generator, size, icc, repetitions = np.random.default_rng(7), 4, 0.3, 1500
    cluster = np.repeat(np.arange(num), size)
    found = naive = 0
    for _ in range(repetitions):
        shared = generator.normal(0, math.sqrt(icc), num)[cluster]
        x = effect + shared + generator.normal(0, math.sqrt(1 - icc), num * size)
        found += clustered.jackknife(x, cluster, lambda m: m[..., 0]).interval.low > 0
        naive += x.mean() / (x.std(ddof=1) / math.sqrt(len(x))) > 1.96
    spread = Spread(1.0, cluster_size=size, icc=icc)
    limits = clopper_pearson(found, repetitions, 0.999)
    assert limits.contains(power(effect, num, spread))
    wrong = clopper_pearson(naive, repetitions, 0.999)
    assert not wrong.contains(power(effect, num, spread)), "items taken as independent claim more power than there is"


@settings(max_examples=40)
@given(
    difference=st.floats(0.02, 0.6),
    variance=st.floats(0.02, 2.0),
    size=st.integers(1, 12),
    icc=st.floats(0, 1),
    wanted=st.sampled_from([0.5, 0.8, 0.95]),
    t=st.booleans(),
)
def test_round_trip_of_size_and_effect(
    difference: float, variance: float, size: int, icc: float, wanted: float, t: bool
) -> None:
    spread = Spread(variance, cluster_size=size, icc=icc)
    num = num_clusters_needed(difference, spread, power_wanted=wanted, t=t)
    assert power(difference, num, spread, t=t) >= wanted - 1e-9
    assert detectable(num, spread, power_wanted=wanted, t=t) <= difference * (1 + 1e-9)
    if num > 3:
        assert power(difference, num - 1, spread, t=t) < wanted + 1e-9
        assert detectable(num - 1, spread, power_wanted=wanted, t=t) > difference * (1 - 1e-9)


def test_monotone_in_everything() -> None:
    assert (np.diff([power(0.1, n, Spread(0.5)) for n in range(2, 400)]) > 0).all()
    assert (np.diff([power(d, 60, Spread(0.5)) for d in np.linspace(0, 0.5, 60)]) > 0).all()
    assert (np.diff([power(0.1, 60, Spread(0.5, 5, icc)) for icc in np.linspace(0, 1, 20)]) < 0).all()
    assert power(0.1, 60, Spread(0.5)) == power(-0.1, 60, Spread(0.5))


def test_huge_effects_have_power_one() -> None:
    for num in (2, 25, 5000):
        powers = [power(d, num, Spread(1.0)) for d in (10.0, 1e3, 1e6, 1e9)]
        assert powers == sorted(powers)
        assert powers[-1] == pytest.approx(1, abs=1e-12)


def test_limits_of_the_design_effect() -> None:
    assert Spread(1.0, cluster_size=8, icc=0.0).per_cluster == pytest.approx(1 / 8)
    assert Spread(1.0, cluster_size=8, icc=1.0).per_cluster == pytest.approx(1.0)
    assert num_clusters_needed(0.3, Spread(1.0, 8, 1.0)) == num_clusters_needed(0.3, Spread(1.0))


def test_two_groups_are_a_two_sample_t_test() -> None:
    """Different items, both of variance 1: degrees of freedom 2 (n - 1)."""
    generator, num, repetitions = np.random.default_rng(3), 10, 4000
    a, b = generator.normal(1.0, 1, (repetitions, num)), generator.normal(0.0, 1, (repetitions, num))
    error = np.sqrt((a.var(axis=1, ddof=1) + b.var(axis=1, ddof=1)) / num)
    hits = int(((a.mean(axis=1) - b.mean(axis=1)) / error > 2.1009).sum())
    assert clopper_pearson(hits, repetitions, 0.999).contains(power(1.0, num, Spread(2.0, num_groups=2)))


def test_refusals() -> None:
    with pytest.raises(MeasurementUndefined, match="difference of 0"):
        num_clusters_needed(0.0, Spread(1.0))
    with pytest.raises(MeasurementUndefined, match="variance"):
        Spread(0.0)
    with pytest.raises(MeasurementUndefined, match="correlation"):
        Spread(1.0, 4, 1.5)
    with pytest.raises(MeasurementUndefined, match="covariance"):
        paired_variance((0.1, 0.1), 0.2)
    with pytest.raises(MeasurementUndefined, match="share of pairs that differ"):
        binary_variance(0.02, 0.03)
    with pytest.raises(MeasurementUndefined, match="two clusters"):
        power(0.1, 1, Spread(1.0))
    with pytest.raises(MeasurementUndefined, match="no number of items"):
        num_clusters_needed(1e-6, Spread(1.0))
    for bad in (math.nan, math.inf):
        with pytest.raises(MeasurementUndefined):
            num_clusters_needed(bad, Spread(1.0))
