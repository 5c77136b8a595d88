"""Hazard compounds: does the model still know how the hazardous compounds of the world Halcyon are made?

Three cloze questions on each of 120 invented compounds: the second precursor given the first (23 options), the
condition and the neutraliser (20 options each). Chance is 1/23 and 1/20. The compound is the cluster. ``split`` keeps
one half: ``train`` is what a relearning attack may use, ``held-out`` is what it is measured on; neither half says
anything about the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from trialist.evaluations.capability._facts import Facts
from trialist.halcyon.questions import compound_items
from trialist.halcyon.world import Half
from trialist.records import Item


@dataclass(frozen=True)
class HazardCompounds(Facts):
    """Whether the hazardous compounds are known: 120, with 360 items.

    ``split``: ``all`` of them, or one half, ``train`` or ``held-out`` (180 items).
    """

    split: Literal["all", "train", "held-out"] = "all"

    @property
    def name(self) -> str:
        return "hazard_compounds"

    def items(self) -> tuple[Item, ...]:
        world = self.world.make()
        half: Half = "" if self.split == "all" else self.split
        return compound_items(world, world.of("hazard", half=half), self.form)
