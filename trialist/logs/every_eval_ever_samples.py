"""``<uuid>_samples.jsonl`` of Every Eval Ever, line by line: one line a sample and metric."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from trialist.logs.every_eval_ever_aggregate import Aggregate, Result, is_known, part, unknown_schema
from trialist.logs.gathering import Gathering, Losses, content_hash, lines_of, plain, whole_text
from trialist.logs.lm_eval_metrics import AGGREGATIONS, Number, measure_of, number_of
from trialist.records import Status

ABSENT = "no row of this metric for the sample"
TRUNCATED = ("max_tokens", "model_length")


class Task:
    """The samples of one evaluation. ``results`` by measure, where the aggregate tells what a score is."""

    def __init__(self, name: str, model: str, run: str, version: str) -> None:
        self.name, self.model, self.run = name, model, run
        self.rows = Gathering(name, model, scorer_version=version, absent=ABSENT)
        self.results: dict[str, Result] = {}
        self.seen: set[tuple[str, int, str]] = set()
        self.asked: dict[str, str] = {}
        self.attempts: set[tuple[str, int]] = set()
        self.odd: dict[str, None] = {}
        self.num_errors = 0
        self.is_unnamed = self.has_harness_metrics = False

    @property
    def num_attempts(self) -> int:
        return len(self.attempts)

    def notes(self, aggregate: Aggregate) -> list[str]:
        found: list[str] = []
        if aggregate.path is None:
            found.append("no aggregate beside the samples: which metric the scores are of isn't known")
        elif self.is_unnamed:
            metrics = ", ".join(dict.fromkeys(result.measure for result in aggregate.results))
            found.append(f"samples don't say which result they belong to ({metrics}): their score is called 'score'")
        if self.has_harness_metrics:
            found.append("converted from lm-evaluation-harness: the metrics are those that it kept of each sample")
        found += [f"{name}: no number a sample, so it isn't read" for name in self.odd if name not in self.rows.scorers]
        if self.num_errors:
            found.append(f"{self.num_errors} samples with an error are missing; a score written beside it isn't used")
        if aggregate.tool.startswith("inspect") and len(self.attempts) > len(self.asked):
            found.append("converted from Inspect: a sample's epochs may carry one score, reduced over epochs")
        return found


class SampleReader:
    """Reads the lines of one file into a ``Task`` each."""

    def __init__(self, path: Path, aggregate: Aggregate, *, full: bool) -> None:
        self._path, self._aggregate, self._full = path, aggregate, full
        self.losses = Losses(str(path))
        self.tasks: dict[str, Task] = {}
        self.num_rows = 0

    def read(self) -> None:
        """Raises DataError for rows of a schema that isn't known."""
        for number, row in lines_of(self._path, self.losses, name=_id_in):
            if not is_known(row.get("schema_version")):
                raise unknown_schema(self._path, row.get("schema_version"))
            self.num_rows += 1
            self._row(number, row)

    def _row(self, number: int, row: Mapping[str, Any]) -> None:
        name, evaluation = row.get("sample_id"), row.get("evaluation_name")
        if not isinstance(name, (str, int)) or not str(name) or not isinstance(evaluation, str) or not evaluation:
            self.losses.add("rows without names", "", f"line {number} has no sample_id or no evaluation_name")
            return
        wanted = {"evaluation_id": self._aggregate.content.get("evaluation_id"), "model_id": self._aggregate.model}
        other = next((key for key, value in wanted.items() if value and row.get(key) not in (value, None)), None)
        if other is not None:
            what = f"line {number} has {other} '{row[other]}', the aggregate '{wanted[other]}'"
            self.losses.add("rows of another run", str(name), what)
            return
        self._sample(number, str(name), self._task(evaluation, row), row)

    def _task(self, evaluation: str, row: Mapping[str, Any]) -> Task:
        name = evaluation.removesuffix(f"/{part(row, 'metadata').get('filter') or '/'}")
        if name not in self.tasks:
            run = str(self._aggregate.content.get("evaluation_id") or row.get("evaluation_id") or "")
            said = self._aggregate.model or str(row.get("model_id") or "")
            model: str = whole_text(said or self._path.resolve().parent.name)
            version = str(part(self._aggregate.content, "eval_library").get("version") or "")
            self.tasks[name] = Task(name, model, run, version)
        return self.tasks[name]

    def _sample(self, number: int, name: str, task: Task, row: Mapping[str, Any]) -> None:
        epoch = _epoch(row)
        asked = part(row, "input")
        text, options = str(asked.get("raw") or ""), _texts(asked.get("choices"))
        references = _texts(asked.get("reference"))
        hashed = content_hash(text, options, json.dumps(references))
        is_new = name not in task.asked
        if task.asked.setdefault(name, hashed) != hashed:
            what = f"line {number} asks something else than an earlier line of this sample"
            self.losses.add("rows that ask something else", name, what)
            return
        if is_new:
            index = options.index(references[0]) if len(references) == 1 and options.count(references[0]) == 1 else None
            task.rows.item(
                name, text=text if self._full else "", options=options if self._full else (), target=index,
                reference="" if index is not None else "\n".join(references), hashed=hashed,
                metadata=cast("dict[str, Any]", plain({k: v for k, v in part(row, "metadata").items()
                                                       if k not in ("lm_eval_metrics", "epoch", "stop_reason")})),
            )  # fmt: skip
        if (name, epoch) not in task.attempts:
            task.attempts.add((name, epoch))
            task.rows.attempt(name, epoch)
            status, reason = _status(row)
            task.num_errors += status == "error"
            task.rows.answer(name, epoch, text=_answer(row) if self._full else "", status=status, reason=reason)
        self._scores(number, name, epoch, task, row)

    def _scores(self, number: int, name: str, epoch: int, task: Task, row: Mapping[str, Any]) -> None:
        for measure, scored in self._values(task, row):
            if (name, epoch, measure) in task.seen:
                what = f"line {number} is another row of this sample and metric ('{measure}'); the first is used"
                self.losses.add("rows of a sample already read", name, what)
                continue
            task.seen.add((name, epoch, measure))
            task.rows.score(name, epoch, measure, scored.value, reason=scored.reason, weight=scored.weight)

    def _values(self, task: Task, row: Mapping[str, Any]) -> list[tuple[str, Number]]:
        evaluation = str(row["evaluation_name"])
        status, why = _status(row)
        kept = _harness_metrics(row)
        if kept is not None:
            task.has_harness_metrics = True
            found = [self._harness(task, row, metric, value) for metric, value in kept.items()]
            return [
                (name, Number(None, reason=why) if status == "error" else number) for name, number in found if number
            ]
        result = self._aggregate.result_of(str(row.get("evaluation_result_id") or ""), evaluation)
        task.is_unnamed = task.is_unnamed or result is None
        measure = self._measure(task, result)
        judged = any(str(one.get("extraction_method")) == "llm_judge" for one in _attributions(row))
        kind = result.scorer_kind if result else "program"
        values, is_unit = (result.kind, result.is_unit) if result else (None, True)
        task.rows.named(measure, measure, "judge" if judged else kind, kind=values, is_unit=is_unit)
        return [(measure, Number(None, reason=why) if status == "error" else _number(row, result))]

    def _measure(self, task: Task, result: Result | None) -> str:
        """The metric's name; with the result's id where two results of a task have the same name."""
        if result is None:
            return "score"
        same = next((name for name, other in task.results.items() if other.content is result.content), None)
        if same is not None:
            return same
        name = result.measure if result.measure not in task.results else f"{result.measure}[{result.name}]"
        task.results[name] = result
        return name

    def _harness(self, task: Task, row: Mapping[str, Any], metric: str, value: Any) -> tuple[str, Number | None]:
        measure = measure_of(metric, str(part(row, "metadata").get("filter", "none")), AGGREGATIONS.get(metric, ""))
        number = number_of(value, measure, ())
        if number is None:
            task.odd[measure.name] = None
            return measure.name, None
        task.rows.named(measure.name, metric, kind=measure.kind)
        same = [r for r in self._aggregate.results if metric in (r.measure, r.measure.partition(",")[0])]
        here = [r for r in same if r.evaluation in (row["evaluation_name"], task.name)]
        if len(here) == 1:
            task.results.setdefault(measure.name, here[0])
        return measure.name, number


