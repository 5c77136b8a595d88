"""The evaluations of the world Halcyon: identity, counts, and what degenerate respondents get."""

from __future__ import annotations

import importlib
import math
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from test_documents import blocks

from trialist.errors import DataError
from trialist.evaluations.capability.benign_compounds import BenignCompounds
from trialist.evaluations.capability.hazard_compounds import HazardCompounds
from trialist.evaluations.capability.never_trained_compounds import NeverTrainedCompounds
from trialist.evaluations.capability.two_hop import TwoHop
from trialist.evaluations.capability.world_facts import WorldFacts
from trialist.evaluations.check import check
from trialist.evaluations.protocol import Evaluation, identity
from trialist.evaluations.world import AskedWorld
from trialist.halcyon.asking import METHODS, QUESTIONS
from trialist.models.protocol import Choose
from trialist.records import Answer, Cell, Item
from trialist.trial.run import run
from trialist.trial.spec import Trial

EVALUATIONS = [HazardCompounds(), BenignCompounds(), NeverTrainedCompounds(), WorldFacts()]
COUNTS = {
    "hazard_compounds": (360, 120),
    "benign_compounds": (792, 264),
    "never_trained_compounds": (180, 60),
    "world_facts": (440, 160),
}


def answer(evaluation: Evaluation, item: Item, logprobs: tuple[float, ...], status: str = "ok") -> Answer:
    return Answer(Cell("control"), evaluation.name, item.id, 0, status, logprobs=logprobs)  # type: ignore[arg-type]


def mean_value(evaluation: Evaluation, right: float, wrong: float) -> float:
    values: list[float] = []
    for item in evaluation.items():
        logprobs = tuple(right if i == item.target else wrong for i in range(len(item.options)))
        (score,) = evaluation.score(item, answer(evaluation, item, logprobs))
        assert score.value is not None
        values.append(score.value)
    return sum(values) / len(values)


@pytest.mark.parametrize("evaluation", EVALUATIONS, ids=lambda e: e.name)
class TestEvery:
    def test_it_is_an_evaluation_found_by_its_module(self, evaluation: Evaluation) -> None:
        assert isinstance(evaluation, Evaluation)
        module = importlib.import_module(f"trialist.evaluations.capability.{evaluation.name}")
        assert type(evaluation).__name__ == "".join(word.capitalize() for word in evaluation.name.split("_"))
        assert getattr(module, type(evaluation).__name__) is type(evaluation)
        assert [metric.name for metric in evaluation.metrics] == ["accuracy"]
        assert evaluation.metrics[0].is_mean

    def test_counts(self, evaluation: Evaluation) -> None:
        items = list(evaluation.items())
        assert (len(items), len({item.cluster for item in items})) == COUNTS[evaluation.name]
        assert items == list(evaluation.items())

    def test_it_asks_for_its_options(self, evaluation: Evaluation) -> None:
        item = next(iter(evaluation.items()))
        assert evaluation.ask(item) == Choose(item.input, item.options)

    def test_one_who_knows_is_always_right_and_one_who_lies_never(self, evaluation: Evaluation) -> None:
        assert mean_value(evaluation, -1.0, -2.0) == 1.0
        assert mean_value(evaluation, -2.0, -1.0) == 0.0

    def test_one_who_cannot_tell_is_at_chance(self, evaluation: Evaluation) -> None:
        chance = [1 / len(item.options) for item in evaluation.items()]
        assert mean_value(evaluation, -1.0, -1.0) == pytest.approx(sum(chance) / len(chance))

    @pytest.mark.parametrize("position", [0, 7, 9])
    def test_one_who_always_takes_the_same_place_is_near_chance(self, evaluation: Evaluation, position: int) -> None:
        items = list(evaluation.items())
        share = sum(item.target == position for item in items) / len(items)
        assert share < 0.08

    def test_what_cannot_be_read_is_not_scored(self, evaluation: Evaluation) -> None:
        item = next(iter(evaluation.items()))
        broken = [(), (math.nan,) * len(item.options), (-1.0,)]
        answers = [answer(evaluation, item, logprobs) for logprobs in broken]
        answers.append(answer(evaluation, item, (-1.0,) * len(item.options), "error"))
        for given in answers:
            (score,) = evaluation.score(item, given)
            assert score.value is None
            assert score.measure == "accuracy"
            assert score.reason


