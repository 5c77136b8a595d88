"""``LocalModel``: what answers when the model is a folder on this machine."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from trialist.errors import ModelError, StorageError
from trialist.folder import whole_folder
from trialist.models.cache import ReplyCache
from trialist.models.local import _hub
from trialist.models.local.answers import TOO_LARGE, replies
from trialist.models.local.backend import Backend, Scores, make_backend
from trialist.models.local.boundary import Boundary, boundary_of
from trialist.models.local.digest import model_digest
from trialist.models.local.drafts import Draft
from trialist.models.local.folder import check_folder
from trialist.models.local.loading import context_length, load_network, load_tokenizer
from trialist.models.local.precision import AUTO, Loaded, load_auto
from trialist.models.local.requests import Reader, check_continuation, check_draft, check_tokens, windows
from trialist.models.local.scoring import Scored
from trialist.models.local.text import Continuation, Encoder, Refused, make_encoder
from trialist.models.protocol import Ability, Failure, Keyed, Reply, Request

ABILITIES: frozenset[Ability] = frozenset({"choose", "generate", "activations", "weights", "repeatable"})


@dataclass(frozen=True, eq=False)
class LocalModel:
    """A causal language model with its tokenizer. ``network`` is never edited in place: edits go to a copy, which
    ``with_network`` makes a model of. ``max_length`` is the context in tokens; None: the architecture has no limit.
    ``capacity``: tokens of a pass; None: by the model's size and the free memory. ``cache``: where replies are kept."""

    network: _hub.Network
    tokenizer: Any
    dtype: str
    tokenizer_files: Mapping[str, bytes] = field(repr=False)
    encoder: Encoder = field(repr=False)
    max_length: int | None
    capacity: int | None = None
    cache: ReplyCache | None = None

    @classmethod
    def load(
        cls, folder: str | Path, *, dtype: str = "float32", device: str = "cpu", cache: ReplyCache | None = None
    ) -> LocalModel:
        """A Hugging Face folder with safetensors and tokenizer.json, whatever dtype it was saved in. ``dtype`` "auto"
        is bfloat16 where that is fast and the model bears it, else float32 (see ``precision``); the model's own
        ``dtype`` says which. Without ``cache`` no reply is kept.

        Reads this folder only, runs none of its code, and opens no pickle. Raises ``ModelError`` for anything that is
        missing, damaged, of another architecture, or not a causal language model.
        """
        checked = check_folder(folder)
        tokenizer = load_tokenizer(checked)
        auto = dtype == AUTO
        loaded = load_auto(checked, device, tokenizer) if auto else Loaded(load_network(checked, dtype, device), dtype)
        encoder = make_encoder(tokenizer, _hub.num_embeddings(loaded.network))
        length = context_length(_hub.config_of(loaded.network))
        files = checked.tokenizer_files
        return cls(loaded.network, tokenizer, loaded.dtype, files, encoder, length, cache=cache)

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
        reader = Reader(self.network, self._boundary, self.max_length)
        for window in windows(requests):
            kept = self.cache.get(self._identity(), window) if self.cache else None
            if kept is None:
                yield from self._computed(window, reader)
            else:
                yield from (Keyed(asked.key, asked.seed, reply) for asked, reply in zip(window, kept, strict=True))

    def _computed(self, window: Sequence[Keyed[Request]], reader: Reader) -> Iterator[Keyed[Reply | Failure]]:
        identity, exhausted = self._identity() if self.cache else "", self.backend.num_exhausted
        found: dict[int, Reply | Failure] = {}
        prepared = [(Keyed(str(i), asked.seed, asked.value), reader.prepare(asked)) for i, asked in enumerate(window)]
        for reply in replies(self.backend, prepared, self._stop_ids, self._decode):
            found[int(reply.key)] = reply.value
            yield Keyed(window[int(reply.key)].key, reply.seed, reply.value)
        # Where memory ran out on the way, some failed by accident, and other bytes may be between two identities.
        if self.cache and exhausted == self.backend.num_exhausted:
            self.cache.put(identity, window, [found[i] for i in range(len(window))])

    def _identity(self) -> str:
        """Whatever the bytes of a reply depend on, beside the request."""
        return f"{self.digest} {self.backend.describe()}"

    def score(
        self, continuations: Sequence[Continuation], progress: Callable[[int, int], None] | None = None
    ) -> list[Scored]:
        """Log-probabilities of continuations that are tokens already, in order. ``progress(done, total)`` counts them.

        Raises:
            ModelError: one of them is empty, too long, outside the vocabulary, or too large for the memory even alone.
        """
        for number, continuation in enumerate(continuations):
            with _named(number):
                check_continuation(continuation, self.encoder.num_tokens, self.max_length)
        scores: Scores | None = None
        for scores in self.backend.passes(continuations):
            if progress is not None:
                progress(int(scores.ready().sum()), len(continuations))
        if scores is None:
            return []
        for number in np.flatnonzero(~scores.ready()).tolist():
            raise ModelError(f"continuation {number}: {TOO_LARGE}", seen=f"{len(continuations[number].row)} tokens")
        return [scores.scored(k) for k in range(len(continuations))]

    def generate(self, drafts: Sequence[Draft], progress: Callable[[int, int], None] | None = None) -> list[Reply]:
        """Continuations of contexts that are tokens already, in order.

        Raises:
            ModelError: a draft that can't be continued.
        """
        for number, draft in enumerate(drafts):
            with _named(number):
                check_tokens(draft.context, self.encoder.num_tokens)
                check_draft(draft, self.max_length)
        found: dict[int, Reply] = {}
        for index, reply in self.backend.generate(drafts, self._stop_ids, self._decode):
            if isinstance(reply, Failure):
                raise ModelError(f"draft {index}: {reply.reason}")
            found[index] = reply
            if progress is not None:
                progress(len(found), len(drafts))
        return [found[index] for index in range(len(drafts))]

    @cached_property
    def _boundary(self) -> Boundary:
        return boundary_of(self.encoder)

    @cached_property
    def backend(self) -> Backend:
        """What computes: the engine, or the plain twin with its reason. The network is checked when it is first
        used."""
        return make_backend(self.network, self.capacity)

    @cached_property
    def _stop_ids(self) -> frozenset[int]:
        return _hub.stop_ids(self.network, self.tokenizer)

    def _decode(self, ids: Sequence[int]) -> str:
        return self.encoder.backend.decode(list(ids), skip_special_tokens=False)


@contextlib.contextmanager
def _named(number: int) -> Generator[None]:
    """What is refused names its place in the list."""
    try:
        yield
    except Refused as refused:
        raise ModelError(f"request {number}: {refused}") from refused
