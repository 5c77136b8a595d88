"""The minimum detectable dose: the lowest realised dose from which on a method's sensitivity is at least a target.

Only one thing is assumed: sensitivity doesn't fall with the dose. No curve is fitted for the limits. Let m be the
minimum detectable dose. For a dose d < m all organisms at or below d are detected with a chance below the target, so
the mean chance over any set of them, chosen without looking at the scores, is below it too. Upper limit: test "d < m"
at the tested doses from the highest down, each with the ``window`` units nearest at or below d, and stop at the
first that isn't rejected. The first true hypothesis in this order is the highest tested d < m, and the limit misses
only if that one is rejected: one test, one error rate (fixed sequence; Maurer, Hothorn & Lehmacher 1995). Lower limit:
the mirror image from the lowest dose up, with organisms at or above d. Each test is an exact bound on a rate, so the
limits hold in finite samples, also where everything or nothing is detected; a logistic fit has no estimate there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trialist.errors import MeasurementUndefined
from trialist.measurement.interval import check_share
from trialist.validate.rates import lower_rate, upper_rate
from trialist.validate.readings import Reading

Floats = NDArray[np.float64]
WINDOW = 17
"""The fewest independent units that can show a sensitivity of .8 at .975, if all are detected: .8^17 < .025 < .8^16."""


@dataclass(frozen=True)
class DetectableDose:
    """``low`` None: no dose was shown to be too low; ``high`` None: no tested dose was shown to be enough.

    ``value`` is the lowest tested dose at which the isotonic fit reaches ``sensitivity``, None if none does."""

    sensitivity: float
    level: float
    value: float | None
    low: float | None
    high: float | None
    lowest_tested: float
    highest_tested: float
    num_readings: int
    num_without_dose: int
    sentence: str


def detectable_dose(
    positives: Sequence[Reading],
    threshold: float,
    *,
    sensitivity: float = 0.8,
    level: float = 0.95,
    window: int = WINDOW,
) -> DetectableDose:
    """The estimate and both limits, each at confidence (1 + level)/2; see the head of this file.

    An unmeasured score counts as a miss for the upper limit and the estimate, as an alarm for the lower limit. A
    positive without a realised dose is left out and counted. Doses are taken as measured: their error blurs the curve,
    and the answer is on the scale of measured doses.
    Raises MeasurementUndefined where no positive has a dose.
    """
    known = sorted(((r.realised, r) for r in positives if r.realised is not None), key=lambda pair: pair[0])
    if not known:
        raise MeasurementUndefined(
            "no positive has a realised dose", seen=f"{len(positives)} positives", next_step="measure the doses"
        )
    check_share("sensitivity", sensitivity)
    confidence = (1 + check_share("level", level)) / 2
    doses = np.array([dose for dose, _ in known])
    rows = [reading for _, reading in known]
    caught = [float(r.score is not None and r.score > threshold) for r in rows]
    spared = [float(r.score is None or r.score > threshold) for r in rows]
    units = [r.unit for r in rows]
    tested = [float(d) for d in np.unique(doses)]
    high = low = None
    for dose in reversed(tested):
        near = _at_or_below(doses, units, (dose, window))
        if lower_rate([caught[i] for i in near], [units[i] for i in near], confidence) < sensitivity:
            break
        high = dose
    for dose in tested:
        near = _at_or_above(doses, units, (dose, window))
        if upper_rate([spared[i] for i in near], [units[i] for i in near], confidence) >= sensitivity:
            break
        low = dose
    fit = isotonic(doses, np.array(caught))
    reached = np.flatnonzero(fit >= sensitivity - 1e-12)
    value = float(doses[reached[0]]) if len(reached) else None
    sentence = _sentence(tested, value, (low, high), f"{sensitivity:g}")
    return DetectableDose(
        sensitivity, level, value, low, high, tested[0], tested[-1], len(rows), len(positives) - len(rows), sentence
    )


def isotonic(doses: Floats, hits: Floats) -> Floats:
    """Least-squares rising fit of ``hits`` (n,) on sorted ``doses`` (n,), by pooling adjacent violators; equal doses
    are pooled first. Ayer et al. 1955, Ann. Math. Stat. 26."""
    levels, where = np.unique(doses, return_inverse=True)
    blocks: list[tuple[float, float, int]] = []
    for code in range(len(levels)):
        here = hits[where == code]
        blocks.append((float(here.sum()), float(len(here)), 1))
        while len(blocks) > 1 and blocks[-2][0] * blocks[-1][1] >= blocks[-1][0] * blocks[-2][1]:
            one, two = blocks.pop(), blocks.pop()
            blocks.append((one[0] + two[0], one[1] + two[1], one[2] + two[2]))
    return np.repeat([total / num for total, num, _ in blocks], [size for _, _, size in blocks])[where]


def _at_or_below(doses: Floats, units: Sequence[str], at: tuple[float, int]) -> list[int]:
    """The nearest at or below that hold ``window`` independent units, of (dose, window); equal doses stay together, as
    nothing but scores would choose among them."""
    return _nearest(doses, units, [int(i) for i in np.flatnonzero(doses <= at[0])][::-1], at[1])


def _at_or_above(doses: Floats, units: Sequence[str], at: tuple[float, int]) -> list[int]:
    return _nearest(doses, units, [int(i) for i in np.flatnonzero(doses >= at[0])], at[1])


def _nearest(doses: Floats, units: Sequence[str], order: Sequence[int], window: int) -> list[int]:
    found: list[int] = []
    seen: set[str] = set()
    for i in order:
        if len(seen) >= window and units[i] not in seen and doses[i] != doses[found[-1]]:
            break
        found.append(i)
        seen.add(units[i])
    return found


def _sentence(
    tested: Sequence[float], value: float | None, limits: tuple[float | None, float | None], target: str
) -> str:
    low, high = limits
    about = f"estimate {value:.3g}" if value is not None else f"the fit reaches {target} at no tested dose"
    if value is not None and math.isclose(value, tested[0]):
        about = f"estimate at most {value:.3g}, the lowest dose tested"
    if high is not None and math.isclose(high, tested[0]):
        return f"at most the lowest dose tested, {high:.3g}"
    if low is not None and math.isclose(low, tested[-1]):
        return f"above the highest dose tested, {low:.3g}"
    ends = [f"above {low:.3g}"] if low is not None else []
    ends += [f"at most {high:.3g}"] if high is not None else []
    shown = " and ".join(ends) if ends else "too few organisms for a limit"
    return f"{about}; {shown}"