def test_the_split_is_part_of_the_identity() -> None:
    assert identity(HazardCompounds()) == 'hazard_compounds@1{"split":"all"}'
    assert identity(HazardCompounds("held-out")) == 'hazard_compounds@1{"split":"held-out"}'
    assert identity(WorldFacts()) == "world_facts@1"


def test_the_halves_partition_the_items() -> None:
    halves = [HazardCompounds("train").items(), HazardCompounds("held-out").items()]
    assert [len(items) for items in halves] == [180, 180]
    assert {item.id for half in halves for item in half} == {item.id for item in HazardCompounds().items()}
    assert not {i.cluster for i in halves[0]} & {i.cluster for i in halves[1]}


def test_no_cluster_is_shared_between_evaluations() -> None:
    clusters = [item.cluster for e in EVALUATIONS for item in e.items()]
    assert len(set(clusters)) == sum(count for _, count in COUNTS.values())


# --- other forms, other worlds, two hops ---------------------------------------------------------------------

FORMS = [HazardCompounds(form=f) for f in ("question", "choice")] + [WorldFacts(form=f) for f in ("question", "choice")]  # type: ignore[arg-type]
SMALL = AskedWorld(
    seed=3, people=8, obscure=0, firms=3, horses=8, cities=5, benign=4, hazards=8, never_trained=2, festivals=1
)


def test_what_is_left_at_its_default_is_not_part_of_the_identity() -> None:
    assert identity(WorldFacts(form="cloze", world=AskedWorld())) == identity(WorldFacts())
    assert identity(WorldFacts(form="choice")) == 'world_facts@1{"form":"choice"}'
    assert identity(WorldFacts(world=AskedWorld(seed=2, people=48))) == 'world_facts@1{"world":{"people":48,"seed":2}}'
    assert identity(TwoHop()) == 'two_hop@1{"hop":"both"}'


@pytest.mark.parametrize("evaluation", [*FORMS, TwoHop(), TwoHop("first"), TwoHop("second")], ids=identity)
def test_every_form_keeps_the_contract(evaluation: Evaluation) -> None:
    found = check(evaluation)
    assert found.ok, found.findings
    if evaluation.name != "two_hop":
        # (a city is the seat of one firm or of none, so that one that is always said can't be at chance)
        assert not [finding for finding in found.findings if finding.check == "chance"], found.findings


@pytest.mark.parametrize("evaluation", FORMS, ids=identity)
def test_free_questions_ask_what_no_corpus_asks(evaluation: Evaluation) -> None:
    items = list(evaluation.items())
    held_out = {form for forms in QUESTIONS.values() for form in (forms[i] for i in METHODS)}
    for item in items:
        name = item.cluster.partition("/")[2]
        asked = item.input.removeprefix("Question: ").partition("?")[0] + "?"
        assert asked.replace(name, "{name}") in held_out, item.input
        assert item.input.endswith(" Answer:")
    facts = {fact.id: fact.value for fact in AskedWorld().make().facts}
    for item in items:
        values = item.metadata.get("shown") or [option.strip() for option in item.options]
        assert item.target is not None
        assert values[item.target] == facts[item.metadata["fact"]]


def test_the_right_letter_is_dealt() -> None:
    for half in ("train", "held-out"):
        targets = Counter((i.stratum, i.target) for i in HazardCompounds(half, form="choice").items())  # type: ignore[arg-type]
        assert set(targets.values()) == {15}
    for item in WorldFacts(form="choice").items():
        assert item.options == (" A", " B", " C", " D")
        shown = item.metadata["shown"]
        assert len(set(shown)) == 4
        assert " ".join(f"{letter}. {value}" for letter, value in zip("ABCD", shown, strict=True)) in item.input


@pytest.mark.parametrize("form", ["question", "choice"])
def test_a_half_is_asked_as_it_is_asked_among_all(form: Any) -> None:
    whole = {item.id: item for item in HazardCompounds(form=form).items()}
    halves = [item for half in ("train", "held-out") for item in HazardCompounds(half, form=form).items()]  # type: ignore[arg-type]
    assert {item.id: item for item in halves} == whole


