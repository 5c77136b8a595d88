"""An estimand and its sample in words: what was estimated, and what a reader has to be warned of."""

from __future__ import annotations

from trialist.measurement.choose import FEW_CLUSTERS, Population
from trialist.measurement.interval import Interval
from trialist.measurement.metrics import Metric
from trialist.measurement.sample import Sample
from trialist.measurement.uncertainty import Uncertainty
from trialist.records import Cell

MUCH_MISSING = 0.01
UNTIL_DECIDED = "items were asked until the claims were decided: this interval takes their number as fixed"
OUTSIDE = (
    "the mean so far lies outside the bounds of an earlier look, which stand: the items may drift along their order"
)

POPULATIONS: dict[Population, str] = {
    "process": "",
    "bank": ", of this fixed bank of items",
    "traffic": ", weighted as in the declared traffic",
}


def sentence(
    metric: Metric, outcome: str, stratum: str | None, population: Population, cells: tuple[Cell, Cell | None],
    scope: str, sample: Sample,
) -> str:  # fmt: skip
    """What is estimated, over what, with which unit as the independent one."""
    name = f"mean {metric.name}" if metric.is_mean else metric.name
    where = f"the items of {outcome}"
    if stratum is not None:
        where += f" in stratum {stratum or '(none)'}"
    where += POPULATIONS[population]
    unit = "items" if len(sample.cluster) == 0 or sample.cluster.max() + 1 == len(sample.cluster) else "clusters"
    cell, contrast = cells
    whole = "" if scope == "this artefact" else ", all its runs"
    of = cell_words(cell, whole)
    what = f"{name} over {where}, {of}"
    if contrast is not None:
        what = f"difference in {name} over {where}, {of} minus {cell_words(contrast, whole)}"
    units = f"{unit} and training runs" if whole else unit
    return f"{what}; {units} are the independent units"


def cell_words(cell: Cell, whole: str = "") -> str:
    words = f"arm {cell.arm}"
    if cell.replicate and not whole:
        words += f" (replicate {cell.replicate})"
    if cell.threat:
        words += f" under {cell.threat} at dose {cell.dose:g}"
    if cell.attack_run and not whole:
        words += f" (attack run {cell.attack_run})"
    return words + whole


def warnings_of(sample: Sample, found: Uncertainty, worst: Interval | None, population: Population) -> list[str]:
    scored, attempted, clusters = int(sample.scored.sum()), len(sample.scored), sample.num_clusters
    warnings: list[str] = []
    if sample.num_unmatched:
        warnings.append(f"{sample.num_unmatched} items were attempted in only one of the two cells and are left out")
    if scored and clusters < FEW_CLUSTERS:
        warnings.append(f"fewer than {FEW_CLUSTERS} clusters ({clusters})")
    if found.effective_size is not None and clusters < scored:
        warnings.append(f"{scored} items in {clusters} clusters, effective n {found.effective_size:.0f}")
    if scored and sample.plain:
        warnings += _alike(sample)
    missing = attempted - scored
    if attempted and missing > MUCH_MISSING * attempted:
        cases = f": between {worst.low:.3g} and {worst.high:.3g} in the worst cases" if worst else ""
        warnings.append(f"{missing} of {attempted} items missing ({missing / attempted:.1%}){cases}")
    if not sample.equal_weights:
        text = "items have unequal weights; each cluster counts by its total weight"
        if population == "traffic":
            w = sample.weights[sample.scored, 0]
            text += f"; effective n {w.sum() ** 2 / (w**2).sum():.0f} by weight" if (w > 0).any() else ""
        warnings.append(text)
    elif population == "traffic" and attempted:
        warnings.append("the items of a traffic estimand all have the same weight: it says what the bank's mean says")
    warnings += found.warnings
    if sample.judged and found.value is None:
        warnings.append("scored by a judge, whose own error is not in this interval")
    return warnings


def _alike(sample: Sample) -> list[str]:
    units = sample.units()[sample.scored]
    if len(units) == 1 or not (units == units[0]).all():
        return []
    if sample.paired:
        return [f"all {len(units)} pairs differ by {units[0]:g}"]
    if not sample.binary:
        return [f"all {len(units)} items have the value {units[0]:g}"]
    return [f"all {len(units)} items {'pass' if units[0] == 1 else 'fail'} (value {units[0]:g})"]
