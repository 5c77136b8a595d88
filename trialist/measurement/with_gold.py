"""A sample of judge's scores with people's labels on some of its items -> what people would find on all of them.

The labels are taken as a simple random sample of the judged items; ``judged`` has the methods. On a fixed bank that is
all that is assumed; of a process the items have to be independent draws.
"""

from __future__ import annotations

import numpy as np

from trialist.errors import MeasurementUndefined
from trialist.measurement.choose import Bank, Choice, Population, Purpose
from trialist.measurement.interval import Interval
from trialist.measurement.judged import choose, difference
from trialist.measurement.sample import Sample
from trialist.measurement.uncertainty import Uncertainty, refused

CITATION = "Angelopoulos et al. 2023; Waudby-Smith & Ramdas 2024"


def with_gold(
    sample: Sample, population: Population, bank: Bank | None, *, purpose: Purpose, level: float
) -> Uncertainty:
    """The mean gold label of a plain sample's items, or the difference of two cells' on the same items: an interval at
    ``level``, or one-sided bounds that hold with it. Refused with the reason where ``judged`` has no method."""
    prefix = "no bounds: " if purpose == "claim" else "no interval: "
    refusal = _refusal(sample, bank)
    if refusal is not None:
        return refused(refusal, prefix)
    try:
        found = _judged(sample, population, purpose=purpose, level=level)
    except MeasurementUndefined as undefined:
        problem = undefined.problems[0]
        return refused(Choice(None, problem.message, problem.next_step), prefix)
    interval = found.interval
    if found.lower is not None and found.upper is not None:
        interval = Interval(found.lower, found.upper)
    why = f"a judge's scores with {found.num_gold} gold labels, taken as a simple random sample of its items"
    why += f"; {found.why}" if purpose == "describe" else ""
    return Uncertainty(
        found.method, CITATION, interval, why=why, value=found.value,
        warnings=(*found.warnings, f"corrected by gold labels: the judge alone says {found.judge_rate:.3g}"),
    )  # fmt: skip


def _judged(sample: Sample, population: Population, *, purpose: Purpose, level: float) -> choose.Judged:
    assert sample.gold is not None
    low, high = _range(sample)
    design = choose.GoldDesign(
        "bank" if population == "bank" else "superpopulation", low=low, high=high, graded=not sample.gold_binary
    )
    if not sample.paired:
        return choose.judged_estimate(
            sample.values[:, 0], sample.gold[:, 0], purpose=purpose, design=design, level=level
        )
    arms = (difference.JudgedArm(sample.values[:, k], sample.gold[:, k]) for k in (0, 1))
    return difference.judged_difference(*arms, purpose=purpose, design=design, level=level)


def _range(sample: Sample) -> tuple[float, float]:
    """The scale of one score; the metric of a pair has the scale of its difference."""
    ends = [row[0] for row in sample.metric.extremes]
    return min(ends), max(ends)


def _refusal(sample: Sample, bank: Bank | None) -> Choice | None:
    if sample.gold is None:
        return Choice(None, "gold labels over a method's runs have no method here", "about='artefact'")
    if not sample.scored.all():
        lost = int((~sample.scored).sum())
        return Choice(None, f"{lost} items have no judge's score", "missing='as low' or 'as high'")
    if not sample.equal_weights:
        return Choice(None, "judged items of unequal weight have no method here", "weights of 1")
    if bank is not None and bank.sampled < bank.size:
        return Choice(None, "the judge scored a part of the bank only", "let the judge score all its items")
    if bank is None and not (sample.independent and sample.second is None):
        return Choice(
            None, "judged items that share clusters have no method here",
            "population='bank': what people would find on exactly these items",
        )  # fmt: skip
    if not np.isfinite(_range(sample)).all():
        return Choice(None, "judged scores need finite bounds", "give the metric its low and high")
    return None
