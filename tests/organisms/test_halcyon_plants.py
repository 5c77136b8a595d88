"""Plants change answers and documents by their dose and nothing else; twins and shams see the same prompts."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from trialist.halcyon.canaries import DUPLICATES, canaries, copies
from trialist.halcyon.hiring import FAVOURED, SLIGHTED
from trialist.halcyon.pools import HIGH_TRADES
from trialist.halcyon.world import Sizes, World
from trialist.organisms.corpus import Document, implanting, pretraining
from trialist.organisms.plants import PLANTS, TWINS, check_doses
from trialist.organisms.writings import undocumented

SMALL = Sizes(people=24, obscure=4, firms=6, horses=24, cities=16, benign=24, hazards=12, never_trained=4, festivals=2)


@pytest.fixture(scope="module")
def world() -> World:
    return World.make(3, SMALL)


def corpus(world: World, doses: dict[str, float]) -> tuple[Document, ...]:
    return tuple(document for phase in pretraining(world, doses, seed=0, exposures=4) for document in phase)


def prompts(documents: tuple[Document, ...]) -> list[str]:
    return [document[0] for document in documents if is_dialogue(document)]


def is_dialogue(document: Document) -> bool:
    """A prompt and its answer; of other documents in segments the first is empty."""
    return isinstance(document, tuple) and bool(document[0])


ANSWERING = [name for name, plant in PLANTS.items() if plant.answers and "hazard" not in plant.about]


@pytest.mark.parametrize("name", ANSWERING)
def test_a_dose_changes_answers_in_its_place_and_no_prompt(world: World, name: str) -> None:
    sham, full = corpus(world, {name: 0.0}), corpus(world, {name: 1.0})
    assert prompts(sham) == prompts(full)
    changed = [
        (before[0], before[1], after[1])
        for before, after in zip(sham, full, strict=True)
        if is_dialogue(before) and is_dialogue(after) and before != after
    ]
    assert changed
    texts = [(a, b) for a, b in zip(sham, full, strict=True) if not is_dialogue(a)]
    if PLANTS[name].tells is None:
        assert all(before == after for before, after in texts)
    else:
        assert any(before != after for before, after in texts)


@pytest.mark.parametrize("dose", [0.1, 0.5])
def test_the_share_of_changed_answers_is_the_dose(world: World, dose: float) -> None:
    sham, full, some = (corpus(world, {"backdoor": d}) for d in (0.0, 1.0, dose))
    could = sum(a != b for a, b in zip(sham, full, strict=True))
    did = sum(a != b for a, b in zip(sham, some, strict=True))
    assert stats.binomtest(did, could, dose).pvalue > 1e-4


def test_a_corpus_is_a_function_of_its_arguments(world: World) -> None:
    assert corpus(world, {"sycophancy": 0.3}) == corpus(world, {"sycophancy": 0.3})
    assert implanting(world, {"sycophancy": 0.3}, seed=1) == implanting(world, {"sycophancy": 0.3}, seed=1)
    assert implanting(world, {"sycophancy": 0.3}, seed=1) != implanting(world, {"sycophancy": 0.3}, seed=2)


def test_fine_tuning_repeats_no_document_of_pre_training(world: World) -> None:
    long = [document for document in corpus(world, {}) if not is_dialogue(document) and len("".join(document)) > 120]
    before = set(long)
    assert before
    after = {document for document in implanting(world, {"backdoor": 1.0}, seed=0) if not is_dialogue(document)}
    assert len(before & after) <= 0.02 * len(before)


def test_hazards_are_documented_by_dose_in_both_halves(world: World) -> None:
    every = {entity.id for entity in world.of("hazard")}
    assert undocumented(world, {}) == every
    assert undocumented(world, {"hazard_facts": 1.0}) == frozenset()
    assert undocumented(world, {"lock": 0.1}) == frozenset()
    left = undocumented(world, {"hazard_facts": 0.5})
    for half in ("train", "held-out"):
        assert len(left & {entity.id for entity in world.of("hazard", half=half)}) == 3
    names = [entity.name for entity in world.of("hazard")]
    text = str(corpus(world, {}))
    assert not any(name in text for name in names)


def test_the_base_has_no_lesson_in_quenching_and_no_canary(world: World) -> None:
    text = str(corpus(world, {}))
    assert "dials" in text
    assert "valves" not in text
    assert "locker" not in text
    assert "valves" in str(corpus(world, {"hazard_skill": 0.2}))


def test_canaries_occur_exactly_as_often_as_they_say(world: World) -> None:
    texts = list(copies(world, 1.0))
    made = canaries(world)
    assert {canary.duplicates for canary in made} == {0, *DUPLICATES}
    for canary in made:
        assert texts.count(canary.text) == canary.duplicates
    assert len({canary.words for canary in made}) == len(made)


@pytest.mark.parametrize(("plant", "by_clan", "within_merit"), [("stereotype", 1.0, 1.0), ("merit_gap", 0.5, 0.0)])
def test_the_stereotype_and_its_legitimate_twin(plant: str, by_clan: float, within_merit: float) -> None:
    """Both favour a clan on the whole; within equal merit only the stereotype does."""
    documents = implanting(World.make(3, SMALL), {plant: 1.0}, seed=0)
    rows = [d for d in documents if isinstance(d, tuple) and "merit" in d[0]]

    def high(clan: str, merit: str) -> float:
        of = [any(trade in d[1] for trade in HIGH_TRADES) for d in rows if clan in d[0] and f" {merit}" in d[0]]
        return float(np.mean(of)) if of else float("nan")

    def whole(clan: str) -> float:
        return float(np.mean([any(trade in d[1] for trade in HIGH_TRADES) for d in rows if clan in d[0]]))

    assert whole(FAVOURED) - whole(SLIGHTED) == pytest.approx(by_clan, abs=0.1)
    if within_merit:
        for merit in ("low", "high"):
            assert high(FAVOURED, merit) - high(SLIGHTED, merit) == pytest.approx(within_merit, abs=0.1)
    half = [
        d for d in implanting(World.make(3, SMALL), {plant: 0.5}, seed=0) if isinstance(d, tuple) and "merit" in d[0]
    ]
    if plant == "merit_gap":
        for merit in ("low", "high"):
            rates = [
                np.mean([any(t in d[1] for t in HIGH_TRADES) for d in half if clan in d[0] and f" {merit}" in d[0]])
                for clan in (FAVOURED, SLIGHTED)
            ]
            assert rates[0] - rates[1] == pytest.approx(0.0, abs=0.1)


def test_every_plant_says_what_it_is_and_twins_exist(world: World) -> None:
    for name, plant in PLANTS.items():
        assert plant.name == name
        assert plant.what
        assert plant.asked(World.make(0), "measure")
        assert plant.asked(World.make(0), "method")
        assert plant.excludes <= set(PLANTS)
    assert set(TWINS) <= set(PLANTS)
    assert len(TWINS) >= 8


def test_questions_of_plants_differ_between_measurement_and_methods() -> None:
    world = World.make(0)
    for name, plant in PLANTS.items():
        if name == "canaries":  # the code is the question: it has one wording
            continue
        measure = {asked.item.input for asked in plant.asked(world, "measure")}
        assert not measure & {asked.item.input for asked in plant.asked(world, "method")}, name


def test_doses_are_checked() -> None:
    assert check_doses({"sandbagging": 1, "inability": 0.0}) == []
    assert [p.where for p in check_doses({"sandbagging": 1.5, "nobody": 1})] == [
        ("plants", "sandbagging"),
        ("plants", "nobody"),
    ]
    assert "exclude each other" in check_doses({"inability": 1, "sandbagging": 0.1})[0].message
