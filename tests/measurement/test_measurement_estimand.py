from __future__ import annotations

import dataclasses
import math
import time
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from measurement_helpers import item_table, score_table

from trialist.errors import MeasurementUndefined
from trialist.measurement import betting, cluster_bound, clustered, paired, proportions
from trialist.measurement.estimand import Estimand, estimate
from trialist.measurement.metrics import Means, Metric, mean_of
from trialist.records import Cell, Counts, canonical_json, estimate_of, to_json

RMU, CONTROL = Cell.make("rmu", threat="relearn", dose=64), Cell.make("control", threat="relearn", dose=64)
CORRECT = mean_of("correct", "accuracy")


def youden(means: Means) -> Means:
    return means[..., 0] + means[..., 1] - 1


def ratio(means: Means) -> Means:
    return means[..., 0] / means[..., 1]


YOUDEN = Metric("youden", ("hit", "quiet"), youden, ((0.0, 0.0), (1.0, 1.0)), low=-1.0)
RATIO = Metric("precision", ("hit", "flagged"), ratio, ((0.0, 1.0), (1.0, 1.0), (0.0, 0.0)))


def ask(**changes: Any) -> Estimand:
    return dataclasses.replace(Estimand("hazards", CORRECT, RMU), **changes)


def claim(**changes: Any) -> Estimand:
    return ask(**{"purpose": "claim", "confidence": 0.95, **changes})


def own(n: int) -> pl.DataFrame:
    return item_table([f"c{j}" for j in range(n)])


def shared(n: int, size: int) -> pl.DataFrame:
    return item_table([f"c{j // size:04d}" for j in range(n)])


def pair(first: list[float | None], second: list[float | None], **named: Any) -> pl.DataFrame:
    return pl.concat([score_table(RMU, first, **named), score_table(CONTROL, second, **named)])


def two_measures(first: list[float | None], second: list[float | None], cell: Cell = RMU) -> pl.DataFrame:
    return pl.concat([score_table(cell, first, measure="hit"), score_table(cell, second, measure="quiet")])


# --- which method, with which numbers --------------------------------------------------------------------


def test_one_item_a_cluster_is_wilson() -> None:
    result = estimate(score_table(RMU, [1.0] * 18 + [0.0] * 12), own(30), ask())
    want = proportions.wilson(18, 30)
    assert (result.value, result.low, result.high) == (0.6, want.low, want.high)
    assert (result.lower, result.upper, result.confidence, result.level) == (None, None, None, 0.95)
    assert (result.counts, result.num_clusters) == (Counts(30, 30, 30), 30)
    assert (result.worst_low, result.worst_high) == (0.6, 0.6)
    assert (result.warnings, result.reason) == ((), "")
    assert "Wilson" in result.method
    assert "Wilson" in result.citation
    assert (result.scope, result.num_replicates) == ("this artefact", 1)


