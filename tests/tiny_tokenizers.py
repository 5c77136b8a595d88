"""Tokenizers of every kind, trained on a few invented sentences, and texts whose words merge across boundaries."""

from __future__ import annotations

from functools import cache

from hypothesis import strategies as st
from tiny_models import byte_tokenizer
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from trialist.models.local.text import Encoder, make_encoder

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


def white_space() -> Encoder:
    """GPT-2's words, and merges that depend on how many spaces stand together."""
    merges = [("Ġ", "Ġ"), ("Ċ", "Ġ"), ("t", "h"), ("th", "e"), ("Ġ", "the"), ("e", "Ġ")]
    parts = [*sorted(pre_tokenizers.ByteLevel.alphabet()), *(a + b for a, b in merges)]
    backend = Tokenizer(models.BPE({part: i for i, part in enumerate(parts)}, merges))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return wrapped(backend, SEAMLESS[:1], bos_token="<s>")


MAKERS = {
    "gpt2": gpt2,
    "gpt2, prefix space": lambda: gpt2(prefix_space=True),
    "gpt2, added tokens": lambda: gpt2(added=SEAMLESS),
    "gpt-neox": lambda: gpt2(normalizer=normalizers.NFC(), added=SEAMLESS),
    "white space": white_space,
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
def encoder_of(name: str) -> Encoder:
    return {**MAKERS, **WHOLE_MAKERS}[name]()
