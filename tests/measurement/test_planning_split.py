"""Budgets: brute force over all whole-number plans, the closed forms, published splits, simulation of the variance."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trialist.errors import MeasurementUndefined
from trialist.measurement.planning.split import (
    Components,
    Costs,
    Limits,
    epochs_per_item,
    label_split,
    naive_plans,
    optimal_split,
)


def brute(budget: float, components: Components, costs: Costs, limits: Limits) -> float:
    """Smallest standard error over every plan that the budget buys, straight from the formulas."""
    best = math.inf
    calls = range(1, limits.judge_calls + 1) if limits.judge_calls else (0,)
    for n, p, k, j in product(range(1, 200), range(1, limits.prompts + 1), range(1, limits.epochs + 1), calls):
        answers = n * p * k
        cost = costs.item * n + costs.prompt * p + answers * (costs.answer + j * costs.judge)
        if cost > budget:
            continue
        rest = components.residual + (components.judge / j if j else 0.0)
        judged = rest / answers
        if limits.labels:
            labels = min(answers, math.floor((budget - cost) / costs.label + 1e-9))
            if labels < 1:
                continue
            judged = rest * (1 / labels - 1 / answers)
        variance = components.item / n + components.prompt / p + components.epoch / answers + judged
        best = min(best, math.sqrt(variance))
    return best


@settings(max_examples=20)
@given(
    item=st.floats(0.01, 0.2), epoch=st.floats(0.0, 0.2), prompt=st.floats(0.0, 0.02), judge=st.floats(0.0, 0.1),
    residual=st.floats(0.0, 0.1), cost=st.floats(0.2, 3.0), label=st.floats(0.3, 3.0), labels=st.booleans(),
)  # fmt: skip
def test_no_plan_is_better(
    item: float, epoch: float, prompt: float, judge: float, residual: float, cost: float, label: float, labels: bool
) -> None:
    components = Components(item, epoch, prompt, judge, residual if labels else 0.0)
    costs = Costs(item=cost, answer=0.3, prompt=4.0, judge=0.1, label=label)
    limits = Limits(prompts=3, epochs=3, judge_calls=2, labels=labels)
    found = optimal_split(80.0, components, costs, limits)
    assert found.cost <= 80.0 * (1 + 1e-9)
    assert found.standard_error == pytest.approx(brute(80.0, components, costs, limits), rel=1e-9)
    assert found.standard_error == pytest.approx(math.sqrt(sum(found.parts)), rel=1e-12)


def test_epochs_follow_the_closed_form() -> None:
    components, costs = Components(0.02, 0.2), Costs(item=4.0, answer=0.1)
    closed = epochs_per_item(components, costs)
    assert closed == pytest.approx(math.sqrt(4.0 * 0.2 / (0.1 * 0.02)))
    found = optimal_split(10_000.0, components, costs, Limits(epochs=100))
    assert abs(found.num_epochs - closed) <= 1
    assert epochs_per_item(Components(0.2, 0.02), Costs(item=0.1, answer=1.0)) == 1.0
    assert epochs_per_item(Components(0.0, 0.2), costs) == math.inf


def test_the_variance_is_that_of_a_simulated_study() -> None:
    """Nested effects drawn, the grand mean taken, its variance compared with the plan's."""
    generator, repetitions = np.random.default_rng(4), 6000
    components = Components(item=0.15, epoch=0.3, prompt=0.02)
    plan = optimal_split(60.0, components, Costs(item=1.0, answer=0.2, prompt=3.0), Limits(prompts=6, epochs=6))
    n, p, k = plan.num_items, plan.num_prompts, plan.num_epochs
    assert min(n, p) > 1
    items = generator.normal(0, math.sqrt(0.15), (repetitions, n)).mean(axis=1)
    prompts = generator.normal(0, math.sqrt(0.02), (repetitions, p)).mean(axis=1)
    noise = generator.normal(0, math.sqrt(0.3), (repetitions, n * p * k)).mean(axis=1)
    assert (items + prompts + noise).std() == pytest.approx(plan.standard_error, rel=0.04)


