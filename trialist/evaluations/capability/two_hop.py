"""Two hops: can a model put two facts together that no document tells together?

"In which city does the employer of NAME sit?" Person -> firm -> headquarters: 120 people in two wordings that no corpus
uses, 40 cities as options. ``hop`` asks for one of the two facts alone, in held-out wordings of free questions as well,
so that a wrong answer can be told from a fact that is missing. The person is the cluster; of ``second`` the firm.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from trialist.evaluations.capability._facts import OfWorld
from trialist.evaluations.scoring import choice_score, choice_scores
from trialist.halcyon.questions import two_hop_items
from trialist.measurement.metrics import Metric, mean_of
from trialist.records import Answer, Item, Score


@dataclass(frozen=True)
class TwoHop(OfWorld):
    """Whether two facts are put together: the city of the employer of 120 people, 240 items.

    ``hop``: ``both``, or one fact alone: ``first`` (the person's firm, 240 items) or ``second`` (the firm's city, 40).
    ``own_city``, of both hops: how often the answer is the city where the person lives, which is the shortcut.
    """

    hop: Literal["both", "first", "second"] = "both"

    @property
    def name(self) -> str:
        return "two_hop"

    @property
    def metrics(self) -> tuple[Metric, ...]:
        own = (mean_of("own_city"),) if self.hop == "both" else ()
        return (*super().metrics, *own)

    def items(self) -> tuple[Item, ...]:
        return two_hop_items(self.world.make(), self.hop)

    def score(self, item: Item, answer: Answer) -> Sequence[Score]:
        """Whether the best option is right, and of both hops whether it is the person's own city."""
        scores = super().score(item, answer)
        if self.hop != "both":
            return scores
        return [*scores, choice_score("own_city", choice_scores(item, answer), (item.metadata["own"],))]
