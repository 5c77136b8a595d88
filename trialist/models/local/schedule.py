"""A prefix tree -> packs: which rows go through the network together, and below which trunk.

A **trunk** is the common start of a pack's rows whose keys and values are computed beforehand and kept: a few-shot
header, or the context of thousands of choices. A **pack** is a run of rows of the tree, so that whatever they share
below the trunk stands in it once. Packs are cut where the rows share least: a cut inside a shared part computes it
twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from trialist.models.local.tree import Ints, Tree


@dataclass(frozen=True)
class Sizes:
    """In tokens. ``capacity``: of a pack, at most. ``min_trunk``: a shorter shared start is cheaper to compute once in
    every pack than in a pass of its own; ``min_pairs``: attention pairs (tokens of the trunk x tokens below it) that
    make a trunk worth one. ``tile``: so few that tokens of different items, which don't see each other, share little
    work. ``block``: of a pass over a trunk, enough for the matrix products to run at full rate."""

    capacity: int
    min_trunk: int = 32
    min_pairs: int = 1 << 14
    tile: int = 192
    block: int = 256


@dataclass(frozen=True)
class Pack:
    """Rows ``start`` to ``stop`` of the tree, each below its first ``trunk`` tokens, which they all share;
    ``num_tokens`` go through the network."""

    start: int
    stop: int
    trunk: int
    num_tokens: int


def schedule(tree: Tree, sizes: Sizes, trunk: int = 0) -> list[Pack]:
    """Packs of at most ``sizes.capacity`` tokens that cover every row once, in order; a longer row stands alone.
    ``trunk``: tokens that all rows share and that are computed beforehand in any case."""
    if not len(tree.rows):
        return []
    return _joined(tree, _split(tree, (0, len(tree.rows), trunk), sizes), sizes.capacity)


def halves(tree: Tree, pack: Pack) -> list[Pack]:
    """The pack as two, below the same trunk; a single row has no halves."""
    if pack.stop - pack.start < 2:
        return []
    middle = pack.start + (pack.stop - pack.start) // 2
    return [_pack(tree, pack.start, middle, pack.trunk), _pack(tree, middle, pack.stop, pack.trunk)]


def _split(tree: Tree, whole: tuple[int, int, int], sizes: Sizes) -> Iterator[Pack]:
    """Depth first: what fits is a pack, what doesn't is split where its rows share least."""
    open_groups = [whole]
    while open_groups:
        start, stop, trunk = open_groups.pop()
        common = _common(tree, start, stop)
        if _worth(tree, (start, stop), common, trunk, sizes):
            trunk = common
        pack = _pack(tree, start, stop, trunk)
        if pack.num_tokens <= sizes.capacity or stop - start == 1:
            yield pack
            continue
        borders = [start, *(start + 1 + np.flatnonzero(tree.shared[start + 1 : stop] == common)).tolist(), stop]
        groups = _grouped(tree, borders, trunk, sizes)
        open_groups += [(a, b, trunk) for a, b in reversed(groups)]


def _grouped(tree: Tree, borders: Sequence[int], trunk: int, sizes: Sizes) -> list[tuple[int, int]]:
    """Neighbouring subtrees together as far as they fit; one with a trunk of its own, or too large, stands alone."""
    groups: list[tuple[int, int]] = []
    capacity, own = sizes.capacity, replace(sizes, min_pairs=8 * sizes.min_pairs)
    filled = capacity + 1
    for start, stop in pairwise(borders):
        size = _size(tree, start, stop, trunk)
        alone = size > capacity or _worth(tree, (start, stop), _common(tree, start, stop), trunk, own)
        if alone or filled + size > capacity:
            groups.append((start, stop))
        else:
            groups[-1] = (groups[-1][0], stop)
            size += filled
        filled = capacity + 1 if alone else size
    return groups


def _joined(tree: Tree, packs: Iterator[Pack], capacity: int) -> list[Pack]:
    """Neighbours below the same trunk as one, where they fit: recursion leaves its last packs half empty."""
    done: list[Pack] = []
    for pack in packs:
        if done and done[-1].trunk == pack.trunk and tree.shared[pack.start] >= pack.trunk:
            together = _pack(tree, done[-1].start, pack.stop, pack.trunk)
            if together.num_tokens <= capacity:
                done[-1] = together
                continue
        done.append(pack)
    return done


def _worth(tree: Tree, rows: tuple[int, int], common: int, trunk: int, sizes: Sizes) -> bool:
    """Is the rows' common start, beyond the trunk they have, a trunk of its own?"""
    start, stop = rows
    gained = common - trunk
    if stop - start < 2 or gained < sizes.min_trunk:
        return False
    return gained * _size(tree, start, stop, common) >= sizes.min_pairs


def _common(tree: Tree, start: int, stop: int) -> int:
    """Tokens that all rows of the run share."""
    return int(tree.shared[start + 1 : stop].min()) if stop - start > 1 else int(tree.lengths[start])


def _size(tree: Tree, start: int, stop: int, trunk: int) -> int:
    """Tokens of the rows below their first ``trunk``."""
    rest: Ints = tree.new[start + 1 : stop]
    return int(tree.lengths[start]) - trunk + int(rest.sum())


def _pack(tree: Tree, start: int, stop: int, trunk: int) -> Pack:
    return Pack(start, stop, trunk, _size(tree, start, stop, trunk))
