"""What is to be estimated, and its estimate: score table in, one ``Estimate`` out."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import polars as pl

from trialist.errors import MeasurementUndefined
from trialist.measurement import replicated
from trialist.measurement.anytime import claim_bounds_anytime
from trialist.measurement.choose import Bank, Choice, Population
from trialist.measurement.claiming import claim_bounds
from trialist.measurement.describing import describe
from trialist.measurement.interval import Interval, check_share
from trialist.measurement.metrics import Metric
from trialist.measurement.reading import index_items, read
from trialist.measurement.sample import Sample
from trialist.measurement.score_table import ItemIndex, ScoreTable
from trialist.measurement.sentences import OUTSIDE, UNTIL_DECIDED, sentence, warnings_of
from trialist.measurement.uncertainty import Uncertainty, point, refused, worst_cases
from trialist.measurement.with_gold import with_gold
from trialist.records import Cell, Counts, Estimate, Side

About = Literal["artefact", "method"]
Sizes = Literal["may matter", "unrelated"]
MissingPolicy = Literal["worst", "as low", "as high", "dropped"]

OF_METHOD = ("method", "p_value", "reason", "next_step", "why", "shortfall", "citation")
"""What an estimate says as its method found it."""


@dataclass(frozen=True)
class Estimand:
    """``metric`` over the items of a stratum (None: all) of ``outcome`` in ``cell``, minus that in ``contrast``.

    What would be drawn anew if the study were repeated, and what stays:

    - ``population``: ``process``, whatever made the clusters of items (a super-population); ``bank``, these items and
      no others (``bank_size`` of them; None: the items of the table); ``traffic``, the process with each item weighted
      by its share of the traffic, in the scores' weights.
    - ``unit``: what is independent of each other: ``cluster``, ``item``, a column or a key of the items' metadata.
      Epochs are averaged within their item and never count as rows.
    - ``sizes``: whether large clusters may have other rates than small ones. ``may matter`` is safe and, for claims on
      clusters of very unequal size, wide; ``unrelated`` declares that size says nothing, and every cluster then counts
      alike in a claim's bounds.
    - ``crossed``: a second facet that cuts across the units, such as the template, over which the claim generalises.
    - ``about``: ``artefact``, the training run and attack run that ``cell`` names; ``method``, all runs of its arm in
      the table, as draws of what the method makes.
    - The judge is fixed; a judged score without gold labels carries no claim.

    ``missing``: ``worst``, left out of the value and at the worst in every bound that carries a claim; ``as low``,
    ``as high``: a missing answer counts as the metric's lowest or highest value; ``dropped``: left out, and then
    nothing may be claimed. ``describe`` asks for an interval at ``level``, ``claim`` for one-sided bounds at
    ``confidence``, with ``side`` the claim's side of its threshold. ``stopping``: ``fixed``, the number of items was
    decided before the data; ``sequential``, it was decided by what was seen, and bounds hold at every look
    (``anytime``); the rows of the item table then stand in the order in which items are asked.
    """

    outcome: str
    metric: Metric
    cell: Cell
    contrast: Cell | None = None
    stratum: str | None = None
    purpose: Literal["describe", "claim"] = "describe"
    level: float = 0.95
    confidence: float | None = None
    side: Side | None = None
    population: Population = "process"
    about: About = "artefact"
    unit: str = "cluster"
    sizes: Sizes = "may matter"
    crossed: str | None = None
    missing: MissingPolicy = "worst"
    bank_size: int | None = None
    stopping: Literal["fixed", "sequential"] = "fixed"


def estimate(
    scores: pl.DataFrame | ScoreTable,
    items: pl.DataFrame | ItemIndex,
    estimand: Estimand,
    answered: Collection[str] | None = None,
) -> Estimate:
    """The estimate by the default method for this design (``choose.DEFAULTS``).

    ``scores`` has SCORE_COLUMNS, of one evaluation, a null value meaning missing; ``items`` has ITEM_COLUMNS. Where
    many estimates share them, give ``index_items`` of the items and the ``ScoreTable`` of the scores. Attempted are the
    items with a row for every column of the metric (with a contrast: in both cells). ``answered`` are ids of items
    whose answers are ok (with a contrast: in both cells); None: the scored ones.
    Raises MeasurementUndefined for tables that no method can read (``reading.read``) and for an estimand that
    contradicts itself; a value, interval or bound that doesn't exist is None, with the reason.
    """
    _check(estimand)
    index = items if isinstance(items, ItemIndex) else index_items(items, estimand.unit, estimand.crossed)
    table = scores if isinstance(scores, ScoreTable) else ScoreTable(scores, index)
    found_samples = _samples(table, estimand)
    attempted = replicated.together(found_samples)
    counts = _counts(attempted, index, answered)
    samples = [_imputed(one, estimand) for one in found_samples]
    sample = replicated.together(samples)
    value = point(sample)
    found = _uncertainty(samples, sample, index, estimand, value, _bank(samples, index, estimand))
    worst = worst_cases(attempted) if counts.attempted else None
    if found.value is not None:  # gold labels corrected the judge: nothing is missing then
        value, worst = found.value, Interval(found.value, found.value)
    warnings = [*_left_out(table, counts, estimand), *warnings_of(sample, found, worst, estimand.population)]
    scope = "this artefact" if estimand.about == "artefact" else "this method"
    return Estimate(
        outcome=estimand.outcome,
        metric=estimand.metric.name,
        cell=estimand.cell,
        estimand=_sentence(estimand, scope, sample),
        counts=counts,
        num_clusters=sample.num_clusters,
        purpose=estimand.purpose,
        contrast=estimand.contrast,
        stratum=estimand.stratum or "",
        value=value,
        worst_low=worst.low if worst else None,
        worst_high=worst.high if worst else None,
        num_replicates=len(samples),
        scope=scope,
        warnings=(*warnings, *_of_stopping(estimand, found, value)),
        **{name: getattr(found, name) for name in OF_METHOD},
        **_limits(estimand, found.interval, value),
    )


def _sentence(estimand: Estimand, scope: str, sample: Sample) -> str:
    cells = (estimand.cell, estimand.contrast)
    return sentence(estimand.metric, estimand.outcome, estimand.stratum, estimand.population, cells, scope, sample)


def _check(estimand: Estimand) -> None:
    check_share("level", estimand.level)
    if estimand.purpose == "claim":
        if estimand.confidence is None:
            raise MeasurementUndefined("a claim needs a confidence", allowed="0 < confidence < 1")
        check_share("confidence", estimand.confidence)
    if estimand.crossed is not None and estimand.about == "method":
        raise MeasurementUndefined(
            "runs of a method and a crossed facet at once", seen=f"about method, crossed {estimand.crossed}",
            allowed="one facet that cuts across the units", next_step="about='artefact', or leave out crossed",
        )  # fmt: skip
    if estimand.bank_size is not None and estimand.stratum is not None:
        raise MeasurementUndefined(
            "the size of the whole bank says nothing of a stratum's", seen=f"bank_size {estimand.bank_size}",
            allowed="one of the two", next_step="leave out bank_size: the table's items are the bank then",
        )  # fmt: skip
    if estimand.bank_size is not None and estimand.population != "bank":
        raise MeasurementUndefined(
            "the size of a bank is given for a population that isn't a bank", seen=f"population {estimand.population}",
            allowed="bank", next_step="population='bank', or leave out bank_size",
        )  # fmt: skip


def _samples(table: ScoreTable, estimand: Estimand) -> list[Sample]:
    """One sample, or for a method one for each of its runs in the table."""
    pairs = [(estimand.cell, estimand.contrast)]
    if estimand.about == "method":
        pairs = replicated.runs(table.cells(), estimand.cell, estimand.contrast)
    return [
        read(table, table.index, metric=estimand.metric, cell=cell, contrast=contrast, stratum=estimand.stratum)
        for cell, contrast in pairs
    ]


def _imputed(sample: Sample, estimand: Estimand) -> Sample:
    if estimand.missing not in ("as low", "as high") or sample.scored.all():
        return sample
    filled = sample.filled(0 if estimand.missing == "as low" else 1) if sample.plain and not sample.paired else None
    if filled is None:
        raise MeasurementUndefined(
            f"missing answers can't count {estimand.missing} here", seen=f"metric {estimand.metric.name}",
            allowed="one cell, the mean of one measure with finite bounds", next_step="missing='worst'",
        )  # fmt: skip
    return filled


def _left_out(table: ScoreTable, counts: Counts, estimand: Estimand) -> list[str]:
    """Runs without a partner, and missing answers that a policy filled in."""
    said: list[str] = []
    if estimand.about == "method" and (lost := replicated.unmatched(table.cells(), estimand.cell, estimand.contrast)):
        said.append(f"{lost} runs have no run of the same number in the other arm and are left out")
    if counts.missing and estimand.missing in ("as low", "as high"):
        end = estimand.metric.low if estimand.missing == "as low" else estimand.metric.high
        said.append(f"{counts.missing} of {counts.attempted} answers are missing and count as {end:g}")
    return said


def _bank(samples: list[Sample], index: ItemIndex, estimand: Estimand) -> Bank | None:
    if estimand.population != "bank":
        return None
    size = len(index) if estimand.bank_size is None else estimand.bank_size
    if estimand.stratum is not None:
        size = (
            int((index.stratum == index.strata.index(estimand.stratum)).sum())
            if estimand.stratum in index.strata
            else 0
        )
    asked = [len(sample.ids) for sample in samples]
    if size < max(asked):
        raise MeasurementUndefined(
            "more items were asked than the bank holds", seen=f"{max(asked)} asked, bank_size {size}",
            allowed=f"{max(asked)} or more",
        )  # fmt: skip
    return Bank(size, min(asked), min(int(sample.num_epochs.min(initial=2**31)) for sample in samples))


def _uncertainty(
    samples: list[Sample],
    sample: Sample,
    index: ItemIndex,
    estimand: Estimand,
    value: float | None,
    bank: Bank | None,
) -> Uncertainty:
    if not len(sample.scored):
        return Uncertainty("none", reason="no items have been attempted here")
    if not sample.scored.any():
        return Uncertainty("none", reason=f"none of the {len(sample.scored)} attempted items could be scored")
    if not (sample.weights[sample.scored].sum(axis=0) > 0).all():
        return Uncertainty("none", reason="the scored items have no weight")
    if value is None:
        return Uncertainty("none", reason=f"{estimand.metric.name} is undefined on these scores")
    if any(one.gold is not None for one in samples) and sample.plain:
        return _with_gold(sample, estimand, bank)
    if estimand.confidence is None or estimand.purpose == "describe":
        if estimand.about == "method":
            return replicated.describe_runs(samples, sample, estimand.level, bank)
        return describe(sample, estimand.level, bank)
    refusal = _not_claimable(sample, estimand)
    if refusal is not None:
        return refused(refusal, "no bounds: ")
    if estimand.stopping == "sequential":
        return claim_bounds_anytime(sample, index, estimand.confidence)
    if estimand.about == "method":
        return replicated.claim_runs(samples, sample, estimand.confidence, bank)
    sample = sample.of_equal_clusters() if estimand.sizes == "unrelated" else sample
    return claim_bounds(sample, estimand.confidence, estimand.side, bank)


def _with_gold(sample: Sample, estimand: Estimand, bank: Bank | None) -> Uncertainty:
    level = estimand.level
    if estimand.purpose == "claim" and estimand.confidence is not None:
        level = estimand.confidence
        if estimand.stopping == "sequential":
            reason = "no bound that holds at every look exists here for a judge with gold labels"
            return refused(Choice(None, reason, "stopping='fixed'"), "no bounds: ")
    whole = sample if estimand.about == "artefact" else replace(sample, gold=None)
    return with_gold(whole, estimand.population, bank, purpose=estimand.purpose, level=level)


def _not_claimable(sample: Sample, estimand: Estimand) -> Choice | None:
    if estimand.missing == "dropped" and not sample.scored.all():
        return Choice(None, "missing answers were dropped, and who is missing may decide", "missing='worst'")
    if sample.judged:
        reason = "the scores are a judge's alone, and nothing here says how often it errs"
        return Choice(None, reason, "label a random sample by hand and use measurement.judged in each arm")
    if estimand.stopping == "sequential" and (estimand.about == "method" or estimand.population != "process"):
        what = "the runs of a method" if estimand.about == "method" else f"population {estimand.population}"
        reason = f"no bound that holds at every look exists here for {what}"
        return Choice(None, reason, "about='artefact' and population='process', or stopping='fixed'")
    return None


def _limits(estimand: Estimand, interval: Interval | None, value: float | None) -> dict[str, Any]:
    """The interval under the names its purpose gives it, moved outwards by rounding error at most, so that it holds
    the value to the last bit."""
    is_claim = estimand.purpose == "claim"
    low, high = ("lower", "upper") if is_claim else ("low", "high")
    stated: dict[str, Any] = {"confidence": estimand.confidence} if is_claim else {"level": estimand.level}
    if interval is None or value is None:
        return stated
    if is_claim and estimand.stopping == "sequential":
        return {**stated, low: interval.low, high: interval.high}  # what an earlier look refuted stays refuted
    return {**stated, low: min(interval.low, value), high: max(interval.high, value)}


def _of_stopping(estimand: Estimand, found: Uncertainty, value: float | None) -> list[str]:
    if estimand.stopping == "fixed" or found.interval is None or value is None:
        return []
    if estimand.purpose == "describe":
        return [UNTIL_DECIDED]
    return [] if found.interval.low <= value <= found.interval.high else [OUTSIDE]


def _counts(sample: Sample, index: ItemIndex, answered: Collection[str] | None) -> Counts:
    scored = int(sample.scored.sum())
    if answered is None:
        return Counts(len(sample.ids), scored, scored)
    known = pl.Series(list(answered), dtype=pl.String).cast(index.ids, strict=False).drop_nulls()
    return Counts(len(sample.ids), int(np.isin(sample.ids, known.to_physical().to_numpy()).sum()), scored)
