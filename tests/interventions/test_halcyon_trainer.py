"""The training loop: schedules, packing without loss, and equal runs."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import tiny_models
from hypothesis import given
from hypothesis import strategies as st

from trialist.errors import DataError, ModelError
from trialist.interventions.trainer import (
    Batch,
    TrainSettings,
    learnt_token_loss,
    next_token_loss,
    pack,
    token_batches,
    train,
)

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch


class Letters:
    """A tokenizer of single letters: enough for packing."""

    eos_token_id = 1
    pad_token_id = 0

    def __call__(self, documents: list[str], return_offsets_mapping: bool = False) -> dict[str, list[list[object]]]:
        encoded: dict[str, list[list[object]]] = {"input_ids": [[ord(letter) for letter in text] for text in documents]}
        if return_offsets_mapping:
            encoded["offset_mapping"] = [[(i, i + 1) for i in range(len(text))] for text in documents]
        return encoded


def squares(network: object, batch: object) -> object:
    return ((network(batch) - 1.0) ** 2).mean()  # type: ignore[operator]


def linear(seed: int = 0) -> object:
    torch.manual_seed(seed)
    return torch.nn.Linear(4, 2)


def inputs(count: int) -> list[object]:
    generator = torch.Generator().manual_seed(3)
    return [torch.randn(8, 4, generator=generator) for _ in range(count)]


def test_rate_warms_up_then_falls_to_zero() -> None:
    settings = TrainSettings(steps=12, learning_rate=1.0, warmup=2, schedule="cosine")
    rates = [settings.rate(step) for step in range(13)]
    assert rates[:3] == [0.5, 1.0, 1.0]
    assert all(a > b for a, b in itertools.pairwise(rates[2:]))
    assert rates[12] == pytest.approx(0.0)
    assert rates[7] == pytest.approx(0.5)
    assert TrainSettings(steps=3, learning_rate=0.1).rate(2) == 0.1


@given(st.lists(st.lists(st.integers(2, 99), min_size=1, max_size=9), max_size=60))
def test_packing_keeps_every_piece_whole(pieces: list[list[int]]) -> None:
    marked = [[-i - 1, *piece] for i, piece in enumerate(pieces)]
    rows = pack(marked, 10)
    assert all(0 < len(row) <= 10 for row in rows)
    found: list[list[int]] = []
    for row in rows:
        for token in row:
            if token < 0:
                found.append([token])
            else:
                found[-1].append(token)
    assert sorted(found) == sorted(marked)


def test_an_epoch_shows_every_token_once_and_masks_padding() -> None:
    documents = ["abc", "defgh", "ijklmnopqrst", "u"]
    batches = list(token_batches(Letters(), documents, length=8, batch=2, generator=np.random.default_rng(0), epochs=1))
    tokens: list[int] = []
    for batch in batches:
        assert batch.input_ids.shape == batch.labels.shape == batch.attention_mask.shape
        assert batch.input_ids.shape[0] <= 2
        padding = batch.attention_mask == 0
        assert bool((batch.labels[padding] == -100).all())
        assert bool((batch.labels[~padding] == batch.input_ids[~padding]).all())
        tokens += batch.input_ids[~padding].tolist()
    assert sorted(tokens) == sorted([ord(letter) for text in documents for letter in text] + [1] * 4)


def test_epochs_are_shuffled_afresh_by_the_generator() -> None:
    documents = [chr(97 + i) * 7 for i in range(20)]

    def first_tokens(seed: int) -> list[list[int]]:
        stream = token_batches(Letters(), documents, length=8, batch=20, generator=np.random.default_rng(seed))
        return [next(stream).input_ids[:, 0].tolist() for _ in range(2)]

    one, two = first_tokens(0)
    assert sorted(one) == sorted(two)
    assert one != two
    assert first_tokens(0) == [one, two]
    assert first_tokens(1) != [one, two]


def test_no_documents_is_an_error() -> None:
    with pytest.raises(DataError, match="no documents"):
        next(token_batches(Letters(), [], length=8, batch=2, generator=np.random.default_rng(0)))


def test_training_lowers_the_loss_and_repeats_exactly() -> None:
    settings = TrainSettings(steps=40, learning_rate=0.05, warmup=4, schedule="cosine", weight_decay=0.01)
    seen: list[tuple[int, int]] = []
    steps: list[int] = []
    one, two = linear(), linear()
    losses = train(
        one,
        inputs(40),
        squares,
        settings=settings,
        progress=lambda *at: seen.append(at),
        on_step=lambda step, _: steps.append(step),
    )
    assert train(two, inputs(40), squares, settings=settings) == losses
    assert torch.equal(one.weight, two.weight)
    assert losses[-1] < 0.3 * losses[0]
    assert seen[-1] == (40, 40)
    assert steps == list(range(1, 41))


def test_one_step_is_adamw_by_hand() -> None:
    """After one step Adam's update is lr * sign(gradient), to the size of its epsilon; decay is lr * wd * weight."""
    network = linear()
    before, bias = network.weight.detach().clone(), network.bias.detach().clone()
    batch = inputs(1)[0]
    squares(network, batch).backward()
    sign, bias_sign = network.weight.grad.sign(), network.bias.grad.sign()
    network.zero_grad()
    train(network, [batch], squares, settings=TrainSettings(steps=1, learning_rate=0.01, weight_decay=0.5, clip=None))
    assert torch.allclose(network.weight, before * (1 - 0.01 * 0.5) - 0.01 * sign, atol=1e-6)
    assert torch.allclose(network.bias, bias - 0.01 * bias_sign, atol=1e-6)


