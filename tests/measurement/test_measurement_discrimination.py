from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference_checks import assert_reference
from scipy.special import betaincinv, ndtr, ndtri

from trialist.errors import MeasurementUndefined
from trialist.measurement.check import Coverage, coverage
from trialist.measurement.discrimination import auroc, auroc_difference, guaranteed_interval, tpr_at_fpr
from trialist.measurement.interval import Interval
from trialist.measurement.proportions import upper_bound

scores = st.lists(st.integers(0, 8), min_size=2, max_size=15)
Pair = tuple[np.ndarray, np.ndarray]


POSITIVES, NEGATIVES = [0.9, 0.8, 0.7, 0.55, 0.4], [0.6, 0.5, 0.45, 0.3, 0.2, 0.1]


@pytest.mark.data
def test_delong_reference() -> None:
    """delong_shared, tolerance 1e-9."""
    found = auroc(POSITIVES, NEGATIVES)
    assert_reference("delong_shared", {"auc": found.value, "variance": found.variance})


def brute(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """AUROC and DeLong variance from the matrix of all pairs."""
    psi = (x[:, None] > y) + 0.5 * (x[:, None] == y)
    return float(psi.mean()), float(psi.mean(1).var(ddof=1) / len(x) + psi.mean(0).var(ddof=1) / len(y))


@given(scores, scores)
def test_delong_from_mid_ranks_equals_all_pairs(x: list[int], y: list[int]) -> None:
    value, variance = brute(np.array(x), np.array(y))
    found = auroc(x, y)
    assert found.value == pytest.approx(value)
    assert found.variance == pytest.approx(variance, abs=1e-15)
    assert found.interval.low < value + 1e-12
    assert found.interval.high > value - 1e-12
    assert found.interval.width > 0


@given(scores, scores)
def test_invariances(x: list[int], y: list[int]) -> None:
    found = auroc(x, y)
    moved = auroc(np.exp(x), np.exp(y))
    assert (moved.value, moved.variance) == pytest.approx((found.value, found.variance))
    swapped = auroc(y, x)
    assert swapped.value == pytest.approx(1 - found.value)
    assert swapped.interval.low == pytest.approx(1 - found.interval.high)


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6), st.booleans()), min_size=4, max_size=30))
def test_paired_variance_is_delongs_covariance(rows: list[tuple[int, int, bool]]) -> None:
    a, b, positive = (np.array(column) for column in zip(*rows, strict=True))
    positive = positive.astype(bool)
    m, n = int(positive.sum()), int((~positive).sum())
    if min(m, n) < 2:
        return
    pairs = [(s[positive][:, None] > s[~positive]) + 0.5 * (s[positive][:, None] == s[~positive]) for s in (a, b)]
    s10 = np.cov([p.mean(1) for p in pairs])
    s01 = np.cov([p.mean(0) for p in pairs])
    contrast = np.array([1.0, -1.0])
    found = auroc_difference(a, b, positive)
    assert found.variance == pytest.approx(float(contrast @ (s10 / m + s01 / n) @ contrast), abs=1e-14)
    assert found.value == pytest.approx(float(pairs[0].mean() - pairs[1].mean()))
    assert 0 <= found.p_value <= 1
    assert found.interval.width > 0
    back = auroc_difference(b, a, positive)
    assert (back.value, back.p_value) == pytest.approx((-found.value, found.p_value))


def binormal(m: int, n: int, value: float) -> Any:
    shift = math.sqrt(2) * float(ndtri(value))
    return lambda generator: (generator.normal(shift, 1, m), generator.normal(size=n))


def run(estimator: Any, m: int, n: int, value: float, repetitions: int = 800) -> Coverage:
    generator = np.random.default_rng(m + n)
    return coverage(estimator, binormal(m, n, value), truth=value, repetitions=repetitions, generator=generator)


def described(data: Pair) -> Interval:
    return auroc(*data).interval


