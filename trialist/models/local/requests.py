"""Requests -> what the engine works on: continuations, drafts, probes; or the reason why not."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import cast

from trialist.models.local import _hub
from trialist.models.local.boundary import Boundary
from trialist.models.local.drafts import Draft
from trialist.models.local.probes import Probe, make_probe
from trialist.models.local.text import Continuation, Refused, check_length
from trialist.models.protocol import Activations, Choose, Failure, Generate, Keyed, Request

WINDOW_REQUESTS, WINDOW_CHARACTERS = 1024, 1 << 22

Prepared = list[Continuation] | Draft | Probe | Failure


@dataclass(frozen=True)
class Reader:
    """``max_length``: the context in tokens; None: no limit."""

    network: _hub.Network
    boundary: Boundary
    max_length: int | None

    def prepare(self, keyed: Keyed[Request]) -> Prepared:
        """Never raises for a request: what can't be answered is a ``Failure`` with its reason."""
        request = keyed.value
        try:
            if isinstance(request, Choose):
                return self._continuations(request)
            if isinstance(request, Generate):
                return self._draft(request, keyed.seed)
            return self._probe(request)
        except Refused as refused:
            return Failure(str(refused))

    def _continuations(self, request: Choose) -> list[Continuation]:
        if not request.options:
            raise Refused("no options to choose from")
        return self.boundary.continuations(request.prompt, request.options, self.max_length)

    def _draft(self, request: Generate, seed: int) -> Draft:
        context = self.boundary.context(request.prompt)
        draft = Draft(context, request.max_tokens, request.stop, request.temperature, request.num_samples, seed)
        check_draft(draft, self.max_length)
        return draft

    def _probe(self, request: Activations) -> Probe:
        row = self.boundary.context(request.prompt)
        check_length(len(row), self.max_length)
        return make_probe(self.network, row, request.layers, request.positions)


def check_draft(draft: Draft, max_length: int | None) -> None:
    """Raises ``Refused`` for settings that mean nothing, and for a text that may outgrow the context."""
    if draft.max_tokens < 1:
        raise Refused(f"max_tokens is {draft.max_tokens}, at least 1 is allowed")
    if draft.num_samples < 1:
        raise Refused(f"num_samples is {draft.num_samples}, at least 1 is allowed")
    if not (math.isfinite(draft.temperature) and draft.temperature >= 0):
        raise Refused(f"temperature is {draft.temperature}, 0 or more is allowed")
    if not all(draft.stop):
        raise Refused("an empty stop string would stop everything")
    check_length(len(draft.context) + draft.max_tokens - 1, max_length)


def check_context(draft: Draft, num_tokens: int) -> None:
    """Raises ``Refused`` for a context that isn't tokens of the vocabulary."""
    if not draft.context:
        raise Refused("an empty context can't be continued")
    _check_tokens(draft.context, num_tokens)


def check_continuation(continuation: Continuation, num_tokens: int, max_length: int | None) -> None:
    """Raises ``Refused`` for tokens that make no continuation."""
    row, first, targets = continuation.row, continuation.first, continuation.targets
    if not targets:
        raise Refused("an empty continuation has no probability")
    _check_tokens((*row, *targets), num_tokens)
    if first < 0 or first + len(targets) > len(row) or row[first + 1 :] != targets[: len(row) - first - 1]:
        raise Refused("its row does not hold its context and its tokens but the last")
    check_length(len(row), max_length)


def _check_tokens(tokens: Sequence[int], num_tokens: int) -> None:
    outside = [token for token in tokens if not 0 <= token < num_tokens]
    if outside:
        raise Refused(f"token {outside[0]} is outside the vocabulary of {num_tokens}")


def windows(requests: Iterable[Keyed[Request]]) -> Iterator[Sequence[Keyed[Request]]]:
    """Runs of requests of bounded number and length; a function of the requests alone."""
    window, length = list[Keyed[Request]](), 0
    for keyed in requests:
        window.append(keyed)
        length += _length(keyed.value)
        if len(window) >= WINDOW_REQUESTS or length >= WINDOW_CHARACTERS:
            yield window
            window, length = list[Keyed[Request]](), 0
    if window:
        yield window


def _length(request: Request) -> int:
    """Characters; none of what is no text, which is refused later: a user may pass anything, whatever the type says."""
    prompt = cast(object, request.prompt)
    length = len(prompt) if isinstance(prompt, str) else 0
    options = cast(object, request.options) if isinstance(request, Choose) else None
    return length * len(cast("Sequence[object]", options)) if isinstance(options, Sequence) else length
