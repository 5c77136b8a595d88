"""When memory runs out: everything that fits alone is answered, nothing is computed twice, the rest is named."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import torch
from engine_cases import after, assert_near, continuation_sets, engine, scored, tiny
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import write_model

from trialist.errors import ModelError
from trialist.models.local import LocalModel
from trialist.models.local.engine import NEVER, Engine, Results
from trialist.models.local.forward import Forward
from trialist.models.local.schedule import Sizes
from trialist.models.protocol import Activations, Choose, Failure, Keyed, Reply

pytestmark = pytest.mark.torch

ERRORS = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB"),
    RuntimeError("[enforce fail] . DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
    MemoryError(),
]


def ending(patch: pytest.MonkeyPatch, most: int, error: BaseException = ERRORS[0]) -> list[int]:
    """From here on memory runs out on more than ``most`` tokens; the sizes of the passes that were tried."""
    tried: list[int] = []
    real = Forward.hidden

    def hidden(self, ids, positions, meta):
        tried.append(len(ids))
        if len(ids) > most:
            raise error
        return real(self, ids, positions, meta)

    patch.setattr(Forward, "hidden", hidden)
    return tried


@given(continuation_sets(longest=12), st.integers(27, 60), st.sampled_from([1, 6, NEVER]), st.sampled_from(ERRORS))
@settings(max_examples=20)
def test_all_that_fits_is_answered_and_nothing_twice(asked, most: int, min_trunk: int, error):
    """The longest text has 26 tokens, so each fits. Packs are at least half of what fits in the end. (What a pack reads
    inside its trunk is read before the pack, and again by its halves.)"""
    made = engine("llama", Sizes(200, min_trunk=min_trunk, min_pairs=40, block=16))
    puts = Counter[int]()
    with pytest.MonkeyPatch.context() as patch:
        ending(patch, most, error)
        real = Results.put

        def put(self, reads, read, *, final):
            puts.update(reads.slots.tolist())
            return real(self, reads, read, final=final)

        patch.setattr(Results, "put", put)
        found = scored(made, asked)
    assert_near(tiny(), asked, found)
    assert len(puts) == sum(len(one.targets) for one in asked)
    assert min_trunk < NEVER or set(puts.values()) == {1}
    assert made.sizes.capacity == 200 or (most + 1) // 2 <= made.sizes.capacity


def test_capacity_is_halved_once_for_all_packs_that_wait(monkeypatch: pytest.MonkeyPatch):
    """Ten packs of 100 tokens were planned; the first shows that only half of it fits."""
    made = engine("llama", Sizes(100, min_trunk=NEVER))
    asked = [after((3 + k, *range(20, 29)), (7,)) for k in range(100)]
    tried = ending(monkeypatch, 60)
    scored(made, asked)
    assert made.sizes.capacity == 50
    assert made.num_exhausted == 1
    assert tried == [100, *[50] * 20]


def test_texts_too_large_alone_say_nothing_of_packs(monkeypatch: pytest.MonkeyPatch):
    """Many of them: what fits is still packed by its own size."""
    made = engine("llama", Sizes(64))
    large = [after((3 + k, *range(20, 119)), (7,)) for k in range(9)]
    small = [after((30 + k, 5), (7,)) for k in range(64)]
    tried = ending(monkeypatch, 70)
    results = list(made.passes([*large, *small]))[-1]
    assert results.ready().tolist() == [False] * 9 + [True] * 64
    assert made.sizes.capacity >= 35
    assert len([size for size in tried if size <= 70]) <= 4


def test_memory_that_runs_out_on_a_trunk_leaves_packs_half_a_block(monkeypatch: pytest.MonkeyPatch):
    """A block of 16 tokens was too much; that the packs below the trunk were smaller doesn't matter."""
    made = engine("llama", Sizes(9, min_trunk=4, min_pairs=1, block=16))
    asked = [after((*range(20, 60), 7, k), (9,)) for k in range(3, 11)]
    fails, real = iter([True]), Forward.hidden

    def hidden(self, ids, positions, meta):
        if next(fails, False):
            raise ERRORS[0]
        return real(self, ids, positions, meta)

    monkeypatch.setattr(Forward, "hidden", hidden)
    found = scored(made, asked)
    assert made.sizes.capacity == 8
    assert_near(tiny(), asked, found)


def test_another_error_is_no_want_of_memory(monkeypatch: pytest.MonkeyPatch):
    ending(monkeypatch, 0, RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    with pytest.raises(RuntimeError, match="shapes"):
        scored(engine(), [after((3,), (4,))])


@pytest.fixture
def model(tmp_path: Path) -> LocalModel:
    return LocalModel.load(write_model(tmp_path / "m"))


def test_a_text_too_large_alone_fails_with_its_size_and_no_other(model: LocalModel, monkeypatch: pytest.MonkeyPatch):
    good = [Choose("x", (" the", "y")), Choose("A band is", ("z", " b")), Activations("xyz", ("model.layers.1",))]
    bad = [Choose("a" * 99, ("y", "xyz")), Activations("q" * 80, ("model.layers.1",))]
    asked = [Keyed(str(i), i, request) for i, request in enumerate([bad[0], *good, bad[1]])]
    wanted = {reply.key: reply.value for reply in model.answer(asked)}
    assert model.backend.engine is not None
    assert not model.backend.engine.num_exhausted
    ending(monkeypatch, 60)
    found = {reply.key: reply.value for reply in model.answer(asked)}
    assert found["0"] == Failure("memory ran out on a text, even alone: 101 tokens")
    assert found["4"] == Failure("memory ran out on a text, even alone: 80 tokens")
    for key in ("1", "2"):
        assert found[key].logprobs == pytest.approx(wanted[key].logprobs, abs=1e-4)
    assert isinstance(found["3"], Reply)
    torch.testing.assert_close(found["3"].activations[0], wanted["3"].activations[0], atol=1e-4, rtol=1e-4)


def test_scores_and_drafts_name_what_is_too_large(model: LocalModel, monkeypatch: pytest.MonkeyPatch):
    assert isinstance(model.backend.engine, Engine)
    ending(monkeypatch, 60)
    with pytest.raises(ModelError, match="continuation 1: memory ran out"):
        model.score([after((3,), (4,)), after(tuple(range(3, 100)), (4,))])
    assert len(model.score([after((3,), (4,))])) == 1
