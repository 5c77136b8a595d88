"""How many tokens go through a network in one pass: from the processor's cache, or the GPU's memory."""

from __future__ import annotations

import os
from pathlib import Path

import torch

from trialist.models.local import _hub
from trialist.models.local.schedule import Sizes

CPU_BYTES = 6 << 20
"""The widest activation of a pack on a processor: about what its cache holds beside the weights."""
CPU_RANGE, GPU_RANGE = (1024, 8192), (1024, 32768)
SHARE = 0.5
"""Of the free memory, what a pack may take; the rest is for trunks, logits and other programs."""
GPU_BLOCK = 1024
"""Tokens of a pass over a trunk on a GPU. In half precision a weight of two bytes is read for two operations a token,
and a GPU does some 300 operations while a byte is read: with 300 tokens, reading takes as long as multiplying."""


def default_sizes(network: _hub.Network, capacity: int | None = None) -> Sizes:
    """``capacity``: tokens of a pack, or None for the default."""
    found = capacity or default_capacity(network)
    return Sizes(found) if _hub.device_of(network).type == "cpu" else Sizes(found, block=GPU_BLOCK)


def default_capacity(network: _hub.Network) -> int:
    """Tokens of a pack: on a processor by its cache, elsewhere by the free memory; both bounded by the latter.

    On a processor a token's activations are taken as 16 vectors of the model's width and 4 of its feed-forward's, in
    fp32.
    """
    device = _hub.device_of(network)
    width, inner = _hub.widths(network)
    item = next(network.parameters()).element_size()
    room = int(SHARE * free_bytes(device))
    if device.type == "cpu":
        low, high = CPU_RANGE
        affordable = room // (4 * (16 * width + 4 * inner))
        return rounded(min(affordable, max(low, min(high, CPU_BYTES // (inner * item)))))
    low, high = GPU_RANGE
    return rounded(max(low, min(high, room // gpu_token_bytes(width, inner, item, _hub.key_value_bytes(network)))))


def rounded(tokens: int) -> int:
    """Down to a power of two: what comes from the free memory shouldn't change with every byte of it, since the last
    bits of results may depend on it."""
    return 1 << (max(1, tokens).bit_length() - 1)


def gpu_token_bytes(width: int, inner: int, item: int, key_values: int) -> int:
    """Bytes that a token of a pack takes at most; ``item``: bytes of a weight, ``key_values``: of its keys and values.

    12 vectors of the model's width (residual, norm's output, queries as projected, rotated and filled up, output as
    computed and transposed; keys, values and their copies, which are narrower), 3 more in fp32 inside a norm, 4 of the
    feed-forward's; and the keys and values of all layers, which prompts and trunks keep.
    """
    return item * (12 * width + 4 * inner) + 4 * 3 * width + key_values


def free_bytes(device: torch.device) -> int:
    """Memory that could be had now."""
    if device.type == "cuda":
        # what torch holds in reserve is as good as free
        reserve = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0]) + reserve
    return _limit(Path("/sys/fs/cgroup"), _available())


def _available() -> int:
    try:
        lines = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
        return int(lines["MemAvailable"].split()[0]) << 10
    except (OSError, KeyError, ValueError):  # no Linux: half of what there is
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2 if hasattr(os, "sysconf") else 4 << 30


def _limit(group: Path, available: int) -> int:
    """A container's limit, where it has one."""
    try:
        limit, used = ((group / name).read_text().strip() for name in ("memory.max", "memory.current"))
        return min(available, int(limit) - int(used))
    except (OSError, ValueError):
        return available
