"""How numbers and untrusted text are written for people: one way for the gate, the report and the screen.

Shares carry no leading zero (``.16``), differences carry their sign (``-.01``), an interval follows its value
(``.08 [.04, .16]``). A value that isn't zero never prints as zero and one that isn't one never prints as one, but for
rounding errors of the last bits: digits are added until it shows. NaN is refused: an undefined value is None, with a
reason.
"""

from __future__ import annotations

import math
import re

from trialist.records import Estimate, Recovery, Stopping

PERCENT = "percent points"
MAX_DECIMALS = 6
ROUNDING_ERROR = 1e-12

_UNSAFE = re.compile(
    "["
    "\x00-\x1f\x7f-\x9f"  # C0, DEL, C1: terminal control
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"  # soft hyphen, joiners and fillers that print nothing
    "\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff0-\ufffb"  # zero width, separators, bidi control
    "\ud800-\udfff"  # lone surrogates: no UTF-8 exists for them
    "\U0001d173-\U0001d17a\U000e0000-\U000e0fff"  # musical format control, tags and more selectors: invisible
    "]"
)
_NAMED = {"\t": "\\t", "\r": "\\r"}


def visible(text: str, *, keep_newlines: bool = False) -> str:
    r"""Text that can do nothing to a terminal or a page but be read.

    Control characters, escape sequences, bidi overrides and characters without width become visible escapes such as
    ``\x1b`` or ``\u202e``. A newline becomes ``⏎``, or stays with ``keep_newlines``. A backslash in the text stays as
    it is, so the result is for reading and can't be turned back. HTML is not escaped here.
    """

    def escaped(match: re.Match[str]) -> str:
        char = match.group()
        if char == "\n":
            return "\n" if keep_newlines else "⏎"
        code = ord(char)
        return _NAMED.get(char) or (
            f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
        )

    return _UNSAFE.sub(escaped, text)


def format_value(
    value: float | None, *, unit: str = "share", signed: bool = False, apart_from: float | None = None
) -> str:
    """One number: ``.16``, with ``signed`` ``+.01`` or ``-.01``, with unit ``percent points`` ``12.3%``.

    ``apart_from`` is a number that this one is compared with: digits are added until the two print differently.
    None prints as ``undefined``. Raises ValueError for NaN.
    """
    if value is None:
        return "undefined"
    if math.isnan(value):
        raise ValueError("NaN can't be printed as a number: undefined values are None with a reason")
    if math.isinf(value):
        return "-∞" if value < 0 else "+∞" if signed else "∞"
    text = _digits(value, unit, apart_from)
    if text[0] in "-+" and not any(digit in text for digit in "123456789"):
        text = text[1:]
    plus = "+" if signed and value > 0 else ""
    return plus + text + ("%" if unit == PERCENT else "")


def format_threshold(value: float, *, unit: str = "share", signed: bool = False) -> str:
    """A number that somebody set, never rounded: ``.20``, ``.025``, ``-.03``."""
    for decimals in range(_decimals(value, unit), 17):
        if float(f"{value:.{decimals}f}") == value:
            break
    else:
        return f"{value:g}"
    plus = "+" if signed and value > 0 else ""
    return plus + _unpadded(f"{value:.{decimals}f}") + ("%" if unit == PERCENT else "")


def format_interval(low: float | None, high: float | None, *, unit: str = "share", signed: bool = False) -> str:
    """``[.04, .16]``; a side that is None prints as ``undefined``. Sides that differ print differently."""
    pairs = ((low, high), (high, low))
    sides = (format_value(side, unit=unit, signed=signed, apart_from=other) for side, other in pairs)
    return f"[{', '.join(sides)}]"


def format_estimate(estimate: Estimate, *, unit: str = "share") -> str:
    """``.08 [.04, .16]``, of a difference ``-.01 [-.02, .00]``; ``undefined`` where there is no value."""
    signed = estimate.contrast is not None
    value = format_value(estimate.value, unit=unit, signed=signed)
    if estimate.value is None or (estimate.low is None and estimate.high is None):
        return value
    return f"{value} {format_interval(estimate.low, estimate.high, unit=unit, signed=signed)}"


def format_p(value: float) -> str:
    """A p-value: ``.032``, and ``<.001`` below that."""
    return "<.001" if value < 0.001 else _unpadded(f"{value:.3f}")


def format_recovery(recovery: Recovery) -> str:
    """``within (4, 16]``; ``by 16`` where no dose before was shown below; ``not within 64``; ``was never gone``."""
    last = format_number(recovery.last_dose)
    if recovery.state == "never below":
        return "was never gone"
    if recovery.state == "not within":
        return f"not within {last}"
    if recovery.state == "undecided" or recovery.by is None:
        return f"undecided within {last}"
    by = format_number(recovery.by)
    return f"by {by}" if recovery.after is None else f"within ({format_number(recovery.after)}, {by}]"


def format_stopping(stopping: Stopping) -> str:
    """``stopped after round 3 of 12: all claims decided; 1,024 of 4,096 registered answers asked for``."""
    num = len(stopping.decided)
    still = sum(after is None for after in stopping.decided.values())
    what = f"{still} of {num} claim{'' if num == 1 else 's'} undecided" if still else "all claims decided"
    early = stopping.num_run < stopping.num_rounds
    where = f"stopped after round {stopping.num_run} of {stopping.num_rounds}" if early else "went through all rounds"
    if early and still:
        what += ", and all their items asked"
    asked, registered = format_count(stopping.num_asked), format_count(stopping.num_registered)
    return f"{where}: {what}; {asked} of {registered} registered answers asked for"


def format_count(count: int) -> str:
    return f"{count:,}"


def format_number(value: float) -> str:
    """A plain number such as a dose or a cost: whole numbers with thousands separated, others to six digits."""
    return f"{value:,.0f}" if abs(value) < 1e15 and value == int(value) else f"{value:,.6g}"


def _digits(value: float, unit: str, apart_from: float | None) -> str:
    # What is left of a zero or a one after rounding errors of floating-point sums is not news.
    value = round(value) if abs(value - round(value)) < ROUNDING_ERROR else value
    decimals = _decimals(value, unit)
    text = f"{value:.{decimals}f}"
    while decimals < MAX_DECIMALS and _misleads(value, text, apart_from, decimals):
        decimals += 1
        text = f"{value:.{decimals}f}"
    if float(text) == 0 != value:
        return f"{value:.1e}"
    return _unpadded(repr(value) if abs(float(text)) == 1 != abs(value) else text)


def _decimals(value: float, unit: str) -> int:
    if unit == PERCENT:
        return 1
    size = abs(value)
    return 2 if size < 10 else 1 if size < 100 else 0


def _misleads(value: float, text: str, apart_from: float | None, decimals: int) -> bool:
    shown = float(text)
    if shown in (-1.0, 0.0, 1.0) and value != shown:
        return True
    return apart_from is not None and value != apart_from and text == f"{apart_from:.{decimals}f}"


def _unpadded(text: str) -> str:
    return re.sub(r"^(-?)0\.", r"\1.", text)
