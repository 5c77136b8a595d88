"""Paths -> the logs below them: which reader reads what, what is lost, and under which path it was found."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import polars as pl

from trialist.errors import DataError, TrialistError
from trialist.folder import schema_of
from trialist.logs.log import Log, Loss, Reader, Source
from trialist.logs.table import SUFFIXES, Columns, Read, read_tables
from trialist.records import ANSWER_COLUMNS

READERS = ("inspect_log", "run_folder", "every_eval_ever", "lm_eval_log")
"""Modules of this package, asked in this order; a file that none recognises and that ends like a table is one."""
OF_FOLDERS = ("run folder",)
"""The formats (names of readers) in which a folder is one run; any other folder is searched file by file."""

FORMATS = (
    "Inspect logs (.eval, .json), results_*.json with samples_*.jsonl of lm-evaluation-harness, Every Eval Ever, run "
    f"folders of this project, tables ({', '.join(SUFFIXES)})"
)
TABLE = "table"
"""The format of a table's logs."""
NUM_NAMED = 3
"""How many names a note lists before it only counts."""

Progress = Callable[[int, int], None]
"""Called with the number of files read and to read."""


@dataclass(frozen=True)
class Found:
    """A log, and the path ``run`` as it was given below which it lies."""

    log: Log
    run: Path

    @property
    def path(self) -> Path:
        return Path(self.log.source.path)


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
    """A file or folder to read: ``reader`` None means a table, ``named`` that the user gave this very path."""

    path: Path
    run: Path
    reader: Reader | None
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
    known: set[Path] = set()
    for done, file in enumerate(files):
        if progress:
            progress(done, len(files))
        try:
            if file.reader is not None:
                if _place(file.path) not in known:  # else a file beside it has given its samples
                    logs = file.reader.read(file.path, full=full)
                    found += [Found(log, file.run) for log in logs if _place(log.source.path) not in known]
                    known |= {_place(log.source.path) for log in logs}
            else:
                if not file.named:  # only whether it can be read: all tables are read together
                    read_tables([file.path], columns)
                tables.append(file)
        except TrialistError as error:
            if file.named:
                raise
            losses.append(Loss(str(file.path), "", str(error).splitlines()[0]))
    notes: list[str] = []
    if tables:
        read = read_tables([file.path for file in tables], columns)
        notes += read.notes
        found += _of_tables(read, tables)
    if progress:
        progress(len(files), len(files))
    found.sort(key=lambda one: paths.index(one.run))
    _check_found(paths, found, losses)
    if ignored:
        notes.append(f"{listed([path.name for path in ignored], 'file')} in no known format, not read")
    losses += [loss for one in found for loss in one.log.losses]
    return Collection(tuple(found), tuple(losses), tuple(dict.fromkeys(notes)))


@cache
def readers() -> tuple[Reader, ...]:
    """The readers that are there, imported on first use."""
    names = [f"trialist.logs.{name}" for name in READERS]
    return tuple(importlib.import_module(name) for name in names if importlib.util.find_spec(name))  # pyright: ignore[reportReturnType]


def reader_of(path: Path) -> Reader | None:
    return next((reader for reader in readers() if reader.recognises(path)), None)


def _files(paths: Sequence[Path]) -> tuple[list[_File], list[Path]]:
    """What is to be read, each place once, and the files of folders that are nothing known."""
    files: list[_File] = []
    ignored: list[Path] = []
    seen: set[Path] = set()
    if not paths:
        raise DataError("nothing to read", seen="no path", allowed="files and folders of logs", next_step=FORMATS)
    for run in paths:
        if not run.exists():
            raise DataError(f"{run}: no such file", next_step="check the path")
        for path in _walk(run):
            place = path.resolve()
            if place in seen:
                continue
            seen.add(place)
            reader, named = reader_of(path), path == run
            if reader is not None or (path.is_file() and (named or path.suffix.lower() in SUFFIXES)):
                files.append(_File(path, run, reader, named))
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


def _of_tables(read: Read, files: Sequence[_File]) -> Iterator[Found]:
    """A log for each arm of the tables, all with the same items, as one table of scores has them."""
    for arm in read.arms:
        by_name = [file for file in files if file.path.stem == arm.rpartition("/")[2]]
        file = by_name[0] if len(by_name) == 1 else files[0]
        source = Source(str(file.path), TABLE, "", "", model=arm)
        answers = pl.DataFrame(schema=schema_of(ANSWER_COLUMNS))
        yield Found(Log(source, read.items, answers, read.scores.filter(pl.col("arm") == arm)), file.run)


def _check_found(paths: Sequence[Path], found: Sequence[Found], losses: Sequence[Loss]) -> None:
    for path in paths:
        if any(one.run == path for one in found):
            continue
        lost = [loss for loss in losses if Path(loss.path).is_relative_to(path)]
        if lost:
            raise DataError(f"{path}: no log in it could be read", seen=lost[0].what, next_step=f"check {lost[0].path}")
        if len(paths) > 1 and any(path.resolve().is_relative_to(one.run.resolve()) for one in found):
            continue  # it was given twice, or lies below another path
        raise DataError(f"{path}: nothing here is a log", seen=_seen(path), allowed=FORMATS, next_step="check the path")


def _seen(path: Path) -> str:
    names = sorted(child.name for child in path.iterdir()) if path.is_dir() else [path.name]
    return listed(names, "file") if names else "an empty folder"


def listed(names: Sequence[str], what: str) -> str:
    """``12 files (a, b, c, ...)``."""
    number = f"{len(names):,} {what}{'' if len(names) == 1 else 's'}"
    return f"{number} ({', '.join([*names[:NUM_NAMED], *(['...'] if len(names) > NUM_NAMED else [])])})"
