"""How to spend a budget: items, epochs, templates (prompts), judge calls, human labels.

n items in each of P templates, K epochs of each, J judge calls on each answer, so N = n K P answers. The mean score has

    Var = s2_item / n + s2_prompt / P + s2_epoch / N + r2 / N            without human labels, r2 = s2_judge / J
    Var = s2_item / n + s2_prompt / P + s2_epoch / N + r2 (1/L - 1/N)    with L answers, drawn at random, labelled by
                                                                         people, r2 = s2_residual + s2_judge / J

The second line is prediction-powered: what a judge leaves unexplained, r2, is paid for by the labels alone, and nothing
of it is left once every answer is labelled. With items alone varying it is the power-tuned PPI of ``label_split``
(Angelopoulos, Duchi & Zrnic 2023, arXiv 2311.01453). The first line holds if the judge's score is itself the outcome;
it says nothing about the judge's bias.

``s2_prompt`` counts templates as draws from a population. One template hides that variance; it doesn't remove it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from trialist.errors import MeasurementUndefined
from trialist.measurement.planning.search import check_amount, check_num

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Components:
    """Variances, in squared units of the score. ``residual``: of a person's label given the judge's mean score;
    ``judge``: of one judge call around that mean."""

    item: float
    epoch: float = 0.0
    prompt: float = 0.0
    judge: float = 0.0
    residual: float = 0.0

    def __post_init__(self) -> None:
        for name in ("item", "epoch", "prompt", "judge", "residual"):
            check_amount(f"the variance '{name}'", getattr(self, name))


@dataclass(frozen=True)
class Costs:
    """In one unit of money or time: to have one more item, one more template, one answer, one judge call, one label."""

    item: float = 0.0
    answer: float = 1.0
    prompt: float = 0.0
    judge: float = 0.0
    label: float = 0.0

    def __post_init__(self) -> None:
        for name in ("item", "answer", "prompt", "judge", "label"):
            check_amount(f"the cost '{name}'", getattr(self, name))


@dataclass(frozen=True)
class Limits:
    """The most there is of each, as of a fixed bank of items. ``judge_calls`` 0: no judge; ``labels`` False: nobody."""

    items: int = 1_000_000
    prompts: int = 1
    epochs: int = 32
    judge_calls: int = 0
    labels: bool = False


@dataclass(frozen=True)
class Split:
    """A plan; ``parts`` of the variance in the order item, prompt, epoch, judge."""

    num_items: int
    num_prompts: int
    num_epochs: int
    num_judge_calls: int
    num_labels: int
    cost: float
    standard_error: float
    parts: tuple[float, float, float, float]


@dataclass(frozen=True)
class Naive:
    """A habit and what it buys for the same budget; ``times_variance`` is its variance over the best plan's."""

    name: str
    split: Split
    times_variance: float


def epochs_per_item(components: Components, costs: Costs) -> float:
    """K* = sqrt(c_item s2_epoch / (c_answer s2_item)): the best number of epochs, before rounding, for one template and
    no judge. Infinite where items don't vary; never below 1.

    From the minimum of (s2_item + s2_epoch / K)(c_item + K c_answer) over K (Cochran 1977, section 10.6).
    """
    if components.epoch == 0 or costs.item == 0:
        return 1.0
    below = costs.answer * components.item
    return max(1.0, math.sqrt(costs.item * components.epoch / below)) if below else math.inf


def optimal_split(budget: float, components: Components, costs: Costs, limits: Limits = Limits()) -> Split:
    """The whole numbers with the smallest variance that the budget buys.

    Templates, epochs and judge calls are all tried, up to their limits; for each, items are traded against labels where
    the closed form says and in the numbers around it. Raises MeasurementUndefined if the budget doesn't buy one item.
    """
    check_amount("the budget", budget, zero=False)
    _check(components, limits)
    best: Split | None = None
    judges = range(1, limits.judge_calls + 1) if limits.judge_calls else (0,)
    for prompts, epochs, calls in product(range(1, limits.prompts + 1), range(1, limits.epochs + 1), judges):
        for items in _candidates(budget, components, costs, limits, (prompts, epochs, calls)):
            found = _split(budget, components, costs, limits, (items, prompts, epochs, calls))
            if found and (best is None or found.standard_error < best.standard_error * (1 - 1e-12)):
                best = found
    if best is None:
        raise MeasurementUndefined(
            "the budget buys no measurement at all",
            seen=str(budget),
            allowed=f"at least {_least(costs, limits):g}: one item, one answer, one of the rest",
            next_step="raise the budget or lower the costs",
        )
    return best


