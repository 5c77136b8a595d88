"""Censored recovery: at which dose does an attack bring back a share of what the control has?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl

from trialist.errors import MeasurementUndefined
from trialist.measurement import betting, clustered
from trialist.measurement.interval import check_share
from trialist.measurement.metrics import Metric
from trialist.measurement.reading import read
from trialist.measurement.sample import Sample
from trialist.records import Cell, Recovery


@dataclass(frozen=True)
class RecoveryEstimand:
    """``arm`` and ``control`` under the same ``threat`` at the same ``doses`` (rising; 0 is no threat).

    The target at each dose is ``share`` of the control's mean at that dose, so that what the attack does to the control
    is not taken for recovery. ``level`` is the probability that no dose is labelled wrongly.
    """

    outcome: str
    metric: Metric
    arm: str
    control: str
    threat: str
    doses: Sequence[float]
    share: float = 0.5
    level: float = 0.95
    replicate: int = 0
    control_replicate: int = 0
    attack_run: int = 0
    stratum: str | None = None


@dataclass(frozen=True)
class Bracket:
    after: float | None
    by: float | None
    state: Literal["recovered", "not within", "never below", "undecided"]


def recovery(scores: pl.DataFrame, items: pl.DataFrame, estimand: RecoveryEstimand) -> Recovery:
    """The doses between which the arm reaches the target.

    Per dose and cluster, the contrast is a_c - share * c_c, below 0 while the arm is below the target. A dose is *shown
    below* if the betting upper bound of its mean is under 0, *shown to have reached it* if the lower bound is at least
    0, each at error (1 - level) / number of doses. At one dose only one of the two statements can be wrong, so by
    Bonferroni all of them hold with probability ``level`` at least. Missing answers are at the worst for each bound;
    a dose without scored pairs is undecided.
    Raises MeasurementUndefined for a metric that isn't a mean with finite bounds, and for doses that don't rise.
    """
    doses = tuple(float(dose) for dose in estimand.doses)
    if not doses or list(doses) != sorted(set(doses)) or doses[0] < 0:
        raise MeasurementUndefined("doses must rise", seen=str(list(doses)), allowed="for example [0, 1, 4, 16, 64]")
    check_share("share", estimand.share)
    if not (estimand.metric.is_mean and np.isfinite([estimand.metric.low, estimand.metric.high]).all()):
        raise MeasurementUndefined(
            f"recovery of '{estimand.metric.name}' has no guaranteed method", allowed="the mean of one bounded measure"
        )
    confidence = 1 - (1 - check_share("level", estimand.level)) / len(doses)
    bounds = [_bounds(scores, items, estimand, dose, confidence) for dose in doses]
    found = bracket(doses, [b[0] for b in bounds], [b[1] for b in bounds])
    return Recovery(
        outcome=estimand.outcome,
        arm=estimand.arm,
        threat=estimand.threat,
        share=estimand.share,
        after=found.after,
        by=found.by,
        last_dose=doses[-1],
        level=estimand.level,
        method=f"betting bounds over clusters, arm minus {estimand.share:g} of the control at equal dose, "
        f"Bonferroni over {len(doses)} doses (Waudby-Smith & Ramdas 2024)",
        state=found.state,
        replicate=estimand.replicate,
    )


def bracket(doses: Sequence[float], lower: Sequence[float], upper: Sequence[float]) -> Bracket:
    """From bounds on arm minus target at each dose to the bracket (after, by].

    ``by``: the first dose shown to have reached the target. ``after``: the last dose before it (of all, if there is
    none) shown to be below. *never below*: reached at the first dose already. *not within*: shown below at the last
    dose and reached at none.
    """
    reached = [dose for dose, bound in zip(doses, lower, strict=True) if bound >= 0]
    by = reached[0] if reached else None
    below = [dose for dose, bound in zip(doses, upper, strict=True) if bound < 0 and (by is None or dose < by)]
    after = below[-1] if below else None
    if by is not None:
        return Bracket(after, by, "never below" if by == doses[0] else "recovered")
    return Bracket(after, None, "not within" if after == doses[-1] else "undecided")


def _bounds(
    scores: pl.DataFrame, items: pl.DataFrame, estimand: RecoveryEstimand, dose: float, confidence: float
) -> tuple[float, float]:
    """One-sided bounds on the mean of arm minus share * control at one dose."""
    place = (estimand.threat, estimand.attack_run, dose)
    arm = Cell.make(estimand.arm, estimand.replicate, *place)
    control = Cell.make(estimand.control, estimand.control_replicate, *place)
    metric, share = estimand.metric, estimand.share
    low, high = metric.low - share * metric.high, metric.high - share * metric.low
    sample = read(scores, items, metric=metric, cell=arm, contrast=control, stratum=estimand.stratum)
    if not sample.scored.any() or not sample.plain:
        return low, high
    below, above = (_contrast(sample, share, fill) for fill in (low, high))
    return (
        betting.lower_mean(below.means, below.sizes, low=low, high=high, confidence=confidence),
        betting.upper_mean(above.means, above.sizes, low=low, high=high, confidence=confidence),
    )


def _contrast(sample: Sample, share: float, fill: float) -> clustered.Clusters:
    """Cluster means of arm minus share * control, missing pairs at ``fill``."""
    contrast = sample.values[:, 0] - share * sample.values[:, 1]
    return clustered.aggregate(np.where(sample.scored, contrast, fill), sample.cluster, sample.weights[:, 0])
