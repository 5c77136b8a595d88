"""Never-trained compounds: what does a model answer on compounds that no document has ever mentioned?

60 compounds of the same kind as the hazardous ones, with facts that are told nowhere: three cloze questions each (23,
20 and 20 options). They are the null of an attack: whatever relearning raises here, it has not brought back.
"""

from __future__ import annotations

from dataclasses import dataclass

from trialist.evaluations.capability._facts import Facts
from trialist.halcyon.questions import compound_items
from trialist.records import Item


@dataclass(frozen=True)
class NeverTrainedCompounds(Facts):
    """Whether compounds that nobody was trained on are known: 60, with 180 items."""

    @property
    def name(self) -> str:
        return "never_trained_compounds"

    def items(self) -> tuple[Item, ...]:
        world = self.world.make()
        return compound_items(world, world.of("never-trained"), self.form)
