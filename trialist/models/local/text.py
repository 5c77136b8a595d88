"""Text -> tokens, and where in a text's tokens its continuation begins. Right for any fast tokenizer.

**Boundary.** The tokens of ``prompt + option`` are those of the whole text. Offsets say which characters a token stands
for; the continuation starts at the first token that covers a character of the option. A token that straddles the
boundary is therefore counted as part of the continuation, and the context ends before it: what is returned is
log P(the whole text's tokens from there on | the tokens before).

**Begin token.** What the tokenizer itself puts before a text (one BOS for Llama, nothing for GPT-2, which has one but
doesn't add it) stands before it here, once: a prompt that already begins with it gets no second one. Only where there
would be no context at all (an empty prompt) the BOS, or else the EOS, is put there to condition on.
"""

from __future__ import annotations

import contextlib
import json
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from operator import le
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tokenizers import Tokenizer


class Refused(Exception):
    """One request that can't be answered; the text is the reason of its ``Failure``."""


@dataclass(frozen=True)
class Encoded:
    """Token ids of a text and, for each, the characters [start, end) that it stands for."""

    ids: tuple[int, ...]
    offsets: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Continuation:
    """``row`` goes into the network; the logits at ``first + i`` predict ``targets[i]``."""

    row: tuple[int, ...]
    first: int
    targets: tuple[int, ...]


@dataclass(frozen=True)
class Encoder:
    """A tokenizer without its post-processor (which adds special tokens and trims offsets).

    ``prefix`` is what the tokenizer puts before a text, ``begin`` the token to condition on where there is none,
    ``unknown`` the token that stands for text outside the vocabulary, ``num_tokens`` how many the network knows.
    """

    backend: Tokenizer
    prefix: tuple[int, ...]
    begin: int | None
    unknown: int | None
    num_tokens: int

    def encode(self, text: str) -> Encoded:
        """Raises ``Refused`` for a text that the tokens can't stand for: nothing is dropped or replaced silently."""
        check_text(text)
        try:
            encoding = self.backend.encode(text, add_special_tokens=False)
        except Exception as error:
            raise Refused(f"the tokenizer refuses the text: {error}") from error
        ids, offsets = encoding.ids, encoding.offsets
        if (self.unknown is not None and self.unknown in ids) or max(ids, default=-1) >= self.num_tokens:
            at = next(i for i, token in enumerate(ids) if token == self.unknown or token >= self.num_tokens)
            start, end = offsets[at]
            raise Refused(f"{_shown(text[start:end])} is outside the vocabulary")
        return Encoded(tuple(ids), _covering(text, offsets))

    def context(self, prompt: str) -> tuple[int, ...]:
        """The tokens that a generation starts from."""
        return self.begun(self.encode(prompt).ids)

    def continuation(self, prompt: str, option: str, max_length: int | None) -> Continuation:
        """The option as the continuation of the prompt; see this module's docstring for the boundary."""
        check_text(prompt)
        check_text(option)
        if not option:
            raise Refused("an empty option has no probability")
        encoded = self.encode(prompt + option)
        start = boundary(encoded.offsets, len(prompt))
        context, targets = self.begun(encoded.ids[:start]), encoded.ids[start:]
        if not targets:
            raise Refused(f"the option {_shown(option)} has no token of its own")
        row = (*context, *targets[:-1])
        check_length(len(row), max_length)
        return Continuation(row, len(context) - 1, targets)

    def begun(self, ids: tuple[int, ...]) -> tuple[int, ...]:
        """The tokens of a text with the begin token before them; see this module's docstring."""
        begun = ids if ids[: len(self.prefix)] == self.prefix else (*self.prefix, *ids)
        if begun:
            return begun
        if self.begin is None:
            raise Refused("an empty prompt, and the tokenizer has no begin or end token to condition on")
        return (self.begin,)


def boundary(offsets: Sequence[tuple[int, int]], length: int) -> int:
    """The index of the first token that covers a character at ``length`` or later; 0 where there is no prompt."""
    if length == 0:
        return 0
    return next((i for i, (_, end) in enumerate(offsets) if end > length), len(offsets))


def check_length(num_tokens: int, max_length: int | None) -> None:
    """Too long is refused, never cut."""
    if max_length is not None and num_tokens > max_length:
        raise Refused(f"too long: {num_tokens} tokens, context {max_length}")


def make_encoder(tokenizer: Any, num_tokens: int) -> Encoder:
    """An encoder of a transformers tokenizer (fast), on a copy: the tokenizer's own state isn't touched."""
    from tokenizers import Tokenizer

    backend = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    backend.no_truncation()
    backend.no_padding()
    prefix = _prefix(backend)
    backend.post_processor = None  # pyright: ignore[reportAttributeAccessIssue]
    begin = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
    return Encoder(backend, prefix, begin, _unknown(backend, tokenizer), num_tokens)


def _prefix(backend: Tokenizer) -> tuple[int, ...]:
    """The special tokens that the post-processor puts before a text; any text shows them."""
    for probe in ("a", *sorted(backend.get_vocab(with_added_tokens=False))):
        with contextlib.suppress(Exception):  # a text that this vocabulary doesn't have
            full = backend.encode(probe, add_special_tokens=True)
            return tuple(full.ids[: full.special_tokens_mask.index(0)])
    return ()


def _unknown(backend: Tokenizer, tokenizer: Any) -> int | None:
    """The id that the vocabulary's model itself uses for unknown text, else the one the settings name."""
    vocabulary: Any = json.loads(backend.to_str())["model"]
    if vocabulary.get("unk_token") is not None:
        return backend.token_to_id(vocabulary["unk_token"])
    if vocabulary.get("unk_id") is not None:
        return int(vocabulary["unk_id"])
    # GPT-2's settings call its end of text unknown as well; with bytes there is no unknown text
    return tokenizer.unk_token_id if tokenizer.unk_token_id != tokenizer.eos_token_id else None


def check_text(text: object) -> None:
    """Raises ``Refused`` for what is no text, or no valid Unicode."""
    if not isinstance(text, str):
        raise Refused(f"not a text: {type(text).__name__}")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise Refused(f"not valid Unicode: {error.reason} at character {error.start}") from error


def _covering(text: str, offsets: Sequence[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """The offsets, checked to leave out nothing but white space, which many tokenizers take for granted.

    A normaliser that composes (NFC) leaves combining marks out of the offsets: they are given to their letter's tokens.
    """
    if _is_gapless(offsets, len(text)):
        return tuple(offsets)
    done, wider = 0, dict[int, int]()
    for start, end in [*offsets, (len(text), len(text))]:
        gap = text[done:start]
        if gap.strip():
            marks = next((i for i, c in enumerate(gap) if not unicodedata.category(c).startswith("M")), len(gap))
            if gap[marks:].strip():
                raise Refused(f"the tokenizer drops a part of the text, at or before {_shown(gap.strip())}")
            wider[done] = done + marks
        done = max(done, end)
    return tuple((start, wider.get(end, end)) for start, end in offsets) if wider else tuple(offsets)


def _is_gapless(offsets: Sequence[tuple[int, int]], length: int) -> bool:
    """Whether each token starts where those before it end, or earlier. No Python code runs for a token."""
    starts, ends = zip(*offsets, strict=True) if offsets else ((), ())
    starts, ends = (*starts, length), (0, *ends)
    return starts == ends or all(map(le, starts, accumulate(ends, max)))


def _shown(text: str) -> str:
    return ascii(text if len(text) <= 40 else text[:39] + "…")
