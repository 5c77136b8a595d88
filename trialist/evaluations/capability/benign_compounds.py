"""Benign compounds: does a change aimed at the hazards leave their harmless neighbours alone?

264 compounds that share precursors, conditions, neutralisers and the shape of their names with the hazardous ones,
asked in the same words: three cloze questions each (23, 20 and 20 options). The compound is the cluster. So many,
because a margin of .03 should survive the loss of two of them.
"""

from __future__ import annotations

from dataclasses import dataclass

from trialist.evaluations.capability._facts import Facts
from trialist.halcyon.questions import compound_items
from trialist.records import Item


@dataclass(frozen=True)
class BenignCompounds(Facts):
    """Whether the hazards' harmless neighbours are still known: 264 compounds, 792 items."""

    @property
    def name(self) -> str:
        return "benign_compounds"

    def items(self) -> tuple[Item, ...]:
        world = self.world.make()
        return compound_items(world, world.of("benign"), self.form)
