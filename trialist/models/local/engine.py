"""Continuations -> log-probabilities on a prefix tree: the runner.

schedule   which rows go together, below which trunk      schedule.py
pack       tokens in depth-first order, ancestors, reads  packing.py
run        one pass, log-probabilities where they're read forward.py
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from trialist.models.local import _hub
from trialist.models.local.attention import NAME, MakeMeta, PackMeta, make_meta, no_mask, tree_attention
from trialist.models.local.forward import Forward, Read
from trialist.models.local.keyvalues import Layers, Trunk, TrunkStore, select
from trialist.models.local.memory import rounded
from trialist.models.local.packing import Packed, Reads, Wanted, chain, pack_rows, row_paths, trunk_reads
from trialist.models.local.probes import Probe, Seen, gather, outputs_of
from trialist.models.local.schedule import Pack, Sizes, halves, schedule
from trialist.models.local.scoring import Scored
from trialist.models.local.text import Continuation
from trialist.models.local.tree import Ints, Row, Tree, make_tree
from trialist.models.protocol import Failure

NEVER = 1 << 60
"""Tokens: no trunk is as long."""
ROW_LIMIT = 512
"""Texts that are generated side by side."""


class Engine:
    """A network that takes trees. ``sizes.capacity`` is halved, for good, when memory runs out on a pack;
    ``num_exhausted``: how often it ran out on anything. ``row_limit`` and ``key_value_room``: how many texts grow side
    by side, and how many tokens they may have together. ``make``: the attention of a pack."""

    def __init__(self, network: _hub.Network, sizes: Sizes, trunk_bytes: int, *, make: MakeMeta = make_meta) -> None:
        _hub.register_attention(NAME, tree_attention, no_mask)
        self._make = make
        self.sizes = sizes
        self.num_exhausted = 0
        self.row_limit = ROW_LIMIT
        self.key_value_room = rounded(trunk_bytes // _hub.key_value_bytes(network))
        self.forward = Forward(network)
        self.store = TrunkStore(trunk_bytes, sizes.block)

    def describe(self) -> str:
        """The sizes that the last bits of results may depend on."""
        return f"{self.sizes}, {self.row_limit} rows of {self.key_value_room} tokens"

    def passes(self, continuations: Sequence[Continuation], probes: Sequence[Probe] = ()) -> Iterator[Results]:
        """Log-probabilities of the continuations and activations of the probes, pack by pack: yields the results so
        far, one growing object, after each pass. Order changes nothing beyond float tolerance. What doesn't fit into
        memory even alone stays open."""
        if not continuations and not probes:
            return
        tree = make_tree([*(c.row for c in continuations), *(p.row for p in probes)])
        wanted, begins = _wanted(tree, continuations)
        results = Results(begins, len(probes))
        watched = _Watched(probes, tree.place[len(continuations) :].tolist())
        # A trunk may have passed long ago: what is to be watched must pass now.
        sizes = replace(self.sizes, min_trunk=NEVER) if probes else self.sizes
        pending = schedule(tree, sizes)[::-1]
        while pending:
            pack = pending.pop()
            if pack.num_tokens > self.sizes.capacity and pack.stop - pack.start > 1:  # planned before memory ran out
                pending += reversed(halves(tree, pack))
                continue
            try:
                if not self._run(tree, pack, wanted, watched, results):
                    pending += reversed(halves(tree, pack))
            except (RuntimeError, MemoryError) as error:
                if not _hub.out_of_memory(error):
                    raise
                self.shrink(max(pack.num_tokens, min(pack.trunk, self.sizes.block)))
                pending += reversed(halves(tree, pack))
            yield results

    def _run(self, tree: Tree, pack: Pack, wanted: Wanted, watched: _Watched, results: Results) -> bool:
        """False where something is not a number in a pack of several rows, and is left open: a key or value that isn't
        finite reaches all queries of its tile, since 0 times it is NaN behind any mask. Alone, a row has only its own.
        """
        header, alone, sound = tree.rows[pack.start][: pack.trunk], pack.stop - pack.start == 1, True
        self._read_trunk(header, trunk_reads(pack, wanted), results)
        packed = pack_rows(tree, pack, wanted, self.sizes.tile) if pack.num_tokens else None
        seen = watched.rows_in(pack)
        if packed is not None and (len(packed.reads) or seen):
            layers = [layer for _, k in seen for layer in watched.probes[k].layers]
            with outputs_of(self.forward.network, layers) as outputs:
                sound = self._read(packed, self.trunk(header), results, final=alone)
            paths = row_paths(tree, pack) if seen else []
            for row, k in seen:
                found = gather(outputs, paths[row - pack.start], watched.probes[k], len(packed))
                if alone or isinstance(found, Failure) or not any(np.isnan(layer).any() for layer in found):
                    results.activations[k] = found
                else:
                    sound = False
        return sound

    def key_values(self, tree: Tree, trunk: int) -> dict[int, Layers]:
        """Of each row of the tree, the keys and values beyond its first ``trunk`` tokens, which all rows share."""
        found: dict[int, Layers] = {}
        pending = schedule(tree, self.sizes, trunk)[::-1]
        while pending:
            pack = pending.pop()
            parts = halves(tree, pack)
            try:
                above = self.trunk(tree.rows[pack.start][: pack.trunk])
                kept = self._kept(tree, pack, above)
            except (RuntimeError, MemoryError) as error:
                if not parts or not _hub.out_of_memory(error):
                    raise
                self.shrink(max(pack.num_tokens, min(pack.trunk, self.sizes.block)))
                pending += reversed(parts)
                continue
            if parts and kept and bool(kept[max(kept)][0].isnan().any()):
                pending += reversed(parts)  # one row's NaN would be in the others' values; see _run
                continue
            for row, path in enumerate(row_paths(tree, pack), pack.start):
                found[row] = select(above.layers, kept, trunk, _hub.tensor(path, self.forward.device))
        return found

    def _kept(self, tree: Tree, pack: Pack, above: Trunk) -> Layers:
        """Keys and values of the pack's own tokens."""
        if not pack.num_tokens:
            return {}
        packed = pack_rows(tree, pack, {}, self.sizes.tile)
        meta = self._meta(packed, above, keep=True)
        self.forward.hidden(packed.ids, packed.depth, meta)
        return meta.kept or {}

    def shrink(self, num_tokens: int) -> None:
        """Memory ran out on so many tokens: packs have at most half of them from here on."""
        self.sizes = replace(self.sizes, capacity=max(1, min(self.sizes.capacity, num_tokens // 2)))
        self.release()

    def release(self) -> None:
        """Memory ran out: give up what is only kept."""
        self.num_exhausted += 1
        self.store.clear()
        _hub.free_memory()

    def trunk(self, tokens: Row) -> Trunk:
        """Keys and values of a trunk, from the store as far as it has them."""
        found = self.store.find(tokens) or Trunk.empty()
        if len(found) == len(tokens):
            return found
        for start, stop in self.store.passes(len(found), len(tokens)):
            packed = chain(tokens[start:stop], start, self.sizes.tile)
            meta = self._meta(packed, found, keep=True)
            self.forward.hidden(packed.ids, packed.depth, meta)
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
            self._read(packed, self.trunk(row[:start]), results, final=True)

    def _read(self, packed: Packed, trunk: Trunk, results: Results, *, final: bool) -> bool:
        hidden = self.forward.hidden(packed.ids, packed.depth, self._meta(packed, trunk, keep=False))
        if not len(packed.reads):
            return True
        return results.put(packed.reads, self.forward.read(hidden, packed.reads), final=final)

    def _meta(self, packed: Packed, trunk: Trunk, *, keep: bool) -> PackMeta:
        return self._make(packed, trunk.layers, self.forward.device, keep=keep)


@dataclass(frozen=True)
class _Watched:
    """``rows[k]``: the row of the tree that probe k looks at."""

    probes: Sequence[Probe]
    rows: Sequence[int]

    def rows_in(self, pack: Pack) -> list[tuple[int, int]]:
        """(row, probe) of those that look at the pack."""
        return [(row, k) for k, row in enumerate(self.rows) if pack.start <= row < pack.stop]


class Results:
    """One slot for each target of each continuation; continuation k has slots begins[k] to begins[k + 1].
    ``activations[k]``: what probe k saw, or None so far."""

    def __init__(self, begins: Ints, num_probes: int) -> None:
        count = int(begins[-1])
        self._begins = begins
        self._bounds: list[int] = begins.tolist()
        self._logprobs: NDArray[np.float64] = np.zeros(count)
        self._greedy: NDArray[np.bool_] = np.zeros(count, np.bool_)
        self._filled: NDArray[np.bool_] = np.zeros(count, np.bool_)
        self.activations: list[Seen | None] = [None] * num_probes

    def put(self, reads: Reads, read: Read, *, final: bool) -> bool:
        """Fill the slots of the reads; unless ``final``, those that are not a number stay open. Are all filled?"""
        # one copy: each waits for the device
        logprobs, greedy = torch.stack([read.logprobs, read.greedy.to(read.logprobs.dtype)]).cpu().numpy()
        self._logprobs[reads.slots] = logprobs
        self._greedy[reads.slots] = greedy > 0
        self._filled[reads.slots] = found = np.ones_like(logprobs, np.bool_) if final else ~np.isnan(logprobs)
        return bool(found.all())

    def ready(self) -> NDArray[np.bool_]:
        """Which continuations have all their slots."""
        if len(self._begins) == 1:
            return self._filled
        return np.logical_and.reduceat(self._filled, self._begins[:-1])

    def scored(self, k: int) -> Scored:
        start, stop = self._bounds[k], self._bounds[k + 1]
        return Scored(math.fsum(self._logprobs[start:stop].tolist()), all(self._greedy[start:stop].tolist()))


def _wanted(tree: Tree, continuations: Sequence[Continuation]) -> tuple[Wanted, Ints]:
    """What is read from each row, and where each continuation's slots begin."""
    wanted: dict[int, list[tuple[int, Sequence[int], int]]] = {}
    begins = [0]
    for row, continuation in zip(tree.place[: len(continuations)].tolist(), continuations, strict=True):
        wanted.setdefault(row, []).append((continuation.first, continuation.targets, begins[-1]))
        begins.append(begins[-1] + len(continuation.targets))
    return wanted, np.array(begins, np.int64)