def naive_plans(budget: float, components: Components, costs: Costs, limits: Limits = Limits()) -> tuple[Naive, ...]:
    """What habits make of the same budget, worst last. Habits that the limits don't allow are left out."""
    best = optimal_split(budget, components, costs, limits)
    judge = 1 if limits.judge_calls else 0
    few, many = min(5, limits.prompts), min(10, limits.epochs)
    habits = {"one template, one epoch": (1, 1, judge)}
    habits |= {f"one template, {many} epochs": (1, many, judge)} if many > 1 else {}
    habits |= {f"{few} templates, one epoch": (few, 1, judge)} if few > 1 else {}
    found: list[Naive] = []
    for name, shape in habits.items():
        per_item = _per_item(costs, *shape)
        rest = budget - costs.prompt * shape[0]
        every = costs.label * shape[0] * shape[1] if limits.labels else 0.0
        for words, share in (
            (("", 0.0),) if not limits.labels else ((", all labelled", 1.0), (", half spent on labels", 0.5))
        ):
            unit = per_item + every if share == 1.0 else per_item / (1 - share)
            items = limits.items if unit == 0 else min(limits.items, math.floor(rest / unit + 1e-9))
            made = _split(budget, components, costs, limits, (items, *shape)) if items >= 1 else None
            if made:
                found.append(Naive(name + words, made, (made.standard_error / best.standard_error) ** 2))
    return tuple(sorted(found, key=lambda naive: naive.times_variance))


@dataclass(frozen=True)
class LabelSplit:
    """``num_labels`` (n) answers get a label and a judge's score, ``num_unlabelled`` (N) a judge's score alone.

    ``effective``: labels without a judge that would give the same standard error; ``classical``: labels that the same
    budget buys without a judge.
    """

    num_labels: int
    num_unlabelled: int
    effective: float
    classical: int
    cost: float


def label_split(budget: float, correlation: float, *, label_cost: float = 1.0, judge_cost: float = 0.1) -> LabelSplit:
    """Labels and judge's scores for a mean, where the judge's score has ``correlation`` rho with the label.

    Variance relative to one label: (1 - rho^2) / n + rho^2 / (n + N), for the cost n c_label + (n + N) c_judge, so that
    n / (n + N) = sqrt((1 - rho^2) c_judge / (rho^2 c_label)), at most 1. The search around it is over whole numbers.
    The answers themselves are taken to exist. This is large-sample planning: at rare rates the interval of PPI isn't
    valid and no claim can rest on it (``docs/measurement/planning.md``).
    """
    check_amount("the budget", budget, zero=False)
    check_amount("the cost of a label", label_cost, zero=False)
    check_amount("the cost of a judge's score", judge_cost, zero=False)
    if not -1 < correlation < 1:
        raise MeasurementUndefined(
            "a correlation must lie between -1 and 1", seen=str(correlation), allowed="-1 < rho < 1",
            next_step="estimate it from answers that have both",
        )  # fmt: skip
    if budget < label_cost + judge_cost:
        raise MeasurementUndefined("the budget buys no label", seen=str(budget), allowed=f"{label_cost + judge_cost:g}")
    classical, square = math.floor(budget / label_cost), correlation**2
    most = math.floor(budget / (label_cost + judge_cost) + 1e-9)
    if square == 0:
        return LabelSplit(classical, 0, float(classical), classical, classical * label_cost)
    share = min(1.0, math.sqrt((1 - square) * judge_cost / (square * label_cost)))
    centre = round(budget * share / (share * label_cost + judge_cost))
    n = np.arange(max(1, centre - 50), min(most, centre + 50) + 1)
    total = np.floor((budget - n * label_cost) / judge_cost + 1e-9)
    effective = 1 / ((1 - square) / n + square / total)
    at = int(effective.argmax())
    if effective[at] <= classical:  # the judge costs more than it tells
        return LabelSplit(classical, 0, float(classical), classical, classical * label_cost)
    labels, scored = int(n[at]), int(total[at])
    cost = labels * label_cost + scored * judge_cost
    return LabelSplit(labels, scored - labels, float(effective[at]), classical, cost)


