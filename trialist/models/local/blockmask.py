"""Who sees whom in a pack, in blocks of 128 x 128: what FlexAttention needs to leave out what nobody sees.

The columns are [trunk, filler, pack, filler], each part filled up to whole blocks. A column is seen by one interval of
queries, and with a sliding window only by those that aren't too deep:

    query i sees column c  iff  begin[c] <= i < end[c]  and  depth[c] >= lowest[i]

For token j of the pack the interval is [j, end[j]) (packing.py); the trunk is seen by all, filler by none. The queries
that fill the last block see what the last token sees, so that no query is without a key. Everything here is numpy on
the host, of size (tokens + blocks x blocks): a mask (queries, columns) is never made.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trialist.models.local.packing import Packed
from trialist.models.local.tree import Ints

SIDE = 128
"""Queries and columns of a block: what FlexAttention's kernels are made for."""
LEAST_BLOCKS = 2
"""Of queries: a dimension of 1 would be a compilation of its own."""

Int32s = NDArray[np.int32]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Sight:
    """``begin``, ``end``, ``depth`` (columns,); ``depths`` (queries,): those of the queries. The pack's own columns
    start at ``own``."""

    own: int
    begin: Int32s
    end: Int32s
    depth: Int32s
    depths: Int32s

    def lowest(self, window: int | None) -> Int32s:
        """(queries,): the least depth that each query sees; ``window``: how many tokens, itself included."""
        if window is None:
            return np.zeros_like(self.depths)
        return np.maximum(self.depths - (window - 1), 0).astype(np.int32)


@dataclass(frozen=True)
class BlockList:
    """For each block of queries, how many blocks of columns it sees (``counts``, (blocks,)), and which ones, before the
    others (``columns``, (blocks, blocks of columns))."""

    counts: Int32s
    columns: Int32s


def sight_of(packed: Packed) -> Sight:
    """The intervals of a pack below its trunk."""
    size, queries, own = len(packed), whole(len(packed), LEAST_BLOCKS), whole(packed.trunk)
    begin = np.full(own + queries, queries, np.int32)
    end, depth = np.zeros((2, own + queries), np.int32)
    begin[: packed.trunk], end[: packed.trunk] = 0, queries
    depth[: packed.trunk] = np.arange(packed.trunk)
    begin[own : own + size] = np.arange(size)
    # What the last token sees is seen by the filler after it.
    end[own : own + size] = np.where(packed.end == size, queries, packed.end)
    depth[own : own + size] = packed.depth
    depths = np.full(queries, packed.depth[-1], np.int32)
    depths[:size] = packed.depth
    return Sight(own, begin, end, depth, depths)


def whole(size: int, least: int = 0) -> int:
    """``size`` rounded up to whole blocks, ``least`` of them at least."""
    return max(least, -(-size // SIDE)) * SIDE


def block_lists(sight: Sight, lowest: Int32s) -> tuple[BlockList, BlockList]:
    """The blocks that are seen in part, and those that are seen whole. Each pair that is seen stands in one of them;
    a block in the first list may turn out to be hidden, since only its extremes are looked at."""
    start = np.arange(0, len(lowest), SIDE)[:, None]
    begin, end, depth = (side.reshape(-1, SIDE) for side in (sight.begin, sight.end, sight.depth))
    low = lowest.reshape(-1, SIDE)
    some = (begin.min(1) < start + SIDE) & (end.max(1) > start) & (depth.max(1) >= low.min(1)[:, None])
    every = (begin.max(1) <= start) & (end.min(1) >= start + SIDE) & (depth.min(1) >= low.max(1)[:, None])
    return _listed(some & ~every), _listed(every)


def _listed(chosen: Flags) -> BlockList:
    first: Ints = np.argsort(~chosen, axis=1, kind="stable")
    return BlockList(chosen.sum(1, dtype=np.int32), first.astype(np.int32))
