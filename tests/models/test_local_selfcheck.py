"""Which architectures take a tree; the others are answered as well; and what the check finds in a broken attention."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from odd_models import ODD, write_odd
from tiny_models import CONFIGS, network, write_model

from trialist.models.local import LocalModel, attention, backend, kernels
from trialist.models.local.backend import PlainTwinNotice, make_backend
from trialist.models.local.scoring import score
from trialist.models.local.selfcheck import SHRUNK, shrunk_windows
from trialist.models.protocol import Choose, Failure, Generate, Keyed, Reply

pytestmark = pytest.mark.torch

ASKED = (Choose("The band", (" is", " b", "n", " as")), Choose("x", (" the", " is")), Generate("The b", 5))
FAR = {"sliding_window": 4096}
"""The window of real models, far beyond the texts of the check."""


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend, "_verdicts", {})


def answers(model: LocalModel, *requests: Any) -> list[Reply | Failure]:
    found = {r.key: r.value for r in model.answer([Keyed(str(i), i, r) for i, r in enumerate(requests)])}
    return [found[str(i)] for i in range(len(requests))]


@pytest.mark.parametrize("kind", sorted(CONFIGS))
def test_these_take_a_tree(kind: str):
    far = FAR if CONFIGS[kind][1].get("sliding_window") else {}
    assert make_backend(network(kind)).engine is not None
    assert make_backend(network(kind, **far)).engine is not None


@pytest.mark.parametrize("kind", sorted(ODD))
def test_these_take_none_and_are_answered_all_the_same(kind: str, tmp_path: Path):
    """With one notice that says why; the numbers are those of each text alone."""
    model = LocalModel.load(write_odd(tmp_path / kind, kind))
    with pytest.warns(PlainTwinNotice, match=ODD[kind][2]) as notices:
        first, second, text = answers(model, *ASKED)
    assert len(notices) == 1
    for question, reply in zip(ASKED, (first, second), strict=False):
        parts = [model.encoder.continuation(question.prompt, option, None) for option in question.options]
        alone = [score(model.network, [part], 1)[0].logprob for part in parts]
        np.testing.assert_allclose(reply.logprobs, alone, atol=1e-4, rtol=1e-5)
    row = list(model.encoder.context("The b"))
    for token in text.samples[0].tokens:
        with torch.inference_mode():
            assert int(model.network(input_ids=torch.tensor([row]), use_cache=False).logits[0, -1].argmax()) == token
        row.append(token)


def no_window(patch: pytest.MonkeyPatch) -> None:
    real = attention.TreeMeta.attend

    def attend(self, layer, q, own, scores, window):
        return real(self, layer, q, own, scores, None)

    patch.setattr(attention.TreeMeta, "attend", attend)


def window_too_wide(patch: pytest.MonkeyPatch) -> None:
    real = attention.TreeMeta.attend

    def attend(self, layer, q, own, scores, window):
        return real(self, layer, q, own, scores, None if window is None else window + 1)

    patch.setattr(attention.TreeMeta, "attend", attend)


def no_softcap(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(attention, "Scores", lambda scale, softcap=None: kernels.Scores(scale))


def no_sink(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(attention, "with_sink", lambda part, sink: part.out)


def header_sees_its_future(patch: pytest.MonkeyPatch) -> None:
    """Of runs without branches only."""
    real = attention._additive

    def additive(seen):
        is_run = bool((seen == np.tri(*seen.shape, seen.shape[1] - seen.shape[0], dtype=bool)).all())
        return real(np.ones_like(seen)) if is_run else real(seen)

    patch.setattr(attention, "_additive", additive)


def siblings_see_each_other(patch: pytest.MonkeyPatch) -> None:
    real = attention._additive

    def additive(seen):
        return real(np.tri(*seen.shape, seen.shape[1] - seen.shape[0], dtype=bool))

    patch.setattr(attention, "_additive", additive)


BROKEN = [(no_window, kind) for kind in ("gemma2", "gemma3", "gpt_oss", "mistral")]
BROKEN += [(window_too_wide, kind) for kind in ("gemma2", "mistral")]
BROKEN += [(no_softcap, "gemma2"), (no_sink, "gpt_oss")]
BROKEN += [(how, kind) for how in (header_sees_its_future, siblings_see_each_other) for kind in ("llama", "gemma2")]


@pytest.mark.parametrize(("how", "kind"), BROKEN, ids=lambda part: part if isinstance(part, str) else part.__name__)
def test_a_broken_attention_is_found(how: Callable[[pytest.MonkeyPatch], None], kind: str):
    """Even where the configured window is far longer than the check's texts."""
    made = network(kind, **(FAR if kind != "llama" else {}))
    with pytest.MonkeyPatch.context() as patch:
        how(patch)
        with pytest.warns(PlainTwinNotice, match="other log-probabilities"):
            assert make_backend(made).engine is None


def windows_of(made: torch.nn.Module) -> list[Any]:
    owners = [made.config, *made.modules()]
    return [vars(owner)[name] for owner in owners for name in ("sliding_window",) if name in vars(owner)]


@pytest.mark.parametrize("kind", ["gemma2", "mistral", "gpt_oss"])
def test_windows_are_as_before_after_the_check_and_after_an_error(kind: str):
    made = network(kind, **FAR)
    before = windows_of(made)
    assert 4096 in before
    make_backend(made)
    assert windows_of(made) == before
    with pytest.raises(KeyError), shrunk_windows(made):
        assert {window for window in windows_of(made) if window is not None} == {SHRUNK}
        raise KeyError
    assert windows_of(made) == before


def test_edited_copies_are_not_checked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    checked: list[Any] = []
    real = backend._check
    monkeypatch.setattr(backend, "_check", lambda made: (checked.append(made), real(made))[1])
    model = LocalModel.load(write_model(tmp_path / "m"))
    for copy in (model, model.with_network(network(seed=1)), model.with_network(network(seed=2))):
        assert isinstance(answers(copy, ASKED[0])[0], Reply)
    assert checked == [model.network]
    make_backend(network("gpt2"))
    assert len(checked) == 2


def test_weights_that_are_not_finite_fail_alone_and_say_nothing_of_the_architecture(tmp_path: Path):
    model = LocalModel.load(write_model(tmp_path / "m"))
    spoiled = network()
    with torch.no_grad():
        spoiled.model.layers[1].mlp.up_proj.weight[3, 3] = float("nan")
    with pytest.warns(PlainTwinNotice, match="not finite"):
        found = answers(model.with_network(spoiled), *ASKED)
    assert all(isinstance(one, Failure) and "not finite" in one.reason for one in found)
    assert model.backend.engine is not None
