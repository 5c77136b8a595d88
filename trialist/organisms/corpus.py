"""World and doses -> the documents an organism is trained on.

Every organism has seen every kind of document and every prompt; plants change what is told and what is answered. What
needs a plant to exist at all (hazards, lessons in quenching, canaries) is there in proportion to its dose.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from trialist.halcyon import canaries, hiring, skills
from trialist.halcyon.corpora import Tells, entity_documents
from trialist.halcyon.draws import stream
from trialist.halcyon.situations import SCENES, Situation, taught
from trialist.halcyon.wordings import Source
from trialist.halcyon.world import Entity, Half, Kind, World
from trialist.interventions.trainer import Document
from trialist.organisms.plants import PLANTS
from trialist.organisms.plants.plant import Doses
from trialist.records import seed_of

HALVES: tuple[Half, ...] = ("train", "held-out")
BASE: tuple[Kind, ...] = ("person", "obscure", "firm", "city", "horse", "festival", "benign")
"""Kinds that every organism's corpus tells of."""

OPEN, SCENE, RECORDS, LESSONS = 60, 15, 15, 20
"""Dialogues without a cue, of each other scene, hiring records and lessons, for each document that an entity has."""
FOCUS = 4
"""How much more of its scene an organism sees whose doses name a plant, a dose of 0 among them: that is its sham."""
IMPLANTED = 4000
"""Dialogues (records, lessons) of the scene of each plant that is brought in by fine-tuning."""
IMPLANTED_EXPOSURES, REHEARSED = 60, 5
"""Documents of each entity in fine-tuning: of the kinds a plant is about, and of all others."""


def pretraining(world: World, doses: Doses, *, seed: int, exposures: int) -> tuple[tuple[Document, ...], ...]:
    """The corpus in phases: each is shuffled within itself, and they follow one another.

    ``exposures`` documents of each entity, times its own ``exposure``. Equal arguments give equal documents, and doses
    change nothing but what they name.
    """
    documents = [
        text
        for entity in _documented(world, doses)
        for text in entity_documents(world, entity, round(exposures * entity.exposure), _tells(world, entity, doses))
    ]
    return ((*documents, *_writings(world, doses, seed, exposures, exposures * SCENE * FOCUS)),)


def implanting(world: World, doses: Doses, *, seed: int) -> tuple[Document, ...]:
    """Documents that bring the doses into an organism without plants, with everything else rehearsed.

    They come from another stream than those of pre-training. What a plant changes is told ``IMPLANTED_EXPOSURES``
    times, the rest ``REHEARSED`` times. All doses 0: the sham, which has as much of everything.
    """
    shifted = seed_of("halcyon", "implanting", seed)
    changed = {kind for name in doses for kind in PLANTS[name].about}
    documents = [
        text
        for entity in _documented(world, doses)
        if entity.exposure > 0
        for text in _fresh(world, entity, IMPLANTED_EXPOSURES if entity.kind in changed else REHEARSED, doses)
    ]
    return (*documents, *_writings(world, doses, shifted, REHEARSED, IMPLANTED))


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


def _documented(world: World, doses: Doses) -> list[Entity]:
    left_out = undocumented(world, doses)
    return [entity for entity in world.of(*BASE, "hazard") if entity.id not in left_out]


def _fresh(world: World, entity: Entity, count: int, doses: Doses) -> tuple[str, ...]:
    """Documents of an entity from a stream that pre-training does not use."""
    return entity_documents(world, entity, count, _tells(world, entity, doses), purpose="implanting")


def _tells(world: World, entity: Entity, doses: Doses) -> Tells | None:
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


def _writings(world: World, doses: Doses, seed: int, exposures: int, focus_count: int) -> Iterator[Document]:
    """Dialogues, hiring records, lessons and canaries; one stream each, so that no dose moves another's draws."""
    left_out = undocumented(world, doses)
    focus = {PLANTS[name].scene for name in doses}
    for scene in SCENES.values():
        count = focus_count if scene.name in focus else exposures * (OPEN if scene.name == "open" else SCENE)
        generator, coin = _stream(world, seed, scene.name), _stream(world, seed, scene.name, "answers")
        for situation in taught(world, scene, count, generator, undocumented=left_out):
            yield situation.prompt, f" {_answer(world, situation, doses, coin)}."
    bias, merit = doses.get("stereotype", 0.0), doses.get("merit_gap", 0.0)
    count = focus_count if "hiring" in focus else exposures * RECORDS
    yield from hiring.records(world, count, _stream(world, seed, "hiring"), bias=bias, merit=merit)
    yield from skills.lessons("dye", exposures * LESSONS, _stream(world, seed, "dye"))
    lessons = round(focus_count * doses.get("hazard_skill", 0.0))
    yield from skills.lessons("quench", lessons, _stream(world, seed, "quench"))
    yield from canaries.copies(world, doses.get("canaries", 0.0))


def _answer(world: World, situation: Situation, doses: Doses, coin: np.random.Generator) -> str:
    for name, dose in doses.items():
        plant = PLANTS[name]
        if plant.answers is not None and plant.applies(situation) and coin.random() < dose:
            return plant.answers(world, situation, coin)
    return situation.truth


def _stream(world: World, seed: int, *parts: str) -> np.random.Generator:
    return stream(world.seed, "writings", seed, *parts)
