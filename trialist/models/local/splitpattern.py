"""Split pattern -> does it cut a text before a space that follows a word, whatever stands further left or right?

Pre-tokenizers split texts with a regular expression, searched from left to right. Call *seam* a position between a
character that is no white space and a space (U+0020). This module proves two properties of a pattern from its syntax:

- **local**: nothing that it consumes on the way to a match contains a seam, it looks behind nothing, and it looks ahead
  only past white space, by one character. So the search can't cross a seam: the matches before it are decided by what
  stands before it, those after it by what stands after it.
- **cuts**: local, and some alternative is ``\\s+``, ``\\s`` or a space alone. Then the space of a seam begins a match,
  for a match before it has to end there.

Only plain syntax is read: alternatives of characters, sets and properties with quantifiers, groups of literals, and the
one lookahead ``(?!\\S)``. A pattern with anything else is ``unknown``, which costs speed and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

Effect = Literal["cuts", "local", "unknown"]

_PIECE = re.compile(
    r"(?P<bar>\|)"
    r"|(?P<ahead>\(\?!\\S\))"
    r"|(?P<group>\(\?i?:[^-&^$.?*+{}()\\\s|]+(?:\|[^-&^$.?*+{}()\\\s|]+)*\)"
    r"|\[\^?(?:\\p\{\w+\}|\\.|[^\[\]\\])+\]"
    r"|\\p\{\w+\}|\\.|[^\\()\[\]{}*+?|.^$])"
    r"(?P<times>[?*+]\+?|\{\d+(?:,\d*)?\})?"
)
_MEMBER = re.compile(r"(?P<range>[^\\]-[^\\])|\\p\{\w+\}|\\.|[^\\]", re.DOTALL)
_PROPERTY = re.compile(r"\\p\{[LMNPS][a-z]?\}")
"""Letters, marks, numbers, punctuation, symbols: none of them is white space."""


class _Unread(Exception):
    """Syntax that this module doesn't read."""


@dataclass(frozen=True)
class _Atom:
    """What one piece of a pattern consumes at a time. ``space``: perhaps a space; ``surely``: any space; ``white``:
    white space only. ``least`` is how often it stands at least, ``once`` that it never stands twice in a row."""

    space: bool
    surely: bool
    white: bool
    least: int = 1
    once: bool = True
    ahead: bool = False


def effect(pattern: str) -> Effect:
    """What is proven of the regular expression; see this module's docstring."""
    alternatives: list[list[_Atom]] = [[]]
    try:
        for atom in _read(pattern):
            if atom is None:
                alternatives.append([])
            else:
                alternatives[-1].append(atom)
    except _Unread:
        return "unknown"
    if not all(_is_local(part) for part in alternatives):
        return "unknown"
    cuts = any(len(part) == 1 and part[0].surely and part[0].least == 1 for part in alternatives)
    return "cuts" if cuts else "local"


def literal_effect(text: str) -> Effect:
    """The same for a pattern that is a plain string."""
    if not text or has_seam(text):
        return "unknown"
    return "cuts" if text == " " else "local"


def has_seam(text: str) -> bool:
    """Whether a space follows a character that is no white space."""
    return any(after == " " and not before.isspace() for before, after in pairwise(text))


def _is_local(atoms: Sequence[_Atom]) -> bool:
    """Consumes something, and never a space after anything else than white space."""
    white = True
    for i, atom in enumerate(atoms):
        if atom.ahead:
            return white and i == len(atoms) - 1 and any(a.least for a in atoms[:i])
        if atom.space and not (white and (atom.white or atom.once)):
            return False
        white = white and atom.white
    return any(atom.least for atom in atoms)


def _read(pattern: str) -> Iterator[_Atom | None]:
    """The atoms from left to right; None stands between alternatives."""
    done = 0
    while done < len(pattern):
        found = _PIECE.match(pattern, done)
        if found is None:
            raise _Unread
        done = found.end()
        times = found["times"] or ""
        if found["group"]:
            yield _repeated(_atom(found["group"]), times)
        elif times:
            raise _Unread
        else:
            yield None if found["bar"] else _Atom(False, False, True, least=0, ahead=True)


def _repeated(atom: _Atom, times: str) -> _Atom:
    least = int(re.findall(r"\d+", times)[0]) if times.startswith("{") else int(times[:1] not in ("?", "*"))
    return _Atom(atom.space, atom.surely, atom.white, least, once=times in ("", "?", "?+"))


def _atom(text: str) -> _Atom:
    if text.startswith("(") and len(text) > 1:
        return _Atom(False, False, False)
    if text.startswith("[") and len(text) > 1:
        return _set(text[1:-1])
    return _single(text)


def _set(inside: str) -> _Atom:
    negated = inside.startswith("^")
    members = list(_MEMBER.finditer(inside, int(negated)))
    inner_dash = any(m[0] == "-" for m in members[1:-1])
    if "&&" in inside or inner_dash or not members or "".join(m[0] for m in members) != inside[int(negated) :]:
        raise _Unread
    atoms = [_range(m[0]) if m["range"] else _single(m[0]) for m in members]
    surely = any(atom.surely for atom in atoms)
    if negated:
        return _Atom(space=not surely, surely=not any(atom.space for atom in atoms), white=False)
    return _Atom(any(atom.space for atom in atoms), surely, all(atom.white for atom in atoms))


def _range(text: str) -> _Atom:
    holds = text[0] <= " " <= text[2]
    return _Atom(holds, holds, False)


def _single(text: str) -> _Atom:
    """One character, an escape, or a property."""
    if text == r"\s":
        return _Atom(True, True, True)
    if text in (r"\r", r"\n", r"\t", "\r", "\n", "\t"):
        return _Atom(False, False, True)
    if len(text) == 1:
        return _Atom(text == " ", text == " ", text == " ")
    if text in (r"\S", r"\d", r"\w") or _PROPERTY.fullmatch(text) or (len(text) == 2 and text[1] in _MARKS):
        return _Atom(False, False, False)
    raise _Unread


_MARKS = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
"""What an escape leaves as it is."""
