"""One mean from judge scores and gold labels: which method, and when there is none.

| purpose | gold sample | method |
|---|---|---|
| describe | ``MIN_CLASS`` labels of each class and ``MIN_MISSES`` judge errors, or more | smoothed PPI++, t interval |
| describe | fewer | exact two-sided interval from the gold labels alone |
| claim | fewer than ``MIN_EVENTS`` gold events expected at the claim's threshold | exact bounds, gold labels alone |
| claim | more, or no threshold given | better of exact gold bounds and judge betting bounds, half the error each |
| either | drawn with unequal known probabilities | Horvitz-Thompson betting bounds |

PPI++ is asymptotic and never carries a claim. Its two guards look at the labels, so their effect on coverage is
measured (``docs/measurement/judged.md``) and not proven. For binary labels its variance counts one judge error of each
kind that wasn't seen: with the guards alone coverage fell to .935 on our grid of settings, with that too it is .950.

The rule for claims looks at the threshold and at the number of gold labels only, both known before any label: the
guarantee stands. Few expected events make halving the error costlier (no event in n: from 3.0 / n to 3.7 / n) than what
a judge can save.

A judge's scores without gold labels estimate nothing and are refused.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from numpy.typing import ArrayLike

from trialist.errors import MeasurementUndefined
from trialist.measurement.interval import Interval, check_share
from trialist.measurement.judged.gold import Bounds, best_bounds, gold_bounds
from trialist.measurement.judged.items import JudgedItems, Population, correlation, informedness, judged_items
from trialist.measurement.judged.ppi import PredictionPowered, ppi_mean
from trialist.measurement.judged.rogan_gladen import WEAK
from trialist.measurement.judged.weighted import weighted_bounds, weighted_mean

Purpose = Literal["describe", "claim"]

MIN_CLASS = 10
MIN_MISSES = 5
MIN_GRADED = 50
MIN_EVENTS = 15
WEAK_CORRELATION = 0.2
FEW_GOLD = 50
"""Below this the coverage of the rule that describes wasn't measured."""


@dataclass(frozen=True)
class GoldDesign:
    """How the gold labels came about, declared before they were seen.

    ``random``: the gold items are a simple random sample of the judged ones. If not, ``inclusion`` (N,) holds each
    item's known probability of getting a label. ``graded``: labels may lie between ``low`` and ``high``.
    ``use_judge`` False keeps claims to the gold labels alone: for a judge known to be weak (correlation below .7).
    ``calibrated_version`` is the judge's version that the labels were checked for. ``threshold`` is the claim's.
    ``seed`` draws the orders of betting; it must not be the seed that drew the gold items.
    """

    population: Population = "bank"
    random: bool = True
    inclusion: ArrayLike | None = None
    judge_version: str = ""
    calibrated_version: str = ""
    threshold: float | None = None
    low: float = 0.0
    high: float = 1.0
    graded: bool = False
    use_judge: bool = True
    seed: int = 0


@dataclass(frozen=True)
class Judged:
    """``interval`` describes; ``lower`` and ``upper`` are one-sided bounds for a claim, each with its full confidence.
    Exactly one of the two is given. ``why`` says why this method; ``judge_rate`` is the judge's own mean over all items
    and never an estimate, ``gold_rate`` the mean of the gold labels."""

    value: float
    interval: Interval | None
    lower: float | None
    upper: float | None
    method: str
    why: str
    warnings: tuple[str, ...]
    judge_rate: float
    gold_rate: float
    num_gold: int
    num_judged: int


def judged_estimate(
    judge: ArrayLike,
    gold: ArrayLike,
    *,
    purpose: Purpose = "describe",
    design: GoldDesign | None = None,
    level: float = 0.95,
) -> Judged:
    """Estimate the mean gold label of all items. ``judge`` (N,) scores every item, ``gold`` (N,) is NaN where nobody
    labelled. ``level`` is the interval's level, or the confidence of each one-sided bound of a claim.

    Raises MeasurementUndefined without gold labels; for a claim on gold items that are neither a simple random sample
    nor drawn with known probabilities; where every item of a bank is labelled.
    """
    design = design or GoldDesign()
    check_share("level", level)
    items = judged_items(judge, gold, low=design.low, high=design.high, graded=design.graded)
    return estimate(items, purpose, design=design, level=level)


def estimate(items: JudgedItems, purpose: Purpose, *, design: GoldDesign, level: float) -> Judged:
    """``judged_estimate`` on checked items."""
    if design.inclusion is not None:
        return _weighted(items, purpose, design=design, level=level)
    if not design.random and purpose == "claim":
        raise MeasurementUndefined(
            "no claim can rest on gold labels that aren't a random sample",
            seen="gold items declared as not randomly sampled, without inclusion probabilities",
            allowed="a simple random sample, or a known inclusion probability above 0 for every item",
            next_step="label a random sample, or give the inclusion probabilities",
        )
    if purpose == "claim":
        return _claim(items, design, level)
    return _describe(items, design, level)


def ppi_refused(items: JudgedItems) -> str:
    """Why PPI++ may not describe these items; empty where it may."""
    y, middle = items.labels, (items.low + items.high) / 2
    above, below = int((y > middle).sum()), int((y < middle).sum())
    levels = {items.low, middle, items.high}
    if items.num_gold == items.num_judged:
        return "every item has a gold label"
    if items.graded and set(y.tolist()) <= levels:
        smaller = min(above + below, len(y) - above - below)
        what = f"{smaller} gold labels in the smaller of 'at the middle' and 'off the middle'"
    else:
        smaller = min(above, below)
        what = f"{smaller} gold labels in the smaller class"
        if items.graded and len(y) < MIN_GRADED:
            return f"{len(y)} graded gold labels, PPI++ needs {MIN_GRADED}"
    if smaller < MIN_CLASS:
        return f"{what}, PPI++ needs {MIN_CLASS}"
    misses = int(items.misses.sum())
    if misses < MIN_MISSES:
        return f"{misses} errors of the judge among the gold labels, PPI++ needs {MIN_MISSES}"
    return ""


