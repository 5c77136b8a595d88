"""Rows that grow by a token a step, and what they attend to: the trunk that all share, their prompt, their own tokens.

A prompt's keys and values stand once for all its samples. In each step, row r (of prompt p, with c tokens so far) sees
all of the trunk, the ``prompt_lengths[p]`` columns of its prompt and its own first c + 1 columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from trialist.models.local import _hub
from trialist.models.local.kernels import KeyValue, Part, Scores, attend, merge_into, weigh
from trialist.models.local.keyvalues import Layers
from trialist.models.local.tree import Ints

ROOM = 32
"""Columns by which the rows' own keys and values grow."""


@dataclass(frozen=True, eq=False)
class Prompt:
    """Keys and values of a prompt below the trunk."""

    layers: Layers
    length: int


class Decoding:
    """The state of one batch of rows; ``TreeMeta``'s counterpart for steps of one token."""

    def __init__(self, trunk: Layers, num_trunk: int, device: torch.device) -> None:
        self._trunk, self._num_trunk, self._device = trunk, num_trunk, device
        self._prompts: list[Prompt] = []
        self._of: Ints = np.empty(0, np.int64)
        self._counts: Ints = np.empty(0, np.int64)
        self._padded: dict[int, KeyValue] = {}
        self._own: dict[int, KeyValue] = {}

    def __len__(self) -> int:
        return len(self._of)

    @property
    def positions(self) -> Ints:
        """The depth of each row's next token."""
        lengths = np.array([prompt.length for prompt in self._prompts], np.int64)
        return self._num_trunk + lengths[self._of] + self._counts

    def keep(self, rows: Sequence[int]) -> None:
        """Drop all other rows, and the prompts that no row has."""
        index = _hub.tensor(np.array(rows, np.int64), self._device)
        self._own = {layer: (k[index], v[index]) for layer, (k, v) in self._own.items()}
        used, self._of = np.unique(self._of[rows], return_inverse=True)
        self._counts = self._counts[rows]
        self._prompts = [self._prompts[i] for i in used.tolist()]
        self._pad()

    def add(self, prompts: Sequence[Prompt], of: Sequence[int]) -> None:
        """New rows without tokens: row i of them continues ``prompts[of[i]]``."""
        self._of = np.concatenate([self._of, np.array(of, np.int64) + len(self._prompts)])
        self._counts = np.concatenate([self._counts, np.zeros(len(of), np.int64)])
        self._prompts += prompts
        self._own = {layer: (_longer(k, len(self), 0), _longer(v, len(self), 0)) for layer, (k, v) in self._own.items()}
        self._pad()

    def begin_step(self) -> None:
        """Make what the layers of this step need, once."""
        count, device = int(self._counts.max()) + 1, self._device
        self._columns = count
        counts = _hub.tensor(self._counts, device)
        self._rows = torch.arange(len(self), device=device)
        self._at = counts
        self._depth = _hub.tensor(self.positions, device)
        self._deepest = int(self.positions.max())
        self._age = counts[:, None] - torch.arange(count, device=device)[None]

    def end_step(self) -> None:
        self._counts = self._counts + 1

    def attend(self, layer: int, q: Tensor, own: KeyValue, scores: Scores, window: int | None) -> Part:
        """``q`` (heads, rows, width), ``own`` (key heads, rows, width) each."""
        k, v = self._grown(layer, own)
        heads, rows = k.shape[1], len(self)
        grouped = q.reshape(heads, -1, rows, q.shape[-1]).permute(2, 0, 1, 3)
        hidden = self._age < 0 if window is None else (self._age < 0) | (self._age >= window)
        k, v = k[:, :, : self._columns], v[:, :, : self._columns]
        part = _rowwise(*weigh(grouped, k, v, scores, hidden[:, None, None]))
        if self._longest:
            merge_into(part, self._to_prompts(layer, grouped, scores, window))
        if self._num_trunk:
            merge_into(part, self._to_trunk(layer, q, scores, window))
        return part

    def _to_prompts(self, layer: int, grouped: Tensor, scores: Scores, window: int | None) -> Part:
        k, v = self._padded[layer]
        rows, heads, group, width = grouped.shape
        slots, prompts = self._slots, len(self._prompts)
        q = grouped[slots].reshape(prompts, -1, heads, group, width).transpose(1, 2)
        hidden = self._beyond
        if window is not None:
            columns = self._num_trunk + torch.arange(self._longest, device=self._device)
            far = self._depth[slots].reshape(prompts, -1, 1) - columns >= window
            hidden = hidden | far.repeat_interleave(group, 1)
        out, lse = weigh(q.reshape(prompts, heads, -1, width), k, v, scores, hidden[:, None])
        out = out.reshape(prompts, heads, -1, group, out.shape[-1]).transpose(1, 2).flatten(0, 1)
        lse = lse.reshape(prompts, heads, -1, group).transpose(1, 2).flatten(0, 1)
        return Part(out[self._back].reshape(rows, -1, out.shape[-1]), lse[self._back].reshape(rows, -1))

    def _to_trunk(self, layer: int, q: Tensor, scores: Scores, window: int | None) -> Part:
        k, v = self._trunk[layer]
        if window is None or self._deepest < window:
            return attend(q, k, v, scores)
        group = q.shape[0] // k.shape[0]
        columns = torch.arange(self._num_trunk, device=self._device)
        hidden = (self._depth[:, None] - columns >= window).repeat(group, 1)
        folded = q.reshape(k.shape[0], -1, q.shape[-1])
        out, lse = weigh(folded, k, v, scores, hidden[None])
        rows = len(self)
        out = out.reshape(k.shape[0], group, rows, -1).permute(2, 0, 1, 3)
        lse = lse.reshape(k.shape[0], group, rows).permute(2, 0, 1)
        return _rowwise(out, lse)

    def _grown(self, layer: int, own: KeyValue) -> KeyValue:
        """The rows' own keys and values with this step's written into them."""
        k, v = (tensor.transpose(0, 1) for tensor in own)
        if layer not in self._own:
            self._own[layer] = (
                k.new_zeros(len(k), k.shape[1], ROOM, k.shape[2]),
                v.new_zeros(len(v), v.shape[1], ROOM, v.shape[2]),
            )
        kept = self._own[layer]
        if kept[0].shape[2] < self._columns:
            kept = self._own[layer] = (_longer(kept[0], ROOM, 2, more=True), _longer(kept[1], ROOM, 2, more=True))
        kept[0][self._rows, :, self._at] = k
        kept[1][self._rows, :, self._at] = v
        return kept

    def _pad(self) -> None:
        """All prompts' keys and values to one length, and which rows belong to which prompt."""
        lengths = [prompt.length for prompt in self._prompts]
        self._longest = max(lengths, default=0)
        filled = [prompt for prompt in self._prompts if prompt.length]
        layers = filled[0].layers if filled else dict[int, KeyValue]()
        self._padded = {layer: (self._stacked(layer, 0), self._stacked(layer, 1)) for layer in layers}
        counts = np.bincount(self._of, minlength=len(lengths))
        most = int(counts.max(initial=0))
        order = np.argsort(self._of, kind="stable")
        place = np.arange(len(self)) - np.repeat(np.cumsum(counts) - counts, counts)
        slots, back = np.zeros(len(lengths) * most, np.int64), np.empty(len(self), np.int64)
        back[order] = self._of[order] * most + place
        slots[back] = np.arange(len(self))
        self._slots, self._back = _hub.tensor(slots, self._device), _hub.tensor(back, self._device)
        columns = np.arange(self._longest)
        self._beyond = _hub.tensor((columns[None] >= np.array(lengths, np.int64)[:, None])[:, None], self._device)

    def _stacked(self, layer: int, which: int) -> Tensor:
        """(prompts, key heads, longest, width)."""
        some = next(p.layers[layer][which] for p in self._prompts if p.length)
        parts = [p.layers[layer][which] if p.length else some[:, :0] for p in self._prompts]
        return torch.stack([_longer(part, self._longest, 1) for part in parts])


def _rowwise(out: Tensor, lse: Tensor) -> Part:
    """(rows, key heads, group, width) -> (rows, heads, width)."""
    return Part(out.flatten(1, 2), lse.flatten(1, 2))


def _longer(tensor: Tensor, length: int, dim: int, *, more: bool = False) -> Tensor:
    """Filled up with zeros to ``length`` (``more``: by so much) along a dimension."""
    missing = length if more else length - tensor.shape[dim]
    if missing <= 0:
        return tensor
    shape = list(tensor.shape)
    shape[dim] = missing
    return torch.cat([tensor, tensor.new_zeros(shape)], dim)
