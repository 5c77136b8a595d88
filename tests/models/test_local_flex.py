"""Attention of a pack in one call: who sees whom, which blocks are left out, and equality with the tiles and the twin.
Without a GPU, FlexAttention runs as it was traced, with no compiler."""

from __future__ import annotations

import functools
import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import network

from trialist.models.local import _hub, memory
from trialist.models.local.attention import TreeMeta, make_meta, tile_meta
from trialist.models.local.blockmask import SIDE, Sight, block_lists, sight_of
from trialist.models.local.engine import Engine
from trialist.models.local.flex import FlexMeta, flex_meta
from trialist.models.local.kernels import Scores
from trialist.models.local.packing import Packed, chain, pack_rows, row_paths
from trialist.models.local.schedule import Sizes, schedule
from trialist.models.local.scoring import score
from trialist.models.local.text import Continuation
from trialist.models.local.tree import make_tree

pytestmark = pytest.mark.torch

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
NEVER = 1 << 40
CPU = torch.device("cpu")
EVERY = Sizes(capacity=NEVER, min_pairs=NEVER, tile=48)
WINDOWS = st.sampled_from([None, 1, 3, 40, 130])


@st.composite
def trees(draw: st.DrawFn, longest: int, most: int, header: int) -> tuple[list[tuple[int, ...]], int]:
    """Rows that share a header and, row by row, a part of the row before; and how much of the header is a trunk."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shared = draw(st.integers(0, header))
    rows = [tuple(random.integers(0, 272, shared + draw(st.integers(1, longest))).tolist())]
    for _ in range(draw(st.integers(0, most - 1))):
        keep = int(random.integers(shared, len(rows[-1]) + 1))
        rows.append((*rows[-1][:keep], *random.integers(0, 272, random.integers(1, longest + 1)).tolist()))
    return rows, draw(st.integers(0, shared)) if draw(st.booleans()) else 0


def packed_of(rows: list[tuple[int, ...]], trunk: int) -> tuple[Packed, list[Any]]:
    """All rows in one pack below the trunk, and each row's path in it."""
    tree = make_tree(rows)
    (pack,) = schedule(tree, EVERY, trunk)
    return pack_rows(tree, pack, {}, EVERY.tile), row_paths(tree, pack)


def seen_in(packed: Packed, window: int | None) -> np.ndarray:
    """(queries, columns): the rule of blockmask.py, written out."""
    sight = sight_of(packed)
    i, low = np.arange(len(sight.depths))[:, None], sight.lowest(window)[:, None]
    return (sight.begin <= i) & (i < sight.end) & (sight.depth >= low)


@given(trees(longest=90, most=6, header=150), WINDOWS)
@settings(deadline=None, max_examples=60)
def test_a_token_sees_the_window_s_end_of_its_own_text_and_nothing_else(made, window):
    rows, trunk = made
    packed, paths = packed_of(rows, trunk)
    seen, own = seen_in(packed, window), sight_of(packed).own
    width = NEVER if window is None else window
    wanted = np.zeros_like(seen)
    for path in paths:
        columns = np.concatenate([np.arange(trunk), own + path])
        for depth, token in enumerate(path, trunk):
            wanted[token, columns[max(0, depth + 1 - width) : depth + 1]] = True
    assert np.array_equal(seen[: len(packed)], wanted[: len(packed)])
    assert np.array_equal(seen[len(packed) :], np.repeat(seen[[len(packed) - 1]], len(seen) - len(packed), 0))