def smoothed_ppi(items: JudgedItems, population: Population, *, num_arms: int = 1) -> PredictionPowered:
    """PPI++ with one unseen judge error of each kind, in each arm where the items are differences of two.

    For binary labels only: among graded ones an error of the whole scale isn't the next thing to expect.
    """
    if items.graded and num_arms == 1:
        return ppi_mean(items, population=population)
    # A difference has twice the scale: an error of one arm is half of it, so a quarter in the square, and two arms.
    return ppi_mean(items, population=population, pseudo_errors=1.0 if num_arms == 1 else 0.5)


def warnings_of(items: JudgedItems, design: GoldDesign) -> tuple[str, ...]:
    found: list[str] = []
    j, r = informedness(items), correlation(items)
    if j is not None and j < WEAK:
        found.append(f"weak judge: J = sensitivity + specificity - 1 = {j:.2f} is below {WEAK}")
    if r is not None and r < WEAK_CORRELATION:
        found.append(f"weak judge: correlation with gold {r:.2f} is below {WEAK_CORRELATION}")
    if r is None:
        found.append("the judge's quality is unknown: its scores or the gold labels don't vary in the gold sample")
    if design.judge_version != design.calibrated_version:
        found.append(
            f"judge version '{design.judge_version}' differs from the calibrated one '{design.calibrated_version}'"
        )
    if not design.random and design.inclusion is None:
        found.append("gold items were not randomly sampled: the interval speaks for items like the labelled ones only")
    if items.num_gold < FEW_GOLD:
        found.append(f"{items.num_gold} gold labels: the rule was measured with {FEW_GOLD} to 500")
    return tuple(found)


def _describe(items: JudgedItems, design: GoldDesign, level: float) -> Judged:
    refused = ppi_refused(items)
    if not refused and design.random:
        found = smoothed_ppi(items, design.population)
        why = f"{MIN_CLASS} gold labels or more of each class and {MIN_MISSES} judge errors or more"
        method = f"PPI++, leave-one-out power tuning, smoothed errors, reliance {found.reliance:.2f}, t interval"
        return _judged(items, design, value=found.value, shown=found.interval(level), method=method, why=why)
    why = refused or "the gold items aren't a random sample, so the judge's mean over all items can't correct them"
    both = gold_bounds(items, population=design.population, confidence=(1 + level) / 2, seed=design.seed)
    value = float(items.labels.mean())
    return _judged(items, design, value=value, shown=Interval(both.lower, both.upper), method=both.method, why=why)


def _claim(items: JudgedItems, design: GoldDesign, confidence: float) -> Judged:
    alone = _alone(items, design)
    rule = gold_bounds if alone else best_bounds
    bounds = rule(items, population=design.population, confidence=confidence, seed=design.seed)
    why = alone or "enough gold events are expected at the threshold for a judge to help"
    return _judged(items, design, value=float(items.labels.mean()), shown=bounds, method=bounds.method, why=why)


def _alone(items: JudgedItems, design: GoldDesign) -> str:
    """Why a claim rests on the gold labels alone. Looks at numbers known before the labels only."""
    if not design.use_judge:
        return "the design keeps the judge out of claims"
    if design.threshold is not None:
        share = (design.threshold - items.low) / (items.high - items.low)
        events = items.num_gold * max(0.0, min(share, 1 - share))
        if events < MIN_EVENTS:
            return f"{events:.1f} gold events expected at the threshold, fewer than {MIN_EVENTS}: a judge doesn't help"
    if design.population == "superpopulation" and items.num_judged < 2 * items.num_gold:
        return "fewer unlabelled items than gold items: no batch of judged items for each"
    return ""


def _weighted(items: JudgedItems, purpose: Purpose, *, design: GoldDesign, level: float) -> Judged:
    assert design.inclusion is not None
    bounds = weighted_bounds(items, design.inclusion, confidence=level if purpose == "claim" else (1 + level) / 2)
    value, why = weighted_mean(items, design.inclusion), "gold items drawn with unequal known probabilities"
    shown = bounds if purpose == "claim" else Interval(bounds.lower, bounds.upper)
    return _judged(items, design, value=value, shown=shown, method=bounds.method, why=why)


def _judged(
    items: JudgedItems, design: GoldDesign, *, value: float, shown: Interval | Bounds, method: str, why: str
) -> Judged:
    claim = shown if isinstance(shown, Bounds) else None
    if claim is not None:
        # The bounds may use the judge where the mean of the labels doesn't: keep the value between them.
        value = min(max(value, claim.lower), claim.upper)
    return Judged(
        value=value,
        interval=shown if isinstance(shown, Interval) else None,
        lower=None if claim is None else claim.lower,
        upper=None if claim is None else claim.upper,
        method=method,
        why=why,
        warnings=warnings_of(items, design),
        judge_rate=float(items.judge.mean()),
        gold_rate=float(items.labels.mean()),
        num_gold=items.num_gold,
        num_judged=items.num_judged,
    )


def claimed(items: JudgedItems, design: GoldDesign, confidence: float) -> Bounds:
    """Both one-sided bounds of a claim, without a threshold."""
    found = estimate(items, "claim", design=replace(design, threshold=None), level=confidence)
    assert found.lower is not None
    assert found.upper is not None
    return Bounds(found.lower, found.upper, found.method)
