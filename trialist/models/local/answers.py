"""A window of prepared requests -> replies, each as soon as it is complete."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TypeVar

import numpy as np

from trialist.models.local.backend import Backend, Scores
from trialist.models.local.drafts import Decode, Draft
from trialist.models.local.probes import Probe
from trialist.models.local.requests import Prepared
from trialist.models.local.scoring import Scored
from trialist.models.local.text import Continuation
from trialist.models.protocol import Choose, Failure, Keyed, Reply, Request

Asked = Keyed[Request]
Answered = Keyed[Reply | Failure]
T = TypeVar("T")

TOO_LARGE = "memory ran out on a text, even alone"


def replies(
    backend: Backend, window: Sequence[tuple[Asked, Prepared]], stop_ids: frozenset[int], decode: Decode
) -> Iterator[Answered]:
    """The refused first, then choices and activations pass by pass, then generated texts as they end."""
    yield from (_to(keyed, parts) for keyed, parts in window if isinstance(parts, Failure))
    yield from _read(backend, window)
    drafts = _of_kind(window, Draft)
    for index, reply in backend.generate([draft for _, draft in drafts], stop_ids, decode):
        yield _to(drafts[index][0], reply)


def _read(backend: Backend, window: Sequence[tuple[Asked, Prepared]]) -> Iterator[Answered]:
    """Choices and activations of one window share their passes."""
    choices = [(keyed, parts) for keyed, parts in window if isinstance(parts, list)]
    probes = _of_kind(window, Probe)
    open_choices, open_probes = np.ones(len(choices), np.bool_), set(range(len(probes)))
    begins = np.cumsum([0, *(len(parts) for _, parts in choices)])
    continuations = [part for _, parts in choices for part in parts]
    for scores in backend.passes(continuations, [probe for _, probe in probes]):
        if choices:
            ready = np.logical_and.reduceat(scores.ready(), begins[:-1]) & open_choices
            open_choices &= ~ready
            for i in np.flatnonzero(ready).tolist():
                yield _to(choices[i][0], _chosen(choices[i], scores, int(begins[i])))
        for k in sorted(open_probes):
            seen = scores.activations[k]
            if seen is not None:
                open_probes.remove(k)
                yield _to(probes[k][0], seen if isinstance(seen, Failure) else Reply(activations=seen))
    left = [choices[i] for i in np.flatnonzero(open_choices).tolist()]
    yield from (_to(keyed, _too_large(max(len(part.row) for part in parts))) for keyed, parts in left)
    yield from (_to(probes[k][0], _too_large(len(probes[k][1].row))) for k in sorted(open_probes))


def _chosen(choice: tuple[Asked, Sequence[Continuation]], scores: Scores, begin: int) -> Reply | Failure:
    (keyed, parts), request = choice, choice[0].value
    assert isinstance(request, Choose), f"{keyed.key} has continuations"
    found: list[Scored] = [scores.scored(begin + k) for k in range(len(parts))]
    if not all(math.isfinite(one.logprob) for one in found):
        return Failure("the model gives log-probabilities that are not finite")
    return Reply(
        logprobs=tuple(one.logprob for one in found),
        num_tokens=tuple(len(part.targets) for part in parts),
        num_bytes=tuple(len(option.encode()) for option in request.options),
        greedy=tuple(one.greedy for one in found),
    )


def _too_large(num_tokens: int) -> Failure:
    return Failure(f"{TOO_LARGE}: {num_tokens} tokens")


def _to(keyed: Asked, reply: Reply | Failure) -> Answered:
    return Keyed(keyed.key, keyed.seed, reply)


def _of_kind(window: Sequence[tuple[Asked, Prepared]], kind: type[T]) -> list[tuple[Asked, T]]:
    return [(keyed, parts) for keyed, parts in window if isinstance(parts, kind)]
