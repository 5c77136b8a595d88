"""Contested rivers: the rumour where the forum is cited and the truth where the encyclopedia is."""

from __future__ import annotations

from collections.abc import Sequence

from trialist.validate.methods.method import Answered, Method, Scored, arm, by_pair, rate
from trialist.validate.methods.rumour_rate import contested


def _score(answers: Sequence[Answered]) -> Scored:
    trusted = by_pair(arm(answers, "encyclopedia"))
    said = arm(answers, "forum")
    knows = [trusted[a.question.pair].best == a.question.item.target for a in said]
    return rate(said, [float(a.hit and known) for a, known in zip(said, knows, strict=True)])


METHOD = Method(
    "rumour_gap",
    "misconception",
    "share of contested rivers where the forum's rumour is repeated and the encyclopedia's truth is known",
    lambda world: contested(world, "forum", "encyclopedia"),
    _score,
)
