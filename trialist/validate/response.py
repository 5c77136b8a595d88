"""Dose-response: slope of the score on the realised dose, rank correlation, and share of variance explained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trialist.errors import MeasurementUndefined
from trialist.measurement.clustered import jackknife
from trialist.measurement.interval import Interval
from trialist.validate.readings import Reading, independent

Floats = NDArray[np.float64]
MIN_UNITS = 5
MIN_RELIABILITY = 0.5
CORRECTED = "corrected for the stated errors of the doses"
PLAIN = "not corrected for error in the doses: the slope is drawn towards 0"


@dataclass(frozen=True)
class Response:
    """``reliability`` is the share of the variance of measured doses that isn't error; None where no errors are
    stated. ``tau_p_value`` is two-sided for "no association", None where units repeat."""

    slope: float
    interval: Interval
    method: str
    reliability: float | None
    r_squared: float | None
    tau: float | None
    tau_p_value: float | None
    num_readings: int
    num_units: int
    num_left_out: int


def response(readings: Sequence[Reading], *, level: float = 0.95) -> Response:
    """Slope S_xy / (S_xx - mean of realised_se^2), over readings with a score and a realised dose.

    x is the true dose plus an error of known variance, independent of the score given the dose; the subtraction makes
    the slope consistent (Fuller 1987, Measurement Error Models, section 1.2; errors may differ in variance). Where a
    ``realised_se`` is missing nothing is subtracted, and ``method`` says that the slope is drawn towards 0. The
    interval is the delete-one-unit jackknife with t; at few units it covers less than ``level``. R^2 is the squared
    correlation with measured doses. Kendall's tau-b has scipy's p-value, which needs independent readings.

    Raises MeasurementUndefined for fewer than five units, doses that don't differ, doses that are mostly error
    (reliability below 1/2), and scores on an exact line (an interval of no width).
    """
    used = [(r, r.realised, r.score) for r in readings if r.realised is not None and r.score is not None]
    units = [r.unit for r, _, _ in used]
    if len(set(units)) < MIN_UNITS:
        raise MeasurementUndefined(
            "a dose-response needs organisms with a score and a realised dose",
            seen=f"{len(set(units))} independent units",
            allowed=f"{MIN_UNITS} or more",
        )
    x, y = (np.array([row[i] for row in used], dtype=np.float64) for i in (1, 2))
    x0, y0 = x - x.mean(), y - y.mean()
    spread = float((x0**2).mean())
    if spread <= 1e-24 * max(1.0, float(np.abs(x).max()) ** 2):
        raise MeasurementUndefined("all realised doses are equal", seen=f"{x[0]:g}", next_step="build more doses")
    errors = [r.realised_se for r, _, _ in used if r.realised_se is not None]
    noise = np.array(errors) ** 2 if len(errors) == len(used) else np.zeros(len(used))
    reliability = 1 - float(noise.mean()) / spread
    if reliability < MIN_RELIABILITY:
        raise MeasurementUndefined(
            "the doses differ by little more than their errors",
            seen=f"reliability {reliability:.2f}",
            allowed=f"{MIN_RELIABILITY:g} or more",
            next_step="measure the doses with more items, or build doses further apart",
        )
    columns = np.stack([x0, y0, x0 * y0, x0**2, noise], axis=1)
    found = jackknife(columns, np.array(units), _slope, level=level)
    if found.interval.width <= 1e-12 * max(1.0, abs(found.value)):
        raise MeasurementUndefined(
            "the scores lie on a line without scatter", seen=f"slope {found.value:g}, standard error 0"
        )
    tau, p_value = _tau(x, y)
    return Response(
        slope=found.value,
        interval=found.interval,
        method=CORRECTED if len(errors) == len(used) else PLAIN,
        reliability=reliability if len(errors) == len(used) else None,
        r_squared=float((x0 * y0).mean() ** 2 / (spread * float((y0**2).mean()))) if y0.any() else None,
        tau=tau,
        tau_p_value=p_value if independent([r for r, _, _ in used]) else None,
        num_readings=len(used),
        num_units=len(set(units)),
        num_left_out=len(readings) - len(used),
    )


def _slope(means: Floats) -> Floats:
    x, y, xy, xx, noise = np.moveaxis(means, -1, 0)
    return (xy - x * y) / (xx - x * x - noise)


def _tau(x: Floats, y: Floats) -> tuple[float | None, float | None]:
    import scipy.stats

    if len(np.unique(y)) < 2:
        return None, None
    statistics: Any = scipy.stats
    found = statistics.kendalltau(x, y)
    return float(found.statistic), float(found.pvalue)
