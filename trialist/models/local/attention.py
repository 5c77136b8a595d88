"""The attention function that transformers calls in every layer: each token of a tree attends to its ancestors.

It reads one keyword of our own (``model(..., tree=...)``) and our own keys and values, and no mask or cache of
transformers: a 4D mask is silently wrong beyond a sliding window, a cache drops what lies beyond it. What a layer adds
to plain attention it must pass on: ``scaling``, ``sliding_window`` (by depth in the token's own text), ``softcap`` and
``s_aux`` (the sink, counted once after the parts are merged). Anything else is found by the self-check.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trialist.models.local import _hub
from trialist.models.local.flex import flex_meta
from trialist.models.local.kernels import KeyValue, Part, Scores, attend, joined, merge_into, with_sink
from trialist.models.local.packing import Packed

NAME = "trialist_tree"
MINUS_INFINITY = np.uint32(0xFF800000)
"""Its bits in fp32; those of 0 are all zero."""


class Meta(Protocol):
    """What answers a layer's attention; passed to the network as ``tree``."""

    def attend(self, layer: int, q: Tensor, own: KeyValue, scores: Scores, window: int | None) -> Part:
        """``q`` (heads, n, width), ``own`` keys and values (key heads, n, width); ``window``: how many tokens a token
        sees, itself included, or None."""
        ...


class PackMeta(Meta, Protocol):
    """A pack's; ``kept`` takes the pack's own keys and values by layer where it is not None."""

    kept: dict[int, KeyValue] | None


class MakeMeta(Protocol):
    """A pack below a trunk -> what answers its attention; ``keep`` its own keys and values."""

    def __call__(
        self, packed: Packed, trunk: Mapping[int, KeyValue], device: torch.device, *, keep: bool
    ) -> PackMeta: ...


@dataclass(frozen=True)
class Block:
    """A tile on the device: tokens ``start`` to ``stop``; where the ancestors before them stand in the pack (``path``;
    None: there are none), ``adjoining`` of them right before the tile in one run (0 if they aren't); the least depth of
    its tokens; the mask over path and own tokens."""

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
    chain: int
    trunk: Mapping[int, KeyValue]
    blocks: tuple[Block, ...]
    depth: Tensor
    max_depth: int
    kept: dict[int, KeyValue] | None = None
    masks: dict[tuple[int, int], Tensor] = field(default_factory=dict[tuple[int, int], Tensor])

    def attend(self, layer: int, q: Tensor, own: KeyValue, scores: Scores, window: int | None) -> Part:
        """To the trunk without a mask, to the pack's own chain without a mask, to the rest tile by tile."""
        if self.kept is not None:
            self.kept[layer] = own
        trunk = self.trunk.get(layer)
        if window is not None and self.max_depth >= window:
            return _windowed(self, q, own, scores, trunk, window)
        part = _tiled(self, q, own, scores)
        if self.chain:
            chain = (own[0][:, : self.chain], own[1][:, : self.chain])
            merge_into(part, attend(q[:, self.chain :], *chain, scores), self.chain)
        if trunk is not None:
            merge_into(part, attend(q, *trunk, scores))
        return part


def make_meta(packed: Packed, trunk: Mapping[int, KeyValue], device: torch.device, *, keep: bool) -> PackMeta:
    """A pack's own attention, for the device: FlexAttention on a GPU, tiles elsewhere."""
    make: MakeMeta = flex_meta if device.type == "cuda" else tile_meta
    return make(packed, trunk, device, keep=keep)


def tile_meta(packed: Packed, trunk: Mapping[int, KeyValue], device: torch.device, *, keep: bool) -> TreeMeta:
    """The arrays of a pack on the device, with each tile's mask."""
    # j sees i exactly if 0 <= i - j < size of j's subtree: one unsigned comparison, since a negative number is huge
    order = np.arange(len(packed), dtype=np.int32)
    subtree = (packed.end - order).astype(np.uint32)
    blocks: list[Block] = []
    for tile in packed.tiles:
        size = len(tile.path)
        adjoining = size if size and tile.start - int(tile.path[0]) == size else 0
        own = order[tile.start : tile.stop]
        columns = np.concatenate([order[tile.path], own]) if size else own
        apart = (own[:, None] - columns[None]).view(np.uint32)
        mask = _hub.tensor(_additive(apart < subtree[columns]), device)
        path = _hub.tensor(tile.path, device) if size else None
        lowest = int(packed.depth[tile.start : tile.stop].min())
        blocks.append(Block(tile.start, tile.stop, path, adjoining, lowest, mask))
    depth, deepest = _hub.tensor(packed.depth, device), int(packed.depth.max(initial=0))
    return TreeMeta(packed.trunk, packed.chain, trunk, tuple(blocks), depth, deepest, {} if keep else None)


