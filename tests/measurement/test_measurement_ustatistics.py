from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtr

from trialist.errors import MeasurementUndefined
from trialist.measurement.check import coverage
from trialist.measurement.clustered import jackknife
from trialist.measurement.discrimination import auroc, auroc_difference
from trialist.measurement.interval import Interval
from trialist.measurement.ustatistics import (
    AUROC,
    UStatistic,
    delete_one_cluster,
    delete_one_cluster_difference,
    deleted_values,
    order_kernel,
    pair_sums,
    plain_pair_sums,
    u_value,
)

GAP = UStatistic("score gap", lambda x, y: x - y, low=-math.inf, high=math.inf)
items = st.lists(st.tuples(st.integers(0, 6), st.booleans(), st.integers(0, 5)), min_size=4, max_size=40).filter(
    lambda rows: 0 < sum(row[1] for row in rows) < len(rows)
)


def arrays(rows: list[tuple[int, bool, int]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    scores, positive, cluster = zip(*rows, strict=True)
    return np.array(scores, dtype=float), np.array(positive), np.array(cluster)


@given(items)
def test_mid_ranks_equal_the_full_matrix(rows: list[tuple[int, bool, int]]) -> None:
    s, positive, c = arrays(rows)
    args = (s[positive], s[~positive], c[positive], c[~positive])
    fast = pair_sums(*args, num=6, statistic=AUROC)
    plain = plain_pair_sums(*args, num=6, statistic=AUROC)
    for name in ("rows", "columns", "own"):
        np.testing.assert_allclose(getattr(fast, name), getattr(plain, name))
    assert u_value(args[0], args[1]) == pytest.approx(float(order_kernel(args[0][:, None], args[1]).mean()))


@given(items)
def test_deleted_values_equal_recomputation(rows: list[tuple[int, bool, int]]) -> None:
    s, positive, c = arrays(rows)
    value, left, _ = deleted_values(s, positive, c)
    assert value == pytest.approx(u_value(s[positive], s[~positive]))
    for k, label in enumerate(np.unique(c)):
        keep = c != label
        x, y = s[keep & positive], s[keep & ~positive]
        want = u_value(x, y) if len(x) and len(y) else math.nan
        assert left[k] == pytest.approx(want, nan_ok=True)


@settings(max_examples=50)
@given(items)
def test_one_item_a_cluster_is_delong(rows: list[tuple[int, bool, int]]) -> None:
    s, positive, _ = arrays(rows)
    if min(positive.sum(), (~positive).sum()) < 2:
        return
    want = auroc(s[positive], s[~positive])
    if want.variance == 0:
        with pytest.raises(MeasurementUndefined, match="changes nothing"):
            delete_one_cluster(s, positive, np.arange(len(s)))
        return
    found = delete_one_cluster(s, positive, np.arange(len(s)))
    assert found.standard_error**2 == pytest.approx(want.variance)
    assert (found.interval.low, found.interval.high) == pytest.approx((want.interval.low, want.interval.high))


@settings(max_examples=40)
@given(items)
def test_paired_difference_of_single_items_is_delongs(rows: list[tuple[int, bool, int]]) -> None:
    s, positive, c = arrays(rows)
    other = (s * 3 + c) % 5
    if min(positive.sum(), (~positive).sum()) < 2:
        return
    want = auroc_difference(s, other, positive)
    if want.variance == 0:
        with pytest.raises(MeasurementUndefined, match="changes nothing"):
            delete_one_cluster_difference(s, other, positive, np.arange(len(s)))
        return
    found = delete_one_cluster_difference(s, other, positive, np.arange(len(s)))
    assert found.standard_error**2 == pytest.approx(want.variance)
    assert (found.value, found.p_value) == pytest.approx((want.value, want.p_value))
    assert (found.interval.low, found.interval.high) == pytest.approx((want.interval.low, want.interval.high))


def test_size_of_the_clustered_paired_test() -> None:
    """Two equally good scores: clusters as units reject about .05, items as units far more."""
    generator, rejected, naive = np.random.default_rng(11), 0, 0
    cluster = np.repeat(np.arange(25), 8)
    for _ in range(300):
        positive = generator.random(200) < 0.5
        a, b = (positive + generator.normal(size=25)[cluster] * positive + generator.normal(size=200) for _ in "ab")
        rejected += delete_one_cluster_difference(a, b, positive, cluster).p_value <= 0.05
        naive += auroc_difference(a, b, positive).p_value <= 0.05
    assert rejected <= 28  # Binomial(300, .05): P(> 28) = .0007
    assert naive >= 45


def test_another_kernel_gives_the_jackknife_of_a_difference_of_means() -> None:
    generator = np.random.default_rng(1)
    cluster = np.repeat(np.arange(12), 5)
    positive = np.tile([True, False, True, False, False], 12)
    s = generator.normal(size=60) + generator.normal(size=12)[cluster] + positive
    found = delete_one_cluster(s, positive, cluster, statistic=GAP)

    def gap(means: np.ndarray) -> np.ndarray:
        return means[..., 0] / means[..., 1] - means[..., 2] / means[..., 3]

    columns = np.stack([s * positive, positive, s * ~positive, ~positive], axis=1)
    want = jackknife(columns, cluster, gap)
    assert found.value == pytest.approx(want.value)
    assert found.standard_error == pytest.approx(want.standard_error)
    assert (found.interval.low, found.interval.high) == pytest.approx((want.interval.low, want.interval.high))
    assert found.degrees == pytest.approx(11)


@given(items)
def test_monotone_transforms_and_names_of_clusters_change_nothing(rows: list[tuple[int, bool, int]]) -> None:
    s, positive, c = arrays(rows)
    value, left, _ = deleted_values(s, positive, c)
    moved, left_moved, _ = deleted_values(np.exp(s) - 5, positive, np.array([f"{9 - k}" for k in c]))
    assert moved == value
    np.testing.assert_allclose(np.sort(left), np.sort(left_moved))
    mirrored, _, _ = deleted_values(-s, ~positive, c)
    assert mirrored == pytest.approx(value)


Data = tuple[np.ndarray, np.ndarray, np.ndarray]


def clustered_draw(num: int, size: int) -> object:
    """Clusters of ``size`` items with a shared level of difficulty; labels mixed within the cluster."""

    def draw(generator: np.random.Generator) -> Data:
        cluster = np.repeat(np.arange(num), size)
        positive = generator.random(num * size) < 0.4
        shared = generator.normal(size=(num, 2))
        level = np.where(positive, shared[cluster, 0], shared[cluster, 1])
        return positive + 0.7 * level + generator.normal(size=num * size), positive, cluster

    return draw


# Within a cluster the two shared levels are independent, so a pair is distributed alike within and between clusters.
TRUTH = float(ndtr(1 / math.sqrt(2 * (1 + 0.49))))


def by_cluster(data: Data) -> Interval:
    return delete_one_cluster(*data).interval


def by_item(data: Data) -> Interval:
    s, positive, _ = data
    return auroc(s[positive], s[~positive]).interval


@pytest.mark.parametrize("num", [15, 40])
def test_coverage_with_clusters_and_the_item_interval_fails(num: int) -> None:
    draw = clustered_draw(num, 12)
    found = coverage(by_cluster, draw, truth=TRUTH, repetitions=400, generator=np.random.default_rng(num))  # type: ignore[arg-type]
    assert found.reaches(0.95), found
    naive = coverage(by_item, draw, truth=TRUTH, repetitions=400, generator=np.random.default_rng(num))  # type: ignore[arg-type]
    assert naive.share < 0.85, naive
    assert not naive.reaches(0.95)


def test_few_clusters_of_positives_have_few_degrees_of_freedom() -> None:
    generator = np.random.default_rng(3)
    cluster = np.concatenate([np.repeat(np.arange(5), 20), 5 + np.arange(400)])
    positive = cluster < 5
    s = positive + generator.normal(size=len(cluster)) + 0.8 * generator.normal(size=405)[cluster]
    found = delete_one_cluster(s, positive, cluster)
    assert found.degrees < 6
    assert found.num_clusters == 405


@pytest.mark.parametrize(
    ("scores", "positive", "cluster", "match"),
    [
        ([1, 2, 3, 4], [1, 1, 0, 0], [0, 0, 1, 1], "can't be left out"),
        ([3, 4, 1, 2], [1, 1, 0, 0], [0, 1, 2, 3], "changes nothing"),
        ([1, 1, 1, 1], [1, 1, 0, 0], [0, 1, 2, 3], "changes nothing"),
        ([1, math.nan], [1, 0], [0, 1], "finite"),
        ([1, 2], [1, 1], [0, 1], "no negative items"),
        ([1, 2], [1, 2], [0, 1], "neither positive nor negative"),
        ([1, 2], [1, 0], [0], "needs a label and a cluster"),
        ([1, 2, 3], [1, 0, 0], [0, 0, 0], "can't be left out"),
    ],
)
def test_degenerate_input_is_refused(scores: list[float], positive: list[int], cluster: list[int], match: str) -> None:
    with pytest.raises(MeasurementUndefined, match=match):
        delete_one_cluster(scores, positive, cluster)


def test_ten_thousand_clusters_need_no_matrix_of_all_pairs() -> None:
    """40,000 items: the kernel's matrix would hold 4e8 numbers. Checked against recomputation for a few clusters."""
    generator = np.random.default_rng(4)
    cluster = np.repeat(np.arange(10_000), 4)
    positive = generator.random(40_000) < 0.5
    s = np.round(positive + generator.normal(size=40_000), 2)
    _, left, _ = deleted_values(s, positive, cluster)
    for k in (0, 77, 9_999):
        keep = cluster != k
        assert left[k] == pytest.approx(u_value(s[keep & positive], s[keep & ~positive]), abs=1e-12)
