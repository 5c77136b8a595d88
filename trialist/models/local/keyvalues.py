"""Keys and values of trunks, kept across packs, batches and evaluations.

A trunk is computed in blocks of so many tokens counted from its start, each in a pass of its own, so that its bytes
are a function of its tokens alone and never of what was kept before. Only whole blocks are taken over from another
trunk.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from trialist.models.local.kernels import KeyValue
from trialist.models.local.tree import Row, common_prefix

Layers = Mapping[int, KeyValue]
"""Keys and values by layer."""


@dataclass(frozen=True, eq=False)
class Trunk:
    """``tokens`` and their keys and values in each layer."""

    tokens: Row
    layers: Layers

    def __len__(self) -> int:
        return len(self.tokens)

    @classmethod
    def empty(cls) -> Trunk:
        return cls(np.empty(0, np.uint32), {})

    @property
    def num_bytes(self) -> int:
        return sum(k.nbytes + v.nbytes for k, v in self.layers.values())

    def first(self, length: int) -> Trunk:
        """Its first tokens, as a view."""
        return Trunk(self.tokens[:length], {i: (k[:, :length], v[:, :length]) for i, (k, v) in self.layers.items()})

    def then(self, tokens: Row, layers: Layers) -> Trunk:
        """Longer by one block."""
        if not len(self.tokens):
            return Trunk(tokens[:], layers)
        joined = {
            i: (torch.cat([k, layers[i][0]], 1), torch.cat([v, layers[i][1]], 1)) for i, (k, v) in self.layers.items()
        }
        return Trunk(tokens, joined)


class TrunkStore:
    """The trunks used last, up to ``max_bytes`` (the newest always)."""

    def __init__(self, max_bytes: int, block: int) -> None:
        self.max_bytes = max_bytes
        self.block = block
        self._kept: list[Trunk] = []

    def find(self, tokens: Row) -> Trunk | None:
        """The longest kept start of ``tokens``: all of it, or whole blocks."""
        best: tuple[int, Trunk | None] = (0, None)
        for trunk in self._kept:
            length = common_prefix(trunk.tokens, tokens)
            if not (length == len(tokens) == len(trunk)):
                length -= length % self.block
            if length > best[0]:
                best = (length, trunk)
        length, found = best
        if found is None:
            return None
        self._kept.remove(found)
        self._kept.append(found)
        return found if length == len(found) else found.first(length)

    def keep(self, trunk: Trunk) -> None:
        """Keep it in place of those that it continues."""
        self._kept = [t for t in self._kept if common_prefix(t.tokens, trunk.tokens) < len(t)]
        self._kept.append(trunk)
        while len(self._kept) > 1 and sum(t.num_bytes for t in self._kept) > self.max_bytes:
            del self._kept[0]

    def passes(self, start: int, stop: int) -> Iterator[tuple[int, int]]:
        """The passes that continue a trunk of ``start`` tokens, which are whole blocks, to ``stop``."""
        for at in range(start, stop, self.block):
            yield at, min(at + self.block, stop)

    def clear(self) -> None:
        self._kept.clear()


def select(trunk: Layers, own: Layers, start: int, path: Tensor) -> Layers:
    """The trunk's keys and values from token ``start`` on, then the ``path`` of a pack's own; by layer."""
    if not own:
        return {i: (k[:, start:], v[:, start:]) for i, (k, v) in trunk.items()}
    found = {i: (k.index_select(1, path), v.index_select(1, path)) for i, (k, v) in own.items()}
    if not trunk:
        return found
    above = {i: (k[:, start:], v[:, start:]) for i, (k, v) in trunk.items()}
    return {i: (torch.cat([above[i][0], k], 1), torch.cat([above[i][1], v], 1)) for i, (k, v) in found.items()}
