"""Rows -> tree -> packs: every token once, every row once, and each token sees its ancestors and itself."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from engine_cases import row_sets, size_sets
from hypothesis import given, settings
from hypothesis import strategies as st

from trialist.models.local.attention import make_meta
from trialist.models.local.packing import chain, pack_rows, row_paths, trunk_reads
from trialist.models.local.schedule import Pack, Sizes, halves, schedule
from trialist.models.local.tree import Tree, common_prefix, make_tree

pytestmark = pytest.mark.torch

ENDLESS = 1 << 40
Row = tuple[int, ...]


def prefixes(rows, beyond: int = 0) -> set[Row]:
    """The nodes of the tree over the rows, each as the text that ends in it, deeper than ``beyond``."""
    return {tuple(row[:length]) for row in rows for length in range(beyond + 1, len(row) + 1)}


def rows_of(tree: Tree, pack: Pack) -> list[Row]:
    return [tuple(int(token) for token in row) for row in tree.rows[pack.start : pack.stop]]


def texts(tree: Tree, pack: Pack) -> list[Row]:
    """For each token of the pack, in its order, the text that ends in it."""
    found: dict[int, Row] = {}
    for row, path in zip(rows_of(tree, pack), row_paths(tree, pack), strict=True):
        for depth, at in enumerate(path.tolist(), pack.trunk):
            assert found.setdefault(at, row[: depth + 1]) == row[: depth + 1]
    return [found[at] for at in range(pack.num_tokens)]


@given(row_sets())
def test_the_tree_has_each_different_row_and_each_token_once(rows):
    tree = make_tree(rows)
    ordered = [tuple(row.tolist()) for row in tree.rows]
    assert ordered == sorted(set(rows))
    assert [ordered[at] for at in tree.place] == rows
    assert tree.num_tokens == len(prefixes(rows))
    for i in range(1, len(ordered)):
        assert tree.shared[i] == len(prefixes([ordered[i - 1]]) & prefixes([ordered[i]]))


@given(st.lists(st.lists(st.integers(0, 2**32 - 1), max_size=3).map(tuple), max_size=8))
def test_any_ids_sort_as_numbers(rows):
    assert [tuple(row.tolist()) for row in make_tree(rows).rows] == sorted(set(rows))


def test_no_rows_make_no_packs():
    assert schedule(make_tree([]), Sizes(10)) == []


@given(row_sets(), st.integers(1, 20))
def test_one_endless_pack_holds_every_token_once(rows, tile: int):
    tree = make_tree(rows)
    [pack] = schedule(tree, Sizes(ENDLESS, min_trunk=ENDLESS))
    packed = pack_rows(tree, pack, {}, tile) if pack.num_tokens else None
    found = texts(tree, pack)
    assert len(found) == pack.num_tokens == len(set(found))
    assert set(found) == prefixes(rows)
    assert packed is None or packed.ids.tolist() == [text[-1] for text in found]


@given(row_sets(), size_sets(), st.data())
def test_a_schedule_covers_each_row_once_and_keeps_the_capacity(rows, sizes: Sizes, data: st.DataObject):
    tree = make_tree(rows)
    given_trunk = data.draw(st.integers(0, common_prefix(tree.rows[0], tree.rows[-1])))
    packs = schedule(tree, sizes, given_trunk)
    assert [row for pack in packs for row in range(pack.start, pack.stop)] == list(range(len(tree.rows)))
    for pack in packs:
        inside = rows_of(tree, pack)
        assert pack.num_tokens == len(prefixes(inside, pack.trunk))
        assert pack.num_tokens <= sizes.capacity or len(inside) == 1
        assert len({row[: pack.trunk] for row in inside}) == 1
        assert all(len(row) >= pack.trunk for row in inside)
        assert pack.trunk == given_trunk or pack.trunk >= given_trunk + sizes.min_trunk
    if tree.num_tokens <= sizes.capacity:
        assert len(packs) == 1


@given(row_sets(), size_sets())
def test_halves_are_the_rows_in_two_below_the_same_trunk(rows, sizes: Sizes):
    tree = make_tree(rows)
    for pack in schedule(tree, sizes):
        parts = halves(tree, pack)
        if pack.stop - pack.start == 1:
            assert parts == []
            continue
        first, second = parts
        assert (first.start, first.stop, second.stop) == (pack.start, second.start, pack.stop)
        assert first.stop - first.start in {second.stop - second.start, second.stop - second.start - 1}
        for part in parts:
            assert part.trunk == pack.trunk
            assert part.num_tokens == len(prefixes(rows_of(tree, part), part.trunk))


@given(row_sets(), size_sets())
@settings(max_examples=200)
def test_a_token_sees_its_ancestors_and_itself(rows, sizes: Sizes):
    """Of its pack: the unmasked chain, and of its tile's path and own columns those that the mask leaves."""
    tree = make_tree(rows)
    for pack in schedule(tree, sizes):
        if not pack.num_tokens:
            continue
        packed, found = pack_rows(tree, pack, {}, sizes.tile), texts(tree, pack)
        assert packed.depth.tolist() == [len(text) - 1 for text in found]
        assert [tile.start for tile in packed.tiles[1:]] == [tile.stop for tile in packed.tiles[:-1]]
        assert (packed.tiles[0].start, packed.tiles[-1].stop) == (0, len(packed))
        blocks = make_meta(packed, {}, torch.device("cpu"), keep=False).blocks
        for tile, block in zip(packed.tiles, blocks, strict=True):
            assert 0 < tile.stop - tile.start <= sizes.tile
            assert (tile.start < packed.chain) == (tile.stop <= packed.chain), "a tile is of the chain, or beyond it"
            above = range(packed.chain) if tile.start >= packed.chain else ()
            assert not set(above) & set(tile.path.tolist())
            columns = np.array([*tile.path.tolist(), *range(tile.start, tile.stop)])
            for token, mask in zip(range(tile.start, tile.stop), block.mask.numpy(), strict=True):
                seen = [*above, *columns[mask == 0].tolist()]
                ancestors = prefixes([found[token]], pack.trunk)
                assert len(seen) == len(set(seen)) == len(ancestors)
                assert {found[column] for column in seen} == ancestors