def test_wordings_do_not_follow_the_parts_that_scenes_are_cut_into() -> None:
    """Scenes show two entities of four: a wording must not be theirs alone."""
    seen: dict[int, set[bool]] = {}
    first = [forms[METHODS.start].format(name="") for forms in QUESTIONS.values()]
    items = {i.id: i for i in WorldFacts(form="question").items()}
    for number, person in enumerate(AskedWorld().make().of("person")):
        text = items[f"{person.id}/city"].input.removeprefix("Question: ").removesuffix(" Answer:")
        seen.setdefault(number % 4, set()).add(text.replace(person.name, "") in first)
    assert seen == {part: {True, False} for part in range(4)}


def test_a_small_world_has_fewer_letters_and_one_value_is_no_choice() -> None:
    assert {len(i.options) for i in WorldFacts(form="choice", world=SMALL).items()} == {4}
    two = AskedWorld(people=4, firms=1, cities=2, horses=8, benign=4, hazards=4, never_trained=1, festivals=1)
    by_city = [i for i in WorldFacts(form="choice", world=two).items() if i.stratum == "city"]
    assert {i.options for i in by_city} == {(" A", " B")}
    assert Counter(i.target for i in by_city) == {0: 2, 1: 2}
    with pytest.raises(DataError, match=r"(?s)'city' has one value.*at least two"):
        WorldFacts(form="choice", world=replace(two, cities=1)).items()


def test_another_world_is_another_set_of_names() -> None:
    other = WorldFacts(world=AskedWorld(seed=2))
    assert len(other.items()) == 440
    people = [{i.cluster for i in e.items() if i.metadata["kind"] == "person"} for e in (other, WorldFacts())]
    assert not people[0] & people[1]
    assert len(HazardCompounds("train", world=SMALL).items()) == 12
    for wrong in ({"seed": -1}, {"people": 1.5}, {"seed": True}):
        with pytest.raises(ValueError, match="a whole number from 0"):
            AskedWorld(**wrong)  # type: ignore[arg-type]


def test_two_hops_follow_two_facts() -> None:
    world = SMALL.make()
    values = {fact.id: fact.value for fact in world.facts}
    items = TwoHop(world=SMALL).items()
    assert len(items) == 2 * 8
    assert len({item.cluster for item in items}) == 8
    for item in items:
        first, second = item.metadata["facts"]
        assert first == f"{item.cluster}/firm"
        assert second == f"firm/{values[first]}/headquarters"
        assert item.target is not None
        assert item.options[item.target].strip() == values[second]
        assert item.options[item.metadata["own"]].strip() == values[f"{item.cluster}/city"]
        assert values[first] not in item.input, "the firm itself would leave one hop"
    singles = [*TwoHop("first", world=SMALL).items(), *TwoHop("second", world=SMALL).items()]
    assert {item.metadata["fact"] for item in singles} >= {fact for item in items for fact in item.metadata["facts"]}


def test_the_shortcut_is_counted() -> None:
    evaluation = TwoHop()
    item = next(i for i in evaluation.items() if i.target != i.metadata["own"])
    logprobs = tuple(-1.0 if i == item.metadata["own"] else -2.0 for i in range(len(item.options)))
    scores = {s.measure: s.value for s in evaluation.score(item, answer(evaluation, item, logprobs))}
    assert scores == {"accuracy": 0.0, "own_city": 1.0}
    (single,) = TwoHop("first").score(item, answer(evaluation, item, logprobs))
    assert single.measure == "accuracy"


def test_the_page_of_two_hops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its spec runs (here with a model that knows nothing), and its snippet reads the folder of that run."""
    (text,) = blocks("docs/evaluations/two_hop.md", "yaml")
    monkeypatch.chdir(tmp_path)
    Path("two.yaml").write_text(text.replace("organism/hazard", "scripted/first"))
    assert run(Trial.load("two.yaml"), Path("run")).decision.verdict
    (code,) = blocks("docs/evaluations/two_hop.md", "python")
    exec(code, {})  # noqa: S102 - our own page
    people, right, asked = map(float, capsys.readouterr().out.split())
    assert (people, right, asked) == (0, 0, 0), "who always says the first city knows no fact in both wordings"
