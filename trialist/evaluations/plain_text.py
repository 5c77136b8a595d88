"""Finding a target in an answer's text: what counts as the same, where a word begins and ends, what is a number."""

from __future__ import annotations

import re
import unicodedata
from decimal import Decimal, InvalidOperation

_OPENING, _CLOSING = "\"'`*_([{“”‘’«»„‚", "\"'`*_)]}“”‘’«»„‚.,;:!?…。，；：！？、"
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)  # Thai, Lao, Burmese, Khmer, Japanese, Chinese: written without spaces between words
_NUMBER = re.compile(
    r"(?<![\w.])(?:(?<!\w)[-+−])?(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)?(?:\.\d+|(?<=\d))(?:[eE][-+]?\d{1,4})?"
)


def folded(text: str) -> str:
    """NFKC, case folded, every run of white space one space, none at the ends."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def bare(text: str) -> str:
    """``folded`` without quotes, brackets and marks of emphasis at either end, and without ``. , ; : ! ? …`` at the
    end. A sign, a currency or a decimal point before a number stays."""
    return folded(folded(text).lstrip(_OPENING + " ").rstrip(_CLOSING + " "))


def found_at(text: str, target: str) -> list[int]:
    """Where ``target`` stands in ``text`` as whole words: no letter or digit goes on at either end, and a number is not
    a part of a longer one (``1`` is not in ``21``, ``1.5``, ``1,000``, ``1/2`` or ``-1``). Nothing is found of an empty
    target. Both are taken as they are; give both ``folded``."""
    if not target:
        return []
    places: list[int] = []
    start = text.find(target)
    while start >= 0:
        end = start + len(target)
        if not (_goes_on(text, start, -1) or _goes_on(text, end, 1)):
            places.append(start)
        start = text.find(target, start + 1)
    return places


def _goes_on(text: str, place: int, step: int) -> bool:
    """Whether a word or number goes on across ``place``, from the side that ``step`` points away from."""
    inner, outer = (text[place], place - 1) if step < 0 else (text[place - 1], place)
    if not 0 <= outer < len(text):
        return False
    near = text[outer]
    if _is_word(inner) and _is_word(near):
        return True
    if step < 0 and inner in "-−." and text[place + 1 : place + 2].isdigit() and _is_word(near):
        return True  # 3-5 is not -5, and 1.5 is not .5
    further = text[outer + step] if 0 <= outer + step < len(text) else ""
    if not inner.isdigit():
        return False
    if near in ".,/" and further.isdigit():
        return True
    if step < 0 and near == "." and not further.isdigit():
        return not further or further.isspace()  # .5 is not 5
    return step < 0 and near in "-−" and not _is_word(further)


def _is_word(char: str) -> bool:
    return bool(char) and (char.isalnum() or char == "_") and not _UNSPACED.match(char)


def numbers(text: str) -> list[Decimal]:
    """The numbers in a text, in order: ``-1,234.5``, ``.5``, ``2e-3``. Groups of three digits may be set off by commas;
    any other comma parts two numbers. A number inside a word (``gpt4``) is none, a hyphen after a word or number is no
    sign (``5-10`` is 5 and 10), and a percent sign or unit after a number is passed over."""
    found: list[Decimal] = []
    for match in _NUMBER.finditer(text):
        if any(char.isdigit() for char in match[0]):
            found.append(Decimal(match[0].replace(",", "").replace("−", "-")))
    return found


def number_of(text: str) -> Decimal | None:
    """The number that a text is, with a currency, percent sign or unit around it; None where it holds none or
    several."""
    found = numbers(text)
    return found[0] if len(found) == 1 else None


def tolerance_of(text: str) -> tuple[Decimal, bool]:
    """``0.01`` or ``1%`` (of the target) -> its size and whether it is relative. Raises ValueError."""
    try:
        size = Decimal(text.removesuffix("%"))
    except InvalidOperation:
        raise ValueError(text) from None
    if not size.is_finite() or size < 0:
        raise ValueError(text)
    return (size / 100, True) if text.endswith("%") else (size, False)
