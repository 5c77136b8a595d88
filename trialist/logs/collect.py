"""Paths -> the logs below them: which reader reads what, what is lost, and under which path it was found."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from trialist.errors import DataError, TrialistError
from trialist.logs import table_log
from trialist.logs.log import Log, Loss, Reader
from trialist.logs.table import SUFFIXES, Columns, read_tables

READERS = ("kept", "run_folder", "inspect_log", "every_eval_ever", "lm_eval_log", "table_log")
"""Modules of this package, asked in this order."""
OF_FOLDERS = ("kept log", "run folder")
"""The formats (names of readers) in which a folder is one run; any other folder is searched file by file."""

FORMATS = (
    "Inspect logs (.eval, .json), results_*.json with samples_*.jsonl of lm-evaluation-harness, Every Eval Ever, run "
    f"folders of this project, tables ({', '.join(SUFFIXES)})"
)
NUM_NAMED = 3
"""How many names a note lists before it only counts."""

Progress = Callable[[int, int], None]
"""Called with the number of files read and to read."""


@dataclass(frozen=True)
class Found:
    """A log, the ``path`` it was read from, and the path ``run`` as it was given below which that lies."""

    log: Log
    run: Path
    path: Path


@dataclass(frozen=True)
class Collection:
    """``losses``: files and samples that could not be read, those of the logs included."""

    found: tuple[Found, ...]
    losses: tuple[Loss, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def logs(self) -> tuple[Log, ...]:
        return tuple(one.log for one in self.found)


@dataclass(frozen=True)
class _File:
    """A file or folder to read; ``named``: the user gave this very path."""

    path: Path
    run: Path
    reader: Reader
    named: bool


def collect(
    paths: Sequence[Path], columns: Columns | None = None, *, full: bool = False, progress: Progress | None = None
) -> Collection:
    """All logs in ``paths``, which are files or folders; folders are searched down to their last file, in order of
    name, without hidden ones and links to folders. A file below two of the paths is read once, under the first.

    ``columns`` maps the columns of tables, ``full`` asks for inputs, answers and explanations whole.
    A file in a folder that can't be read is a loss. Raises DataError for a path that doesn't exist, a named file that
    can't be read, and a path below which nothing is a log.
    """
    files, ignored = _files(paths)
    found: list[Found] = []
    losses: list[Loss] = []
    tables: list[_File] = []
    known: set[tuple[str, Path]] = set()
    for done, file in enumerate(files):
        if progress:
            progress(done, len(files))
        name = file.reader.NAME
        if (name, _place(file.path)) in known:  # a file beside it has given its samples
            continue
        try:
            if name == table_log.NAME:
                if not file.named:  # only whether it can be read: all tables are read together
                    read_tables([file.path], columns)
                tables.append(file)
                continue
            logs = file.reader.read(file.path, full=full)
        except TrialistError as error:
            if file.named:
                raise
            losses.append(Loss(str(file.path), "", str(error).splitlines()[0]))
            continue
        sources = [(name, _place(log.source.path)) for log in logs]
        found += [
            Found(log, file.run, file.path) for log, source in zip(logs, sources, strict=True) if source not in known
        ]
        known |= set(sources) if name not in OF_FOLDERS else set()
    if progress:
        progress(len(files), len(files))
    found += _of_tables(tables, columns)
    found.sort(key=lambda one: paths.index(one.run))
    _check_found(paths, found, losses)
    losses += [loss for one in found for loss in one.log.losses]
    notes = [f"{listed([path.name for path in ignored], 'file')} in no known format, not read"] if ignored else []
    return Collection(tuple(found), tuple(losses), tuple(notes))


@cache
def readers() -> tuple[Reader, ...]:
    """Imported on first use."""
    return tuple(importlib.import_module(f"trialist.logs.{name}") for name in READERS)  # pyright: ignore[reportReturnType]


def reader_of(path: Path) -> Reader | None:
    return next((reader for reader in readers() if reader.recognises(path)), None)


def _files(paths: Sequence[Path]) -> tuple[list[_File], list[Path]]:
    """What is to be read, each place once, and the files of folders that are nothing known."""
    files: list[_File] = []
    ignored: list[Path] = []
    seen: set[Path] = set()
    if not paths:
        raise DataError("nothing to read", seen="no path", allowed="files and folders of logs", next_step=FORMATS)
    places = [_place(run) for run in paths]
    twice = next((run for run, place in zip(paths, places, strict=True) if places.count(place) > 1), None)
    if twice is not None:
        raise DataError(
            "paths have to be told apart", seen=f"{twice} twice", allowed="each path once", next_step="name it once"
        )
    for run in paths:
        if not run.exists():
            raise DataError(f"{run}: no such file", next_step="check the path")
        for path in _walk(run):
            place = _place(path)
            if place in seen:
                continue
            seen.add(place)
            reader = reader_of(path)
            if reader is not None:
                files.append(_File(path, run, reader, path == run))
            else:
                ignored.append(path)
    return files, ignored


def _place(path: str | Path) -> Path:
    return Path(path).resolve()


def _walk(path: Path) -> Iterator[Path]:
    """The path itself where it is a file or a folder that a reader takes as a whole, else all files below it."""
    if path.is_file() or any(r.NAME in OF_FOLDERS and r.recognises(path) for r in readers()):
        yield path
        return
    for child in sorted(path.iterdir()):
        if child.name.startswith("."):
            continue
        if child.is_dir():
            if not child.is_symlink():
                yield from _walk(child)
        elif child.is_file():
            yield child


def _of_tables(files: Sequence[_File], columns: Columns | None) -> Iterator[Found]:
    """Tables are read together: their arms have to be told apart, and their items agree."""
    if not files:
        return
    paths = [file.path for file in files]
    for log in table_log.logs_of(read_tables(paths, columns), paths):
        file = next((file for file in files if str(file.path) == log.source.path), files[0])
        yield Found(log, file.run, file.path)


def _check_found(paths: Sequence[Path], found: Sequence[Found], losses: Sequence[Loss]) -> None:
    for path in paths:
        if any(one.run == path for one in found):
            continue
        lost = [loss for loss in losses if Path(loss.path).is_relative_to(path)]
        if lost:
            raise DataError(f"{path}: no log in it could be read", seen=lost[0].what, next_step=f"check {lost[0].path}")
        if any(_place(path).is_relative_to(_place(one.run)) for one in found):
            continue  # another path holds it
        raise DataError(f"{path}: nothing here is a log", seen=_seen(path), allowed=FORMATS, next_step="check the path")


def _seen(path: Path) -> str:
    names = sorted(child.name for child in path.iterdir()) if path.is_dir() else [path.name]
    return listed(names, "file") if names else "an empty folder"


def listed(names: Sequence[str], what: str) -> str:
    """``12 files (a, b, c, ...)``."""
    number = f"{len(names):,} {what}{'' if len(names) == 1 else 's'}"
    return f"{number} ({', '.join([*names[:NUM_NAMED], *(['...'] if len(names) > NUM_NAMED else [])])})"
