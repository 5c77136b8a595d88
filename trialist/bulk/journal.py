"""How far an output file is: ``<out>.progress.json`` beside it, so that a killed run goes on where it was.

Rows are appended a window at a time: first to the output, flushed to the disk, then the record that counts them. What
stands in the output behind the record was being written when the process was killed, and is cut off. The record ties
the output to what it came from: model and engine, and hashes of the part of the input that is scored and of its scores.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

from filelock import FileLock, Timeout

from trialist.errors import RunFolderError
from trialist.folder import RunFolder, storage_error

SCHEMA = "trialist/scores/1"
BLOCK = 1 << 20
ANEW = "--restart writes it anew, or give another file with --out"


@dataclass(frozen=True)
class Tally:
    """Lines asked, their continuations, and what came of the lines; tokens are those of scored continuations."""

    lines: int = 0
    continuations: int = 0
    scored: int = 0
    failed: int = 0
    tokens: int = 0
    first_error: str = ""

    def __add__(self, later: Tally) -> Tally:
        return Tally(
            self.lines + later.lines,
            self.continuations + later.continuations,
            self.scored + later.scored,
            self.failed + later.failed,
            self.tokens + later.tokens,
            self.first_error or later.first_error,
        )


@dataclass(frozen=True)
class Window:
    """Some lines of the input and their rows; ``last``: the input ended with them."""

    read: bytes
    rows: bytes
    tally: Tally
    last: bool


@dataclass(frozen=True)
class Part:
    """The beginning of a file."""

    num_bytes: int = 0
    sha256: str = field(default_factory=lambda: hashlib.sha256().hexdigest())


@dataclass(frozen=True)
class Record:
    settings: Mapping[str, str]
    input: Part = field(default_factory=Part)
    output: Part = field(default_factory=Part)
    tally: Tally = field(default_factory=Tally)
    finished: bool = False
    schema: str = SCHEMA


class Journal:
    """An output that is being written. Get one from ``open_journal``."""

    def __init__(self, out: Path, sink: BinaryIO, record: Record, hashes: tuple[Any, Any]) -> None:
        self._out, self._sink = out, sink
        self._input, self._output = hashes
        self.record = record

    def append(self, window: Window) -> None:
        """Raises StorageError where the disk refuses; the windows before stay."""
        try:
            self._sink.write(window.rows)
            self._sink.flush()
            os.fsync(self._sink.fileno())
        except OSError as error:
            raise storage_error(error, self._out) from error
        self._input.update(window.read)
        self._output.update(window.rows)
        before = self.record
        self.record = replace(
            before,
            input=Part(before.input.num_bytes + len(window.read), self._input.hexdigest()),
            output=Part(before.output.num_bytes + len(window.rows), self._output.hexdigest()),
            tally=before.tally + window.tally,
            finished=window.last,
        )
        _write(self._out, self.record)


def record_path(out: Path) -> Path:
    return out.with_name(f"{out.name}.progress.json")


def check_out(out: Path, *, restart: bool) -> None:
    """Raises RunFolderError where ``out`` is no file, or a file that no run of ours wrote (``restart`` replaces it)."""
    if out.exists() and not out.is_file():
        raise RunFolderError(f"{out} can't be written", seen="not a file", allowed="a file", next_step="--out FILE")
    if out.exists() and not restart and not record_path(out).exists():
        seen = f"{record_path(out).name} is missing, so nothing tells what it was made from"
        raise RunFolderError(f"{out} exists already", seen=seen, allowed="a new file", next_step=ANEW)


@contextmanager
def open_journal(source: BinaryIO, out: Path, settings: Mapping[str, str], *, restart: bool) -> Generator[Journal]:
    """The output where it was left, or a new one; ``source`` is moved to the first line that isn't scored yet.

    Raises:
        RunFolderError: the output was begun with other settings or another input, was changed, or is in use.
        StorageError: the disk refuses.
    """
    check_out(out, restart=restart)
    with _held(out):
        if restart or not record_path(out).exists():
            _write(out, Record(dict(settings)))
        record = _read(out)
        hashes = _checked(source, out, record, settings)
        sink = _opened(out, record.output.num_bytes)
        try:
            yield Journal(out, sink, record, hashes)
        finally:
            with contextlib.suppress(OSError):  # what could not be written is refused a second time
                sink.close()


@contextmanager
def _held(out: Path) -> Generator[None]:
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(out.with_name(f".{out.name}.lock"), timeout=0)
        lock.acquire()
    except Timeout:
        seen, step = "another process holds its lock", "wait for it to end, or give another file with --out"
        raise RunFolderError(f"{out} is in use", seen=seen, next_step=step) from None
    except OSError as error:
        raise storage_error(error, out) from error
    try:
        yield
    finally:
        lock.release()


def _opened(out: Path, num_bytes: int) -> BinaryIO:
    """The output, cut to ``num_bytes``, to be written on."""
    try:
        sink = out.open("r+b" if out.exists() else "x+b")
        sink.truncate(num_bytes)
        sink.seek(num_bytes)
        return sink
    except OSError as error:
        raise storage_error(error, out) from error


def _checked(source: BinaryIO, out: Path, record: Record, settings: Mapping[str, str]) -> tuple[Any, Any]:
    """The hashes of what is read and written so far, if all is as it was; all that differs is told together."""
    names = sorted(settings.keys() | record.settings.keys())
    then, now = ({name: values.get(name, "none") for name in names} for values in (record.settings, settings))
    differs = [f"{name} {then[name]}, now {now[name]}" for name in names if then[name] != now[name]]
    read = _hash(source, record.input.num_bytes)
    if read.hexdigest() != record.input.sha256:
        differs.append(f"the input's first {record.input.num_bytes:,} bytes, which are scored, are others now")
    elif record.finished and source.read(1):
        differs.append("the input was finished and has more lines now")
    written = hashlib.sha256()
    if out.exists():
        with out.open("rb") as stream:
            written = _hash(stream, record.output.num_bytes)
    if written.hexdigest() != record.output.sha256:
        differs.append(f"the output's first {record.output.num_bytes:,} bytes, which are counted, are others now")
    if differs:
        allowed = "the same model, engine and input, and the output as it was left"
        raise RunFolderError(f"{out} can't be continued", seen="; ".join(differs), allowed=allowed, next_step=ANEW)
    return read, written


def _hash(stream: BinaryIO, num_bytes: int) -> Any:
    digest, left = hashlib.sha256(), num_bytes
    while left and (block := stream.read(min(BLOCK, left))):
        digest.update(block)
        left -= len(block)
    return digest


def _write(out: Path, record: Record) -> None:
    RunFolder(out.parent).write_json(record_path(out).name, record)


def _read(out: Path) -> Record:
    path = record_path(out)
    try:
        row = json.loads(path.read_bytes())
        if row["schema"] != SCHEMA:
            raise ValueError(f"schema {row['schema']}, this version reads {SCHEMA}")
        read, written = Part(**row["input"]), Part(**row["output"])
        return Record(dict(row["settings"]), read, written, Tally(**row["tally"]), bool(row["finished"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunFolderError(f"{path} can't be read", seen=str(error), next_step=ANEW) from error
