"""Prompt and options -> continuations, each distinct context tokenised once. Equals ``Encoder.continuation``.

The prompt is tokenised and remembered. It is cut at the last place where the tokens of a text provably part (see
``locality``), a word or so before its end; for an option only what stands right of the cut is tokenised again:

    tokens(prompt + option) = tokens(prompt) up to the cut + tokens(prompt from the cut on + option)

What the reference checks of a whole text, it then checks of the two parts: an unknown token stands in one of them, and
a dropped character too, for a dropped character before the cut is dropped from the prompt as well. Where a part is
refused, or no cut is proven, the reference answers, so that refusals are its own.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from weakref import WeakValueDictionary

from trialist.models.local.locality import Cuts, find_cuts
from trialist.models.local.text import Continuation, Encoded, Encoder, Refused, boundary, check_length, check_text

NUM_PROMPTS = 1024
NUM_CHARACTERS = 4_000_000
PLACES_TRIED = 8


@dataclass(frozen=True)
class _Cut:
    """``head``: the tokens before the cut, begin token included; ``tail``: the prompt's text from there on."""

    head: tuple[int, ...]
    tail: str


@dataclass(frozen=True)
class _Known:
    """A prompt's tokens (begin token included), or why there are none; its cut, if there is one."""

    context: tuple[int, ...]
    refusal: str | None
    cut: _Cut | None


class Boundary:
    """An encoder that remembers its last prompts: at most ``num_prompts``, of ``num_characters`` together.

    ``cuts`` is None where every text goes to the encoder whole."""

    def __init__(
        self, encoder: Encoder, *, num_prompts: int = NUM_PROMPTS, num_characters: int = NUM_CHARACTERS
    ) -> None:
        self.encoder = encoder
        self.cuts = _cuts_of(encoder)
        self._num_prompts = num_prompts
        self._room = num_characters
        self._known: OrderedDict[str, _Known] = OrderedDict()

    def context(self, prompt: str) -> tuple[int, ...]:
        """``Encoder.context``: the tokens that a generation starts from. Raises ``Refused``."""
        check_text(prompt)
        known = self._recall(prompt)
        if known.refusal is not None:
            raise Refused(known.refusal)
        return known.context

    def continuations(self, prompt: str, options: Sequence[str], max_length: int | None) -> list[Continuation]:
        """``Encoder.continuation`` of each option. Raises ``Refused`` with the reason of the first that is refused."""
        try:
            check_text(prompt)
        except Refused:
            cut = None
        else:
            cut = self._recall(prompt).cut
        return [self._continuation(prompt, option, cut, max_length) for option in options]

    def _continuation(self, prompt: str, option: str, cut: _Cut | None, max_length: int | None) -> Continuation:
        found = self._after(cut, option) if cut is not None else None
        if found is None:
            return self.encoder.continuation(prompt, option, max_length)
        check_length(len(found.row), max_length)
        return found

    def _after(self, cut: _Cut, option: str) -> Continuation | None:
        """None: the reference has to say what is wrong."""
        try:
            check_text(option)
            encoded = self.encoder.encode(cut.tail + option)
        except Refused:
            return None
        start = boundary(encoded.offsets, len(cut.tail))
        targets = encoded.ids[start:]
        if not targets:
            return None
        return Continuation(cut.head + encoded.ids[:-1], len(cut.head) + start - 1, targets)

    def _recall(self, prompt: str) -> _Known:
        known = self._known.get(prompt)
        if known is not None:
            self._known.move_to_end(prompt)
            return known
        known = self._known[prompt] = self._learn(prompt)
        self._room -= len(prompt)
        while self._known and (self._room < 0 or len(self._known) > self._num_prompts):
            self._room += len(self._known.popitem(last=False)[0])
        return known

    def _learn(self, prompt: str) -> _Known:
        try:
            encoded = self.encoder.encode(prompt)
            context = self.encoder.begun(encoded.ids)
        except Refused as refused:
            return _Known((), str(refused), None)
        return _Known(context, None, self._cut(prompt, encoded))

    def _cut(self, prompt: str, encoded: Encoded) -> _Cut | None:
        """The last cut at which a token ends. (An added token that strips the space to its right ends after it.)"""
        if self.cuts is None:
            return None
        ids, offsets = encoded.ids, encoded.offsets
        num_before = len(ids)
        for place in islice(self.cuts.places(prompt), PLACES_TRIED):
            while num_before and offsets[num_before - 1][1] > place:
                num_before -= 1
            if num_before < max(1, len(self.encoder.prefix)):
                return None
            starts_after = num_before == len(ids) or offsets[num_before][0] >= place
            if starts_after and offsets[num_before - 1][1] == place:
                return _Cut(self.encoder.begun(ids[:num_before]), prompt[place:])
        return None


_BOUNDARIES: WeakValueDictionary[Encoder, Boundary] = WeakValueDictionary()


def boundary_of(encoder: Encoder) -> Boundary:
    """The encoder's boundary, the same for all who hold it: a model and its edited copies share what is remembered."""
    found = _BOUNDARIES.get(encoder)
    if found is None:
        found = _BOUNDARIES[encoder] = Boundary(encoder)
    return found


def _cuts_of(encoder: Encoder) -> Cuts | None:
    normaliser = encoder.backend.normalizer
    settings = json.loads(encoder.backend.to_str())
    return find_cuts(settings, normaliser.normalize_str if normaliser is not None else str)
