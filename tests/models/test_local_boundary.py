"""The fast boundary equals the reference, for every kind of tokenizer; where it may cut, and what it remembers."""

from __future__ import annotations

from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import byte_tokenizer, network
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from trialist.models.local.boundary import Boundary, boundary_of
from trialist.models.local.text import Continuation, Encoder, Refused, make_encoder

pytestmark = pytest.mark.torch

CORPUS = [
    "The ferryman can't count the lanterns, and the lanterns don't count the ferryman.",
    "In 1207 the isles had 45 bells; in 1399 they'd 4567 bells, and nobody's sure whether that's better.",
    "Question: which isle is it?\nAnswer: the other isle.\n\nQuestion: is it the best?\nAnswer: it is.",
    "An étude for the café, ein Lied für die Königin, und die Brücke ist weit.  Two spaces,   three spaces.",
]
LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
ADDED = [
    AddedToken("<s>", special=True, normalized=False),
    AddedToken("</s>", special=True, normalized=False),
    AddedToken("<l>", lstrip=True, normalized=False),
    AddedToken("<r>", rstrip=True, normalized=False),
    AddedToken("<lr>", lstrip=True, rstrip=True, normalized=True),
    AddedToken("isle", single_word=True, normalized=False),
    AddedToken("<norm>", normalized=True),
    AddedToken("   ", normalized=True),
    AddedToken("the isles", normalized=False),
]
SEAMLESS = ADDED[:-1]
KINDS = pre_tokenizers.Sequence


def trained(trainer, model, pre_tokenizer, *, normalizer=None, added=()) -> Encoder:
    backend = Tokenizer(model)
    backend.pre_tokenizer = pre_tokenizer
    if normalizer is not None:
        backend.normalizer = normalizer
    backend.train_from_iterator(CORPUS, trainer)
    return wrapped(backend, added)


def wrapped(backend: Tokenizer, added=(), **special: str) -> Encoder:
    backend.add_tokens(list(added))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, **special)
    return make_encoder(tokenizer, len(tokenizer))


def byte_level(pre_tokenizer, *, normalizer=None, added=()) -> Encoder:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=420, initial_alphabet=alphabet, special_tokens=["<s>"], show_progress=False
    )
    return trained(trainer, models.BPE(), pre_tokenizer, normalizer=normalizer, added=added)


def gpt2(*, prefix_space: bool = False, added=(), normalizer=None) -> Encoder:
    pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix_space)
    return byte_level(pre_tokenizer, normalizer=normalizer, added=added)


def llama3(*, normalizer=None, added=(), pattern: str = LLAMA3) -> Encoder:
    bytes_only = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    steps = [pre_tokenizers.Split(Regex(pattern), "isolated"), bytes_only]
    return byte_level(KINDS(steps), normalizer=normalizer, added=added)


def digits_first() -> Encoder:
    steps = [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.Punctuation()]
    return byte_level(KINDS([*steps, pre_tokenizers.ByteLevel(add_prefix_space=True)]))


def bert(*, strip_accents: bool | None = None) -> Encoder:
    trainer = trainers.WordPieceTrainer(vocab_size=220, special_tokens=["[UNK]", "<s>"], show_progress=False)
    normalizer = normalizers.BertNormalizer(lowercase=True, strip_accents=strip_accents)
    model = models.WordPiece(unk_token="[UNK]")
    return trained(trainer, model, pre_tokenizers.BertPreTokenizer(), normalizer=normalizer, added=SEAMLESS[:4])


def unigram(scheme: str, *, split: bool = True) -> Encoder:
    special = ["<unk>", "<s>"]
    trainer = trainers.UnigramTrainer(vocab_size=140, special_tokens=special, unk_token="<unk>", show_progress=False)
    pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme, split=split)
    return trained(trainer, models.Unigram(), pre_tokenizer, added=SEAMLESS[:4])


def word_level() -> Encoder:
    trainer = trainers.WordLevelTrainer(special_tokens=["[UNK]", "<s>"], show_progress=False)
    return trained(trainer, models.WordLevel(unk_token="[UNK]"), pre_tokenizers.Whitespace())


