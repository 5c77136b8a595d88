"""A network -> what scores it: the engine, or the plain twin with the reason why."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from trialist.models.local import _hub
from trialist.models.local.digest import configuration
from trialist.models.local.drafts import Decode, Draft
from trialist.models.local.engine import Engine
from trialist.models.local.generation import generate, generate_plainly
from trialist.models.local.memory import default_sizes, free_bytes
from trialist.models.local.probes import Probe, Seen, probe_plainly
from trialist.models.local.schedule import Sizes
from trialist.models.local.scoring import Scored, score
from trialist.models.local.selfcheck import LENGTH_DEPENDENT, OF_THE_WEIGHTS, rope_type, why_no_tree
from trialist.models.local.text import Continuation
from trialist.models.protocol import Failure, Reply
from trialist.records import canonical_json

VERSION = 1
"""Raised when the same request gets other bytes than before."""
TOKENS_PER_BATCH = 4096
TRUNK_SHARE = 0.1
"""Of the free memory, what the keys and values of trunks may hold."""

_verdicts: dict[bytes, str | None] = {}
"""Why an architecture takes no tree, by its configuration: edited weights don't change it."""


class PlainTwinNotice(UserWarning):
    """The engine can't be used on this architecture: the plain twin answers, as right and slower."""


class Scores(Protocol):
    """What is known of a list of continuations and probes while they are being computed."""

    @property
    def activations(self) -> Sequence[Seen | None]: ...

    def ready(self) -> NDArray[np.bool_]: ...

    def scored(self, k: int) -> Scored: ...


@dataclass(frozen=True)
class Backend:
    """``engine``, or None with the ``reason`` why the plain twin is used."""

    network: _hub.Network
    engine: Engine | None
    reason: str = ""

    def describe(self) -> str:
        """Everything but the model that the bytes of its answers depend on."""
        sizes = "twin" if self.engine is None else self.engine.describe()
        return f"engine {VERSION}, {sizes}, {_hub.surroundings(self.network)}"

    @property
    def num_exhausted(self) -> int:
        """How often memory ran out."""
        return 0 if self.engine is None else self.engine.num_exhausted

    def passes(self, continuations: Sequence[Continuation], probes: Sequence[Probe] = ()) -> Iterator[Scores]:
        """The results so far, after each pass of the network."""
        if self.engine is not None:
            yield from self.engine.passes(continuations, probes)
        elif continuations or probes:
            found = score(self.network, continuations, _twin_batch(self.network))
            yield _Whole(found, [probe_plainly(self.network, probe) for probe in probes])

    def generate(
        self, drafts: Sequence[Draft], stop_ids: frozenset[int], decode: Decode
    ) -> Iterator[tuple[int, Reply | Failure]]:
        """(index of the draft, its reply), as they end."""
        if self.engine is not None:
            return generate(self.engine, drafts, stop_ids, decode)
        return generate_plainly(self.network, drafts, stop_ids, decode)


@dataclass(frozen=True)
class _Whole:
    found: Sequence[Scored]
    activations: Sequence[Seen]

    def ready(self) -> NDArray[np.bool_]:
        return np.ones(len(self.found), np.bool_)

    def scored(self, k: int) -> Scored:
        return self.found[k]


def make_backend(network: _hub.Network, capacity: int | None = None) -> Backend:
    """The engine where the network takes a tree; otherwise the twin, with one ``PlainTwinNotice``. ``capacity``: tokens
    of a pack; None: from the model's size and the free memory."""
    reason = _why_not(network)
    if reason is not None:
        warnings.warn(f"the plain twin scores this model: {reason}", PlainTwinNotice, stacklevel=2)
        return Backend(network, None, reason)
    sizes = default_sizes(network, capacity)
    return Backend(network, Engine(network, sizes, int(TRUNK_SHARE * free_bytes(_hub.device_of(network)))))


def _why_not(network: _hub.Network) -> str | None:
    if not _hub.is_transformers(network):
        return "it is no model of transformers"
    device, dtype = _hub.device_of(network), _hub.dtype_name(network)
    key = canonical_json([type(network).__name__, configuration(_hub.config_of(network)), str(device), dtype])
    if key in _verdicts:
        return _verdicts[key]
    reason = _check(network)
    if reason not in OF_THE_WEIGHTS:
        _verdicts[key] = reason
    return reason


def _check(network: _hub.Network) -> str | None:
    # Small on purpose: several packs, a trunk of several passes, tiles that cut rows.
    sizes = Sizes(capacity=40, min_trunk=4, min_pairs=1, tile=16, block=4)

    def by_tree(asked: Sequence[Continuation]) -> Sequence[float]:
        results = list(Engine(network, sizes, 1 << 30).passes(asked))[-1]
        return [results.scored(k).logprob for k in range(len(asked))]

    def by_twin(asked: Sequence[Continuation]) -> Sequence[float]:
        return [found.logprob for found in score(network, asked, _twin_batch(network))]

    return why_no_tree(network, by_tree, by_twin)


def _twin_batch(network: _hub.Network) -> int:
    """One row at a time where positions depend on the longest row of a batch."""
    config = getattr(network, "config", None)
    alone = config is not None and rope_type(config.get_text_config()) in LENGTH_DEPENDENT
    return 1 if alone else TOKENS_PER_BATCH