def tree_attention(
    module: torch.nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **given: Any
) -> tuple[Tensor, None]:
    """``query`` (1, heads, n, width), ``key``, ``value`` (1, key heads, n, width) -> ((1, n, heads, width), None)."""
    meta: Meta = given["tree"]
    scale = given.get("scaling")
    scores = Scores(query.shape[-1] ** -0.5 if scale is None else float(scale), given.get("softcap"))
    layer = int(module.layer_idx)  # pyright: ignore[reportArgumentType]
    part = meta.attend(layer, query[0], (key[0], value[0]), scores, given.get("sliding_window"))
    sink = given.get("s_aux")
    out = part.out if sink is None else with_sink(part, sink)
    return out[None].contiguous(), None


def no_mask(*_: Any, **__: Any) -> None:
    """What transformers' mask makers return for this attention: without it a prefill would see the future."""
    return


def _tiled(meta: TreeMeta, q: Tensor, own: KeyValue, scores: Scores) -> Part:
    """Tile by tile, to the path above the tile and to the tile itself."""
    parts: list[Part] = []
    for block in meta.blocks:
        k, v = (_columns(tensor, block) for tensor in own)
        parts.append(attend(q[:, block.start : block.stop], k, v, scores, block.mask))
    return joined(parts)


def _windowed(meta: TreeMeta, q: Tensor, own: KeyValue, scores: Scores, trunk: KeyValue | None, window: int) -> Part:
    """The same where a window ends inside the text: trunk and chain are no longer seen by all, so each tile takes what
    it may see of them into its own columns."""
    chain = tuple(tensor[:, : meta.chain] for tensor in own)
    whole = chain if trunk is None else tuple(torch.cat(pair, 1) for pair in zip(trunk, chain, strict=True))
    parts: list[Part] = []
    for index, block in enumerate(meta.blocks):
        stop = meta.num_trunk + (meta.chain if block.start >= meta.chain else 0)
        start = min(max(0, block.lowest - window + 1), stop)
        k, v = (torch.cat([a[:, start:stop], _columns(t, block)], 1) for a, t in zip(whole, own, strict=True))
        mask = _window_mask(meta, index, (start, stop), window)
        parts.append(attend(q[:, block.start : block.stop], k, v, scores, mask))
    return joined(parts)


def _columns(tensor: Tensor, block: Block) -> Tensor:
    """The keys or values of path and tile: (key heads, path + own, width)."""
    if block.path is None or block.adjoining:
        return tensor[:, block.start - block.adjoining : block.stop]
    return torch.cat([tensor.index_select(1, block.path), tensor[:, block.start : block.stop]], 1)


def _window_mask(meta: TreeMeta, index: int, above: tuple[int, int], window: int) -> Tensor:
    """The tile's mask with columns for the depths ``above``, without what lies beyond the window; made once for all
    layers."""
    if (index, window) not in meta.masks:
        block = meta.blocks[index]
        depth = meta.depth[block.start : block.stop]
        columns = [torch.arange(*above, device=depth.device), *([] if block.path is None else [meta.depth[block.path]])]
        mask = torch.cat([block.mask.new_zeros(len(depth), above[1] - above[0]), block.mask], 1)
        far = depth[:, None] - torch.cat([*columns, depth])[None] >= window
        meta.masks[index, window] = mask.masked_fill(far, float("-inf"))
    return meta.masks[index, window]


def _additive(seen: NDArray[np.bool_]) -> NDArray[np.float32]:
    """0 where a token is seen, -inf where it isn't; by bits, since this is made for every tile."""
    bits = seen.astype(np.uint32)
    bits -= np.uint32(1)
    bits &= MINUS_INFINITY
    return bits.view(np.float32)
