"""Many outcomes at once: adjusted p-values, e-values, and which family of comparisons needs which correction.

| family | error that is controlled | method | assumes |
|---|---|---|---|
| ``promotion`` | a wrong PROMOTE | none | every claim must pass |
| ``claims`` | any wrong statement among them (family-wise) | Holm | nothing |
| ``screen`` | share of wrong findings (false discovery rate) | Benjamini-Hochberg | independence or PRDS |
| ``dependent screen`` | the same | Benjamini-Yekutieli | nothing |
| ``sequential screen`` | the same, with e-values that were watched while they grew | e-BH | nothing |

A promotion is an intersection-union test: "all claims hold" is accepted only where each is shown at its own level
alpha. If any one of them is false, PROMOTE needs that one to be shown wrongly, which has probability at most alpha,
however many the claims are and however they depend (Berger 1982, Technometrics 24). Its p-value is the largest of the
single ones. This covers PROMOTE alone. Statements about single claims drawn from the same table ("this outcome
improved") are a family of ``claims``. A rule that blocks when any one claim FAILS errs more often the more claims it
has: it is a union-intersection test, and its p-values for FAIL are a family of ``claims`` too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import logsumexp

from trialist.errors import MeasurementUndefined
from trialist.measurement.interval import check_share

Floats = NDArray[np.float64]
FamilyKind = Literal["promotion", "claims", "screen", "dependent screen", "sequential screen"]


@dataclass(frozen=True)
class Adjusted:
    """``adjusted`` (m,): the smallest level at which each hypothesis is rejected. ``family_p_value``: of "every null
    is true" for families of claims and screens, of "at least one null is true" for a promotion."""

    adjusted: Floats
    family_p_value: float
    method: str
    controls: str

    def rejected(self, alpha: float) -> NDArray[np.bool_]:
        return self.adjusted <= check_share("alpha", alpha)


@dataclass(frozen=True)
class Family:
    """Hypotheses that are judged together, registered with their kind before the data (table above)."""

    name: str
    kind: FamilyKind

    def adjust(self, p_values: ArrayLike) -> Adjusted:
        """Adjusted p-values (m,) of this family's ``p_values`` (m,).

        A sequential screen takes e-values instead: ``e_benjamini_hochberg``. Raises MeasurementUndefined for that
        kind, for an unknown one, for no p-values, and for values that are NaN or outside [0, 1].
        """
        p = check_p_values(p_values)
        if self.kind == "promotion":
            return Adjusted(p, float(p.max()), "none (intersection-union test)", "probability of a wrong promotion")
        if self.kind not in _RULES:
            raise MeasurementUndefined(
                f"family '{self.name}' has no adjustment of p-values",
                seen=str(self.kind),
                allowed=f"promotion, {', '.join(_RULES)}",
                next_step="a sequential screen takes e-values: e_benjamini_hochberg",
            )
        method, controls, function = _RULES[self.kind]
        adjusted = function(p)
        return Adjusted(adjusted, float(adjusted.min()), method, controls)


def bonferroni(p_values: ArrayLike) -> Floats:
    """min(1, m p_i): controls the family-wise error under any dependence."""
    p = check_p_values(p_values)
    return np.minimum(1.0, len(p) * p)


def holm(p_values: ArrayLike) -> Floats:
    """max_{j <= i} min(1, (m - j + 1) p_(j)): family-wise error under any dependence, never above Bonferroni.

    Holm 1979, Scand. J. Stat. 6. It is the closed test whose local tests are Bonferroni's.
    """
    p = check_p_values(p_values)
    order = np.argsort(p, kind="stable")
    factors = np.arange(len(p), 0, -1)
    return _back(np.maximum.accumulate(np.minimum(1.0, factors * p[order])), order)


def hochberg(p_values: ArrayLike) -> Floats:
    """min_{j >= i} (m - j + 1) p_(j): never above Holm, but only where Simes' inequality holds.

    Family-wise error under independence or MTP2 dependence, not in general: two-sided tests of outcomes that move
    against each other can break it. No family of ours uses it. Hochberg 1988, Biometrika 75; Sarkar 1998.
    """
    p = check_p_values(p_values)
    order = np.argsort(p, kind="stable")
    return _back(_from_above(np.arange(len(p), 0, -1) * p[order]), order)


def benjamini_hochberg(p_values: ArrayLike) -> Floats:
    """min_{j >= i} m p_(j) / j: false discovery rate under independence or positive regression dependence (PRDS).

    Benjamini & Hochberg 1995, J. R. Stat. Soc. B 57; Benjamini & Yekutieli 2001 for PRDS.
    """
    p = check_p_values(p_values)
    order = np.argsort(p, kind="stable")
    return _back(_from_above(len(p) * p[order] / np.arange(1, len(p) + 1)), order)


def benjamini_yekutieli(p_values: ArrayLike) -> Floats:
    """Benjamini-Hochberg times sum_{j <= m} 1/j: false discovery rate under any dependence.

    Benjamini & Yekutieli 2001, Ann. Stat. 29, theorem 1.3.
    """
    p = check_p_values(p_values)
    order = np.argsort(p, kind="stable")
    harmonic = float((1 / np.arange(1, len(p) + 1)).sum())
    return _back(_from_above(harmonic * len(p) * p[order] / np.arange(1, len(p) + 1)), order)


# --- e-values --------------------------------------------------------------------------------------------


