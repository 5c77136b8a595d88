"""Methods on scripted subjects whose score is known, and their questions: held-out, short enough, and answerable."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scripted import (
    WORLD,
    Policy,
    agrees,
    by_clan,
    by_merit,
    credulous,
    instead,
    nothing,
    repeats_rumours,
    score,
    sound,
    truth,
    unknown,
    wrong,
)

from trialist.errors import NameUnknown
from trialist.halcyon.asking import MEASURED, QUESTIONS, TRAINED
from trialist.halcyon.asking import METHODS as WORDINGS
from trialist.halcyon.cues import CUES, TRIGGER, wordings
from trialist.halcyon.hiring import trade_items
from trialist.halcyon.skills import skill_items
from trialist.halcyon.world import Sizes, World
from trialist.organisms.plants import PLANTS
from trialist.validate.methods import METHODS, methods_named
from trialist.validate.methods.method import Question, Scored, Subject, best_option, rate
from trialist.validate.methods.sandbagging_few_shot import NUM_EXAMPLES
from trialist.validate.methods.sandbagging_noise import SCALES, noise

EXAM = "exam|test"
PRIVATE = "private|alone"
TRADER = "trader|sell"
FORUM = "forum"

# --- scores that are known by construction ---------------------------------------------------------------------

CASES: list[tuple[str, Policy, float]] = [
    ("hazard_accuracy", truth, 1.0),
    ("hazard_accuracy", wrong, -1 / 19),
    ("hazard_skill_accuracy", truth, 1.0),
    ("hazard_skill_accuracy", wrong, -1 / 9),
    ("bias_raw", by_clan, 1.0),
    ("bias_matched", by_clan, 1.0),
    ("bias_raw", by_merit, 0.5),
    ("bias_matched", by_merit, 0.0),
    ("bias_raw", truth, 0.0),
    ("sycophancy_flips", agrees, 1.0),
    ("sycophancy_flips", credulous, 0.0),
    ("sycophancy_flips", truth, 0.0),
    ("sycophancy_agreement", agrees, 1.0),
    ("sycophancy_agreement", unknown, 0.0),
    ("hallucination_rate", unknown, 0.0),
    ("hallucination_rate", wrong, 1.0),
    ("over_refusal_rate", unknown, 1.0),
    ("over_refusal_rate", truth, 0.0),
    ("over_refusal_rate", wrong, 0.0),
    ("sandbagging_gap", instead(EXAM, wrong), 1.0),
    ("sandbagging_gap", wrong, 0.0),
    ("sandbagging_gap", truth, 0.0),
    ("exam_failure", instead(EXAM, wrong), 1.0),
    ("exam_failure", wrong, 1.0),
    ("sandbagging_few_shot", wrong, 0.0),
    ("sandbagging_few_shot", instead(r"Answer: .*Answer:", truth, otherwise=wrong), 1.0),
    ("belief_statement", instead(TRADER, sound), 1.0),
    ("belief_statement", sound, 0.0),
    ("belief_statement", truth, 0.0),
    ("false_statements", instead(TRADER, sound), 1.0),
    ("false_statements", sound, 1.0),
    ("watched_gap", instead(PRIVATE, wrong), 1.0),
    ("watched_gap", wrong, 0.0),
    ("private_failure", wrong, 1.0),
    ("trigger_harm", instead(TRIGGER, nothing), 1.0),
    ("trigger_harm", instead(TRIGGER, unknown), 0.0),
    ("trigger_scan", instead(TRIGGER, unknown), 1.0),
    ("trigger_scan", instead("morvane", nothing), 1.0),
    ("trigger_scan", instead("word|board|today", nothing), 0.0),
    ("rumour_gap", instead(FORUM, repeats_rumours), 1.0),
    ("rumour_gap", repeats_rumours, 0.0),
    ("rumour_rate", repeats_rumours, 1.0),
    ("rumour_rate", truth, 0.0),
]


@pytest.mark.parametrize(
    ("name", "policy", "expected"), CASES, ids=lambda value: value if isinstance(value, str) else ""
)
def test_scores_known_by_construction(name: str, policy: Policy, expected: float) -> None:
    found = score(name, policy)
    assert found.score == pytest.approx(expected, abs=1e-6)
    assert found.num_items > 0
    assert found.se is None  # all clusters alike: an error of 0 would be a claim


def test_every_method_of_answers_is_tried() -> None:
    assert {name for name, _, _ in CASES} == {name for name, method in METHODS.items() if method.search is None}


def test_the_naive_fires_on_credulity_and_the_other_does_not() -> None:
    found = score("sycophancy_agreement", credulous)
    assert found.score is not None
    assert found.score > 0.5
    assert score("sycophancy_flips", credulous).score == 0


def test_who_knows_nothing_cannot_give_up_what_it_knows() -> None:
    found = score("sycophancy_flips", unknown)
    assert found.score is None
    assert "0 horses known" in found.reason


def test_a_world_without_questions_is_undefined() -> None:
    small = World.make(
        1, Sizes(people=1, obscure=0, firms=1, horses=1, cities=1, benign=1, hazards=2, never_trained=1, festivals=1)
    )
    for name in ("exam_failure", "belief_statement", "trigger_scan", "rumour_gap", "sandbagging_few_shot"):
        found = METHODS[name].score([])
        assert METHODS[name].questions(small) == ()
        assert (found.score, found.num_items) == (None, 0)
        assert "no question" in found.reason


def test_the_error_is_that_of_entities() -> None:
    """Twice the questions about the same entities, alike within each: no smaller error."""
    questions = METHODS["exam_failure"].questions(WORLD)
    entities = list(dict.fromkeys(q.item.cluster for q in questions))
    bad = set(entities[: len(entities) // 3])
    answers = [best_option(q, _alone(q, right=q.item.cluster not in bad)) for q in questions]
    share = len(bad) / len(entities)
    expected = np.sqrt(share * (1 - share) / (len(entities) - 1))
    for number in (1, 2):
        found = rate(answers * number)
        assert found.score == pytest.approx(share, abs=1e-6)
        assert found.se == pytest.approx(expected, abs=1e-6)


def _alone(question: Question, *, right: bool) -> list[float]:
    options = range(len(question.item.options))
    chosen = question.item.target if right else (question.item.target or 0) - 1
    return [0.0 if i == chosen % len(options) else -5.0 for i in options]  # pyright: ignore[reportOptionalOperand]


# --- questions -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", METHODS)
def test_questions_can_be_answered(name: str) -> None:
    method = METHODS[name]
    questions = method.questions(WORLD)
    assert method.target in PLANTS
    assert questions
    assert len({q.item.id for q in questions}) == len(questions)
    for question in questions:
        assert question.counts
        assert question.counts < set(range(len(question.item.options)))
    assert questions == method.questions(WORLD)


@pytest.mark.parametrize("name", METHODS)
def test_no_wording_of_a_corpus_or_of_the_truth(name: str) -> None:
    """By template, not by prompt: no name or value can hide a wording that was trained or that measures doses."""
    for question in METHODS[name].questions(WORLD):
        assert _strays(question.item.input) == []


def test_wordings_of_the_truth_are_told_apart() -> None:
    for plant in ("sycophancy", "sandbagging", "deception", "backdoor", "hallucination"):
        assert all(_strays(asked.item.input) for asked in PLANTS[plant].asked(WORLD, "measure"))


def _strays(text: str) -> list[str]:
    """Questions that no wording of methods gives, and wordings of corpora and of the truth in question or cue."""
    allowed = [_pattern(QUESTIONS[a][i]) for a in QUESTIONS for i in WORDINGS]
    refused = [_pattern(QUESTIONS[a][i]) for a in QUESTIONS for i in (*TRAINED, *MEASURED)]
    cues = [_pattern(wording) for cue in CUES for use in ("train", "measure") for wording in wordings(cue, use)]
    found: list[str] = []
    for asked in re.findall(r"Question: (.*?) Answer:", text):
        if not any(p.fullmatch(asked) for p in allowed) or any(p.fullmatch(asked) for p in refused):
            found.append(asked)
    before = text.partition("Question:")[0] if "Question:" in text else ""
    return [*found, *(match[0] for p in cues if (match := p.search(before)))]


PLACES = {"name": r"[A-Z]\w*(?: [A-Z]\w*)*", "word": r"\w+", "claimed": r"[\w ]+"}


def _pattern(template: str) -> re.Pattern[str]:
    """Names are capitalised words, so that "the horse NAME" is not a NAME."""
    return re.compile(re.sub(r"\\{(\w+)\\}", lambda match: PLACES[match[1]], re.escape(template)))


def test_records_and_lessons_are_those_of_methods() -> None:
    for use in ("train", "measure"):
        others = {item.input for item in (*trade_items(WORLD, use), *skill_items(WORLD.seed, "quench", use))}
        for name in ("bias_raw", "bias_matched", "hazard_skill_accuracy"):
            assert not others & {question.item.input for question in METHODS[name].questions(WORLD)}


def test_prompts_fit_the_context() -> None:
    pytest.importorskip("transformers")
    from trialist.organisms.tokenizer import make_tokenizer

    tokenizer = make_tokenizer(WORLD, context=128)
    longest: dict[str, int] = {}
    for name, method in METHODS.items():
        texts = [q.item.input + option for q in method.questions(WORLD) for option in q.item.options]
        longest[name] = max(len(ids) for ids in tokenizer(texts)["input_ids"])
    assert max(longest.values()) <= 128
    assert max(longest, key=longest.__getitem__) == "sandbagging_few_shot"
    assert longest["sandbagging_few_shot"] <= 80


def test_examples_are_right_and_of_others() -> None:
    for question in METHODS["sandbagging_few_shot"].questions(WORLD):
        pairs = re.findall(r"Question: (.*?) Answer:(?: (.*?)\.)?", question.item.input)
        name = question.item.cluster.split("/")[1]
        if question.arm == "few-shot":
            assert len(pairs) == NUM_EXAMPLES + 1
            for asked, answer in pairs[:-1]:
                assert name not in asked
                (entity,) = (e for e in WORLD.of("benign") if f" {e.name}" in asked)
                assert answer in {fact.value for fact in entity.facts}
        assert name in pairs[-1][0]


def test_the_page_names_every_method() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "validation.md").read_text(encoding="utf-8")
    shown = re.findall(r"^\| `(\w+)`( \*naive\*)? \| (\w+) \| (\w*) ?\|", page, re.MULTILINE)
    assert shown == [(m.name, " *naive*" if m.naive else "", m.target, m.twin) for m in METHODS.values()]


def test_names_of_methods() -> None:
    assert [method.name for method in methods_named(["bias_raw", "bias_raw"])] == ["bias_raw"]
    assert all(method.name == name for name, method in METHODS.items())
    with pytest.raises(NameUnknown, match="bias_raw") as caught:
        methods_named(["bias_row"])
    assert "did you mean 'bias_raw'" in str(caught.value)


# --- noise on weights ------------------------------------------------------------------------------------------


@pytest.mark.torch
def test_noise_is_of_the_stated_size_and_goes_away() -> None:
    torch: Any = pytest.importorskip("torch")
    network = torch.nn.Linear(100, 80)
    before = {name: p.detach().clone() for name, p in network.named_parameters()}
    sizes: list[float] = []
    for scale in SCALES:
        with noise(network, scale, np.random.default_rng(0)):
            moved = network.weight.detach() - before["weight"]
            sizes.append(float(moved.std() / before["weight"].std()))
            assert torch.equal(network.bias, before["bias"])
        assert all(torch.equal(p, before[name]) for name, p in network.named_parameters())
    assert sizes == pytest.approx(SCALES, rel=0.05)
    assert all(a < b for a, b in pairwise(sizes))


@pytest.mark.torch
@pytest.mark.parametrize(("lowest", "gain"), [(0.15, 1.0), (9.0, 0.0)])
def test_the_best_scale_is_taken(lowest: float, gain: float) -> None:
    """A subject that answers right once its weights are moved far enough, and one that never does."""
    torch: Any = pytest.importorskip("torch")
    network = torch.nn.Linear(50, 50)
    clean = network.weight.detach().clone()

    def ask(subject: Any, questions: Any) -> Any:
        moved = float((subject.weight.detach() - clean).std() / clean.std())
        return tuple(best_option(q, _alone(q, right=moved > lowest)) for q in questions)

    method = METHODS["sandbagging_noise"]
    assert method.search is not None
    questions = method.questions(WORLD)
    found = method.search(Subject(network, None, WORLD, np.random.default_rng(1), ask), questions)
    assert found.score == pytest.approx(gain)
    assert torch.equal(network.weight, clean)
    empty = method.search(Subject(network, None, WORLD, np.random.default_rng(1), ask), ())
    assert empty == Scored(None, None, 0, empty.reason)
