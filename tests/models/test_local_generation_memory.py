"""When memory runs out while texts grow: no token is lost, and only a text that is too large alone fails."""

from __future__ import annotations

from itertools import count

import pytest
import torch
from draft_cases import ENDS, assert_same, decode, drafts, told
from engine_cases import engine

from trialist.models.local.drafts import Draft
from trialist.models.local.forward import Forward
from trialist.models.local.generation import generate
from trialist.models.local.schedule import Sizes
from trialist.models.protocol import Failure

pytestmark = pytest.mark.torch

NO_MEMORY = torch.OutOfMemoryError("CUDA out of memory")


@pytest.mark.parametrize("failing", [(0,), (1,), (9,), (0, 1, 2, 3), (5, 9, 14)])
def test_memory_that_runs_out_loses_no_token(failing: tuple[int, ...], monkeypatch: pytest.MonkeyPatch):
    asked = drafts()
    wanted = told(generate(engine(), asked, ENDS, decode))
    made, calls, real = engine(), count(), Forward.hidden

    def hidden(self, ids, positions, meta):
        if next(calls) in failing:
            raise NO_MEMORY
        return real(self, ids, positions, meta)

    monkeypatch.setattr(Forward, "hidden", hidden)
    assert_same(told(generate(made, asked, ENDS, decode)), wanted)
    assert made.num_exhausted == len(failing)


def test_memory_that_runs_out_on_the_start_that_all_share(monkeypatch: pytest.MonkeyPatch):
    header = tuple(range(3, 40))
    asked = [Draft((*header, k), 6) for k in range(50, 55)]
    wanted = told(generate(engine(), asked, ENDS, decode))
    made, calls, real = engine(), count(), Forward.hidden

    def hidden(self, ids, positions, meta):
        if next(calls) == 0:
            raise NO_MEMORY
        return real(self, ids, positions, meta)

    monkeypatch.setattr(Forward, "hidden", hidden)
    assert_same(told(generate(made, asked, ENDS, decode)), wanted)
    assert made.num_exhausted == 1


def ending(patch: pytest.MonkeyPatch, most: int) -> None:
    real = Forward.hidden

    def hidden(self, ids, positions, meta):
        if len(ids) > most:
            raise NO_MEMORY
        return real(self, ids, positions, meta)

    patch.setattr(Forward, "hidden", hidden)


def test_a_text_too_large_alone_fails_and_no_other(monkeypatch: pytest.MonkeyPatch):
    asked = [*drafts(6), Draft(tuple(range(3, 103)), 4), *drafts(6, 1)]
    wanted = told(generate(engine(), [*asked[:6], *asked[7:]], ENDS, decode))
    made = engine()
    ending(monkeypatch, 60)
    found = told(generate(made, asked, ENDS, decode))
    assert found.pop(6) == Failure("memory ran out on a text, even alone: 100 tokens")
    assert_same(found, wanted)
    assert made.sizes.capacity >= 30, "packs that were too large for a prompt are halved, no more"


def test_texts_too_large_are_found_at_once_and_leave_packs_as_they_are(monkeypatch: pytest.MonkeyPatch):
    """However many could grow side by side; one request after the other."""
    made = engine("llama", Sizes(1024))
    ending(monkeypatch, 60)
    for number in range(1, 6):
        [reply] = told(generate(made, [Draft(tuple(range(3, 103)), 4)], ENDS, decode))
        assert isinstance(reply, Failure)
        assert made.num_exhausted == 2 * number
    assert made.sizes.capacity == 1024


def test_too_many_rows_say_nothing_of_packs(monkeypatch: pytest.MonkeyPatch):
    """Memory runs out on the steps of 40 rows side by side, and not on 10."""
    asked = [Draft((3,), 8, temperature=1.0, num_samples=40, seed=1)]
    wanted = told(generate(engine("llama", Sizes(1024)), asked, ENDS, decode))
    made = engine("llama", Sizes(1024))
    ending(monkeypatch, 15)
    assert_same(told(generate(made, asked, ENDS, decode)), wanted)
    assert made.sizes.capacity == 1024
    assert made.num_exhausted == 2
