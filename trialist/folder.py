"""The run folder on disk: whole files or none, one writer at a time, and a manifest of everything that is evidence.

Every file is written beside its place, flushed to the disk and renamed, so a file that exists is complete. Tables come
as numbered part files, one for each chunk, compacted at the end. A killed run loses the chunk it was working on.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import tempfile
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl
from filelock import FileLock, Timeout

from trialist.errors import RunFolderError, StorageError
from trialist.records import SCHEMA_VERSION, pretty_json, sha256_hex

EVIDENCE = (
    "trial.json",
    "items",
    "answers",
    "scores",
    "receipts",
    "estimates.json",
    "stopping.json",
    "decision.json",
    "report.html",
    "models",
)
"""What the manifest covers; the lock, the log, timings and the attack's scratch folder lie beside it, not hashed."""

MANIFEST = "manifest.json"


def schema_of(columns: Mapping[str, str]) -> dict[str, Any]:
    """The polars schema of one of the ``*_COLUMNS`` of ``trialist.records``."""
    inner = {"List(String)": pl.List(pl.String), "List(Float64)": pl.List(pl.Float64), "List(Int32)": pl.List(pl.Int32)}
    return {name: inner.get(kind) or getattr(pl, kind) for name, kind in columns.items()}


def frame(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=schema_of(columns), orient="row")


def part_name(number: int) -> str:
    """The file of a chunk's rows, until all are joined."""
    return f"part-{number:06d}.parquet"


class RunFolder:
    """Paths and whole-file writes below one root. Get one from ``open_run``, which holds the lock."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, *names: str) -> Path:
        return self.root.joinpath(*names)

    def exists(self, *names: str) -> bool:
        return self.path(*names).exists()

    # --- single files ------------------------------------------------------------------------------------

    def write(self, name: str, data: bytes) -> None:
        """Write a whole file or nothing.

        Raises:
            StorageError: the disk refused it; whatever was there before is untouched.
        """
        target = self.path(name)
        draft = target.with_name(f".{target.name}.draft")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with draft.open("wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            draft.replace(target)
            _flush(target.parent)
        except OSError as error:
            draft.unlink(missing_ok=True)
            raise storage_error(error, target) from error

    def write_json(self, name: str, value: Any) -> None:
        self.write(name, pretty_json(value))

    def read_json(self, name: str) -> Any:
        try:
            return json.loads(self.path(name).read_bytes())
        except (OSError, ValueError) as error:
            raise RunFolderError(
                f"{self.path(name)} can't be read",
                seen=str(error),
                next_step="the run folder is damaged: restore it, or run again into a new one with --out",
            ) from error

    # --- tables ------------------------------------------------------------------------------------------

    def write_table(self, name: str, table: pl.DataFrame) -> None:
        stream = io.BytesIO()
        table.write_parquet(stream, compression="zstd", statistics=False)
        self.write(name, stream.getvalue())

    def read_table(self, name: str) -> pl.DataFrame:
        try:
            return pl.read_parquet(self.path(name))
        except (OSError, pl.exceptions.PolarsError) as error:
            raise RunFolderError(
                f"{self.path(name)} can't be read as a table",
                seen=str(error).splitlines()[0] if str(error) else type(error).__name__,
                next_step="the run folder is damaged: restore it, or run again into a new one with --out",
            ) from error

    def write_part(self, table: str, number: int, rows: pl.DataFrame) -> None:
        self.write_table(f"{table}/{part_name(number)}", rows)

    def parts(self, table: str) -> set[int]:
        """Numbers of the chunks that are complete."""
        return {int(path.stem.removeprefix("part-")) for path in self.path(table).glob("part-*.parquet")}

    def compact(self, table: str, columns: Mapping[str, str]) -> None:
        """Join all parts, in order, into ``table/table.parquet`` and remove them. Killed halfway, it is repeated."""
        whole = f"{table}/{table}.parquet"
        if not self.exists(whole):
            parts = [self.read_table(f"{table}/{part_name(number)}") for number in sorted(self.parts(table))]
            self.write_table(whole, pl.concat(parts) if parts else frame([], columns))
        for path in self.path(table).glob("part-*.parquet"):
            path.unlink()

    # --- manifest ----------------------------------------------------------------------------------------

    def evidence_files(self) -> list[str]:
        found: list[str] = []
        for name in EVIDENCE:
            path = self.path(name)
            files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
            found += [file.relative_to(self.root).as_posix() for file in files]
        return found

    def write_manifest(self) -> None:
        hashes = {name: sha256_hex(self.path(name).read_bytes()) for name in self.evidence_files()}
        self.write_json(MANIFEST, {"schema": SCHEMA_VERSION, "sha256": hashes})

    def changed_files(self) -> list[str]:
        """Evidence that differs from the manifest: changed, missing, or not listed."""
        listed: dict[str, str] = self.read_json(MANIFEST)["sha256"]
        present = {name: sha256_hex(self.path(name).read_bytes()) for name in self.evidence_files()}
        return sorted(name for name in listed.keys() | present.keys() if listed.get(name) != present.get(name))

    def check_intact(self) -> None:
        """Raises RunFolderError where evidence isn't what the manifest says."""
        changed = self.changed_files()
        if changed:
            raise RunFolderError(
                f"{self.root} was changed after it was finished",
                seen=", ".join(changed[:6]) + (f" and {len(changed) - 6} more" if len(changed) > 6 else ""),
                allowed="the files that manifest.json lists, unchanged",
                next_step="restore it, or run again into a new folder with --out",
            )


