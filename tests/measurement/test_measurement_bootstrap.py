from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from measurement_helpers import reference
from test_measurement_clustered import ambiguous_bias, bias_columns, chosen, unifiedqa_rows

from trialist.errors import MeasurementUndefined
from trialist.measurement.bootstrap import Resampled, bca, percentile, replicate_errors, resample, studentised
from trialist.measurement.clustered import jackknife
from trialist.measurement.interval import Interval
from trialist.measurement.metrics import first


def ratio(means: np.ndarray) -> np.ndarray:
    return means[..., 0] / means[..., 1]


def drawn(num: int = 30, *, seed: int = 0, num_resamples: int = 2000) -> Resampled:
    generator = np.random.default_rng(seed)
    cluster = np.repeat(np.arange(num), 3)
    x = generator.normal(size=3 * num) + generator.normal(size=num)[cluster]
    return resample(x, cluster, first, generator=generator, num_resamples=num_resamples)


@pytest.mark.data
@pytest.mark.parametrize("category", ["Age", "Disability_status"])
def test_bbq_bootstrap_references(category: str) -> None:
    want = reference(f"bbq_ci_{category}")
    rows = [(row, choice) for row in unifiedqa_rows(category) if (choice := chosen(row)) is not None]
    values = np.array([bias_columns(row, choice, category) for row, choice in rows])
    templates = [row["question_index"] for row, _ in rows]
    generator = np.random.default_rng(0)
    clustered = percentile(resample(values, templates, ambiguous_bias, generator=generator, num_resamples=4000))
    naive = resample(values, np.arange(len(values)), ambiguous_bias, generator=generator, num_resamples=1500)
    assert [clustered.low, clustered.high] == pytest.approx(want["cluster_bootstrap_ci"], abs=1.6)
    limits = percentile(naive)
    assert [limits.low, limits.high] == pytest.approx(want["naive_bootstrap_ci"], abs=0.8)
    assert limits.width < clustered.width / 3


@pytest.mark.data
def test_the_standard_error_is_not_divided_by_the_root_of_the_resamples() -> None:
    """The known mistake of a public harness: it would be too small by sqrt(1000)."""
    found = drawn(num_resamples=1000)
    mistaken = found.replicates.std(ddof=1) / math.sqrt(1000)
    assert found.standard_error / mistaken == pytest.approx(reference("lighteval_bootstrap_stderr"), abs=0.001)
    assert drawn(num_resamples=8000).standard_error == pytest.approx(found.standard_error, rel=0.1)
    totals = found.totals[:, 0] / 3
    assert found.standard_error == pytest.approx(totals.std() / math.sqrt(30), rel=0.1)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_totals_equal_resampled_rows(seed: int) -> None:
    generator = np.random.default_rng(seed)
    sizes = generator.integers(1, 5, 8)
    cluster = np.repeat(np.arange(8), sizes)
    values = generator.uniform(1, 2, (len(cluster), 2))
    weights = generator.uniform(0.5, 2, len(cluster))
    found = resample(values, cluster, ratio, generator=generator, weights=weights, num_resamples=100)
    errors = replicate_errors(found)
    for b in (0, 57, 99):
        rows = [np.flatnonzero(cluster == c) for c in range(8) for _ in range(found.counts[b, c])]
        copies = np.repeat(np.arange(len(rows)), [len(r) for r in rows])
        picked = np.concatenate(rows)
        means = np.average(values[picked], axis=0, weights=weights[picked])
        assert found.replicates[b] == pytest.approx(means[0] / means[1])
        twin = jackknife(values[picked], copies, ratio, weights=weights[picked])
        assert errors[b] == pytest.approx(twin.standard_error, abs=1e-9)


def test_labels_and_order_of_items_do_not_matter() -> None:
    generator = np.random.default_rng(3)
    x, cluster = generator.normal(size=60), np.repeat(np.arange(12), 5)
    order = generator.permutation(60)
    one = resample(x, cluster, first, generator=np.random.default_rng(1), num_resamples=500)
    two = resample(x[order], cluster[order], first, generator=np.random.default_rng(1), num_resamples=500)
    for method in (percentile, bca, studentised):
        assert method(one).low == pytest.approx(method(two).low)
        assert method(one).high == pytest.approx(method(two).high)


def test_symmetric_data_make_the_intervals_agree() -> None:
    x = np.concatenate([np.arange(1, 101), -np.arange(1, 101)]) / 100.0
    found = resample(x, np.arange(200), first, generator=np.random.default_rng(2), num_resamples=8000)
    half = 1.96 * found.standard_error
    for method in (percentile, bca, studentised):
        assert method(found).high == pytest.approx(half, rel=0.06)
        assert method(found).low == pytest.approx(-half, rel=0.06)
    assert percentile(found, 0.5).width < percentile(found, 0.99).width


def test_bca_reaches_to_the_long_side_of_skewed_data() -> None:
    x = np.random.default_rng(4).exponential(size=25)
    found = resample(x, np.arange(25), first, generator=np.random.default_rng(5), num_resamples=6000)
    assert bca(found).high > percentile(found).high
    assert studentised(found).high > bca(found).high


def test_coverage_of_a_skewed_mean() -> None:
    """Twenty exponential values: the percentile interval is short, the studentised one is not."""
    hits = {percentile: 0, bca: 0, studentised: 0}
    generator = np.random.default_rng(6)
    for _ in range(200):
        x = generator.exponential(size=20)
        found = resample(x, np.arange(20), first, generator=generator, num_resamples=400)
        for method in hits:
            hits[method] += method(found).contains(1.0)
    shares = {method: count / 200 for method, count in hits.items()}
    assert shares[studentised] >= 0.92
    assert 0.84 <= shares[percentile] < shares[studentised]
    assert shares[bca] >= shares[percentile] - 0.02


def test_refusals() -> None:
    generator = np.random.default_rng(0)

    def run(values: object, cluster: object, of: object = first, **more: object) -> Resampled:
        return resample(values, cluster, of, generator=generator, **more)  # type: ignore[arg-type]

    with pytest.raises(MeasurementUndefined, match="draw from"):
        run([1.0, 2.0, 3.0, 4.0], [0, 1, 2, 3])
    with pytest.raises(MeasurementUndefined, match="too few"):
        run(np.arange(9.0), np.arange(9), num_resamples=10)
    with pytest.raises(MeasurementUndefined, match="same value"):
        run(np.ones(9), np.arange(9))
    with pytest.raises(MeasurementUndefined, match="on the data"):
        run(np.zeros((9, 2)), np.arange(9), ratio)
    rare = np.stack([np.ones(9), np.arange(9) == 0], axis=1)
    with pytest.raises(MeasurementUndefined, match="resamples"):
        run(rare, np.arange(9), ratio)
    for bad in ([math.nan] * 9, []):
        with pytest.raises(MeasurementUndefined):
            run(bad, np.arange(len(bad)))
    with pytest.raises(MeasurementUndefined):
        run(np.arange(9.0), np.arange(9), weights=-np.ones(9))
    step = run(
        np.arange(9.0), np.arange(9), lambda m: np.where(m[..., 0] > 6.0, 1.0, 0.0) + 0 * m[..., 0], num_resamples=2000
    )
    for method in (percentile, studentised):
        with pytest.raises(MeasurementUndefined):
            method(step)
    few = run((np.arange(60) < 1).astype(float), np.arange(60))
    with pytest.raises(MeasurementUndefined, match="standard error"):
        studentised(few)
    with pytest.raises(MeasurementUndefined):
        percentile(few, 1.0)
    assert isinstance(percentile(few), Interval)
