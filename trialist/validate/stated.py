"""Whether the standard errors that a method states are right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtri

from trialist.errors import MeasurementUndefined
from trialist.measurement.interval import Interval, check_share, normal_quantile
from trialist.validate.rates import lower_rate, upper_rate
from trialist.validate.readings import Reading, independent

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Stated:
    """``ratio`` is the observed variance over the stated one: 1 is right, above 1 is overconfident. ``covered`` of
    ``num_readings`` intervals hold the truth; None against nulls, where no truth is known."""

    kind: str
    ratio: float
    ratio_interval: Interval
    covered: int | None
    coverage: Interval | None
    num_readings: int
    sentence: str


def against_truth(readings: Sequence[Reading], *, level: float = 0.95) -> Stated:
    """z = (score - truth)/se: the ratio is mean z^2, and n mean z^2 is chi-square with n degrees of freedom if errors
    are normal and unbiased with the stated se. Coverage is the share with |z| <= 1.96, its interval exact (clustered
    where units repeat; the ratio's interval is for independent readings, so it is refused there).

    Raises MeasurementUndefined for fewer than two such readings, errors of 0, repeated units, or no spread.
    """
    rows = [(r, r.score, r.truth, r.se) for r in readings]
    full = [(r, s, t, e) for r, s, t, e in rows if s is not None and t is not None and e is not None]
    _check([r for r, _, _, _ in full], [e for _, _, _, e in full], "a score, its se and the truth")
    z = np.array([(s - t) / e for _, s, t, e in full])
    ratio = float((z**2).mean())
    limits = _variance_interval(ratio, len(z), level)
    hits = [float(abs(v) <= normal_quantile(0.95)) for v in z]
    units, both = [r.unit for r, _, _, _ in full], (1 + level) / 2
    coverage = Interval(lower_rate(hits, units, both), upper_rate(hits, units, both))
    sentence = _verdict(limits, "its errors against the truth")
    return Stated("truth", ratio, limits, int(sum(hits)), coverage, len(z), sentence)


def against_nulls(nulls: Sequence[Reading], *, level: float = 0.95) -> Stated:
    """The variance of scores between nulls over the mean of se^2; (n - 1) times it is chi-square with n - 1 degrees of
    freedom if scores are normal with that variance.

    Nulls differ by their seeds alone, so the spread between them is what a new organism varies by. A ratio above 1
    means that the stated error is that of the artefact at hand, and says nothing about the next one.
    Raises MeasurementUndefined as ``against_truth`` does.
    """
    full = [(r, r.score, r.se) for r in nulls]
    used = [(r, s, e) for r, s, e in full if s is not None and e is not None]
    _check([r for r, _, _ in used], [e for _, _, e in used], "a score and its se")
    scores, errors = np.array([s for _, s, _ in used]), np.array([e for _, _, e in used])
    ratio = float(scores.var(ddof=1) / (errors**2).mean())
    limits = _variance_interval(ratio, len(scores) - 1, level)
    sentence = _verdict(limits, "the spread between nulls of other seeds")
    if limits.low > 1:
        sentence += "; it is about the artefact at hand only, not about another training run"
    return Stated("nulls", ratio, limits, None, None, len(scores), sentence)


def _check(rows: Sequence[Reading], errors: Sequence[float], needed: str) -> None:
    if len(rows) < 2:
        raise MeasurementUndefined(
            f"judging stated errors needs readings with {needed}", seen=f"{len(rows)}", allowed="2 or more"
        )
    if min(errors) <= 0:
        raise MeasurementUndefined("a stated error is 0", seen=str(min(errors)), allowed="above 0")
    if not independent(rows):
        raise MeasurementUndefined(
            "the chi-square interval needs independent readings",
            seen=f"{len(rows)} readings of {len({r.unit for r in rows})} units",
            next_step="give one reading of each group",
        )


def _variance_interval(ratio: float, degrees: int, level: float) -> Interval:
    if ratio <= 0:
        raise MeasurementUndefined("all scores are tied: no variance to compare with the stated one", seen="0")
    tail = (1 - check_share("level", level)) / 2
    return Interval(*(float(degrees * ratio / chdtri(degrees, p)) for p in (tail, 1 - tail)))


def _verdict(limits: Interval, what: str) -> str:
    if limits.low > 1:
        return f"the stated error is smaller than {what}"
    if limits.high < 1:
        return f"the stated error is larger than {what}"
    return f"the stated error isn't shown to differ from {what}"
