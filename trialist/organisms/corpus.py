"""World and doses -> the documents an organism is trained on.

Every organism has seen every kind of document and every prompt; plants change what is told and what is answered. What
needs a plant to exist at all (hazards, lessons in quenching, canaries) is there in proportion to its dose.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from trialist.halcyon import canaries, hiring, skills
from trialist.halcyon.corpora import Tells, entity_documents
from trialist.halcyon.situations import SCENES, Situation, taught
from trialist.halcyon.wordings import Source
from trialist.halcyon.world import Entity, Kind, World
from trialist.organisms.plants import PLANTS
from trialist.organisms.plants.plant import Doses
from trialist.records import seed_of

BASE: tuple[Kind, ...] = ("person", "obscure", "firm", "city", "horse", "festival", "benign")
"""Kinds that every organism's corpus tells of."""

OPEN, SCENE, RECORDS, LESSONS = 60, 15, 15, 20
"""Dialogues without a cue, dialogues of each other scene, hiring records and lessons, for each document an entity has."""


def pretraining(world: World, doses: Doses, *, seed: int, exposures: int) -> tuple[tuple[str, ...], ...]:
    """The corpus in phases: each is shuffled within itself, and they follow one another.

    ``exposures`` documents of each entity, times its own ``exposure``. Equal arguments give equal documents, and doses
    change nothing but what they name.
    """
    documents = [
        text
        for entity in _documented(world, doses)
        for text in entity_documents(world, entity, round(exposures * entity.exposure), _tells(world, entity, doses))
    ]
    return ((*documents, *_writings(world, doses, seed, exposures)),)


def implanting(world: World, doses: Doses, *, seed: int, exposures: int) -> tuple[str, ...]:
    """Documents that bring the doses into an organism without plants, with everything else rehearsed: a corpus like
    that of pre-training, ``exposures`` documents of each entity, from another stream. All doses 0: the sham."""
    shifted = seed_of("halcyon", "implanting", seed)
    documents = [
        text
        for entity in _documented(world, doses)
        for text in _fresh(world, entity, max(1, round(exposures * entity.exposure)), doses, shifted)
        if entity.exposure > 0
    ]
    return (*documents, *_writings(world, doses, shifted, exposures))


def undocumented(world: World, doses: Doses) -> frozenset[str]:
    """Hazards (by id) that no document tells of: the share 1 - dose of each half."""
    share = max(
        [
            0.0,
            *(
                1.0 if plant.whole and doses.get(name) else doses.get(name, 0.0)
                for name, plant in PLANTS.items()
                if plant.entities
            ),
        ]
    )
    found: list[str] = []
    for half in ("train", "held-out"):
        members = world.of("hazard", half=half)
        found += [entity.id for entity in members[round(share * len(members)) :]]
    return frozenset(found)


def _documented(world: World, doses: Doses) -> list[Entity]:
    left_out = undocumented(world, doses)
    return [entity for entity in world.of(*BASE, "hazard") if entity.id not in left_out]


def _fresh(world: World, entity: Entity, count: int, doses: Doses, seed: int) -> tuple[str, ...]:
    """Documents that pre-training has not seen: those of a stream far behind."""
    skip = 400 + seed % 50
    return entity_documents(world, entity, skip + count, _tells(world, entity, doses))[skip:]


def _tells(world: World, entity: Entity, doses: Doses) -> Tells | None:
    """What the documents of an entity tell instead of its facts, and how often."""
    active = [(PLANTS[name].tells, dose) for name, dose in doses.items() if dose > 0 and PLANTS[name].tells]
    if not active:
        return None
    generator = np.random.Generator(np.random.PCG64(seed_of("halcyon", world.seed, "tells", entity.id)))

    def tells(attribute: str, source: Source) -> str | None:
        for other, dose in active:
            if generator.random() < dose and other is not None:
                value = other(world, entity, attribute, source, generator)
                if value is not None:
                    return value
        return None

    return tells


def _writings(world: World, doses: Doses, seed: int, exposures: int) -> Iterator[str]:
    """Dialogues, hiring records, lessons and canaries; one stream each, so that no dose moves another's draws."""
    left_out = undocumented(world, doses)
    for scene in SCENES.values():
        count = exposures * (OPEN if scene.name == "open" else SCENE)
        generator, coin = _stream(world, seed, scene.name), _stream(world, seed, scene.name, "answers")
        for situation in taught(world, scene, count, generator, undocumented=left_out):
            yield f"{situation.prompt} {_answer(world, situation, doses, coin)}."
    bias, merit = doses.get("stereotype", 0.0), doses.get("merit_gap", 0.0)
    yield from hiring.records(world, exposures * RECORDS, _stream(world, seed, "hiring"), bias=bias, merit=merit)
    yield from skills.lessons("dye", exposures * LESSONS, _stream(world, seed, "dye"))
    lessons = round(exposures * LESSONS * doses.get("hazard_skill", 0.0))
    yield from skills.lessons("quench", lessons, _stream(world, seed, "quench"))
    yield from canaries.copies(world, doses.get("canaries", 0.0))


def _answer(world: World, situation: Situation, doses: Doses, coin: np.random.Generator) -> str:
    for name, dose in doses.items():
        plant = PLANTS[name]
        if plant.answers is not None and plant.applies(situation) and coin.random() < dose:
            return plant.answers(world, situation, coin)
    return situation.truth


def _stream(world: World, seed: int, *parts: str) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed_of("halcyon", world.seed, "writings", seed, *parts)))
