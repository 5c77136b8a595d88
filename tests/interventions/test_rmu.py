"""RMU: the loss against numpy, dose 0, what moves and what doesn't, receipts, refusals."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import CONFIGS, context, network, write_model

from trialist.errors import ModelError, SpecError
from trialist.interventions.protocol import Intervention, Subject
from trialist.interventions.weights._editing import (
    copy_of,
    decoder_layers,
    output_projections,
    training_cost,
)
from trialist.interventions.weights.rmu import RMU, captured, direction, rmu_losses
from trialist.models.local import LocalModel
from trialist.records import canonical_json

pytestmark = pytest.mark.torch

PROJECTIONS = {
    "llama": "mlp.down_proj.weight",
    "gpt2": "mlp.c_proj.weight",
    "gpt_neox": "mlp.dense_4h_to_h.weight",
    "opt": "fc2.weight",
    "gemma2": "mlp.down_proj.weight",
    "qwen2": "mlp.down_proj.weight",
    "mistral": "mlp.down_proj.weight",
    "gemma3": "mlp.down_proj.weight",
    "qwen3": "mlp.down_proj.weight",
    "olmo2": "mlp.down_proj.weight",
    "mixtral": "mlp.experts.down_proj",
    "gpt_oss": "mlp.experts.down_proj",
}


@pytest.fixture
def rmu(tmp_path):
    (tmp_path / "forget.txt").write_text("\n".join(f"the thing is made of {c * 3}." for c in "abcdefgh"))
    (tmp_path / "retain.txt").write_text("\n".join(f"{c} is in the town, and {c * 2} isn't." for c in "stuvwxyz"))
    files = {name: f"text/{tmp_path / name}.txt" for name in ("forget", "retain")}

    def make(**changes) -> RMU:
        values = {"layer": 1, "coefficient": 4.0, "alpha": 10.0, "steps": 6, "batch": 2, "length": 40}
        return RMU(**{**files, **values, "learning_rate": 1e-2, **changes})

    return make


def numpy_oracle(hidden, mask, kept, frozen, kept_mask, c, u) -> tuple[float, float]:
    """Both terms, one token and one dimension at a time."""
    terms: tuple[list[float], list[float]] = ([], [])
    for row in range(hidden.shape[0]):
        for token in range(hidden.shape[1]):
            if mask[row, token]:
                terms[0].extend((hidden[row, token, d] - c * u[d]) ** 2 for d in range(hidden.shape[2]))
    for row in range(kept.shape[0]):
        for token in range(kept.shape[1]):
            if kept_mask[row, token]:
                terms[1].extend((kept[row, token, d] - frozen[row, token, d]) ** 2 for d in range(kept.shape[2]))
    return sum(terms[0]) / len(terms[0]), sum(terms[1]) / len(terms[1])


@given(st.integers(0, 10_000), st.integers(1, 3), st.integers(1, 5), st.integers(1, 4))
@settings(max_examples=40, deadline=None)
def test_the_loss_equals_the_oracle(seed: int, rows: int, length: int, width: int):
    generator = np.random.default_rng(seed)
    hidden, kept, frozen = generator.normal(size=(3, rows, length, width))
    mask, kept_mask = generator.integers(0, 2, size=(2, rows, length))
    mask[0, 0] = kept_mask[0, 0] = 1
    u, c = direction(width, generator), 3.5
    tensors = [torch.from_numpy(a) for a in (hidden, mask, kept, frozen, kept_mask)]
    found = rmu_losses((tensors[0], tensors[1]), (tensors[2], tensors[3], tensors[4]), torch.from_numpy(c * u))
    wanted = numpy_oracle(hidden, mask, kept, frozen, kept_mask, c, u)
    np.testing.assert_allclose([float(value) for value in found], wanted, rtol=1e-9)


def test_padding_changes_nothing():
    generator = np.random.default_rng(1)
    hidden = torch.from_numpy(generator.normal(size=(2, 4, 3)))
    longer = torch.cat([hidden, torch.full((2, 2, 3), 1e6)], dim=1)
    mask = torch.tensor([[1, 1, 1, 1, 0, 0]] * 2)
    target = torch.zeros(3, dtype=torch.float64)
    plain = rmu_losses((hidden, mask[:, :4]), (hidden, hidden + 1, mask[:, :4]), target)
    padded = rmu_losses((longer, mask), (longer, longer + 1, mask), target)
    assert plain == padded


def test_the_direction_is_a_unit_vector_in_the_positive_orthant():
    u = direction(50, np.random.default_rng(0))
    assert np.linalg.norm(u) == pytest.approx(1)
    assert (u >= 0).all()
    assert len(set(u)) == 50


def test_it_is_an_intervention(rmu):
    made = rmu()
    assert isinstance(made, Intervention)
    assert (made.name, made.node, made.dose) == ("rmu", "weights", 1.0)
    assert made.may_harm


def test_it_moves_the_forgotten_and_holds_the_retained(rmu, subject):
    trace = rmu(steps=60).apply(subject, context()).receipt.trace
    assert trace[-1]["forget"] < 0.8 * trace[0]["forget"]
    assert trace[0]["retain"] == 0
    assert trace[-1]["retain"] < 0.2 * (trace[0]["forget"] - trace[-1]["forget"])
    for row in trace:
        assert row["loss"] == pytest.approx(row["forget"] + 10 * row["retain"], rel=1e-5)


def test_dose_zero_leaves_every_bit_and_trains_nothing(rmu, subject):
    steps: list[int] = []
    applied = rmu(dose=0.0).apply(subject, context(progress=lambda done, total: steps.append(done)))
    assert applied.subject is subject
    assert applied.receipt.before == applied.receipt.after == subject.model.digest
    assert applied.receipt.cost == {"steps": 0.0, "tokens": 0.0, "flops": 0.0}
    assert steps == []


def test_the_dose_interpolates_the_change_of_the_weights(rmu, subject):
    def weights(dose: float) -> dict[str, torch.Tensor]:
        return rmu(dose=dose).apply(subject, context()).subject.model.network.state_dict()

    before, whole, half, double = subject.model.network.state_dict(), weights(1.0), weights(0.5), weights(2.0)
    changed = [name for name in before if not torch.equal(before[name], whole[name])]
    assert changed
    for name in before:
        torch.testing.assert_close(half[name], (before[name] + whole[name]) / 2)
        torch.testing.assert_close(double[name], 2 * whole[name] - before[name], rtol=1e-4, atol=1e-5)


def test_only_the_chosen_weights_move_and_the_original_never(rmu, subject):
    original = {name: tensor.clone() for name, tensor in subject.model.network.state_dict().items()}
    edited = rmu(layer=2).apply(subject, context()).subject.model.network.state_dict()
    moved = {name for name in original if not torch.equal(original[name], edited[name])}
    assert moved == {f"model.layers.{i}.mlp.down_proj.weight" for i in (0, 1, 2)}
    lower = rmu(layer=1).apply(subject, context()).subject.model.network.state_dict()
    moved = {name for name in original if not torch.equal(original[name], lower[name])}
    assert moved == {f"model.layers.{i}.mlp.down_proj.weight" for i in (0, 1)}
    layers = rmu(layer=1, parameters="layers").apply(subject, context()).subject.model.network.state_dict()
    moved = {name for name in original if not torch.equal(original[name], layers[name])}
    assert moved == {name for name in original if name.startswith(("model.layers.0.", "model.layers.1."))}
    everything = rmu(layer=2, parameters="all").apply(subject, context()).subject.model.network.state_dict()
    moved = {name for name in original if not torch.equal(original[name], everything[name])}
    assert {"model.embed_tokens.weight", "model.layers.0.self_attn.q_proj.weight"} <= moved
    for name, tensor in subject.model.network.state_dict().items():
        assert torch.equal(original[name], tensor)


def test_the_same_context_gives_the_same_bytes_and_another_seed_does_not(rmu, subject):
    torch.manual_seed(1)
    first = rmu().apply(subject, context(3))
    torch.manual_seed(2)
    state = torch.get_rng_state()
    assert rmu().apply(subject, context(3)).receipt == first.receipt
    assert torch.equal(state, torch.get_rng_state())
    assert rmu().apply(subject, context(4)).receipt.after != first.receipt.after


def test_dropout_is_seeded_too(rmu, tmp_path):
    subject = Subject(LocalModel.load(write_model(tmp_path / "gpt2", "gpt2")))
    assert subject.model.network.config.resid_pdrop > 0
    digests = {rmu().apply(subject, context(5)).receipt.after for _ in range(2)}
    assert len(digests) == 1
    assert subject.model.network.training is False


def test_the_receipt_tells_what_was_done(rmu, subject):
    applied = rmu().apply(subject, context())
    receipt = applied.receipt
    assert receipt.before == subject.model.digest
    assert receipt.after == applied.subject.model.digest != receipt.before
    assert receipt.settings["coefficient"] == 4.0
    assert receipt.data["forget"]["documents"] == 8
    assert receipt.data["forget"]["sha256"] != receipt.data["retain"]["sha256"]
    assert [row["step"] for row in receipt.trace] == [0, 1, 2, 3, 4, 5]
    assert receipt.cost["steps"] == 6
    count = sum(parameter.numel() for parameter in subject.model.network.parameters())
    assert 6 * count * receipt.cost["tokens"] < receipt.cost["flops"] < 8 * count * receipt.cost["tokens"]
    json.loads(canonical_json(receipt))


def test_cost_counts_real_tokens():
    made = network()
    count = sum(parameter.numel() for parameter in made.parameters())
    assert training_cost(made, steps=2, tokens=10, forward_tokens=4)["flops"] == count * 68


def test_progress_is_told(rmu, subject):
    told: list[tuple[int, int]] = []
    rmu().apply(subject, context(progress=lambda done, total: told.append((done, total))))
    assert told == [(i, 6) for i in range(1, 7)]


def test_what_cannot_be_done_is_refused(rmu, subject, tmp_path):
    with pytest.raises(ModelError, match="no such layer") as caught:
        rmu(layer=3).apply(subject, context())
    assert caught.value.problems[0].allowed == "0 to 2"
    with pytest.raises(ModelError, match="longer than the model's context"):
        rmu(length=129).apply(subject, context())
    with pytest.raises(ModelError, match="diverged"):
        rmu(learning_rate=1e30, steps=20).apply(subject, context())

    class Remote:
        digest, abilities = "x", frozenset({"choose"})

    with pytest.raises(ModelError, match="out of reach"):
        rmu().apply(Subject(Remote()), context())


def test_all_wrong_settings_are_told_at_once(rmu):
    with pytest.raises(SpecError) as caught:
        rmu(steps=0, alpha=-1, dose=float("nan"), parameters="heads")
    assert {problem.where for problem in caught.value.problems} == {("steps",), ("alpha",), ("dose",), ("parameters",)}


@pytest.mark.parametrize("kind", sorted(CONFIGS))
def test_layers_and_output_projections_are_found_in_every_architecture(kind: str):
    made = network(kind)
    layers = decoder_layers(made)
    assert len(layers) == 3
    names = {id(parameter): name for name, parameter in layers[1].named_parameters()}
    assert [names[id(parameter)] for parameter in output_projections(layers[1])] == [PROJECTIONS[kind]]


def test_an_unknown_architecture_is_told():
    with pytest.raises(ModelError, match="output projection") as caught:
        output_projections(torch.nn.Linear(2, 2))
    assert "down_proj" in caught.value.problems[0].allowed
    strange = network()
    strange.config.num_hidden_layers = 7
    with pytest.raises(ModelError, match="7 layers"):
        decoder_layers(strange)


@pytest.mark.parametrize("kind", sorted(CONFIGS))
def test_activations_are_the_layers_output_and_the_hook_is_gone(kind: str):
    made = network(kind)
    ids = torch.tensor([[5, 6, 7]])
    layer = decoder_layers(made)[1]
    with torch.no_grad():
        with captured(layer) as outputs:
            made.base_model(input_ids=ids)
        assert not layer._forward_hooks
        states = made.base_model(input_ids=ids, output_hidden_states=True).hidden_states
    torch.testing.assert_close(outputs[0], states[2])


def test_a_copy_is_a_copy():
    made = network()
    other = copy_of(made)
    with torch.no_grad():
        other.lm_head.weight.zero_()
    assert made.lm_head.weight.abs().sum() > 0
