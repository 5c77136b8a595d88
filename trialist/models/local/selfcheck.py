"""Can this network take a tree? Asked of the network itself, before the engine is used on it.

A small tree goes through the engine and through the plain twin. Architectures whose attention doesn't come through
transformers' attention interface, or adds what the tree attention doesn't know (ALiBi, chunks), differ or raise. A
window of thousands of tokens would hide in so small a tree: it is shrunk for the check, and shrinking must show.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Sequence
from typing import Any, cast

import numpy as np
import torch

from trialist.models.local import _hub
from trialist.models.local.loading import context_length
from trialist.models.local.text import Continuation

LENGTH_DEPENDENT = frozenset({"dynamic", "longrope"})
"""Rotary embeddings that change with the longest text of a batch."""
WINDOWS = ("sliding_window", "attention_chunk_size")
SHRUNK = 4
NOT_FINITE = "its log-probabilities are not finite"
NO_EFFECT = "its attention window can't be checked: shrinking it changes nothing"
OF_THE_WEIGHTS = frozenset({NOT_FINITE, NO_EFFECT})
"""Reasons that say nothing of other weights of the same architecture."""

Score = Callable[[Sequence[Continuation]], Sequence[float]]


def why_no_tree(network: _hub.Network, by_tree: Score, by_twin: Score) -> str | None:
    """The reason why ``by_tree`` can't be used on this network; None if it can."""
    config = _hub.config_of(network).get_text_config()
    rope = rope_type(config)
    if rope in LENGTH_DEPENDENT:
        return f"its positions depend on the longest text of a batch (rope type {rope})"
    asked = sample_tree(_hub.num_embeddings(network))
    longest, length = max(len(one.row) for one in asked), context_length(config)
    if length is not None and length < longest:
        return f"its context of {length} tokens is too short for the check"
    reason = _differs(by_tree, by_twin, asked, _tolerance(network))
    if reason is not None or not _is_windowed(config):
        return reason
    before = by_twin(asked)
    with shrunk_windows(network):
        if np.array_equal(before, by_twin(asked)):
            return NO_EFFECT
        return _differs(by_tree, by_twin, asked, _tolerance(network))


def rope_type(config: Any) -> str | None:
    """The kind of rotary embedding of a configuration; the length-dependent one where its layers differ."""
    found: Any = getattr(config, "rope_parameters", None) or getattr(config, "rope_scaling", None)
    if not isinstance(found, dict):
        return None
    settings = cast("dict[str, Any]", found)
    parts = [settings, *(cast("dict[str, Any]", part) for part in settings.values() if isinstance(part, dict))]
    types = [str(part.get("rope_type") or part.get("type")) for part in parts]
    return next((kind for kind in types if kind in LENGTH_DEPENDENT), types[0])


def sample_tree(num_tokens: int, seed: int = 0) -> list[Continuation]:
    """Continuations with a shared header, shared starts, a row that begins another, and early and late reads."""
    draw = np.random.default_rng(seed)
    tokens = draw.integers(0, num_tokens, 64).tolist()
    header, found = tokens[:9], list[Continuation]()
    for first in range(3):
        context = [*header, *tokens[10 + first : 10 + 3 * first + 2]]
        for second in range(3):
            targets = tokens[30 + second : 32 + 2 * second + first]
            found.append(Continuation((*context, *targets[:-1]), len(context) - 1, tuple(targets)))
            found.append(Continuation((*context, *targets), len(context) - 1, (*targets, tokens[50 + second])))
    found.append(Continuation(tuple(header), 3, tuple(tokens[4:10])))
    return found


def _differs(by_tree: Score, by_twin: Score, asked: Sequence[Continuation], tolerance: float) -> str | None:
    wanted = np.array(by_twin(asked))
    try:
        found = np.array(by_tree(asked))
    except Exception as error:  # noqa: BLE001 - whatever an architecture raises here means that it has no tree
        said = (str(error).strip() or type(error).__name__).splitlines()[0][:120]
        return f"its attention can't be replaced ({said})"
    if not np.isfinite(wanted).all():
        return NOT_FINITE
    worst = float(np.abs(found - wanted).max())
    limit = tolerance * max(1.0, float(np.abs(wanted).max()))
    return None if worst <= limit else f"a tree gives other log-probabilities (by up to {worst:.2g})"


def _tolerance(network: _hub.Network) -> float:
    """Relative: two orders of summing differ by some units of the last place; a wrong mask by far more."""
    dtype = next(network.parameters()).dtype
    return max(16 * torch.finfo(dtype).eps, 2e-5)


def _is_windowed(config: Any) -> bool:
    if not any(isinstance(getattr(config, name, None), int) for name in WINDOWS):
        return False
    types: Any = getattr(config, "layer_types", None)
    return types is None or any(kind != "full_attention" for kind in types)


@contextlib.contextmanager
def shrunk_windows(network: _hub.Network) -> Generator[None]:
    """Inside, every attention window of the network is ``SHRUNK`` tokens long."""
    config = _hub.config_of(network).get_text_config()
    owners = [config, *network.modules()]
    held = [(o, name, vars(o).get(name)) for o in owners for name in WINDOWS if isinstance(vars(o).get(name), int)]
    try:
        for owner, name, _ in held:
            setattr(owner, name, SHRUNK)
        yield
    finally:
        for owner, name, value in held:
            setattr(owner, name, value)
