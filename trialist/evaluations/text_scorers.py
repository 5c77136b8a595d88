"""Scorers of stored answers: an item's target and an answer's text, or log-probabilities, -> 0 or 1.

Every one says exactly what counts (docs/logs/rescore.md). Three rules hold for all: an empty answer is wrong, never a
match; an item without a target is not scored; an answer that was cut off or never came is not scored
(``scoring.unread``), since nobody knows what it would have said.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

from trialist.errors import NameUnknown, Problem, SpecError
from trialist.evaluations.letters import letters, lone_letter
from trialist.evaluations.plain_text import bare, folded, found_at, number_of, numbers, tolerance_of
from trialist.evaluations.scoring import Normalise, accuracy_score, unread
from trialist.records import Answer, Item, Score, ScorerKind

VERSION = "1"
NAMES = (
    "exact", "match", "match:begin", "match:whole", "includes", "letter", "number", "number:TOLERANCE", "pattern:REGEX",
    "likeliest", "likeliest:per_token", "likeliest:per_byte", "package.module:function",
)  # fmt: skip

LONGEST_LIST = 100_000
"""Characters of a reference that is still read as a list of right texts."""

Grade = tuple[float | None, str]
"""A value, or None with why there is none; beside a value the text says what was read."""


@dataclass(frozen=True)
class TextScorer:
    """``grade(item, text)`` for answers that can be read. ``version`` changes with what it counts."""

    name: str
    grade: Callable[[Item, Answer], Grade]
    version: str = VERSION
    kind: ScorerKind = "program"

    def score(self, item: Item, answer: Answer, measure: str) -> Score:
        """One measure of one answer."""
        reason = why_unread(answer)
        value, said = (None, reason) if reason else self.grade(item, answer)
        kind = "binary" if value in (None, 0.0, 1.0) else "real" if not 0 <= value <= 1 else "bounded"
        return Score(measure, value, kind, self.name, self.version, self.kind, reason=said)


def text_scorer(name: str, *, group: int | None = None) -> TextScorer:
    """The scorer of this name, one of ``NAMES`` but the last. ``group`` is that of a pattern; None: the first one, or
    the whole match of a pattern without groups.

    Raises:
        NameUnknown: no such scorer. SpecError: a tolerance or pattern that can't be read.
    """
    kind, _, setting = name.partition(":")
    if name in _PLAIN:
        return TextScorer(name, _targeted(_PLAIN[name]))
    if name in _LIKELIEST:
        return TextScorer(name, _likeliest(_LIKELIEST[name]))
    if kind == "number" and setting:
        return TextScorer(name, _targeted(_number(setting)))
    if kind == "pattern" and setting:
        return TextScorer(name if group is None else f"{name} group {group}", _targeted(_pattern(setting, group)))
    raise NameUnknown("scorer", name, NAMES, see="docs/logs/rescore.md")


def why_unread(answer: Answer) -> str:
    """``scoring.unread``; a reason that says the status itself stands as it is."""
    return answer.reason if answer.reason.startswith(f"{answer.status}: ") else unread(answer)


def targets_of(item: Item) -> tuple[str, ...]:
    """The right texts: the item's reference, or its right option. A reference that is a list of texts, as JSON or as
    Python prints it, is several, of which any is right."""
    if item.reference or item.target is None or not 0 <= item.target < len(item.options):
        return _listed(item.reference) or (item.reference,)
    return (item.options[item.target],)


def _listed(text: str) -> tuple[str, ...]:
    if not (text.startswith(('["', "['")) and text.endswith("]") and len(text) < LONGEST_LIST):
        return ()
    try:
        found: object = json.loads(text) if text[1] == '"' else ast.literal_eval(text)
    except (ValueError, SyntaxError, RecursionError):
        return ()
    parts = cast("list[object]", found) if isinstance(found, list) else []
    return tuple(part for part in parts if isinstance(part, str)) if all(isinstance(p, str) for p in parts) else ()


def _targeted(grade: Callable[[Item, str, str], Grade]) -> Callable[[Item, Answer], Grade]:
    def whole(item: Item, answer: Answer) -> Grade:
        targets = [target for target in targets_of(item) if target.strip()]
        if not targets:
            return None, "the item has no target text"
        if not answer.text.strip():
            if answer.logprobs:
                return None, "the answer is log-probabilities of options and no text"
            return 0.0, "empty answer"
        grades = [grade(item, target, answer.text) for target in targets]
        return max(grades, key=lambda one: -1.0 if one[0] is None else one[0])

    return whole


def _likeliest(normalise: Normalise) -> Callable[[Item, Answer], Grade]:
    def grade(item: Item, answer: Answer) -> Grade:
        found = accuracy_score(item, answer, normalise=normalise)
        return found.value, found.reason

    return grade


def _exact(_: Item, target: str, text: str) -> Grade:
    return float(text.strip() == target.strip()), ""


def _match(where: str) -> Callable[[Item, str, str], Grade]:
    def grade(_: Item, target: str, text: str) -> Grade:
        said, wanted = bare(text), bare(target)
        if not wanted:
            return float(text.strip() == target.strip()), ""
        if where == "whole":
            return float(said == wanted), ""
        places = found_at(said, wanted)
        return float(0 in places if where == "begin" else len(said) - len(wanted) in places), ""

    return grade


def _includes(item: Item, target: str, text: str) -> Grade:
    """Naming a wrong option as well is no choice: an answer that repeats the question would get all of them."""
    said, wanted = folded(text), folded(target)
    if not found_at(said, wanted):
        return 0.0, ""
    for index, option in enumerate(item.options):
        other = folded(option)
        if index != item.target and other and not found_at(wanted, other) and found_at(said, other):
            return 0.0, "names another option as well"
    return 1.0, ""


def _letter(item: Item, target: str, text: str) -> Grade:
    wanted = _wanted_letter(item, target)
    if wanted is None:
        return None, "the target is no letter of an option"
    said = letters(text)
    if len(said) != 1:
        return 0.0, f"several letters: {', '.join(said)}" if said else "no letter found"
    return float(said[0] == wanted), f"read as {said[0]}"


def _wanted_letter(item: Item, target: str) -> str | None:
    if item.target is not None and item.options:
        return chr(ord("A") + item.target) if item.target < 26 else None
    return lone_letter(target)


def _number(setting: str = "") -> Callable[[Item, str, str], Grade]:
    try:
        size, is_relative = tolerance_of(setting or "0")
    except ValueError:
        problem = Problem("a tolerance that can't be read", setting, "number:0.01, or number:1% of the target")
        raise SpecError([problem]) from None

    def grade(_: Item, target: str, text: str) -> Grade:
        wanted = number_of(target)
        if wanted is None:
            return None, "the target is not one number"
        said = numbers(text)
        if not said:
            return 0.0, "no number found"
        return float(abs(said[-1] - wanted) <= size * (abs(wanted) if is_relative else 1)), f"read as {said[-1]}"

    return grade


def _pattern(setting: str, group: int | None) -> Callable[[Item, str, str], Grade]:
    try:
        pattern = re.compile(setting)
    except re.error as error:
        problem = Problem("a pattern that can't be read", setting, f"a regular expression of Python ({error})")
        raise SpecError([problem]) from None
    chosen = min(1, pattern.groups) if group is None else group
    if not 0 <= chosen <= pattern.groups:
        raise SpecError([Problem("the pattern has no such group", f"{group}", f"0 to {pattern.groups}")])

    def grade(_: Item, target: str, text: str) -> Grade:
        found = [match[chosen] for match in pattern.finditer(text) if match[chosen] is not None]
        said = bare(found[-1]) if found else ""
        if not said:
            return 0.0, "the pattern finds nothing"
        return float(said == bare(target)), f"read as {found[-1]}"

    return grade


_LIKELIEST: Mapping[str, Normalise] = {
    "likeliest": "raw", "likeliest:per_token": "per_token", "likeliest:per_byte": "per_byte",
}  # fmt: skip
_PLAIN: Mapping[str, Callable[[Item, str, str], Grade]] = {
    "exact": _exact,
    "match": _match("end"),
    "match:begin": _match("begin"),
    "match:whole": _match("whole"),
    "includes": _includes,
    "letter": _letter,
    "number": _number(),
}
