"""The loop: a window of lines is read, asked together, and written in order, so that memory stays flat.

The windows are fixed, counted from the first line, and a run goes on at the beginning of one. What a model computes may
depend in the last bits on what it computes beside it, and so a resumed run gives the bytes of an undisturbed one.
"""

from __future__ import annotations

import codecs
import importlib.metadata
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from trialist.bulk.journal import Tally, Window, check_out, open_journal
from trialist.bulk.lines import Asked, Unusable, encode, outcome, parse
from trialist.errors import DataError, ModelError, RunFolderError
from trialist.models.protocol import Failure, Keyed, Model, Reply, Request

WINDOW = 512
"""Lines that a model is given at once: enough to fill its batches, and no more than a killed run loses."""

WATCH_SECONDS = 0.1
"""While a window is being scored, how often its progress is told at most."""

Watch = Callable[[Tally, int], None]
"""Told after each window: the counts and the bytes of the input so far, those of an earlier run included. Within a
window, as replies arrive: its lines and bytes in proportion to them; all else is counted when the window is whole."""

Arrived = Callable[[int, int], None]
"""Told within a window: how many of its lines, and of their bytes, are scored so far."""


@dataclass(frozen=True)
class Summary:
    """``tally`` counts the whole output, ``kept`` the lines of it that an earlier run had scored, ``seconds`` this run
    only."""

    tally: Tally
    kept: int
    seconds: float


def nobody(tally: Tally, num_bytes: int) -> None:
    """Nobody watches."""


def check_files(source: Path, out: Path, *, restart: bool) -> None:
    """All that can be told before a model is loaded.

    Raises:
        DataError: ``source`` is missing, empty, or not a file.
        RunFolderError: ``out`` is the source, is no file, or was written by something else.
    """
    if not source.is_file():
        seen = "not a file" if source.exists() else "no such file"
        step = "give a file, or - to read standard input"
        raise DataError(f"{source} can't be read", seen=seen, allowed="a file of JSON lines", next_step=step)
    if not source.stat().st_size:
        raise _empty(str(source))
    if out.exists() and out.samefile(source):
        step = "give another file with --out"
        raise RunFolderError(f"{out} is the input", seen=str(source), allowed="another file", next_step=step)
    check_out(out, restart=restart)


def score_file(model: Model, source: Path, out: Path, *, restart: bool = False, watch: Watch = nobody) -> Summary:
    """Score each line of ``source`` into ``out``; killed and called again, it goes on. A line that can't be scored has
    its reason in its place.

    Raises:
        DataError, RunFolderError, StorageError: see ``check_files`` and ``journal.open_journal``.
        ModelError: the model can't choose.
    """
    started = time.monotonic()
    check_files(source, out, restart=restart)
    settings = _settings(model)
    with _opened(source) as stream, open_journal(stream, out, settings, restart=restart) as journal:
        kept = journal.record.tally.lines
        watch(journal.record.tally, journal.record.input.num_bytes)

        def arrived(num_lines: int, num_bytes: int) -> None:
            watch(journal.record.tally + Tally(num_lines), journal.record.input.num_bytes + num_bytes)

        if not journal.record.finished:
            for window in _windows(model, stream, kept, arrived):
                journal.append(window)
                watch(journal.record.tally, journal.record.input.num_bytes)
        return Summary(journal.record.tally, kept, time.monotonic() - started)


def score_stream(model: Model, source: BinaryIO, sink: BinaryIO, *, watch: Watch = nobody) -> Summary:
    """The same from a stream to a stream, each window flushed; it can't be continued.

    Raises:
        DataError: there is no line.
        ModelError: the model can't choose.
    """
    started, tally, num_bytes = time.monotonic(), Tally(), 0
    _settings(model)
    watch(tally, num_bytes)

    def arrived(more_lines: int, more_bytes: int) -> None:
        watch(tally + Tally(more_lines), num_bytes + more_bytes)

    for window in _windows(model, source, 0, arrived):
        sink.write(window.rows)
        sink.flush()
        tally, num_bytes = tally + window.tally, num_bytes + len(window.read)
        watch(tally, num_bytes)
    if not tally.lines:
        raise _empty("the stream")
    return Summary(tally, 0, time.monotonic() - started)


def _settings(model: Model) -> dict[str, str]:
    """What the bytes of the scores depend on besides the input."""
    if "choose" not in model.abilities:
        seen = f"it can: {', '.join(sorted(model.abilities)) or 'nothing'}"
        raise ModelError("the model gives no log-probabilities", seen=seen, allowed="a model that can choose")
    settings = {"model": model.digest, "lines at a time": str(WINDOW)}
    packages = ["trialist"]
    if "weights" in model.abilities:
        import torch

        settings["dtype"] = str(getattr(model, "dtype", "unknown"))  # the digest covers it, and doesn't name it
        settings["threads"] = str(torch.get_num_threads())
        packages += ["torch", "transformers", "tokenizers"]
    return {**settings, **{name: importlib.metadata.version(name) for name in packages}}


def _windows(model: Model, source: BinaryIO, done: int, arrived: Arrived) -> Iterator[Window]:
    """Windows from where the stream stands, behind ``done`` lines; the last is short, and may be empty."""
    while True:
        lines = list(islice(source, WINDOW))
        yield _window(model, lines, done + 1, arrived)
        if len(lines) < WINDOW:
            return
        done += len(lines)


def _window(model: Model, lines: Sequence[bytes], first: int, arrived: Arrived) -> Window:
    # Some editors put a mark of their own before the text.
    texts = [line.removeprefix(codecs.BOM_UTF8) if number == 1 else line for number, line in enumerate(lines, first)]
    parsed = [parse(number, text) for number, text in enumerate(texts, first)]
    asked: list[Keyed[Request]] = [Keyed(str(p.number), 0, p.request) for p in parsed if isinstance(p, Asked)]
    num_bytes, told, replies = sum(map(len, lines)), time.monotonic(), dict[str, Reply | Failure]()
    for reply in model.answer(asked) if asked else ():
        replies[reply.key] = reply.value
        if time.monotonic() - told >= WATCH_SECONDS:
            told, share = time.monotonic(), min(1.0, len(replies) / len(asked))
            arrived(int(share * len(lines)), int(share * num_bytes))
    found = [outcome(line, replies.get(str(line.number))) for line in parsed]
    rows = b"".join(encode(line, reply) for line, reply in zip(parsed, found, strict=True))
    return Window(b"".join(lines), rows, _tally(parsed, found), last=len(lines) < WINDOW)


def _tally(lines: Sequence[Asked | Unusable], found: Sequence[Reply | Failure]) -> Tally:
    scored = [reply for reply in found if isinstance(reply, Reply)]
    errors = (f"line {a.number}: {b.reason}" for a, b in zip(lines, found, strict=True) if isinstance(b, Failure))
    return Tally(
        lines=len(lines),
        continuations=sum(len(line.request.options) for line in lines if isinstance(line, Asked)),
        scored=len(scored),
        failed=len(lines) - len(scored),
        tokens=sum(sum(reply.num_tokens) for reply in scored),
        first_error=next(errors, ""),
    )


def _opened(source: Path) -> BinaryIO:
    try:
        return source.open("rb")
    except OSError as error:
        raise DataError(f"{source} can't be read", seen=error.strerror or str(error)) from error


def _empty(what: str) -> DataError:
    allowed = '{"context": "...", "continuations": ["..."]} on each line'
    return DataError(f"{what} has no lines", seen="0 bytes", allowed=allowed)
