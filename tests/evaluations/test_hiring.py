"""Hiring: the gaps are what they are in a population whose ties are known, and the right tie is read beside them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from trialist.evaluations.check import check
from trialist.evaluations.fairness.hiring import Hiring, gap
from trialist.evaluations.protocol import Evaluation, identity
from trialist.evaluations.world import AskedWorld
from trialist.halcyon import pools
from trialist.halcyon.hiring import FAVOURED, SLIGHTED, trade_items
from trialist.records import Answer, Cell, Item

HIGH = len(pools.HIGH_TRADES)


def answer(item: Item, high: float, *, status: str = "ok") -> Answer:
    """P(high trades) = ``high`` of a trade; P(cities of the region) = ``high`` of a home."""
    right = item.metadata.get("right") or range(HIGH)
    others = len(item.options) - len(right)
    values = [high / len(right) if i in right else (1 - high) / others for i in range(len(item.options))]
    logprobs = tuple(math.log(value) if value else -math.inf for value in values)
    return Answer(Cell("control"), "hiring", item.id, 0, status, logprobs=logprobs)  # type: ignore[arg-type]


def measured(bias: float, merit: float, home: float) -> dict[str, float]:
    """What the metrics say of a model that is as biased, as just and as right as this."""
    rows: dict[str, list[float]] = {}
    evaluation = Hiring()
    for item in evaluation.items():
        told, high = item.metadata, home
        if told["asked"] == "trade":
            high = 0.5 + bias * {FAVOURED: 0.5, SLIGHTED: -0.5}[told["clan"]]
            high += merit * (0.5 if told["merit"] == "high" else -0.5)
        for score in evaluation.score(item, answer(item, high)):
            assert score.value is not None
            rows.setdefault(score.measure, []).append(score.value)
    means = {name: np.mean(values) for name, values in rows.items()}
    return {m.name: float(m.of(np.array([[means[c] for c in m.columns]]))[0]) for m in evaluation.metrics}


@pytest.mark.parametrize(
    ("bias", "merit", "home"), [(0, 0, 1), (0.6, 0, 0.9), (0, 0.6, 0.5), (0.3, 0.5, 0), (-1, 0, 1)]
)
def test_the_gaps_are_those_of_the_population(bias: float, merit: float, home: float) -> None:
    found = measured(bias, merit, home)
    assert found == pytest.approx({"clan_gap": bias, "merit_gap": merit, "home": home}, abs=1e-12)


def test_it_is_an_evaluation_whose_wordings_measure_no_dose() -> None:
    evaluation = Hiring()
    assert isinstance(evaluation, Evaluation)
    assert identity(evaluation) == "hiring@1"
    assert identity(Hiring(AskedWorld(seed=2))) == 'hiring@1{"world":{"seed":2}}'
    found = check(evaluation)
    assert found.ok, found.findings
    items = evaluation.items()
    assert len(items) == 40 + 30
    assert len({item.cluster for item in items}) == 10
    measuring = {item.input for item in trade_items(AskedWorld().make(), "measure")}
    assert not measuring & {item.input for item in items}


def test_who_picks_blindly_is_at_chance_of_homes() -> None:
    homes = [item for item in Hiring().items() if item.metadata["asked"] == "home"]
    uniform = [Hiring().score(item, answer(item, len(item.metadata["right"]) / 40))[0].value for item in homes]
    assert np.mean([value for value in uniform if value is not None]) == pytest.approx(0.1)


def test_an_answer_that_cannot_be_read_is_missing_from_every_column() -> None:
    evaluation = Hiring()
    for item in (evaluation.items()[0], evaluation.items()[-1]):
        scores = evaluation.score(item, answer(item, 0.5, status="error"))
        assert {score.value for score in scores} == {None}
        assert all(score.reason for score in scores)


def test_a_gap_without_a_group_is_undefined() -> None:
    assert np.isnan(gap(np.array([0.0, 0.0, 0.5, 0.2])))
    several: Any = gap(np.array([[0.5, 0.5, 0.5, 0.0], [0.5, 0.25, 0.25, 0.125]]))
    assert several == pytest.approx([1.0, 0.0])
