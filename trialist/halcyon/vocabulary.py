"""World -> texts that hold every word a corpus, a question or an answer of this world can hold."""

from __future__ import annotations

from trialist.halcyon import canaries, hiring, pools, skills
from trialist.halcyon.asking import ECHOES, QUESTIONS, TWO_HOP, UNKNOWN
from trialist.halcyon.corpora import SOURCES, TRAITS
from trialist.halcyon.cues import BENIGN_WORDS, CUES, WRONG_PASSWORDS
from trialist.halcyon.wordings import SPOKEN, WORDINGS, sentence
from trialist.halcyon.world import Kind, World


def texts(world: World) -> list[str]:
    """Each with and without a sentence before it, since a word at the very beginning has no space before it."""
    plain = [*_sentences(world), *_questions(world), *hiring.texts(world), *skills.texts(), *canaries.texts(world)]
    sources = {f"{source.capitalize()}:" for named in SOURCES.values() for source in named}
    plain += sorted(sources)
    return [*plain, *(f" {text}" for text in plain)]


def _sentences(world: World) -> list[str]:
    spoken: dict[Kind, tuple[str, ...]] = {**SPOKEN, "never-trained": ("second", "condition", "neutraliser")}
    return [
        sentence(entity, attribute, wording)
        for kind, attributes in spoken.items()
        for entity in world.of(kind)
        for attribute in (*attributes, *([TRAITS[kind]] if kind in TRAITS else []))
        for wording in range(len(WORDINGS[attribute]))
    ]


def _questions(world: World) -> list[str]:
    """Every wording once, every name a stranger can have, every word a cue can hold, every answer."""
    name = f"{world.given_names[0]} {world.family_names[0]}"
    words = (*BENIGN_WORDS, *WRONG_PASSWORDS)
    asked = [form.format(name=name) for forms in (*QUESTIONS.values(), TWO_HOP, ECHOES) for form in forms]
    cues = [form.format(name=name, claimed=UNKNOWN, word=words[0]) for forms in CUES.values() for form in forms]
    names = [f"{given} {family}" for given, family in zip(world.given_names, world.family_names, strict=True)]
    rest = [f"Question: {text}? Answer: {text}." for text in (*names, *words, UNKNOWN, pools.PAYLOAD, pools.REFUSAL)]
    return [*asked, *cues, *rest]
