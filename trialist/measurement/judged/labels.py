"""How many gold labels to buy next, and which items to label.

Plans, not estimates: they take what is known now as if it were true. A claim needs a sample whose size was fixed before
its labels: counting the labels that the plan was made from, and then some more, is looking twice.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import bdtr

from trialist.errors import MeasurementUndefined
from trialist.measurement.interval import check_share, normal_quantile
from trialist.measurement.judged.items import Floats, JudgedItems, Population
from trialist.measurement.judged.ppi import ppi_mean
from trialist.measurement.proportions import num_runs_needed, upper_bound
from trialist.measurement.rare.strata import strata, upper_union

MAX_FAILURES = 2_000


@dataclass(frozen=True)
class WidthPlan:
    """Gold labels for a half-width, with the judge and without; None where the judge can't get there at any number."""

    num_alone: int
    num_with_judge: int | None
    reliance: float


def labels_for_width(
    items: JudgedItems, half_width: float, *, population: Population = "bank", level: float = 0.95
) -> WidthPlan:
    """Gold labels for an interval of +- ``half_width``, from the spreads in the labels at hand.

    Superpopulation: z^2 V / h^2 alone; with the judge the smallest n with Var(Y - lam f)/n + lam^2 Var(f)/(N - n) at
    most h^2/z^2. Bank: V (1 - n/N)/n at most h^2/z^2 in both. V is smoothed for binary labels, p~ = (k + 1)/(n + 2).
    Raises MeasurementUndefined as ``ppi_mean`` does, and for half_width <= 0.
    """
    if not half_width > 0:
        raise MeasurementUndefined("a half-width is positive", seen=str(half_width), allowed="above 0")
    found = ppi_mean(items, population=population)
    y, f, lam, total = items.labels, items.judged_labels, found.reliance, items.num_judged
    target = (half_width / normal_quantile(level)) ** 2
    residual, noise = float((y - lam * f).var(ddof=1)), lam**2 * float(items.judge.var(ddof=1))
    spread = float(y.var(ddof=1)) if items.graded else (items.high - items.low) ** 2 * _smoothed(items)
    if population == "bank":
        return WidthPlan(_bank_size(spread, target, total), _bank_size(residual, target, total), lam)
    alone = math.ceil(spread / target)
    n = np.arange(1, total)
    enough = residual / n + noise / (total - n) <= target
    return WidthPlan(alone, int(n[enough][0]) if enough.any() else None, lam)


@dataclass(frozen=True)
class ClaimPlan:
    """Fix ``num_gold`` labels; the claim passes with up to ``num_allowed`` events. ``power`` is the chance of that at
    the planned rate; ``power_twice`` at twice the rate: how much the plan leans on its guess."""

    num_gold: int
    num_allowed: int
    power: float
    power_twice: float


def labels_for_claim(rate: float, threshold: float, *, confidence: float = 0.95, power: float = 0.8) -> ClaimPlan:
    """Fewest gold labels whose Clopper-Pearson bound is below ``threshold`` with chance ``power`` at true ``rate``.

    For each number of allowed events a, the smallest n with P(Binomial(n, threshold) <= a) <= 1 - confidence; then the
    smallest a with P(Binomial(n, rate) <= a) >= power. Raises MeasurementUndefined unless 0 <= rate < threshold < 1,
    and where more than ``MAX_FAILURES`` events would be allowed: the rate is too close to the threshold.
    """
    check_share("threshold", threshold)
    check_share("power", power)
    if not 0 <= rate < threshold:
        raise MeasurementUndefined(
            "a claim 'rate below the threshold' can be planned for a rate below it only",
            seen=f"rate {rate}, threshold {threshold}",
            allowed="0 <= rate < threshold",
            next_step="plan for the rate you expect; at the threshold itself no number of labels is enough",
        )

    def power_of(allowed: int) -> tuple[int, float]:
        n = num_runs_needed(threshold, confidence, allowed)
        return n, float(bdtr(allowed, n, rate)) if rate > 0 else 1.0

    found = next((a for a in range(MAX_FAILURES) if power_of(a)[1] >= power), None)
    if found is None:
        raise MeasurementUndefined(
            "the rate is too close to the threshold for any affordable number of labels",
            seen=f"rate {rate}, threshold {threshold}: more than {MAX_FAILURES} allowed events",
            allowed="a rate well below the threshold",
        )
    n, chance = power_of(found)
    twice = min(2 * rate, 1.0)
    return ClaimPlan(n, found, chance, float(bdtr(found, n, twice)) if twice > 0 else 1.0)


@dataclass(frozen=True)
class Strata:
    """Strata of the judge's score. ``of`` (N,) is each item's stratum 0..H-1; ``sizes``, ``events`` and ``labelled``
    (H,) count items, gold events and gold labels."""

    of: NDArray[np.int64]
    sizes: tuple[int, ...]
    events: tuple[int, ...]
    labelled: tuple[int, ...]


