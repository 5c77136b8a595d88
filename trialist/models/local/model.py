"""``LocalModel``: what answers when the model is a folder on this machine."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np

from trialist.errors import ModelError, StorageError
from trialist.folder import whole_folder
from trialist.models.local import _hub
from trialist.models.local.backend import Backend, Scores, make_backend
from trialist.models.local.boundary import Boundary, boundary_of
from trialist.models.local.digest import model_digest
from trialist.models.local.folder import check_folder
from trialist.models.local.generation import Draft, generate
from trialist.models.local.loading import context_length, load_network, load_tokenizer
from trialist.models.local.scoring import Scored
from trialist.models.local.text import Continuation, Encoder, Refused, check_length, make_encoder
from trialist.models.protocol import Ability, Choose, Failure, Generate, Keyed, Reply, Request

WINDOW_REQUESTS, WINDOW_CHARACTERS = 1024, 1 << 22
TOO_LARGE = "memory ran out on a text, even alone"
ABILITIES: frozenset[Ability] = frozenset({"choose", "generate", "weights", "repeatable"})


@dataclass(frozen=True, eq=False)
class LocalModel:
    """A causal language model with its tokenizer. ``network`` is never edited in place: edits go to a copy, which
    ``with_network`` makes a model of. ``max_length`` is the context in tokens; None: the architecture has no limit.
    ``capacity``: tokens of a pass; None: by the model's size and the free memory."""

    network: _hub.Network
    tokenizer: Any
    dtype: str
    tokenizer_files: Mapping[str, bytes] = field(repr=False)
    encoder: Encoder = field(repr=False)
    max_length: int | None
    capacity: int | None = None

    @classmethod
    def load(cls, folder: str | Path, *, dtype: str = "float32", device: str = "cpu") -> LocalModel:
        """A Hugging Face folder with safetensors and tokenizer.json, whatever dtype it was saved in.

        Reads this folder only, runs none of its code, and opens no pickle. Raises ``ModelError`` for anything that is
        missing, damaged, of another architecture, or not a causal language model.
        """
        checked = check_folder(folder)
        network = load_network(checked, dtype, device)
        tokenizer = load_tokenizer(checked)
        encoder = make_encoder(tokenizer, _hub.num_embeddings(network))
        length = context_length(_hub.config_of(network))
        return cls(network, tokenizer, dtype, checked.tokenizer_files, encoder, length)

    @property
    def abilities(self) -> frozenset[Ability]:
        return ABILITIES

    @property
    def digest(self) -> str:
        """sha256 over weights, configuration, dtype, tokenizer and special tokens; see ``digest.model_digest``."""
        return self._digest

    @cached_property
    def _digest(self) -> str:
        encoder = self.encoder
        special = {"prefix": encoder.prefix, "begin": encoder.begin, "stop": sorted(self._stop_ids)}
        return model_digest(self.network, self.dtype, self.tokenizer_files["tokenizer.json"], special)

    def with_network(self, network: _hub.Network) -> LocalModel:
        """The same tokenizer with other weights."""
        return replace(self, network=network.eval())

    def save(self, folder: str | Path) -> None:
        """A new Hugging Face folder that loads back to the same digest; whole or not at all."""
        with whole_folder(Path(folder)) as temporary:
            try:
                _hub.write_network(self.network, temporary)
            except _hub.SafetensorError as error:
                step = "free some space, then run again"
                raise StorageError("the weights can't be written", seen=f"{folder}: {error}", next_step=step) from error
            for name, data in self.tokenizer_files.items():
                (temporary / name).write_bytes(data)

    def answer(self, requests: Iterable[Keyed[Request]]) -> Iterator[Keyed[Reply | Failure]]:
        """Replies as they get ready. Requests are read window by window, so their number doesn't matter for memory; a
        start that several of a window share is computed once, a long one is kept for the next windows."""
        for window in windows(requests):
            yield from self._answer_window(window)

    def score(
        self, continuations: Sequence[Continuation], progress: Callable[[int, int], None] | None = None
    ) -> list[Scored]:
        """Log-probabilities of continuations that are tokens already, in order. ``progress(done, total)`` counts them.

        Raises:
            ModelError: memory ran out on one of them, alone.
        """
        scores: Scores | None = None
        for scores in self.backend.passes(continuations):
            if progress is not None:
                progress(int(scores.ready().sum()), len(continuations))
        if scores is None:
            return []
        ready = scores.ready()
        if not ready.all():
            longest = max(len(c.row) for c, done in zip(continuations, ready, strict=True) if not done)
            raise ModelError(TOO_LARGE, seen=f"{longest} tokens", next_step="free memory, or use a smaller model")
        return [scores.scored(k) for k in range(len(continuations))]

    @cached_property
    def backend(self) -> Backend:
        """What scores: the engine, or the plain twin with its reason. The network is checked when it is first used."""
        return make_backend(self.network, self.capacity)

    def _answer_window(self, window: Sequence[Keyed[Request]]) -> Iterator[Keyed[Reply | Failure]]:
        prepared = [(keyed, self._prepare(keyed.value)) for keyed in window]
        yield from (_reply_to(keyed, parts) for keyed, parts in prepared if isinstance(parts, Failure))
        yield from self._choose([(keyed, parts) for keyed, parts in prepared if isinstance(parts, list)])
        drafts = [(keyed, parts) for keyed, parts in prepared if isinstance(parts, Draft)]
        generate(self.network, [draft for _, draft in drafts], self._stop_ids, self._decode)
        for keyed, draft in drafts:
            assert draft.reply is not None, "generate() finishes every draft"
            yield _reply_to(keyed, draft.reply)

    def _choose(self, asked: Sequence[tuple[Keyed[Request], list[Continuation]]]) -> Iterator[Keyed[Reply | Failure]]:
        """Each reply as soon as all options of its request have their log-probability."""
        parts = [part for _, parts in asked for part in parts]
        begins = np.cumsum([0, *(len(parts) for _, parts in asked)])
        pending = np.ones(len(asked), np.bool_)
        for scores in self.backend.passes(parts):
            ready = np.logical_and.reduceat(scores.ready(), begins[:-1]) & pending
            pending &= ~ready
            for i in np.flatnonzero(ready).tolist():
                keyed, options = asked[i]
                found = [scores.scored(k) for k in range(begins[i], begins[i + 1])]
                yield _reply_to(keyed, _chosen(keyed.value, options, found))
        for i in np.flatnonzero(pending).tolist():
            keyed, options = asked[i]
            yield _reply_to(keyed, Failure(f"{TOO_LARGE}: {max(len(o.row) for o in options)} tokens"))

    def _prepare(self, request: Request) -> list[Continuation] | Draft | Failure:
        try:
            if isinstance(request, Choose):
                return self._continuations(request)
            if isinstance(request, Generate):
                return self._draft(request)
            return Failure("activations")
        except Refused as refused:
            return Failure(str(refused))

    def _continuations(self, request: Choose) -> list[Continuation]:
        if not request.options:
            raise Refused("no options to choose from")
        return self._boundary.continuations(request.prompt, request.options, self.max_length)

    @cached_property
    def _boundary(self) -> Boundary:
        return boundary_of(self.encoder)

    def _draft(self, request: Generate) -> Draft:
        if request.max_tokens < 1:
            raise Refused(f"max_tokens is {request.max_tokens}, at least 1 is allowed")
        if not all(request.stop):
            raise Refused("an empty stop string would stop everything")
        context = self._boundary.context(request.prompt)
        check_length(len(context) + request.max_tokens - 1, self.max_length)
        return Draft(context, request.max_tokens, request.stop)

    @cached_property
    def _stop_ids(self) -> frozenset[int]:
        return _hub.stop_ids(self.network, self.tokenizer)

    def _decode(self, ids: Sequence[int]) -> str:
        return self.encoder.backend.decode(list(ids), skip_special_tokens=False)


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
    prompt = cast(object, request.prompt)  # what a user passed, whatever the type says
    length = len(prompt) if isinstance(prompt, str) else 0
    return length * len(request.options) if isinstance(request, Choose) else length


def _chosen(request: Request, parts: Sequence[Continuation], found: Sequence[Scored]) -> Reply | Failure:
    assert isinstance(request, Choose)
    if not all(math.isfinite(one.logprob) for one in found):
        return Failure("the model gives log-probabilities that are not finite")
    return Reply(
        logprobs=tuple(one.logprob for one in found),
        num_tokens=tuple(len(part.targets) for part in parts),
        num_bytes=tuple(len(option.encode()) for option in request.options),
        greedy=tuple(one.greedy for one in found),
    )


def _reply_to(keyed: Keyed[Request], reply: Reply | Failure) -> Keyed[Reply | Failure]:
    return Keyed(keyed.key, keyed.seed, reply)
