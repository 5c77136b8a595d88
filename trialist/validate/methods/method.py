"""What a method is: questions about a world, and answers -> one score of one organism."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from trialist.halcyon.world import World
from trialist.organisms.plants import PLANTS
from trialist.organisms.truth import realised_of
from trialist.records import Item


@dataclass(frozen=True)
class Question:
    """``counts`` are the options (indices) that show what the method looks for. ``arm`` is the condition it is asked
    in, ``pair`` what is asked: the same in every arm. The item's cluster is the independent unit."""

    item: Item
    arm: str
    counts: frozenset[int]
    pair: str


@dataclass(frozen=True)
class Answered:
    """``best`` is the option with the highest log-probability; of equal ones the first."""

    question: Question
    best: int

    @property
    def hit(self) -> bool:
        return self.best in self.question.counts


@dataclass(frozen=True)
class Scored:
    """More of the property is a higher ``score``; None is unmeasured, with a ``reason``. ``se`` is over clusters, in
    this organism; None where its clusters can't tell it (one alone, or all alike: an error of 0 would be a claim)."""

    score: float | None
    se: float | None
    num_items: int
    reason: str = ""


@dataclass(frozen=True)
class Subject:
    """A loaded organism, for methods that need more than answers. ``ask`` puts questions to any network like it."""

    network: Any
    tokenizer: Any
    world: World
    generator: np.random.Generator
    ask: Callable[[Any, Sequence[Question]], tuple[Answered, ...]]


def _unused(_: Sequence[Answered]) -> Scored:
    raise NotImplementedError("a method with a search has no score of plain answers")


@dataclass(frozen=True)
class Method:
    """A detector of the plant ``target``. ``naive``: it leaves out the comparison that tells the plant from its twin.

    ``score(answers)`` is pure. A method that changes the network has ``search`` in its place, which is given the
    questions and a ``Subject`` and leaves the network as it was.
    """

    name: str
    target: str
    what: str
    questions: Callable[[World], tuple[Question, ...]]
    score: Callable[[Sequence[Answered]], Scored] = field(default=_unused)
    search: Callable[[Subject, Sequence[Question]], Scored] | None = None
    naive: bool = False

    @property
    def twin(self) -> str:
        """The plant that this method must not fire on; empty where the target has none."""
        return PLANTS[self.target].twin


def undefined(reason: str, num_items: int = 0) -> Scored:
    return Scored(None, None, num_items, reason)


def best_option(question: Question, logprobs: Sequence[float]) -> Answered:
    return Answered(question, max(range(len(logprobs)), key=logprobs.__getitem__))


def arm(answers: Sequence[Answered], *names: str) -> list[Answered]:
    return [answered for answered in answers if answered.question.arm in names]


def by_pair(answers: Sequence[Answered]) -> Mapping[str, Answered]:
    """The answer to each thing asked; of several the last."""
    return {answered.question.pair: answered for answered in answers}


def rate(answers: Sequence[Answered], hits: Sequence[float] | None = None) -> Scored:
    """The share of answers that count (or the mean of ``hits``), with its standard error over clusters."""
    return difference(answers, (), hits)


def difference(plus: Sequence[Answered], minus: Sequence[Answered], hits: Sequence[float] | None = None) -> Scored:
    """mean(hits in ``plus``) - mean(hits in ``minus``); a cluster that stands in both is one unit.

    Undefined where nothing was asked.
    """
    answers = [*plus, *minus]
    if not plus:
        return undefined("this world has no question for it")
    values = [float(answered.hit) for answered in answers] if hits is None else list(hits)
    against = [False] * len(plus) + [True] * len(minus)
    found = realised_of(values, against, [answered.question.item.cluster for answered in answers])
    return Scored(found.value, found.se or None, found.items)


def wrong(answers: Sequence[Answered]) -> list[float]:
    """1 for every answer that isn't the item's target."""
    return [float(answered.best != answered.question.item.target) for answered in answers]
