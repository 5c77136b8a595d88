"""What is drawn anew and what stays: fixed banks, traffic, units, crossed facets, runs of a method, missing, judges."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import polars as pl
import pytest
from measurement_helpers import item_table, score_table
from scipy.stats import hypergeom

from trialist.errors import MeasurementUndefined
from trialist.measurement import (
    bank_mean,
    betting,
    cluster_bound,
    clustered,
    crossed,
    fixed_bank,
    independent_trials,
    proportions,
    replicated,
)
from trialist.measurement.check import coverage
from trialist.measurement.claiming import claim_bounds
from trialist.measurement.estimand import Estimand, estimate
from trialist.measurement.interval import Interval, t_quantile
from trialist.measurement.judged.choose import GoldDesign, judged_estimate
from trialist.measurement.judged.difference import JudgedArm, judged_difference
from trialist.measurement.metrics import Metric, first, mean_of
from trialist.measurement.reading import index_items
from trialist.measurement.sample import Sample
from trialist.records import Cell, Counts, Estimate

ARM, CONTROL = Cell("arm"), Cell("control")
CORRECT = mean_of("correct", "accuracy")


def ask(**changes: Any) -> Estimand:
    return dataclasses.replace(Estimand("items", CORRECT, ARM), **changes)


def claim(**changes: Any) -> Estimand:
    return ask(**{"purpose": "claim", "confidence": 0.95, **changes})


def own(n: int) -> pl.DataFrame:
    return item_table([f"c{j:05d}" for j in range(n)])


def graded(values: Any, cell: Cell = ARM, **more: Any) -> pl.DataFrame:
    return score_table(cell, [None if np.isnan(x) else float(x) for x in values], kind="bounded", **more)


def limits(found: Estimate) -> tuple[float | None, float | None]:
    return (found.low, found.high) if found.purpose == "describe" else (found.lower, found.upper)


# --- a fixed bank ----------------------------------------------------------------------------------------


def test_a_sampled_bank_of_binary_items_is_hypergeometric() -> None:
    items, scores = own(120), score_table(ARM, [1.0] * 30 + [0.0] * 10)
    found = estimate(scores, items, ask(population="bank"))
    assert limits(found) == dataclasses.astuple(fixed_bank.interval(30, 40, 120))
    assert "fixed bank" in found.estimand
    larger = estimate(scores, items, ask(population="bank", bank_size=4000))
    assert limits(larger) == dataclasses.astuple(fixed_bank.interval(30, 40, 4000))
    process = proportions.wilson(30, 40)
    assert found.high - found.low < process.width  # type: ignore[operator]
    bounds = estimate(scores, items, claim(population="bank"))
    assert bounds.lower == fixed_bank.lower_total(30, 40, 120) / 120
    assert bounds.upper == fixed_bank.upper_total(30, 40, 120) / 120


def test_hypergeometric_bounds_of_an_estimate_hold_for_every_bank() -> None:
    num, n = 14, 5
    bounds = [
        estimate(score_table(ARM, [1.0] * k + [0.0] * (n - k)), own(num), claim(population="bank", confidence=0.9))
        for k in range(n + 1)
    ]
    for total in range(num + 1):
        chances = hypergeom.pmf(np.arange(n + 1), num, total, n)
        above = sum(p for p, b in zip(chances, bounds, strict=True) if b.upper >= total / num - 1e-12)  # type: ignore[operator]
        below = sum(p for p, b in zip(chances, bounds, strict=True) if b.lower <= total / num + 1e-12)  # type: ignore[operator]
        assert min(above, below) >= 0.9 - 1e-9


def test_a_sampled_bank_of_graded_items() -> None:
    values = np.random.default_rng(0).beta(4, 2, 60)
    items, scores = own(80), graded(values)
    found = estimate(scores, items, ask(population="bank"))
    half = t_quantile(0.95, 59) * values.std(ddof=1) / 60**0.5 * (1 - 60 / 80) ** 0.5
    assert limits(found) == (pytest.approx(values.mean() - half), pytest.approx(values.mean() + half))
    bounds = estimate(scores, items, claim(population="bank"))
    assert bounds.lower == pytest.approx(bank_mean.lower_bank_mean(values, 80))
    assert bounds.upper == pytest.approx(bank_mean.upper_bank_mean(values, 80))
    process = estimate(scores, items, claim())
    assert bounds.upper - bounds.lower < process.upper - process.lower  # type: ignore[operator]
    assert estimate(graded([0.4] * 20), items, ask(population="bank")).low is None


@pytest.mark.parametrize("purpose", ["describe", "claim"])
def test_a_bank_asked_throughout_once_has_nothing_to_estimate(purpose: Any) -> None:
    found = estimate(score_table(ARM, [1.0, 0.0] * 20), own(40), claim(purpose=purpose, population="bank"))
    assert (found.value, limits(found)) == (0.5, (None, None))
    assert "all 40 items of the bank were asked once" in found.reason
    assert "several epochs" in found.next_step


def epochs(num: int, values: np.ndarray) -> pl.DataFrame:
    return pl.concat([graded(values[:, k], epoch=k) for k in range(num)])


def test_epochs_on_a_whole_bank_show_the_noise_of_answers() -> None:
    values = np.random.default_rng(1).integers(0, 2, (40, 3)).astype(float)
    found = estimate(epochs(3, values), own(40), ask(population="bank"))
    want = independent_trials.interval(values)
    assert limits(found) == (pytest.approx(want.low), pytest.approx(want.high))
    bounds = estimate(epochs(3, values), own(40), claim(population="bank"))
    exact = independent_trials.summary_bounds(values.mean(), 120)
    assert limits(bounds) == (pytest.approx(exact.lower), pytest.approx(exact.upper))
    shared = item_table([f"c{j // 8}" for j in range(40)])
    assert limits(estimate(epochs(3, values), shared, claim(population="bank"))) == limits(bounds)


def test_missing_epochs_are_at_the_worst_and_not_fewer_answers() -> None:
    values = np.random.default_rng(2).integers(0, 2, (40, 2)).astype(float)
    holed = values.copy()
    holed[0], holed[1, 0] = np.nan, np.nan
    bounds = estimate(epochs(2, holed), own(40), claim(population="bank"))
    lowest = np.where(np.isnan(holed).any(axis=1), 0.0, values.mean(axis=1)).mean()
    highest = np.where(np.isnan(holed).any(axis=1), 1.0, values.mean(axis=1)).mean()
    assert bounds.lower == pytest.approx(independent_trials.summary_bounds(lowest, 80).lower)
    assert bounds.upper == pytest.approx(independent_trials.summary_bounds(highest, 80).upper)
    described = estimate(epochs(2, holed), own(40), ask(population="bank"))
    assert described.counts == Counts(40, 38, 38)
    assert described.low is not None


def test_weights_on_a_whole_bank() -> None:
    generator = np.random.default_rng(3)
    values, weights = generator.integers(0, 2, (60, 2)).astype(float), generator.uniform(0.1, 3, 60)
    table = pl.concat([graded(values[:, k], epoch=k, weights=weights.tolist()) for k in range(2)])
    share = weights / weights.sum()
    found = estimate(table, own(60), ask(population="bank"))
    assert found.value == pytest.approx(share @ values.mean(axis=1))
    error = np.sqrt((share**2 * values.var(axis=1, ddof=1) / 2).sum())
    degrees = (share**2 * values.var(axis=1, ddof=1)).sum() ** 2 / ((share**2 * values.var(axis=1, ddof=1)) ** 2).sum()
    assert found.high - found.value == pytest.approx(t_quantile(0.95, degrees) * error)  # type: ignore[operator]
    bounds = estimate(table, own(60), claim(population="bank"))
    reach = np.sqrt(np.log(20) * (share**2).sum() / 4)
    assert bounds.upper == pytest.approx(found.value + reach)  # type: ignore[operator]


def test_weighted_hoeffding_bounds_cover_where_the_unweighted_number_of_answers_fails() -> None:
    weights = [20.0] + [0.1] * 49
    rates = np.array([0.5] + [0.2] * 49)
    share = np.array(weights) / sum(weights)
    truth = float(share @ rates)

    def draw(generator: np.random.Generator) -> Sample:
        values = generator.binomial(2, rates) / 2
        return sample_of(values, weights=np.array(weights), num_epochs=2)

    def bound(sample: Sample) -> Interval:
        found = claim_bounds(sample, 0.95, None, dataclasses.replace(BANK, size=50, sampled=50)).interval
        assert found is not None
        return Interval(-np.inf, found.high)

    def naive(sample: Sample) -> Interval:
        mean = float(share @ sample.values[:, 0])
        return Interval(-np.inf, independent_trials.summary_bounds(mean, 100).upper)

    given = {"truth": truth, "repetitions": 400}
    assert coverage(bound, draw, **given, generator=np.random.default_rng(4)).reaches(0.95)
    assert not coverage(naive, draw, **given, generator=np.random.default_rng(4)).reaches(0.95)


def test_a_bank_sampled_in_clusters_is_refused_unless_items_were_drawn() -> None:
    scores, shared = score_table(ARM, [1.0, 0.0] * 20), item_table([f"c{j // 4}" for j in range(80)])
    found = estimate(scores, shared, ask(population="bank"))
    assert found.low is None
    assert "unit='item'" in found.next_step
    assert limits(estimate(scores, shared, ask(population="bank", unit="item"))) == dataclasses.astuple(
        fixed_bank.interval(20, 40, 80)
    )


def test_a_stratum_of_a_bank_is_its_own_bank() -> None:
    items = item_table([f"c{j}" for j in range(100)], ["a"] * 30 + ["b"] * 70)
    scores = score_table(ARM, [1.0, 0.0] * 10)
    found = estimate(scores, items, ask(population="bank", stratum="a"))
    assert limits(found) == dataclasses.astuple(fixed_bank.interval(10, 20, 30))
    whole = score_table(ARM, [1.0, 0.0] * 15)
    assert "all 30 items" in estimate(whole, items, ask(population="bank", stratum="a")).reason
    with pytest.raises(MeasurementUndefined, match="stratum"):
        estimate(scores, items, ask(population="bank", stratum="a", bank_size=400))
    nowhere = estimate(scores, items, ask(population="bank", stratum="nowhere"))
    assert (nowhere.value, nowhere.reason) == (None, "no items have been attempted here")


# --- traffic, units, crossed facets ----------------------------------------------------------------------


def test_traffic_weighs_items_and_says_what_that_costs() -> None:
    values, weights = [1.0, 0.0, 1.0, 1.0] * 15, [4.0, 1.0, 1.0, 1.0] * 15
    found = estimate(score_table(ARM, values, weights=weights), own(60), ask(population="traffic"))
    assert found.value == pytest.approx(6 / 7)
    assert "declared traffic" in found.estimand
    kish = sum(weights) ** 2 / sum(w * w for w in weights)
    assert any(f"effective n {kish:.0f} by weight" in warning for warning in found.warnings)
    bounds = estimate(score_table(ARM, values, weights=weights), own(60), claim(population="traffic"))
    both = [f(values, weights, confidence=0.975) for f in (betting.upper_mean, cluster_bound.upper_mean)]
    assert bounds.upper == pytest.approx(min(both))
    same = estimate(score_table(ARM, values), own(60), ask(population="traffic"))
    assert any("all have the same weight" in warning for warning in same.warnings)


def test_the_unit_decides_what_is_independent() -> None:
    values = ([1.0] * 10 + [0.0] * 10) * 3
    items = item_table([f"c{j // 2}" for j in range(60)], [f"s{j // 10}" for j in range(60)]).with_columns(
        metadata=pl.Series([f'{{"source": "p{j // 5}"}}' for j in range(60)])
    )
    sizes = {}
    for unit, num in (("item", 60), ("cluster", 30), ("stratum", 6), ("source", 12)):
        found = estimate(score_table(ARM, values), items, ask(unit=unit))
        assert found.num_clusters == num
        assert found.value == 0.5
        sizes[unit] = found.high - found.low  # type: ignore[operator]
    assert sizes["item"] < sizes["cluster"] < sizes["source"] < sizes["stratum"]
    with pytest.raises(MeasurementUndefined, match="don't say their author"):
        estimate(score_table(ARM, values), items, ask(unit="author"))


def test_a_crossed_facet_describes_and_carries_no_claim() -> None:
    generator = np.random.default_rng(5)
    topic, template = np.repeat(np.arange(12), 8), np.tile(np.arange(8), 12)
    values = np.clip(0.5 + generator.normal(0, 0.1, 12)[topic] + generator.normal(0, 0.2, 8)[template], 0, 1)
    items = item_table([f"t{j:02d}" for j in topic]).with_columns(
        metadata=pl.Series([f'{{"template": {j}}}' for j in template])
    )
    found = estimate(graded(values), items, ask(crossed="template"))
    want = crossed.crossed(values, topic, template).interval()
    assert limits(found) == (pytest.approx(max(0, want.low)), pytest.approx(min(1, want.high)))
    one_way = estimate(graded(values), items, ask())
    assert found.high - found.low > one_way.high - one_way.low  # type: ignore[operator]
    refused = estimate(graded(values), items, claim(crossed="template"))
    assert (limits(refused), "cut across" in refused.reason) == ((None, None), True)
    with pytest.raises(MeasurementUndefined, match="crossed facet at once"):
        estimate(graded(values), items, ask(crossed="template", about="method"))


# --- runs of a method ------------------------------------------------------------------------------------


def run_tables(values: np.ndarray, arm: str = "arm") -> pl.DataFrame:
    """``values`` (runs, items)."""
    return pl.concat([score_table(Cell(arm, r), row.tolist()) for r, row in enumerate(values)])


def drawn_runs(generator: np.random.Generator, num_runs: int = 12, n: int = 60) -> np.ndarray:
    """Runs whose rates differ, on the same items, which differ too; a share of .3 in the long run."""
    rates = 0.7 * generator.beta(1.5, 2.0, num_runs)[:, None] * generator.uniform(0.6, 1.4, n)
    return (generator.random((num_runs, n)) < rates).astype(float)


def test_all_runs_of_the_arm_are_described_together() -> None:
    values = drawn_runs(np.random.default_rng(6))
    found = estimate(run_tables(values), own(60), ask(about="method"))
    codes = np.indices(values.shape)
    want = crossed.crossed(values.ravel(), codes[1].ravel(), codes[0].ravel()).interval()
    assert (found.value, found.num_replicates, found.scope) == (pytest.approx(values.mean()), 12, "this method")
    assert limits(found) == (pytest.approx(max(0, want.low)), pytest.approx(want.high))
    assert "training runs are the independent units" in found.estimand
    artefact = estimate(run_tables(values), own(60), ask())
    assert (artefact.value, artefact.num_replicates) == (values[0].mean(), 1)


def test_on_a_bank_only_the_runs_vary() -> None:
    values = drawn_runs(np.random.default_rng(7), num_runs=4)
    found = estimate(run_tables(values), own(60), ask(about="method", population="bank"))
    means = values.mean(axis=1)
    half = t_quantile(0.95, 3) * means.std(ddof=1) / 2
    assert found.high == pytest.approx(min(1, means.mean() + half))
    bounds = estimate(run_tables(values), own(60), claim(about="method", population="bank"))
    assert bounds.upper == pytest.approx(betting.upper_mean(means))
    part = estimate(run_tables(values), own(90), claim(about="method", population="bank"))
    assert (limits(part), "share its luck" in part.reason) == ((None, None), True)
    same = np.repeat(values[:1], 4, axis=0)
    assert "same value" in estimate(run_tables(same), own(60), ask(about="method", population="bank")).reason


@pytest.mark.parametrize("purpose", ["describe", "claim"])
def test_one_run_says_nothing_of_a_method(purpose: Any) -> None:
    found = estimate(score_table(ARM, [1.0, 0.0] * 20), own(40), claim(purpose=purpose, about="method"))
    assert limits(found) == (None, None)
    assert ("no bounds" if purpose == "claim" else "no interval") in found.reason
    assert "its spread over items and runs needs at least 2" in found.reason
    assert "more replicates" in found.next_step


def test_runs_are_compared_with_the_run_of_the_same_number() -> None:
    generator = np.random.default_rng(8)
    values, control = drawn_runs(generator, num_runs=6), drawn_runs(generator, num_runs=6)
    both = pl.concat([run_tables(values), run_tables(control, "control")])
    found = estimate(both, own(60), ask(about="method", contrast=CONTROL))
    assert found.value == pytest.approx((values - control).mean())
    assert found.num_replicates == 6
    one = pl.concat([run_tables(values), run_tables(control[:1], "control")])
    alone = estimate(one, own(60), ask(about="method", contrast=CONTROL))
    assert alone.value == pytest.approx((values - control[0]).mean())


def test_runs_without_a_partner_are_left_out_with_a_warning() -> None:
    generator = np.random.default_rng(9)
    both = pl.concat([run_tables(drawn_runs(generator, 6)), run_tables(drawn_runs(generator, 4), "control")])
    found = estimate(both, own(60), claim(about="method", contrast=CONTROL))
    assert found.num_replicates == 4
    assert "2 runs have no run of the same number in the other arm and are left out" in found.warnings
    assert estimate(both, own(60), claim(about="method")).warnings == ()


@pytest.mark.parametrize("purpose", ["describe", "claim"])
@pytest.mark.parametrize("population", ["process", "bank"])
def test_a_run_that_lacks_the_measure_is_refused_or_left_out(purpose: Any, population: Any) -> None:
    values = drawn_runs(np.random.default_rng(10), 6)
    other = score_table(Cell("arm", 6), [1.0] * 60, measure="other")
    scores = pl.concat([run_tables(values), other])
    found = estimate(scores, own(60), claim(purpose=purpose, about="method", population=population))
    assert limits(found) == (None, None)
    assert found.reason


def sample_of(values: np.ndarray, *, weights: np.ndarray | None = None, num_epochs: int = 1) -> Sample:
    n = len(values)
    places = np.arange(n)
    column = np.ones((n, 1)) if weights is None else weights[:, None]
    return Sample(
        metric=CORRECT, ids=places, values=values[:, None], weights=column, scored=np.ones(n, dtype=np.bool_),
        cluster=places, named_cluster=places, num_epochs=np.full(n, num_epochs), plain=True, paired=False,
        binary=num_epochs == 1,
    )  # fmt: skip


BANK = replicated.Bank(50, 50, 2)


def test_claims_about_a_method_cover_where_the_artefacts_claims_fail() -> None:
    def samples(generator: np.random.Generator) -> list[Sample]:
        return [sample_of(row) for row in drawn_runs(generator)]

    def method(drawn: list[Sample]) -> Interval:
        found = replicated.claim_runs(drawn, replicated.together(drawn), 0.95, None).interval
        assert found is not None
        return Interval(-np.inf, found.high)

    def artefact(drawn: list[Sample]) -> Interval:
        found = claim_bounds(drawn[0], 0.95, None).interval
        assert found is not None
        return Interval(-np.inf, found.high)

    given = {"truth": 0.3, "repetitions": 300}
    assert coverage(method, samples, **given, generator=np.random.default_rng(9)).reaches(0.95)
    alone = coverage(artefact, samples, **given, generator=np.random.default_rng(9))
    assert alone.high < 0.9


def test_intervals_over_runs_cover_where_the_artefacts_fail() -> None:
    def samples(generator: np.random.Generator) -> list[Sample]:
        return [sample_of(row) for row in drawn_runs(generator)]

    def method(drawn: list[Sample]) -> Interval | None:
        return replicated.describe_runs(drawn, replicated.together(drawn), 0.95, None).interval

    def pooled(drawn: list[Sample]) -> Interval:
        values = np.concatenate([one.values[:, 0] for one in drawn])
        return proportions.wilson(values.sum(), len(values))

    given = {"truth": 0.3, "repetitions": 400}
    assert coverage(method, samples, **given, generator=np.random.default_rng(10)).reaches(0.95)
    assert coverage(pooled, samples, **given, generator=np.random.default_rng(10)).high < 0.8


def test_every_cluster_is_given_to_one_run() -> None:
    owners = replicated._owners(43, 5)
    assert sorted(np.bincount(owners)) == [8, 8, 9, 9, 9]
    assert (owners == replicated._owners(43, 5)).all()
    few = [sample_of(np.ones(3)) for _ in range(5)]
    found = replicated.claim_runs(few, replicated.together(few), 0.95, None)
    assert (found.interval, "some run has no items" in found.reason) == (None, True)


# --- missing ---------------------------------------------------------------------------------------------


def test_policies_for_missing_answers() -> None:
    scores = score_table(ARM, [1.0] * 60 + [0.0] * 20 + [None] * 20)
    items = own(100)
    worst, low, high, dropped = (
        estimate(scores, items, ask(missing=policy)) for policy in ("worst", "as low", "as high", "dropped")
    )
    assert [one.value for one in (worst, low, high, dropped)] == pytest.approx([0.75, 0.6, 0.8, 0.75])
    assert limits(low) == dataclasses.astuple(proportions.wilson(60, 100))
    assert limits(high) == dataclasses.astuple(proportions.wilson(80, 100))
    for found in (worst, low, high, dropped):
        assert found.counts == Counts(100, 80, 80)
        assert (found.worst_low, found.worst_high) == (pytest.approx(0.6), pytest.approx(0.8))
    assert "20 of 100 answers are missing and count as 0" in low.warnings
    assert "20 of 100 answers are missing and count as 1" in high.warnings
    bounds = {policy: estimate(scores, items, claim(missing=policy)) for policy in ("worst", "as low", "as high")}
    assert limits(bounds["worst"]) == (proportions.lower_bound(60, 100), proportions.upper_bound(80, 100))
    assert limits(bounds["as low"]) == (proportions.lower_bound(60, 100), proportions.upper_bound(60, 100))
    refused = estimate(scores, items, claim(missing="dropped"))
    assert (limits(refused), "dropped" in refused.reason) == ((None, None), True)
    whole = score_table(ARM, [1.0] * 60 + [0.0] * 40)
    assert estimate(whole, items, claim(missing="dropped")).upper == proportions.upper_bound(60, 100)


def test_missing_without_bounds_or_of_a_pair_can_not_be_filled_in() -> None:
    endless = Metric("cost", ("correct",), first, ((-np.inf,), (np.inf,)), -np.inf, np.inf)
    scores = graded([3.0, 5.0, np.nan] * 20)
    with pytest.raises(MeasurementUndefined, match="can't count as low"):
        estimate(scores, own(60), ask(metric=endless, missing="as low"))
    found = estimate(scores, own(60), ask(metric=endless))
    assert (found.value, found.worst_low, found.worst_high) == (4.0, None, None)
    pair = pl.concat([score_table(ARM, [1.0, None] * 20), score_table(CONTROL, [0.0, 1.0] * 20)])
    with pytest.raises(MeasurementUndefined, match="one cell"):
        estimate(pair, own(40), ask(contrast=CONTROL, missing="as high"))


# --- judges ----------------------------------------------------------------------------------------------


def judged(values: Any, cell: Cell = ARM, kind: str = "judge", **more: Any) -> pl.DataFrame:
    return score_table(cell, values, **more).with_columns(scorer_kind=pl.lit(kind))


def labelled(cell: Cell, rate: float, seed: int, n: int = 400) -> tuple[pl.DataFrame, np.ndarray, np.ndarray]:
    """Rows of a judge for all items and of people for 120 of them, the same items for every cell."""
    generator = np.random.default_rng(seed)
    truth = (generator.random(n) < rate).astype(float)
    judge = np.where(generator.random(n) < 0.1, 1 - truth, truth)
    chosen = np.sort(np.random.default_rng(0).choice(n, 120, replace=False))
    gold = np.full(n, np.nan)
    gold[chosen] = truth[chosen]
    people = judged(truth[chosen].tolist(), cell, "human", ids=chosen.tolist())
    return pl.concat([judged(judge.tolist(), cell), people]), judge, gold


def test_a_judge_alone_describes_with_a_warning_and_claims_nothing() -> None:
    scores = judged([1.0, 0.0] * 30)
    found = estimate(scores, own(60), ask())
    assert found.low is not None
    assert "scored by a judge, whose own error is not in this interval" in found.warnings
    refused = estimate(scores, own(60), claim())
    assert limits(refused) == (None, None)
    assert "a judge's alone" in refused.reason
    assert "by hand" in refused.next_step
    human = estimate(judged([1.0, 0.0] * 30, kind="human"), own(60), claim())
    assert human.upper == proportions.upper_bound(30, 60)


@pytest.mark.parametrize("population", ["bank", "process"])
def test_gold_labels_correct_the_judge(population: Any) -> None:
    scores, judge, gold = labelled(ARM, 0.25, 1)
    design = GoldDesign("bank" if population == "bank" else "superpopulation")
    found = estimate(scores.sample(fraction=1, shuffle=True, seed=1), own(400), ask(population=population))
    want = judged_estimate(judge, gold, design=design)
    assert want.interval is not None
    assert (found.value, *limits(found)) == pytest.approx((want.value, want.interval.low, want.interval.high))
    assert (found.worst_low, found.worst_high) == (found.value, found.value)
    assert found.counts == Counts(400, 400, 400)
    assert any("the judge alone says" in warning for warning in found.warnings)
    assert not any("whose own error" in warning for warning in found.warnings)
    bounds = estimate(scores, own(400), claim(population=population))
    exact = judged_estimate(judge, gold, purpose="claim", design=design)
    assert limits(bounds) == (pytest.approx(exact.lower), pytest.approx(exact.upper))
    assert "120 gold labels" in bounds.why


def test_gold_labels_in_both_arms_of_a_difference() -> None:
    one, judge, gold = labelled(ARM, 0.2, 2)
    two, other, labels = labelled(CONTROL, 0.4, 3)
    found = estimate(pl.concat([one, two]), own(400), ask(contrast=CONTROL))
    design = GoldDesign("superpopulation")
    arms = (JudgedArm(judge, gold), JudgedArm(other, labels))
    want = judged_difference(*arms, design=design)
    assert want.interval is not None
    assert (found.value, *limits(found)) == pytest.approx((want.value, want.interval.low, want.interval.high))
    bounds = estimate(pl.concat([one, two]), own(400), claim(contrast=CONTROL))
    exact = judged_difference(*arms, purpose="claim", design=design)
    assert limits(bounds) == (pytest.approx(exact.lower), pytest.approx(exact.upper))
    alone = pl.concat([one, judged(other.tolist(), CONTROL)])
    refused = estimate(alone, own(400), ask(contrast=CONTROL))
    assert limits(refused) == (None, None)
    assert "the control has no gold labels" in refused.reason


def test_gold_claims_cover_where_the_judge_alone_fails() -> None:
    covered = {"gold": 0, "judge": 0}
    for seed in range(60):
        scores, judge, _ = labelled(ARM, 0.1, 100 + seed, n=300)
        bounds = estimate(scores, own(300), claim())
        covered["gold"] += bounds.lower <= 0.1 <= bounds.upper  # type: ignore[operator]
        covered["judge"] += proportions.lower_bound(int(judge.sum()), 300) <= 0.1
    assert covered["gold"] >= 52
    assert covered["judge"] <= 20


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"items": "clusters"}, "share clusters"),
        ({"weights": True}, "unequal weight"),
        ({"hole": True}, "no judge's score"),
        ({"ask": {"population": "bank", "bank_size": 900}}, "a part of the bank only"),
        ({"ask": {"about": "method"}}, "a method's runs"),
        ({"runs": True, "ask": {"about": "method"}}, "a method's runs"),
    ],
)
@pytest.mark.parametrize("purpose", ["describe", "claim"])
def test_gold_labels_that_no_method_can_use(purpose: Any, changes: dict[str, Any], says: str) -> None:
    scores, _judge, _gold = labelled(ARM, 0.25, 4)
    items = item_table([f"c{j // 4}" for j in range(400)]) if "items" in changes else own(400)
    if "weights" in changes:
        scores = scores.with_columns(weight=pl.when(pl.col("item") < "i00200").then(2.0).otherwise(1.0))
    if "hole" in changes:
        first_judged = (pl.col("item") == "i00000") & (pl.col("scorer_kind") == "judge")
        scores = scores.with_columns(value=pl.when(first_judged).then(None).otherwise(pl.col("value")))
    if "runs" in changes:
        scores = pl.concat([scores, scores.with_columns(replicate=pl.lit(1, dtype=pl.Int32))])
    found = estimate(scores, items, claim(purpose=purpose, **changes.get("ask", {})))
    assert limits(found) == (None, None)
    assert says in found.reason + found.next_step
    assert found.next_step


def test_gold_labels_carry_no_claim_that_is_looked_at_early() -> None:
    scores, _judge, _gold = labelled(ARM, 0.25, 4)
    found = estimate(scores, own(400), claim(stopping="sequential"))
    assert limits(found) == (None, None)
    assert "every look" in found.reason
    assert found.next_step == "stopping='fixed'"


def test_on_a_bank_clusters_of_judged_items_do_not_matter() -> None:
    scores, _judge, _gold = labelled(ARM, 0.25, 4)
    shared = item_table([f"c{j // 4}" for j in range(400)])
    found, alone = (estimate(scores, items, claim(population="bank")) for items in (shared, own(400)))
    assert limits(found) == limits(alone)
    assert found.lower is not None


def test_gold_labels_that_do_not_match_the_judges_answers_are_an_error() -> None:
    people = judged([1.0], kind="human", ids=[5])
    with pytest.raises(MeasurementUndefined, match="the same answers"):
        estimate(pl.concat([judged([1.0] * 5), people]), own(9), ask())
    twice = pl.concat([judged([1.0] * 9), judged([1.0] * 9, epoch=1), people])
    with pytest.raises(MeasurementUndefined, match="the same answers"):
        estimate(twice, own(9), ask())
    with pytest.raises(MeasurementUndefined, match="without a value"):
        estimate(pl.concat([judged([1.0] * 9), judged([None], kind="human", ids=[5])]), own(9), ask())
    with pytest.raises(MeasurementUndefined, match="two scores"):
        estimate(pl.concat([judged([1.0] * 9), judged([1.0], kind="program", ids=[5]), people]), own(9), ask())


# --- estimands that contradict themselves ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"bank_size": 50}, "isn't a bank"),
        ({"bank_size": 50, "population": "traffic"}, "isn't a bank"),
        ({"bank_size": 5, "population": "bank"}, "more items were asked"),
        ({"bank_size": -1, "population": "bank"}, "more items were asked"),
        ({"purpose": "claim", "confidence": None}, "needs a confidence"),
        ({"purpose": "claim", "confidence": 1.0}, "confidence must lie"),
        ({"level": 0.0}, "level must lie"),
        ({"crossed": "topic", "about": "method"}, "at once"),
        ({"crossed": "topic"}, "don't say their topic"),
    ],
)
def test_contradictions_raise(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(MeasurementUndefined) as error:
        estimate(score_table(ARM, [1.0, 0.0] * 10), own(20), ask(**changes))
    assert says in str(error.value)


def test_an_index_is_cut_for_the_estimands_own_unit() -> None:
    items = item_table([f"c{j // 4}" for j in range(40)])
    scores = score_table(ARM, [1.0, 0.0, 0.0, 1.0] * 10)
    found = estimate(scores, index_items(items, "item"), ask(unit="item"))
    assert found.num_clusters == 40
    assert found == estimate(scores, items, ask(unit="item"))
    want = clustered.aggregate([1.0, 0.0, 0.0, 1.0] * 10, np.arange(40) // 4)
    assert estimate(scores, items, ask()).value == want.mean
