"""Generated work for the engine: rows that share much, continuations of every kind, pack sizes of every size."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import strategies as st
from tiny_models import network

from trialist.models.local.engine import Engine, Results
from trialist.models.local.forward import Forward
from trialist.models.local.schedule import Sizes
from trialist.models.local.scoring import Scored, score
from trialist.models.local.text import Continuation

ROOMY = 1 << 30
"""Bytes: more than any trunk here has."""

few = st.integers(3, 5)
"""Three different tokens, so that generated texts share their starts."""


def tokens(min_size: int, max_size: int) -> st.SearchStrategy[tuple[int, ...]]:
    return st.lists(few, min_size=min_size, max_size=max_size).map(tuple)


@st.composite
def row_sets(draw: st.DrawFn) -> list[tuple[int, ...]]:
    """Rows below starts of one header: the empty row, equal rows and rows that begin others among them."""
    header = draw(tokens(0, 14))
    tails = draw(st.lists(st.tuples(st.integers(0, 14), tokens(0, 7)), min_size=1, max_size=24))
    return [(*header[:cut], *tail) for cut, tail in tails]


@st.composite
def size_sets(draw: st.DrawFn) -> Sizes:
    def up_to(most: int) -> int:
        return draw(st.integers(1, most))

    return Sizes(up_to(200), min_trunk=up_to(40), min_pairs=up_to(600), tile=up_to(64), block=up_to(64))


@st.composite
def continuation_sets(draw: st.DrawFn, longest: int = 50) -> list[Continuation]:
    """Choices of contexts that share a header; equal ones, one-token ones, and ones that begin others among them."""
    header, choices = draw(tokens(1, longest)), draw(st.lists(tokens(1, 6), min_size=1, max_size=6))
    found: list[Continuation] = []
    for cut, middle in draw(st.lists(st.tuples(st.integers(1, longest), tokens(0, 8)), min_size=1, max_size=4)):
        context = (*header[:cut], *middle)
        found += [after(context, choice) for choice in choices]
        if draw(st.booleans()) and len(context) > 1:  # what others have as context, this one reads
            found.append(after(context[:1], context[1:]))
    return found


def after(context: Sequence[int], targets: Sequence[int]) -> Continuation:
    return Continuation((*context, *targets[:-1]), len(context) - 1, tuple(targets))


@cache
def tiny(kind: str = "llama") -> Any:
    return network(kind)


def engine(kind: str = "llama", sizes: Sizes = Sizes(200), trunk_bytes: int = ROOMY) -> Engine:  # noqa: B008
    return Engine(tiny(kind), sizes, trunk_bytes)


def scored(made: Engine, continuations: Sequence[Continuation]) -> list[Scored]:
    """All of them; every one must be ready."""
    results: Results = list(made.passes(continuations))[-1]
    assert results.ready().all()
    return [results.scored(k) for k in range(len(continuations))]


def assert_like_the_twin(made: Engine, continuations: Sequence[Continuation]) -> None:
    assert_near(made.forward.network, continuations, scored(made, continuations))


def assert_near(made: Any, continuations: Sequence[Continuation], found: Sequence[Scored], atol: float = 1e-4) -> None:
    """The twin's log-probabilities, and its flags wherever one token is clearly the most likely."""
    wanted = score(made, continuations, 4096)
    np.testing.assert_allclose([f.logprob for f in found], [w.logprob for w in wanted], atol=atol, rtol=1e-5)
    for one, two, continuation in zip(found, wanted, continuations, strict=True):
        assert one.greedy == two.greedy or _least_margin(made, continuation) < 1e-3


def _least_margin(made: Any, continuation: Continuation) -> float:
    """By how much the most likely token leads, at least."""
    with torch.inference_mode():
        logits = made(input_ids=torch.tensor([continuation.row])).logits[0, continuation.first :]
    best = logits.topk(2, -1).values
    return float((best[:, 0] - best[:, 1]).min())


def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many tokens each pass of a network takes from here on."""
    passed: list[int] = []
    real = Forward.hidden

    def counting(self, ids, positions, meta):
        passed.append(len(ids))
        return real(self, ids, positions, meta)

    monkeypatch.setattr(Forward, "hidden", counting)
    return passed
