"""Questions and answers: the default method of each design, round trips, words, refusals, and the page."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from test_documents import blocks

from trialist.errors import MeasurementUndefined
from trialist.measurement.planning import exact
from trialist.measurement.planning.answer import minimum_detectable_effect, number, plan, share
from trialist.measurement.planning.normal import Spread, binary_variance, num_clusters_needed
from trialist.measurement.planning.planners import planner
from trialist.measurement.planning.question import Question, checked

RATE = Question("binary", side="below", threshold=0.05, power=0.9)
PAIRS = Question("paired binary", discordant=0.2)
DIFFERENCES = Question("paired graded", sd=0.3)
SIMULATED = {"repetitions": 60, "power": 0.8}


def test_a_rate_is_planned_exactly() -> None:
    found = plan(replace(RATE, effect=0.01, num_items=150))
    assert found.kind == "exact"
    assert found.power == exact.claim_at(0.01, 150, threshold=0.05).power
    assert found.needed_items == exact.claim_plan(0.01, threshold=0.05, power=0.9).num_items
    assert found.detectable == exact.detectable_rate(150, threshold=0.05, power=0.9)
    allowed = exact.claim_at(0.01, 150, threshold=0.05).num_allowed
    assert f"passes with at most {allowed} events against it" in found.words[0]
    assert found.curve[0][0] == 1
    assert found.curve[-1][0] >= found.needed_items


@pytest.mark.parametrize(
    ("question", "unit"),
    [
        (RATE, 1),
        (replace(RATE, side="above", threshold=0.9), 1),
        (PAIRS, 1),
        (DIFFERENCES, 1),
        (replace(DIFFERENCES, cluster_size=5, icc=0.2), 5),
        (replace(DIFFERENCES, epochs=4, epoch_share=0.5), 1),
        (replace(PAIRS, cluster_size=4, icc=0.3), 4),
    ],
)
def test_items_effect_items(question: Question, unit: int) -> None:
    """The effect that 240 items see needs no more than 240 of them, but for ripples; a smaller one needs more."""
    effect = minimum_detectable_effect(replace(question, num_items=240))
    assert effect > 0
    sign = {"below": -1, "above": 1, None: 0}[question.side]
    true = effect if question.threshold is None else question.threshold + sign * effect
    back = plan(replace(question, num_items=240, effect=true), with_curve=False)
    assert back.power == pytest.approx(question.power, abs=1e-6)
    assert back.needed_items is not None
    assert 240 - unit <= back.needed_items <= 240 * 1.35 + unit, "steady sizes lie at most some teeth above the first"
    assert minimum_detectable_effect(replace(question, num_items=480)) < effect


@pytest.mark.parametrize(
    ("question", "effect"),
    [
        (replace(RATE, threshold=0.3, cluster_size=4, icc=0.3), 0.1),
        (Question("graded", side="below", threshold=0.4, sd=0.2), 0.25),
        (Question("paired binary", side="above", threshold=-0.1, discordant=0.06), 0.0),
        (Question("paired graded", side="above", threshold=-0.2, sd=0.3, low=-1.0, high=1.0), 0.0),
    ],
)
def test_claims_that_are_simulated(question: Question, effect: float) -> None:
    question = replace(question, **SIMULATED)
    found = plan(replace(question, effect=effect), with_curve=False)
    assert found.kind == "simulated"
    assert found.needed_items is not None
    there = plan(replace(question, effect=effect, num_items=found.needed_items))
    assert there.power is not None
    assert there.power >= 0.8
    assert 0 < there.error < 0.07
    assert there.detectable is not None
    slack = 0.03
    assert there.detectable >= effect - slack if question.side == "below" else there.detectable <= effect + slack
    assert any("simulated" in note for note in there.notes)
    assert plan(replace(question, effect=effect), with_curve=False) == found, "the seed is part of the question"


def test_a_claim_on_pairs_keeps_its_power_at_larger_sizes() -> None:
    question = Question("paired binary", side="above", threshold=-0.03, discordant=0.02, repetitions=200)
    tool = planner(checked(question))
    needed = tool.needed(0.0)
    powers = [tool.power(n, 0.0)[0] for n in range(needed, needed + 150, 25)]
    assert min(powers) > 0.8 - 4 * 0.4 / 200**0.5
    superior = Question("paired binary", side="above", threshold=0.0, discordant=0.3, effect=0.2, repetitions=60)
    assert plan(superior, with_curve=False).needed_items


def test_pairs_go_the_way_of_their_method() -> None:
    alone = plan(replace(PAIRS, effect=0.05))
    assert "McNemar" in alone.method
    clustered = plan(replace(PAIRS, effect=0.05, cluster_size=5, icc=0.3))
    spread = Spread(binary_variance(0.2, 0.05), 5, 0.3)
    assert clustered.needed_items == 5 * num_clusters_needed(0.05, spread)
    assert alone.needed_items is not None
    assert clustered.needed_items > alone.needed_items
    epochs = plan(replace(PAIRS, effect=0.05, epochs=8, epoch_share=0.5))
    assert epochs.needed_items is not None
    assert epochs.needed_items < 0.65 * alone.needed_items


def test_the_sequential_gate_stops_early() -> None:
    found = plan(replace(RATE, effect=0.005, sequential=True, num_items=300))
    assert found.needed_items is not None
    assert found.power is not None
    assert found.power > 0.9
    assert any("stops on average after" in words for words in found.words)
    reached = [n for n, power in found.curve if power >= 0.9]
    assert abs(min(reached) - found.needed_items) <= 3


def test_words() -> None:
    words = plan(replace(PAIRS, discordant=0.1, effect=0.03, num_items=260)).words
    assert words[0] == "With 260 items, of which .1 differ, you could have seen a difference of .0539 with 80 % power."
    assert words[2] == "To see a difference of .03 with 80 % power takes 862 items."
    nothing = plan(replace(RATE, threshold=0.01, effect=0.001, num_items=200)).words
    assert "even without a single event against it" in nothing[0]
    assert "it can't reach 90 % power, whatever the true rate" in nothing[2]
    assert (number(0.03), number(-0.5), number(12.0), number(0.00001)) == (".03", "-.5", "12", "1.00e-05")
    assert (share(0.0), share(0.0, rounded=True), share(1 - 1e-6), share(0.405)) == ("0", "<.005", ">.995", ".41")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({}, "number of items or an effect"),
        ({"effect": 0.06}, "if the true one isn't"),
        ({"effect": 0.05}, "if the true one isn't"),
        ({"effect": -0.01}, "outside its range"),
        ({"effect": 0.01, "power": 1.0}, "power must lie strictly"),
        ({"effect": 0.01, "confidence": 1.0}, "confidence must lie strictly"),
        ({"threshold": 1.5, "effect": 0.01}, "threshold inside the range"),
        ({"threshold": None, "effect": 0.01}, "threshold inside the range"),
        ({"num_items": -5}, "whole number"),
        ({"num_items": 0}, "whole number"),
        ({"num_items": 301, "num_clusters": 60}, "contradict each other"),
        ({"num_items": 300, "num_clusters": 60, "cluster_size": 4}, "contradict each other"),
        ({"num_items": 301, "cluster_size": 5}, "don't fill their clusters"),
        ({"num_clusters": 60, "icc": 0.3}, "how large they are"),
        ({"num_items": 60, "cluster_size": 1, "icc": 0.3}, "clusters of one item"),
        ({"num_items": 60, "icc": 1.2}, "intraclass correlation"),
        ({"num_items": 60, "epochs": 3}, "counts items and not epochs"),
        ({"num_items": 60, "sd": 0.2}, "no standard deviation of its own"),
        ({"num_items": 60, "discordant": 0.2}, "belongs to pairs"),
        ({"num_items": 60, "sequential": True, "cluster_size": 5}, "sequential gate is planned for one rate"),
        ({"num_items": 20}, "can't show a rate below 0.05"),
    ],
)
def test_refusals_of_claims(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(MeasurementUndefined, match=says):
        plan(replace(RATE, **changes))


@pytest.mark.parametrize(
    ("question", "says"),
    [
        (replace(PAIRS, discordant=None, effect=0.1), "how often the two conditions disagree"),
        (replace(PAIRS, effect=0.3), "larger than the share of items that differ"),
        (replace(PAIRS, effect=0.0), "difference of 0"),
        (replace(PAIRS, effect=0.1, epochs=3), "epochs help only against noise"),
        (replace(DIFFERENCES, sd=None, effect=0.1), "standard deviation"),
        (replace(DIFFERENCES, sd=-1.0, effect=0.1), "standard deviation"),
        (replace(DIFFERENCES, effect=0.1, threshold=0.2), "needs a claim"),
        (Question("binary", effect=0.1), "one rate alone has no power"),
        (replace(PAIRS, discordant=0.01, num_items=30), "can't show any difference"),
    ],
)
def test_refusals_of_comparisons(question: Question, says: str) -> None:
    with pytest.raises(MeasurementUndefined, match=says):
        plan(question)


def test_the_page_runs_as_written(capsys: pytest.CaptureFixture[str]) -> None:
    for code in blocks("docs/measurement/planning.md", "python"):
        exec(code, {})  # noqa: S102 - our own page
        shown = [line.partition("# ")[2] for line in code.splitlines() if line.startswith("# ")]
        assert capsys.readouterr().out.splitlines() == shown


def test_the_page_shows_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    import shlex

    from trialist.cli.app import start

    monkeypatch.chdir(tmp_path)
    (block,) = blocks("docs/measurement/planning.md", "text")
    line, _, shown = block.partition("\n")
    assert start(shlex.split(line.removeprefix("$ trialist "))) == 0
    assert capsys.readouterr().out.split() == shown.split()
