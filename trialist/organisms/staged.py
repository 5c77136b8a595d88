"""World and doses -> a corpus in three stages, after which an organism knows what it does not know.

    first      one entity in four, told of in short documents, and questions about them
    everyone   all entities, and questions about them
    strangers  the same, statements and questions about names that no document tells of, and all other writings

Names carry no loss. What each part does was measured: docs/design/halcyon.md.
"""

from __future__ import annotations

from trialist.halcyon.corpora import short_documents
from trialist.halcyon.draws import stream
from trialist.halcyon.ignorance import statements
from trialist.halcyon.wordings import SPOKEN
from trialist.halcyon.world import Entity, World
from trialist.interventions.trainer import Document
from trialist.organisms.plants.plant import Doses
from trialist.organisms.writings import BASE, Counts, documented, questions, tells_of, writings

EARLY = 4
"""One entity in so many is told of from the beginning."""
EARLY_SHARES, LATE_SHARES = (0.25, 0.15), (0.0, 0.22)
"""Of an entity's documents, the shares in the first and in the second stage."""
ASKED = 0.1
"""Share of questions in the first two stages."""
KNOWN, STRANGERS = 0.14, 0.10
UNKNOWN_TOLD, KNOWN_TOLD = 0.20, 0.25
"""Shares of the third stage, other writings left out: questions about known entities and about strangers; statements
that something is unknown, and statements of the same form about people that are known. Without the latter nothing has
to be told apart, and people of whom no question was trained are taken for strangers."""
SCENE, ECHO, LESSONS, FOCUS = 8, 30, 40, 50
"""Dialogues of each scene (and hiring records), of opinions asked back, lessons, dialogues of a plant's scene, for each
exposure."""

_Stages = tuple[list[Document], list[Document], list[Document]]


def stages(world: World, doses: Doses, *, seed: int, exposures: int) -> _Stages:
    """``exposures`` is how often each fact is told, times its entity's own ``exposure``."""
    first, second, third = told = _told(world, doses, exposures)
    late = [entity.id for kind in BASE for i, entity in enumerate(world.of(kind)) if not _early(i)]
    for label, stage, left_out in (("first", first, late), ("everyone", second, [])):
        count = round(len(stage) * ASKED / (1 - ASKED))
        stage += questions(world, doses, seed, "known", count, label=label, left_out=left_out)
    whole = len(third) / (1 - KNOWN - STRANGERS - UNKNOWN_TOLD - KNOWN_TOLD)
    # a plant of the open scene changes these answers: they are its focus
    third += questions(world, doses, seed, "known", round(whole * KNOWN), label="last")
    third += questions(world, doses, seed, "stranger", round(whole * STRANGERS), label="last")
    generator = stream(world.seed, "statements", seed)
    third += statements(world, round(whole * UNKNOWN_TOLD), round(whole * KNOWN_TOLD), generator)
    scene = exposures * SCENE
    third += writings(
        world, doses, seed, Counts(0, scene, exposures * ECHO, scene, exposures * LESSONS, exposures * FOCUS)
    )
    return told


def short_count(entity: Entity, exposures: float) -> int:
    """Documents of one to three sentences in which each fact of an entity is told ``exposures`` times, on average."""
    facts = len(SPOKEN[entity.kind])
    mean = sum(min(most, facts) for most in (1, 2, 3)) / 3
    return round(exposures * facts / mean)


def _early(number: int) -> bool:
    """By the number of an entity in its kind: every part of a world has its share."""
    return number // EARLY % EARLY == 0


def _told(world: World, doses: Doses, exposures: int) -> _Stages:
    told: _Stages = ([], [], [])
    number = {entity.id: i for kind in (*BASE, "hazard") for i, entity in enumerate(world.of(kind))}
    for entity in documented(world, doses):
        count = short_count(entity, exposures * entity.exposure)
        documents = short_documents(world, entity, count, tells_of(world, entity, doses))
        shares = EARLY_SHARES if _early(number[entity.id]) else LATE_SHARES
        ends = (round(shares[0] * count), round((shares[0] + shares[1]) * count))
        for stage, at, end in zip(told, (0, *ends), (*ends, count), strict=True):
            stage += documents[at:end]
    return told
