"""World -> questions about facts, in three forms.

``cloze``: the beginning of a sentence in a trained wording, and every value it could end with. ``question``: a free
question in a wording that no corpus uses, and every value. ``choice``: the same question with four values behind
letters, and the letters as options.

A model without the fact can do no better than the pool allows: values are dealt in equal numbers, so that chance is
one in the number of options (1/23 for the second precursor, 1/20 for condition and neutraliser, 1/4 of the letters).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from trialist.errors import DataError
from trialist.halcyon.asking import METHODS, QUESTIONS, TWO_HOP, named
from trialist.halcyon.draws import stream
from trialist.halcyon.wordings import cloze
from trialist.halcyon.world import Entity, World, deal
from trialist.records import Item

Form = Literal["cloze", "question", "choice"]
Hop = Literal["both", "first", "second"]

COMPOUND_ATTRIBUTES = ("second", "condition", "neutraliser")
"""The second precursor is asked as a cloze only: no question about it has a wording."""
FACT_ATTRIBUTES = {"person": ("city", "job", "pet"), "city": ("region", "river")}
LETTERS = "ABCD"


def compound_items(world: World, compounds: Iterable[Entity], form: Form = "cloze") -> tuple[Item, ...]:
    """Three questions on each compound, two in the forms that ask freely; the compound is the cluster."""
    return _items(world, tuple((entity, COMPOUND_ATTRIBUTES) for entity in compounds), form)


def fact_items(world: World, form: Form = "cloze") -> tuple[Item, ...]:
    """Three questions on each person and two on each city; the person or city is the cluster."""
    entities = world.of("person", "city")
    return _items(world, tuple((entity, FACT_ATTRIBUTES[entity.kind]) for entity in entities), form)


def two_hop_items(world: World, hop: Hop = "both") -> tuple[Item, ...]:
    """The city of a person's employer, or one of the two facts that lead there, each in two held-out wordings.

    ``both``: the person is the cluster, options are all cities, ``metadata['facts']`` names both facts and
    ``metadata['own']`` is the index of the city where the person lives. ``first``: who employs the person, options are
    all firms. ``second``: where the firm sits; the firm is the cluster.
    """
    if hop == "second":
        return tuple(_asked(world, firm, "headquarters", wording) for firm in world.of("firm") for wording in METHODS)
    people = world.of("person")
    if hop == "first":
        return tuple(_asked(world, person, "firm", wording) for person in people for wording in METHODS)
    firms = {firm.name: firm for firm in world.of("firm")}
    return tuple(_chained(world, person, firms[person.value("firm")], n) for person in people for n in range(2))


def _items(world: World, asked: Sequence[tuple[Entity, tuple[str, ...]]], form: Form) -> tuple[Item, ...]:
    if form == "cloze":
        return tuple(_item(world, entity, attribute) for entity, attributes in asked for attribute in attributes)
    pairs = [(entity, attribute) for entity, attributes in asked for attribute in attributes if attribute in QUESTIONS]
    dealt: dict[tuple[str, str, str], dict[str, tuple[int, int]]] = {}
    found: list[Item] = []
    for entity, attribute in pairs:
        group = (entity.kind, entity.half, attribute)
        if group not in dealt:
            dealt[group] = _deal_group(world, entity, attribute)
        wording, letter = dealt[group][entity.id]
        free = _asked(world, entity, attribute, wording, suffix="")
        found.append(_lettered(world, free, letter) if form == "choice" else free)
    return tuple(found)


def _item(world: World, entity: Entity, attribute: str) -> Item:
    values = _options(world, entity, attribute)
    fact = next(fact for fact in entity.facts if fact.attribute == attribute)
    return Item(
        id=fact.id,
        input=cloze(entity, attribute),
        cluster=entity.id,
        options=tuple(f" {value}" for value in values),
        target=values.index(fact.value),
        stratum=attribute,
        metadata={"fact": fact.id, "kind": entity.kind},
    )


def _options(world: World, entity: Entity, attribute: str) -> tuple[str, ...]:
    """The pool; a second precursor is never the first, which the question already names."""
    pool = world.options(attribute)
    return tuple(value for value in pool if value != entity.value("first")) if attribute == "second" else pool


# --- free questions ------------------------------------------------------------------------------------------


def _deal_group(world: World, member: Entity, attribute: str) -> dict[str, tuple[int, int]]:
    """Wording and right letter of every entity of a group, each as often as any other. Dealt over the whole group, so
    that a half of the hazards is asked as it is asked among all, and says nothing about the other half."""
    group = [entity for entity in world.of(member.kind) if entity.half == member.half]
    num_letters = min(len(LETTERS), len(world.options(attribute)))
    generator = stream(world.seed, "asked", member.kind, member.half, attribute)
    wordings = deal(generator, [str(wording) for wording in METHODS], len(group))
    letters = deal(generator, [str(letter) for letter in range(num_letters)], len(group))
    return {entity.id: (int(w), int(a)) for entity, w, a in zip(group, wordings, letters, strict=True)}


def _asked(world: World, entity: Entity, attribute: str, wording: int, *, suffix: str | None = None) -> Item:
    """A free question with the whole pool as options."""
    values = world.options(attribute)
    fact = next(fact for fact in entity.facts if fact.attribute == attribute)
    return Item(
        id=fact.id + (f"/{wording - METHODS.start}" if suffix is None else suffix),
        input=f"Question: {named(attribute, entity.name, wording)} Answer:",
        cluster=entity.id,
        options=tuple(f" {value}" for value in values),
        target=values.index(fact.value),
        stratum=attribute,
        metadata={"fact": fact.id, "kind": entity.kind},
    )


def _lettered(world: World, free: Item, letter: int) -> Item:
    """Four values behind letters, the right one at ``letter``; the others are drawn, each as likely."""
    assert free.target is not None
    right, others = free.options[free.target], [o for i, o in enumerate(free.options) if i != free.target]
    if not others:
        raise DataError(
            f"'{free.stratum}' has one value in this world, so that there is nothing to choose",
            seen=right.strip(),
            allowed="at least two values",
            next_step="make the world larger, or leave 'form: choice' out",
        )
    order = stream(world.seed, "letters", free.id).permutation(len(others))[: len(LETTERS) - 1]
    shown = [others[int(i)] for i in order]
    shown.insert(letter, right)
    letters = LETTERS[: len(shown)]
    listed = "".join(f" {name}.{value}" for name, value in zip(letters, shown, strict=True))
    return Item(
        id=free.id,
        input=f"{free.input.removesuffix(' Answer:')}{listed} Answer:",
        cluster=free.cluster,
        options=tuple(f" {name}" for name in letters),
        target=letter,
        stratum=free.stratum,
        metadata={**free.metadata, "shown": [value.strip() for value in shown]},
    )


def _chained(world: World, person: Entity, firm: Entity, wording: int) -> Item:
    return Item(
        id=f"{person.id}/employer's city/{wording}",
        input=f"Question: {TWO_HOP[wording].format(name=person.name)} Answer:",
        cluster=person.id,
        options=tuple(f" {city}" for city in world.cities),
        target=world.cities.index(firm.value("headquarters")),
        stratum="employer's city",
        metadata={
            "facts": [f"{person.id}/firm", f"{firm.id}/headquarters"],
            "kind": person.kind,
            "own": world.cities.index(person.value("city")),
        },
    )
