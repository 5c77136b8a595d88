"""The attention of a pack on a GPU: one FlexAttention call a layer, over trunk and pack, with blocks left out.

Tiles (attention.py) keep a processor busy and leave a GPU waiting for launches. Here every query of the pack goes
against every column, and the blocks of 128 x 128 that nobody sees (blockmask.py) are skipped by the kernel:

    out[i] = sum over seen c of softmax_c(s[i, c]) v[c],   lse[i] = log sum over seen c of exp(s[i, c])

One kernel is compiled for each (scale, soft cap) and each choice of heads, widths and dtype, whatever the pack's size:
lengths are symbols that are known to be whole blocks, windows are numbers in an array. On other devices the same traced
function runs without a compiler, which is slow and meant for tests.
"""

from __future__ import annotations

import contextlib
import functools
import warnings
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast

import torch
import torch.fx.experimental._config as shapes
from torch import Tensor
from torch.nn import functional
from torch.nn.attention.flex_attention import AuxRequest, BlockMask, flex_attention

from trialist.models.local import _hub
from trialist.models.local.blockmask import SIDE, BlockList, Sight, block_lists, sight_of
from trialist.models.local.kernels import KeyValue, Part, Scores
from trialist.models.local.packing import Packed

_untyped: Any = torch
_shapes: Any = shapes

LEAST_WIDTH = 16
"""Of a head: the least that a GPU's matrix units take. Zeros that fill up a narrower one change no score."""
SETTINGS = {"specialize_float": True, "recompile_limit": 256}
"""Scale and soft cap are constants of a kernel; a process may hold many models."""


class Columns(NamedTuple):
    """``Sight`` and the least depths on the device."""

    begin: Tensor
    end: Tensor
    depth: Tensor
    lowest: Tensor


Blocks = tuple[Tensor, Tensor, Tensor, Tensor]
"""Counts and columns of the blocks seen in part, then of those seen whole: (1, 1, blocks), (1, 1, blocks, blocks)."""

Kernel = Callable[[Tensor, Tensor, Tensor, Columns, Blocks], tuple[Tensor, Tensor]]


@dataclass
class FlexMeta:
    """What the layers need of a pack: its trunk as (keys, values) by layer, who sees whom; and ``kept``, which takes
    the pack's own keys and values by layer where it is not None."""

    trunk: Mapping[int, KeyValue]
    sight: Sight
    device: torch.device
    max_depth: int
    kept: dict[int, KeyValue] | None = None
    masks: dict[int | None, tuple[Columns, Blocks]] = field(default_factory=dict[int | None, tuple[Columns, Blocks]])

    def attend(self, layer: int, q: Tensor, own: KeyValue, scores: Scores, window: int | None) -> Part:
        """To trunk and pack at once."""
        if self.kept is not None:
            self.kept[layer] = own
        trunk = self.trunk.get(layer)
        k, v = (self._columns(None if trunk is None else trunk[i], own[i]) for i in (0, 1))
        queries = _filled(q, len(self.sight.depths))
        mask = self._mask(window if window is not None and self.max_depth >= window else None)
        with _settings(self.device, q.dtype):
            out, lse = kernel(scores.scale, scores.softcap, _compiler(self.device))(queries, k, v, *mask)
        size, width = q.shape[1], own[1].shape[-1]
        return Part(out[0, :, :size, :width].transpose(0, 1), lse[0, :, :size].transpose(0, 1))

    def _columns(self, trunk: Tensor | None, own: Tensor) -> Tensor:
        """Keys or values (1, key heads, columns, width); the filler is zero, as a weight of zero times what memory
        happens to hold may be NaN."""
        if trunk is None:
            return _filled(own, len(self.sight.begin))
        start = self.sight.own
        return torch.cat([_filled(trunk, start), _filled(own, len(self.sight.begin) - start)], 2)

    def _mask(self, window: int | None) -> tuple[Columns, Blocks]:
        """Made once for all layers of a window."""
        if window not in self.masks:
            sight, lowest = self.sight, self.sight.lowest(window)
            columns = Columns(*(_hub.tensor(a, self.device) for a in (sight.begin, sight.end, sight.depth, lowest)))
            part, full = (self._blocks(found) for found in block_lists(sight, lowest))
            self.masks[window] = columns, (*part, *full)
        return self.masks[window]

    def _blocks(self, found: BlockList) -> tuple[Tensor, Tensor]:
        counts, columns = (_hub.tensor(array[None, None], self.device) for array in (found.counts, found.columns))
        return counts, columns


def flex_meta(packed: Packed, trunk: Mapping[int, KeyValue], device: torch.device, *, keep: bool) -> FlexMeta:
    """The pack's ``FlexMeta``; its masks are made when a layer first asks for them."""
    deepest = int(packed.depth.max(initial=0))
    return FlexMeta(trunk, sight_of(packed), device, deepest, {} if keep else None)


@functools.cache
def kernel(scale: float, softcap: float | None, compiler: str) -> Kernel:
    """Attention of q (1, heads, queries, width) to k, v (1, key heads, columns, width), lengths in whole blocks:
    (out, lse), the latter (1, heads, queries) in fp32, natural log."""

    def capped(score: Tensor, batch: Tensor, head: Tensor, i: Tensor, c: Tensor) -> Tensor:
        cap = cast(float, softcap)
        return cap * torch.tanh(score / cap)

    def run(q: Tensor, k: Tensor, v: Tensor, columns: Columns, blocks: Blocks) -> tuple[Tensor, Tensor]:
        begin, end, depth, lowest = columns

        def sees(batch: Tensor, head: Tensor, i: Tensor, c: Tensor) -> Tensor:
            return (begin[c] <= i) & (i < end[c]) & (depth[c] >= lowest[i])

        for length in (q.shape[2], k.shape[2]):  # so that the kernel needs no check of its bounds
            _untyped._check(length % SIDE == 0)
        lengths = (q.shape[2], k.shape[2])
        mask = BlockMask.from_kv_blocks(
            *blocks, BLOCK_SIZE=SIDE, mask_mod=sees, seq_lengths=lengths, compute_q_blocks=False
        )
        score = None if softcap is None else capped
        aux = AuxRequest(lse=True)
        found: Any = flex_attention(q, k, v, score, mask, scale, enable_gqa=True, return_aux=aux)
        return found[0], found[1].lse

    return cast(Kernel, _untyped.compile(run, backend=compiler, dynamic=True, fullgraph=True))


def _compiler(device: torch.device) -> str:
    return "inductor" if device.type == "cuda" else "eager"


@contextlib.contextmanager
def _settings(device: torch.device, dtype: torch.dtype) -> Generator[None]:
    """What a compilation inside is made with. Lengths that happen to be equal the first time aren't taken to be so for
    ever. torch warns that fp32 isn't computed in tf32: it isn't, on purpose."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(_untyped._dynamo.config.patch(**SETTINGS))
        stack.enter_context(_shapes.patch(use_duck_shape=False))
        if device.type == "cuda" and dtype == torch.float32:
            stack.enter_context(warnings.catch_warnings())
            warnings.filterwarnings("ignore", "TensorFloat32 tensor cores", UserWarning)
        yield


def _filled(tensor: Tensor, length: int) -> Tensor:
    """(heads, n, width) -> (1, heads, length, width), zeros behind; ``LEAST_WIDTH`` wide at least."""
    missing = (0, max(0, LEAST_WIDTH - tensor.shape[-1]), 0, length - tensor.shape[1])
    return functional.pad(tensor, missing)[None]