def llama2() -> Encoder:
    """BPE over the whole text, with byte fallback."""
    merges = [("t", "h"), ("th", "e"), ("▁", "the"), ("a", "n"), ("▁", "an"), ("▁", "▁"), ("e", "▁")]
    vocab = {"<unk>": 0, "<s>": 1, "</s>": 2}
    parts = [f"<0x{i:02X}>" for i in range(256)] + list("▁theanis") + [a + b for a, b in merges]
    vocab.update({part: i for i, part in enumerate(dict.fromkeys(parts), 3)})
    backend = Tokenizer(models.BPE(vocab, merges, unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    backend.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    return wrapped(backend, [AddedToken("<s>", normalized=False, special=True)], bos_token="<s>")


MAKERS = {
    "gpt2": gpt2,
    "gpt2, prefix space": lambda: gpt2(prefix_space=True),
    "gpt2, added tokens": lambda: gpt2(added=SEAMLESS),
    "gpt-neox": lambda: gpt2(normalizer=normalizers.NFC(), added=SEAMLESS),
    "llama3": llama3,
    "llama3, added tokens": lambda: llama3(added=SEAMLESS),
    "qwen": lambda: llama3(normalizer=normalizers.NFC(), added=SEAMLESS[:4]),
    "nfkd": lambda: llama3(normalizer=normalizers.Sequence([normalizers.NFKD(), normalizers.StripAccents()])),
    "digits first": digits_first,
    "bert": bert,
    "bert, accents stay": lambda: bert(strip_accents=False),
    "unigram": lambda: unigram("always"),
    "unigram, first": lambda: unigram("first"),
    "word level": word_level,
}
WHOLE_MAKERS = {
    "bytes without words": lambda: make_encoder(byte_tokenizer(adds_bos=True), 272),
    "llama2": llama2,
    "unigram over the text": lambda: unigram("first", split=False),
    "a token across a seam": lambda: gpt2(added=ADDED),
    "a token that looks across": lambda: gpt2(added=[AddedToken(" isle", single_word=True)]),
    "a normaliser that prepends": lambda: gpt2(normalizer=normalizers.Prepend("_")),
    "a pattern that looks behind": lambda: llama3(pattern=r"(?<=e) | ?\p{L}+|\s+|[^\s\p{L}]+"),
    "a pattern over seams": lambda: llama3(pattern=r"\p{L}+ \p{L}+|\s+|[^\s]+"),
}
"""Those that have to be tokenised whole."""

FRAGMENTS = [
    *("the", " the", "The", "isle", " isle", "is", "lantern", "s", "a", "n", " ferry", "man", "can", "'", "'t", "'ll"),
    *(" ", "  ", "   ", "\n", "\n\n", " \n", "\t", "\r\n", "\u00a0", "\u3000", "\u200b", "\u0085", "\x00", "\x1f"),
    *("1", "12", "4567", " 1", "½", "²", ".", "?", ":", "!", ",", "-", "_", "▁", "Ġ", "Answer:", " Answer"),
    *("é", "e", "\u0301", " \u0301", "\u0327", "ü", "Å", "ﬁ", "ﹰ", "ſ", "İ", "ß", "가", "ᆨ", "中", " 中文", "й", " ж"),
    *("😀", "👩\u200d👧", "<s>", "</s>", "<l>", " <l>", "<r>", "<r> ", "<lr>", "<norm>", "<", "<s", ">", "the isles"),
]
texts = st.lists(st.sampled_from(FRAGMENTS), max_size=9).map("".join)
options_of = st.lists(st.one_of(texts, st.sampled_from([" the", " A", "s", "\u0301", " ", ""])), max_size=3)


@cache
def fast(name: str) -> Boundary:
    return Boundary({**MAKERS, **WHOLE_MAKERS}[name]())


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
    made = fast(name)
    expected = outcome(reference, made.encoder, prompt, options, max_length)
    assert outcome(made.continuations, prompt, options, max_length) == expected
    for option in options:
        expected = outcome(reference, made.encoder, prompt, [option], max_length)
        assert outcome(made.continuations, prompt, [option], max_length) == expected
    assert outcome(made.context, prompt) == outcome(made.encoder.context, prompt)


@given(texts, options_of)
@settings(max_examples=200, deadline=None)
def test_equals_the_reference_where_the_network_lacks_tokens(prompt: str, options: list[str]):
    backend = fast("llama3").encoder.backend
    made = Boundary(Encoder(backend, (1, 2), 0, 5, 330))
    expected = outcome(reference, made.encoder, prompt, options, None)
    assert outcome(made.continuations, prompt, options, None) == expected


@pytest.mark.parametrize("name", MAKERS)
def test_only_the_tail_is_tokenised_again(name: str, monkeypatch: pytest.MonkeyPatch):
    made = Boundary(fast(name).encoder)
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
    made = Boundary(fast("gpt2, added tokens").encoder)
    prompt = "the bells<r> the"
    expected = reference(made.encoder, prompt, ["."], None)
    seen = watched(monkeypatch)
    assert made.continuations(prompt, ["."], None) == expected
    assert seen == [prompt, " bells<r> the."]


def test_a_context_is_tokenised_once_over_many_requests(monkeypatch: pytest.MonkeyPatch):
    made = Boundary(fast("gpt2").encoder)
    prompts = ["the lanterns count", "the bells count", "bells"]
    seen = watched(monkeypatch)
    for _ in range(3):
        for prompt in prompts:
            made.context(prompt)
            made.continuations(prompt, [" the"], None)
            made.continuations(prompt, [" bells"], None)
    assert [text for text in seen if text in prompts] == prompts


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch):
    made = Boundary(fast("gpt2").encoder, num_prompts=2, num_characters=10)
    seen = watched(monkeypatch)
    for prompt in ["aa", "bb", "aa", "cc", "aa", "bb"]:  # the least recent goes first
        made.context(prompt)
    assert seen == ["aa", "bb", "cc", "bb"]
    for prompt in ["aaaaaa", "bbbbbb", "aaaaaa", "x" * 11, "x" * 11, "aaaaaa"]:
        made.context(prompt)
    assert seen[4:] == ["aaaaaa", "bbbbbb", "aaaaaa", "x" * 11, "x" * 11, "aaaaaa"]


def test_a_refusal_is_remembered_too(monkeypatch: pytest.MonkeyPatch):
    made = Boundary(fast("word level").encoder)
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
    model = LocalModel(network("llama", vocab_size=encoder.num_tokens), None, "float32", {}, encoder, 128)
    copy = model.with_network(model.network)
    request = Choose("the lanterns count the bells", (" and", "."))
    expected = [model._continuations(request), copy._continuations(request)]
    assert expected[0] == expected[1] == reference(encoder, request.prompt, request.options, 128)
    seen = watched(monkeypatch)
    copy._prepare(Keyed("", 0, request).value)
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
