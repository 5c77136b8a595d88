"""Rows of tokens -> a prefix tree, kept as sorted rows and what each shares with the one before it.

Sorted lexicographically, the rows are the tree in depth-first order: row i adds the tokens ``rows[i][shared[i]:]``
below the path of row i - 1, and a token that many rows share stands once. Nothing else of the tree is stored.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Row = NDArray[np.uint32]
_BIG_ENDIAN = np.dtype(">u4")


@dataclass(frozen=True)
class Tree:
    """``rows``: different, sorted. ``shared[i]``: how many tokens row i has in common with row i - 1; 0 for the first.
    ``lengths[i]``: tokens of row i. ``place[k]``: where the k-th of the given rows stands."""

    rows: Sequence[Row]
    shared: Ints
    lengths: Ints
    place: Ints

    @property
    def new(self) -> Ints:
        """How many tokens row i adds to the tree, each."""
        return self.lengths - self.shared

    @property
    def num_tokens(self) -> int:
        """Tokens of the tree: what has to be computed once, whatever the order."""
        return int(self.new.sum())


def make_tree(rows: Iterable[Sequence[int]]) -> Tree:
    """The tree over rows of token ids in [0, 2^32)."""
    keys = [_key(row) for row in rows]
    ordered = sorted(set(keys))
    index = {key: i for i, key in enumerate(ordered)}
    found = [np.frombuffer(key, _BIG_ENDIAN) for key in ordered]
    shared = [0, *(_common(a, b) for a, b in pairwise(found))] if found else []
    return Tree(
        found,
        np.array(shared, np.int64),
        np.array([len(row) for row in found], np.int64),
        np.array([index[key] for key in keys], np.int64),
    )


def common_prefix(first: Row, second: Row) -> int:
    """How many tokens two rows share from their start."""
    return _common(first, second)


def _key(row: Sequence[int]) -> bytes:
    """Bytes that sort as the rows do: comparing them is one memcmp, whatever long header they share."""
    ids = array("I", row)
    if sys.byteorder == "little":
        ids.byteswap()
    return ids.tobytes()


def _common(first: Row, second: Row) -> int:
    length = min(len(first), len(second))
    if length == 0:
        return 0
    differs = first[:length] != second[:length]
    at = int(differs.argmax())
    return at if differs[at] else length
