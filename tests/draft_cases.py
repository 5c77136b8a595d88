"""Texts to continue: of many lengths, with shared starts, greedy and drawn; and what must be equal of two replies."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from tiny_models import byte_tokenizer

from trialist.models.local.drafts import Draft
from trialist.models.protocol import Failure, Reply

ENDS = frozenset({1, *range(40, 60)})
"""So many end tokens that texts end early, at different steps."""

decode = byte_tokenizer().backend_tokenizer.decode


def drafts(num: int = 20, seed: int = 0) -> list[Draft]:
    """Shared headers, equal contexts, one-token ones; greedy and drawn; one to four samples; of many lengths."""
    draw = np.random.default_rng(seed)
    header = tuple(draw.integers(3, 270, 12).tolist())
    made = [Draft((7,), 5), Draft((7,), 9, temperature=1.0, num_samples=2, seed=3), Draft(header, 20)]
    for k in range(num - 3):
        context = (*header[: int(draw.integers(1, 13))], *draw.integers(3, 270, int(draw.integers(0, 6))).tolist())
        made.append(Draft(context, int(draw.integers(1, 24)), (), (0.0, 0.7, 1.5)[k % 3], 1 + k % 4, k))
    return made


def told(found: Iterable[tuple[int, Reply | Failure]]) -> list[Reply | Failure]:
    by_index = dict(found)
    return [by_index[index] for index in sorted(by_index)]


def assert_same(found: Sequence[Reply | Failure], wanted: Sequence[Reply | Failure]) -> None:
    """The same tokens and texts; log-probabilities near."""
    assert len(found) == len(wanted)
    for one, two in zip(found, wanted, strict=True):
        assert isinstance(one, Reply)
        assert isinstance(two, Reply)
        assert [s.tokens for s in one.samples] == [s.tokens for s in two.samples]
        assert [(s.text, s.truncated) for s in one.samples] == [(s.text, s.truncated) for s in two.samples]
        for a, b in zip(one.samples, two.samples, strict=True):
            np.testing.assert_allclose(a.logprobs, b.logprobs, atol=1e-4)
