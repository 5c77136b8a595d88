"""What a judge said, kept as it comes: a file of JSON lines that belongs to one judge and grows with every verdict."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from filelock import FileLock, Timeout

from trialist.errors import RunFolderError
from trialist.folder import storage_error

SCHEMA = "trialist/judge/1"


@dataclass(frozen=True)
class Verdict:
    """``value`` 1 for yes, 0 for no, None where the judge gave no verdict, and why. ``failed``: it could not be asked;
    asking again may help."""

    value: float | None
    reason: str = ""
    failed: bool = False


@contextmanager
def opened(path: Path, judge: str) -> Generator[tuple[BinaryIO, dict[str, Verdict]]]:
    """The journal of the judge of this version, to append to, and the verdicts in it.

    Raises RunFolderError where it is another judge's or in use, StorageError where it can't be read or written.
    """
    lock = FileLock(path.with_name(f".{path.name}.lock"), timeout=0)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise RunFolderError(f"{path} is in use", next_step="wait for the other process to end") from None
    except OSError as error:
        raise storage_error(error, path) from error
    try:
        known = dict(_read(path, judge))
        with path.open("ab") as stream:
            if not known and stream.tell() == 0:
                _write(stream, {"schema": SCHEMA, "judge": judge}, path)
            yield stream, known
    except OSError as error:
        raise storage_error(error, path) from error
    finally:
        lock.release()


def _read(path: Path, judge: str) -> Iterator[tuple[str, Verdict]]:
    """Whole lines; what a killed process was writing is cut off. A journal without its first line is begun anew."""
    data = path.read_bytes() if path.exists() else b""
    whole = data[: data.rfind(b"\n") + 1]
    if path.exists() and whole != data:
        with path.open("r+b") as stream:
            stream.truncate(len(whole))
    head, *rows = whole.splitlines() or [b""]
    if not head:
        return
    try:
        first, lines = json.loads(head), [json.loads(row) for row in rows]
        found = [(str(row["key"]), Verdict(row["value"], row["reason"])) for row in lines]
        owner = first["judge"] if first["schema"] == SCHEMA else first["schema"]
    except (ValueError, KeyError, TypeError):
        raise RunFolderError(
            f"{path} is no journal of a judge", next_step="move it away, or use another --out"
        ) from None
    if owner != judge:
        raise RunFolderError(
            f"{path} holds the verdicts of another judge or template", seen=str(owner), allowed=judge,
            next_step="remove it to begin anew, or use another --out",
        )  # fmt: skip
    yield from found


def append(stream: BinaryIO, key: str, verdict: Verdict, path: Path) -> None:
    """Add a verdict, so that it is kept whatever comes next. Raises StorageError."""
    _write(stream, {"key": key, "value": verdict.value, "reason": verdict.reason}, path)


def _write(stream: BinaryIO, row: dict[str, Any], path: Path) -> None:
    try:
        stream.write(json.dumps(row).encode() + b"\n")
        stream.flush()
    except OSError as error:
        raise storage_error(error, path) from error
