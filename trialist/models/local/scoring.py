"""Continuations -> log-probabilities: the plain twin, one padded batch after another.

    log P(targets | context) = sum over i of log softmax(logits at position first + i)[targets[i]]

The rows are the unique token sequences, so that single-token options of one prompt share one. They are sorted by length
and batched by a budget of tokens: a list of continuations gives the same bytes each time, its order changes nothing
beyond float tolerance.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from trialist.models.local import _hub
from trialist.models.local.text import Continuation

Row = tuple[int, ...]
Needed = tuple[int, int]
"""(position, target): a log-probability that some continuation needs from its row."""

Found = tuple[float, bool]
"""(log-probability, was the target the most likely token)."""

ROWS_AT_ONCE = 512
"""How many positions go through the softmax together: bounds the fp32 copy of their logits."""


@dataclass(frozen=True)
class Scored:
    """``logprob``: natural log-probability of a continuation, the sum over its tokens; NaN or infinite where the
    network's logits are. ``greedy``: each of its tokens was the most likely one (the first of equals)."""

    logprob: float
    greedy: bool


def score(network: _hub.Network, continuations: Sequence[Continuation], tokens_per_batch: int) -> list[Scored]:
    """Each continuation's log-probability, in order."""
    needed = defaultdict[Row, set[Needed]](set)
    for continuation in continuations:
        needed[continuation.row].update(_needed(continuation))
    rows = sorted(needed, key=lambda row: (len(row), row))
    found: dict[Row, dict[Needed, Found]] = {}
    for batch in batches(rows, tokens_per_batch):
        found.update(_read(network, batch, needed))
    return [_scored([found[c.row][part] for part in _needed(c)]) for c in continuations]


def batches(rows: Sequence[Row], tokens_per_batch: int, *, equal: bool = False) -> Iterator[Sequence[Row]]:
    """Runs of rows, of rising length, that hold at most ``tokens_per_batch`` tokens once padded; a longer row stands
    alone. ``equal``: rows of one length only."""
    start = 0
    for end in range(1, len(rows) + 1):
        if end < len(rows):
            longer = equal and len(rows[end]) > len(rows[start])
            if not longer and (end + 1 - start) * len(rows[end]) <= tokens_per_batch:
                continue
        yield rows[start:end]
        start = end


def _scored(parts: Sequence[Found]) -> Scored:
    return Scored(math.fsum(value for value, _ in parts), all(greedy for _, greedy in parts))


def _needed(continuation: Continuation) -> list[Needed]:
    return [(continuation.first + i, target) for i, target in enumerate(continuation.targets)]


def _read(
    network: _hub.Network, batch: Sequence[Row], needed: Mapping[Row, set[Needed]]
) -> dict[Row, dict[Needed, Found]]:
    """One forward pass over a batch."""
    positions = sorted({position for row in batch for position, _ in needed[row]})
    place = {position: i for i, position in enumerate(positions)}
    logits = _hub.logits_at(network, batch, positions)
    found = {row: dict[Needed, Found]() for row in batch}
    wanted = [(i, row, part) for i, row in enumerate(batch) for part in sorted(needed[row])]
    for start in range(0, len(wanted), ROWS_AT_ONCE):
        part = wanted[start : start + ROWS_AT_ONCE]
        chosen = logits[[i for i, _, _ in part], [place[position] for _, _, (position, _) in part]]
        values = _hub.log_probabilities(chosen, [target for _, _, (_, target) in part])
        for (_, row, key), value in zip(part, values, strict=True):
            found[row][key] = value
    return found
