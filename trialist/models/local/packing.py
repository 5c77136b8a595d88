"""Pack -> arrays: the tokens in depth-first order, who is whose ancestor, and which logits are read.

In depth-first order the subtree of token j is the interval [j, end[j]), so j is an ancestor of i, or i itself, exactly
if ``j <= i < end[j]``. A **tile** is a run of tokens [start, stop). All ancestors that its tokens have before the tile
are ancestors of its first token: if j < start <= i < end[j], then j is an ancestor of ``start``. So a tile attends to
its own tokens and to one path, and a pack costs (tile + path) for each token, not the pack's length.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from trialist.models.local.schedule import Pack
from trialist.models.local.tree import Ints, Row, Tree


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


NOTHING = Reads(*[np.empty(0, np.int64)] * 3)


@dataclass(frozen=True)
class Packed:
    """``ids``, ``depth`` (the position in its own text) and ``end`` of each token; the first ``chain`` tokens are
    ancestors of all others, and no other tile's path names them."""

    trunk: int
    chain: int
    ids: Ints
    depth: Ints
    end: Ints
    tiles: Sequence[Tile]
    reads: Reads

    def __len__(self) -> int:
        return len(self.ids)


Wanted = Mapping[int, Sequence[tuple[int, Sequence[int], int]]]
"""Row of the tree -> (first, targets, slot) of each continuation that reads from it: targets[k] is read at depth
``first + k`` into result ``slot + k``."""


def pack_rows(tree: Tree, pack: Pack, wanted: Wanted, tile: int) -> Packed:
    """The arrays of a pack, in tiles of at most ``tile`` tokens; for reads inside the trunk see ``trunk_reads``."""
    size, trunk = pack.num_tokens, pack.trunk
    common = int(tree.shared[pack.start + 1 : pack.stop].min(initial=1 << 62)) - trunk
    chain = common if common < size else 0
    starts = _tile_starts(tree, pack, chain, tile)
    end, depth = np.full(size, size, np.int64), np.empty(size, np.int64)
    tiles: list[Tile] = []
    reads: list[tuple[Ints, Sequence[int], Ints]] = []
    for row, stop, path in _walk(tree, pack, end, depth):
        length = len(path)
        while len(tiles) < len(starts) - 1 and starts[len(tiles)] < stop:
            start = starts[len(tiles)]
            top = trunk + (chain if start >= chain else 0)
            tiles.append(Tile(start, starts[len(tiles) + 1], path[top : length - (stop - start)].copy()))
        for first, targets, slot in wanted.get(row, ()):
            skip = max(0, trunk - first)
            slots = np.arange(slot + skip, slot + len(targets))
            reads.append((path[first + skip : first + len(targets)].copy(), targets[skip:], slots))
    ids = [tree.rows[row][trunk if row == pack.start else tree.shared[row] :] for row in range(pack.start, pack.stop)]
    tokens = np.concatenate(ids).astype(np.int64)
    return Packed(trunk, chain, tokens, depth, end, tiles, _reads(reads))


def row_paths(tree: Tree, pack: Pack) -> list[Ints]:
    """For each row of the pack, where its tokens below the trunk stand, by depth."""
    scratch = np.empty(pack.num_tokens, np.int64)
    return [path[pack.trunk :].copy() for _, _, path in _walk(tree, pack, scratch, scratch.copy())]


def _walk(tree: Tree, pack: Pack, end: Ints, depth: Ints) -> Iterator[tuple[int, int, Ints]]:
    """Row by row: its number, where the tokens it adds end, and where the tokens of its text stand, by depth (-1 in the
    trunk; valid until the next row). Fills ``end`` and ``depth``."""
    path = np.full(int(tree.lengths[pack.start : pack.stop].max()), -1, np.int64)
    begin, before = 0, pack.trunk
    for row in range(pack.start, pack.stop):
        shared = pack.trunk if row == pack.start else int(tree.shared[row])
        length = int(tree.lengths[row])
        end[path[shared:before]] = begin
        stop = begin + length - shared
        path[shared:length] = np.arange(begin, stop)
        depth[begin:stop] = np.arange(shared, length)
        yield row, stop, path[:length]
        begin, before = stop, length


def _reads(parts: Sequence[tuple[Ints, Sequence[int], Ints]]) -> Reads:
    if not parts:
        return NOTHING
    targets = np.array([target for _, targets, _ in parts for target in targets], np.int64)
    return Reads(np.concatenate([p for p, _, _ in parts]), targets, np.concatenate([s for _, _, s in parts]))


def trunk_reads(pack: Pack, wanted: Wanted) -> list[tuple[int, int, int]]:
    """(depth, target, slot) of what the pack's rows read at depths inside their trunk."""
    return [
        (first + k, target, slot + k)
        for row in range(pack.start, pack.stop)
        for first, wants, slot in wanted.get(row, ())
        for k, target in enumerate(wants[: max(0, pack.trunk - first)])
    ]


def chain(ids: Row, trunk: int, tile: int, reads: Reads = NOTHING) -> Packed:
    """One run of tokens below ``trunk`` earlier ones: a piece of a trunk."""
    size = len(ids)
    tiles = [Tile(start, min(start + tile, size), np.arange(start)) for start in range(0, size, tile)]
    depth = np.arange(trunk, trunk + size)
    end = np.full(size, size, np.int64)
    return Packed(trunk, 0, ids.astype(np.int64), depth, end, tiles, reads)


def _tile_starts(tree: Tree, pack: Pack, chain: int, tile: int) -> list[int]:
    """Where tiles begin, and the end of the last: after the chain; then at the row, in the second half of a full tile,
    that shares least with the one before it; long rows are cut at every ``tile`` tokens."""
    new = tree.new[pack.start : pack.stop].copy()
    new[0] = tree.lengths[pack.start] - pack.trunk
    shared = tree.shared[pack.start : pack.stop]
    begins = np.concatenate([[0], np.cumsum(new)])
    size = int(begins[-1])
    starts = list(range(0, chain, tile))
    at = chain
    while at < size:
        starts.append(at)
        if size - at <= tile:
            break
        low, high = np.searchsorted(begins[:-1], [at + tile // 2, at + tile], side="right").tolist()
        least = low + int(shared[low:high][::-1].argmin()) if high > low else -1
        at = int(begins[high - 1 - (least - low)]) if high > low else at + tile
    return [*starts, size]
