"""Continuations -> log-probabilities on a prefix tree: the runner.

    schedule   which rows go together, below which trunk      schedule.py
    pack       tokens in depth-first order, ancestors, reads  packing.py
    run        one pass, log-probabilities where they're read forward.py
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from trialist.models.local import _hub
from trialist.models.local.attention import NAME, TreeMeta, make_meta, no_mask, tree_attention
from trialist.models.local.forward import Forward, Read
from trialist.models.local.keyvalues import BLOCK, Trunk, TrunkStore, blocks
from trialist.models.local.packing import Packed, Reads, Wanted, chain, pack_rows, trunk_reads
from trialist.models.local.schedule import Pack, halves, schedule
from trialist.models.local.text import Continuation
from trialist.models.local.tree import Row, Tree, make_tree

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Scored:
    """``logprob``: natural log-probability of a continuation, the sum over its tokens; NaN or infinite where the
    network's logits are. ``greedy``: each of its tokens was the most likely one (the first of equals)."""

    logprob: float
    greedy: bool


@dataclass
class Engine:
    """A network that scores trees. ``capacity``: tokens of a pack; halved, for good, when memory runs out."""

    network: _hub.Network
    capacity: int
    store: TrunkStore
    num_halved: int = 0
    forward: Forward = field(init=False)

    def __post_init__(self) -> None:
        _hub.register_attention(NAME, tree_attention, no_mask)
        self.forward = Forward(self.network)

    def score(self, continuations: Sequence[Continuation], progress: Progress | None = None) -> list[Scored]:
        """In the order of the continuations; their order changes nothing beyond float tolerance."""
        if not continuations:
            return []
        tree = make_tree(c.row for c in continuations)
        wanted, begins = _wanted(tree, continuations)
        results = _Results(int(begins[-1]))
        done = 0
        for pack in schedule(tree, self.capacity):
            self._run(tree, pack, wanted, results)
            done += pack.num_tokens
            if progress is not None:
                progress(done, tree.num_tokens)
        return results.scored(begins)

    def _run(self, tree: Tree, pack: Pack, wanted: Wanted, results: _Results) -> None:
        try:
            trunk = self.trunk(tree.rows[pack.start][: pack.trunk])
            self._read_trunk(tree.rows[pack.start], trunk_reads(pack, wanted), results)
            if pack.num_tokens:
                packed = pack_rows(tree, pack, wanted)
                if len(packed.reads):
                    self._read(packed, trunk, results)
        except (torch.OutOfMemoryError, RuntimeError, MemoryError) as error:
            parts = halves(tree, pack) if _hub.out_of_memory(error) else None
            if parts is None:
                raise
            self.shrink(pack.num_tokens)
        else:
            return
        for part in parts:
            self._run(tree, part, wanted, results)

    def shrink(self, num_tokens: int) -> None:
        """Memory ran out on so many tokens: packs are half as large from here on."""
        self.capacity = max(1, min(self.capacity, num_tokens) // 2)
        self.num_halved += 1
        self.store.clear()
        _hub.free_memory()

    def trunk(self, tokens: Row) -> Trunk:
        """Keys and values of a trunk, from the store as far as it has them."""
        found = self.store.find(tokens) or Trunk(tokens[:0], {})
        if len(found) == len(tokens):
            return found
        for start, stop in blocks(len(found), len(tokens)):
            meta = self._meta(chain(tokens[start:stop], start), found, keep=True)
            self.forward.hidden(torch.from_numpy(tokens[start:stop].astype(np.int64)), meta)
            found = found.then(tokens[:stop], meta.kept or {})
        self.store.keep(found)
        return found

    def _read_trunk(self, row: Row, reads: Sequence[tuple[int, int, int]], results: _Results) -> None:
        """What is read inside a trunk: its hidden states aren't kept, so its blocks pass once more."""
        for block in sorted({depth // BLOCK for depth, _, _ in reads}):
            start = block * BLOCK
            part = [(depth - start, target, slot) for depth, target, slot in reads if depth // BLOCK == block]
            stop = start + max(depth for depth, _, _ in part) + 1
            columns = np.array(part, np.int64)
            packed = chain(row[start:stop], start, Reads(columns[:, 0], columns[:, 1], columns[:, 2]))
            self._read(packed, self.trunk(row[:start]), results)

    def _read(self, packed: Packed, trunk: Trunk, results: _Results) -> None:
        hidden = self.forward.hidden(torch.from_numpy(packed.ids), self._meta(packed, trunk, keep=False))
        results.put(packed.reads, self.forward.read(hidden, packed.reads))

    def _meta(self, packed: Packed, trunk: Trunk, *, keep: bool) -> TreeMeta:
        return make_meta(packed, trunk.layers, self.forward.device, keep=keep)


class _Results:
    """One slot for each target of each continuation."""

    def __init__(self, count: int) -> None:
        self.logprobs: NDArray[np.float64] = np.full(count, np.nan)
        self.greedy: NDArray[np.bool_] = np.zeros(count, np.bool_)

    def put(self, reads: Reads, read: Read) -> None:
        self.logprobs[reads.slots] = read.logprobs.cpu().numpy()
        self.greedy[reads.slots] = read.greedy.cpu().numpy()

    def scored(self, begins: NDArray[np.int64]) -> list[Scored]:
        sums = np.add.reduceat(self.logprobs, begins[:-1]).tolist()
        greedy = np.logical_and.reduceat(self.greedy, begins[:-1]).tolist()
        return [Scored(value, most) for value, most in zip(sums, greedy, strict=True)]


def _wanted(tree: Tree, continuations: Iterable[Continuation]) -> tuple[Wanted, NDArray[np.int64]]:
    """What is read from each row, and where each continuation's slots begin."""
    wanted: dict[int, list[tuple[int, Sequence[int], int]]] = {}
    begins = [0]
    for row, continuation in zip(tree.place.tolist(), continuations, strict=True):
        wanted.setdefault(row, []).append((continuation.first, continuation.targets, begins[-1]))
        begins.append(begins[-1] + len(continuation.targets))
    return wanted, np.array(begins, np.int64)
