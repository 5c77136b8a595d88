"""Logs -> arms: which logs are of one condition, what it is called, and which of them a name means.

An arm is a model. Where several logs of one task have the same model, they are told apart by the path they were given
by, else by their folder, else by their file: ``model (runs/a)``. An arm has at most one log a task.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from trialist.errors import DataError, MeasurementUndefined, NameUnknown
from trialist.folder import schema_of
from trialist.logs.collect import Collection, Found, listed
from trialist.logs.log import Log
from trialist.records import SCORE_COLUMNS

Place = Callable[[Found], str]


@dataclass(frozen=True)
class Arms:
    """The logs of each arm, in order of the paths; ``notes`` say what was told apart and what was put together."""

    logs: Mapping[str, tuple[Found, ...]]
    notes: tuple[str, ...] = ()


def arms_of(collection: Collection) -> Arms:
    """The arms by their models. Raises DataError where logs of one task and model can't be told apart."""
    by_model: dict[str, list[Found]] = defaultdict(list)
    for one in collection.found:
        by_model[_model(one)].append(one)
    logs: dict[str, list[Found]] = defaultdict(list)
    notes: list[str] = []
    for model, group in by_model.items():
        task, number = Counter(_task(one) for one in group).most_common(1)[0]
        place = _place(group) if number > 1 else None
        if place is not None:
            notes.append(f"{number} logs{f' of {task}' if task else ''} by {model}: told apart by where they lie")
        for one in group:
            logs[f"{model} ({place(one)})" if place else model].append(one)
    return Arms({arm: tuple(group) for arm, group in logs.items()}, tuple(notes))


def compared(arms: Arms, first: str, second: str) -> tuple[Arms, tuple[str, str]]:
    """The arms that two names mean, each an arm, a model or one of the paths given. All logs below a path are one arm,
    whatever their models; an arm that a path takes logs from keeps the others.

    Raises NameUnknown for a name that is nothing here, DataError where one means several logs of a task, and
    MeasurementUndefined where both mean the same log.
    """
    sides = [_side(arms, name) for name in (first, second)]
    shared = [one for one in sides[0].logs if any(one is other for other in sides[1].logs)]
    if shared:
        raise MeasurementUndefined(
            "an arm compared with itself", seen=f"{first} and {second}", allowed="two arms",
            next_step="--compare ARM OTHER",
        )  # fmt: skip
    logs = {arm: group for arm, group in arms.logs.items() if arm not in (sides[0].name, sides[1].name)}
    taken = [one for side in sides for one in side.logs]
    rest = {arm: tuple(one for one in group if not any(one is t for t in taken)) for arm, group in logs.items()}
    order = list(arms.logs)
    found = {**{side.name: side.logs for side in sides}, **{arm: group for arm, group in rest.items() if group}}
    names = sorted(found, key=lambda name: order.index(name) if name in order else len(order))
    notes = (*arms.notes, *(note for side in sides for note in side.notes))
    return Arms({name: found[name] for name in names}, notes), (sides[0].name, sides[1].name)


def scores_of(arms: Arms) -> pl.DataFrame:
    """All scores of all logs, SCORE_COLUMNS, under their arms' names; ``evaluation`` is the task."""
    parts = [with_arm(one.log, arm).scores for arm, group in arms.logs.items() for one in group]
    return pl.concat(parts) if parts else pl.DataFrame(schema=schema_of(SCORE_COLUMNS))


def with_arm(log: Log, arm: str) -> Log:
    """The log with its answers and scores under this arm, and under the name of its task."""
    names = [pl.lit(arm, dtype=pl.String).alias("arm")]
    if log.source.task:
        names.append(pl.lit(log.source.task).alias("evaluation"))
    return replace(log, answers=log.answers.with_columns(names), scores=log.scores.with_columns(names))


@dataclass(frozen=True)
class _Side:
    name: str
    logs: tuple[Found, ...]
    notes: tuple[str, ...] = ()


def _side(arms: Arms, name: str) -> _Side:
    if name in arms.logs:
        return _Side(name, arms.logs[name])
    of_model = [arm for arm, group in arms.logs.items() if _model(group[0]) == name]
    if len(of_model) == 1:
        return _Side(of_model[0], arms.logs[of_model[0]])
    if of_model:
        raise _several(name, f"'{name}' is several arms here", of_model)
    everything = [one for group in arms.logs.values() for one in group]
    below = tuple(one for one in everything if _same_path(name, one.run))
    if not below:
        known = dict.fromkeys([*arms.logs, *(str(one.run) for one in everything)])
        raise NameUnknown("arm", name, known, see="an arm is a model, a path given here, or --arm COLUMN of a table")
    holders = [arm for arm, group in arms.logs.items() if any(one is other for one in group for other in below)]
    twice = next((task for task, number in Counter(_task(one) for one in below).items() if number > 1), None)
    if twice is not None:
        raise _several(name, f"{name} holds several logs of {twice or 'one table'}", holders)
    if len(holders) == 1 and len(arms.logs[holders[0]]) == len(below):
        return _Side(holders[0], below)
    models = list(dict.fromkeys(_model(one) for one in below))
    mixed = (f"{name} holds {listed(models, 'model')}: mixed, one arm all the same",) if len(models) > 1 else ()
    return _Side(name, below, mixed)


def _several(name: str, message: str, arms: Sequence[str]) -> DataError:
    return DataError(
        message, seen=listed(arms, "arm"), allowed="one log a task",
        next_step=f'name the arm: --compare "{arms[0]}" OTHER' if arms else f"check {name}",
    )  # fmt: skip


def _model(one: Found) -> str:
    """A log that doesn't say its model is named by its file."""
    return one.log.source.model or one.path.stem


def _task(one: Found) -> str:
    return one.log.source.task


def _place(group: Iterable[Found]) -> Place:
    """What tells logs of one model apart in every task: the path given, the folder, the file, in this order."""
    logs = list(group)
    for place in (_given, _folder, _file, _whole):
        if len({(_task(one), place(one)) for one in logs}) == len(logs):
            return place
    twice = next(place for place, number in Counter((_task(one), _whole(one)) for one in logs).items() if number > 1)
    raise DataError(
        f"{twice[1]}: several logs of one task by one model in one file", seen=f"task {twice[0]}", allowed="one",
        next_step="take the file apart",
    )  # fmt: skip


def _given(one: Found) -> str:
    return str(one.run)


def _folder(one: Found) -> str:
    return one.path.parent.name


def _file(one: Found) -> str:
    return one.path.stem


def _whole(one: Found) -> str:
    return str(one.path)


def _same_path(name: str, run: Path) -> bool:
    return Path(name) == run or Path(name).resolve() == run.resolve()
