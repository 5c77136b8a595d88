"""Log-probabilities: against a one-by-one oracle, for every architecture, in any order."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from tiny_models import CONFIGS, byte_tokenizer, network, write_model

from trialist.models.local import LocalModel
from trialist.models.local.backend import PlainTwinNotice
from trialist.models.local.scoring import batches
from trialist.models.local.scoring import score as score_all
from trialist.models.local.text import Continuation, make_encoder
from trialist.models.protocol import Choose, Failure, Generate, Keyed, Reply

pytestmark = pytest.mark.torch

QUESTIONS = (
    Choose("The thing in the abbey is", (" the band", " b", "n", " another one, which is longer")),
    Choose("x", (" the", " is", " b")),
    Choose("A" * 40 + " the", (" y", "re")),
    Choose("", ("the", "<s>")),
)


def keyed(*requests):
    return [Keyed(f"q{i}", i, request) for i, request in enumerate(requests)]


def score(made, continuations, tokens_per_batch: int) -> list[float]:
    return [found.logprob for found in score_all(made, continuations, tokens_per_batch)]


def answers(model: LocalModel, *requests) -> dict[str, Reply | Failure]:
    return {reply.key: reply.value for reply in model.answer(keyed(*requests))}


def make(kind: str, tmp_path, **fields) -> LocalModel:
    return LocalModel.load(write_model(tmp_path / kind, kind, **fields))


def oracle(model: LocalModel, prompt: str, option: str) -> float:
    """log P(option | prompt), one text at a time, softmax in numpy's float64."""
    found = model.encoder.continuation(prompt, option, None)
    with torch.no_grad():
        logits = model.network(input_ids=torch.tensor([found.row])).logits[0].double().numpy()
    logits = logits - logits.max(axis=1, keepdims=True)
    logprobs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return float(sum(logprobs[found.first + i, target] for i, target in enumerate(found.targets)))


@pytest.mark.parametrize("kind", sorted(CONFIGS))
def test_a_padded_batch_equals_one_by_one(kind: str, tmp_path):
    model = make(kind, tmp_path)
    replies = answers(model, *QUESTIONS)
    for i, question in enumerate(QUESTIONS):
        wanted = [oracle(model, question.prompt, option) for option in question.options]
        assert max(wanted) - min(wanted) > 0.1, "the options must differ for this test to mean anything"
        np.testing.assert_allclose(replies[f"q{i}"].logprobs, wanted, atol=1e-5, rtol=1e-5)


def test_probabilities_of_all_tokens_sum_to_one():
    made, vocabulary = network(), 272
    continuations = [Continuation((5, 9, 14), 2, (token,)) for token in range(vocabulary)]
    assert math.fsum(math.exp(value) for value in score(made, continuations, 4096)) == pytest.approx(1, abs=1e-5)


def test_the_chain_rule_holds():
    """log P(ab | x) = log P(a | x) + log P(b | xa): several targets of one row are each conditioned on those before."""
    made = network()
    joint, first, second = (
        Continuation((5, 9, 14), 1, (14, 20)),
        Continuation((5, 9), 1, (14,)),
        Continuation((5, 9, 14), 2, (20,)),
    )
    values = score(made, [joint, first, second], 4096)
    assert values[0] == pytest.approx(values[1] + values[2], abs=1e-5)


def test_order_and_batch_size_change_nothing_and_equal_lists_give_equal_bytes(tmp_path):
    model = make("llama", tmp_path)
    continuations = [model.encoder.continuation(q.prompt, o, None) for q in QUESTIONS for o in q.options]
    whole = score(model.network, continuations, 4096)
    assert score(model.network, continuations, 4096) == whole
    assert score(model.network, continuations[::-1], 4096)[::-1] == whole
    for budget in (1, 50, 120):
        np.testing.assert_allclose(score(model.network, continuations, budget), whole, atol=1e-5)


def test_single_token_options_share_one_row(monkeypatch):
    from trialist.models.local import _hub

    seen: list[tuple[int, ...]] = []
    real = _hub.logits_at

    def counting(made, rows, positions):
        seen.extend(rows)
        return real(made, rows, positions)

    monkeypatch.setattr(_hub, "logits_at", counting)
    encoder = make_encoder(byte_tokenizer(), 272)
    score(network(), [encoder.continuation("x", option, None) for option in "abcd"], 4096)
    assert len(seen) == 1


