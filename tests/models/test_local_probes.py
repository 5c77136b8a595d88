"""Activations: what a plain forward pass of the text alone puts out, whatever is asked beside it."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from odd_models import write_odd
from tiny_models import network, write_model

from trialist.models.local import LocalModel
from trialist.models.local.backend import PlainTwinNotice
from trialist.models.local.engine import Engine
from trialist.models.local.probes import make_probe
from trialist.models.local.schedule import Sizes
from trialist.models.protocol import Activations, Choose, Failure, Keyed, Reply

pytestmark = pytest.mark.torch

LAYERS = {
    "llama": ("model.layers.0", "model.layers.2.mlp", "model.embed_tokens", "model.layers.1.self_attn", "model.norm"),
    "gpt2": ("transformer.h.1", "transformer.wte", "transformer.h.2.attn", "transformer.ln_f"),
    "gemma2": ("model.layers.1", "model.layers.2.self_attn.o_proj"),
    "gpt_oss": ("model.layers.2", "model.layers.0.self_attn"),
    "mixtral": ("model.layers.1", "model.layers.0.mlp.experts", "model.layers.0.mlp.gate"),
}
PROMPTS = ("The band is in the abbey", "The band is", "x", "The band is in the abbey and the thing is")


def plainly(made: Any, row: tuple[int, ...], layers: tuple[str, ...]) -> list[np.ndarray]:
    """(tokens, width) a layer: hooks on one forward pass."""
    found: dict[str, Any] = {}
    handles = [
        made.get_submodule(name).register_forward_hook(
            lambda module, given, output, name=name: found.update({name: output})
        )
        for name in layers
    ]
    with torch.inference_mode():
        made(input_ids=torch.tensor([row]))
    for handle in handles:
        handle.remove()
    firsts = [output[0] if isinstance(output, tuple) else output for output in (found[name] for name in layers)]
    return [first.reshape(len(row), -1).numpy() for first in firsts]


def ask(model: LocalModel, *requests: Any) -> list[Any]:
    found = {r.key: r.value for r in model.answer([Keyed(str(i), i, r) for i, r in enumerate(requests)])}
    return [found[str(i)] for i in range(len(requests))]


@pytest.fixture
def model(tmp_path: Path) -> LocalModel:
    return LocalModel.load(write_model(tmp_path / "m"))


@pytest.mark.parametrize("kind", sorted(LAYERS))
def test_equal_to_hooks_on_a_plain_forward(kind: str, tmp_path: Path):
    """In one window with choices of the same prompts; negative positions count from the end."""
    model, layers = LocalModel.load(write_model(tmp_path / kind, kind)), LAYERS[kind]
    choices = [Choose(prompt, (" the", " b")) for prompt in PROMPTS]
    probes = [Activations(prompt, layers, (0, -1)) for prompt in PROMPTS]
    found = ask(model, *(request for pair in zip(choices, probes, strict=True) for request in pair))
    for prompt, reply in zip(PROMPTS, found[1::2], strict=True):
        wanted = plainly(model.network, model.encoder.context(prompt), layers)
        for one, two in zip(reply.activations, wanted, strict=True):
            assert one.dtype == np.float32
            np.testing.assert_allclose(one, two[[0, -1]], atol=2e-4, rtol=1e-4)
    for reply, alone in zip(found[::2], ask(model, *choices), strict=True):
        np.testing.assert_allclose(reply.logprobs, alone.logprobs, atol=1e-4)


@given(st.lists(st.lists(st.integers(3, 5), min_size=1, max_size=12), min_size=1, max_size=8), st.integers(1, 40))
@settings(max_examples=25)
def test_any_texts_in_any_packs(rows, capacity: int):
    made, layers = network(), ("model.layers.1",)
    probes = [make_probe(made, tuple(row), layers, range(-len(row), 0)) for row in rows]
    engine = Engine(made, Sizes(capacity, min_trunk=2, min_pairs=1, tile=3, block=4), 1 << 20)
    results = list(engine.passes([], probes))[-1]
    for row, seen in zip(rows, results.activations, strict=True):
        assert not isinstance(seen, Failure | None)
        np.testing.assert_allclose(seen[0], plainly(made, tuple(row), layers)[0], atol=1e-4, rtol=1e-4)


def test_a_prompt_asked_before_is_watched_all_the_same(model: LocalModel):
    """Its keys and values are kept, but what is watched must pass."""
    request = Activations("x" * 90, ("model.layers.1",), (3, 60))
    ask(model, *(Choose("x" * 90 + letter, (" the",)) for letter in "abcdefgh"))
    wanted = plainly(model.network, model.encoder.context("x" * 90), request.layers)[0]
    np.testing.assert_allclose(ask(model, request)[0].activations[0], wanted[[3, 60]], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (
            Activations("x", ("model.layer.1",)),
            "no layer 'model.layer.1' in this network; did you mean 'model.la",
        ),
        (Activations("x", ("",)), "no layer ''"),
        (Activations("xyz", ("model.layers.1",), (3,)), "position 3 is outside the prompt's 3 tokens"),
        (Activations("xyz", ("model.layers.1",), (0, -4)), "position -4 is outside"),
        (Activations("xyz", ()), "no layer or no position"),
        (Activations("xyz", ("model.layers.1",), ()), "no layer or no position"),
        (Activations("x" * 129, ("model.layers.1",)), "too long: 129 tokens, context 128"),
        (Activations("xyz", ("lm_head",)), "layer 'lm_head' is the output head"),
        (Activations("xyz", ("model",)), "layer 'model' puts out no vector"),
        (Activations("xyz", ("model.layers.1", "model.layers")), "layer 'model.layers' puts out no vector"),
    ],
)
def test_what_is_refused_harms_no_other(model: LocalModel, request_: Activations, reason: str):
    found = ask(model, Choose("xyz", ("a",)), request_, Activations("xyz", ("model.layers.1",)))
    assert isinstance(found[1], Failure)
    assert reason in found[1].reason
    assert isinstance(found[0], Reply)
    assert isinstance(found[2], Reply)


def test_the_plain_twin_sees_the_same(tmp_path: Path):
    model = LocalModel.load(write_odd(tmp_path / "neo", "gpt_neo"))
    layers, row = ("transformer.h.1", "transformer.h.0.mlp"), model.encoder.context("The band is")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PlainTwinNotice)
        found = ask(
            model, Activations("The band is", layers, (1, -2)), Activations("x", ("lm_head",)), Choose("x", ("y",))
        )
    for one, two in zip(found[0].activations, plainly(model.network, row, layers), strict=True):
        np.testing.assert_allclose(one, two[[1, -2]], atol=1e-5, rtol=1e-5)
    assert isinstance(found[2], Reply)


def test_no_hook_is_left(model: LocalModel):
    ask(model, Activations("x", ("model.layers.1",)), Activations("x", ("lm_head",)))
    assert not any(module._forward_hooks for module in model.network.modules())
