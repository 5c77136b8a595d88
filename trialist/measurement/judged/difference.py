"""Arm minus control, both judged, both with gold labels.

An intervention can change what a judge gets wrong (a terser model, another refusal style), so gold labels of the
control say nothing about the judge's error on the arm. Each arm needs its own; an arm without is refused.

Paired (one bank, both arms labelled on the same items): D_i = Y_i(arm) - Y_i(control) and the judge's own difference
are labels and scores in [-(high - low), high - low] like any other. PPI++ describes them where its guards hold;
otherwise, and for every claim, the betting bound with the judge. A label in one arm only isn't used.

Not paired: where both arms pass the guards, PPI++ in each, variances added, Welch's t; otherwise, and for every claim,
each arm's claim bounds at half the error, upper = U_arm - L_control.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from trialist.errors import MeasurementUndefined
from trialist.measurement.interval import Interval, check_share, t_quantile
from trialist.measurement.judged.choose import (
    GoldDesign,
    Judged,
    Purpose,
    claimed,
    ppi_refused,
    smoothed_ppi,
    warnings_of,
)
from trialist.measurement.judged.gold import Bounds, gold_bounds, judge_bounds
from trialist.measurement.judged.items import JudgedItems, judged_items
from trialist.measurement.judged.ppi import ppi_mean
from trialist.measurement.judged.weighted import weighted_bounds


@dataclass(frozen=True)
class JudgedArm:
    """``judge`` (N,) scores and ``gold`` (N,) labels, NaN where nobody labelled."""

    judge: ArrayLike
    gold: ArrayLike


def judged_difference(
    arm: JudgedArm,
    control: JudgedArm,
    *,
    purpose: Purpose = "describe",
    paired: bool = True,
    design: GoldDesign | None = None,
    level: float = 0.95,
) -> Judged:
    """Mean gold label of ``arm`` minus that of ``control``. ``paired``: row i is the same item in both.

    ``design.threshold`` isn't used. Raises MeasurementUndefined where an arm has no gold label, where paired arms have
    no item with a label in both, and as ``judged_estimate`` does.
    """
    design = replace(design or GoldDesign(), threshold=None)
    check_share("level", level)
    first, second = (_items(each, name, design) for each, name in ((arm, "arm"), (control, "control")))
    if purpose == "claim" and not design.random and design.inclusion is None:
        raise MeasurementUndefined(
            "no claim can rest on gold labels that aren't a random sample",
            next_step="label a random sample in each arm, or give the inclusion probabilities",
        )
    if paired:
        return _paired(first, second, purpose, design=design, level=level)
    return _unpaired(first, second, purpose, design=design, level=level)


def _paired(first: JudgedItems, second: JudgedItems, purpose: Purpose, *, design: GoldDesign, level: float) -> Judged:
    if first.num_judged != second.num_judged:
        raise MeasurementUndefined(
            "paired arms answer the same items", seen=f"{first.num_judged} and {second.num_judged} items"
        )
    gold = first.gold - second.gold
    if np.isnan(gold).all():
        raise MeasurementUndefined(
            "no item has a gold label in both arms",
            seen=f"{first.num_gold} and {second.num_gold} labels on different items",
            next_step="label the same items in both arms, or pass paired=False",
        )
    span = first.high - first.low
    net = JudgedItems(first.judge - second.judge, gold, -span, span, graded=True)
    refused = ppi_refused(net)
    value = float(net.labels.mean())
    if purpose == "describe" and not refused and design.random and design.inclusion is None:
        found = (
            ppi_mean(net, population=design.population)
            if first.graded
            else smoothed_ppi(net, design.population, num_arms=2)
        )
        method = f"PPI++ on paired differences, reliance {found.reliance:.2f}, t interval"
        return _result(first, second, net, design=design, given=(found.value, found.interval(level), method, "paired"))
    confidence = level if purpose == "claim" else (1 + level) / 2
    if design.inclusion is not None:
        bounds = weighted_bounds(net, design.inclusion, confidence=confidence)
    else:
        alone = design.population == "superpopulation" and net.num_judged < 2 * net.num_gold
        rule = gold_bounds if alone else judge_bounds
        bounds = rule(net, population=design.population, confidence=confidence, seed=design.seed)
    why = f"paired; {refused}" if refused and purpose == "describe" else "paired"
    shown = bounds if purpose == "claim" else Interval(bounds.lower, bounds.upper)
    value = min(max(value, bounds.lower), bounds.upper)
    return _result(first, second, net, design=design, given=(value, shown, bounds.method, why))


def _unpaired(first: JudgedItems, second: JudgedItems, purpose: Purpose, *, design: GoldDesign, level: float) -> Judged:
    refused = ppi_refused(first) or ppi_refused(second)
    if purpose == "describe" and not refused and design.random and design.inclusion is None:
        a, b = (smoothed_ppi(each, design.population) for each in (first, second))
        va, vb = a.standard_error**2, b.standard_error**2
        degrees = (va + vb) ** 2 / (va**2 / a.degrees + vb**2 / b.degrees)
        value, half, span = a.value - b.value, t_quantile(level, degrees) * math.sqrt(va + vb), first.high - first.low
        interval = Interval(max(-span, value - half), min(span, value + half))
        given = (value, interval, "PPI++ in each arm, Welch's t interval", "both arms pass the guards of PPI++")
        return _result(first, second, None, design=design, given=given)
    confidence = level if purpose == "claim" else (1 + level) / 2
    side = 1 - (1 - confidence) / 2
    a, b = claimed(first, design, side), claimed(second, design, side)
    bounds = Bounds(a.lower - b.upper, a.upper - b.lower, f"each arm at half the error: {a.method}")
    value = float(first.labels.mean() - second.labels.mean())
    value = min(max(value, bounds.lower), bounds.upper)
    shown = bounds if purpose == "claim" else Interval(bounds.lower, bounds.upper)
    why = f"not paired; {refused}" if refused and purpose == "describe" else "not paired"
    return _result(first, second, None, design=design, given=(value, shown, bounds.method, why))


def _items(arm: JudgedArm, name: str, design: GoldDesign) -> JudgedItems:
    gold = np.asarray(arm.gold, dtype=np.float64)
    if np.isnan(gold).all():
        raise MeasurementUndefined(
            f"the {name} has no gold labels: an intervention can change the judge's error",
            seen=f"{len(gold)} judged items of the {name}, 0 gold labels",
            allowed="gold labels in each arm",
            next_step=f"label a random sample of the {name}'s answers; labels of the other arm can't stand in",
        )
    return judged_items(arm.judge, gold, low=design.low, high=design.high, graded=design.graded)


def _result(
    first: JudgedItems,
    second: JudgedItems,
    net: JudgedItems | None,
    *,
    design: GoldDesign,
    given: tuple[float, Interval | Bounds, str, str],
) -> Judged:
    value, shown, method, why = given
    warnings = [
        f"{name}: {text}"
        for name, items in (("arm", first), ("control", second))
        for text in warnings_of(items, design)
    ]
    return Judged(
        value=value,
        interval=shown if isinstance(shown, Interval) else None,
        lower=shown.lower if isinstance(shown, Bounds) else None,
        upper=shown.upper if isinstance(shown, Bounds) else None,
        method=method,
        why=why,
        warnings=tuple(warnings),
        judge_rate=float(first.judge.mean() - second.judge.mean()),
        gold_rate=float(first.labels.mean() - second.labels.mean()),
        num_gold=net.num_gold if net is not None else first.num_gold + second.num_gold,
        num_judged=first.num_judged + second.num_judged,
    )
