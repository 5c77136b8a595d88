"""Readings: the score that one method gave one model organism, one JSON object a line."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from trialist.errors import DataError, StorageError
from trialist.records import canonical_json

if TYPE_CHECKING:
    from pydantic import TypeAdapter

Route = Literal["pretraining", "full", "lora", "sham", "none"]
Role = Literal["positive", "null", "twin", "sham", "other plant"]
Split = Literal["calibration", "test"]


@dataclass(frozen=True)
class Reading:
    """``score`` is higher with more of the property; None is unmeasured, with a ``reason``. ``plant`` is what the
    organism carries ("none" for a null), ``nominal`` its dose as built and ``realised`` as measured, ``truth`` what the
    score estimates if that is known. ``group`` is the independent unit: organisms that share it depend on each other.
    """

    organism: str
    method: str
    plant: str
    nominal: float
    realised: float | None
    realised_se: float | None
    route: Route
    seed: int
    role: Role
    split: Split
    score: float | None
    se: float | None
    num_items: int
    reason: str = ""
    truth: float | None = None
    group: str = ""

    @property
    def unit(self) -> str:
        """The independent unit: the group, or the organism where it has none."""
        return f"group {self.group}" if self.group else f"organism {self.organism}"

    @property
    def key(self) -> tuple[str, str, int]:
        return self.organism, self.method, self.seed


@dataclass(frozen=True)
class Loaded:
    """``num_dropped`` is 1 if the last line was half written, else 0."""

    readings: tuple[Reading, ...]
    num_dropped: int


def check(reading: Reading, where: str) -> None:
    """Raises DataError for a number that isn't finite, a negative error, and a missing score without a reason."""
    for name in ("nominal", "realised", "realised_se", "score", "se", "truth"):
        value = getattr(reading, name)
        if value is not None and not math.isfinite(value):
            raise DataError(f"{where}: {name} isn't finite", seen=str(value), allowed="a finite number, or null")
        if value is not None and value < 0 and name in ("realised_se", "se"):
            raise DataError(f"{where}: {name} is negative", seen=str(value), allowed="0 or more")
    if reading.score is None and not reading.reason:
        raise DataError(f"{where}: a reading without a score needs a reason", seen="score null, no reason")


def read(path: Path) -> Loaded:
    """All readings of a file; a last line without its newline that isn't JSON was half written, is left out, counted.

    Raises DataError, naming file and line, for a bad line, a bad value or a second reading of one organism, method
    and seed.
    """
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise DataError(f"{path} can't be read", seen=str(error)) from error
    found: list[Reading] = []
    first: dict[tuple[str, str, int], int] = {}
    for number, line in enumerate(lines, 1):
        where = f"{path}, line {number}"
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            if number == len(lines):
                return Loaded(tuple(found), 1)
            raise DataError(f"{where}: no JSON", seen=str(error), allowed="one JSON object a line") from error
        reading = _reading(row, line, where)
        check(reading, where)
        if reading.key in first:
            raise DataError(f"{where}: the reading of line {first[reading.key]} again", seen=str(reading.key))
        first[reading.key] = number
        found.append(reading)
    return Loaded(tuple(found), 0)


def append(path: Path, readings: Iterable[Reading]) -> None:
    """Adds lines and flushes them to the disk; a half-written last line is cut off first.

    Raises DataError for a bad value or a reading that stands in the file already, StorageError where the disk refuses.
    """
    before = read(path) if path.exists() else Loaded((), 0)
    keys = {reading.key for reading in before.readings}
    rows: list[bytes] = []
    for place, reading in enumerate(readings, 1):
        check(reading, f"{path}, new reading {place}")
        if reading.key in keys:
            raise DataError(f"{path}: new reading {place} stands there already", seen=str(reading.key))
        keys.add(reading.key)
        rows.append(canonical_json(reading) + b"\n")
    try:
        with path.open("r+b" if path.exists() else "x+b") as sink:
            data = sink.read()
            whole = data.rfind(b"\n") + 1 if before.num_dropped else len(data)
            sink.truncate(whole)
            sink.seek(whole)
            if whole and not data[:whole].endswith(b"\n"):
                sink.write(b"\n")
            sink.write(b"".join(rows))
            sink.flush()
            os.fsync(sink.fileno())
    except OSError as error:
        raise StorageError(f"{path} can't be written", seen=str(error)) from error


def measured(readings: Sequence[Reading]) -> list[tuple[Reading, float]]:
    return [(reading, reading.score) for reading in readings if reading.score is not None]


def independent(readings: Sequence[Reading]) -> bool:
    """Whether every unit holds one reading."""
    return len({reading.unit for reading in readings}) == len(readings)


def _reading(row: Any, line: bytes, where: str) -> Reading:
    from pydantic import ValidationError

    allowed = [field.name for field in fields(Reading)]
    seen = sorted(set(row) - set(allowed)) if isinstance(row, dict) else [type(row).__name__]  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    if seen:
        raise DataError(f"{where}: not a reading", seen=", ".join(map(str, seen)), allowed=", ".join(allowed))  # pyright: ignore[reportUnknownArgumentType]
    try:
        return _adapter().validate_json(line, strict=True)
    except ValidationError as error:
        problem = error.errors()[0]
        place = ".".join(map(str, problem["loc"]))
        raise DataError(f"{where}: {place}: {problem['msg']}", seen=str(problem["input"])) from error


@cache
def _adapter() -> TypeAdapter[Reading]:
    """Built at the first use, as importing does nothing."""
    from pydantic import TypeAdapter

    return TypeAdapter(Reading)