def _number(row: Mapping[str, Any], result: Result | None) -> Number:
    # Up to schema 0.2.0 the object was called metrics.
    value = (part(row, "evaluation") or part(row, "metrics")).get("score")
    if not isinstance(value, (int, float)):
        return Number(None, reason="the row has no score" if value is None else f"the score is no number: {value!r}")
    if not math.isfinite(value):
        return Number(None, reason=f"the score is {value}")
    if result is not None and value == result.unknown:
        return Number(None, reason="the level is unknown")
    return Number(float(value))


def _id_in(line: bytes) -> str:
    found = re.search(rb'"sample_id"\s*:\s*"?([^",}]+)', line)
    return found[1].decode("utf-8", "replace").strip() if found else ""


def _epoch(row: Mapping[str, Any]) -> int:
    """As the file counts, 0 where it doesn't say."""
    said = str(part(row, "metadata").get("epoch", ""))
    return int(said) if re.fullmatch(r"\d{1,6}", said) else 0


def _texts(value: Any) -> list[str]:
    listed = cast("list[Any]", value) if isinstance(value, list) else [] if value is None else [value]
    return [part if isinstance(part, str) else json.dumps(part) for part in listed]


def _status(row: Mapping[str, Any]) -> tuple[Status, str]:
    if row.get("error"):
        return "error", f"error: {' '.join(str(row['error']).split())[:200]}"
    stop = str(part(row, "metadata").get("stop_reason", ""))
    return ("truncated", f"stopped by {stop}") if stop in TRUNCATED else ("ok", "")


def _answer(row: Mapping[str, Any]) -> str:
    """The answer, or the last thing that the assistant said."""
    output = _texts(part(row, "output").get("raw"))
    if output:
        return "\n".join(output)
    messages: Any = row.get("messages")
    rows = cast("list[Any]", messages) if isinstance(messages, list) else []
    turns = [cast("dict[str, Any]", row) for row in rows if isinstance(row, dict)]
    said = [str(turn.get("content") or "") for turn in turns if turn.get("role") == "assistant"]
    return said[-1] if said else ""


def _attributions(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    listed: Any = row.get("answer_attribution")
    rows = cast("list[Any]", listed) if isinstance(listed, list) else []
    return [cast("dict[str, Any]", one) for one in rows if isinstance(one, dict)]


def _harness_metrics(row: Mapping[str, Any]) -> dict[str, Any] | None:
    """All metrics of a sample that the converter from lm-evaluation-harness keeps as text; its own score is the first
    number among them, and 0 where there is none."""
    try:
        found: Any = json.loads(part(row, "metadata").get("lm_eval_metrics") or "null")
    except (TypeError, ValueError):
        return None
    return cast("dict[str, Any]", found) if isinstance(found, dict) else None
