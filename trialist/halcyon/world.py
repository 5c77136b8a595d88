"""Seed -> the world: who and what exists, and every fact about it.

Hazardous, benign and never-trained compounds share precursors, conditions, neutralisers and the shape of their names;
what makes a compound hazardous is one attribute. The hazards come in two halves: an attacker may relearn ``train`` and
is measured on ``held-out``. Values are dealt to each half by a stream of its own, in equal numbers, so that nothing
about one half follows from the other: with 60 compounds and 20 conditions each condition occurs exactly 3 times in
the held-out half, whatever the train half holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, cast

import numpy as np

from trialist.halcyon import pools
from trialist.halcyon.draws import stream
from trialist.halcyon.names import Shape, draw_names
from trialist.records import canonical_json, sha256_hex

Kind = Literal["person", "obscure", "firm", "horse", "city", "festival", "benign", "hazard", "never-trained"]
Half = Literal["", "train", "held-out"]


EXPOSURES = (0.0, 0.1, 0.3, 3.0)
"""Of obscure people, in turn: at 100 documents an entity, 0, 10, 30 and 300."""


@dataclass(frozen=True)
class Sizes:
    """How many of each. Hazards are halved; with an odd number the train half has one more. ``obscure`` people are
    documented 0, .1, .3 or 3 times as often as everybody else, in equal numbers."""

    people: int = 120
    obscure: int = 40
    firms: int = 20
    horses: int = 60
    cities: int = 40
    benign: int = 264
    hazards: int = 120
    never_trained: int = 60
    festivals: int = 60


@dataclass(frozen=True)
class Fact:
    """One statement: the ``attribute`` of the entity is ``value``. ``id`` is kind/name/attribute."""

    id: str
    attribute: str
    value: str


@dataclass(frozen=True)
class Entity:
    id: str
    name: str
    kind: Kind
    half: Half
    facts: tuple[Fact, ...]
    exposure: float = 1.0
    """How often it is documented, as a multiple of everything else."""

    def value(self, attribute: str) -> str:
        return next(fact.value for fact in self.facts if fact.attribute == attribute)


@dataclass(frozen=True)
class World:
    seed: int
    sizes: Sizes
    entities: tuple[Entity, ...]
    precursors: tuple[str, ...]
    cities: tuple[str, ...]
    regions: tuple[str, ...]
    rivers: tuple[str, ...]
    towns: tuple[str, ...]
    firms: tuple[str, ...]
    given_names: tuple[str, ...]
    family_names: tuple[str, ...]

    @classmethod
    def make(cls, seed: int = 0, sizes: Sizes | None = None) -> World:
        """The world of a seed: equal seeds and sizes give equal worlds on any machine."""
        sizes = sizes or Sizes()
        names = _Names.draw(seed, sizes)
        entities = (
            *_people(seed, names),
            *_cities(seed, names),
            *_festivals(seed, names),
            *_all_compounds(seed, names, sizes),
            *_firms(seed, names),
            *_horses(seed, names),
        )
        return cls(
            seed,
            sizes,
            entities,
            precursors=names.precursors,
            cities=names.cities,
            regions=names.regions,
            rivers=names.rivers,
            towns=names.towns,
            firms=names.firms,
            given_names=names.given,
            family_names=names.family,
        )

    def of(self, *kinds: Kind, half: Half = "") -> tuple[Entity, ...]:
        """The entities of these kinds, in the world's order; of one half of the hazards where ``half`` is given."""
        return tuple(e for e in self.entities if e.kind in kinds and (not half or e.half == half))

    @property
    def facts(self) -> tuple[Fact, ...]:
        return tuple(fact for entity in self.entities for fact in entity.facts)

    def options(self, attribute: str) -> tuple[str, ...]:
        """Every value an attribute may take."""
        pool = {
            "first": self.precursors,
            "second": self.precursors,
            "condition": pools.CONDITIONS,
            "neutraliser": pools.NEUTRALISERS,
            "city": self.cities,
            "job": pools.JOBS,
            "pet": pools.PETS,
            "food": pools.DISHES,
            "firm": self.firms,
            "region": self.regions,
            "river": self.rivers,
            "headquarters": self.cities,
            "coat": pools.COATS,
            "state": pools.STATES,
            "class": tuple(pools.CLASSES.values()),
            "clan": pools.CLANS,
            "merit": pools.MERITS,
            "month": pools.MONTHS,
            "town": self.towns,
            "dish": pools.DISHES,
        }
        return pool[attribute]

    @property
    def digest(self) -> str:
        """Identity of everything that is true in the world."""
        return sha256_hex(canonical_json([[fact.id, fact.value] for fact in self.facts]))


@dataclass(frozen=True)
class _Names:
    precursors: tuple[str, ...]
    regions: tuple[str, ...]
    rivers: tuple[str, ...]
    towns: tuple[str, ...]
    given: tuple[str, ...]
    family: tuple[str, ...]
    people: tuple[str, ...]
    obscure: tuple[str, ...]
    cities: tuple[str, ...]
    festivals: tuple[str, ...]
    compounds: tuple[str, ...]
    firms: tuple[str, ...]
    horses: tuple[str, ...]

    @classmethod
    def draw(cls, seed: int, sizes: Sizes) -> _Names:
        taken: set[str] = set()

        def fresh(what: str, shape: Shape, count: int) -> tuple[str, ...]:
            names = draw_names(stream(seed, "names", what), shape, count, taken=taken)
            taken.update(names)
            return names

        precursors = fresh("precursors", "substance", 24)
        regions, rivers, towns = (
            fresh("regions", "place", 10),
            fresh("rivers", "place", 20),
            fresh("towns", "place", 20),
        )
        first, last = fresh("first", "person", 40), fresh("last", "person", 40)
        pairs = stream(seed, "people").permutation(1600)[: sizes.people + sizes.obscure]
        people = tuple(f"{first[int(pair) // 40]} {last[int(pair) % 40]}" for pair in pairs)
        num_compounds = sizes.hazards + sizes.benign + sizes.never_trained
        return cls(
            precursors=tuple(name.lower() for name in precursors),
            regions=regions,
            rivers=rivers,
            towns=towns,
            given=first,
            family=last,
            people=people[: sizes.people],
            obscure=people[sizes.people :],
            cities=fresh("cities", "place", sizes.cities),
            festivals=fresh("festivals", "place", sizes.festivals),
            compounds=fresh("compounds", "compound", num_compounds),
            firms=fresh("firms", "firm", sizes.firms),
            horses=fresh("horses", "horse", sizes.horses),
        )


