"""Power by enumeration: published sample sizes, brute force, round trips, refusals."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from measurement_helpers import reference

from trialist.errors import MeasurementUndefined
from trialist.measurement import noninferiority, paired, proportions
from trialist.measurement.planning import discordant
from trialist.measurement.planning.exact import (
    claim_at,
    claim_chances,
    claim_plan,
    claim_power,
    claimable_threshold,
    critical_counts,
    detectable_rate,
    zero_event_plan,
)


@pytest.mark.parametrize(("p0", "n"), [(0.2, 57), (0.1, 116), (0.05, 234), (0.02, 655), (0.01, 1312)])
def test_published_sizes_of_the_gate(p0: float, n: int) -> None:
    """Power .9 at p0/3, alpha .05; the published numbers are the first sizes that reach it."""
    first = claim_plan(p0 / 3, threshold=p0, steady=False)
    assert first.num_items == n
    assert first.power >= 0.9
    assert first.error < 0.05
    assert claim_plan(p0 / 3, threshold=p0).num_items > n


@pytest.mark.data
def test_zero_event_plans() -> None:
    for p0, n in reference("gate_sample_size_shared")["conf95_zero_failures"].items():
        plan = zero_event_plan(float(p0), rate=float(p0) / 10)
        assert (plan.num_items, plan.num_allowed) == (n, 0)
        assert plan.power == pytest.approx((1 - float(p0) / 10) ** n, rel=1e-9)


@pytest.mark.parametrize(("n", "p1", "p0"), [(40, 0.05, 0.2), (300, 0.003, 0.01), (57, 0.2 / 3, 0.2), (25, 0.0, 0.05)])
def test_power_is_the_enumerated_chance_of_the_bound(n: int, p1: float, p0: float) -> None:
    def chance(k: int) -> float:
        return math.comb(n, k) * p1**k * (1 - p1) ** (n - k)

    passes = sum(chance(k) for k in range(n + 1) if proportions.upper_bound(k, n, 0.95) < p0)
    fails = sum(chance(k) for k in range(n + 1) if proportions.lower_bound(k, n, 0.95) >= p0)
    found = claim_chances(p1, n, threshold=p0)
    assert found.passes == pytest.approx(passes, abs=1e-12)
    assert found.fails == pytest.approx(fails, abs=1e-12)
    assert found.undecided == pytest.approx(1 - passes - fails, abs=1e-9)


@settings(max_examples=25)
@given(p0=st.floats(0.02, 0.6), ratio=st.floats(0.05, 0.6), power=st.sampled_from([0.5, 0.8, 0.95]))
def test_first_and_steady_sizes_by_brute_force(p0: float, ratio: float, power: float) -> None:
    n = np.arange(1, 4000)
    reached = claim_power(p0 * ratio, n, threshold=p0) >= power
    first = claim_plan(p0 * ratio, threshold=p0, power=power, steady=False).num_items
    steady = claim_plan(p0 * ratio, threshold=p0, power=power).num_items
    assert first == n[reached.argmax()]
    assert steady == n[np.flatnonzero(~reached)[-1]] + 1


def test_a_large_plan_is_still_steady() -> None:
    plan = claim_plan(0.45, threshold=0.5, power=0.9)
    n = np.arange(1, 4 * plan.num_items)
    reached = claim_power(0.45, n, threshold=0.5) >= 0.9
    assert plan.num_items == n[np.flatnonzero(~reached)[-1]] + 1


def test_the_error_stays_below_alpha_and_power_rises_with_the_effect() -> None:
    n = np.arange(1, 1500)
    assert claim_power(0.05, n, threshold=0.05).max() < 0.05
    powers = [claim_at(rate, 400, threshold=0.05).power for rate in np.linspace(0, 0.2, 50)]
    assert (np.diff(powers) <= 1e-12).all()
    assert (np.diff(critical_counts(n, 0.05)) >= 0).all()


@settings(max_examples=30)
@given(n=st.integers(60, 3000), power=st.floats(0.3, 0.97))
def test_round_trip_of_size_and_effect(n: int, power: float) -> None:
    rate = detectable_rate(n, threshold=0.05, power=power)
    assert claim_at(rate, n, threshold=0.05).power == pytest.approx(power, abs=1e-6)
    assert claim_plan(rate * (1 - 1e-9), threshold=0.05, power=power, steady=False).num_items <= n
    strictest = claimable_threshold(rate, n, power=power * (1 - 1e-9))
    assert strictest <= 0.05 + 1e-9
    assert claim_at(rate, n, threshold=strictest + 1e-9).power >= power * (1 - 1e-6)


def test_above_is_the_mirror_image_of_below() -> None:
    above, below = claim_plan(0.97, threshold=0.9, side="above"), claim_plan(0.03, threshold=0.1)
    assert (above.num_items, above.num_allowed) == (below.num_items, below.num_allowed)
    assert above.power == pytest.approx(below.power)
    assert detectable_rate(200, threshold=0.9, side="above") == pytest.approx(1 - detectable_rate(200, threshold=0.1))


def test_refusals_of_claims() -> None:
    with pytest.raises(MeasurementUndefined, match="if the true rate isn't"):
        claim_plan(0.02, threshold=0.01)
    with pytest.raises(MeasurementUndefined, match="take 299 items"):
        detectable_rate(200, threshold=0.01)
    for bad in (-0.1, 1.2, math.nan):
        with pytest.raises(MeasurementUndefined, match="must be a share"):
            claim_plan(bad, threshold=0.01)
    with pytest.raises(MeasurementUndefined, match="no finite sample has power 1"):
        claim_plan(0.001, threshold=0.01, power=1.0)
    with pytest.raises(MeasurementUndefined, match="no number of items"):
        claim_plan(0.0099999, threshold=0.01)
    with pytest.raises(MeasurementUndefined, match="whole number"):
        claim_chances(0.1, 0, threshold=0.2)


# --- pairs -------------------------------------------------------------------------------------------------------


def enumerated(gain: float, loss: float, n: int, happens: object) -> float:
    assert callable(happens)
    return sum(
        math.comb(n, b) * math.comb(n - b, c) * gain**b * loss**c * (1 - gain - loss) ** (n - b - c)
        for b in range(n + 1)
        for c in range(n - b + 1)
        if happens(b, c)
    )


@pytest.mark.parametrize(("gain", "loss"), [(0.2, 0.05), (0.05, 0.3), (0.1, 0.0)])
@pytest.mark.parametrize("midp", [True, False])
def test_mcnemar_by_full_enumeration(gain: float, loss: float, midp: bool) -> None:
    test = paired.mcnemar_midp if midp else paired.mcnemar_exact
    found = discordant.mcnemar_power(gain, loss, 30, midp=midp)
    right = enumerated(gain, loss, 30, lambda b, c: test(b, c) <= 0.05 and (b > c) == (gain > loss))
    wrong = enumerated(gain, loss, 30, lambda b, c: test(b, c) <= 0.05 and (b > c) != (gain > loss))
    assert found.power == pytest.approx(right, abs=1e-10)
    assert found.wrong == pytest.approx(wrong, abs=1e-10)


def test_mcnemar_without_a_difference_is_its_error() -> None:
    for midp in (True, False):
        test = paired.mcnemar_midp if midp else paired.mcnemar_exact
        error = enumerated(0.15, 0.15, 30, lambda b, c, test=test: test(b, c) <= 0.05)
        assert discordant.mcnemar_power(0.15, 0.15, 30, midp=midp).power == pytest.approx(error, abs=1e-10)
    assert discordant.mcnemar_power(0.05, 0.05, 260, midp=False).power < 0.05


def test_mcnemar_sizes_and_smallest_differences() -> None:
    n = discordant.mcnemar_pairs(0.13, 0.05)
    powers = [discordant.mcnemar_power(0.13, 0.05, m).power for m in range(n - 1, n + 60)]
    assert powers[0] < 0.8 <= min(powers[1:])
    difference = discordant.mcnemar_detectable(0.18, n)
    assert difference == pytest.approx(0.08, abs=0.002)
    assert difference <= 0.08
    smaller = [discordant.mcnemar_detectable(0.18, m) for m in (200, 400, 800)]
    assert smaller == sorted(smaller, reverse=True)
    assert discordant.mcnemar_pairs(0.13, 0.05, midp=False) >= n


@pytest.mark.parametrize(("gain", "loss", "margin"), [(0.05, 0.1, 0.1), (0.0, 0.0, 0.1), (0.2, 0.2, 0.0)])
def test_tango_by_full_enumeration(gain: float, loss: float, margin: float) -> None:
    found = discordant.tango_power(gain, loss, 25, margin=margin, confidence=0.95)
    truth = enumerated(gain, loss, 25, lambda b, c: paired.tango(b, c, 25, 0.9).low > -margin + 1e-12)
    assert found == pytest.approx(truth, abs=1e-10)


def test_the_losing_share_is_that_of_the_bound() -> None:
    n, margin, loss = 260, 0.03, 0.003
    bound = [noninferiority.losing_share_bound([-1.0] * k + [0.0] * (n - k), 0.975) for k in range(6)]
    passes = sum(math.comb(n, k) * loss**k * (1 - loss) ** (n - k) for k in range(6) if bound[k] > -margin)
    assert discordant.losing_share_chances(loss, n, margin=margin).passes == pytest.approx(passes, abs=1e-10)
    num = discordant.losing_share_clusters(loss, margin=margin)
    assert discordant.losing_share_chances(loss, num, margin=margin).passes >= 0.9


def test_refusals_of_pairs() -> None:
    with pytest.raises(MeasurementUndefined, match="difference of 0"):
        discordant.mcnemar_pairs(0.1, 0.1)
    with pytest.raises(MeasurementUndefined, match="shares of the pairs"):
        discordant.mcnemar_power(0.8, 0.4, 20)
    with pytest.raises(MeasurementUndefined, match="can't show any difference"):
        discordant.mcnemar_detectable(0.02, 50)
    with pytest.raises(MeasurementUndefined, match="margin"):
        discordant.tango_power(0.1, 0.1, 20, margin=1.0)
