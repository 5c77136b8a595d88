"""Tokenizer settings -> may a text be tokenised in two parts, and where?

Let a text be ``left + right`` where left ends with a character that is no white space and right begins with a space: a
*seam*. ``find_cuts`` says for which tokenizers, and after which characters, it is proven that

    tokens(left + right) = tokens of left + tokens(right)

and that the first part is the same for any two texts that share left and the space after it. Every stage has to keep
to its side of the seam:

- **Added tokens** are searched first (leftmost, longest). None of them may contain a seam, so none straddles it; a
  token that strips white space to its left stops at the character before the seam. One that strips to its right could
  eat the space: whoever cuts looks at the tokens of left and needs one that ends exactly at the seam. A token that must
  stand as a single word looks at one neighbour: left of the seam that is at most the space, which is known; one that
  begins at the seam, with a space, would look across, so such tokens are not allowed.
- **Normalisers** are those that act on single characters, or on a letter and its combining marks. A space composes with
  nothing before it, starts a new cluster, and stays a space. Those that rewrite letters (dropped accents, compatibility
  forms) may leave a space at the end of left, so that left has to end in printable ASCII there.
- **Pre-tokenizers**: up to the first one that cuts at every seam, all are local (``splitpattern``): what they do on
  one side doesn't depend on the other. Right begins with a space, so nothing is put before it where a first word gets a
  space or its sign. After the cut, words stand alone, and any that acts on each word alone may follow.
- **Models** turn each word into tokens by itself (BPE with whatever merges, WordPiece, Unigram, WordLevel), so that
  equal words give equal tokens. Random ones (dropout, sampling) don't.

Whatever isn't named here has no cuts: BPE over a whole text without pre-tokenizer, normalisers that prepend or replace.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trialist.models.local.splitpattern import Effect, effect, has_seam, literal_effect

Settings = Mapping[str, Any]
"""A part of tokenizer.json."""

NORMALISERS = frozenset({"NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents", "BertNormalizer"})
KEEP_LETTERS = frozenset({"NFC"})
MODELS = frozenset({"BPE", "WordPiece", "Unigram", "WordLevel"})
RANDOM = ("dropout", "alpha", "nbest_size")
BY_WORD = frozenset(
    {"ByteLevel", "Split", "Digits", "Punctuation", "Whitespace", "WhitespaceSplit", "BertPreTokenizer"}
)


@dataclass(frozen=True)
class Cuts:
    """Where texts may be cut: at seams after printable ASCII, and after any letter or digit unless ``ascii_only``."""

    ascii_only: bool

    def places(self, text: str) -> Iterator[int]:
        """The positions, from right to left; at each stands a space."""
        place = len(text)
        while (place := text.rfind(" ", 1, place)) > 0:
            before = text[place - 1]
            if "!" <= before <= "~" or (not self.ascii_only and before.isalnum()):
                yield place


def find_cuts(settings: Settings, normalise: Callable[[str], str]) -> Cuts | None:
    """The cuts that are proven for a tokenizer, or None. ``settings`` is its whole tokenizer.json, ``normalise`` what
    its normaliser does to a string."""
    alone = all(settings.get(part) is None for part in ("truncation", "padding", "post_processor"))
    normalisers = {step["type"] for step in _steps(settings.get("normalizer"), "normalizers")}
    if not alone or not normalisers <= NORMALISERS or not _cuts_at_seams(settings.get("pre_tokenizer")):
        return None
    if not _goes_word_by_word(settings["model"]):
        return None
    if any(_looks_across(token, normalise) for token in settings["added_tokens"]):
        return None
    return Cuts(ascii_only=not normalisers <= KEEP_LETTERS)


def _steps(part: Settings | None, key: str) -> Iterator[Settings]:
    """The steps of a normaliser or pre-tokenizer, sequences unfolded."""
    if part is None:
        return
    if part["type"] != "Sequence":
        yield part
        return
    for step in part[key]:
        yield from _steps(step, key)


def _goes_word_by_word(model: Settings) -> bool:
    return model.get("type") in MODELS and not any(model.get(field) for field in RANDOM)


def _looks_across(token: Settings, normalise: Callable[[str], str]) -> bool:
    """Whether an added token may straddle a seam, or look at the other side of it."""
    contents = (token["content"], normalise(token["content"]))
    return any(not text or has_seam(text) or (token["single_word"] and text.startswith(" ")) for text in contents)


def _cuts_at_seams(pre_tokenizer: Settings | None) -> bool:
    steps = list(_steps(pre_tokenizer, "pretokenizers"))
    for i, step in enumerate(steps):
        found = _effect(step)
        if found != "local":
            return found == "cuts" and _are_by_word(steps[i + 1 :])
    return False


def _are_by_word(steps: Sequence[Settings]) -> bool:
    return all(step["type"] in BY_WORD for step in steps)


def _effect(step: Settings) -> Effect:
    kind, behaviour = step["type"], step.get("behavior")
    if kind in ("Whitespace", "WhitespaceSplit", "BertPreTokenizer"):
        return "cuts"
    if kind == "ByteLevel":  # without its pattern it turns spaces into another character and cuts nothing
        return "cuts" if step.get("use_regex") else "unknown"
    if kind == "Metaspace":
        return "cuts" if step.get("split") else "unknown"
    if kind == "Digits" or (kind == "Punctuation" and behaviour in ("Isolated", "Removed", "Contiguous")):
        return "local"
    if kind == "Split" and behaviour in ("Isolated", "Removed"):
        pattern = step["pattern"]
        return effect(pattern["Regex"]) if "Regex" in pattern else literal_effect(pattern["String"])
    return "unknown"
