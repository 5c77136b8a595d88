"""Continuations -> log-probabilities on a prefix tree: the runner.

schedule   which rows go together, below which trunk      schedule.py
pack       tokens in depth-first order, ancestors, reads  packing.py
run        one pass, log-probabilities where they're read forward.py
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from trialist.models.local import _hub
from trialist.models.local.attention import NAME, TreeMeta, make_meta, no_mask, tree_attention
from trialist.models.local.forward import Forward, Read
from trialist.models.local.keyvalues import Trunk, TrunkStore
from trialist.models.local.packing import Packed, Reads, Wanted, chain, pack_rows, trunk_reads
from trialist.models.local.schedule import Pack, Sizes, halves, schedule
from trialist.models.local.scoring import Scored
from trialist.models.local.text import Continuation
from trialist.models.local.tree import Row, Tree, make_tree


class Engine:
    """A network that scores trees. ``sizes.capacity`` is halved, for good, when memory runs out."""

    def __init__(self, network: _hub.Network, sizes: Sizes, trunk_bytes: int) -> None:
        _hub.register_attention(NAME, tree_attention, no_mask)
        self.sizes = sizes
        self.num_halved = 0
        self.forward = Forward(network)
        self.store = TrunkStore(trunk_bytes, sizes.block)

    def passes(self, continuations: Sequence[Continuation]) -> Iterator[Results]:
        """Log-probabilities of the continuations, pack by pack: yields the results so far, one growing object, after
        each pass. Their order changes nothing beyond float tolerance. What doesn't fit into memory even alone stays
        open."""
        if not continuations:
            return
        tree = make_tree(c.row for c in continuations)
        wanted, begins = _wanted(tree, continuations)
        results = Results(begins)
        pending = schedule(tree, self.sizes)[::-1]
        while pending:
            pack = pending.pop()
            try:
                self._run(tree, pack, wanted, results)
            except (RuntimeError, MemoryError) as error:
                if not _hub.out_of_memory(error):
                    raise
                self.shrink(pack.num_tokens)
                pending += reversed(halves(tree, pack))
            yield results

    def _run(self, tree: Tree, pack: Pack, wanted: Wanted, results: Results) -> None:
        header = tree.rows[pack.start][: pack.trunk]
        self._read_trunk(header, trunk_reads(pack, wanted), results)
        packed = pack_rows(tree, pack, wanted, self.sizes.tile) if pack.num_tokens else None
        if packed is not None and len(packed.reads):
            self._read(packed, self.trunk(header), results)

    def shrink(self, num_tokens: int) -> None:
        """Memory ran out on so many tokens: packs are half as large from here on."""
        self.sizes = replace(self.sizes, capacity=max(1, min(self.sizes.capacity, num_tokens) // 2))
        self.num_halved += 1
        self.store.clear()
        _hub.free_memory()

    def trunk(self, tokens: Row) -> Trunk:
        """Keys and values of a trunk, from the store as far as it has them."""
        found = self.store.find(tokens) or Trunk(tokens[:0], {})
        if len(found) == len(tokens):
            return found
        for start, stop in self.store.passes(len(found), len(tokens)):
            meta = self._meta(chain(tokens[start:stop], start, self.sizes.tile), found, keep=True)
            self.forward.hidden(tokens[start:stop].astype(np.int64), meta)
            found = found.then(tokens[:stop], meta.kept or {})
        self.store.keep(found)
        return found

    def _read_trunk(self, row: Row, reads: Sequence[tuple[int, int, int]], results: Results) -> None:
        """What is read inside a trunk: its hidden states aren't kept, so its blocks pass once more."""
        size = self.sizes.block
        for block in sorted({depth // size for depth, _, _ in reads}):
            start = block * size
            part = [(depth - start, target, slot) for depth, target, slot in reads if depth // size == block]
            stop = start + max(depth for depth, _, _ in part) + 1
            columns = np.array(part, np.int64)
            packed = chain(row[start:stop], start, self.sizes.tile, Reads(columns[:, 0], columns[:, 1], columns[:, 2]))
            self._read(packed, self.trunk(row[:start]), results)

    def _read(self, packed: Packed, trunk: Trunk, results: Results) -> None:
        hidden = self.forward.hidden(packed.ids, self._meta(packed, trunk, keep=False))
        results.put(packed.reads, self.forward.read(hidden, packed.reads))

    def _meta(self, packed: Packed, trunk: Trunk, *, keep: bool) -> TreeMeta:
        return make_meta(packed, trunk.layers, self.forward.device, keep=keep)


class Results:
    """One slot for each target of each continuation; continuation k has slots begins[k] to begins[k + 1]."""

    def __init__(self, begins: NDArray[np.int64]) -> None:
        count = int(begins[-1])
        self._begins = begins
        self._logprobs: NDArray[np.float64] = np.zeros(count)
        self._greedy: NDArray[np.bool_] = np.zeros(count, np.bool_)
        self._filled: NDArray[np.bool_] = np.zeros(count, np.bool_)

    def put(self, reads: Reads, read: Read) -> None:
        self._logprobs[reads.slots] = read.logprobs.cpu().numpy()
        self._greedy[reads.slots] = read.greedy.cpu().numpy()
        self._filled[reads.slots] = True

    def ready(self) -> NDArray[np.bool_]:
        """Which continuations have all their slots."""
        return np.logical_and.reduceat(self._filled, self._begins[:-1])

    def scored(self, k: int) -> Scored:
        start, stop = self._begins[k], self._begins[k + 1]
        return Scored(math.fsum(self._logprobs[start:stop]), bool(self._greedy[start:stop].all()))


def _wanted(tree: Tree, continuations: Iterable[Continuation]) -> tuple[Wanted, NDArray[np.int64]]:
    """What is read from each row, and where each continuation's slots begin."""
    wanted: dict[int, list[tuple[int, Sequence[int], int]]] = {}
    begins = [0]
    for row, continuation in zip(tree.place.tolist(), continuations, strict=True):
        wanted.setdefault(row, []).append((continuation.first, continuation.targets, begins[-1]))
        begins.append(begins[-1] + len(continuation.targets))
    return wanted, np.array(begins, np.int64)
