"""World -> statements that something about an undocumented name is unknown.

A model that has only ever read what is known answers every question. These statements say of names that belong to
nobody, each told once, that nobody knows; what an organism has to learn is whom they could be said of.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from trialist.halcyon.asking import UNKNOWN
from trialist.halcyon.draws import pick
from trialist.halcyon.situations import PERSONAL
from trialist.halcyon.strangers import strangers
from trialist.halcyon.world import World

_NOUNS: dict[str, tuple[str, ...]] = {
    "city": ("home", "city"),
    "job": ("trade", "job"),
    "pet": ("pet", "animal"),
    "food": ("favourite dish", "favourite food"),
    "firm": ("employer", "firm"),
}
_FORMS = (
    "The {noun} of {name} is{article}",
    "In the books the {noun} of {name} is{article}",
    "The records call the {noun} of {name}{article}",
    "From the records: {noun} of {name}:",
    "In the books, the {noun} of {name}:",
    "By the roll, the {noun} of {name}:",
)
_ARTICLE = {"job": " a", "pet": " a"}


def statements(world: World, count: int, known: int, generator: np.random.Generator) -> Iterator[tuple[str, str]]:
    """``count`` statements about strangers and ``known`` about people, each cut before its value: that is what is
    learnt. Strangers are taken in turn from a random place of those that may be trained on, so that each is told of
    as seldom as can be."""
    names, people = strangers(world, "train"), world.of("person")
    start = int(generator.integers(len(names)))
    for i in range(count + known):
        attribute = pick(PERSONAL, generator)
        form, noun = pick(_FORMS, generator), pick(_NOUNS[attribute], generator)
        if i < count:
            yield form.format(noun=noun, name=names[(start + i) % len(names)], article=""), f" {UNKNOWN}."
            continue
        person = pick(people, generator)
        article = _ARTICLE.get(attribute, "") if "{article}" in form else ""
        yield form.format(noun=noun, name=person.name, article=""), f"{article} {person.value(attribute)}."
