"""What ``trialist estimate`` is asked and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import get_args

from trialist.errors import NameUnknown
from trialist.logs.blocks import Block
from trialist.logs.facets import Facets
from trialist.logs.log import Loss
from trialist.logs.table import Columns
from trialist.measurement.choose import Population
from trialist.measurement.claims import Threshold
from trialist.measurement.estimand import About, MissingPolicy, Sizes
from trialist.records import Estimate, Verdict

BY = ("task", "metric", "stratum")
BY_DEFAULT = ("task", "metric")


@dataclass(frozen=True)
class Question:
    """What is asked of the logs. ``by``: a row for each task (else all are pooled), for each metric (else each task's
    first alone), and also for each stratum. ``bounds`` are the scores' lowest and highest possible value; None: 0 and 1
    where all of them lie there, otherwise unknown. ``margin``: how large a difference may be and not matter. ``facets``
    are clusters and strata of logs, ``columns`` of tables."""

    columns: Columns = field(default_factory=Columns)
    facets: Facets = field(default_factory=Facets)
    compare: tuple[str, str] | None = None
    by: tuple[str, ...] = BY_DEFAULT
    level: float = 0.95
    claim: Threshold | None = None
    margin: float | None = None
    bounds: tuple[float, float] | None = None
    population: Population = "process"
    about: About = "artefact"
    bank_size: int | None = None
    missing: MissingPolicy = "worst"
    sizes: Sizes = "may matter"


@dataclass(frozen=True)
class Claimed:
    """The claim's verdict ``of`` an arm or of the comparison, and the ``bounds`` that it rests on."""

    of: str
    verdict: Verdict
    reason: str
    bounds: Estimate


@dataclass(frozen=True)
class Said:
    """A number that the tool stated of ``arm``, ours beside it, and why they differ; ``why`` is empty where they agree
    and nothing is missing. ``metric`` as the tool calls it; of a standard error ``low`` and ``high`` are the interval
    that it makes by the normal law."""

    arm: str
    tool: str
    metric: str
    value: float
    ours: float | None
    why: str = ""
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Row:
    """One measure of one task in one stratum: an estimate an arm that has it, and the comparison. ``words``: better,
    worse, equivalent or can't tell, from ``bounds``; ``claims``, one an arm or one for the comparison. ``judged``: a
    judge gave the scores, and nobody labelled any. ``missing``: for each arm the number of answers without a score by
    reason; ``num_answers`` of how many. ``detectable``: the difference that could have been seen, None with
    ``undetectable`` saying why."""

    task: str
    measure: str
    stratum: str
    arms: tuple[Estimate, ...]
    difference: Estimate | None = None
    words: str = ""
    bounds: Estimate | None = None
    claims: tuple[Claimed, ...] = ()
    judged: bool = False
    missing: Mapping[str, Mapping[str, int]] = field(default_factory=dict[str, Mapping[str, int]])
    num_answers: Mapping[str, int] = field(default_factory=dict[str, int])
    clustered_by: str = ""
    detectable: float | None = None
    undetectable: str = ""
    stated: tuple[Said, ...] = ()

    @property
    def title(self) -> str:
        """Task and measure, without the stratum."""
        return ", ".join(part for part in (self.task, self.measure + (" (judge)" if self.judged else "")) if part)

    @property
    def name(self) -> str:
        return f"{self.title}, {self.stratum}" if self.stratum else self.title

    @property
    def described(self) -> list[Estimate]:
        return [*self.arms, *([self.difference] if self.difference else [])]


@dataclass(frozen=True)
class Paired:
    """How the items of two arms were matched in a task; the lists are ids."""

    task: str
    num_pairs: int
    num_by_content: int
    changed: tuple[str, ...]
    only_first: tuple[str, ...]
    only_second: tuple[str, ...]


@dataclass(frozen=True)
class Answers:
    arms: tuple[str, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...]
    paired: tuple[Paired, ...] = ()
    losses: tuple[Loss, ...] = ()
    blocks: tuple[Block, ...] = ()
    compare: tuple[str, str] | None = None


def checked(asked: Question) -> Question:
    """The question if its words are known. Raises NameUnknown."""
    known = {"population": Population, "about": About, "missing": MissingPolicy, "sizes": Sizes}
    for kind, words_known in known.items():
        if getattr(asked, kind) not in get_args(words_known):
            raise NameUnknown(kind, getattr(asked, kind), get_args(words_known))
    for word in asked.by:
        if word not in BY:
            raise NameUnknown("word of --by", word, BY, see=f"--by {','.join(BY)}, or some of them")
    return asked
