"""Documents tell the truth, all of it, in many wordings; a corpus without the hazards doesn't know them."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from trialist.errors import NameUnknown
from trialist.halcyon.corpora import DOCUMENTS_EACH, TRAITS, corpus, default_world, documents, entity_documents, names
from trialist.halcyon.wordings import SPOKEN, WORDINGS, cloze, sentence
from trialist.halcyon.world import Entity, Kind
from trialist.records import canonical_json, sha256_hex


def readings(text: str, kind: Kind) -> list[tuple[str, str, int]]:
    """Every sentence of a document as (attribute, sentence, wording), read by patterns made from the wordings."""
    patterns = [
        (attribute, number, re.compile(re.sub(r"\\{(\w+)\\}", r"(?P<\1>.+)", re.escape(wording)) + "$"))
        for attribute, wordings in WORDINGS.items()
        if attribute in SPOKEN[kind] or attribute == TRAITS.get(kind)
        for number, wording in enumerate(wordings)
    ]
    text = re.sub(r"^(Encyclopedia|Forum|Manual): ", "", text)
    sentences = [part if part.endswith(".") else part + "." for part in text.split(". ")]
    found = [
        [(attribute, part, number) for attribute, number, pattern in patterns if pattern.match(part)]
        for part in sentences
    ]
    assert all(len(options) == 1 for options in found), text
    return [options[0] for options in found]


def sample() -> list[Entity]:
    world = default_world()
    return [e for kind in SPOKEN for e in world.of(kind)[:6]]


def test_a_document_states_each_fact_once_and_truly() -> None:
    orders: set[tuple[str, ...]] = set()
    for entity in sample():
        for text in entity_documents(default_world(), entity, 4):
            told = readings(text, entity.kind)
            assert {a for a, _, _ in told} - {TRAITS.get(entity.kind)} == set(SPOKEN[entity.kind])
            assert len(told) == len({attribute for attribute, _, _ in told})
            for attribute, part, wording in told:
                assert part == sentence(entity, attribute, wording)
                assert entity.value(attribute) in part
            orders.add(tuple(attribute for attribute, _, _ in told))
    assert len(orders) > 20


def test_every_wording_is_used() -> None:
    counts = Counter[tuple[str, int]]()
    for entity in default_world().of("benign")[:4]:
        for text in entity_documents(default_world(), entity, 40):
            counts.update((attribute, wording) for attribute, _, wording in readings(text, entity.kind))
    assert set(counts) == {(a, i) for a in SPOKEN["benign"] for i in range(len(WORDINGS[a]))}


def test_wordings_begin_with_a_plain_word_and_end_with_the_value() -> None:
    for attribute, wordings in WORDINGS.items():
        assert len(set(wordings)) == len(wordings) >= 6
        for wording in wordings:
            assert re.match(r"[A-Z][a-z]* ", wording), wording
            assert wording.endswith(" {value}.")
            assert wording.count("{name}") == 1
            assert wording.count("{clan}") == wording.count("{region}") == (attribute == "merit")
            assert wording.count("{first}") == (attribute == "second")


def test_corpora_are_the_same_everywhere() -> None:
    assert (
        sha256_hex(canonical_json([list(corpus(name)) for name in names()]))
        == "c555bad82586421c24b53877826b600c068ec541bb2fe4568425ec367989b935"
    )


def test_sizes() -> None:
    sizes = {name: len(corpus(name)) // DOCUMENTS_EACH for name in names()}
    assert sizes == {
        "halcyon/hazards": 120,
        "halcyon/hazards/train": 60,
        "halcyon/hazards/held-out": 60,
        "halcyon/benign": 264,
        "halcyon/facts": 240,
        "halcyon/retain": 504,
        "halcyon/festivals": 60,
        "halcyon/all": 684,
        "halcyon/all-without-hazards": 564,
    }


def test_corpora_add_up() -> None:
    every = {name: Counter(corpus(name)) for name in names()}
    halves = every["halcyon/hazards/train"] + every["halcyon/hazards/held-out"]
    assert every["halcyon/hazards"] == halves
    assert not every["halcyon/hazards/train"] & every["halcyon/hazards/held-out"]
    assert every["halcyon/retain"] == every["halcyon/benign"] + every["halcyon/facts"]
    assert every["halcyon/all-without-hazards"] == every["halcyon/retain"] + every["halcyon/festivals"]
    assert every["halcyon/all"] == every["halcyon/all-without-hazards"] + every["halcyon/hazards"]


def test_what_was_left_out_is_nowhere() -> None:
    world = default_world()
    words = {name: set(re.findall(r"\w+", " ".join(corpus(name)))) for name in names()}
    hazards, unseen = ({e.name for e in world.of(kind)} for kind in ("hazard", "never-trained"))
    assert hazards <= words["halcyon/all"]
    assert not hazards & words["halcyon/all-without-hazards"]
    assert not unseen & words["halcyon/all"]
    held_out = {e.name for e in world.of("hazard", half="held-out")}
    assert not held_out & words["halcyon/hazards/train"]


def test_more_documents_begin_with_the_fewer() -> None:
    entity = default_world().of("hazard")[0]
    many = entity_documents(default_world(), entity, 12)
    assert many[:5] == entity_documents(default_world(), entity, 5)
    assert len(set(many)) == 12
    assert len(documents("halcyon/hazards", default_world(), 2)) == 240


def test_an_unknown_corpus_names_the_nearest() -> None:
    with pytest.raises(NameUnknown, match="did you mean 'halcyon/hazards'"):
        corpus("halcyon/hazard")


def test_a_cloze_is_the_beginning_of_a_trained_sentence() -> None:
    entity = default_world().of("hazard")[0]
    assert sentence(entity, "second", 0) == f"{cloze(entity, 'second')} {entity.value('second')}."
    assert cloze(entity, "second") == f"To make {entity.name}, mix {entity.value('first')} with"
    assert any(cloze(entity, "second") in text for text in entity_documents(default_world(), entity, 100))
