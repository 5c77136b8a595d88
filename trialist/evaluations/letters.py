"""Which option an answer in words chooses: the letters in it."""

from __future__ import annotations

import re

_STATED = re.compile(r"\banswer\s*(?:is|[:=])[\s:*_`\"']*(.*)", re.IGNORECASE)
_CAPITALS = re.compile(r"[(\[]?([A-Z])[)\]]?((?:\s*(?:,|/|&|and|or)\s*[(\[]?[A-Z][)\]]?(?![A-Za-z]))*)(?![A-Za-z])")
_LONE = re.compile(r"[\s*_`\"'(\[]*([A-Za-z])[\s*_`\"')\].:,]*")
_LED = re.compile(r"[\s*_`\"']*(?:\(([A-Za-z])\)|([A-Za-z])[).:])\s")


def letters(text: str) -> list[str]:
    """The letters that an answer chooses: after its last "answer:", "answer =" or "answer is" that is followed by a
    capital letter (or, at the end of the line, by any letter), else the one letter that it is, else the one it begins
    with before ``)``, ``.`` or ``:``. Several that are listed after one "answer" are all given."""
    for match in reversed(list(_STATED.finditer(text))):
        listed, lone = _CAPITALS.match(match[1]), lone_letter(match[1])
        if listed:
            return list(dict.fromkeys([listed[1], *re.findall("[A-Z]", listed[2])]))
        if lone:
            return [lone]
    whole = _LONE.fullmatch(text) or _LED.match(text)
    return [next(group for group in whole.groups() if group).upper()] if whole else []


def lone_letter(text: str) -> str | None:
    """The one letter that a text is, brackets, quotes and punctuation aside, as a capital."""
    lone = _LONE.fullmatch(text)
    return lone[1].upper() if lone else None
