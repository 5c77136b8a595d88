"""One organism -> what each method says of it. Answers that several methods need are asked for once."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from trialist.errors import MeasurementUndefined
from trialist.halcyon.world import World
from trialist.organisms.build import SPEC_FILE, check_whole
from trialist.organisms.spec import load_spec
from trialist.organisms.truth import option_logprobs
from trialist.records import Item, seed_of
from trialist.validate.methods.method import Answered, Method, Question, Scored, Subject, best_option, undefined

Logprobs = tuple[float, ...]
ROWS = 32
"""In one pass of the network: logits of more take longer to move than to compute."""


@dataclass(frozen=True)
class Loaded:
    """An organism in memory, with the world it was trained on; ``digest`` is its spec's."""

    network: Any
    tokenizer: Any
    world: World
    digest: str


def load(folder: Path) -> Loaded:
    """Network and tokenizer of an organism, fp32. Raises ``ModelError`` where the folder isn't whole."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from trialist.models.local.quiet import quiet

    spec = load_spec(check_whole(folder) / SPEC_FILE)
    with quiet():
        tokenizer = cast(Any, AutoTokenizer).from_pretrained(folder)
        network = cast(Any, AutoModelForCausalLM).from_pretrained(folder, dtype=torch.float32)
    return Loaded(network.eval(), tokenizer, spec.world.make(), spec.digest)


def read_organism(loaded: Loaded, methods: Sequence[Method]) -> dict[str, Scored]:
    """Every method's score of this organism, by the method's name.

    A method whose prompts don't fit the network's context is undefined: cut off, they would be other prompts. What is
    random is drawn from a stream of the method's name and the organism's spec, so that a reading can be repeated.
    Raises ``MeasurementUndefined`` where the network's answers aren't finite.
    """
    asked = {method.name: method.questions(loaded.world) for method in methods}
    too_long = {name: _too_long(loaded, questions) for name, questions in asked.items()}
    plain = [m for m in methods if m.search is None and not too_long[m.name]]
    known = _answers(loaded, [question.item for m in plain for question in asked[m.name]])
    found: dict[str, Scored] = {}
    for method in methods:
        questions = asked[method.name]
        if too_long[method.name]:
            found[method.name] = undefined(too_long[method.name])
        elif method.search is None:
            found[method.name] = method.score([best_option(q, known[_key(q.item)]) for q in questions])
        else:
            found[method.name] = method.search(_subject(loaded, method), questions)
    return found


def _answers(loaded: Loaded, items: Sequence[Item]) -> dict[tuple[str, tuple[str, ...]], Logprobs]:
    """By prompt and options, each asked once."""
    once = {_key(item): item for item in items}
    logprobs = option_logprobs(loaded.network, loaded.tokenizer, list(once.values()), batch=ROWS) if once else []
    _check_finite(logprobs)
    return dict(zip(once, logprobs, strict=True))


def _check_finite(logprobs: Sequence[Logprobs]) -> None:
    if not all(math.isfinite(value) for row in logprobs for value in row):
        raise MeasurementUndefined("the network gives answers that are no finite log-probabilities")


def _key(item: Item) -> tuple[str, tuple[str, ...]]:
    return item.input, item.options


def _subject(loaded: Loaded, method: Method) -> Subject:
    def ask(network: Any, questions: Sequence[Question]) -> tuple[Answered, ...]:
        logprobs = option_logprobs(network, loaded.tokenizer, [question.item for question in questions], batch=ROWS)
        _check_finite(logprobs)
        return tuple(best_option(q, row) for q, row in zip(questions, logprobs, strict=True))

    generator = np.random.Generator(np.random.PCG64(seed_of("validate", method.name, loaded.digest)))
    return Subject(loaded.network, loaded.tokenizer, loaded.world, generator, ask)


def _too_long(loaded: Loaded, questions: Sequence[Question]) -> str:
    """Why the questions don't fit the context, or nothing."""
    if not questions:
        return ""
    # no token crosses the end of a prompt (``option_logprobs`` refuses it), so that lengths add up
    inputs = list(dict.fromkeys(question.item.input for question in questions))
    options = list(dict.fromkeys(option for question in questions for option in question.item.options))
    longest = sum(max(map(len, loaded.tokenizer(texts)["input_ids"])) for texts in (inputs, options))
    context: int = loaded.network.config.max_position_embeddings
    return f"prompt and option have up to {longest} tokens, the context {context}" if longest > context else ""


@contextlib.contextmanager
def one_thread() -> Generator[None]:
    """torch on one thread, and as before afterwards: several readers share a machine."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
