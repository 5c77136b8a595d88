"""Texts -> tokens as the harness's own Hugging Face model makes them, so that a task asks both models the same.

**Boundary.** Trailing white space of the context moves to the continuation. Context and whole text are tokenised each
from its beginning; the continuation's tokens are those of the whole text after as many as the context has. (The rest of
Trialist finds the boundary by characters instead, see ``trialist.models.local.text``.)

**Begin token.** Texts get the special tokens that the tokenizer adds by itself, unless they already begin with the
prefix token's text. The prefix token (BOS, or else EOS) stands before a continuation without context.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trialist.errors import ModelError
from trialist.models.local.text import Continuation

TEXTS_AT_ONCE = 512
"""Bounds the memory that the tokenizer needs for a batch."""

Ids = Sequence[int]


@dataclass(frozen=True)
class Pair:
    """Tokens of a context and of what follows it."""

    context: Ids
    targets: Ids

    def continuation(self, max_length: int) -> Continuation:
        """What the engine scores: at most ``max_length`` tokens before the last target; the rest is cut on the left."""
        row = tuple([*self.context, *self.targets][-(max_length + 1) :][:-1])
        return Continuation(row, len(row) - len(self.targets), tuple(self.targets))

    def is_cut(self, max_length: int) -> bool:
        return len(self.context) + len(self.targets) > max_length + 1


@dataclass(frozen=True)
class Tokens:
    """A transformers tokenizer with the harness's rules. ``add_bos`` None: as the tokenizer does by itself."""

    tokenizer: Any
    prefix: int | None
    add_bos: bool | None = None

    @classmethod
    def of(cls, tokenizer: Any, *, prefix: int | None = None, add_bos: bool | None = None) -> Tokens:
        own = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
        return cls(tokenizer, own if prefix is None else prefix, add_bos)

    def pairs(self, asked: Sequence[tuple[str, str]]) -> list[Pair]:
        """Tokens of (context, continuation), in order; each distinct text is tokenised once."""
        moved = [_with_spaces_moved(*pair) if pair[0] else None for pair in asked]
        known = self.encode(text for parts in moved if parts for text in (parts[0], "".join(parts)))
        alone = self._encode([pair[1] for pair in asked if not pair[0]], special=False)
        pairs: list[Pair] = []
        for (_, continuation), parts in zip(asked, moved, strict=True):
            if parts is None:
                pair = self._after_prefix(alone[continuation])
            else:
                context, whole = known[parts[0]], known["".join(parts)]
                pair = Pair(context, whole[len(context) :])
            pairs.append(_checked(pair, continuation))
        return pairs

    def encode(self, texts: Iterable[str]) -> dict[str, Ids]:
        """Distinct texts -> tokens, begin token included where the tokenizer adds one."""
        return self._begun(texts, None if self.prefix is None else str(self.tokenizer.decode(self.prefix)))

    def encode_prompts(self, texts: Iterable[str]) -> dict[str, Ids]:
        """The same for generation, where the harness looks for BOS, whatever the prefix token is."""
        return self._begun(texts, self.tokenizer.bos_token)

    def needed_prefix(self) -> int:
        """Raises ``ModelError`` where the tokenizer has neither BOS nor EOS to condition on."""
        if self.prefix is not None:
            return self.prefix
        step = "prefix_token_id=<number of a token> in --model_args"
        raise ModelError("the tokenizer has no token to begin with", seen="no BOS, no EOS", next_step=step)

    def _after_prefix(self, ids: Ids) -> Pair:
        prefix = self.needed_prefix()
        return Pair(ids[:1], ids[1:]) if ids and ids[0] == prefix else Pair((prefix,), ids)

    def _begun(self, texts: Iterable[str], begin: str | None) -> dict[str, Ids]:
        distinct = list(dict.fromkeys(texts))
        begins = [text for text in distinct if begin is not None and text.startswith(begin)]
        found = self._encode(begins, special=False)
        return {**self._encode([text for text in distinct if text not in found], special=self.add_bos), **found}

    def _encode(self, texts: Sequence[str], *, special: bool | None) -> dict[str, Ids]:
        options: dict[str, Any] = {} if special is None else {"add_special_tokens": special}
        found: dict[str, Ids] = {}
        for start in range(0, len(texts), TEXTS_AT_ONCE):
            part = list(texts[start : start + TEXTS_AT_ONCE])
            batch: Mapping[str, Any] = self.tokenizer(
                part, return_attention_mask=False, return_token_type_ids=False, **options
            )
            found.update(zip(part, batch["input_ids"], strict=True))
        return found


def _with_spaces_moved(context: str, continuation: str) -> tuple[str, str]:
    head = context.rstrip()
    return head, context[len(head) :] + continuation


def _checked(pair: Pair, continuation: str) -> Pair:
    """The harness's own model stops at both with a bare assertion."""
    if pair.context and pair.targets:
        return pair
    where = "continuation" if pair.context else "context"
    seen = f"the {where} of the continuation {ascii(continuation)[:80]}"
    step = "change the task: contexts of white space alone and continuations without tokens can't be scored"
    raise ModelError(f"a {where} without tokens", seen=seen, allowed="at least one token each", next_step=step)
