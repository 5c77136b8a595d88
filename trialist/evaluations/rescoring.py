"""A log and a scorer -> the log with the scorer's scores beside the old ones: nothing is asked of the model again."""

from __future__ import annotations

import hashlib
import importlib
import inspect
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Protocol

import polars as pl

from trialist.errors import DataError, NameUnknown
from trialist.evaluations.text_scorers import Grade, TextScorer
from trialist.folder import frame
from trialist.logs.log import Log
from trialist.records import (
    KEY_COLUMNS,
    SCORE_COLUMNS,
    Answer,
    Item,
    Score,
    ScorerKind,
    answer_of,
    cell_of,
    item_of,
    score_row,
)

Progress = Callable[[int, int], None]
"""Called with the number of answers scored and to score."""
EVERY = 256
_KEY = list(KEY_COLUMNS)
_LISTS = ("logprobs", "num_tokens", "num_bytes")


class Scorer(Protocol):
    """What ``rescore`` applies: a ``TextScorer``, or the verdicts of a judge."""

    @property
    def name(self) -> str: ...
    @property
    def version(self) -> str: ...
    @property
    def kind(self) -> ScorerKind: ...
    def score(self, item: Item, answer: Answer, measure: str) -> Score: ...


def rescore(log: Log, scorer: Scorer, measure: str, progress: Progress | None = None) -> Log:
    """The log with a row of ``measure`` for every item and epoch that has an answer or a score, and all old rows.

    An item without a stored answer is missing, with the reason. Raises DataError for a measure that is there already
    and for a log that holds no answers or none of their items.
    """
    if measure in measures_of(log):
        raise DataError(
            f"{log.source.path} has a measure '{measure}' already", seen=", ".join(measures_of(log)),
            allowed="a new name", next_step="name the new scores with --name",
        )  # fmt: skip
    rows: list[dict[str, Any]] = []
    pairs = list(answers_of(log))
    for done, (item, answer) in enumerate(pairs):
        if progress is not None and done % EVERY == 0:
            progress(done, len(pairs))
        score = _no_answer(scorer, measure) if item is None else scorer.score(item, answer, measure)
        rows.append(score_row(answer, score))
    if progress is not None:
        progress(len(pairs), len(pairs))
    return replace(log, scores=pl.concat([log.scores, frame(rows, SCORE_COLUMNS)]))


def measures_of(log: Log) -> list[str]:
    return [str(name) for name in log.scores["measure"].unique(maintain_order=True)]


def free_name(logs: Iterable[Log], name: str) -> str:
    """``name``, or ``name (rescored)`` where a log has a measure of that name: a tool's scorer may share it."""
    taken = {measure for log in logs for measure in measures_of(log)}
    return f"{name} (rescored)" if name in taken else name


def answers_of(log: Log) -> Iterator[tuple[Item | None, Answer]]:
    """The stored answers with their items, then, with None, the items and epochs that have a score and no answer."""
    if not len(log.answers):
        raise DataError(
            f"{log.source.path} holds no answers", seen=f"{len(log.scores):,} scores",
            allowed="a log with the models' answers in it",
            next_step="run the evaluation with its samples logged, such as lm-eval's --log_samples",
        )  # fmt: skip
    items = {str(row["id"]): item_of({**row, "options": row["options"] or ()}) for row in log.items.to_dicts()}
    for row in log.answers.iter_rows(named=True):
        answer = answer_of({**row, **{name: row[name] or () for name in _LISTS}})
        if answer.item not in items:
            raise DataError(f"{log.source.path}: an answer to an item that isn't there", seen=answer.item)
        yield items[answer.item], answer
    unanswered = log.scores.select(_KEY).unique(maintain_order=True).join(log.answers, on=_KEY, how="anti")
    for row in unanswered.iter_rows(named=True):
        yield None, Answer(cell_of(row), row["evaluation"], row["item"], row["epoch"], "missing")