@given(trees(longest=90, most=8, header=300), WINDOWS)
@settings(deadline=None, max_examples=60)
def test_a_block_that_is_left_out_is_seen_by_nobody_and_one_without_a_mask_by_all(made, window):
    packed, _ = packed_of(*made)
    sight = sight_of(packed)
    blocks = seen_in(packed, window).reshape(len(sight.depths) // SIDE, SIDE, -1, SIDE)
    some, every = blocks.any((1, 3)), blocks.all((1, 3))
    part, full = (listed(found) for found in block_lists(sight, sight.lowest(window)))
    assert np.array_equal(full, every)
    assert not (part & full).any()
    assert not (some & ~(part | full)).any()


def listed(found) -> np.ndarray:
    marks = np.zeros(found.columns.shape, bool)
    for row, (count, columns) in enumerate(zip(found.counts, found.columns, strict=True)):
        assert sorted(columns) == list(range(len(columns))), "the kernel reads beyond the count"
        marks[row, columns[:count]] = True
    return marks


def test_most_blocks_of_many_short_texts_are_left_out():
    random = np.random.default_rng(0)
    packed, _ = packed_of([(first, *random.integers(0, 272, 99).tolist()) for first in range(60)], 0)
    sight = sight_of(packed)
    part, full = block_lists(sight, sight.lowest(None))
    assert int(part.counts.sum() + full.counts.sum()) <= 2 * len(part.counts)


@given(
    trees(longest=60, most=5, header=140),
    WINDOWS,
    st.sampled_from([(4, 2), (2, 2), (3, 1)]),
    st.sampled_from([None, 3.0]),
    st.sampled_from([16, 8]),
)
@settings(deadline=None, max_examples=12)
def test_one_call_equals_the_tiles(made, window, heads, softcap, width):
    packed, _ = packed_of(*made)
    generator = torch.Generator().manual_seed(len(packed))
    shapes = [(heads[1], packed.trunk), (heads[0], len(packed)), (heads[1], len(packed))]
    above, q, own = (
        [torch.randn(n, tokens, width, generator=generator) for _ in range(count)]
        for (n, tokens), count in zip(shapes, (2, 1, 2), strict=True)
    )
    trunk = {0: tuple(above)} if packed.trunk else {}
    found, wanted = (make(packed, trunk, CPU, keep=True) for make in (flex_meta, tile_meta))
    scores = Scores(0.5, softcap)
    with torch.inference_mode():
        ours, theirs = (meta.attend(0, q[0], tuple(own), scores, window) for meta in (found, wanted))
    torch.testing.assert_close(ours.out, theirs.out, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(ours.lse, theirs.lse, atol=1e-5, rtol=1e-5)
    assert ours.lse.dtype == torch.float32
    assert found.kept is not None
    assert wanted.kept is not None
    assert all(a is b is c for a, b, c in zip(found.kept[0], wanted.kept[0], own, strict=True))


made_network = functools.cache(network)


@pytest.mark.parametrize("kind", ["llama", "gemma2", "gpt_oss", "qwen2"])
@given(trees(longest=14, most=7, header=40))
@settings(deadline=None, max_examples=4)
def test_an_engine_of_one_call_a_layer_equals_one_of_tiles_and_the_twin(kind, made):
    rows, _ = made
    asked = [Continuation(row, len(row) // 2, (*row[len(row) // 2 + 1 :], 7)) for row in rows]
    net = made_network(kind)
    wanted = np.array([found.logprob for found in score(net, asked, 4096)])
    for sizes in (Sizes(NEVER), Sizes(50, min_trunk=5, min_pairs=1, tile=16, block=9)):
        by_tiles, by_flex = (logprobs(Engine(net, sizes, 1 << 30, make=make), asked) for make in (tile_meta, flex_meta))
        np.testing.assert_allclose(by_flex, by_tiles, atol=1e-4, rtol=2e-5)
        np.testing.assert_allclose(by_flex, wanted, atol=1e-4, rtol=2e-5)


def logprobs(engine: Engine, asked: list[Continuation]) -> list[float]:
    results = list(engine.passes(asked))[-1]
    return [results.scored(k).logprob for k in range(len(asked))]


def test_packs_of_any_size_and_window_share_one_kernel():
    from torch._dynamo.utils import counters

    scores = Scores(0.123)  # of no other test
    before = counters["stats"]["unique_graphs"]
    with torch.inference_mode():
        for size, trunk, window in [(5, 0, None), (300, 0, 20), (200, 300, None), (256, 256, 9), (700, 10, None)]:
            packed = chain(np.arange(size, dtype=np.uint32), trunk, 192)
            above = {0: (torch.zeros(1, trunk, 16), torch.zeros(1, trunk, 16))} if trunk else {}
            own = torch.zeros(1, size, 16)
            flex_meta(packed, above, CPU, keep=False).attend(0, own, (own, own), scores, window)
    assert counters["stats"]["unique_graphs"] == before + 1


@pytest.fixture(scope="module")
def check() -> Any:
    spec = importlib.util.spec_from_file_location("cuda_check", BENCHMARKS / "cuda_check.py")
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def test_the_check_for_gpus_passes_here_and_says_what_it_compared(check, capsys):
    assert check.main(["--device", "cpu", "llama"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines[1:]] == [["llama", "float32"], ["llama", "bfloat16"]]
    assert all(line.endswith("as the twin") for line in lines[1:])


def test_the_check_for_gpus_finds_a_column_too_much(check, monkeypatch, capsys):
    monkeypatch.setattr(Sight, "lowest", lambda self, window: np.zeros_like(self.depths))
    assert check.main(["--device", "cpu", "mistral"]) == 1
    assert "DIFFERS" in capsys.readouterr().out


def test_the_device_chooses():
    packed = chain(np.arange(3, dtype=np.uint32), 0, 192)
    assert isinstance(make_meta(packed, {}, torch.device("cuda"), keep=False), FlexMeta)
    assert isinstance(make_meta(packed, {}, CPU, keep=False), TreeMeta)


LLAMA_8B = {"widths": (4096, 14336), "key_value_bytes": 2 * 32 * 8 * 128 * 2}
LLAMA_1B = {"widths": (2048, 8192), "key_value_bytes": 2 * 16 * 8 * 64 * 2}


@pytest.mark.parametrize(
    ("model", "gigabytes", "low", "high"),
    [(LLAMA_8B, 64, 32768, 32768), (LLAMA_8B, 8, 8192, 16384), (LLAMA_8B, 1, 1024, 2048), (LLAMA_1B, 20, 32768, 32768)],
)
def test_packs_fit_the_memory_of_a_gpu(model, gigabytes, low, high, monkeypatch):
    """Free memory beside the weights of models in bf16."""
    for name, value in model.items():
        monkeypatch.setattr(_hub, name, lambda network, value=value: value)
    monkeypatch.setattr(_hub, "device_of", lambda network: torch.device("cuda"))
    monkeypatch.setattr(memory, "free_bytes", lambda device: gigabytes << 30)
    sizes = memory.default_sizes(network("llama").bfloat16())
    assert low <= sizes.capacity <= high
    assert sizes.block == memory.GPU_BLOCK
    assert memory.default_sizes(made_network("llama"), 99).capacity == 99


def test_what_torch_holds_in_reserve_counts_as_free(monkeypatch):
    for name, value in {"mem_get_info": (5, 9), "memory_reserved": 4, "memory_allocated": 1}.items():
        monkeypatch.setattr(torch.cuda, name, lambda device, value=value: value)
    assert memory.free_bytes(torch.device("cuda")) == 8
