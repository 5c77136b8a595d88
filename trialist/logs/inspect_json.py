"""JSON read by pieces: the elements of a long array one at a time, and what stands before a file's cut end."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterable, Iterator
from typing import Any

from trialist.logs.gathering import canonical, plain
from trialist.logs.inspect_zip import Damaged

SPACE = " \t\n\r"
DOUBTFUL = 64
"""An error this near to the end of what was read may only mean that more has to be read."""


def table(value: Any) -> dict[str, Any]:
    """The value if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}  # pyright: ignore[reportUnknownVariableType]


def listed(value: Any) -> list[Any]:
    """The value if it is an array, else an empty one."""
    return value if isinstance(value, list) else []  # pyright: ignore[reportUnknownVariableType]


def tables(value: Any) -> list[dict[str, Any]]:
    """The objects in an array."""
    return [table(item) for item in listed(value) if isinstance(item, dict)]


def clean(text: str) -> str:
    """The text with half characters (lone surrogates) written as escapes: no table can hold them."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace").decode()
    return text


def plain_json(value: Any) -> str:
    """JSON text; numbers that aren't finite as words. Raises Damaged."""
    try:
        text = canonical(value) if value != {} else "{}"
    except ValueError:
        text = canonical(plain(value))
    except RecursionError as error:
        raise Damaged("is nested too deeply") from error
    return clean(text)


def loads(data: bytes) -> Any:
    """One JSON value, NaN and infinities allowed. Raises Damaged."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Damaged(f"isn't JSON: {_said(error)}") from error


def elements(blocks: Iterable[bytes]) -> Iterator[Any]:
    """The elements of an array; raises Damaged after the last that can be read."""
    yield from _Reader(blocks).array()


def fields(blocks: Iterable[bytes], streamed: frozenset[str]) -> Iterator[tuple[str, Any]]:
    """(name, value) of an object; of the arrays under the ``streamed`` names each element as a pair of its own, after
    one of None. Raises Damaged after the last that can be read."""
    reader = _Reader(blocks)
    reader.expect("{")
    if reader.next_is("}"):
        return
    while True:
        name = reader.value()
        reader.expect(":")
        if name in streamed and reader.peek() == "[":
            yield name, None
            for element in reader.array():
                yield name, element
        else:
            yield str(name), reader.value()
        if not reader.next_is(","):
            reader.expect("}")
            return


class _Reader:
    """A place in a text of which only a part is in memory."""

    def __init__(self, blocks: Iterable[bytes]) -> None:
        # Bytes that aren't UTF-8 become an escape that JSON doesn't know: an error and no silent change.
        self._texts = codecs.iterdecode(blocks, "utf-8-sig", errors="backslashreplace")
        self._text, self._at = "", 0
        self._scan = json.JSONDecoder().raw_decode

    def array(self) -> Iterator[Any]:
        self.expect("[")
        if self.next_is("]"):
            return
        while True:
            yield self.value()
            if self._text.startswith(",", self._at):
                self._at += 1
            elif not self.next_is(","):
                self.expect("]")
                return

    def peek(self) -> str:
        while True:
            while self._at < len(self._text) and self._text[self._at] in SPACE:
                self._at += 1
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more(1):
                return ""

    def next_is(self, char: str) -> bool:
        if self.peek() != char:
            return False
        self._at += 1
        return True

    def expect(self, char: str) -> None:
        if not self.next_is(char):
            raise Damaged(f"isn't JSON: '{char}' expected" if self.peek() else "is cut off")

    def value(self) -> Any:
        if not self._text.startswith("{", self._at):
            self.peek()
        while True:
            try:
                found, end = self._scan(self._text, self._at)
            except json.JSONDecodeError as error:
                unfinished = error.msg.startswith("Unterminated string") or error.pos > len(self._text) - DOUBTFUL
                if not unfinished:
                    raise Damaged(f"isn't JSON: {error.msg}") from error
                if not self._more(len(self._text)):
                    raise Damaged("is cut off") from error
                continue
            except (ValueError, RecursionError) as error:
                raise Damaged(f"isn't JSON: {_said(error)}") from error
            # A number at the very end may go on in the next block.
            if end < len(self._text) or not self._more(1):
                self._at = end
                return found

    def _more(self, least: int) -> bool:
        """Read at least so many more characters; what is behind the place is let go. False at the end."""
        parts, size = [self._text[self._at :]], 0
        while size < least:
            text = next(self._texts, None)
            if text is None:
                break
            parts.append(text)
            size += len(text)
        self._text, self._at = "".join(parts), 0
        return size > 0


def _said(error: Exception) -> str:
    return "nested too deeply" if isinstance(error, RecursionError) else str(error)
