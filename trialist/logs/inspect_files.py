"""The two files in which Inspect keeps a log, ``.eval`` (zip) and ``.json`` -> its header and its samples as they
stand there, one at a time."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from trialist.errors import DataError
from trialist.logs.inspect_json import elements, fields, loads, table
from trialist.logs.inspect_zip import BLOCK, START, Archive, Damaged, open_archive

HEADER, SUMMARIES = "header.json", "summaries.json"
JOURNAL = re.compile(r"_journal/summaries/(\d{1,9})\.json")
MEMBER = re.compile(r"samples/(.*)_epoch_(\d{1,9})\.json", re.DOTALL)
KNOWN = re.compile(r"(header|summaries|reductions|_journal/.*)\.json", re.DOTALL)
KNOWN_FIELDS = frozenset({"samples", "reductions"})
"""The fields of a ``.json`` log that are long."""


class Record(NamedTuple):
    """``name`` says where it stands; ``error`` what is wrong where it can't be read."""

    name: str
    value: Any = None
    error: str = ""


class File(Protocol):
    """``losses``: (sample or member, what)."""

    header: dict[str, Any]
    losses: list[tuple[str, str]]

    def records(self, planned: Sequence[str], *, full: bool) -> Iterator[Record]: ...

    def close(self) -> None: ...


# --- .eval ---------------------------------------------------------------------------------------------------------


class EvalFile:
    """Members are read in the order of the data set, each once. What a summary lacks because the file ends early is
    taken from the sample itself, and the other way round."""

    def __init__(self, path: Path) -> None:
        self._archive: Archive = open_archive(path)
        self.losses = [(_sample_of(name) or name, what) for name, what in self._archive.losses]
        others = [name for name in self._archive.members if not name.startswith("samples/")]
        unknown = [name for name in others if not KNOWN.fullmatch(name)]
        self.losses.extend((name, "is no part of a log that is known, and isn't read") for name in unknown)
        self.header = self._header()

    def close(self) -> None:
        self._archive.close()

    def _header(self) -> dict[str, Any]:
        """``header.json``; of a log that isn't finished what was known at its start, with the status "started"."""
        for name in (HEADER, START):
            if name in self._archive.members:
                found = self._value(name)
                if isinstance(found, dict):
                    return {"status": "started", **table(found)}
        self.losses.append((HEADER, "neither it nor the start of the journal can be read: task and model aren't known"))
        return {"status": "unknown"}

    def _value(self, name: str) -> Any:
        try:
            return loads(self._archive.read(name))
        except Damaged as error:
            self.losses.append((name, str(error)))
            return None

    def records(self, planned: Sequence[str], *, full: bool) -> Iterator[Record]:
        for name in dict.fromkeys(self._archive.replaced):
            if _sample_of(name):
                self.losses.append((_sample_of(name), "stands twice: the later record counts, as in Inspect"))
        names = self._names(planned)
        # Summaries don't say which samples were set aside afterwards.
        if full or self.header.get("invalidated") is True:
            yield from self._samples(names)
            return
        found: set[str] = set()
        for record in self._summaries():
            found.add(_member_of(record.value))
            yield record
        for name in names:
            if name not in found:
                value = self._value(name)
                if value is not None:
                    yield Record(_sample_of(name), value)

    def _names(self, planned: Sequence[str]) -> list[str]:
        places = {name: i for i, name in enumerate(planned)}
        found: list[tuple[int, int, str]] = []
        for name in self._archive.members:
            match = MEMBER.fullmatch(name) if name.startswith("samples/") else None
            if match:
                found.append((places.get(match[1], len(places)), int(match[2]), name))
        return [name for *_, name in sorted(found)]

    def _samples(self, names: Sequence[str]) -> Iterator[Record]:
        lost: set[str] = set()
        for name in names:
            try:
                yield Record(_sample_of(name), loads(self._archive.read(name)))
            except Damaged as error:
                lost.add(name)
                self.losses.append((_sample_of(name), f"{error}: its summary is used where there is one"))
        present = set(names)
        for record in self._summaries():
            name = _member_of(record.value)
            if name not in present:
                self.losses.append((_sample_of(name), "only its summary is in the file"))
            if name not in present or name in lost:
                yield record

    def _summaries(self) -> Iterator[Record]:
        """All summaries together, or those that were written along the way."""
        names = [SUMMARIES] if SUMMARIES in self._archive.members else []
        journals = sorted((int(m[1]), m[0]) for m in map(JOURNAL.fullmatch, self._archive.members) if m)
        for name in names or [name for _, name in journals]:
            count = 0
            try:
                for value in elements(self._archive.checked(name)):
                    count += 1
                    yield Record(f"{name}, number {count}", value)
            except Damaged as error:
                self.losses.append((name, f"{error}, after {count} summaries: samples are used where there are any"))


def _member_of(summary: Any) -> str:
    """Where the sample of a summary stands."""
    told = table(summary)
    return f"samples/{told.get('id')}_epoch_{told.get('epoch')}.json"


def _sample_of(name: str) -> str:
    """ "7 (epoch 1)" of a member that holds a sample, "" of another one."""
    match = MEMBER.fullmatch(name)
    return f"{match[1]} (epoch {match[2]})" if match else ""


# --- .json ---------------------------------------------------------------------------------------------------------


@dataclass
class JsonFile:
    """Read twice: up to the samples for the header, then through the samples one by one."""

    path: Path
    header: dict[str, Any] = field(default_factory=dict[str, Any])
    losses: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    _cut: str = ""

    def __post_init__(self) -> None:
        try:
            for name, value in fields(_blocks(self.path), KNOWN_FIELDS):
                if name in KNOWN_FIELDS:
                    if name == "samples" and "eval" in self.header:
                        break
                    continue
                self.header[name] = value
        except Damaged as error:
            self._cut = str(error)
        if not isinstance(self.header.get("eval"), dict):
            raise DataError(
                f"{self.path} is no Inspect log that can be read",
                seen=self._cut or ", ".join(self.header) or "nothing",
                allowed="a log of Inspect (.json) up to its 'eval' at least",
                next_step="copy it again from where it was written",
            )  # fmt: skip
        self.header.setdefault("status", "unknown")

    def close(self) -> None:
        """Nothing is held open."""

    def records(self, planned: Sequence[str], *, full: bool) -> Iterator[Record]:
        count = 0
        try:
            for name, value in fields(_blocks(self.path), KNOWN_FIELDS):
                if name == "samples" and value is not None:
                    count += 1
                    yield Record(f"number {count} of samples", value)
        except Damaged as error:
            self.losses.append(("", f"{error}, after {count} samples"))


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            yield block


def open_log(path: Path) -> File:
    """Raises DataError for a file that can't be read at all."""
    try:
        with path.open("rb") as file:
            first = file.read(4)
        return JsonFile(path) if path.suffix == ".json" or first[:1] == b"{" else EvalFile(path)
    except OSError as error:
        raise DataError(f"{path} can't be read", seen=str(error), next_step="check the path") from error
