"""The local model and the cache of its replies: hits without a pass, and misses wherever a bit could differ."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from engine_cases import counted
from tiny_models import network, write_model

from trialist.models.cache import ReplyCache
from trialist.models.local import LocalModel
from trialist.models.local.forward import Forward
from trialist.models.protocol import Choose, Failure, Generate, Keyed, Reply

pytestmark = pytest.mark.torch

ASKED = [Choose("The thing in", (" the", "y")), Generate("x", 5), Generate("x", 9, (), 1.0, 3), Choose("", ("",))]
Told = dict[str, Reply | Failure]


def answers(model: LocalModel, seed: int = 0) -> Told:
    return {r.key: r.value for r in model.answer(Keyed(str(i), seed, request) for i, request in enumerate(ASKED))}


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of all passes of the engine."""
    return counted(monkeypatch)


@pytest.fixture
def model(tmp_path: Path) -> LocalModel:
    return replace(LocalModel.load(write_model(tmp_path / "m")), cache=ReplyCache(tmp_path / "cache"), capacity=64)


def test_a_second_run_passes_nothing_and_has_the_same_bits(model: LocalModel, passes: list[int]):
    first = answers(model)
    passes.clear()
    assert answers(model) == answers(replace(model)) == first
    assert passes == []
    assert answers(replace(model, cache=None)) == first
    assert passes


@pytest.mark.parametrize("change", ["weights", "dtype", "capacity", "seed", "nothing"])
def test_what_could_change_a_bit_is_a_miss(change: str, model: LocalModel, passes: list[int], tmp_path: Path):
    answers(model)
    others: dict[str, Any] = {
        "weights": lambda: model.with_network(network(seed=1)),
        "dtype": lambda: replace(LocalModel.load(tmp_path / "m", dtype="bfloat16"), cache=model.cache, capacity=64),
        "capacity": lambda: replace(model, capacity=65),
        "seed": lambda: model,
        "nothing": lambda: replace(model),
    }
    other = others[change]()
    assert other.backend.engine is not None
    passes.clear()
    answers(other, seed=1 if change == "seed" else 0)
    assert bool(passes) == (change != "nothing")
    passes.clear()
    answers(other, seed=1 if change == "seed" else 0)
    assert passes == [], "what was missed is kept now"


@pytest.mark.parametrize("capacity", [1, 2, 64])
def test_a_run_in_which_memory_ran_out_is_not_kept(capacity: int, model: LocalModel, monkeypatch: pytest.MonkeyPatch):
    """Even where packs couldn't become smaller: a failure for want of memory is no answer to keep."""
    model = replace(model, capacity=capacity)
    assert model.backend.engine is not None
    with monkeypatch.context() as patch:

        def hidden(self, ids, positions, meta):
            raise torch.OutOfMemoryError("CUDA out of memory")

        patch.setattr(Forward, "hidden", hidden)
        failed = answers(model)
    assert all(isinstance(reply, Failure) for reply in failed.values())
    for other in (model, replace(model)):
        assert sum(isinstance(reply, Failure) for reply in answers(other).values()) == 1