def guaranteed(data: Pair) -> Interval:
    return guaranteed_interval(auroc(*data).value, min(len(data[0]), len(data[1])))


def wald(data: Pair) -> Interval:
    found = auroc(*data)
    half = 1.96 * math.sqrt(found.variance)
    return Interval(found.value - half, found.value + half)


@pytest.mark.parametrize(("m", "n"), [(10, 10), (50, 200)])
@pytest.mark.parametrize("value", [0.5, 0.75, 0.9])
def test_coverage_of_the_logit_interval(m: int, n: int, value: float) -> None:
    found = run(described, m, n, value)
    assert found.reaches(0.95), found


def test_the_wald_interval_fails_where_the_logit_one_holds() -> None:
    found = run(wald, 10, 10, 0.95)
    assert not found.reaches(0.95), found
    assert run(described, 10, 10, 0.95).reaches(0.95)


@pytest.mark.parametrize(("m", "n", "value"), [(10, 10, 0.95), (10, 200, 0.97), (10, 200, 0.5)])
def test_the_guaranteed_interval_holds_where_delong_is_short(m: int, n: int, value: float) -> None:
    found = run(guaranteed, m, n, value, 400)
    assert found.share >= 0.95, found


@given(st.floats(0, 1), st.integers(1, 400))
def test_guaranteed_interval_is_the_chernoff_bound(value: float, num: int) -> None:
    found = guaranteed_interval(value, num, 0.95)
    assert 0 <= found.low <= value <= found.high <= 1

    def divergence(t: float) -> float:
        parts = [(value, t), (1 - value, 1 - t)]
        return sum(u * math.log(u / v) for u, v in parts if u > 0)

    for t in (found.low, found.high):
        if 1e-9 < t < 1 - 1e-9:
            assert math.exp(-num * divergence(t)) == pytest.approx(0.025, rel=1e-4)
    assert guaranteed_interval(1.0, num).low == pytest.approx(0.025 ** (1 / num))


def test_exact_error_of_the_guaranteed_bound_by_enumeration() -> None:
    """m = n = 3, three score values, every outcome: P(lower limit > truth) is at most .1 at level .8."""
    p, q = np.array([0.2, 0.3, 0.5]), np.array([0.4, 0.35, 0.25])
    truth = sum(p[i] * q[j] * ((i > j) + 0.5 * (i == j)) for i in range(3) for j in range(3))
    missed = [0.0, 0.0]
    for x in itertools.product(range(3), repeat=3):
        for y in itertools.product(range(3), repeat=3):
            value = float(np.mean([(i > j) + 0.5 * (i == j) for i in x for j in y]))
            limits = guaranteed_interval(value, 3, 0.8)
            chance = float(np.prod(p[list(x)]) * np.prod(q[list(y)]))
            missed[0] += chance * (limits.low > truth)
            missed[1] += chance * (limits.high < truth)
    assert max(missed) <= 0.1


def test_perfect_separation_has_a_width_and_says_how() -> None:
    found = auroc(np.arange(10) + 10, np.arange(30))
    assert found.variance > 0
    found = auroc(np.arange(10) + 100, np.arange(30))
    assert found.value == 1
    assert found.interval.low == pytest.approx(0.025**0.1)
    assert found.interval.high == 1
    assert "Hoeffding" in found.method
    same = auroc_difference([1, 2, 3, 4], [2, 4, 6, 8], [0, 0, 1, 1])
    assert (same.value, same.p_value) == (0, 1)
    assert same.interval.low < -0.5 < 0.5 < same.interval.high
    apart = auroc_difference(np.arange(40), -np.arange(40), np.arange(40) >= 20)
    assert apart.value == 1
    assert apart.p_value < 1e-5


