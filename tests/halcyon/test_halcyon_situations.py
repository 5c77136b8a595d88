"""Situations: honest answers are facts, nothing that measures was ever trained, and who is unknown is unknown."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from trialist.halcyon.asking import MEASURED, METHODS, QUESTIONS, TRAINED, UNKNOWN
from trialist.halcyon.cues import CUES, Use, wordings
from trialist.halcyon.situations import SCENES, Situation, measuring, taught
from trialist.halcyon.strangers import strangers
from trialist.halcyon.wordings import WORDINGS
from trialist.halcyon.world import Entity, World

USES: tuple[Use, ...] = ("train", "measure", "method")


@pytest.fixture(scope="module")
def world() -> World:
    return World.make(0)


def everything(world: World, scene: str, count: int = 400) -> list[Situation]:
    generator = np.random.default_rng(0)
    made = list(taught(world, SCENES[scene], count, generator))
    return [*made, *measuring(world, SCENES[scene], "measure"), *measuring(world, SCENES[scene], "method")]


def by_id(world: World) -> dict[str, Entity]:
    return {entity.id: entity for entity in world.entities}


def test_every_attribute_has_eight_different_questions_in_three_uses() -> None:
    assert sorted([*TRAINED, *MEASURED, *METHODS]) == list(range(8))
    for attribute, forms in QUESTIONS.items():
        assert len(set(forms)) == 8, attribute
        assert all(form.count("{name}") == 1 and form.endswith("?") for form in forms)
        assert all(" {name}" in form for form in forms)


@pytest.mark.parametrize("cue", CUES)
def test_a_cue_says_no_wording_in_two_uses(cue: str) -> None:
    for one, two in combinations(USES, 2):
        assert wordings(cue, one)
        assert not set(wordings(cue, one)) & set(wordings(cue, two))


@pytest.mark.parametrize("cue", CUES)
def test_held_out_wordings_hold_no_word_that_training_never_shows(cue: str) -> None:
    def words(texts: list[str]) -> set[str]:
        return {word.strip(".,:").lower() for text in texts for word in text.split()}

    trained = words([form for name in CUES for form in wordings(name, "train")])
    trained |= words([forms[i] for forms in QUESTIONS.values() for i in TRAINED])
    trained |= words([form for forms in WORDINGS.values() for form in forms])
    held_out = words([form for use in USES[1:] for form in wordings(cue, use)])
    assert held_out - trained <= UNTRAINED


UNTRAINED = {"give"}
"""Stands in one held-out wording of ``advice``; replacing it would change the tokenizer of the shipped organisms."""


@pytest.mark.parametrize("scene", SCENES)
def test_the_honest_answer_is_the_fact(world: World, scene: str) -> None:
    entities = by_id(world)
    for situation in everything(world, scene):
        assert situation.truth in situation.options
        assert len(set(situation.options)) == len(situation.options)
        assert situation.prompt.endswith("? Answer:")
        if scene == "echo":
            assert situation.truth == situation.claimed
        elif situation.stranger:
            assert situation.truth == UNKNOWN
        else:
            assert situation.truth == entities[situation.entity].value(situation.attribute)
            assert situation.facts == (f"{situation.entity}/{situation.attribute}",)
        assert situation.item(0).options[situation.item(0).target or 0] == f" {situation.truth}"


@pytest.mark.parametrize("scene", SCENES)
def test_what_measures_was_never_trained(world: World, scene: str) -> None:
    trained = {s.prompt for s in taught(world, SCENES[scene], 3000, np.random.default_rng(1))}
    shown = {s.entity for s in taught(world, SCENES[scene], 3000, np.random.default_rng(2))}
    measured = {use: {s.prompt for s in measuring(world, SCENES[scene], use)} for use in ("measure", "method")}
    assert measured["measure"]
    assert measured["method"]
    for prompts in measured.values():
        assert not prompts & trained
    assert not measured["measure"] & measured["method"]
    if scene != "open":
        assert not {s.entity for s in measuring(world, SCENES[scene], "measure")} & shown


def test_opinions_are_right_or_wrong_as_the_variant_says(world: World) -> None:
    for situation in everything(world, "opinion"):
        assert situation.claimed in situation.prompt
        if not situation.stranger:
            assert (situation.claimed == situation.truth) == situation.variant.endswith("right")


def test_strangers_are_nobody_and_each_has_one_use(world: World) -> None:
    known = {entity.name for entity in world.of("person", "obscure")}
    sets = [set(strangers(world, use)) for use in USES]
    assert sum(map(len, sets)) == 1600 - len(known)
    assert not set.union(*sets) & known
    for one, two in combinations(sets, 2):
        assert not one & two
    assert strangers(world, "train") == strangers(World.make(0), "train")


def test_undocumented_entities_are_in_no_scene(world: World) -> None:
    every = {entity.id for entity in world.of("hazard")}
    generator = np.random.default_rng(0)
    assert not list(taught(world, SCENES["locked"], 50, generator, undocumented=every))
    some = {entity.id for entity in world.of("hazard", half="train")}
    assert {s.entity for s in taught(world, SCENES["locked"], 50, generator, undocumented=some)} <= every - some
