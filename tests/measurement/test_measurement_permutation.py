from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from trialist.errors import MeasurementUndefined
from trialist.measurement.paired import mcnemar_exact
from trialist.measurement.permutation import Alternative, paired_t, sign_flip

ALTERNATIVES: tuple[Alternative, ...] = ("two-sided", "greater", "less")


def flip(values: object, cluster: object, **more: object) -> float:
    return sign_flip(values, cluster, generator=np.random.default_rng(0), **more).p_value  # type: ignore[arg-type]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(-4, 4), min_size=1, max_size=9), st.sampled_from(ALTERNATIVES))
def test_exact_test_equals_the_list_of_all_patterns(totals: list[int], alternative: Alternative) -> None:
    def statistic(signs: tuple[int, ...]) -> int:
        total = sum(s * t for s, t in zip(signs, totals, strict=True))
        return {"two-sided": abs(total), "greater": total, "less": -total}[alternative]

    seen = statistic((1,) * len(totals))
    patterns = list(product((1, -1), repeat=len(totals)))
    want = sum(statistic(signs) >= seen for signs in patterns) / len(patterns)
    assert flip(totals, range(len(totals)), alternative=alternative) == pytest.approx(want)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 7), st.integers(0, 7))
def test_binary_pairs_are_mcnemars_exact_test(b: int, c: int) -> None:
    d = [1.0] * b + [-1.0] * c + [0.0] * 3
    assert flip(d, range(len(d))) == pytest.approx(mcnemar_exact(b, c))


def test_random_patterns_agree_with_all_of_them() -> None:
    generator = np.random.default_rng(1)
    d = generator.normal(0.5, 1, 16)
    exact = sign_flip(d, np.arange(16), generator=generator)
    assert exact.exact
    assert exact.num_patterns == 2**16
    assert exact.smallest == 2.0**-15
    # A seventeenth cluster too small to matter makes the test random.
    more = sign_flip(np.append(d, 1e-6), np.arange(17), generator=generator, num_patterns=20000)
    assert not more.exact
    noise = 4 * math.sqrt(exact.p_value / 20000)
    assert more.p_value == pytest.approx(exact.p_value, abs=noise)
    assert more.smallest == 1 / 20001
    again = sign_flip(np.append(d, 1e-6), np.arange(17), generator=np.random.default_rng(5), num_patterns=99)
    same = sign_flip(np.append(d, 1e-6), np.arange(17), generator=np.random.default_rng(5), num_patterns=99)
    assert again == same


def test_clusters_flip_whole_and_zero_clusters_do_not_matter() -> None:
    d, cluster = [1.0, 1.0, 1.0, 2.0, 0.5, -0.5], [0, 0, 0, 1, 2, 2]
    assert flip(d, cluster) == flip([3.0, 2.0], [0, 1]) == 0.5
    assert sign_flip(d, cluster, generator=np.random.default_rng(0)).num_patterns == 4


@pytest.mark.parametrize("alternative", ALTERNATIVES)
def test_type_one_error_by_cluster_and_by_item(alternative: Alternative) -> None:
    """Heavy-tailed clusters of unequal size: at most 5% by cluster, far more with items as units."""
    generator, sizes = np.random.default_rng(7), np.array([1, 2, 2, 3, 4, 6, 8, 12])
    cluster, hits, wrong, repetitions = np.repeat(np.arange(8), sizes), 0, 0, 400
    for _ in range(repetitions):
        d = generator.standard_cauchy(8)[cluster] + 0.1 * generator.normal(size=len(cluster))
        hits += sign_flip(d, cluster, generator=generator, alternative=alternative).p_value <= 0.05
        one = sign_flip(d, range(len(d)), generator=generator, alternative=alternative, num_patterns=99)
        wrong += one.p_value <= 0.05
    assert stats.binom.cdf(hits - 1, repetitions, 0.05) <= 0.999
    assert wrong / repetitions > 0.2


def test_random_rule_is_valid_with_few_patterns() -> None:
    """(b + 1) / (m + 1) never rejects too often, b / m does."""
    generator, hits, naive = np.random.default_rng(8), 0, 0
    for _ in range(1500):
        p = sign_flip(generator.normal(size=20), np.arange(20), generator=generator, num_patterns=20).p_value
        hits += p <= 0.05
        naive += (21 * p - 1) / 20 <= 0.05
    assert stats.binom.cdf(hits - 1, 1500, 0.05) <= 0.999
    assert stats.binom.sf(naive - 1, 1500, 0.05) < 0.001


def test_paired_t_of_equal_clusters_is_the_textbook_test() -> None:
    generator = np.random.default_rng(2)
    d, cluster = generator.normal(0.3, 1, 36), np.repeat(np.arange(12), 3)
    means = d.reshape(12, 3).mean(axis=1)
    assert paired_t(d, cluster) == pytest.approx(stats.ttest_1samp(means, 0).pvalue)
    assert paired_t(-d, cluster) == pytest.approx(paired_t(d, cluster))
    assert paired_t(d, cluster, weights=np.full(36, 3.0)) == pytest.approx(paired_t(d, cluster))


def test_degenerate_input() -> None:
    nothing = sign_flip([0.0, 0.0], [0, 1], generator=np.random.default_rng(0))
    assert (nothing.p_value, nothing.smallest, nothing.exact) == (1, 1, True)
    one = sign_flip([1.0, 1.0], [0, 0], generator=np.random.default_rng(0))
    assert (one.p_value, one.smallest) == (1, 1)
    for bad in ([], [math.nan], [math.inf]):
        with pytest.raises(MeasurementUndefined):
            flip(bad, range(len(bad)))
    with pytest.raises(MeasurementUndefined, match="patterns"):
        flip(np.ones(20), range(20), num_patterns=0)
    with pytest.raises(MeasurementUndefined):
        paired_t([1.0, 2.0], [0, 0])
    with pytest.raises(MeasurementUndefined):
        paired_t([1.0, 1.0], [0, 1])
