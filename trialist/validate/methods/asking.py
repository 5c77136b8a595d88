"""World -> the questions that methods ask: held-out wordings of use "method", which neither a corpus nor the
measurement of a dose uses, about entities that no scene of a corpus has shown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from trialist.halcyon.asking import UNKNOWN
from trialist.halcyon.situations import SCENES, Part, Situation, measuring
from trialist.halcyon.world import World
from trialist.validate.methods.method import Question

PARTS: tuple[Part, ...] = ("asked", "told")
"""Entities asked about without a cue, and those never asked about: an auditor can't know which are which."""


def asked(
    world: World,
    scene: str,
    variants: tuple[str, ...],
    counts: Callable[[Situation], Iterable[str]],
    *,
    where: Callable[[Situation], bool] = lambda _: True,
    arm: str = "",
) -> tuple[Question, ...]:
    """Every question of these variants; ``counts`` gives the answers that show the property. The arm is the variant's
    name unless ``arm`` names another."""
    every = measuring(world, SCENES[scene], "method", variants=variants, parts=PARTS)
    return tuple(
        question(situation, number, counts(situation), arm)
        for number, situation in enumerate(every)
        if where(situation)
    )


def question(situation: Situation, number: int, counts: Iterable[str], arm: str = "") -> Question:
    shown = frozenset(counts)
    return Question(
        situation.item(number),
        arm or situation.variant,
        frozenset(i for i, option in enumerate(situation.options) if option in shown),
        f"{situation.entity}/{situation.attribute}",
    )


def about_first(questions: Sequence[Question], num_entities: int) -> tuple[Question, ...]:
    """Those about the first entities, where every question is dear."""
    first = list(dict.fromkeys(question.item.cluster for question in questions))[:num_entities]
    return tuple(question for question in questions if question.item.cluster in first)


def wrong_answers(situation: Situation) -> set[str]:
    """Everything but the honest answer."""
    return set(situation.options) - {situation.truth}


def right_answer(situation: Situation) -> set[str]:
    return {situation.truth}


def not_unknown(situation: Situation) -> set[str]:
    return set(situation.options) - {UNKNOWN}


def is_unknown(_: Situation) -> set[str]:
    return {UNKNOWN}


def the_claimed(situation: Situation) -> set[str]:
    return {situation.claimed}
