"""The fast boundary equals the reference, for every kind of tokenizer; what is tokenised, and what is remembered."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import network
from tiny_tokenizers import MAKERS, WHOLE_MAKERS, encoder_of, gpt2, options_of, texts

from trialist.models.local.boundary import Boundary, boundary_of
from trialist.models.local.text import Continuation, Encoder, Refused

pytestmark = pytest.mark.torch


def fast(name: str) -> Boundary:
    return Boundary(encoder_of(name))


def outcome(ask, *arguments) -> list[Continuation] | str:
    try:
        return ask(*arguments)
    except Refused as refused:
        return str(refused)


def reference(encoder: Encoder, prompt: str, options, max_length: int | None) -> list[Continuation]:
    return [encoder.continuation(prompt, option, max_length) for option in options]


@pytest.mark.parametrize("name", [*MAKERS, *WHOLE_MAKERS])
@given(texts, options_of, st.sampled_from([None, None, 8]))
@settings(max_examples=120, deadline=None)
def test_equals_the_reference(name: str, prompt: str, options: list[str], max_length: int | None):
    made = boundary_of(encoder_of(name))
    expected = outcome(reference, made.encoder, prompt, options, max_length)
    assert outcome(made.continuations, prompt, options, max_length) == expected
    for option in options:
        expected = outcome(reference, made.encoder, prompt, [option], max_length)
        assert outcome(made.continuations, prompt, [option], max_length) == expected
    assert outcome(made.context, prompt) == outcome(made.encoder.context, prompt)


@given(texts, options_of)
@settings(max_examples=200, deadline=None)
def test_equals_the_reference_where_the_network_lacks_tokens(prompt: str, options: list[str]):
    whole = encoder_of("llama3")
    made = Boundary(Encoder(whole.backend, whole.encode("the isle").ids, 0, 5, 330))
    expected = outcome(reference, made.encoder, prompt, options, None)
    assert outcome(made.continuations, prompt, options, None) == expected


@pytest.mark.parametrize("name", MAKERS)
def test_only_the_tail_is_tokenised_again(name: str, monkeypatch: pytest.MonkeyPatch):
    made = fast(name)
    prompt, options = "the lanterns count the bells and the lanterns", [" count", " and", "."]
    expected = reference(made.encoder, prompt, options, None)
    seen = watched(monkeypatch)
    assert made.continuations(prompt, options, None) == expected
    assert seen == [prompt, *(" lanterns" + option for option in options)]


@pytest.mark.parametrize("name", WHOLE_MAKERS)
def test_what_is_not_provably_local_is_tokenised_whole(name: str, monkeypatch: pytest.MonkeyPatch):
    made = fast(name)
    assert made.cuts is None
    seen = watched(monkeypatch)
    outcome(made.continuations, "the isles and the lantern", [" and"], None)
    assert seen[-1] == "the isles and the lantern and"


def test_a_cut_keeps_away_from_tokens_that_strip(monkeypatch: pytest.MonkeyPatch):
    made = fast("gpt2, added tokens")
    prompt = "the bells<r> the"
    expected = reference(made.encoder, prompt, ["."], None)
    seen = watched(monkeypatch)
    assert made.continuations(prompt, ["."], None) == expected
    assert seen == [prompt, " bells<r> the."]


def test_a_cut_keeps_out_of_what_the_tokenizer_itself_puts_first():
    whole = encoder_of("gpt2")
    made = Boundary(Encoder(whole.backend, whole.encode("the isle").ids, None, None, whole.num_tokens))
    for prompt in ["the isle", "the bells", "the isle is"]:
        assert made.continuations(prompt, [" and"], None) == reference(made.encoder, prompt, [" and"], None)


def test_a_context_is_tokenised_once_over_many_requests(monkeypatch: pytest.MonkeyPatch):
    made = fast("gpt2")
    prompts = ["the lanterns count", "the bells count", "bells"]
    seen = watched(monkeypatch)
    for _ in range(3):
        for prompt in prompts:
            made.context(prompt)
            made.continuations(prompt, [" the"], None)
            made.continuations(prompt, [" bells"], None)
    assert [text for text in seen if text in prompts] == prompts


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch):
    made = Boundary(encoder_of("gpt2"), num_prompts=2, num_characters=10)
    seen = watched(monkeypatch)
    for prompt in ["aa", "bb", "aa", "cc", "aa", "bb"]:  # the least recent goes first
        made.context(prompt)
    assert seen == ["aa", "bb", "cc", "bb"]
    for prompt in ["aaaaaa", "bbbbbb", "aaaaaa", "x" * 11, "x" * 11, "aaaaaa"]:
        made.context(prompt)
    assert seen[4:] == ["aaaaaa", "bbbbbb", "aaaaaa", "x" * 11, "x" * 11, "aaaaaa"]


def test_a_refusal_is_remembered_too(monkeypatch: pytest.MonkeyPatch):
    made = fast("word level")
    seen = watched(monkeypatch)
    for _ in range(2):
        with pytest.raises(Refused, match="'zebra' is outside the vocabulary"):
            made.context("the zebra")
    assert seen == ["the zebra"]


@pytest.mark.parametrize("prompt", [None, 3, ["a"], "\ud800"])
def test_what_is_no_text_is_refused_as_before(prompt):
    made = fast("gpt2")
    expected = outcome(reference, made.encoder, prompt, ["a"], None)
    assert outcome(made.continuations, prompt, ["a"], None) == expected
    assert outcome(made.context, prompt) == expected
    assert made.continuations(prompt, [], None) == []


@pytest.mark.parametrize("option", [None, 3, "\ud800", ""])
def test_the_first_refused_option_gives_the_reason(option):
    made = fast("gpt2")
    options = [" the", option, "\udfff"]
    expected = outcome(reference, made.encoder, "the bells and", options, None)
    assert isinstance(expected, str)
    assert outcome(made.continuations, "the bells and", options, None) == expected


def test_a_model_and_its_copies_share_one_boundary():
    encoder = gpt2()
    first = boundary_of(encoder)
    assert boundary_of(encoder) is first
    assert boundary_of(gpt2()) is not first


def test_the_local_model_uses_it(monkeypatch: pytest.MonkeyPatch):
    from trialist.models.local.model import LocalModel
    from trialist.models.protocol import Choose, Keyed

    encoder = gpt2()
    network_ = network("llama", vocab_size=encoder.num_tokens)
    model = LocalModel(network_, SimpleNamespace(eos_token_id=None), "float32", {}, encoder, 128)
    request = Choose("the lanterns count the bells", (" and", "."))
    first = [reply.value for reply in model.answer([Keyed("", 0, request)])]
    seen = watched(monkeypatch)
    again = [reply.value for reply in model.with_network(model.network).answer([Keyed("", 0, request)])]
    assert again == first
    assert seen == [" bells and", " bells."]


def watched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts that go through the tokenizer from now on."""
    seen: list[str] = []
    encode = Encoder.encode

    def counting(self: Encoder, text: str):
        seen.append(text)
        return encode(self, text)

    monkeypatch.setattr(Encoder, "encode", counting)
    return seen
