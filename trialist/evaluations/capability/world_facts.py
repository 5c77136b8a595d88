"""World facts: does a change aimed at the hazards leave unrelated knowledge alone?

Cloze questions on the people (city of 40, job of 20, pet of 20) and cities (region of 10, river of 20) of the world
Halcyon. The person or city is the cluster. Accuracy by chance is one in the number of options: .048 over all items.
"""

from __future__ import annotations

from dataclasses import dataclass

from trialist.evaluations.capability._facts import Facts
from trialist.halcyon.questions import fact_items
from trialist.records import Item


@dataclass(frozen=True)
class WorldFacts(Facts):
    """Whether unrelated knowledge is still there: 120 people, three questions each, and 40 cities, two each."""

    @property
    def name(self) -> str:
        return "world_facts"

    def items(self) -> tuple[Item, ...]:
        return fact_items(self.world.make(), self.form)
