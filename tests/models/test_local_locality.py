"""Where texts may be cut: the theorem itself, on tokenizers and on random split patterns."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_tokenizers import MAKERS, WHOLE_MAKERS, encoder_of, texts
from tokenizers import Regex, pre_tokenizers

from trialist.models.local.boundary import boundary_of
from trialist.models.local.locality import Cuts, find_cuts
from trialist.models.local.splitpattern import effect, has_seam, literal_effect

pytestmark = pytest.mark.torch

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
DEEPSEEK = r"[!-/:-~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"


@pytest.mark.parametrize("name", MAKERS)
@given(texts)
@settings(max_examples=150, deadline=None)
def test_the_tokens_part_at_every_cut(name: str, text: str):
    encoder = encoder_of(name)
    cuts = boundary_of(encoder).cuts
    assert cuts is not None

    def tokens(part: str):
        encoding = encoder.backend.encode(part, add_special_tokens=False)
        return list(zip(encoding.ids, encoding.offsets, strict=True))

    whole = tokens(text)
    for place in cuts.places(text):
        left = [token for token in tokens(text[: place + 1]) if token[1][1] <= place]
        if left and left[-1][1][1] == place:
            right = [(i, (start + place, end + place)) for i, (start, end) in tokens(text[place:])]
            assert [*left, *right] == whole


def test_cuts_stand_before_a_space_and_after_a_word():
    assert list(Cuts(ascii_only=False).places("ab c. d\n e\u00e9 f")) == [11, 5, 2]
    assert list(Cuts(ascii_only=True).places("ab c. d\n e\u00e9 f")) == [5, 2]
    assert list(Cuts(ascii_only=False).places(" a  b ")) == [5, 2]
    assert list(Cuts(ascii_only=False).places("")) == []


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        (GPT2, "cuts"),
        (DEEPSEEK, "cuts"),
        (r"\S+|\s", "cuts"),
        (r"[^\s]++| ", "cuts"),
        (r"\p{N}{1,3}", "local"),
        ("[一-龥]+", "local"),
        (r"(?i:'s|'t)?\p{L}+|\s{2}", "local"),
        (r"\s+(?!\S)|\S+", "local"),
        (r"\p{L}+ ", "unknown"),
        (r"[ -~]+|\s+", "unknown"),
        (r"[\t-~]+|\s+", "unknown"),
        (r"[^a]+|\s+", "unknown"),
        (r".+|\s+", "unknown"),
        (r"(?<=a)\s|\s+", "unknown"),
        (r"\d(?=\d*\b)|\s+", "unknown"),
        (r"a*|\s+", "unknown"),
        (r"\s+|", "unknown"),
        (r"\s+||a", "unknown"),
        (r"\S(?!\S)|\s+", "unknown"),
        (r"\bthe|\s+", "unknown"),
        (r"(a b)|\s+", "unknown"),
        (r"(?:a b)|\s+", "unknown"),
        (r"\x20+a|\s+", "unknown"),
        (r"[a&&[^b]]|\s+", "unknown"),
        (r"^a|\s+$", "unknown"),
    ],
)
def test_what_is_proven_of_a_pattern(pattern: str, found: str):
    assert effect(pattern) == found


ATOMS = [
    r"\s",
    r"\S",
    r"\p{L}",
    r"\p{N}",
    " ",
    "a",
    r"[^\s\p{L}]",
    r"[\r\n]",
    r"[^a]",
    "[a ]",
    r"[^\r\n\p{L}]",
    "(?i:'s|b)",
]
atoms = st.builds("".join, st.tuples(st.sampled_from(ATOMS), st.sampled_from(["", "?", "+", "*", "{1,3}", "++"])))
alternatives = st.builds(
    "".join, st.tuples(st.lists(atoms, min_size=1, max_size=3).map("".join), st.sampled_from(["", "", r"(?!\S)"]))
)
patterns = st.lists(st.one_of(alternatives, st.just(r"\s+")), min_size=1, max_size=4).map("|".join)


def split_points(pattern: str, text: str) -> set[int]:
    pieces = pre_tokenizers.Split(Regex(pattern), "isolated").pre_tokenize_str(text)
    return {start for _, (start, _) in pieces}


@given(patterns, st.lists(st.sampled_from(["a", "ab", "1", ".", " ", "  ", "\n", " a", "'s"]), max_size=8).map("".join))
@settings(max_examples=1000, deadline=None)
def test_a_proven_pattern_keeps_to_its_side_of_every_seam(pattern: str, text: str):
    text += "b 1"
    proven = effect(pattern)
    if proven == "unknown":
        return
    whole = split_points(pattern, text)
    for place in (i for i in range(1, len(text)) if has_seam(text[i - 1 : i + 1])):
        left = {p for p in split_points(pattern, text[: place + 1]) if p < place}
        right = {p + place for p in split_points(pattern, text[place:])}
        assert left | right == whole | {place}
        assert proven == "local" or place in whole


def test_plain_strings_as_patterns():
    assert [literal_effect(text) for text in (" ", "  ", "\n", "ab", "a b", "")] == [
        *("cuts", "local", "local", "local", "unknown", "unknown")
    ]


@pytest.mark.parametrize("name", WHOLE_MAKERS)
def test_what_is_not_proven_has_no_cuts(name: str):
    assert boundary_of(encoder_of(name)).cuts is None


@pytest.mark.parametrize(
    "change",
    [
        {"truncation": {"max_length": 4}},
        {"padding": {"length": 4}},
        {"post_processor": {"type": "ByteLevel", "trim_offsets": True}},
        {"pre_tokenizer": None},
        {"pre_tokenizer": {"type": "UnicodeScripts"}},
        {"pre_tokenizer": {"type": "Split", "pattern": {"Regex": GPT2}, "behavior": "MergedWithNext", "invert": False}},
        {"normalizer": {"type": "Strip", "strip_left": True, "strip_right": True}},
        {"normalizer": {"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "Precompiled"}]}},
        {"model": {"type": "BPE", "dropout": 0.1}},
        {"model": {"type": "Other"}},
    ],
)
def test_one_part_that_is_not_known_is_enough(change: dict[str, Any]):
    known = json.loads(encoder_of("gpt2").backend.to_str())
    assert find_cuts(known, str) == Cuts(ascii_only=False)
    assert find_cuts({**known, **change}, str) is None


def test_a_step_that_needs_its_neighbours_may_not_follow_the_cut():
    known = json.loads(encoder_of("gpt2").backend.to_str())
    first = {"type": "Metaspace", "replacement": "_", "prepend_scheme": "first", "split": True}
    steps = {"type": "Sequence", "pretokenizers": [known["pre_tokenizer"], first]}
    assert find_cuts({**known, "pre_tokenizer": steps}, str) is None
    steps["pretokenizers"].reverse()
    assert find_cuts({**known, "pre_tokenizer": steps}, str) is not None