def _candidates(
    budget: float, components: Components, costs: Costs, limits: Limits, shape: tuple[int, int, int]
) -> Iterator[int]:
    """Numbers of items worth a try: as many as can be paid for, or around the best trade against labels."""
    prompts, epochs, calls = shape
    unit, rest = _per_item(costs, *shape), budget - costs.prompt * prompts
    answers = prompts * epochs
    most = limits.items if unit == 0 else min(limits.items, math.floor(rest / unit + 1e-9))
    if most < 1:
        return
    yield most
    if not limits.labels:
        return
    left = _residual(components, calls)
    slope = components.item + (components.epoch - left) / answers
    all_labelled = math.floor(rest / (unit + answers * costs.label) + 1e-9) if unit + costs.label else most
    tries = [all_labelled]
    if slope > 0 and unit > 0:
        tries.append(math.floor(rest / (unit + math.sqrt(left * unit * costs.label / slope))))
    for centre in tries:
        yield from range(max(1, centre - 6), min(most, centre + 6) + 1)


def _split(
    budget: float, components: Components, costs: Costs, limits: Limits, shape: tuple[int, int, int, int]
) -> Split | None:
    """The plan of this shape, what is left of the budget spent on labels; None where it can't be paid for."""
    items, prompts, epochs, calls = shape
    answers = items * prompts * epochs
    cost = costs.prompt * prompts + items * _per_item(costs, prompts, epochs, calls)
    labels, judged = 0, _residual(components, calls) / answers
    if limits.labels:
        labels = answers if costs.label == 0 else min(answers, math.floor((budget - cost) / costs.label + 1e-9))
        if labels < 1:
            return None
        judged = _residual(components, calls) * (1 / labels - 1 / answers)
        cost += labels * costs.label
    if cost > budget * (1 + 1e-9):
        return None
    parts = (components.item / items, components.prompt / prompts, components.epoch / answers, judged)
    return Split(items, prompts, epochs, calls, labels, cost, math.sqrt(sum(parts)), parts)


def _per_item(costs: Costs, prompts: int, epochs: int, calls: int) -> float:
    return costs.item + prompts * epochs * (costs.answer + calls * costs.judge)


def _residual(components: Components, calls: int) -> float:
    return components.residual + (components.judge / calls if calls else 0.0)


def _least(costs: Costs, limits: Limits) -> float:
    judge = 1 if limits.judge_calls else 0
    return costs.prompt + _per_item(costs, 1, 1, judge) + (costs.label if limits.labels else 0.0)


def _check(components: Components, limits: Limits) -> None:
    for name in ("items", "prompts", "epochs"):
        check_num(f"the limit of {name}", getattr(limits, name))
    check_num("the limit of judge calls", limits.judge_calls, 0)
    if sum((components.item, components.epoch, components.prompt)) == 0:
        raise MeasurementUndefined(
            "nothing varies, so every plan is as good", seen="variances of 0", allowed="at least one above 0",
            next_step="estimate the variances from a pilot run",
        )  # fmt: skip
    if limits.labels and not limits.judge_calls:
        raise MeasurementUndefined(
            "labels without a judge need no split", seen="judge_calls 0, labels True", allowed="judge_calls 1 or more",
            next_step="give the cost of a label as the cost of an answer",
        )  # fmt: skip
    if not limits.judge_calls and (components.judge or components.residual):
        raise MeasurementUndefined(
            "the variance of a judge without a judge",
            seen=f"judge {components.judge:g}, residual {components.residual:g}",
            next_step="set Limits(judge_calls=1) or more",
        )  # fmt: skip
    if components.residual and not limits.labels:
        raise MeasurementUndefined(
            "without labels nobody knows what the judge gets wrong", seen=f"residual {components.residual:g}",
            next_step="set Limits(labels=True), or residual 0 if the judge's score itself is the outcome",
        )  # fmt: skip
