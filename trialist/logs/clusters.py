"""Which items are not independent of each other, where the log doesn't say: found in metadata, contents and ids.

A cluster structure is taken only where it is obvious, and always said. The rules, for n items whose log declares no
clusters; k is the number of groups that a rule makes:

1. *Metadata*: a key whose name says that it is a source of several items (``question_id``, ``passage``, ``template``,
   ``source_id``; never ``question_type`` or ``subject``), with one text or whole number for every item.
2. *Content*: items that were asked the very same thing under different ids.
3. *Ids*: every id is a stem and a short ending (``q12-p3``, ``q12/p3``, ``12_1``, ``q12p3``, ``12a``). Nearly all
   stems have a number in them (``algebra/3`` is a category and its third question); there are at most ``MOST_ENDINGS``
   different endings and at least twice as many stems; nearly every stem has nearly every ending (n is ``FULL`` or more
   of stems x endings). Where the inputs are known, those of one stem must share more words than those of different
   ones: 2023_5 and 2023_6 may be two problems of one year. A stem that is a stem and an ending by the same rule is
   taken further, so that passages come before their questions.

All of them: ``FEWEST`` groups or more, and at least half of the items share their group with another. Keys whose names
are also used for categories (``source``, ``group``) need as many groups as items a group, k^2 >= n: a few large groups
are strata. Of several structures the coarsest is taken if the others lie within it; if they cut across each other,
none is, and both are said.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl

FEWEST = 10
MOST_ENDINGS = 20
FULL = 0.8
NUMBERED = 0.9
MORE_ALIKE = 0.1
"""By how much the share of common words within a group has to exceed that between groups."""
NUM_COMPARED = 300

NOUNS = frozenset({
    "question", "qid", "problem", "passage", "paragraph", "document", "doc", "article", "story", "context", "template",
    "cluster", "pair", "dialog", "dialogue", "conversation", "scenario", "family", "premise", "prompt",
})  # fmt: skip
WEAK_NOUNS = frozenset({"source", "group", "image", "video", "table", "book", "chapter"})
"""Used for categories as well."""
MODIFIERS = frozenset({"source", "parent", "original", "base", "seed", "root", "main"})
IDENTIFIERS = frozenset({"id", "ids", "uid", "uuid", "key", "hash", "name", "text", "title"})

_NAME_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")
_TEXT_WORDS = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W\u3040-\u30ff\u3400-\u9fff]+")
"""Words; of scripts that don't separate them, characters."""
_FRACTION = r"^(true|false|-?\d*\.\d+([eE].*)?)$"
_ENDINGS = (
    re.compile(r"^(?P<stem>.+)[-_/:.#| ]+(?P<ending>[A-Za-z0-9]{1,12})$"),
    re.compile(r"^(?P<stem>.*\d)(?P<ending>[A-Za-z]{1,12}\d{0,3})$"),
)


@dataclass(frozen=True)
class Structure:
    """``groups`` (n,) are the names of the items' groups; ``by`` says what made them: a key, "content" or "ids"."""

    groups: pl.Series
    by: str
    kind: str

    @property
    def num(self) -> int:
        return self.groups.n_unique()

    def sentence(self, ids: Sequence[str]) -> str:
        """``these 1,200 items are 300 groups of 4 by question_id: clustered by it``."""
        sizes = self.groups.value_counts()["count"]
        low, high = int(sizes.min() or 0), int(sizes.max() or 0)  # pyright: ignore[reportArgumentType]
        size = f"{low}" if low == high else f"{low} to {high}"
        n, k = f"{len(ids):,}", f"{self.num:,}"
        off = "(--cluster item, if they are independent)"
        if self.kind == "content":
            return f"these {n} items are {k} different ones, asked {size} times: clustered by content {off}"
        if self.kind == "ids":
            example = f"'{ids[0]}' belongs to '{self.groups[0]}'"
            return f"these {n} items are {k} groups of {size} by their ids, {example}: clustered by them {off}"
        return f"these {n} items are {k} groups of {size} by {self.by}: clustered by it {off}"


@dataclass(frozen=True)
class Findings:
    """The ``structure`` to use, or None; ``notes`` say what was found, also where it wasn't used."""

    structure: Structure | None
    notes: tuple[str, ...] = ()


def declared(items: pl.DataFrame) -> bool:
    """Whether some item says a cluster that isn't its own id."""
    return bool((items["cluster"] != items["id"]).any())


def find(items: pl.DataFrame) -> Findings:
    """The structure of ``items`` (ITEM_COLUMNS) by the rules above; none for items that declare their clusters."""
    if declared(items) or len(items) < 2 * FEWEST:
        return Findings(None)
    found = [*_of_metadata(items), *_of_content(items), *_of_ids(items)]
    if not found:
        return Findings(None)
    found.sort(key=lambda one: one.num)
    coarsest = found[0]
    across = [one for one in found[1:] if not _within(one.groups, coarsest.groups)]
    if across:
        names = " and ".join(dict.fromkeys(one.by for one in (coarsest, *across)))
        return Findings(None, (f"items are grouped by {names}, which cut across each other: name one with --cluster",))
    return Findings(coarsest, (coarsest.sentence(items["id"].to_list()),))