def e_benjamini_hochberg(log_e_values: ArrayLike, alpha: float) -> NDArray[np.bool_]:
    """e-BH: reject the k* largest e-values, k* = max{k: e_(k) >= m / (alpha k)} with e_(1) the largest.

    The false discovery rate is at most alpha m_0 / m under any dependence, m_0 the number of true nulls. Takes
    log e-values (m,), since capitals overflow; -inf is e = 0. An e-value that is a supermartingale stopped at any time
    still is one, so the screen may be looked at while it runs.
    Wang & Ramdas 2022, J. R. Stat. Soc. B 84. Raises MeasurementUndefined for none or NaN.
    """
    return e_adjusted(log_e_values) <= check_share("alpha", alpha)


def e_adjusted(log_e_values: ArrayLike) -> Floats:
    """The smallest alpha at which e-BH rejects each: min(1, min_{j >= i} m / (j e_(j))), (m,)."""
    log_e = _check_log_e(log_e_values)
    order = np.argsort(-log_e, kind="stable")
    m = len(log_e)
    logs = math.log(m) - np.log(np.arange(1, m + 1)) - log_e[order]
    return _back(np.exp(np.minimum.accumulate(np.minimum(0.0, logs)[::-1])[::-1]), order)


def merge_log_e(log_e_values: ArrayLike) -> float:
    """log of the mean of e-values of one null: an e-value again, however they depend (Vovk & Wang 2021)."""
    log_e = _check_log_e(log_e_values)
    return float(logsumexp(log_e) - math.log(len(log_e)))


def p_of_log_e(log_e_values: ArrayLike) -> Floats:
    """min(1, 1/e): a p-value by Markov's inequality. No other function of e alone is one and smaller (Vovk & Wang)."""
    return np.exp(-np.maximum(0.0, _check_log_e(log_e_values)))


def log_e_of_p(p_values: ArrayLike, kappa: float | None = None) -> Floats:
    """log e-values from p-values by a calibrator: a falling f with integral 1 over [0, 1], so E[f(P)] <= 1.

    With ``kappa`` in (0, 1) f(p) = kappa p^(kappa - 1); without it its mean over all kappa,
    f(p) = (1 - p + p ln p) / (p (ln p)^2), which needs no choice. Valid for any p-value that was valid at the time it
    was read. It doesn't make a fixed-n p-value safe to watch, and kappa is fixed before the data: the best kappa in
    hindsight gives no e-value. Costs much: p = .001 becomes e = 21 (without kappa), not 1000.
    Vovk & Wang 2021, Ann. Stat. 49.
    """
    p = check_p_values(p_values)
    with np.errstate(divide="ignore"):
        depth = -np.log(p)
    if kappa is not None:
        return math.log(check_share("kappa", kappa)) + (1 - kappa) * depth
    return np.array([_log_mean_calibrator(x) for x in depth])


def _log_mean_calibrator(depth: float) -> float:
    """log((e^L - 1 - L) / L^2) at L = -ln p, by its series where the subtraction would cancel."""
    if math.isinf(depth):
        return math.inf
    if depth < 0.01:
        return math.log(0.5 + depth / 6 + depth**2 / 24 + depth**3 / 120)
    return depth + math.log1p(-(1 + depth) * math.exp(-depth)) - 2 * math.log(depth)


def check_p_values(p_values: ArrayLike) -> Floats:
    """``p_values`` as (m,) floats; raises MeasurementUndefined for none, NaN or values outside [0, 1]."""
    p = np.asarray(p_values, dtype=np.float64)
    if p.ndim != 1 or len(p) == 0:
        raise MeasurementUndefined("an adjustment needs a list of p-values", seen=f"shape {p.shape}", allowed="(m,)")
    bad = ~((p >= 0) & (p <= 1))
    if bad.any():
        raise MeasurementUndefined(
            "a p-value is not a probability",
            seen=f"{p[bad][0]} at position {int(np.argmax(bad))}",
            allowed="0 <= p <= 1",
            next_step="leave no hypothesis out for want of a p-value: a test that can't be done has p = 1",
        )
    return p


def _check_log_e(log_e_values: ArrayLike) -> Floats:
    log_e = np.asarray(log_e_values, dtype=np.float64)
    if log_e.ndim != 1 or len(log_e) == 0 or np.isnan(log_e).any():
        raise MeasurementUndefined(
            "e-values are given as a list of their logarithms, none of them NaN",
            seen=f"shape {log_e.shape}, {int(np.isnan(log_e).sum())} NaN",
            allowed="(m,) in [-inf, inf]",
            next_step="a test that can't be done has e = 1, log e = 0",
        )
    return log_e


def _from_above(values: Floats) -> Floats:
    return np.minimum(1.0, np.minimum.accumulate(values[::-1])[::-1])


def _back(sorted_values: Floats, order: NDArray[np.intp]) -> Floats:
    result = np.empty_like(sorted_values)
    result[order] = sorted_values
    return result


_FWER, _FDR = "probability of any wrong finding", "expected share of wrong findings"
_RULES: Mapping[str, tuple[str, str, Callable[[ArrayLike], Floats]]] = {
    "claims": ("Holm", _FWER, holm),
    "screen": ("Benjamini-Hochberg", _FDR, benjamini_hochberg),
    "dependent screen": ("Benjamini-Yekutieli", _FDR, benjamini_yekutieli),
}
