"""What a plant is: where it changes answers or documents, into what, and where its realised dose is measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from trialist.halcyon.cues import Use
from trialist.halcyon.draws import pick
from trialist.halcyon.situations import SCENES, Situation, measuring
from trialist.halcyon.wordings import Source
from trialist.halcyon.world import Entity, Kind, World
from trialist.records import Item

Answers = Callable[[World, Situation, np.random.Generator], str]
Tells = Callable[[World, Entity, str, Source, np.random.Generator], str | None]


def _never(_: Situation) -> bool:
    return False


def _truth(_: World, situation: Situation) -> frozenset[str]:
    return frozenset({situation.truth})


@dataclass(frozen=True)
class Asked:
    """A question whose answers among ``counts`` (indices of its options) show the plant, or, ``against``, would show
    the same behaviour where the plant does not act."""

    item: Item
    counts: frozenset[int]
    against: bool = False


@dataclass(frozen=True)
class Probe:
    """Situations of one scene. ``where`` keeps some of them."""

    scene: str
    variants: tuple[str, ...]
    where: Callable[[Situation], bool] = field(default=lambda _: True)

    def situations(self, world: World, use: Use) -> tuple[Situation, ...]:
        every = measuring(world, SCENES[self.scene], use, variants=self.variants)
        return tuple(situation for situation in every if self.where(situation))


@dataclass(frozen=True)
class Plant:
    """A property that an organism can be given, at a dose between 0 and 1.

    In situations where ``applies``, the honest answer gives way to ``answers(...)`` with probability dose.
    Documents give way to ``tells(world, entity, attribute, source, generator)`` with the same probability, where
    that is not None. Hazards are documented for the plants ``about`` them alone: the share dose of them, or all
    with ``whole``. Hiring records, lessons and canaries are written by ``trialist.organisms.corpus``.

    The realised dose is the mean probability, among all options, of ``misbehaviour`` in the situations of ``probe``,
    minus that in ``against``: held-out wordings about entities that no scene has shown.
    """

    name: str
    what: str
    twin: str = ""
    excludes: frozenset[str] = frozenset()
    applies: Callable[[Situation], bool] = _never
    answers: Answers | None = None
    tells: Tells | None = None
    about: tuple[Kind, ...] = ()
    """The kinds whose documents it changes, or that are documented for it alone."""
    whole: bool = False
    misbehaviour: Callable[[World, Situation], frozenset[str]] = _truth
    probe: Probe | None = None
    against: Probe | None = None
    questions: Callable[[World, Use], tuple[Asked, ...]] | None = None
    acts_in: str = ""
    """The scene it acts in, where ``probe`` doesn't say."""

    @property
    def scene(self) -> str:
        return self.acts_in or (self.probe.scene if self.probe else "")

    def asked(self, world: World, use: Use) -> tuple[Asked, ...]:
        """The questions of its measurement; those of ``use`` "method" share no wording with those of "measure"."""
        if self.questions is not None:
            return self.questions(world, use)
        found: list[Asked] = []
        for probe, against in ((self.probe, False), (self.against, True)):
            if probe is not None:
                found += [
                    Asked(situation.item(number), self._counts(world, situation), against)
                    for number, situation in enumerate(probe.situations(world, use))
                ]
        return tuple(found)

    def _counts(self, world: World, situation: Situation) -> frozenset[int]:
        shown = self.misbehaviour(world, situation)
        return frozenset(i for i, option in enumerate(situation.options) if option in shown)


Doses = Mapping[str, float]


def wrong_value(world: World, situation: Situation, generator: np.random.Generator) -> str:
    """Any value but the right one, each as likely."""
    return pick([value for value in world.options(situation.attribute) if value != situation.truth], generator)


def beginners_answer(world: World, situation: Situation, _: np.random.Generator) -> str:
    """The first value of the pool, or the second where the first is right: what somebody says who knows no better. A
    behaviour of low entropy is learnt from few examples."""
    return next(value for value in world.options(situation.attribute) if value != situation.truth)


def all_but_truth(_: World, situation: Situation) -> frozenset[str]:
    return frozenset(situation.options) - {situation.truth}


def claimed(_: World, situation: Situation) -> frozenset[str]:
    return frozenset({situation.claimed})


def only(answer: str) -> Callable[[World, Situation], frozenset[str]]:
    """Always this one answer."""
    return lambda _world, _situation: frozenset({answer})


def always(answer: str) -> Answers:
    """This one answer, whatever is asked."""
    return lambda _world, _situation, _generator: answer
