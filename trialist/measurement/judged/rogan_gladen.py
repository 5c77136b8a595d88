"""A binary judge's flag rate corrected for its known errors (Rogan-Gladen), with a smoothed interval. Describes only.

With flag rate p over n judged items, specificity q0 from m0 gold negatives and sensitivity q1 from m1 gold positives:

    theta = (p + q0 - 1) / (q0 + q1 - 1)

Interval (Lee et al. 2025, arXiv 2511.21140): z the normal quantile, p~ = (n p + z^2/2) / (n + z^2), n~ = n + z^2,
q~ = (m q + 1) / (m + 2), m~ = m + 2, theta~ from these,

    shift = 2 z^2 (-(1 - theta~) q0~(1 - q0~)/m0~ + theta~ q1~(1 - q1~)/m1~)
    SE = sqrt(p~(1 - p~)/n~ + (1 - theta~)^2 q0~(1 - q0~)/m0~ + theta~^2 q1~(1 - q1~)/m1~) / (q0~ + q1~ - 1)
    theta~ + shift +- z SE, cut to [0, 1].

Assumes that the judge's two error rates are the same on the judged items as on the calibration items. A shift of the
population of items breaks that, and no interval shows it; so no claim may rest on this. The interval is wide when
J = q0 + q1 - 1 is small and undefined at J <= 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from trialist.errors import MeasurementUndefined
from trialist.measurement.interval import Interval, check_count, normal_quantile
from trialist.measurement.judged.items import JudgedItems

WEAK = 0.3
"""Below this J the correction divides by so little that the interval says next to nothing."""


@dataclass(frozen=True)
class Correct:
    """``num_right`` of ``num_gold`` gold items of one class were judged right."""

    num_right: float
    num_gold: float

    @property
    def share(self) -> float:
        return self.num_right / self.num_gold


@dataclass(frozen=True)
class RoganGladen:
    value: float
    interval: Interval
    informedness: float
    warnings: tuple[str, ...]


def corrected_rate(items: JudgedItems, *, level: float = 0.95) -> RoganGladen:
    """``rogan_gladen`` of the unlabelled items' flag rate (flagged: at or above the middle of the scale), with the gold
    items as calibration: two disjoint samples, as the formula takes them to be. For a simple random gold sample.

    Raises MeasurementUndefined for graded labels, no unlabelled item, and as ``rogan_gladen`` does.
    """
    if items.graded or items.num_gold == items.num_judged:
        raise MeasurementUndefined(
            "a corrected rate needs binary gold labels, and judged items without one",
            seen=f"graded = {items.graded}, {items.num_judged - items.num_gold} unlabelled items",
        )
    positive, right = items.labels == items.high, ~items.misses
    flagged = items.unlabelled >= (items.low + items.high) / 2
    return rogan_gladen(
        int(flagged.sum()),
        len(flagged),
        negatives=Correct(int(right[~positive].sum()), int((~positive).sum())),
        positives=Correct(int(right[positive].sum()), int(positive.sum())),
        level=level,
    )


def rogan_gladen(
    num_flagged: float, num_judged: float, *, negatives: Correct, positives: Correct, level: float = 0.95
) -> RoganGladen:
    """Corrected rate and interval.

    Raises MeasurementUndefined for impossible counts, for a class without gold labels, for J <= 0, and where the
    interval, cut to [0, 1], has no width: the judge then flags less (or more) than its calibration allows at any rate.
    """
    check_count(num_flagged, num_judged)
    for each in (negatives, positives):
        check_count(each.num_right, each.num_gold)
    p, q0, q1 = num_flagged / num_judged, negatives.share, positives.share
    z2 = normal_quantile(level) ** 2
    n, m0, m1 = num_judged + z2, negatives.num_gold + 2, positives.num_gold + 2
    p_, q0_, q1_ = (num_flagged + z2 / 2) / n, (negatives.num_right + 1) / m0, (positives.num_right + 1) / m1
    raw, smooth = q0 + q1 - 1, q0_ + q1_ - 1
    if raw <= 0 or smooth <= 0:
        raise MeasurementUndefined(
            "the judge doesn't tell the classes apart, so its flag rate says nothing about the true rate",
            seen=f"sensitivity {q1:g}, specificity {q0:g}, J = {raw:g} ({smooth:g} smoothed)",
            allowed="J = sensitivity + specificity - 1 > 0",
            next_step="use another judge, or the gold labels alone",
        )
    theta = (p_ + q0_ - 1) / smooth
    v0, v1 = q0_ * (1 - q0_) / m0, q1_ * (1 - q1_) / m1
    shift = 2 * z2 * (-(1 - theta) * v0 + theta * v1)
    half = math.sqrt(z2 * (p_ * (1 - p_) / n + (1 - theta) ** 2 * v0 + theta**2 * v1)) / smooth
    low, high = max(0.0, theta + shift - half), min(1.0, theta + shift + half)
    if low >= high:
        raise MeasurementUndefined(
            "the judge's flag rate isn't possible with its calibrated error rates",
            seen=f"flag rate {p:g}, sensitivity {q1:g}, specificity {q0:g}",
            next_step="calibrate the judge on a random sample of these items",
        )
    warnings = (f"weak judge: J = {raw:.2f} is below {WEAK}",) if raw < WEAK else ()
    return RoganGladen(min(1.0, max(0.0, (p + q0 - 1) / raw)), Interval(low, high), raw, warnings)