def _no_answer(scorer: Scorer, measure: str) -> Score:
    return Score(measure, None, "binary", scorer.name, scorer.version, scorer.kind, reason="no stored answer")


def dotted_scorer(name: str) -> TextScorer:
    """The scorer ``package.module:function``, a function of (item, answer) that gives a number, true or false, or None
    where it can't tell. What it raises for an answer, and NaN, make that answer missing, with the reason. Its version
    is a hash of its module's source.

    Raises NameUnknown where there is no such function.
    """
    module_name, _, attribute = name.partition(":")
    try:
        function = getattr(importlib.import_module(module_name), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise NameUnknown("scorer", name, (), see=f"{error}: is the package installed?") from error
    if not callable(function):
        raise NameUnknown("scorer", name, (), see="a function of (item, answer)")
    return TextScorer(name, _guarded(function), _version(function))


def _guarded(function: Callable[[Item, Answer], Any]) -> Callable[[Item, Answer], Grade]:
    def grade(item: Item, answer: Answer) -> Grade:
        try:
            value = function(item, answer)
            number = None if value is None else float(value)
        except Exception as error:  # noqa: BLE001 - whatever a user's function raises is this answer's reason
            return None, f"the scorer raised {type(error).__name__}: {error}"
        if number is None:
            return None, "the scorer gave no value"
        return (number, "") if math.isfinite(number) else (None, f"the scorer gave {number}")

    return grade


def _version(function: Callable[..., Any]) -> str:
    try:
        source = inspect.getsource(inspect.getmodule(function) or function)
    except (OSError, TypeError):
        return "source not found"
    return hashlib.sha256(source.encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Change:
    """One answer on which old and new score differ most."""

    item: str
    epoch: int
    old: float | None
    new: float | None
    reason: str


@dataclass(frozen=True)
class Agreement:
    """Old measure against the new one over all items and epochs that have both rows. ``counts[old, new]``, each "1",
    "0", "between", "other" or "missing"; ``same`` of ``both`` scored ones are equal; ``changes`` the largest first."""

    measure: str
    counts: dict[tuple[str, str], int]
    same: int
    both: int
    changes: tuple[Change, ...]


def agreements(log: Log, new: str, *, most: int = 5) -> list[Agreement]:
    """Each old measure of a rescored log against the new one."""
    return [_agreement(log.scores, old, new, most) for old in measures_of(log) if old != new]


def _agreement(scores: pl.DataFrame, old: str, new: str, most: int) -> Agreement:
    kept = [*_KEY, "value", "reason"]
    joined = scores.filter(pl.col("measure") == old).select(kept).join(
        scores.filter(pl.col("measure") == new).select(kept), on=_KEY, suffix="_new", maintain_order="left"
    )  # fmt: skip
    labels = joined.select(old=_label("value"), new=_label("value_new")).group_by("old", "new").len()
    counts = {(str(a), str(b)): int(n) for a, b, n in labels.sort("old", "new").iter_rows()}
    both = joined.filter(pl.col("value").is_not_null() & pl.col("value_new").is_not_null())
    far = (pl.col("value") - pl.col("value_new")).abs()
    lost = pl.col("value").is_null() != pl.col("value_new").is_null()
    changed = joined.with_columns(far=pl.when(lost).then(0.0).otherwise(far)).filter(lost | (pl.col("far") > 0))
    changed = changed.sort("far", descending=True, maintain_order=True).head(most)
    changes = tuple(
        Change(row["item"], row["epoch"], row["value"], row["value_new"], row["reason_new"] or row["reason"] or "")
        for row in changed.iter_rows(named=True)
    )
    return Agreement(old, counts, both.filter(far == 0).height, both.height, changes)


def _label(column: str) -> pl.Expr:
    value = pl.col(column)
    inside = pl.when(value == 1).then(pl.lit("1")).when(value == 0).then(pl.lit("0"))
    return inside.when(value.is_between(0, 1)).then(pl.lit("between")).when(value.is_null()).then(
        pl.lit("missing")).otherwise(pl.lit("other"))  # fmt: skip
