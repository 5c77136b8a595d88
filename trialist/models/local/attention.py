"""The attention function that transformers calls in every layer: each token of a tree attends to its ancestors.

It reads one keyword of our own (``model(..., tree=...)``) and our own keys and values, and no mask or cache of
transformers: a 4D mask is silently wrong beyond a sliding window, a cache drops what lies beyond it. What a layer adds
to plain attention it must pass on: ``scaling``, ``sliding_window`` (by depth in the token's own text), ``softcap`` and
``s_aux`` (the sink, counted once after the parts are merged). Anything else is found by the self-check.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from trialist.models.local.kernels import Part, Scores, attend, merge, with_sink
from trialist.models.local.packing import Packed

NAME = "trialist_tree"
SHORT_TRUNK = 64
"""Up to here the trunk's keys are copied before each tile's own: cheaper than a second pass and its merge."""


@dataclass(frozen=True)
class Block:
    """A tile on the device: tokens ``start`` to ``stop``; where the ancestors before them stand in the pack (``path``,
    None: none; ``adjoining``: of which right before the tile, in one run), the least depth of its tokens, and the mask over path and own tokens."""

    start: int
    stop: int
    path: Tensor | None
    adjoining: int
    lowest: int
    mask: Tensor


@dataclass
class TreeMeta:
    """What the layers need of a pack: its tiles, ``trunk`` as (keys, values) by layer, the ``depth`` of each token; and
    ``kept``, which takes the pack's own keys and values by layer where it is not None."""

    num_trunk: int
    trunk: Mapping[int, tuple[Tensor, Tensor]]
    blocks: tuple[Block, ...]
    depth: Tensor
    max_depth: int
    kept: dict[int, tuple[Tensor, Tensor]] | None = None
    masks: dict[tuple[int, int], Tensor] = field(default_factory=dict[tuple[int, int], Tensor])


def make_meta(packed: Packed, trunk: Mapping[int, tuple[Tensor, Tensor]], device: torch.device, *, keep: bool) -> TreeMeta:
    """The arrays of a pack on the device, with each tile's mask."""
    end, depth = torch.from_numpy(packed.end).to(device), torch.from_numpy(packed.depth).to(device)
    blocks: list[Block] = []
    for tile in packed.tiles:
        size = len(tile.path)
        adjoining = size if size and tile.start - int(tile.path[0]) == size else 0
        path = torch.from_numpy(tile.path).to(device) if size else None
        own = torch.arange(tile.start, tile.stop, device=device)
        columns = own if path is None else torch.cat([path, own])
        seen = (columns[None] <= own[:, None]) & (own[:, None] < end[columns][None])
        lowest = int(packed.depth[tile.start : tile.stop].min())
        blocks.append(Block(tile.start, tile.stop, path, adjoining, lowest, _additive(seen)))
    deepest = int(packed.depth.max(initial=0))
    return TreeMeta(packed.trunk, trunk, tuple(blocks), depth, deepest, {} if keep else None)


def tree_attention(
    module: torch.nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **given: Any
) -> tuple[Tensor, None]:
    """``query`` (1, heads, n, width), ``key`` and ``value`` (1, key heads, n, width) -> ((1, n, heads, width), None)."""
    meta: TreeMeta = given["tree"]
    layer = int(module.layer_idx)  # pyright: ignore[reportArgumentType]
    scale = given.get("scaling")
    scores = Scores(query.shape[-1] ** -0.5 if scale is None else float(scale), given.get("softcap"))
    window = given.get("sliding_window")
    q, k, v = query[0], key[0], value[0]
    if meta.kept is not None:
        meta.kept[layer] = (k, v)
    trunk = meta.trunk.get(layer)
    if window is not None and meta.max_depth >= window:
        part = _tiled(meta, q, (k, v), scores, trunk, window)
    elif trunk is None or meta.num_trunk <= SHORT_TRUNK:
        part = _tiled(meta, q, (k, v), scores, trunk, None)
    else:
        part = merge(attend(q, *trunk, scores), _tiled(meta, q, (k, v), scores, None, None))
    sink = given.get("s_aux")
    out = part.out if sink is None else with_sink(part, sink)
    return out.transpose(0, 1)[None].contiguous(), None


def no_mask(*_: Any, **__: Any) -> None:
    """What transformers' mask makers return for this attention: without it a prefill would see the future."""
    return


def _tiled(
    meta: TreeMeta,
    q: Tensor,
    own: tuple[Tensor, Tensor],
    scores: Scores,
    trunk: tuple[Tensor, Tensor] | None,
    window: int | None,
) -> Part:
    """Tile by tile: to what it sees of the trunk (if given), to the path above the tile, to the tile itself."""
    parts: list[Part] = []
    for index, block in enumerate(meta.blocks):
        first = 0 if window is None else min(max(0, block.lowest - window + 1), meta.num_trunk)
        above = (None, None) if trunk is None else (trunk[0][:, first:], trunk[1][:, first:])
        k, v = (_columns(tensor, block, before) for tensor, before in zip(own, above, strict=True))
        mask = _mask(meta, index, (first, 0 if trunk is None else meta.num_trunk), window)
        parts.append(attend(q[:, block.start : block.stop], k, v, scores, mask))
    if len(parts) == 1:
        return parts[0]
    return Part(torch.cat([part.out for part in parts], 1), torch.cat([part.lse for part in parts], 1))


def _columns(tensor: Tensor, block: Block, trunk: Tensor | None) -> Tensor:
    """The keys or values that a tile sees: (key heads, trunk + path + own, width)."""
    if block.path is None or block.adjoining:
        found = tensor[:, block.start - block.adjoining : block.stop]
        return found if trunk is None else torch.cat([trunk, found], 1)
    parts = [tensor.index_select(1, block.path), tensor[:, block.start : block.stop]]
    return torch.cat([trunk, *parts] if trunk is not None else parts, 1)


def _mask(meta: TreeMeta, index: int, trunk: tuple[int, int], window: int | None) -> Tensor:
    """The tile's mask over trunk columns [first, last), path and own tokens, without what lies beyond the window; made
    once for all layers."""
    block = meta.blocks[index]
    if trunk[1] <= trunk[0] and window is None:
        return block.mask
    key = (index, window or 0)
    if key not in meta.masks:
        columns = torch.arange(*trunk, device=block.mask.device) if trunk[1] > trunk[0] else meta.depth[:0]
        mask = torch.cat([block.mask.new_zeros(len(block.mask), len(columns)), block.mask], 1)
        if window is not None:
            depth = meta.depth[block.start : block.stop]
            seen = [columns, depth] if block.path is None else [columns, meta.depth[block.path], depth]
            mask = mask.masked_fill(depth[:, None] - torch.cat(seen)[None] >= window, float("-inf"))
        meta.masks[key] = mask
    return meta.masks[key]


def _additive(seen: Tensor) -> Tensor:
    return torch.zeros(seen.shape, device=seen.device).masked_fill_(~seen, float("-inf"))
