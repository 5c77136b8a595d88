"""``LocalModel``: what answers when the model is a folder on this machine."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from trialist.errors import StorageError
from trialist.folder import whole_folder
from trialist.models.local import _hub
from trialist.models.local.boundary import Boundary, boundary_of
from trialist.models.local.digest import model_digest
from trialist.models.local.folder import check_folder
from trialist.models.local.generation import Draft, generate
from trialist.models.local.loading import context_length, load_network, load_tokenizer
from trialist.models.local.scoring import score
from trialist.models.local.text import Continuation, Encoder, Refused, check_length, make_encoder
from trialist.models.protocol import Ability, Choose, Failure, Generate, Keyed, Reply, Request

TOKENS_PER_BATCH = 4096
ABILITIES: frozenset[Ability] = frozenset({"choose", "generate", "weights", "repeatable"})


@dataclass(frozen=True, eq=False)
class LocalModel:
    """A causal language model with its tokenizer. ``network`` is never edited in place: edits go to a copy, which
    ``with_network`` makes a model of. ``max_length`` is the context in tokens; None: the architecture has no limit."""

    network: _hub.Network
    tokenizer: Any
    dtype: str
    tokenizer_files: Mapping[str, bytes] = field(repr=False)
    encoder: Encoder = field(repr=False)
    max_length: int | None
    tokens_per_batch: int = TOKENS_PER_BATCH

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
        """Replies in the order of the requests. All of them are read first, so pass as many as belong together."""
        asked = list(requests)
        prepared = [self._prepare(keyed.value) for keyed in asked]
        choices = [c for parts in prepared if isinstance(parts, list) for c in parts]
        values = iter(score(self.network, choices, self.tokens_per_batch))
        drafts = [draft for draft in prepared if isinstance(draft, Draft)]
        generate(self.network, drafts, self._stop_ids, self._decode)
        for keyed, parts in zip(asked, prepared, strict=True):
            reply = _chosen(keyed.value, parts, [next(values) for _ in parts]) if isinstance(parts, list) else parts
            yield Keyed(keyed.key, keyed.seed, _finished(reply))

    def _prepare(self, request: Request) -> list[Continuation] | Draft | Failure:
        try:
            if isinstance(request, Choose):
                return self._continuations(request)
            return self._draft(request)
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


def _chosen(request: Request, parts: Sequence[Continuation], values: Sequence[float]) -> Reply | Failure:
    assert isinstance(request, Choose)
    if not all(math.isfinite(value) for value in values):
        return Failure("the model gives log-probabilities that are not finite")
    num_bytes = tuple(len(option.encode()) for option in request.options)
    return Reply(logprobs=tuple(values), num_tokens=tuple(len(part.targets) for part in parts), num_bytes=num_bytes)


def _finished(reply: Reply | Failure | Draft) -> Reply | Failure:
    done = reply.reply if isinstance(reply, Draft) else reply
    assert done is not None, "generate() finishes every draft"
    return done