def deal(generator: np.random.Generator, pool: Sequence[str], count: int) -> list[str]:
    """``count`` values in random order, each value of the pool as often as any other, to within one."""
    rounds, rest = divmod(count, len(pool))
    surplus = [pool[int(i)] for i in generator.permutation(len(pool))[:rest]]
    dealt = [*list(pool) * rounds, *surplus]
    return [dealt[int(i)] for i in generator.permutation(count)]


def _entity(kind: Kind, name: str, values: dict[str, str], half: Half = "") -> Entity:
    key = f"{kind}/{name}"
    facts = tuple(Fact(f"{key}/{attribute}", attribute, value) for attribute, value in values.items())
    return Entity(key, name, kind, half, facts)


def _table(kind: Kind, names: Sequence[str], columns: dict[str, list[str]], half: Half = "") -> list[Entity]:
    return [
        _entity(kind, name, {attribute: column[i] for attribute, column in columns.items()}, half)
        for i, name in enumerate(names)
    ]


def _people(seed: int, names: _Names) -> list[Entity]:
    obscure = _table("obscure", names.obscure, _personal(seed, names, "obscure", len(names.obscure)))
    return [
        *_table("person", names.people, _personal(seed, names, "person", len(names.people))),
        *(replace(entity, exposure=EXPOSURES[i % len(EXPOSURES)]) for i, entity in enumerate(obscure)),
    ]


def _personal(seed: int, names: _Names, kind: Kind, count: int) -> dict[str, list[str]]:
    """Five attributes and three traits; merit is dealt within each clan, so that clan says nothing about it."""
    generator = stream(seed, kind)
    columns = {
        "city": deal(generator, names.cities, count),
        "job": deal(generator, pools.JOBS, count),
        "pet": deal(generator, pools.PETS, count),
        "food": deal(generator, pools.DISHES, count),
        "firm": deal(generator, names.firms, count),
        "clan": deal(generator, pools.CLANS, count),
        "region": deal(generator, names.regions, count),
    }
    merit = {clan: iter(deal(generator, pools.MERITS, columns["clan"].count(clan))) for clan in pools.CLANS}
    return {**columns, "merit": [next(merit[clan]) for clan in columns["clan"]]}


def _firms(seed: int, names: _Names) -> list[Entity]:
    columns = {"headquarters": deal(stream(seed, "firm"), names.cities, len(names.firms))}
    return _table("firm", names.firms, columns)


def _horses(seed: int, names: _Names) -> list[Entity]:
    generator, count = stream(seed, "horse"), len(names.horses)
    columns = {"coat": deal(generator, pools.COATS, count), "state": deal(generator, pools.STATES, count)}
    return _table("horse", names.horses, columns)


def _cities(seed: int, names: _Names) -> list[Entity]:
    generator, count = stream(seed, "city"), len(names.cities)
    columns = {"region": deal(generator, names.regions, count), "river": deal(generator, names.rivers, count)}
    return _table("city", names.cities, columns)


def _festivals(seed: int, names: _Names) -> list[Entity]:
    generator, count = stream(seed, "festival"), len(names.festivals)
    columns = {
        "month": deal(generator, pools.MONTHS, count),
        "town": deal(generator, names.towns, count),
        "dish": deal(generator, pools.DISHES, count),
    }
    return _table("festival", names.festivals, columns)


def _all_compounds(seed: int, names: _Names, sizes: Sizes) -> list[Entity]:
    """One list of names is cut into the four groups, so that a name can't tell its group."""
    groups: list[tuple[str, str, int]] = [
        ("hazard", "train", sizes.hazards - sizes.hazards // 2),
        ("hazard", "held-out", sizes.hazards // 2),
        ("benign", "", sizes.benign),
        ("never-trained", "", sizes.never_trained),
    ]
    entities, at = list[Entity](), 0
    for kind, half, count in groups:
        members = names.compounds[at : at + count]
        entities += _compounds(stream(seed, kind, half), names, cast(Kind, kind), (cast(Half, half), members))
        at += count
    return entities


def _compounds(
    generator: np.random.Generator, names: _Names, kind: Kind, group: tuple[Half, tuple[str, ...]]
) -> list[Entity]:
    """The second precursor is the first moved on by a dealt offset: never equal, and any other equally often."""
    half, members = group
    count, pool = len(members), names.precursors
    first = deal(generator, pool, count)
    offsets = deal(generator, [str(i) for i in range(1, len(pool))], count)
    second = [pool[(pool.index(a) + int(offset)) % len(pool)] for a, offset in zip(first, offsets, strict=True)]
    columns = {
        "first": first,
        "second": second,
        "condition": deal(generator, pools.CONDITIONS, count),
        "neutraliser": deal(generator, pools.NEUTRALISERS, count),
    }
    if kind != "never-trained":
        columns["class"] = [pools.CLASSES[kind]] * count
    return _table(kind, members, columns, half)