def test_clusters_are_wilson_at_the_effective_size() -> None:
    values = ([1.0] * 3 + [0.0] * 3 + [1.0] * 6) * 15
    result = estimate(score_table(RMU, values), shared(180, 6), ask())
    size = clustered.effective_size(values, np.arange(180) // 6)
    want = proportions.wilson(np.mean(values) * size, size)
    assert (result.low, result.high) == (pytest.approx(want.low), pytest.approx(want.high))
    assert result.warnings == (f"180 items in 30 clusters, effective n {size:.0f}",)
    assert result.high - result.low > proportions.wilson(sum(values), 180).width


def test_one_sided_claims() -> None:
    exact = estimate(score_table(RMU, [0.0] * 300), own(300), claim())
    assert exact.upper == pytest.approx(0.009936081944, abs=1e-9)
    assert (exact.lower, exact.low, exact.high, exact.level, exact.confidence) == (0, None, None, None, 0.95)
    values = [1.0, 0, 0, 0] * 40
    bets = estimate(score_table(RMU, values), shared(160, 8), claim())
    # Half the error for the betting bound, half for the exact one on clusters; with an event in each, the first wins.
    assert bets.upper == pytest.approx(betting.upper_mean([0.25] * 20, confidence=0.975))
    assert bets.lower == pytest.approx(betting.lower_mean([0.25] * 20, confidence=0.975))
    none = estimate(score_table(RMU, [0.0] * 160), shared(160, 8), claim())
    assert none.upper == pytest.approx(cluster_bound.upper_mean([0.0] * 20, confidence=0.975))


def test_pairs_are_tango_with_midp() -> None:
    scores = pair([1.0] * 10 + [0.0] * 2 + [1.0] * 18, [0.0] * 10 + [1.0] * 2 + [1.0] * 18)
    result = estimate(scores, own(30), ask(contrast=CONTROL))
    want = paired.tango(10, 2, 30)
    assert (result.low, result.high) == (want.low, want.high)
    assert result.value == pytest.approx(8 / 30)
    assert result.p_value == pytest.approx(0.0224609375)
    swapped = estimate(scores, own(30), ask(cell=CONTROL, contrast=RMU))
    assert (swapped.value, swapped.low) == (pytest.approx(-8 / 30), pytest.approx(-want.high))


def test_clustered_pairs_count_clusters_in_the_sign_test() -> None:
    first = ([1.0] * 4 + [0.0] * 4) * 10
    second = ([0.0] * 2 + [1.0] * 2 + [0.0] * 4) * 10
    result = estimate(pair(first, second), shared(80, 4), ask(contrast=CONTROL))
    assert result.p_value == pytest.approx(paired.mcnemar_midp(10, 0))
    assert "sign test over clusters" in result.method
    size = clustered.effective_size(np.subtract(first, second), np.arange(80) // 4)
    assert result.high == pytest.approx(paired.tango(0.25 * size, 0, size).high)


def test_paired_claims_are_noninferiority() -> None:
    scores = pair([0.0] * 2 + [1.0] * 258, [1.0] * 260)
    result = estimate(scores, own(260), claim(contrast=CONTROL, side="above"))
    assert result.lower is not None
    assert -0.03 < result.lower < result.value < result.upper < 0.03  # type: ignore[operator]
    assert "Clopper-Pearson" in result.method
    unequal = item_table([f"c{max(j, 3)}" for j in range(260)])
    counted = estimate(scores, unequal, claim(contrast=CONTROL, side="above"))
    assert "one size" in counted.method
    assert -0.05 < counted.lower < result.lower  # type: ignore[operator]


def test_graded_is_cr2() -> None:
    values = [0.2, 0.4, 0.9, 0.3, 0.7, 0.5, 0.55, 0.1] * 5
    result = estimate(score_table(RMU, values, kind="bounded"), shared(40, 4), ask())
    want = clustered.jackknife(values, np.arange(40) // 4, CORRECT.of)
    assert (result.low, result.high) == (pytest.approx(want.interval.low), pytest.approx(want.interval.high))
    alike = estimate(score_table(RMU, [0.4] * 40, kind="bounded"), shared(40, 4), ask())
    assert "betting" in alike.method
    assert alike.low is not None
    assert alike.low < 0.4 < alike.high  # type: ignore[operator]
    gradual = estimate(pair(values, values[::-1], kind="bounded"), shared(40, 4), ask(contrast=CONTROL))
    assert "CR2" in gradual.method
    assert "Clopper" not in estimate(pair(values, values, kind="bounded"), own(40), claim(contrast=CONTROL)).method


def test_functions_of_means() -> None:
    generator = np.random.default_rng(0)
    hit, quiet = (generator.integers(0, 2, 60).astype(float).tolist() for _ in range(2))
    scores = two_measures(hit, quiet)
    result = estimate(scores, shared(60, 3), ask(metric=YOUDEN))
    want = clustered.jackknife(np.column_stack([hit, quiet]), np.arange(60) // 3, youden)
    assert (result.value, result.low) == (pytest.approx(want.value), pytest.approx(want.interval.low))
    assert result.metric == "youden"
    refused = estimate(scores, shared(60, 3), claim(metric=YOUDEN))
    assert (refused.lower, refused.upper) == (None, None)
    assert refused.value == result.value
    assert "no claim can rest" in refused.reason
    holes = estimate(two_measures([None, *hit[1:]], quiet), shared(60, 3), claim(metric=YOUDEN))
    assert holes.reason == refused.reason
    assert (holes.worst_low, holes.worst_high) != (holes.value, holes.value)
    both = pl.concat([scores, two_measures(quiet, quiet, CONTROL)])
    change = estimate(both, shared(60, 3), ask(metric=YOUDEN, contrast=CONTROL))
    assert change.value == pytest.approx(np.mean(hit) - np.mean(quiet))
    assert "jackknife" in change.method


def test_a_jackknife_without_spread_is_refused() -> None:
    same = estimate(two_measures([1.0] * 30, [1.0] * 30), own(30), ask(metric=YOUDEN))
    assert (same.value, same.low, same.high) == (1, None, None)
    assert "changes nothing" in same.reason


def test_an_undefined_metric_is_none_with_a_reason() -> None:
    scores = pl.concat([score_table(RMU, [0.0] * 9, measure="hit"), score_table(RMU, [0.0] * 9, measure="flagged")])
    result = estimate(scores, own(9), ask(metric=RATIO))
    assert result.value is None
    assert "undefined" in result.reason
    one = [1.0] + [0.0] * 8
    scores = pl.concat([score_table(RMU, one, measure="hit"), score_table(RMU, one, measure="flagged")])
    result = estimate(scores, own(9), ask(metric=RATIO))
    assert (result.value, result.low) == (1, None)
    assert "left out" in result.reason


# --- missing, epochs, weights, strata --------------------------------------------------------------------


def test_missing_items_are_left_out_of_the_value_and_at_the_worst_in_bounds() -> None:
    result = estimate(score_table(RMU, [1.0] * 90 + [0.0] * 5 + [None] * 5), own(100), ask())
    assert result.value == pytest.approx(90 / 95)
    assert (result.worst_low, result.worst_high) == (pytest.approx(0.9), pytest.approx(0.95))
    assert (result.low, result.high) == dataclasses.astuple(proportions.wilson(90, 95))
    assert result.counts == Counts(100, 95, 95)
    assert result.warnings == ("5 of 100 items missing (5.0%): between 0.9 and 0.95 in the worst cases",)
    bounds = estimate(score_table(RMU, [1.0] * 90 + [0.0] * 5 + [None] * 5), own(100), claim())
    assert bounds.lower == pytest.approx(proportions.lower_bound(90, 100))
    assert bounds.upper == pytest.approx(proportions.upper_bound(95, 100))


def test_missing_pairs_are_the_worst_for_both_arms() -> None:
    first: list[float | None] = [1.0] * 50 + [None] + [1.0] * 49
    second: list[float | None] = [1.0] * 70 + [None] + [1.0] * 29
    result = estimate(pair(first, second), own(100), ask(contrast=CONTROL))
    assert result.counts == Counts(100, 98, 98)
    assert result.value == 0
    assert (result.worst_low, result.worst_high) == (pytest.approx(-0.02), pytest.approx(0.02))
    bounds = estimate(pair(first, second), own(100), claim(contrast=CONTROL, side="above"))
    lost = estimate(pair([0.0] * 2 + [1.0] * 98, [1.0] * 100), own(100), claim(contrast=CONTROL, side="above"))
    assert bounds.lower == pytest.approx(lost.lower)


def test_answered_is_counted_apart_from_scored() -> None:
    scores = score_table(RMU, [1.0] * 6 + [None] * 4)
    ids = [f"i{j:05d}" for j in range(8)]
    assert estimate(scores, own(10), ask(), answered=ids).counts == Counts(10, 8, 6)
    assert estimate(scores, own(10), ask(), answered=ids).counts.missing == 4


def test_epochs_are_averaged_and_never_rows() -> None:
    values = [1.0, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0, 0.0] * 3
    once = score_table(RMU, values)
    twice = pl.concat([once, score_table(RMU, values, epoch=1)])
    result = estimate(twice, own(24), ask())
    assert result.counts == Counts(24, 24, 24)
    assert result.value == np.mean(values)
    want = clustered.jackknife(values, np.arange(24), CORRECT.of).interval
    assert (result.low, result.high) == (pytest.approx(want.low), pytest.approx(want.high))
    holed = pl.concat([once, score_table(RMU, [None, *values[1:]], epoch=1)])
    assert estimate(holed, own(24), ask()).counts == Counts(24, 23, 23)


def test_weights() -> None:
    values, weights = [1.0, 0.0] * 20, [3.0, 1.0] * 20
    result = estimate(score_table(RMU, values, weights=weights), own(40), ask())
    assert result.value == 0.75
    assert any("unequal weights" in warning for warning in result.warnings)
    bounds = estimate(score_table(RMU, values, weights=weights), own(40), claim())
    both = [
        bound(_by_name(values), _by_name(weights), confidence=0.975)
        for bound in (betting.upper_mean, cluster_bound.upper_mean)
    ]
    assert bounds.upper == pytest.approx(min(both))
    none = estimate(score_table(RMU, values, weights=[0.0] * 40), own(40), ask())
    assert none.value is None
    assert "no weight" in none.reason


def _by_name(values: list[float]) -> list[float]:
    """In the order of the clusters' names c0, c1, c10, c11, ..."""
    return [values[j] for j in sorted(range(len(values)), key=lambda j: f"c{j}")]


def test_strata() -> None:
    items = item_table([f"c{j}" for j in range(40)], ["old", "young"] * 20)
    scores = score_table(RMU, [1.0, 0.0] * 20)
    assert estimate(scores, items, ask(stratum="old")).value == 1
    young = estimate(scores, items, ask(stratum="young"))
    assert (young.value, young.stratum, young.counts.attempted) == (0, "young", 20)
    assert "stratum young" in young.estimand
    assert estimate(scores, items, ask()).value == 0.5
    assert estimate(scores, items, ask(stratum="middle")).value is None


def test_unmatched_items_are_reported() -> None:
    scores = pl.concat([score_table(RMU, [1.0] * 30), score_table(CONTROL, [0.0] * 25, ids=list(range(10, 35)))])
    result = estimate(scores, own(40), ask(contrast=CONTROL))
    assert result.counts.attempted == 20
    assert any("15 items were attempted in only one" in warning for warning in result.warnings)
    apart = pl.concat([score_table(RMU, [1.0] * 5), score_table(CONTROL, [0.0] * 5, ids=list(range(5, 10)))])
    none = estimate(apart, own(10), ask(contrast=CONTROL))
    assert (none.value, none.low, none.p_value, none.counts.attempted) == (None, None, None, 0)
    assert "no items" in none.reason


# --- degenerate inputs -----------------------------------------------------------------------------------


@pytest.mark.parametrize("purpose", ["describe", "claim"])
def test_nothing_scored_is_never_zero(purpose: Any) -> None:
    result = estimate(score_table(RMU, [None] * 5), own(5), claim(purpose=purpose))
    assert (result.value, result.low, result.high, result.lower, result.upper) == (None,) * 5
    assert (result.worst_low, result.worst_high) == (0, 1)
    assert "none of the 5 attempted items could be scored" in result.reason
    elsewhere = estimate(score_table(CONTROL, [1.0] * 5), own(5), claim(purpose=purpose))
    assert elsewhere.value is None
    assert (elsewhere.worst_low, elsewhere.counts) == (None, Counts(0, 0, 0))


@pytest.mark.parametrize(("value", "word"), [(1.0, "pass"), (0.0, "fail")])
def test_all_alike(value: float, word: str) -> None:
    result = estimate(score_table(RMU, [value] * 60), shared(60, 2), ask())
    assert f"all 60 items {word} (value {value:g})" in result.warnings
    assert result.value == value
    assert result.low is not None
    assert result.high - result.low > 0.1  # type: ignore[operator]
    same = estimate(pair([value] * 60, [value] * 60), shared(60, 2), ask(contrast=CONTROL))
    assert (same.value, same.p_value) == (0, 1)
    assert same.low == -same.high  # type: ignore[operator]
    assert same.high > 0.05  # type: ignore[operator]
    assert "all 60 pairs differ by 0" in same.warnings


def test_one_item_and_one_cluster() -> None:
    single = estimate(score_table(RMU, [1.0]), own(1), ask())
    assert single.low is not None
    assert 0 < single.low < single.high == 1  # type: ignore[operator]
    assert "fewer than 20 clusters (1)" in single.warnings
    cluster = estimate(score_table(RMU, [1.0, 0.0, 1.0]), shared(3, 3), ask())
    assert (cluster.value, cluster.low) == (pytest.approx(2 / 3), None)
    assert "1 cluster, an interval needs at least 5" in cluster.reason
    bounds = estimate(score_table(RMU, [1.0, 0.0, 1.0]), shared(3, 3), claim())
    assert bounds.lower is not None
    assert 0 <= bounds.lower < 2 / 3 < bounds.upper <= 1  # type: ignore[operator]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_scores_that_are_not_numbers_are_an_error(bad: float) -> None:
    with pytest.raises(MeasurementUndefined, match="not a number"):
        estimate(score_table(RMU, [1.0, bad], kind="real"), own(2), ask())


def test_tables_that_no_method_can_read() -> None:
    good = score_table(RMU, [1.0, 0.0])
    cases = {
        "neither 0 nor 1": (score_table(RMU, [0.5]), own(1)),
        "outside the metric's range": (score_table(RMU, [1.5], kind="real"), own(1)),
        "two scores of one measure": (pl.concat([good, good]), own(2)),
        "not in the item table": (good, own(1)),
        "several evaluations": (pl.concat([good, good.with_columns(evaluation=pl.lit("other"))]), own(2)),
        "not unique": (good, pl.concat([own(2), own(2)])),
        "weight is not valid": (score_table(RMU, [1.0], weights=[-1.0]), own(1)),
    }
    for message, (scores, items) in cases.items():
        with pytest.raises(MeasurementUndefined, match=message):
            estimate(scores, items, ask())
    with pytest.raises(MeasurementUndefined, match="confidence"):
        estimate(good, own(2), ask(purpose="claim"))


def test_a_mean_without_bounds_carries_no_claim() -> None:
    loss = Metric("loss", ("correct",), CORRECT.of, (), low=-math.inf, high=math.inf, unit="nats")
    values = np.random.default_rng(0).normal(3, 1, 30).tolist()
    scores = score_table(RMU, [*values, None], kind="real")
    described = estimate(scores, own(31), ask(metric=loss))
    assert described.low is not None
    assert described.low < np.mean(values) < described.high  # type: ignore[operator]
    refused = estimate(scores, own(31), claim(metric=loss))
    assert refused.lower is None
    assert "what missing items could be" in refused.reason
    assert "finite bounds" in estimate(scores.head(30), own(31), claim(metric=loss)).reason


# --- words -----------------------------------------------------------------------------------------------


def test_the_sentence() -> None:
    one = estimate(score_table(RMU, [1.0, 0.0] * 6), shared(12, 2), ask())
    assert one.estimand == (
        "mean accuracy over the items of hazards, arm rmu under relearn at dose 64; clusters are the independent units"
    )
    other = Cell("rmu", 2, "relearn", 1, 4.0)
    scores = pl.concat([score_table(other, [1.0, 0.0]), score_table(Cell("control"), [0.0, 0.0])])
    assert estimate(scores, own(2), ask(cell=other, contrast=Cell("control"))).estimand == (
        "difference in mean accuracy over the items of hazards, arm rmu (replicate 2) under relearn at dose 4 "
        "(attack run 1) minus arm control; items are the independent units"
    )


# --- properties ------------------------------------------------------------------------------------------

values = st.lists(st.sampled_from([0.0, 1.0, None]), min_size=1, max_size=40)
designs = st.tuples(values, st.integers(1, 5), st.booleans(), st.sampled_from(["describe", "claim"]))


@settings(max_examples=60, deadline=None)
@given(designs, st.integers(0, 10**6), st.sampled_from(["above", "below", None]))
def test_what_every_estimate_keeps(design: Any, seed: int, side: Any) -> None:
    first, size, with_contrast, purpose = design
    n, generator = len(first), np.random.default_rng(seed)
    second = generator.permutation(np.array([v if v is not None else np.nan for v in first]))
    scores = pair(first, [None if math.isnan(v) else float(v) for v in second])
    items = shared(n, size)
    estimand = claim(purpose=purpose, side=side, contrast=CONTROL if with_contrast else None)
    result = estimate(scores, items, estimand)
    rows = scores.sample(fraction=1, shuffle=True, seed=seed % 1000)
    assert estimate(rows, items.sample(fraction=1, shuffle=True, seed=seed % 1000), estimand) == result
    assert estimate_of(to_json(result)) == result
    assert canonical_json(result)
    if result.value is None:
        assert result.reason
        return
    assert result.worst_low - 1e-12 <= result.value <= result.worst_high + 1e-12  # type: ignore[operator]
    low, high = (result.low, result.high) if purpose == "describe" else (result.lower, result.upper)
    if low is None or high is None:
        assert result.reason
        return
    assert low <= result.value <= high
    assert high - low > 0
    assert estimand.metric.low - with_contrast <= low
    assert high <= estimand.metric.high


@settings(max_examples=25, deadline=None)
@given(values, st.integers(1, 4))
def test_value_and_worst_cases_equal_the_plain_loop(first: list[float | None], size: int) -> None:
    result = estimate(score_table(RMU, first), shared(len(first), size), ask())
    seen = [v for v in first if v is not None]
    assert result.value == (pytest.approx(sum(seen) / len(seen)) if seen else None)
    missing = len(first) - len(seen)
    assert result.worst_low == pytest.approx(sum(seen) / len(first))
    assert result.worst_high == pytest.approx((sum(seen) + missing) / len(first))


def test_ten_thousand_items_take_a_moment() -> None:
    generator = np.random.default_rng(0)
    first, second = (generator.integers(0, 2, 10_000).astype(float).tolist() for _ in range(2))
    scores, items = pair(first, second), shared(10_000, 5)
    start = time.process_time()
    estimate(scores, items, claim(contrast=CONTROL, side="above"))
    estimate(scores, items, ask(contrast=CONTROL))
    assert time.process_time() - start < 4.0
