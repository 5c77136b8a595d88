"""Bands that hold a survival curve at all times of a range at once, where ``lifetimes.pointwise`` holds it at one.

``equal_precision`` describes (asymptotic, censoring allowed); ``dkw_band`` is guaranteed at every n (no censoring
before its horizon).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from trialist.errors import MeasurementUndefined
from trialist.measurement.interval import check_share
from trialist.measurement.lifetimes import KaplanMeier, Lifetimes

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Band:
    """Limits ``low`` and ``high`` (J,) from each of ``times`` (J,) until the next; it says nothing before the first or
    from ``until`` on."""

    times: Floats
    low: Floats
    high: Floats
    until: float


def equal_precision(curve: KaplanMeier, level: float = 0.95) -> Band:
    """Nair's equal-precision band from the first event to the last one with S > 0, on the log(-log) scale:

        S^exp(+- c SE / (S ln S)),  P(sup over [a, b] of |B(u)| / sqrt(u (1 - u)) > c) = 1 - level,

    B a Brownian bridge, a and b the values of n s2 / (1 + n s2) at both ends, s2 Greenwood's sum. The tail is
    4 phi(c) / c + phi(c) (c - 1/c) ln(b (1 - a) / (a (1 - b))) (Miller & Siegmund 1982), good for levels of .9 and up.
    Nair 1984, Technometrics 26. Raises MeasurementUndefined without an event before S reaches 0.
    """
    if check_share("level", level) < 0.8:
        raise MeasurementUndefined("the tail of the band's statistic", seen=f"level {level}", allowed="0.8 or more")
    used = curve.survival > 0
    if not used.any():
        raise MeasurementUndefined(
            "a band needs an event time at which someone is left", seen=f"{len(curve.times)} event times",
            next_step="use dkw_band, or survival_at for one time",
        )  # fmt: skip
    s, error = curve.survival[used], curve.standard_error[used]
    spread = len(curve.data.times) * (error / s) ** 2
    c = critical_value(float(np.log(spread[-1] / spread[0])), level)
    power = np.exp(c * error / (-s * np.log(s)))
    until = curve.last if used.all() else float(curve.times[~used][0])
    return Band(curve.times[used], s**power, s ** (1 / power), until)


def critical_value(log_odds: float, level: float) -> float:
    """The c of ``equal_precision``; ``log_odds`` = ln(b (1 - a) / (a (1 - b))), 0 for a single time."""

    def excess(c: float) -> float:
        density = math.exp(-c * c / 2) / math.sqrt(2 * math.pi)
        return 4 * density / c + density * (c - 1 / c) * log_odds - (1 - level)

    return float(brentq(excess, 1.0, 40.0))


def dkw_band(data: Lifetimes, horizon: float, level: float = 0.95) -> Band:
    """Empirical survival +- sqrt(ln(2 / (1 - level)) / (2 n)) on [0, horizon), all times at once, at every n.

    The Dvoretzky-Kiefer-Wolfowitz inequality with Massart's constant (Ann. Probab. 18, 1990), for any distribution.
    Raises MeasurementUndefined where a subject was censored before ``horizon``.
    """
    early = ~data.seen & (data.times < horizon)
    if not horizon > 0 or bool(early.any()):
        raise MeasurementUndefined(
            "this band needs everyone followed up to the horizon",
            seen=f"horizon {horizon:g}, {int(early.sum())} censored before it",
            next_step="take a horizon at or below the first censored time, or equal_precision",
        )  # fmt: skip
    half = math.sqrt(math.log(2 / (1 - check_share("level", level))) / (2 * len(data.times)))
    inner = np.unique(data.times[data.seen & (data.times < horizon)])
    times = np.concatenate([[0.0], inner])
    share = (data.times[None, :] > times[:, None]).mean(axis=1)
    return Band(times, np.maximum(share - half, 0.0), np.minimum(share + half, 1.0), horizon)
