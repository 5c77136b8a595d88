"""Greedy text: against transformers' own greedy generation; ends, cuts, refusals."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny_models import CONFIGS, write_model

from trialist.models.local import LocalModel, _hub
from trialist.models.local.backend import PlainTwinNotice
from trialist.models.protocol import Failure, Generate, Keyed, Reply

pytestmark = pytest.mark.torch

WORDS = ("one", "two", "six", "ten", "red", "blue", "green", ".")
PROMPTS = ("The thing", "A band is in the abbey", "xyz", "abc", "<s>")


def ask(model: LocalModel, *requests: Generate) -> list[Reply | Failure]:
    found = {reply.key: reply.value for reply in model.answer(Keyed(str(i), i, r) for i, r in enumerate(requests))}
    return [found[str(i)] for i in range(len(requests))]


def theirs(model: LocalModel, prompt: str, max_tokens: int) -> list[int]:
    ids = torch.tensor([model.encoder.context(prompt)])
    with _hub.quiet():
        out = model.network.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            do_sample=False,
            max_new_tokens=max_tokens,
            eos_token_id=sorted(model._stop_ids),
            pad_token_id=2,
        )
    return out[0, ids.shape[1] :].tolist()


@pytest.mark.parametrize("kind", sorted(CONFIGS))
def test_equals_transformers_greedy_generation(kind: str, tmp_path):
    model = LocalModel.load(write_model(tmp_path / kind, kind))
    replies = ask(model, *(Generate(prompt, 24) for prompt in PROMPTS))
    for prompt, reply in zip(PROMPTS, replies, strict=True):
        tokens = theirs(model, prompt, 24)
        ended = tokens[-1] in model._stop_ids
        sample = reply.samples[0]
        assert list(sample.tokens) == tokens
        assert sample.truncated is reply.truncated is not ended
        assert sample.text == reply.text == model._decode(tokens[:-1] if ended else tokens)


@pytest.fixture
def model(tmp_path) -> LocalModel:
    return LocalModel.load(write_model(tmp_path / "m"))


def test_max_tokens_truncates_and_prefixes_agree(model: LocalModel):
    long, short = ask(model, Generate("The thing", 9), Generate("The thing", 4))
    assert long.truncated
    assert short.truncated
    assert long.text.startswith(short.text)
    assert len(long.text) > len(short.text)


def test_the_end_token_is_no_part_of_the_text(model: LocalModel):
    free = ask(model, Generate("The thing", 8))[0]
    third = theirs(model, "The thing", 8)[2]
    model.network.generation_config.eos_token_id = [third]
    ended = ask(model.with_network(model.network), Generate("The thing", 8))[0]
    assert not ended.truncated
    assert ended.text == model._decode(theirs(model, "The thing", 8)[:2])
    assert free.text.startswith(ended.text)
    at_once = ask(model.with_network(model.network), Generate("The thing", 3))[0]
    assert at_once == ended, "an end token within max_tokens is an end, not a truncation"


def test_stop_strings_cut_before_the_first_of_them(model: LocalModel):
    free = ask(model, Generate("The thing", 12))[0].text
    late, early = free[5:7], free[3]
    reply = ask(model, Generate("The thing", 12, stop=(late, early, "never said")))[0]
    assert (reply.text, reply.truncated) == (free[: free.index(early)], False)


def test_a_stop_string_in_the_prompt_stops_nothing(model: LocalModel):
    free = ask(model, Generate("The thing", 6))[0]
    assert "thing" not in free.text
    assert ask(model, Generate("The thing", 6, stop=("thing",)))[0] == free


def test_replies_do_not_depend_on_company(model: LocalModel):
    alone = [ask(model, Generate(prompt, 10))[0] for prompt in PROMPTS]
    together = ask(model, *(Generate(prompt, 10) for prompt in PROMPTS), Generate("abd", 3, stop=("a",)))
    for one, same in zip(alone, together, strict=False):
        assert one.samples[0].tokens == same.samples[0].tokens
        np.testing.assert_allclose(one.samples[0].logprobs, same.samples[0].logprobs, atol=1e-5)


def test_a_network_without_a_cache_gives_the_same_text(model: LocalModel):
    class Plain(torch.nn.Module):
        def __init__(self, inner) -> None:
            super().__init__()
            self.inner, self.config, self.generation_config = inner, inner.config, inner.generation_config

        def forward(self, input_ids, attention_mask=None, use_cache=False):
            return self.inner(input_ids=input_ids, attention_mask=attention_mask, use_cache=use_cache)

    asked = [Generate(prompt, 12) for prompt in PROMPTS]
    with pytest.warns(PlainTwinNotice, match="no model of transformers"):
        plain = ask(model.with_network(Plain(model.network)), *asked)
    assert [reply.samples[0].tokens for reply in plain] == [reply.samples[0].tokens for reply in ask(model, *asked)]


def test_a_leading_space_is_kept(tmp_path):
    """Word tokenizers put no space before the first word they decode: the text continues the prompt all the same."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    folder = write_model(tmp_path / "words", vocab_size=len(WORDS), eos_token_id=None)
    backend = Tokenizer(models.WordLevel({w: i for i, w in enumerate(WORDS)}))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=backend).save_pretrained(folder)
    reply = ask(LocalModel.load(folder), Generate("one two", 3))[0]
    assert reply.text.startswith(" ")


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (Generate("x", 0), "max_tokens"),
        (Generate("x", 3, stop=("",)), "empty stop"),
        (Generate(None, 3), "not a text"),  # type: ignore[arg-type]
        (Generate("x" * 100, 30), "too long: 129 tokens, context 128"),
    ],
)
def test_what_is_refused(model: LocalModel, request_: Generate, reason: str):
    assert reason in ask(model, request_)[0].reason


def test_the_context_may_be_used_to_its_end(model: LocalModel):
    assert isinstance(ask(model, Generate("x" * 100, 29))[0], Reply)
