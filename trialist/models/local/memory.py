"""How many tokens go through a network in one pass."""

from __future__ import annotations

import os
from pathlib import Path

import torch

from trialist.models.local import _hub

CPU_BYTES = 6 << 20
"""The widest activation of a pack on a processor: about what its cache holds beside the weights."""
CPU_RANGE, GPU_RANGE = (1024, 8192), (1024, 32768)
SHARE = 0.5
"""Of the free memory, what a pack may take; the rest is for trunks, logits and other programs."""


def default_capacity(network: _hub.Network) -> int:
    """Tokens of a pack: on a processor by its cache, elsewhere by the free memory; both bounded by the latter.

    A token's activations are taken as 16 vectors of the model's width and 4 of its feed-forward's, in fp32.
    """
    device = _hub.device_of(network)
    width, inner = _hub.widths(network)
    item = next(network.parameters()).element_size()
    affordable = int(SHARE * free_bytes(device)) // (4 * (16 * width + 4 * inner))
    if device.type == "cpu":
        low, high = CPU_RANGE
        return max(1, min(affordable, max(low, min(high, CPU_BYTES // (inner * item)))))
    low, high = GPU_RANGE
    return max(low, min(high, affordable))


def free_bytes(device: torch.device) -> int:
    """Memory that could be had now."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
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
