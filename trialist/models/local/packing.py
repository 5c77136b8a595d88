"""Pack -> arrays: the tokens in depth-first order, who is whose ancestor, and which logits are read.

In depth-first order the subtree of token j is the interval [j, end[j]), so j is an ancestor of i, or i itself, exactly if
``j <= i < end[j]``. A **tile** is a run of tokens [start, stop). All ancestors that its tokens have before the tile are
ancestors of its first token: if j < start <= i < end[j], then j is an ancestor of ``start``. So a tile attends to its
own tokens and to one path, and a pack costs (tile + path) for each token, not the pack's length.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from trialist.models.local.schedule import Pack
from trialist.models.local.tree import Ints, Row, Tree

TILE = 192
"""Tokens of a tile, at most: few enough that tokens of different items, which don't see each other, share little work."""


@dataclass(frozen=True)
class Tile:
    """Tokens ``start`` to ``stop`` of a pack and ``path``, their ancestors before them, in order of depth."""

    start: int
    stop: int
    path: Ints


@dataclass(frozen=True)
class Reads:
    """Log-probabilities to read: of token ``targets[k]`` after the token ``positions[k]``, for result ``slots[k]``."""

    positions: Ints
    targets: Ints
    slots: Ints

    def __len__(self) -> int:
        return len(self.slots)


@dataclass(frozen=True)
class Packed:
    """``ids``, ``depth`` (the position in its own text) and ``end`` of each token; ``tails[r]``: where the r-th row's last
    token stands, or -1 where the row ends in the trunk."""

    trunk: int
    ids: Ints
    depth: Ints
    end: Ints
    tiles: Sequence[Tile]
    reads: Reads
    tails: Ints

    def __len__(self) -> int:
        return len(self.ids)


Wanted = Mapping[int, Sequence[tuple[int, Sequence[int], int]]]
"""Row of the tree -> (first, targets, slot) of each continuation that reads from it: targets[k] is read at depth
``first + k`` into result ``slot + k``."""


def pack_rows(tree: Tree, pack: Pack, wanted: Wanted) -> Packed:
    """The arrays of a pack; reads at depths inside the trunk are left out (see ``trunk_reads``)."""
    size, trunk = pack.num_tokens, pack.trunk
    end, depth = np.full(size, size, np.int64), np.empty(size, np.int64)
    path = np.full(int(tree.lengths[pack.start : pack.stop].max()), -1, np.int64)
    starts = _tile_starts(tree, pack)
    tiles: list[tuple[int, Ints]] = []
    positions, targets, slots = list[Ints](), list[int](), list[Ints]()
    offset, before, tails = 0, trunk, list[int]()
    for row in range(pack.start, pack.stop):
        shared = trunk if row == pack.start else int(tree.shared[row])
        length = int(tree.lengths[row])
        end[path[shared:before]] = offset
        stop = offset + length - shared
        path[shared:length] = np.arange(offset, stop)
        depth[offset:stop] = np.arange(shared, length)
        while len(tiles) < len(starts) and starts[len(tiles)] < stop:
            start = starts[len(tiles)]
            tiles.append((start, path[trunk : shared + start - offset].copy()))
        for first, wants, slot in wanted.get(row, ()):
            skip = max(0, trunk - first)
            positions.append(path[first + skip : first + len(wants)].copy())
            targets.extend(wants[skip:])
            slots.append(np.arange(slot + skip, slot + len(wants)))
        tails.append(int(path[length - 1]) if length > trunk else -1)
        offset, before = stop, length
    ids = [tree.rows[row][trunk if row == pack.start else tree.shared[row] :] for row in range(pack.start, pack.stop)]
    stops = [*starts[1:], size]
    return Packed(
        trunk,
        np.concatenate(ids).astype(np.int64),
        depth,
        end,
        [Tile(start, stop, above) for (start, above), stop in zip(tiles, stops, strict=True)],
        Reads(_joined(positions), np.array(targets, np.int64), _joined(slots)),
        np.array(tails, np.int64),
    )


def trunk_reads(pack: Pack, wanted: Wanted) -> list[tuple[int, int, int]]:
    """(depth, target, slot) of what the pack's rows read at depths inside their trunk."""
    return [
        (first + k, target, slot + k)
        for row in range(pack.start, pack.stop)
        for first, wants, slot in wanted.get(row, ())
        for k, target in enumerate(wants[: max(0, pack.trunk - first)])
    ]


NOTHING = Reads(*[np.empty(0, np.int64)] * 3)


def chain(ids: Row | Ints, trunk: int, reads: Reads = NOTHING) -> Packed:
    """One run of tokens below ``trunk`` earlier ones: a piece of a trunk."""
    size = len(ids)
    tiles = [Tile(start, min(start + TILE, size), np.arange(start)) for start in range(0, size, TILE)]
    depth = np.arange(trunk, trunk + size)
    end = np.full(size, size, np.int64)
    return Packed(trunk, ids.astype(np.int64), depth, end, tiles, reads, np.array([size - 1]))


def _tile_starts(tree: Tree, pack: Pack) -> list[int]:
    """Where tiles begin: at the row, in the second half of a full tile, that shares least with the one before it; long
    rows are cut at every ``TILE`` tokens."""
    new = tree.new[pack.start : pack.stop].copy()
    new[0] = tree.lengths[pack.start] - pack.trunk
    shared = tree.shared[pack.start : pack.stop]
    begins = np.concatenate([[0], np.cumsum(new)])
    starts: list[int] = []
    at = 0
    while at < begins[-1]:
        starts.append(at)
        low, high = np.searchsorted(begins, [at + TILE // 2, at + TILE], side="right")
        rows = np.arange(low, min(high, len(new)))
        if begins[-1] - at <= TILE:
            break
        at = int(begins[rows[shared[rows].argmin()]]) if len(rows) else at + TILE
    return starts


def _joined(parts: Sequence[Ints]) -> Ints:
    return np.concatenate(parts) if parts else np.empty(0, np.int64)
