"""Attention in parts equals dense attention over each token's ancestors: trunk, chain and tiles."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from engine_cases import row_sets, size_sets
from hypothesis import given, settings
from hypothesis import strategies as st

from trialist.models.local import kernels
from trialist.models.local.attention import make_meta
from trialist.models.local.kernels import KeyValue, Part, Scores, attend, merge_into, plain, with_sink
from trialist.models.local.packing import pack_rows, row_paths
from trialist.models.local.schedule import Pack, Sizes, schedule
from trialist.models.local.tree import Tree, make_tree

pytestmark = pytest.mark.torch

WIDTH = 8


def randoms(seed: int, *shape: int) -> torch.Tensor:
    return 2 * torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def dense(q: torch.Tensor, kv: KeyValue, seen: torch.Tensor, scores: Scores, sink: torch.Tensor) -> torch.Tensor:
    """One softmax over everything in fp64, as the papers write it; the sink is one more key with the value zero."""
    k, v = (part.double().repeat_interleave(q.shape[0] // part.shape[0], 0) for part in kv)
    raw = scores.scale * q.double() @ k.transpose(1, 2)
    raw = raw if scores.softcap is None else scores.softcap * torch.tanh(raw / scores.softcap)
    raw = raw.masked_fill(~seen, float("-inf"))
    raw = torch.cat([raw, sink.double()[:, None, None].expand(-1, raw.shape[1], 1)], -1)
    return (raw.softmax(-1)[..., :-1] @ v).transpose(0, 1)


def visible(tree: Tree, pack: Pack, window: int | None) -> torch.Tensor:
    """(tokens, trunk + tokens): the trunk and one's own path, as far as the window reaches."""
    seen = np.zeros((pack.num_tokens, pack.trunk + pack.num_tokens), np.bool_)
    for path in row_paths(tree, pack):
        text = np.concatenate([np.arange(pack.trunk), pack.trunk + path])
        for depth, at in enumerate(path.tolist(), pack.trunk):
            first = 0 if window is None else max(0, depth - window + 1)
            seen[at, text[first : depth + 1]] = True
    return torch.from_numpy(seen)


@given(
    rows=row_sets(),
    sizes=size_sets(),
    window=st.none() | st.integers(1, 24),
    softcap=st.none() | st.just(3.0),
    heads=st.sampled_from([(1, 1), (2, 2), (4, 2), (6, 2)]),
    seed=st.integers(0, 99),
)
@settings(max_examples=250)
def test_parts_equal_one_dense_attention(rows, sizes: Sizes, window, softcap, heads, seed: int):
    tree, scores = make_tree(rows), Scores(WIDTH**-0.5, softcap)
    for pack in schedule(tree, sizes):
        size, trunk = pack.num_tokens, pack.trunk
        if not size:
            continue
        q, k, v = (randoms(seed + i, heads[i > 0], trunk + size, WIDTH) for i in range(3))
        own, above = (k[:, trunk:], v[:, trunk:]), {0: (k[:, :trunk], v[:, :trunk])} if trunk else {}
        meta = make_meta(pack_rows(tree, pack, {}, sizes.tile), above, torch.device("cpu"), keep=True)
        sink = randoms(seed + 3, heads[0])
        found = with_sink(meta.attend(0, q[:, trunk:], own, scores, window), sink)
        wanted = dense(q[:, trunk:], (k, v), visible(tree, pack, window), scores, sink)
        torch.testing.assert_close(found.double(), wanted, atol=1e-5, rtol=1e-5)
        assert meta.kept is not None
        assert meta.kept[0] is own


@given(n=st.integers(1, 9), m=st.integers(1, 9), seed=st.integers(0, 99), softcap=st.none() | st.just(2.0))
def test_fused_and_plain_agree_and_parts_merge_in_any_order(n: int, m: int, seed: int, softcap):
    q, k, v = randoms(seed, 4, n, WIDTH), randoms(seed + 1, 4, 2 * m, WIDTH), randoms(seed + 2, 4, 2 * m, WIDTH)
    scores = Scores(0.3, softcap)
    whole = plain(q, k, v, scores, None)
    if softcap is None:
        assert_parts_equal(attend(q, k, v, scores), whole)
    for first, second in ((slice(m), slice(m, None)), (slice(m, None), slice(m))):
        part = attend(q, k[:, first], v[:, first], scores)
        merge_into(part, attend(q, k[:, second], v[:, second], scores))
        assert_parts_equal(part, whole)


def test_many_scores_are_made_some_rows_at_a_time(monkeypatch: pytest.MonkeyPatch):
    q, k, v = randoms(0, 2, 11, WIDTH), randoms(1, 2, 7, WIDTH), randoms(2, 2, 7, WIDTH)
    mask = torch.zeros(11, 7).masked_fill(randoms(3, 11, 7) > 2, float("-inf"))
    wanted = attend(q, k, v, Scores(1.0, 5.0), mask)
    monkeypatch.setattr(kernels, "SCORES_AT_ONCE", 3 * 14)
    assert_parts_equal(attend(q, k, v, Scores(1.0, 5.0), mask), wanted)


def assert_parts_equal(found: Part, wanted: Part) -> None:
    torch.testing.assert_close(found.out, wanted.out, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found.lse, wanted.lse, atol=1e-5, rtol=1e-5)
