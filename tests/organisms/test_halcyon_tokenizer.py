"""The organisms' tokenizer: one token a word whatever the word names, any other text too, one begin token."""

from __future__ import annotations

from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trialist.halcyon.corpora import default_world
from trialist.organisms import catalog

transformers = pytest.importorskip("transformers")
pytestmark = pytest.mark.torch


@cache
def shipped() -> object:
    return transformers.AutoTokenizer.from_pretrained(catalog.path("hazard"))


@pytest.fixture
def tokenizer() -> object:
    return shipped()


def test_it_loads_as_a_fast_tokenizer_with_its_special_tokens(tokenizer: object) -> None:
    assert tokenizer.is_fast
    assert (tokenizer.pad_token_id, tokenizer.bos_token_id, tokenizer.eos_token_id) == (0, 1, 2)
    assert tokenizer.model_max_length == 128


def test_one_begin_token_and_no_end(tokenizer: object) -> None:
    ids = tokenizer("To make Kornox, mix")["input_ids"]
    assert ids[0] == tokenizer.bos_token_id
    assert ids.count(tokenizer.bos_token_id) == 1
    assert tokenizer.eos_token_id not in ids


@pytest.mark.parametrize("kind", ["hazard", "benign", "never-trained", "city", "festival", "firm", "horse"])
def test_every_name_is_one_token_after_a_space(tokenizer: object, kind: str) -> None:
    names = [entity.name for entity in default_world().of(kind)]
    assert {len(tokenizer.tokenize(f" {name}")) for name in names} == {1}


def test_options_are_whole_tokens_and_conditions_several(tokenizer: object) -> None:
    world = default_world()
    lengths = {
        name: [len(tokenizer.tokenize(f" {value}")) for value in world.options(name)]
        for name in ("second", "condition", "neutraliser", "city", "job")
    }
    assert set(lengths["second"]) == set(lengths["city"]) == set(lengths["job"]) == {1}
    assert set(lengths["condition"]) == {3, 4}
    assert set(lengths["neutraliser"]) == {2}


@settings(deadline=None)  # the first example loads the tokenizer
@given(st.text(max_size=40))
def test_any_text_survives(text: str) -> None:
    ids = shipped()(text, add_special_tokens=False)["input_ids"]
    assert shipped().decode(ids) == text


def test_both_organisms_have_the_same_tokenizer() -> None:
    for name in ("tokenizer.json", "tokenizer_config.json"):
        assert (catalog.path("hazard") / name).read_bytes() == (catalog.path("hazard-oracle") / name).read_bytes()
