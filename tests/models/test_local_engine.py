"""The engine gives what the plain twin gives: any continuations, any sizes, any architecture, any order and company."""

from __future__ import annotations

import pytest
import torch
from engine_cases import (
    ROOMY,
    after,
    assert_like_the_twin,
    assert_near,
    continuation_sets,
    counted,
    engine,
    scored,
    size_sets,
    tiny,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import CONFIGS, network

from trialist.models.local.engine import Engine
from trialist.models.local.keyvalues import TrunkStore
from trialist.models.local.schedule import Sizes
from trialist.models.local.text import Continuation

pytestmark = pytest.mark.torch

SMALL = Sizes(40, min_trunk=4, min_pairs=1, tile=16, block=8)
"""Packs, trunks, tiles and blocks are all cut often."""


@given(continuation_sets(), size_sets(), st.sampled_from([0, 2000, ROOMY]))
@settings(max_examples=80)
def test_any_continuations_and_sizes(continuations, sizes: Sizes, trunk_bytes: int):
    assert_like_the_twin(engine("llama", sizes, trunk_bytes), continuations)


@pytest.mark.parametrize("kind", sorted(CONFIGS))
@given(continuations=continuation_sets(), sizes=size_sets())
@settings(max_examples=8)
def test_every_architecture(kind: str, continuations, sizes: Sizes):
    """Texts of up to 64 tokens, in windows of 8 where the architecture has them."""
    assert_like_the_twin(engine(kind, sizes), continuations)


@given(continuation_sets(), size_sets(), st.randoms(use_true_random=False))
@settings(max_examples=20)
def test_order_and_company_change_nothing(continuations, sizes: Sizes, random):
    """In another order, and each half without the other: near the same numbers, in the places asked."""
    order = list(range(len(continuations)))
    random.shuffle(order)
    wanted = scored(engine("llama", Sizes(200)), continuations)
    shuffled = scored(engine("llama", sizes), [continuations[k] for k in order])
    for k, found in zip(order, shuffled, strict=True):
        assert found.logprob == pytest.approx(wanted[k].logprob, abs=1e-4)
    for part in (order[::2], order[1::2]):
        if part:
            assert_near(tiny(), [continuations[k] for k in part], [shuffled[order.index(k)] for k in part])


@pytest.mark.parametrize("kind", ["llama", "gemma2", "gpt_oss"])
@given(st.data())
@settings(max_examples=10)
def test_what_the_trunk_store_holds_changes_no_bit(kind: str, data: st.DataObject):
    """A trunk's bytes are a function of its tokens: after other calls, after the same call, with hardly any room."""
    asked, others = data.draw(continuation_sets()), data.draw(continuation_sets())
    sizes = data.draw(size_sets())
    cold = scored(engine(kind, sizes), asked)
    warm = engine(kind, sizes)
    for before in (others, asked, [c for pair in zip(asked, others, strict=False) for c in pair]):
        scored(warm, before)
        assert scored(warm, asked) == cold
    assert scored(engine(kind, sizes, trunk_bytes=data.draw(st.integers(0, 3000))), asked) == cold


def test_a_trunk_is_kept_and_only_whole_blocks_are_taken_over():
    made = engine("llama", Sizes(200, block=8))
    row = make_row(30)
    long = made.trunk(row)
    assert made.trunk(row) is long
    assert len(made.store.find(row[:20]) or ()) == 16
    assert len(made.store.find(row[:16]) or ()) == 16
    assert made.store.find(row[:7]) is None
    for layer, (k, v) in engine("llama", Sizes(200, block=8)).trunk(row[:20]).layers.items():
        assert torch.equal(made.trunk(row[:20]).layers[layer][0], k)
        assert torch.equal(made.trunk(row[:20]).layers[layer][1], v)


def test_the_store_keeps_the_newest_within_its_room():
    made = engine("llama", Sizes(200, block=8))
    size = made.trunk(make_row(8)).num_bytes
    store = made.store = TrunkStore(2 * size, 8)
    rows = [make_row(8, first) for first in (3, 4, 5)]
    for row in [*rows[:2], rows[0], rows[2]]:
        made.trunk(row)
    assert [store.find(row) is not None for row in rows] == [True, False, True]


def test_a_thousand_choices_of_one_context_pass_it_once(monkeypatch: pytest.MonkeyPatch):
    context = tuple(range(3, 103))
    asked = [after(context, (k // 32 + 3, k % 32 + 40, 7)[: 1 + k % 3]) for k in range(1000)]
    passed = counted(monkeypatch)
    found = scored(engine("llama", Sizes(512, block=64)), asked)
    assert sum(passed) < len(context) + 1000, "the context passes once, a shared start of choices too"
    assert_near(tiny(), asked[::25], found[::25])


@pytest.mark.parametrize("kind", ["gpt2", "opt", "llama"])
@pytest.mark.parametrize("sizes", [SMALL, Sizes(4096)])
def test_texts_at_the_limit_of_the_context(kind: str, sizes: Sizes):
    full = tuple(3 + k % 11 for k in range(128))
    asked = [after(full[:n], (*full[n:], last)) for n in (1, 64, 127, 128) for last in (9, 10)]
    assert {len(one.row) for one in asked} == {128}
    assert_like_the_twin(engine(kind, sizes), asked)


def test_reads_inside_a_trunk(monkeypatch: pytest.MonkeyPatch):
    """A text whose every token is read is the start of all others; one is read from the very first token on."""
    text = tuple(3 + k % 7 for k in range(40))
    asked = [after(text[:1], text[1:]), after(text[:20], text[20:30]), *(after(text, (k, 5)) for k in range(3, 60))]
    made = engine("llama", SMALL)
    passed = counted(monkeypatch)
    found = scored(made, asked)
    assert max(passed) <= SMALL.capacity
    assert_near(tiny(), asked, found)


def test_nothing_asked_passes_nothing(monkeypatch: pytest.MonkeyPatch):
    passed = counted(monkeypatch)
    assert list(engine().passes([])) == []
    assert passed == []


def test_results_grow_pass_by_pass():
    """Something is ready after a first pass, and what is ready no longer changes."""
    asked: list[Continuation] = [after((3, 4, k), (5, k)) for k in range(3, 40)]
    seen: dict[int, float] = {}
    counts = list[int]()
    for results in engine("llama", SMALL).passes(asked):
        ready = results.ready().nonzero()[0].tolist()
        seen |= {k: seen.get(k, results.scored(k).logprob) for k in ready}
        assert seen == {k: results.scored(k).logprob for k in ready}
        counts.append(len(ready))
    assert counts == sorted(counts)
    assert 0 < counts[0] < counts[-1] == len(asked)


@pytest.mark.parametrize("kind", ["llama", "gemma2"])
def test_a_text_whose_numbers_are_not_finite_spoils_no_other(kind: str):
    """Behind a mask, 0 times NaN is still NaN: whatever shares a tile with the spoiled token is computed again."""
    spoiled, bad = network(kind, tie_word_embeddings=False), 200
    with torch.no_grad():
        spoiled.get_input_embeddings().weight[bad] = float("nan")
    header = tuple(range(3, 16))
    asked = [after((*header, k, last), (k, 9)) for k in range(20, 40) for last in (30, bad if k == 25 else 31)]
    results = list(Engine(spoiled, Sizes(200), ROOMY).passes(asked))[-1]
    assert results.ready().all()
    found = [results.scored(k) for k in range(len(asked))]
    assert [one for one, f in zip(asked, found, strict=True) if f.logprob != f.logprob] == [asked[11]]
    del asked[11], found[11]
    assert_near(spoiled, asked, found)


def make_row(length: int, first: int = 3):
    import numpy as np

    return np.array([first, *(3 + k % 5 for k in range(length - 1))], np.uint32)