def test_size_and_power_of_the_paired_test() -> None:
    generator, rejected, better, covered, unpaired = np.random.default_rng(5), 0, 0, 0, 0
    gain = float(ndtr(1.5 / math.sqrt(2)) - ndtr(1 / math.sqrt(2)))
    for _ in range(400):
        positive = np.arange(80) < 40
        shared = generator.normal(size=80)
        a, b, c = (s * positive + 0.8 * shared + 0.6 * generator.normal(size=80) for s in (1.0, 1.0, 1.5))
        rejected += auroc_difference(a, b, positive).p_value <= 0.05
        found = auroc_difference(c, a, positive)
        better += found.p_value <= 0.05
        parts = [auroc(s[positive], s[~positive]) for s in (c, a)]
        unpaired += abs(found.value) >= 1.96 * math.sqrt(parts[0].variance + parts[1].variance)
        covered += found.interval.contains(gain)
    assert rejected <= 36
    assert better >= 1.5 * unpaired
    assert better >= 180
    assert covered >= 362


@pytest.mark.parametrize(
    ("x", "y", "match"),
    [
        ([1], [0, 2], "two positives and two negatives"),
        ([1, 2], [0], "two positives and two negatives"),
        ([], [0, 1], "no positive"),
        ([1, math.inf], [0, 1], "finite"),
    ],
)
def test_too_little_is_refused(x: list[float], y: list[float], match: str) -> None:
    with pytest.raises(MeasurementUndefined, match=match):
        auroc(x, y)


def test_tpr_at_fpr_flags_no_more_than_allowed() -> None:
    y = np.array([0.0] * 50 + [1.0] * 45 + [2.0] * 5)
    assert tpr_at_fpr([3.0], y, 0.05).threshold == 1.0
    assert tpr_at_fpr([3.0], y, 0.04).fpr == 0.0
    found = tpr_at_fpr([0.5, 1.5, 3.0, 4.0], y, 0.05)
    assert (found.fpr, found.tpr) == (0.05, 0.75)
    assert tpr_at_fpr([1.0], np.arange(100), 0.29).fpr == 0.29  # 0.29 * 100 is below 29 in floating point


@given(scores, scores, st.floats(0.01, 0.99))
def test_the_threshold_is_the_lowest_that_keeps_the_rate(x: list[int], y: list[int], fpr: float) -> None:
    found = tpr_at_fpr(x, y, fpr)
    assert found.fpr <= fpr + 1e-9
    assert found.tpr_interval.contains(found.tpr)
    assert found.fpr <= found.fpr_bound
    lower = [value for value in y if value < found.threshold]
    if lower:
        assert np.mean(np.array(y) > max(lower)) > fpr - 1e-9


def test_the_bound_holds_though_the_same_negatives_choose_and_count() -> None:
    """Exact for continuous scores: the true rate is Beta(a + 1, n - a). The count's naive bound would be the same only
    because a was fixed before; picking the best of several thresholds breaks it, as the control shows."""
    generator, n, inside, naive = np.random.default_rng(6), 60, 0, 0
    for _ in range(2000):
        y = generator.random(n)
        found = tpr_at_fpr([0.5], y, 0.05, level=0.9)
        inside += 1 - found.threshold <= found.fpr_bound
        # The largest gap: the threshold whose observed rate flatters it most.
        order = np.sort(y)[::-1][:20]
        worst = int(np.argmax((1 - order) - np.arange(20) / n))
        naive += 1 - order[worst] <= upper_bound(worst, n, 0.95)
    assert found.fpr_bound == pytest.approx(float(betaincinv(4, 57, 0.95)))
    assert inside / 2000 == pytest.approx(0.95, abs=0.016)
    assert naive / 2000 < 0.93


def test_separate_negatives_count_by_themselves() -> None:
    found = tpr_at_fpr([3.0] * 10, np.arange(100) / 100, 0.01, counted=[0.0] * 99 + [5.0])
    assert found.fpr_bound == pytest.approx(upper_bound(1, 100, 0.975))
    assert found.tpr_interval.high == 1
    for fpr in (0.0, 1.0, -0.1, math.nan):
        with pytest.raises(MeasurementUndefined):
            tpr_at_fpr([1.0], [0.0], fpr)
