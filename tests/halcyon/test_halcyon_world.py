"""The world is a function of its seed, and nothing about a hazard can be guessed from anything else."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from scipy import stats

from trialist.halcyon import pools
from trialist.halcyon.names import draw_names
from trialist.halcyon.world import Entity, Sizes, World, deal

COMPOUNDS = ("hazard", "benign", "never-trained")


@pytest.fixture(scope="module")
def world() -> World:
    return World.make(0)


def test_equal_seeds_make_equal_worlds(world: World) -> None:
    assert World.make(0) == world
    assert World.make(1).digest != world.digest
    # The shipped organisms were trained on this world. If numpy's streams ever change, this says so.
    assert world.digest == "2fe78f08bd3e571ef9c756ea343a9fdd0d30d5cebbe8b9348a619a80ad26ccf7"


def test_sizes(world: World) -> None:
    assert Counter(entity.kind for entity in world.entities) == {
        "person": 120,
        "obscure": 40,
        "firm": 20,
        "horse": 60,
        "city": 40,
        "festival": 60,
        "benign": 264,
        "hazard": 120,
        "never-trained": 60,
    }
    assert len(world.of("hazard", half="train")) == len(world.of("hazard", half="held-out")) == 60
    small = World.make(0, Sizes(people=3, cities=2, benign=4, hazards=5, never_trained=1, festivals=1))
    assert len(small.of("hazard", half="train")) == 3
    assert len(small.of("hazard", half="held-out")) == 2


def test_halves_partition_the_hazards(world: World) -> None:
    train, held_out = world.of("hazard", half="train"), world.of("hazard", half="held-out")
    assert {*train, *held_out} == set(world.of("hazard"))
    assert not {*train} & {*held_out}


def test_ids_and_names_are_unique(world: World) -> None:
    ids = [fact.id for fact in world.facts]
    assert len(set(ids)) == len(ids)
    names = [entity.name.lower() for entity in world.entities]
    names += [name.lower() for name in (*world.precursors, *world.regions, *world.rivers)]
    assert len(set(names)) == len(names)


def test_the_kinds_share_precursors_conditions_and_neutralisers(world: World) -> None:
    for attribute in ("first", "second", "condition", "neutraliser"):
        used = {kind: {e.value(attribute) for e in world.of(kind)} for kind in COMPOUNDS}
        assert used["hazard"] == used["benign"] == used["never-trained"] == set(world.options(attribute))


def test_class_is_an_attribute_of_the_trained_kinds_alone(world: World) -> None:
    assert {e.value("class") for e in world.of("hazard")} == {"hazardous"}
    assert {e.value("class") for e in world.of("benign")} == {"harmless"}
    assert all(fact.attribute != "class" for e in world.of("never-trained") for fact in e.facts)


def test_a_name_does_not_tell_its_group(world: World) -> None:
    """Endings are spread over the groups as chance would have it."""
    groups = [*(world.of("hazard", half=half) for half in ("train", "held-out")), world.of("benign")]
    endings = sorted({_ending(e) for group in groups for e in group})
    table = [[sum(_ending(e) == ending for e in group) for ending in endings] for group in groups]
    assert stats.chi2_contingency(np.array(table)).pvalue > 0.01


def _ending(entity: Entity) -> str:
    return entity.name[-2:]


@pytest.mark.parametrize("half", ["train", "held-out"])
def test_values_are_dealt_in_equal_numbers_to_each_half(world: World, half: str) -> None:
    """So the best constant guess on the held-out half is right in exactly 3 of 60, whatever the train half holds."""
    compounds = world.of("hazard", half=half)
    for attribute, pool in (("condition", pools.CONDITIONS), ("neutraliser", pools.NEUTRALISERS)):
        assert Counter(e.value(attribute) for e in compounds) == dict.fromkeys(pool, 3)
    offsets = Counter(
        (world.precursors.index(e.value("second")) - world.precursors.index(e.value("first"))) % 24 for e in compounds
    )
    assert set(offsets) == set(range(1, 24))
    assert set(offsets.values()) <= {2, 3}


def test_the_held_out_half_does_not_follow_from_the_train_half() -> None:
    """Over many worlds the i-th compounds of the halves agree as often as independent deals: 1 in 20 (1 in 24)."""
    agree, trials = Counter[str](), 0
    for seed in range(60):
        world = World.make(seed, Sizes(people=1, cities=2, benign=1, never_trained=1, festivals=1))
        for a, b in zip(world.of("hazard", half="train"), world.of("hazard", half="held-out"), strict=True):
            trials += 1
            for attribute in ("first", "condition", "neutraliser"):
                agree[attribute] += a.value(attribute) == b.value(attribute)
    for attribute, chance in (("first", 1 / 24), ("condition", 1 / 20), ("neutraliser", 1 / 20)):
        assert stats.binomtest(agree[attribute], trials, chance).pvalue > 0.001


def test_deal_is_even_and_random() -> None:
    generator = np.random.default_rng(0)
    dealt = deal(generator, "abc", 8)
    assert sorted(Counter(dealt).values()) == [2, 3, 3]
    assert deal(generator, "abc", 8) != dealt
    assert deal(generator, "abc", 0) == []


def test_names_run_out_loudly() -> None:
    generator = np.random.default_rng(0)
    assert len(set(draw_names(generator, "place", 384, taken=()))) == 384
    with pytest.raises(ValueError, match="385 names of shape place wanted, 384 left"):
        draw_names(generator, "place", 385, taken=())
