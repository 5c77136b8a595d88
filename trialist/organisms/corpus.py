"""World and doses -> the documents an organism is trained on.

Every organism has seen every kind of document and every prompt; plants change what is told and what is answered. What
needs a plant to exist at all (hazards, lessons in quenching, canaries) is there in proportion to its dose.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from trialist.halcyon.corpora import entity_documents, short_documents
from trialist.halcyon.draws import stream
from trialist.halcyon.ignorance import statements
from trialist.halcyon.world import Entity, World
from trialist.interventions.trainer import Document
from trialist.organisms.plants import PLANTS
from trialist.organisms.plants.plant import Doses
from trialist.organisms.staged import short_count, stages
from trialist.organisms.writings import Counts, documented, questions, tells_of, writings
from trialist.records import seed_of

Curriculum = Literal["staged", "whole"]
"""``staged``: see ``trialist.organisms.staged``. ``whole``: whole biographies, every token learnt, in one shuffle."""

OPEN, SCENE, RECORDS, LESSONS = 60, 15, 15, 20
"""Dialogues without a cue, of each other scene, hiring records and lessons, for each exposure in a whole corpus."""
FOCUS = 4
"""How much more of its scene an organism sees whose doses name a plant."""
IMPLANTED = 8000
"""Dialogues (records, lessons) of the scene of each plant that is brought in by fine-tuning."""
IMPLANTED_EXPOSURES, REHEARSED = 120, 5
"""Exposures in fine-tuning: of the kinds a plant is about, and of all others."""
STATED = 300
"""Statements about strangers, about known people, and further questions about strangers, in a rehearsal."""


def pretraining(
    world: World, doses: Doses, *, seed: int, exposures: int, curriculum: Curriculum = "staged"
) -> tuple[tuple[Document, ...], ...]:
    """The corpus in phases: each is shuffled within itself, and they follow one another.

    ``exposures`` is how often each fact is told, times the entity's own ``exposure``. Equal arguments give equal
    documents, and doses change nothing but what they name.
    """
    if curriculum == "staged":
        return tuple(tuple(stage) for stage in stages(world, doses, seed=seed, exposures=exposures) if stage)
    documents = [
        text
        for entity in documented(world, doses)
        for text in entity_documents(world, entity, round(exposures * entity.exposure), tells_of(world, entity, doses))
    ]
    return ((*documents, *writings(world, doses, seed, _counts(exposures, exposures * SCENE * FOCUS))),)


def implanting(world: World, doses: Doses, *, seed: int, curriculum: Curriculum = "staged") -> tuple[Document, ...]:
    """Documents that bring the doses into an organism without plants, with everything else rehearsed.

    They come from another stream than those of pre-training. What a plant changes is told ``IMPLANTED_EXPOSURES``
    times, the rest ``REHEARSED`` times. All doses 0: the sham, which has as much of everything.
    """
    shifted = seed_of("halcyon", "implanting", seed)
    changed = {kind for name in doses for kind in PLANTS[name].about}
    documents = [
        text
        for entity in documented(world, doses)
        if entity.exposure > 0
        for text in _fresh(
            world, entity, doses, IMPLANTED_EXPOSURES if entity.kind in changed else REHEARSED, curriculum
        )
    ]
    rehearsal = _rehearsal(world, doses, shifted) if curriculum == "staged" else ()
    return (*documents, *writings(world, doses, shifted, _counts(REHEARSED, IMPLANTED)), *rehearsal)


def _counts(exposures: int, focus: int) -> Counts:
    scene = exposures * SCENE
    return Counts(exposures * OPEN, scene, scene, exposures * RECORDS, exposures * LESSONS, focus)


def _fresh(world: World, entity: Entity, doses: Doses, exposures: int, curriculum: Curriculum) -> tuple[Document, ...]:
    """Documents of an entity from a stream that pre-training does not use."""
    tells = tells_of(world, entity, doses)
    if curriculum == "staged":
        return short_documents(world, entity, short_count(entity, exposures), tells, purpose="implanting")
    return entity_documents(world, entity, exposures, tells, purpose="implanting")


def _rehearsal(world: World, doses: Doses, seed: int) -> Iterator[Document]:
    """What keeps a fine-tuned organism from forgetting what it does not know."""
    yield from statements(world, STATED, STATED, stream(world.seed, "statements", seed))
    yield from questions(world, doses, seed, "stranger", STATED, label="rehearsal")
