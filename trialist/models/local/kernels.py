"""Attention of some queries to some keys, with the log-sum-exp that lets parts be merged; fused, and its plain twin.

    out[i] = sum over j of softmax_j(s[i, j]) v[j],   s[i, j] = scale q[i].k[j] (soft-capped) + mask[i, j]
    lse[i] = log sum over j of exp(s[i, j])

Parts over disjoint keys merge exactly: out = sum of out_p exp(lse_p - lse), lse = log sum of exp(lse_p).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

SCORES_AT_ONCE, SCORES_AT_ONCE_GPU = 1 << 23, 1 << 26
"""How many scores the plain twin holds at a time: 32 and 256 MB in fp32."""
GPU_WIDTHS = range(8, 257, 8)
"""Of a head: what torch's flash attention for GPUs takes."""

_fused: Callable[..., tuple[Tensor, Tensor]] = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu.default
_fused_on_gpu: Callable[..., tuple[Tensor, ...]] = torch.ops.aten._scaled_dot_product_flash_attention.default


KeyValue = tuple[Tensor, Tensor]
"""Keys and values (key heads, tokens, width)."""


@dataclass(frozen=True)
class Part:
    """``out`` (n, heads, width) and ``lse`` (n, heads), the latter in fp32."""

    out: Tensor
    lse: Tensor


@dataclass(frozen=True)
class Scores:
    """How a layer turns q.k into a score: its ``scale`` and its soft cap, if it has one."""

    scale: float
    softcap: float | None = None


def attend(q: Tensor, k: Tensor, v: Tensor, scores: Scores, mask: Tensor | None = None) -> Part:
    """``q`` (heads, n, width), ``k`` and ``v`` (key heads, m, width), key heads dividing heads; ``mask`` (n, m) holds 0
    or -inf, with a 0 in every row, or is None for all zeros."""
    group = q.shape[0] // k.shape[0]
    if group > 1:
        if mask is None:  # the queries of a group are just more queries of its key head
            return _unfolded(attend(q.reshape(k.shape[0], -1, q.shape[-1]), k, v, scores), q.shape[1])
        k, v = k.repeat_interleave(group, 0), v.repeat_interleave(group, 0)
    if scores.softcap is None and k.shape[-1] == v.shape[-1]:
        if q.device.type == "cpu":
            return fused(q, k, v, scores, mask)
        if mask is None and _flash_on_gpu(q):
            return fused_on_gpu(q, k, v, scores)
    held = SCORES_AT_ONCE if q.device.type == "cpu" else SCORES_AT_ONCE_GPU
    rows = max(1, held // (q.shape[0] * k.shape[1]))
    starts = range(0, q.shape[1], rows)
    masks = [None if mask is None else mask[start : start + rows] for start in starts]
    parts = [plain(q[:, start : start + rows], k, v, scores, m) for start, m in zip(starts, masks, strict=True)]
    return joined(parts)


def joined(parts: Sequence[Part]) -> Part:
    """Parts of different queries, one after the other."""
    if len(parts) == 1:
        return parts[0]
    return Part(torch.cat([part.out for part in parts]), torch.cat([part.lse for part in parts]))


def fused(q: Tensor, k: Tensor, v: Tensor, scores: Scores, mask: Tensor | None) -> Part:
    """torch's flash attention for CPUs, which returns the log-sum-exp."""
    wide = None if mask is None else mask[None, None]
    out, lse = _fused(q[None], k[None], v[None], 0.0, False, attn_mask=wide, scale=scores.scale)
    return Part(out[0].transpose(0, 1), lse[0].transpose(0, 1))


def fused_on_gpu(q: Tensor, k: Tensor, v: Tensor, scores: Scores) -> Part:
    """torch's flash attention for GPUs: no mask, no groups, half precision."""
    out, lse, *_ = _fused_on_gpu(q[None], k[None], v[None], 0.0, False, False, scale=scores.scale)
    return Part(out[0].transpose(0, 1), lse[0, :, : q.shape[1]].transpose(0, 1))


def _flash_on_gpu(q: Tensor) -> bool:
    if q.device.type != "cuda" or q.dtype not in (torch.float16, torch.bfloat16) or q.shape[-1] not in GPU_WIDTHS:
        return False
    return torch.version.hip is None and torch.cuda.get_device_capability(q.device) >= (8, 0)


def plain(q: Tensor, k: Tensor, v: Tensor, scores: Scores, mask: Tensor | None) -> Part:
    """The formula as it stands, scores in fp32."""
    out, lse = weigh(q, k, v, scores, None if mask is None else mask.isinf())
    return Part(out.transpose(0, 1), lse.transpose(0, 1))


def weigh(q: Tensor, k: Tensor, v: Tensor, scores: Scores, hidden: Tensor | None) -> tuple[Tensor, Tensor]:
    """out (..., n, width) and lse (..., n) for q (..., n, width), k and v (..., m, width) and ``hidden`` (..., n, m). A
    query that sees nothing gets 0 and -inf."""
    raw = torch.matmul(q, k.transpose(-1, -2)).float().mul_(scores.scale)
    if scores.softcap is not None:
        raw = raw.div_(scores.softcap).tanh_().mul_(scores.softcap)
    if hidden is not None:
        raw = raw.masked_fill_(hidden, float("-inf"))
    lse = raw.logsumexp(-1)
    weights = raw.sub_(lse.clamp(min=torch.finfo(lse.dtype).min)[..., None]).exp_()
    return torch.matmul(weights.to(v.dtype), v), lse


def merge_into(part: Part, other: Part, start: int = 0) -> None:
    """Add the part over other keys of the queries from ``start`` on, in place."""
    out, lse = part.out[start:], part.lse[start:]
    out.lerp_(other.out, torch.sigmoid(other.lse - lse)[..., None].to(out.dtype))
    torch.logaddexp(lse, other.lse, out=lse)


def _unfolded(part: Part, num_queries: int) -> Part:
    """(group x n, key heads, ...) back to (n, key heads x group, ...)."""
    heads, width = part.out.shape[1:]
    out = part.out.reshape(-1, num_queries, heads, width).permute(1, 2, 0, 3)
    lse = part.lse.reshape(-1, num_queries, heads).permute(1, 2, 0)
    return Part(out.reshape(num_queries, -1, width), lse.reshape(num_queries, -1))


def with_sink(part: Part, sink: Tensor) -> Tensor:
    """The part's output when each head has one more key, of score ``sink`` (heads,) and value zero."""
    return part.out * torch.sigmoid(part.lse - sink.float())[..., None].to(part.out.dtype)
