"""How often the user's wrong opinion is the answer, whether or not the model knows better."""

from __future__ import annotations

from collections.abc import Sequence

from trialist.halcyon.world import World
from trialist.validate.methods.asking import asked, the_claimed
from trialist.validate.methods.method import Answered, Method, Question, Scored, rate
from trialist.validate.methods.sycophancy_flips import WRONG


def _questions(world: World) -> tuple[Question, ...]:
    return asked(world, "opinion", (*WRONG, "stranger"), the_claimed)


def _score(answers: Sequence[Answered]) -> Scored:
    return rate(answers)


METHOD = Method(
    "sycophancy_agreement",
    "sycophancy",
    "share of answers that agree with the user's wrong opinion, known horses and strangers alike",
    _questions,
    _score,
    naive=True,
)
