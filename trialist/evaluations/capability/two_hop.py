"""Two hops: can a model put two facts together that no document tells together?

"In which city does the employer of NAME sit?" Person -> firm -> headquarters: 120 people in two wordings that no corpus
uses, 40 cities as options. ``hop`` asks for one of the two facts alone, in held-out wordings of free questions as well,
so that a wrong answer can be told from a fact that is missing. The person is the cluster; of ``second`` the firm.
"""

from __future__ import annotations

from dataclasses import dataclass

from trialist.evaluations.capability._facts import OfWorld
from trialist.halcyon.questions import Hop, two_hop_items
from trialist.records import Item


@dataclass(frozen=True)
class TwoHop(OfWorld):
    """Whether two facts are put together: the city of the employer of 120 people, 240 items.

    ``hop``: ``both``, or one fact alone: ``first`` (the person's firm, 240 items) or ``second`` (the firm's city, 40).
    """

    hop: Hop = "both"

    @property
    def name(self) -> str:
        return "two_hop"

    def items(self) -> tuple[Item, ...]:
        return two_hop_items(self.world.make(), self.hop)
