"""The one training loop: it builds organisms, unlearns and relearns. AdamW, warm-up, gradient clipping, nothing else.

    batches = token_batches(tokenizer, documents, length=128, batch=32, generator=generator)
    losses = train(network, batches, next_token_loss, settings=TrainSettings(steps=64, learning_rate=1e-3))

Equal weights, batches and settings give equal weights on one machine with a fixed number of threads: the loop draws no
random numbers of its own.
"""

from __future__ import annotations

import contextlib
import math
from bisect import bisect_right
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from trialist.errors import DataError, ModelError
from trialist.interventions.protocol import Progress

if TYPE_CHECKING:
    import torch

IGNORED = -100
"""The label of a token that carries no loss, as transformers and torch's cross entropy understand it."""

DECAY = 0.4
"""The share of the steps after warm-up in which the schedule ``stable`` falls."""

OPEN_ROWS = 32
"""How many unfinished rows packing may choose from: enough to waste about 3% on padding, few enough to stay local."""


Document = str | tuple[str, ...]
"""A text; or its segments, of which every other one is learnt, the second, the fourth and so on: a prompt and its
answer, or what stands between names."""


@dataclass(frozen=True)
class TrainSettings:
    """``warmup`` counts steps of linear rise; ``cosine`` then falls to 0 at the last step, ``stable`` is constant until
    its last ``DECAY`` and then falls linearly (arXiv 2404.06395). ``weight_decay`` is AdamW's, on matrices only.
    ``clip`` bounds the gradient's global norm; None leaves it alone."""

    steps: int
    learning_rate: float
    warmup: int = 0
    schedule: Literal["constant", "cosine", "stable"] = "constant"
    weight_decay: float = 0.0
    betas: tuple[float, float] = (0.9, 0.999)
    clip: float | None = 1.0

    def rate(self, step: int) -> float:
        """The learning rate of update ``step``, counted from 0."""
        if step < self.warmup:
            return self.learning_rate * (step + 1) / self.warmup
        if self.schedule == "constant":
            return self.learning_rate
        progress = (step - self.warmup) / max(1, self.steps - self.warmup)
        if self.schedule == "stable":
            return self.learning_rate * min(1.0, (1 - progress) / DECAY)
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * progress))


@dataclass(frozen=True)
class Batch:
    """Token ids, mask (1 = token, 0 = padding) and labels (padding is -100), each of shape (rows, length), int64."""

    input_ids: torch.Tensor
    attention_mask: torch.Tensor
    labels: torch.Tensor


Loss = Callable[[Any, Any], "torch.Tensor"]
"""A scalar loss of (network, batch)."""


def next_token_loss(network: Any, batch: Batch) -> torch.Tensor:
    """Mean cross entropy, in nats per token, of each token given those before it; padding is left out."""
    output = network(input_ids=batch.input_ids, attention_mask=batch.attention_mask, labels=batch.labels)
    return output.loss


def learnt_token_loss(network: Any, batch: Batch) -> torch.Tensor:
    """The same value for a causal language model, with the output layer applied to learnt tokens alone.

    Rows are padded on the right, where no token looks, so the mask is left out too. With a vocabulary of 2,000 words
    the output layer is most of the work: see benchmarks/results/training.md.
    """
    import torch

    hidden = network.get_decoder()(input_ids=batch.input_ids).last_hidden_state[:, :-1]
    labels = batch.labels[:, 1:]
    learnt = labels != IGNORED
    return torch.nn.functional.cross_entropy(network.get_output_embeddings()(hidden[learnt]), labels[learnt])


def train(
    network: Any,
    batches: Iterable[Any],
    loss: Loss,
    *,
    settings: TrainSettings,
    parameters: Sequence[torch.nn.Parameter] | None = None,
    progress: Progress | None = None,
    on_step: Callable[[int, float], None] | None = None,
) -> tuple[float, ...]:
    """Take ``settings.steps`` steps in place; the loss of each, before its update.

    Only ``parameters`` move (default: all that require a gradient). ``on_step(step, loss)`` is called after update
    number ``step`` (1, 2, ...) with the network in evaluation mode, so that it may take a snapshot. Raises
    ``ModelError`` where the loss is not finite and ``DataError`` where the batches run out.
    """
    import torch

    chosen = [p for p in network.parameters() if p.requires_grad] if parameters is None else list(parameters)
    optimizer = torch.optim.AdamW(_groups(chosen, settings), lr=settings.learning_rate, betas=settings.betas)
    supply, losses = iter(batches), list[float]()
    with _training(network, chosen):
        for step in range(settings.steps):
            batch = _next(supply, step, settings.steps)
            for group in optimizer.param_groups:
                group["lr"] = settings.rate(step)
            value = loss(network, batch)
            losses.append(_finite(value, step, settings))
            value.backward()  # pyright: ignore[reportUnknownMemberType]
            if settings.clip is not None:
                torch.nn.utils.clip_grad_norm_(chosen, settings.clip)
            optimizer.step()  # pyright: ignore[reportUnknownMemberType]
            optimizer.zero_grad(set_to_none=True)
            if progress is not None:
                progress(step + 1, settings.steps)
            if on_step is not None:
                network.eval()
                on_step(step + 1, losses[-1])
                network.train()
    return tuple(losses)


