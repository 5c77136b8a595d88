"""What every reader of a log gives: one task of one model, as the records of this project.

A reader is ``read(path, *, full=False) -> Sequence[Log]``, one ``Log`` a task in the file. It drops nothing: a sample
that has no score is a row of ``scores`` whose value is null, with the reason, and what could not be read at all is a
``Loss``. ``full`` asks for what a summary leaves out: whole inputs, answers and explanations.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import polars as pl


@dataclass(frozen=True)
class Source:
    """Where a log comes from. ``format`` is the reader's name, ``tool`` the name and version of what wrote the log.
    ``status`` as the tool says it, "success" where it finished; ``num_samples`` how many rows (item x epoch) it was to
    have, None where the log doesn't say. ``settings`` are those that change answers: few-shot, generation, template."""

    path: str
    format: str
    tool: str
    task: str
    task_version: str = ""
    model: str = ""
    run: str = ""
    created: str = ""
    status: str = "success"
    num_samples: int | None = None
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True)
class Stated:
    """A number that the tool itself computed: ``metric`` ("accuracy", "stderr") of ``measure``, which is the name in
    ``Log.scores``; ``group`` where it is of a part of the samples; ``reducer`` where epochs were reduced first."""

    measure: str
    metric: str
    value: float
    group: str = ""
    reducer: str = ""


@dataclass(frozen=True)
class Loss:
    """Something in the file that could not be read or not be used, and is counted nowhere else. ``sample`` is empty
    where it isn't about one sample."""

    path: str
    sample: str
    what: str

    @property
    def sentence(self) -> str:
        return f"{self.path}{f', sample {self.sample}' if self.sample else ''}: {self.what}"


@dataclass(frozen=True)
class Log:
    """``items`` ITEM_COLUMNS, one row an item, ``metadata`` as JSON text, ``cluster`` the item's own id where the log
    declares none; ``answers`` ANSWER_COLUMNS, one row an item and epoch, without rows where the log holds no answers;
    ``scores`` SCORE_COLUMNS, a row for every item, epoch and measure. The column ``arm`` is ``source.model``.

    A measure is named by its scorer ("match"), or by scorer and key ("grader/tone") where a scorer gives several
    values. ``scorer_kind`` is judge where a model graded. Of two runs the ``content_hash`` of an item agrees exactly if
    the model was asked the same (input, options, target), whatever its id."""

    source: Source
    items: pl.DataFrame
    answers: pl.DataFrame
    scores: pl.DataFrame
    stated: tuple[Stated, ...] = ()
    losses: tuple[Loss, ...] = ()
    notes: tuple[str, ...] = ()


class Reader(Protocol):
    """A module of this package."""

    NAME: str

    @staticmethod
    def recognises(path: Path) -> bool:
        """Whether the file or folder looks like this format, judged by name and first bytes. Never raises."""
        ...

    @staticmethod
    def read(path: Path, *, full: bool = False) -> Sequence[Log]:
        """Raises DataError for a file of which nothing can be used; everything less is a Loss."""
        ...
