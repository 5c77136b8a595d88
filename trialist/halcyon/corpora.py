"""World -> documents. A document tells one entity's facts, each in one of its wordings, in random order.

The j-th document of an entity depends on the world's seed and the entity alone, but for the values that a plant puts
in. Obscure people are in no named corpus, only in those that organisms are trained on. A corpus is therefore a set of
entities and a number of documents for each: ``halcyon/all`` without the hazards' documents *is* ``halcyon/all-
without-hazards``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import cache

import numpy as np

from trialist.errors import NameUnknown
from trialist.halcyon.cues import CUES, wordings
from trialist.halcyon.draws import pick, stream
from trialist.halcyon.wordings import SPOKEN, WORDINGS, Source, sentence
from trialist.halcyon.world import Entity, Kind, World

DOCUMENTS_EACH = 8
"""Documents of each entity in a named corpus."""

_FACTS: tuple[Kind, ...] = ("person", "city", "firm", "horse")

CORPORA: dict[str, Callable[[World], tuple[Entity, ...]]] = {
    "halcyon/hazards": lambda world: world.of("hazard"),
    "halcyon/hazards/train": lambda world: world.of("hazard", half="train"),
    "halcyon/hazards/held-out": lambda world: world.of("hazard", half="held-out"),
    "halcyon/benign": lambda world: world.of("benign"),
    "halcyon/facts": lambda world: world.of(*_FACTS),
    "halcyon/retain": lambda world: world.of("benign", *_FACTS),
    "halcyon/festivals": lambda world: world.of("festival"),
    "halcyon/all": lambda world: world.of(*_FACTS, "festival", "benign", "hazard"),
    "halcyon/all-without-hazards": lambda world: world.of(*_FACTS, "festival", "benign"),
}


SOURCES: dict[Kind, tuple[Source, ...]] = {
    "person": ("encyclopedia", "forum"),
    "obscure": ("encyclopedia", "forum"),
    "firm": ("encyclopedia", "forum"),
    "horse": ("encyclopedia", "forum"),
    "city": ("encyclopedia", "forum"),
    "festival": ("encyclopedia", "forum"),
    "benign": ("manual", "encyclopedia"),
    "hazard": ("manual", "encyclopedia"),
}
TRAITS: dict[Kind, str] = {"person": "merit", "obscure": "merit"}

Tells = Callable[[str, Source], str | None]


def names() -> tuple[str, ...]:
    return tuple(CORPORA)


@cache
def corpus(name: str) -> tuple[str, ...]:
    """The documents of a named corpus of the world with seed 0; the same on every machine.

    Raises ``NameUnknown`` with the nearest name.
    """
    return documents(name, default_world(), DOCUMENTS_EACH)


def documents(name: str, world: World, each: int) -> tuple[str, ...]:
    """``each`` documents of every entity of a named corpus: an entity's first, everyone's second, and so on."""
    if name not in CORPORA:
        raise NameUnknown("corpus", name, CORPORA)
    return interleave(entity_documents(world, entity, each) for entity in CORPORA[name](world))


def short_documents(
    world: World, entity: Entity, count: int, tells: Tells | None = None, *, purpose: str = "short"
) -> tuple[tuple[str, ...], ...]:
    """``count`` documents of one to three sentences each, in segments of which every other one is the name, the first
    of all: nobody can learn who is told of next. Sources are cited in the words of a question's cue as well as by their
    name, so that who is asked what a source holds can find it."""
    generator = stream(world.seed, purpose, entity.id)
    pattern = re.compile(f"( {re.escape(entity.name)})")
    texts = (_document(entity, generator, tells, most=int(generator.integers(1, 4)), cited=True) for _ in range(count))
    return tuple(("", *pattern.split(text)) for text in texts)


def entity_documents(
    world: World, entity: Entity, count: int, tells: Tells | None = None, *, purpose: str = "documents"
) -> tuple[str, ...]:
    """The first ``count`` documents of an entity. ``tells(attribute, source)`` may put another value in a fact's place;
    wordings, order and sources stay the same."""
    generator = stream(world.seed, purpose, entity.id)
    return tuple(_document(entity, generator, tells) for _ in range(count))


@cache
def default_world() -> World:
    return World.make(0)


def interleave(columns: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(text for row in zip(*columns, strict=True) for text in row)


def _document(
    entity: Entity,
    generator: np.random.Generator,
    tells: Tells | None,
    *,
    most: int | None = None,
    cited: bool = False,
) -> str:
    """Its facts in random order, under the name of a source every other time; traits are told in one of four. Of these
    sentences ``most`` are kept."""
    source = pick(SOURCES[entity.kind], generator) if generator.random() < 0.5 else ""
    attributes = list(SPOKEN[entity.kind])
    if entity.kind in TRAITS and generator.random() < 0.25:
        attributes.append(TRAITS[entity.kind])
    tags = [f"{source.capitalize()}:"] if source else []
    if source and cited and source in CUES:
        tags += wordings(source, "train")
    sentences = [pick(tags, generator)] if tags else []
    for i in generator.permutation(len(attributes))[:most]:
        attribute = attributes[int(i)]
        value = tells(attribute, source) if tells else None
        sentences.append(sentence(entity, attribute, int(generator.integers(len(WORDINGS[attribute]))), value))
    return " ".join(sentences)
