"""Draws: exact probabilities; a token depends on its seed, sample and step alone; the engine draws as the twin."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from draft_cases import ENDS, assert_same, decode, drafts, told
from engine_cases import ROOMY, after, engine, tiny
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import network

from trialist.models.local import sampling
from trialist.models.local.drafts import Draft, Row
from trialist.models.local.engine import Engine
from trialist.models.local.generation import generate, generate_plainly
from trialist.models.local.sampling import pick, uniforms
from trialist.models.local.schedule import Sizes
from trialist.models.local.scoring import score
from trialist.models.protocol import Failure

pytestmark = pytest.mark.torch

LOGITS = torch.tensor([2.0, float("-inf"), 0.5, -1.0, 1.5, float("-inf"), 0.0, float("-inf")])
KINDS = ("llama", "gemma2", "gpt_oss", "qwen2")
"""Grouped heads, a window shorter than the texts, sinks."""


def row(seed: int = 0, number: int = 0, step: int = 0, temperature: float = 1.0) -> Row:
    made = Row(Draft((3,), 99, temperature=temperature, seed=seed), number)
    made.tokens += [5] * step
    return made


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_frequencies_are_the_probabilities(temperature: float):
    """A fixed sample of 4,000 rows: seeds, samples and steps; chi-square with 4 degrees of freedom, 1 in 100,000."""
    rows = [row(seed, number, step, temperature) for seed in range(40) for number in range(10) for step in range(10)]
    tokens = pick(LOGITS.expand(len(rows), -1).clone(), rows).tokens
    counts = np.bincount(np.array(tokens), minlength=len(LOGITS))
    expected = len(rows) * torch.softmax(LOGITS.double() / temperature, 0).numpy()
    possible = expected > 0
    assert counts[~possible].sum() == 0
    assert (((counts - expected) ** 2)[possible] / expected[possible]).sum() < 28.5


@pytest.mark.parametrize("uniform", [0.0, 2.0**-53, 0.5, 1 - 2.0**-53])
@given(logits=st.lists(st.sampled_from([float("-inf"), -90.0, -3.0, 0.0, 2.0]), min_size=1, max_size=12))
@settings(max_examples=40)
def test_the_impossible_is_never_drawn(uniform: float, logits: list[float]):
    """Not even by the least and the largest of the random numbers."""
    table = torch.tensor([[*logits, 1.0, float("-inf")]])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sampling, "uniforms", lambda rows: np.full(len(rows), uniform))
        [token] = pick(table.clone(), [row()]).tokens
    assert token is not None
    assert table[0, token] > float("-inf")


@pytest.mark.parametrize("temperature", [1e-3, 1e-37, 1e-42, 1e-300])
def test_hardly_any_temperature_is_greedy(temperature: float):
    assert pick(LOGITS[None].clone(), [row(temperature=temperature)]).tokens == [0]


@pytest.mark.parametrize("temperature", [1e30, 1e300])
def test_an_endless_temperature_draws_all_possible_tokens(temperature: float):
    rows = [row(seed, temperature=temperature) for seed in range(200)]
    assert set(pick(LOGITS.expand(200, -1).clone(), rows).tokens) == {0, 2, 3, 4, 6}


@given(st.permutations(range(150)), st.integers(1, 150))
@settings(max_examples=20)
def test_a_token_depends_on_its_row_alone(order, size: int):
    """In any order, in any batch, beside greedy ones; each its own temperature."""
    rows = [row(seed, seed % 3, seed % 5, (seed % 4) / 2) for seed in range(150)]
    logits = torch.randn(150, 30, generator=torch.Generator().manual_seed(0))
    wanted = pick(logits.clone(), rows)
    part = order[:size]
    found = pick(logits[part], [rows[i] for i in part])
    assert list(found.tokens) == [wanted.tokens[i] for i in part]
    np.testing.assert_allclose(found.logprobs, [wanted.logprobs[i] for i in part], atol=1e-6)


def test_seed_sample_and_step_each_change_the_draw():
    numbers = uniforms([row(), row(seed=1), row(number=1), row(step=1), row(1, 1), row(1, 0, 1), row(0, 1, 1)])
    assert len(set(numbers.tolist())) == 7
    assert ((numbers >= 0) & (numbers < 1)).all()
    assert uniforms([row(seed=1)])[0] == numbers[1]


def test_greedy_takes_the_first_of_equals_and_nan_is_no_token():
    table = torch.tensor([[1.0, 3.0, 3.0], [1.0, float("nan"), 2.0], [1.0, float("inf"), 2.0]])
    for temperature in (0.0, 1.0):
        rows = [row(temperature=temperature) for _ in table]
        assert pick(table.clone(), rows).tokens[1:] == [None, None]
    assert pick(table[:1].clone(), [row(temperature=0.0)]).tokens == [1]


@pytest.mark.parametrize("kind", KINDS)
def test_the_engine_draws_as_the_twin(kind: str):
    asked = drafts()
    found = told(generate(engine(kind, Sizes(60, min_trunk=4, min_pairs=1, tile=16, block=8)), asked, ENDS, decode))
    assert_same(found, told(generate_plainly(tiny(kind), asked, ENDS, decode)))
    assert any(not reply.truncated for reply in found), "some must end early for this test to mean anything"
    for draft, reply in zip(asked, found, strict=True):
        assert len(reply.samples) == draft.num_samples
        for sample in reply.samples:
            parts = [after((*draft.context, *sample.tokens[:k]), (token,)) for k, token in enumerate(sample.tokens)]
            alone = [one.logprob for one in score(tiny(kind), parts, 4096)]
            np.testing.assert_allclose(sample.logprobs, alone, atol=1e-4)


def test_a_prompt_whose_numbers_are_not_finite_spoils_no_other():
    spoiled, bad = network("gemma2", tie_word_embeddings=False), 200
    with torch.no_grad():
        spoiled.get_input_embeddings().weight[bad] = float("nan")
    asked = [Draft((3, 4, last, 6), 4) for last in (5, bad, 7, 8)]
    found = told(generate(Engine(spoiled, Sizes(200), ROOMY), asked, frozenset(), decode))
    assert found.pop(1) == Failure("the model gives logits that are not finite")
    del asked[1]
    assert_same(found, told(generate_plainly(spoiled, asked, frozenset(), decode)))


def test_samples_differ_and_greedy_ones_do_not():
    asked = [Draft((3, 4), 12, temperature=1.0, num_samples=8, seed=1), Draft((3, 4), 12, num_samples=3)]
    drawn, greedy = told(generate(engine(), asked, frozenset(), decode))
    assert len({sample.tokens for sample in drawn.samples}) == 8
    assert len(greedy.samples) == 3
    assert len(set(greedy.samples)) == 1
    more = told(generate(engine(), [Draft((3, 4), 12, temperature=1.0, num_samples=3, seed=1)], frozenset(), decode))
    assert [s.tokens for s in more[0].samples] == [s.tokens for s in drawn.samples[:3]], "sample s is sample s"


@pytest.mark.parametrize("kind", ["llama", "gemma2"])
@pytest.mark.parametrize(("rows", "room"), [(3, 1 << 30), (512, 1), (7, 90), (1, 1)])
def test_rows_that_wait_get_the_same_text(kind: str, rows: int, room: int):
    asked = drafts()
    wanted = told(generate(engine(kind), asked, ENDS, decode))
    made = engine(kind)
    made.row_limit, made.key_value_room = rows, room
    assert_same(told(generate(made, asked, ENDS, decode)), wanted)


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_stop_strings_across_tokens_cut_where_they_begin(temperature: float):
    """Every run of two or three characters of a text of one-character tokens is a stop string in turn."""
    base = Draft((3, 4, 5), 16, temperature=temperature, seed=5)
    [free] = told(generate(engine(), [base], frozenset(), lambda ids: "".join(chr(200 + i) for i in ids)))
    text = free.text
    assert len(text) == 16
    stops = [text[at : at + size] for at in range(12) for size in (2, 3)]
    asked = [Draft(base.context, 16, (stop, "never"), temperature, 1, 5) for stop in stops]
    found = told(generate(engine(), asked, frozenset(), lambda ids: "".join(chr(200 + i) for i in ids)))
    for stop, reply in zip(stops, found, strict=True):
        assert (reply.text, reply.truncated) == (text[: text.index(stop)], False)
        assert len(reply.samples[0].tokens) == text.index(stop) + len(stop), "no step more than it takes to see it"