@contextmanager
def open_run(root: Path) -> Generator[RunFolder]:
    """The run folder at ``root``, made if missing, held by this process until the block ends.

    Raises:
        RunFolderError: another process holds it, ``root`` is a file, or it holds other things than a run.
    """
    _check_usable(root)
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise storage_error(error, root) from error
    lock = FileLock(root / ".lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise RunFolderError(
            f"run folder {root} is in use",
            seen="another process holds its lock",
            next_step="wait for it to end, or give another folder with --out",
        ) from None
    try:
        _remove_drafts(root)
        yield RunFolder(root)
    finally:
        lock.release()


def _check_usable(root: Path) -> None:
    if root.exists() and not root.is_dir():
        raise RunFolderError(f"{root} is a file", allowed="a folder", next_step="give another folder with --out")
    if root.is_dir() and not (root / "trial.json").exists():
        # A run killed while it registered leaves items and drafts, and is registered again.
        strangers = sorted(p.name for p in root.iterdir() if p.name != "items" and not p.name.startswith("."))
        if strangers:
            raise RunFolderError(
                f"{root} is not a run folder",
                seen=f"no trial.json, but {', '.join(strangers[:5])}",
                allowed="a new or empty folder, or one made by 'trialist run'",
                next_step="give another folder with --out",
            )


def _remove_drafts(root: Path) -> None:
    """What a killed run was writing: never complete, so never evidence."""
    for draft in sorted(root.rglob(".*.draft*"), reverse=True):
        if draft.is_dir():
            shutil.rmtree(draft, ignore_errors=True)
        else:
            draft.unlink(missing_ok=True)


@contextmanager
def whole_folder(target: Path) -> Generator[Path]:
    """A folder that appears complete or not at all: fill the draft beside it, which is flushed and renamed at the end.

    Raises:
        StorageError: the folder holds something already, or the disk refuses.
    """
    check_new(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{target.name}.draft.", dir=target.parent))
        try:
            draft.chmod(0o755)
            yield draft
            for path in [*sorted(draft.rglob("*")), draft]:
                _flush(path)
            draft.rename(target)
            _flush(target.parent)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    except OSError as error:
        raise storage_error(error, target) from error


def check_new(target: Path) -> None:
    """Raises StorageError unless ``target`` is new or an empty folder."""
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise StorageError(
            f"there is something in the folder {target}",
            seen=str(target),
            allowed="a new or empty folder",
            next_step="choose another folder, or remove this one",
        )


def storage_error(error: OSError, target: Path) -> StorageError:
    return StorageError(
        f"can't write {target}",
        seen=error.strerror or str(error),
        next_step="make room or fix the permissions and run the same command again: finished chunks are kept",
    )


def _flush(path: Path) -> None:
    """Make a file, or a rename in a directory, survive a power cut."""
    if path.is_dir() and os.name == "nt":
        return  # Windows opens no directories
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