def judge_strata(items: JudgedItems, cuts: Sequence[float]) -> Strata:
    """Strata between the rising ``cuts`` of the judge's score; a score at a cut belongs above it.

    For binary gold labels. Raises MeasurementUndefined for graded labels, cuts that don't rise, and empty strata.
    """
    edges = np.asarray(cuts, dtype=np.float64)
    if items.graded or len(edges) == 0 or not (np.diff(edges) > 0).all():
        raise MeasurementUndefined(
            "strata need binary gold labels and rising cuts", seen=f"graded = {items.graded}, cuts {list(cuts)}"
        )
    of = np.searchsorted(edges, items.judge, side="right").astype(np.int64)
    num = len(edges) + 1
    sizes, labelled = np.bincount(of, minlength=num), np.bincount(of[items.labelled], minlength=num)
    events = np.bincount(of[items.labelled][items.labels == items.high], minlength=num)
    if (sizes == 0).any():
        raise MeasurementUndefined("no item lies in one of the strata", seen=f"sizes {sizes}", next_step="fewer cuts")
    return Strata(of, *(tuple(int(x) for x in column) for column in (sizes, events, labelled)))


@dataclass(frozen=True)
class Allocation:
    """Gold labels per stratum, to be drawn at random within it; ``inclusion`` is each stratum's n_h / N_h, for
    ``GoldDesign(random=False, inclusion=...)``, where the pilot's labels don't count. ``gain`` is the variance of a
    uniform sample over that of this one, at equal numbers and at the strata's smoothed rates. ``uniform_upper`` and
    ``stratified_upper`` are exact 95% upper bounds if the counts come out as expected (rounded): the gain in variance
    isn't a gain in what can be claimed."""

    num_gold: tuple[int, ...]
    inclusion: tuple[float, ...]
    gain: float
    uniform_upper: float
    stratified_upper: float


def neyman_allocation(
    sizes: Sequence[int], events: Sequence[float], labelled: Sequence[float], *, num_gold: int
) -> Allocation:
    """Spread ``num_gold`` labels over strata of the judge's score.

    ``sizes`` (H,) items per stratum, ``events`` of ``labelled`` gold labels in each so far (a pilot; 0 of 0 is
    allowed). n_h in proportion to W_h s_h with s_h^2 = p~(1 - p~), p~ = (k + 1/2)/(n + 1): smoothing keeps a stratum
    without an event from getting no label (Neyman 1934, J. R. Stat. Soc. 97). Each gets at least 2 labels and at most
    its size.
    Raises MeasurementUndefined for fewer than 2 strata, empty strata, impossible counts, and num_gold below 2 a stratum
    or above the number of items.
    """
    size, k, n = (np.asarray(x, dtype=np.float64) for x in (sizes, events, labelled))
    _check_strata(size, k, n, num_gold)
    weights = size / size.sum()
    rates = (k + 0.5) / (n + 1)
    spread = np.sqrt(rates * (1 - rates))
    given = _spread_labels(weights * spread, size, num_gold)
    rate = float(weights @ rates)
    uniform = rate * (1 - rate) / num_gold
    stratified = float((weights**2 * spread**2 / given).sum())
    alone = upper_bound(min(num_gold, round(rate * num_gold)), num_gold)
    expected = np.minimum(np.round(rates * given), given)
    combined = upper_union(strata(expected, given, weights))
    inclusion = tuple(float(x) for x in given / size)
    return Allocation(tuple(int(x) for x in given), inclusion, uniform / stratified, alone, combined)


def neyman_gain(weights: ArrayLike, rates: ArrayLike) -> float:
    """Variance of a uniform sample over Neyman's at known rates: p(1 - p) / (sum_h W_h s_h)^2, p = sum_h W_h p_h."""
    w, p = np.asarray(weights, dtype=np.float64), np.asarray(rates, dtype=np.float64)
    if w.shape != p.shape or not math.isclose(float(w.sum()), 1.0, abs_tol=1e-9) or not ((p >= 0) & (p <= 1)).all():
        raise MeasurementUndefined("strata need weights that sum to 1 and rates in [0, 1]", seen=f"{w}, {p}")
    mean, spread = float(w @ p), float(w @ np.sqrt(p * (1 - p)))
    if spread <= 0:
        raise MeasurementUndefined("no stratum varies, so there is nothing to gain", seen=f"rates {p}")
    return mean * (1 - mean) / spread**2


def _smoothed(items: JudgedItems) -> float:
    p = (float((items.labels == items.high).sum()) + 1) / (items.num_gold + 2)
    return p * (1 - p)


def _bank_size(spread: float, target: float, total: int) -> int:
    """Smallest n with spread (1 - n/N)/n <= target."""
    return min(total, math.ceil(spread / (target + spread / total)))


def _check_strata(size: Floats, k: Floats, n: Floats, num_gold: int) -> None:
    if size.ndim != 1 or len(size) < 2 or k.shape != size.shape or n.shape != size.shape:
        raise MeasurementUndefined("an allocation needs two strata or more, each with its counts", seen=f"{size.shape}")
    if not ((size >= 2) & (k >= 0) & (k <= n) & (n <= size)).all():
        raise MeasurementUndefined("strata need 0 <= events <= labelled <= size and 2 items", seen=f"{size}, {k}, {n}")
    if not 2 * len(size) <= num_gold <= size.sum():
        raise MeasurementUndefined(
            "too few or too many labels for these strata",
            seen=str(num_gold),
            allowed=f"{2 * len(size)} to {int(size.sum())}",
        )


def _spread_labels(share: Floats, size: Floats, num_gold: int) -> NDArray[np.int64]:
    """Whole numbers in proportion to ``share``, each in [2, size]: one label at a time to where it is most due."""
    given = np.full(len(share), 2, dtype=np.int64)
    for _ in range(num_gold - int(given.sum())):
        due = np.where(given < size, share / given, -1.0)
        given[int(due.argmax())] += 1
    return given
