"""A text on its way: what was asked, each sample's tokens so far, and when it has ended."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from trialist.models.protocol import Failure, Reply, Sample

Decode = Callable[[Sequence[int]], str]
NEAR = 16
"""Tokens of the context that are decoded with those after it, so that a first token keeps its leading space."""


@dataclass(frozen=True)
class Draft:
    """``num_samples`` continuations of ``context`` (at least one token). Temperature 0 is greedy. ``seed`` fixes the
    draws: token t of sample s depends on (seed, s, t) and the model alone, not on what is generated beside it."""

    context: tuple[int, ...]
    max_tokens: int
    stop: tuple[str, ...] = ()
    temperature: float = 0.0
    num_samples: int = 1
    seed: int = 0


@dataclass(eq=False)
class Row:
    """One sample of a draft. It has ended once ``sample`` or ``failure`` is set."""

    draft: Draft
    number: int
    tokens: list[int] = field(default_factory=list[int])
    logprobs: list[float] = field(default_factory=list[float])
    sample: Sample | None = None
    failure: str | None = None

    @property
    def ended(self) -> bool:
        return self.sample is not None or self.failure is not None

    @property
    def ids(self) -> tuple[int, ...]:
        return (*self.draft.context, *self.tokens)

    def take(self, token: int | None, logprob: float, stop_ids: frozenset[int], decode: Decode) -> None:
        """Add the next token, or end: before an end token, before the first stop string, after ``max_tokens``."""
        if token is None:
            self.failure = "the model gives logits that are not finite"
            return
        self.tokens.append(token)
        self.logprobs.append(logprob)
        ended = token in stop_ids
        full = len(self.tokens) == self.draft.max_tokens
        if ended or full or self._may_stop(decode):
            text = self._text(self.tokens[:-1] if ended else self.tokens, decode)
            found = [at for at in (text.find(string) for string in self.draft.stop) if at >= 0]
            if found or ended or full:
                text = text[: min(found)] if found else text
                truncated = full and not ended and not found
                self.sample = Sample(text, tuple(self.tokens), tuple(self.logprobs), truncated)

    def _may_stop(self, decode: Decode) -> bool:
        """Does a stop string stand among the last tokens? A token has a byte at least, a character four at most."""
        if not self.draft.stop:
            return False
        length = 4 * max(len(string) for string in self.draft.stop) + NEAR
        near = decode(self.ids[-length:])
        return any(string in near for string in self.draft.stop)

    def _text(self, tokens: Sequence[int], decode: Decode) -> str:
        """What the tokens add to the context's text; tokens decoded alone would lose a leading space."""
        near = self.draft.context[-NEAR:]
        before, whole = decode(near), decode([*near, *tokens])
        return whole[len(before) :] if whole.startswith(before) else decode(tokens)


def rows_of(draft: Draft) -> list[Row]:
    """One row a sample; greedy samples are equal and share one."""
    return [Row(draft, number) for number in range(draft.num_samples if draft.temperature > 0 else 1)]


def reply_of(draft: Draft, rows: Sequence[Row]) -> Reply | Failure:
    """The reply of a draft whose rows have all ended."""
    failed = [row.failure for row in rows if row.failure is not None]
    if failed:
        return Failure(failed[0])
    samples = [row.sample for row in rows if row.sample is not None]
    samples = samples if draft.temperature > 0 else samples * draft.num_samples
    return Reply(text=samples[0].text, truncated=samples[0].truncated, samples=tuple(samples))