@given(row_sets(), size_sets(), st.data())
def test_every_read_is_made_once_after_its_own_token(rows, sizes: Sizes, data: st.DataObject):
    """In the trunk or below it: result slot -> (the text that it is read after, the token)."""
    tree = make_tree(row for row in rows if row)
    wanted, expected = {}, {}
    for number, row in enumerate(tuple(row.tolist()) for row in tree.rows):
        first = data.draw(st.integers(0, len(row) - 1))
        targets, slot = (*row[first + 1 :], 7), 100 * number
        wanted[number] = [(first, targets, slot)]
        expected |= {slot + k: (row[: first + k + 1], target) for k, target in enumerate(targets)}
    found = []
    for pack in schedule(tree, sizes):
        header = rows_of(tree, pack)[0][: pack.trunk]
        found += [(slot, (header[: depth + 1], token)) for depth, token, slot in trunk_reads(pack, wanted)]
        if pack.num_tokens:
            reads, below = pack_rows(tree, pack, wanted, sizes.tile).reads, texts(tree, pack)
            places = zip(reads.slots.tolist(), reads.positions.tolist(), reads.targets.tolist(), strict=True)
            found += [(slot, (below[at], token)) for slot, at, token in places]
    assert len(found) == len(expected)
    assert dict(found) == expected


@given(st.integers(1, 30), st.integers(0, 9), st.integers(1, 12))
def test_a_piece_of_a_trunk_sees_all_before_it(size: int, trunk: int, tile: int):
    packed = chain(np.arange(size, dtype=np.uint32), trunk, tile)
    assert packed.depth.tolist() == list(range(trunk, trunk + size))
    blocks = make_meta(packed, {}, torch.device("cpu"), keep=False).blocks
    assert [int((row == 0).sum()) for block in blocks for row in block.mask] == list(range(1, size + 1))
