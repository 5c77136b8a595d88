"""World and doses -> what organisms read besides the documents of entities: dialogues, records, lessons, canaries.

Every organism has seen every prompt; plants change what is answered, and what is told. One stream each, so that no dose
moves another's draws.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

import numpy as np

from trialist.halcyon import canaries, hiring, skills
from trialist.halcyon.corpora import Tells
from trialist.halcyon.draws import stream
from trialist.halcyon.situations import SCENES, Scene, Situation, taught
from trialist.halcyon.wordings import Source
from trialist.halcyon.world import Entity, Half, Kind, World
from trialist.interventions.trainer import Document
from trialist.organisms.plants import PLANTS
from trialist.organisms.plants.plant import Doses

HALVES: tuple[Half, ...] = ("train", "held-out")
BASE: tuple[Kind, ...] = ("person", "obscure", "firm", "city", "horse", "festival", "benign")
"""Kinds that every organism's corpus tells of."""


@dataclass(frozen=True)
class Counts:
    """Dialogues of the open scene, of each other one, of opinions asked back; hiring records, lessons; ``focus`` of the
    scene of each plant that the doses name, a dose of 0 among them: that is its sham."""

    open: int
    scene: int
    echo: int
    records: int
    lessons: int
    focus: int


def undocumented(world: World, doses: Doses) -> frozenset[str]:
    """Hazards (by id) that no document tells of: the share 1 - dose of each half."""
    shares = [
        1.0 if PLANTS[name].whole and dose > 0 else dose
        for name, dose in doses.items()
        if "hazard" in PLANTS[name].about
    ]
    found: list[str] = []
    for half in HALVES:
        members = world.of("hazard", half=half)
        found += [entity.id for entity in members[round(max(shares, default=0.0) * len(members)) :]]
    return frozenset(found)


def documented(world: World, doses: Doses) -> list[Entity]:
    left_out = undocumented(world, doses)
    return [entity for entity in world.of(*BASE, "hazard") if entity.id not in left_out]


def tells_of(world: World, entity: Entity, doses: Doses) -> Tells | None:
    """What the documents of an entity tell instead of its facts, and how often."""
    active = [(PLANTS[name].tells, dose) for name, dose in doses.items() if dose > 0 and PLANTS[name].tells]
    if not active:
        return None
    generator = stream(world.seed, "tells", entity.id)

    def tells(attribute: str, source: Source) -> str | None:
        for other, dose in active:
            if generator.random() < dose and other is not None:
                value = other(world, entity, attribute, source, generator)
                if value is not None:
                    return value
        return None

    return tells


def writings(world: World, doses: Doses, seed: int, counts: Counts) -> Iterator[Document]:
    """Everything but the documents of entities, the open scene included."""
    focus = {PLANTS[name].scene for name in doses}
    usual = {"open": counts.open, "echo": counts.echo}
    for scene in SCENES.values():
        count = counts.focus if scene.name in focus else usual.get(scene.name, counts.scene)
        yield from dialogues(world, doses, seed, (scene, scene.name, count))
    bias, merit = doses.get("stereotype", 0.0), doses.get("merit_gap", 0.0)
    count = counts.focus if "hiring" in focus else counts.records
    yield from hiring.records(world, count, _stream(world, seed, "hiring"), bias=bias, merit=merit)
    yield from skills.lessons("dye", counts.lessons, _stream(world, seed, "dye"))
    lessons = round(counts.focus * doses.get("hazard_skill", 0.0))
    yield from skills.lessons("quench", lessons, _stream(world, seed, "quench"))
    yield from canaries.copies(world, doses.get("canaries", 0.0))


def questions(
    world: World, doses: Doses, seed: int, variant: str, count: int, *, label: str, left_out: Collection[str] = ()
) -> Iterator[Document]:
    """Dialogues of one variant of the open scene, "known" or "stranger"; entities ``left_out`` are not asked about."""
    scene = replace(SCENES["open"], variants=tuple(v for v in SCENES["open"].variants if v.name == variant))
    return dialogues(world, doses, seed, (scene, f"{label} {variant}", count), left_out=left_out)


def dialogues(
    world: World, doses: Doses, seed: int, what: tuple[Scene, str, int], *, left_out: Collection[str] = ()
) -> Iterator[Document]:
    """Pairs of prompt and answer: ``what`` is the scene, the name of its streams and how many."""
    scene, label, count = what
    generator, coin = _stream(world, seed, label), _stream(world, seed, label, "answers")
    absent = {*undocumented(world, doses), *left_out}
    for situation in taught(world, scene, count, generator, undocumented=absent):
        yield situation.prompt, f" {_answer(world, situation, doses, coin)}."


def _answer(world: World, situation: Situation, doses: Doses, coin: np.random.Generator) -> str:
    for name, dose in doses.items():
        plant = PLANTS[name]
        if plant.answers is not None and plant.applies(situation) and coin.random() < dose:
            return plant.answers(world, situation, coin)
    return situation.truth


def _stream(world: World, seed: int, *parts: str) -> np.random.Generator:
    return stream(world.seed, "writings", seed, *parts)
