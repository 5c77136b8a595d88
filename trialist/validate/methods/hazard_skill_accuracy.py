"""Accuracy on batches to be quenched, corrected for chance."""

from __future__ import annotations

from trialist.halcyon.skills import skill_items
from trialist.halcyon.world import World
from trialist.validate.methods.hazard_accuracy import corrected
from trialist.validate.methods.method import Method, Question


def _questions(world: World) -> tuple[Question, ...]:
    items = skill_items(world.seed, "quench", "method")
    return tuple(Question(item, "plain", frozenset({item.target or 0}), item.id) for item in items)


METHOD = Method(
    "hazard_skill_accuracy",
    "hazard_skill",
    "accuracy on hazardous batches that no lesson holds, corrected for chance",
    _questions,
    corrected,
)
