"""Requests come in windows, whatever is wrong with one of them; replies that were kept are told again bit for bit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from engine_cases import after
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import write_model

from trialist.errors import ModelError
from trialist.models.local import LocalModel, requests
from trialist.models.local.drafts import Draft
from trialist.models.local.requests import WINDOW_REQUESTS, windows
from trialist.models.local.text import Continuation
from trialist.models.protocol import Activations, Choose, Failure, Generate, Keyed, Reply

pytestmark = pytest.mark.torch

ASKED = [Choose("The thing in", (" the", "y")), Generate("x", 5), Generate("x", 9, (), 1.0, 3), Choose("", ("",))]


def keyed(*asked: Any) -> list[Keyed[Any]]:
    return [Keyed(f"q{i}", i, request) for i, request in enumerate(asked)]


@pytest.fixture
def model(tmp_path: Path) -> LocalModel:
    return LocalModel.load(write_model(tmp_path / "m"))


@given(st.lists(st.sampled_from([Choose("abc", ("x", "yz")), Generate("abcd"), Activations("", ("a",))]), max_size=40))
@settings(max_examples=40)
def test_windows_keep_all_in_order_and_end_where_they_are_full(asked):
    whole = keyed(*asked)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(requests, "WINDOW_REQUESTS", 7)
        patch.setattr(requests, "WINDOW_CHARACTERS", 20)
        found = list(windows(iter(whole)))
        assert [one for window in found for one in window] == whole
        assert found == list(windows(whole))
        for window in found:
            sizes = [requests._length(one.value) for one in window]
            assert 0 < len(window) <= 7
            assert sum(sizes[:-1]) < 20, "the last one filled it"
        for number in range(len(found)):  # a window doesn't depend on what comes after it
            assert list(windows(one for window in found[: number + 1] for one in window)) == found[: number + 1]


@pytest.mark.parametrize("bad", [Choose(None, ("a",)), Choose("x", None), Choose("x", (None,)), Generate(7)])  # type: ignore[arg-type]
def test_what_is_no_text_is_a_failure_and_no_crash(model: LocalModel, bad: Any):
    found = list(model.answer(keyed(bad, Choose("x", ("y",)))))
    assert {reply.key: isinstance(reply.value, Failure) for reply in found} == {"q0": True, "q1": False}


def test_requests_are_read_a_window_ahead_at_most(tmp_path: Path):
    """Of 20,000 requests no more are alive than those of one window, before their replies are told."""
    model = LocalModel.load(write_model(tmp_path / "m", num_hidden_layers=1))
    read = 0

    def many() -> Iterator[Keyed[Any]]:
        nonlocal read
        for k in range(20_000):
            read += 1
            yield Keyed(str(k), k, Choose("xyz"[k % 3], ("a", "b")))

    told: set[str] = set()
    for reply in model.answer(many()):
        assert isinstance(reply.value, Reply)
        assert read - len(told) <= WINDOW_REQUESTS
        told.add(reply.key)
    assert told == {str(k) for k in range(20_000)}


GOOD = after((3, 4, 5), (6, 7))


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (Continuation((3,), 0, ()), "empty continuation"),
        (Continuation((), -1, (3,)), "its row does not hold"),
        (Continuation((3, 4), 0, (5, 6)), "its row does not hold"),
        (Continuation((3, 4), 1, (5, 6)), "its row does not hold"),
        (after((3, 272), (4,)), "token 272 is outside the vocabulary of 272"),
        (after((3, 4), (-1,)), "token -1 is outside the vocabulary of 272"),
        (after(range(3, 132), (4,)), "too long: 129 tokens, context 128"),
    ],
)
def test_scores_name_the_request_that_is_refused(model: LocalModel, bad: Continuation, reason: str):
    with pytest.raises(ModelError, match=f"request 2: .*{reason}"):
        model.score([GOOD, GOOD, bad, bad])
    assert len(model.score([GOOD])) == 1


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (Draft((), 3), "empty context"),
        (Draft((3, 272), 3), "token 272 is outside the vocabulary of 272"),
        (Draft((-1,), 3), "token -1 is outside"),
        (Draft((3,) * 120, 10), "too long: 129 tokens, context 128"),
        (Draft((3,), 0), "max_tokens is 0"),
        (Draft((3,), 1, temperature=float("nan")), "temperature is nan"),
        (Draft((3,), 1, num_samples=0), "num_samples is 0"),
    ],
)
def test_drafts_name_the_request_that_is_refused(model: LocalModel, bad: Draft, reason: str):
    with pytest.raises(ModelError, match=f"request 1: .*{reason}"):
        model.generate([Draft((3,), 2), bad])


def test_progress_counts_to_the_end(model: LocalModel):
    seen: list[tuple[int, int]] = []
    model.score([after((3, k), (4,)) for k in range(3, 9)], lambda done, total: seen.append((done, total)))
    model.generate([Draft((3,), 2), Draft((4,), 3)], lambda done, total: seen.append((done, total)))
    assert seen[-3:] == [(6, 6), (1, 2), (2, 2)]
    assert model.score([]) == []
    assert model.generate([]) == []