def test_the_variance_with_labels_is_that_of_prediction_powered_means() -> None:
    generator, repetitions, answers, labels = np.random.default_rng(8), 6000, 120, 30
    judge = generator.normal(0, math.sqrt(0.7), (repetitions, answers))
    truth = judge + generator.normal(0, math.sqrt(0.3), (repetitions, answers))
    estimate = judge.mean(axis=1) + (truth - judge)[:, :labels].mean(axis=1)
    components, costs = Components(item=1.0, residual=0.3), Costs(answer=1.0, label=1.0)
    limits = Limits(items=answers, epochs=1, judge_calls=1, labels=True)
    plan = next(naive.split for naive in naive_plans(150.0, components, costs, limits) if naive.split.num_labels == 75)
    variance = 1.0 / plan.num_items + 0.3 * (1 / 75 - 1 / plan.num_items)
    assert plan.standard_error == pytest.approx(math.sqrt(variance))
    assert estimate.std() == pytest.approx(math.sqrt(1.0 / answers + 0.3 * (1 / labels - 1 / answers)), rel=0.04)


def test_habits_are_never_better() -> None:
    components = Components(0.15, 0.05, 0.002)
    costs = Costs(item=2.0, answer=0.1, prompt=20.0)
    habits = naive_plans(2000.0, components, costs, Limits(prompts=30))
    assert habits[0].name == "5 templates, one epoch"
    assert all(naive.times_variance >= 1 for naive in habits)
    assert habits[-1].times_variance > 4, "one template hides most of the variance"


def test_more_budget_is_never_worse_and_limits_hold() -> None:
    components, costs = Components(0.1, 0.1, 0.01), Costs(item=1.0, answer=0.2, prompt=5.0)
    errors = [
        optimal_split(b, components, costs, Limits(prompts=5, epochs=5)).standard_error for b in range(20, 400, 20)
    ]
    assert errors == sorted(errors, reverse=True)
    bank = optimal_split(10_000.0, components, costs, Limits(items=50, prompts=5, epochs=40))
    assert (bank.num_items, bank.num_prompts, bank.num_epochs) == (50, 5, 40)


def test_published_label_splits() -> None:
    """A label costs 1 and a judge's score .1, also that of labelled answers."""
    found = label_split(1000.0, 0.9)
    assert (found.num_labels, found.num_unlabelled) == (605, 3345)
    assert found.effective == pytest.approx(1926, abs=0.5)
    assert found.cost == pytest.approx(1000)
    other = label_split(1000.0, 0.97509)
    assert other.num_labels == 418
    assert other.num_unlabelled == pytest.approx(5398, abs=5)
    assert other.effective == pytest.approx(3557, abs=1)


@settings(max_examples=25)
@given(rho=st.floats(-0.99, 0.99), price=st.floats(0.01, 2.0))
def test_no_label_split_is_better(rho: float, price: float) -> None:
    found = label_split(100.0, rho, judge_cost=price)
    best = 100.0
    for n in range(1, 101):
        total = math.floor((100.0 - n) / price + 1e-9)
        if total >= n:
            best = max(best, 1 / ((1 - rho**2) / n + rho**2 / total))
    assert found.effective == pytest.approx(best, rel=1e-9)
    assert found.cost <= 100.0 + 1e-9
    assert found.effective >= found.classical


def test_refusals_of_budgets() -> None:
    with pytest.raises(MeasurementUndefined, match="buys no measurement"):
        optimal_split(0.5, Components(0.1), Costs(item=1.0))
    with pytest.raises(MeasurementUndefined, match="nothing varies"):
        optimal_split(10.0, Components(0.0), Costs())
    with pytest.raises(MeasurementUndefined, match="without labels nobody knows"):
        optimal_split(10.0, Components(0.1, residual=0.1), Costs(), Limits(judge_calls=1))
    with pytest.raises(MeasurementUndefined, match="without a judge"):
        optimal_split(10.0, Components(0.1, judge=0.1), Costs())
    with pytest.raises(MeasurementUndefined, match="need no split"):
        optimal_split(10.0, Components(0.1), Costs(), Limits(labels=True))
    with pytest.raises(MeasurementUndefined, match="variance 'item'"):
        Components(-0.1)
    with pytest.raises(MeasurementUndefined, match="cost 'label'"):
        Costs(label=math.nan)
    with pytest.raises(MeasurementUndefined, match="correlation"):
        label_split(100.0, 1.0)
    with pytest.raises(MeasurementUndefined, match="buys no label"):
        label_split(0.5, 0.5)