def token_batches(
    tokenizer: Any,
    documents: Sequence[Document],
    *,
    length: int,
    batch: int,
    generator: np.random.Generator,
    epochs: int | None = None,
) -> Iterator[Batch]:
    """Batches of ``batch`` rows of ``length`` tokens, each document once an epoch in a fresh order.

    A document is what the tokenizer makes of it (with its begin token) plus the end token. Of a document in
    segments only every other one carries loss, the second, the fourth and so on. Whole documents
    are packed into rows; one longer than a row is continued in further rows, so that nothing is cut. The last batch of
    an epoch may have fewer rows. ``epochs=None`` never ends.
    """
    if not documents:
        raise DataError("no documents to train on", seen="0 documents", next_step="name a corpus that has documents")
    end = [] if tokenizer.eos_token_id is None else [int(tokenizer.eos_token_id)]
    encoded = [[*ids, *end] for ids in _encode(tokenizer, documents)]
    pieces: list[list[int]] = [ids[at : at + length] for ids in encoded for at in range(0, len(ids), length)]
    padding = int(tokenizer.pad_token_id or 0)
    epoch = 0
    while epochs is None or epoch < epochs:
        order = generator.permutation(len(pieces))
        rows = pack([pieces[int(i)] for i in order], length)
        for at in range(0, len(rows), batch):
            yield _batch(rows[at : at + batch], padding)
        epoch += 1


def _encode(tokenizer: Any, documents: Sequence[Document]) -> list[list[int]]:
    """Token ids; those that carry no loss are stored as their complement ``~id``, which is negative."""
    texts = [document if isinstance(document, str) else "".join(document) for document in documents]
    if all(isinstance(document, str) for document in documents):
        plain: list[list[int]] = tokenizer(texts)["input_ids"]
        return plain
    encoded = tokenizer(texts, return_offsets_mapping=True)
    return [
        ids if isinstance(document, str) else _marked(ids, offsets, document)
        for document, ids, offsets in zip(documents, encoded["input_ids"], encoded["offset_mapping"], strict=True)
    ]


def _marked(ids: Sequence[int], offsets: Sequence[tuple[int, int]], segments: Sequence[str]) -> list[int]:
    """A token belongs to the segment of its last character; the tokenizer's own to that of the first."""
    ends = list(accumulate(len(segment) for segment in segments))
    places = (bisect_right(ends, max(end - 1, 0)) for _, end in offsets)
    return [i if place % 2 else ~i for i, place in zip(ids, places, strict=True)]


def pack(pieces: Iterable[Sequence[int]], length: int) -> list[list[int]]:
    """Rows of at most ``length`` tokens made of whole pieces, each put into the fullest open row with room for it."""
    rows: list[list[int]] = []
    opened: list[list[int]] = []
    for piece in pieces:
        fitting = [row for row in opened if len(row) + len(piece) <= length]
        if fitting:
            max(fitting, key=len).extend(piece)
            continue
        rows.append(list(piece))
        opened = [*opened[-(OPEN_ROWS - 1) :], rows[-1]]
    return rows


def _batch(rows: Sequence[Sequence[int]], padding: int) -> Batch:
    import torch

    shape = (len(rows), max(len(row) for row in rows))
    ids, mask = np.full(shape, padding, dtype=np.int64), np.zeros(shape, dtype=np.int64)
    labels = np.full(shape, IGNORED, dtype=np.int64)
    for i, row in enumerate(rows):
        signed = np.asarray(row)
        ids[i, : len(row)] = np.where(signed < 0, ~signed, signed)
        mask[i, : len(row)] = 1
        labels[i, : len(row)] = np.where(signed < 0, IGNORED, signed)
    return Batch(torch.from_numpy(ids), torch.from_numpy(mask), torch.from_numpy(labels))  # pyright: ignore[reportUnknownMemberType]


def _groups(parameters: Sequence[torch.nn.Parameter], settings: TrainSettings) -> list[dict[str, Any]]:
    """Norms and biases are not decayed: pulling a scale of 1 towards 0 is no regularisation."""
    matrices = [p for p in parameters if p.ndim >= 2]
    others = [p for p in parameters if p.ndim < 2]
    groups = [(matrices, settings.weight_decay), (others, 0.0)]
    return [{"params": members, "weight_decay": decay} for members, decay in groups if members]


@contextlib.contextmanager
def _training(network: Any, chosen: Sequence[torch.nn.Parameter]) -> Generator[None]:
    """Training mode with gradients for the chosen parameters alone; everything is put back afterwards."""
    before, mode = [(p, p.requires_grad) for p in network.parameters()], network.training
    wanted = {id(p) for p in chosen}
    try:
        for parameter, _ in before:
            parameter.requires_grad_(id(parameter) in wanted)
        network.train()
        yield
    finally:
        for parameter, required in before:
            parameter.requires_grad_(required)
            parameter.grad = None
        network.train(mode)


def _next(supply: Iterator[Any], step: int, steps: int) -> Any:
    try:
        return next(supply)
    except StopIteration:
        raise DataError("the batches ran out", seen=f"{step} batches", allowed=f"{steps} or more") from None


def _finite(value: torch.Tensor, step: int, settings: TrainSettings) -> float:
    number = float(value.detach())
    if math.isfinite(number):
        return number
    raise ModelError(
        f"training diverged at step {step + 1} of {settings.steps}",
        seen=f"loss {number}",
        allowed="a finite loss",
        next_step=f"lower the learning rate (now {settings.learning_rate:g})",
    )
