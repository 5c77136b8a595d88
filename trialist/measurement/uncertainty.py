"""What is known of a sample before a method is chosen: its design, its value, its worst cases."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from trialist.measurement import clustered
from trialist.measurement.choose import METHODS, Bank, Choice, Design, MethodName, Situation
from trialist.measurement.interval import Interval
from trialist.measurement.sample import Floats, Sample


@dataclass(frozen=True)
class Uncertainty:
    """``interval``: two-sided limits, or the lower and upper one-sided bounds; None with the ``reason`` and the
    ``next_step``. ``value``: the method's own, where it isn't the mean of the scores."""

    method: str
    citation: str = ""
    interval: Interval | None = None
    p_value: float | None = None
    effective_size: float | None = None
    degrees: float | None = None
    reason: str = ""
    next_step: str = ""
    why: str = ""
    shortfall: str = ""
    value: float | None = None
    warnings: tuple[str, ...] = ()


def refused(choice: Choice, prefix: str = "") -> Uncertainty:
    return Uncertainty("none", reason=prefix + choice.reason, next_step=choice.next_step)


def by_method(
    name: MethodName,
    interval: Interval | None,
    *,
    p_value: float | None = None,
    effective_size: float | None = None,
    degrees: float | None = None,
    text: str = "",
) -> Uncertainty:
    """A finding, with what the table of defaults says of its method."""
    method = METHODS[name]
    return Uncertainty(
        text or method.text, method.citation, interval, p_value, effective_size, degrees, why=method.why,
        shortfall=method.shortfall,
    )  # fmt: skip


def design_of(sample: Sample, bank: Bank | None = None) -> Design:
    """What ``choose`` needs to know; of a plain sample's scored items, or of all where none is scored."""
    num = len(np.unique(sample.cluster)) if len(sample.cluster) else 0
    crossed = sample.second is not None
    if not sample.plain:
        return Design("function", sample.independent, num, crossed=crossed, bank=bank)
    kind: Situation = "binary" if sample.binary else "graded"
    if sample.paired:
        kind = "paired binary" if sample.binary else "paired graded"
    finite = math.isfinite(sample.metric.low) and math.isfinite(sample.metric.high)
    if sample.binary:  # neither the share alike nor the skewness of binary values decides anything
        return Design(kind, sample.independent, num, finite, crossed=crossed, bank=bank)
    means = clustered.aggregate(sample.units(), sample.cluster, sample.weights[:, 0]).means
    return Design(
        kind, sample.independent, num, finite, _share_alike(means), _skewness(means), crossed=crossed, bank=bank
    )


def worst_cases(sample: Sample) -> Interval | None:
    """The metric with every missing item set to one of its extremes: lowest and highest over the extremes and over
    "missing at random" (the value itself). None where it is undefined or, with something missing, has no end."""
    weights = sample.weights
    if sample.scored.all():
        value = point(sample)
        return None if value is None else Interval(value, value)
    if not np.isfinite(sample.metric.extremes).all():
        return None
    filled = [np.where(sample.scored[:, None], sample.values, np.array(row)) for row in sample.metric.extremes]
    values = [_metric_of(sample, x, weights) for x in filled]
    if sample.scored.any():
        values.append(point(sample))
    defined = [value for value in values if value is not None]
    return Interval(min(defined), max(defined)) if defined else None


def point(sample: Sample) -> float | None:
    """The metric on the scored items; None where it is undefined."""
    if not sample.scored.any():
        return None
    if sample.scored.all():
        return _metric_of(sample, sample.values, sample.weights)
    return _metric_of(sample, sample.values[sample.scored], sample.weights[sample.scored])


def _metric_of(sample: Sample, values: Floats, weights: Floats) -> float | None:
    with np.errstate(all="ignore"):
        means = (values * weights).sum(axis=0) / weights.sum(axis=0)
        result = float(sample.metric.of(means))
    return result if math.isfinite(result) else None


def _share_alike(means: Floats) -> float:
    return float(np.unique(np.round(means, 12), return_counts=True)[1].max() / len(means))


def _skewness(means: Floats) -> float:
    """Sample skewness G = m3 / m2^(3/2); 0 where nothing varies."""
    centred = means - means.mean()
    spread = float((centred**2).mean())
    return 0.0 if spread <= 1e-24 else float((centred**3).mean()) / spread**1.5