def values_of(items: pl.DataFrame, key: str) -> pl.Series:
    """What the items' metadata say under ``key``, as text, null where they don't."""
    values = [_text(row.get(key)) for row in _metadata(items)]
    return pl.Series(key, values, dtype=pl.String)


def keys_of(items: pl.DataFrame) -> list[str]:
    """The keys of the items' metadata, in order of their first use."""
    return list(dict.fromkeys(key for row in _metadata(items) for key in row))


def _metadata(items: pl.DataFrame) -> Iterator[Mapping[str, Any]]:
    for text in items["metadata"].to_list():
        found: Any = json.loads(text) if text and text != "{}" else {}
        yield found if isinstance(found, dict) else {}  # pyright: ignore[reportUnknownVariableType]


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, (list, dict)):
        return None
    return value if isinstance(value, str) else json.dumps(value)


def _of_metadata(items: pl.DataFrame) -> list[Structure]:
    found: list[Structure] = []
    for key in keys_of(items):
        strength = _strength(key)
        if strength is None:
            continue
        values = values_of(items, key)
        if values.null_count() or values.str.contains(_FRACTION).any():
            continue
        if _is_grouped(values) and (strength == "strong" or values.n_unique() ** 2 >= len(items)):
            found.append(Structure(values, key, "metadata"))
    return found


def _strength(key: str) -> str | None:
    """Whether a key's name says that several items may come from one: strong, weak (also used for categories), None."""
    words = {word.lower() for word in _NAME_WORDS.findall(key)}
    nouns, weak, modifiers, named = words & NOUNS, words & WEAK_NOUNS, words & MODIFIERS, words & IDENTIFIERS
    if words - NOUNS - WEAK_NOUNS - MODIFIERS - IDENTIFIERS:
        return None
    if nouns or (weak and named) or (modifiers and named):
        return "strong"
    return "weak" if weak else None


def _of_content(items: pl.DataFrame) -> list[Structure]:
    hashes = items["content_hash"]
    return [Structure(hashes, "content", "content")] if (hashes != "").all() and _is_grouped(hashes) else []


def _of_ids(items: pl.DataFrame) -> list[Structure]:
    stems = _stems(items["id"])
    if stems is None or not _alike(items["input"], stems):
        return []
    while (further := _stems(stems)) is not None:
        stems = further
    return [Structure(stems, "ids", "ids")]


def _stems(ids: pl.Series) -> pl.Series | None:
    """The ids without their endings; None where not all of them are stems and endings of a full design."""
    names = ids.unique(maintain_order=True)
    for pattern in _ENDINGS:
        matches = [pattern.match(name) for name in names.to_list()]
        parts = [(match["stem"], match["ending"]) for match in matches if match is not None]
        if len(parts) < len(names):
            continue
        stems, endings = {stem for stem, _ in parts}, {ending for _, ending in parts}
        full = len(parts) >= FULL * len(stems) * len(endings)
        few = 2 <= len(endings) <= min(MOST_ENDINGS, len(stems) / 2)
        numbered = sum(any(map(str.isdigit, stem)) for stem in stems) >= NUMBERED * len(stems)
        if full and few and numbered and len(stems) >= FEWEST:
            return ids.replace_strict(
                dict(zip(names, (stem for stem, _ in parts), strict=True)), return_dtype=pl.String
            )
    return None


def _is_grouped(values: pl.Series) -> bool:
    sizes = values.value_counts()["count"]
    shared = int(sizes.filter(sizes > 1).sum())
    return len(sizes) >= FEWEST and 2 * shared >= len(values)


def _alike(inputs: pl.Series, groups: pl.Series) -> bool:
    """Whether inputs of one group share more words than those of two; true where the inputs aren't known.

    The share of common words of a pair, |A & B| / |A | B|, without the words that more than half of the inputs have.
    """
    if (inputs == "").any():
        return True
    texts, names = inputs.to_list(), groups.to_list()
    words = [frozenset(_TEXT_WORDS.findall(text.lower())) for text in texts]
    counts: dict[str, int] = {}
    for text in words:
        for word in text:
            counts[word] = counts.get(word, 0) + 1
    common = frozenset(word for word, count in counts.items() if 2 * count > len(words))
    order = sorted(range(len(names)), key=lambda i: names[i])
    near = [(i, j) for i, j in pairwise(order) if names[i] == names[j]]
    step = max(1, len(order) // 2)
    far = [(i, j) for i, j in zip(order, [*order[step:], *order[:step]], strict=True) if names[i] != names[j]]
    shares = [[_overlap(words[i] - common, words[j] - common) for i, j in _some(pairs)] for pairs in (near, far)]
    if not all(shares):
        return True
    return float(np.mean(shares[0]) - np.mean(shares[1])) >= MORE_ALIKE


def _some(pairs: Sequence[tuple[int, int]]) -> Sequence[tuple[int, int]]:
    step = max(1, len(pairs) // NUM_COMPARED)
    return pairs[::step]


def _overlap(one: frozenset[str], other: frozenset[str]) -> float:
    return len(one & other) / len(one | other) if one | other else 1.0


def _within(finer: pl.Series, coarser: pl.Series) -> bool:
    """Whether every group of ``finer`` lies in one group of ``coarser``."""
    pairs = pl.DataFrame({"finer": finer, "coarser": coarser}).unique()
    return len(pairs) == finer.n_unique()