@pytest.mark.parametrize("budget", [1, 7, 10, 64])
def test_batches_keep_every_row_and_the_budget(budget: int):
    rows = [tuple(range(n)) for n in (1, 1, 2, 3, 3, 5, 8)]
    found = list(batches(rows, budget))
    assert [row for batch in found for row in batch] == rows
    assert all(len(batch) == 1 or len(batch) * len(batch[-1]) <= budget for batch in found)
    assert list(batches([], budget)) == []


def test_token_and_byte_counts(tmp_path):
    reply = answers(make("llama", tmp_path), Choose("x", (" the", "é")))["q0"]
    assert reply.num_tokens == (1, 2)
    assert reply.num_bytes == (4, 2)


def test_equal_options_get_equal_values(tmp_path):
    reply = answers(make("llama", tmp_path), Choose("x", (" the", " the", "y")))["q0"]
    assert reply.logprobs[0] == reply.logprobs[1] != reply.logprobs[2]


def test_one_bad_request_stops_no_other(tmp_path):
    model = make("llama", tmp_path)
    bad = [Choose("x", ("",)), Choose("x", ()), Choose("x" * 200, ("y",)), Choose(7, ("y",)), Generate("x" * 127, 10)]  # type: ignore[arg-type]
    good = Choose("x", (" the", "y"))
    replies = answers(model, *bad, good)
    assert [isinstance(replies[f"q{i}"], Failure) for i in range(6)] == [True] * 5 + [False]
    assert replies["q2"] == Failure("too long: 200 tokens, context 128")
    assert replies["q4"] == Failure("too long: 136 tokens, context 128")
    np.testing.assert_allclose(replies["q5"].logprobs, answers(model, good)["q0"].logprobs, atol=1e-6)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_logits_that_are_not_finite_are_failures(bad: float, tmp_path):
    model = make("llama", tmp_path)
    spoiled = model.with_network(Always(model.network, model.encoder.encode("y").ids[0], bad))
    with pytest.warns(PlainTwinNotice, match="no model of transformers"):
        replies = answers(spoiled, Choose("x", ("z", "y")), Generate("x", 2))
    assert "not finite" in replies["q0"].reason
    assert isinstance(replies["q1"], Reply if bad < 0 else Failure)


class Always(torch.nn.Module):
    """A network whose logit of one token is a given number."""

    def __init__(self, inner, token: int, value: float) -> None:
        super().__init__()
        self.inner, self.token, self.value = inner, token, value

    def forward(self, input_ids, attention_mask=None, past_key_values=None, use_cache=False):
        output = self.inner(input_ids=input_ids, attention_mask=attention_mask, use_cache=False)
        output.logits[..., self.token] = self.value
        return output


def test_an_impossible_other_token_harms_nothing(tmp_path):
    model = make("llama", tmp_path)
    other = model.encoder.encode("z").ids[0]
    masked = model.with_network(Always(model.network, other, float("-inf")))
    with pytest.warns(PlainTwinNotice, match="no model of transformers"):
        assert isinstance(answers(masked, Choose("x", ("y",)))["q0"], Reply)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_is_near_and_its_softmax_is_not_halved(dtype: str, tmp_path):
    folder = write_model(tmp_path / "m", scale=0.1)
    full, half = LocalModel.load(folder), LocalModel.load(folder, dtype=dtype)
    assert next(half.network.parameters()).dtype == getattr(torch, dtype)
    ask = Choose("The thing is", (" the", " b"))
    wanted, found = answers(full, ask)["q0"].logprobs, answers(half, ask)["q0"].logprobs
    np.testing.assert_allclose(found, wanted, atol=0.05)
    assert any(value != float(np.float16(value)) for value in found)


def test_abilities(tmp_path):
    assert make("llama", tmp_path).abilities == {"choose", "generate", "activations", "weights", "repeatable"}
    assert answers(make("gpt2", tmp_path)) == {}