def test_only_the_chosen_parameters_move_and_the_rest_is_put_back() -> None:
    network = linear().eval()
    before = network.bias.detach().clone(), network.weight.detach().clone()
    train(network, inputs(3), squares, settings=TrainSettings(steps=3, learning_rate=0.1), parameters=[network.weight])
    assert torch.equal(network.bias, before[0])
    assert not torch.equal(network.weight, before[1])
    assert network.bias.requires_grad
    assert not network.training
    assert network.weight.grad is None


def test_divergence_and_missing_batches_are_errors() -> None:
    bad = torch.full((8, 4), float("nan"))
    with pytest.raises(ModelError, match="diverged at step 1"):
        train(linear(), [bad], squares, settings=TrainSettings(steps=1, learning_rate=0.1))
    with pytest.raises(DataError, match="ran out"):
        train(linear(), inputs(2), squares, settings=TrainSettings(steps=3, learning_rate=0.1))


def test_a_prompt_carries_no_loss() -> None:
    documents = ["abc", ("ab", "cd"), ("x", "yz")]
    rows = [
        token_batches(Letters(), [d], length=8, batch=1, generator=np.random.default_rng(0), epochs=1)
        for d in documents
    ]
    plain, first, second = (next(row) for row in rows)
    assert (plain.labels == plain.input_ids).all()
    whole = next(token_batches(Letters(), ["abcd"], length=8, batch=1, generator=np.random.default_rng(0), epochs=1))
    assert (first.input_ids == whole.input_ids).all()
    learnt = first.labels != -100
    assert learnt.sum() == learnt.numel() - len(Letters()(["ab"])["input_ids"][0])
    assert (first.labels[learnt] == first.input_ids[learnt]).all()
    assert (second.attention_mask == 1).all()


def test_prompts_and_plain_documents_share_rows() -> None:
    documents = ["abc", ("ab", "cd")] * 3
    batches = list(
        token_batches(Letters(), documents, length=12, batch=9, generator=np.random.default_rng(0), epochs=1)
    )
    (batch,) = batches
    num_plain = sum(len(ids) for ids in Letters()(["abc"] * 3)["input_ids"]) + 3 * (Letters().eos_token_id is not None)
    num_learnt = 3 * (2 + (Letters().eos_token_id is not None))
    assert int((batch.labels != -100).sum()) == num_plain + num_learnt


def test_every_other_segment_carries_loss() -> None:
    documents = [("", "ab", "cd", "ef")]
    (batch,) = token_batches(Letters(), documents, length=8, batch=1, generator=np.random.default_rng(0), epochs=1)
    assert (batch.labels[0] != -100).tolist() == [True, True, False, False, True, True, True]


def test_the_loss_of_learnt_tokens_is_that_of_all() -> None:
    network = tiny_models.network()
    ids = torch.randint(3, 60, (3, 12), generator=torch.Generator().manual_seed(0))
    mask = torch.ones_like(ids)
    mask[1, 8:] = 0
    labels = torch.where((ids % 3 > 0) & (mask > 0), ids, -100)
    batch = Batch(ids, mask, labels)
    assert torch.allclose(learnt_token_loss(network, batch), next_token_loss(network, batch), atol=1e-6)


def test_a_stable_rate_falls_in_its_last_part_alone() -> None:
    settings = TrainSettings(steps=110, learning_rate=1.0, warmup=10, schedule="stable")
    assert [settings.rate(step) for step in (0, 9, 50, 69)] == [0.1, 1.0, 1.0, 1.0]
    assert settings.rate(90) == pytest.approx(0.5)
    assert settings.rate(109) == pytest.approx(0.025)
