"""The aggregate JSON of Every Eval Ever: one model, its results, and where the samples lie."""

from __future__ import annotations

import datetime
import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from trialist.errors import DataError
from trialist.logs.gathering import plain
from trialist.logs.log import Stated
from trialist.records import ScorerKind, ValueKind

VERSIONS = ((0, 2), (0, 3))
"""Schema versions whose fields this reader knows."""

NAMES = ("metric_id", "metric_name", "metric_kind")


@dataclass(frozen=True)
class Result:
    """One of ``evaluation_results``."""

    content: Mapping[str, Any]

    @property
    def evaluation(self) -> str:
        return str(self.content.get("evaluation_name", ""))

    @property
    def name(self) -> str:
        """Its id within the run, empty where it has none."""
        return str(self.content.get("evaluation_result_id") or "")

    @property
    def config(self) -> Mapping[str, Any]:
        return part(self.content, "metric_config")

    @property
    def measure(self) -> str:
        """The metric's name; "score" where the file has none."""
        return next((str(self.config[name]) for name in NAMES if self.config.get(name)), "score")

    @property
    def scorer_kind(self) -> ScorerKind:
        return "judge" if self.config.get("llm_scoring") else "program"

    @property
    def kind(self) -> ValueKind | None:
        """What the file says of the values; None where the values tell."""
        return "ordinal" if self.config.get("score_type") == "levels" else None

    @property
    def is_unit(self) -> bool:
        """Nothing says that scores may lie outside [0, 1]."""
        ends = (self.config.get("min_score"), self.config.get("max_score"))
        return self.config.get("score_type") != "continuous" or ends == (0, 1)

    @property
    def unknown(self) -> float | None:
        """The score that stands for an unknown level."""
        return -1.0 if self.config.get("score_type") == "levels" and self.config.get("has_unknown_level") else None

    def stated(self, measure: str) -> list[Stated]:
        """The score, its standard error and its interval's ends, where the file has them."""
        details = part(self.content, "score_details")
        uncertainty = part(details, "uncertainty")
        interval = part(uncertainty, "confidence_interval") or part(details, "confidence_interval")
        found = {
            "score": details.get("score"), "stderr": part(uncertainty, "standard_error").get("value"),
            "lower": interval.get("lower"), "upper": interval.get("upper"),
        }  # fmt: skip
        numbers = {name: value for name, value in found.items() if isinstance(value, (int, float))}
        return [Stated(measure, name, float(value)) for name, value in numbers.items() if math.isfinite(value)]


@dataclass(frozen=True)
class Aggregate:
    """``content`` is the file's, empty where the samples have no aggregate beside them."""

    path: Path | None = None
    content: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def results(self) -> list[Result]:
        listed: Any = self.content.get("evaluation_results")
        rows = cast("list[Any]", listed) if isinstance(listed, list) else []
        return [Result(cast("dict[str, Any]", row)) for row in rows if isinstance(row, dict)]

    @property
    def tool(self) -> str:
        library = part(self.content, "eval_library")
        return " ".join(str(library[name]) for name in ("name", "version") if library.get(name))

    @property
    def model(self) -> str:
        return str(part(self.content, "model_info").get("id") or "")

    @property
    def samples(self) -> Mapping[str, Any]:
        return part(self.content, "detailed_evaluation_results")

    @property
    def created(self) -> str:
        """When the evaluation ran, ISO 8601 in UTC where the file gives seconds."""
        said = str(self.content.get("evaluation_timestamp") or "")
        try:
            return datetime.datetime.fromtimestamp(float(said), datetime.UTC).isoformat(timespec="seconds")
        except (ValueError, OverflowError, OSError):
            return said

    def result_of(self, name: str, evaluation: str) -> Result | None:
        """The result that a sample belongs to: the one of that id; without an id the only one of the evaluation, or the
        only one at all. None where several could be meant."""
        if name:
            return next((result for result in self.results if result.name == name), None)
        same = [result for result in self.results if result.evaluation == evaluation] or self.results
        return same[0] if len(same) == 1 else None

    def settings(self, results: Sequence[Result]) -> dict[str, Any]:
        """What changes answers, as far as the file tells."""
        model = part(self.content, "model_info")
        found: dict[str, Any] = {
            name: model[name] for name in ("inference_platform", "inference_engine") if name in model
        }
        for result in results:
            config = part(result.content, "generation_config")
            found |= dict(part(config, "generation_args"))
            found |= {name: config[name] for name in ("additional_details",) if config.get(name)}
            found |= {"source_data": result.content["source_data"]} if result.content.get("source_data") else {}
        return cast("dict[str, Any]", plain(found))


def part(content: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """An object within an object, empty where it isn't there or is none."""
    found = content.get(name)
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}


def read_aggregate(path: Path) -> Aggregate:
    """Raises DataError where it can't be read, isn't such a file, or has a schema that isn't known."""
    try:
        content: Any = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise DataError(f"{path} can't be read as JSON", seen=str(error)[:200], next_step="get it again") from error
    if not isinstance(content, dict) or "evaluation_results" not in content:
        raise DataError(f"{path} isn't an aggregate of Every Eval Ever", allowed="an object with evaluation_results")
    found = Aggregate(path, cast("dict[str, Any]", content))
    if not is_known(found.content.get("schema_version")):
        raise unknown_schema(path, found.content.get("schema_version"))
    if not found.model:
        raise DataError(f"{path} names no model", allowed="model_info.id", next_step="get it from where it was made")
    return found


def is_known(version: Any) -> bool:
    numbers = re.search(r"(\d+)\.(\d+)", str(version))
    return numbers is not None and (int(numbers[1]), int(numbers[2])) in VERSIONS


def unknown_schema(path: Path, version: Any) -> DataError:
    return DataError(
        f"{path} has a schema of Every Eval Ever that isn't known", seen=str(version),
        allowed=", ".join(f"{a}.{b}.x" for a, b in VERSIONS), next_step="update trialist to read it",
    )  # fmt: skip


def samples_beside(aggregate: Aggregate) -> Path | None:
    """The file of samples that the aggregate names: beside it, or where its path leads from a folder above."""
    path = aggregate.path
    if path is None:
        return None
    named = str(aggregate.samples.get("file_path") or "")
    beside = [Path(named).name] if named else []
    beside += [f"{path.stem}_samples.jsonl", f"{path.stem}.jsonl"]
    places = [path.with_name(name) for name in beside]
    places += [above / named for above in path.resolve().parents] if named and not Path(named).is_absolute() else []
    return next((place for place in places if place.is_file()), None)


def aggregate_beside(samples: Path) -> Path | None:
    """The aggregate of a file of samples: the same name without ``_samples``."""
    place = samples.with_name(f"{samples.stem.removesuffix('_samples')}.json")
    return place if place.is_file() else None


def damage(aggregate: Aggregate, samples: Path, num_rows: int) -> list[str]:
    """What differs from what the aggregate says of its samples."""
    said = aggregate.samples
    found: list[str] = []
    rows = said.get("total_rows")
    if isinstance(rows, int) and rows != num_rows:
        found.append(f"{num_rows} rows can be read, {rows} were written")
    algorithm = str(said.get("hash_algorithm") or "")
    if said.get("checksum") and algorithm in ("sha256", "md5"):
        with samples.open("rb") as stream:
            digest = hashlib.file_digest(stream, lambda: hashlib.new(algorithm, usedforsecurity=False)).hexdigest()
        if digest != str(said["checksum"]).lower():
            found.append(f"the {algorithm} of {samples.name} isn't the one that the aggregate gives: it was changed")
    return found
