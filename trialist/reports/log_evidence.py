"""What a report on logs shows: the logs by task, estimates of every measure, and what was lost or has to be said."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile

from trialist.logs.blocks import Block, Part
from trialist.logs.log import Loss
from trialist.records import Estimate
from trialist.reports.palette import Look, looks_of


@dataclass(frozen=True)
class Told:
    """A number that a tool computed itself of ``arm``, ours beside it, and why they differ."""

    arm: str
    metric: str
    value: float
    ours: float | None
    why: str = ""


@dataclass(frozen=True)
class Row:
    """One measure of one task: an estimate an arm, and the difference with its word (better, worse, equivalent, can't
    tell). ``judged``: a model graded it; ``detectable``: the difference that could have been seen."""

    task: str
    measure: str
    arms: tuple[Estimate, ...]
    difference: Estimate | None = None
    word: str = ""
    judged: bool = False
    detectable: float | None = None
    told: tuple[Told, ...] = ()

    @property
    def name(self) -> str:
        return f"{self.task}: {self.measure}" if self.task else self.measure

    @property
    def in_unit(self) -> bool:
        """Whether the values lie between 0 and 1, as far as is known."""
        known = [v for e in self.arms for v in (e.value, e.low, e.high) if v is not None]
        return all(0 <= value <= 1 for value in known)


@dataclass(frozen=True)
class LogEvidence:
    """``compare`` are two of the arms, the first minus the second; the ``blocks`` then have their pairs."""

    blocks: tuple[Block, ...]
    arms: tuple[str, ...]
    rows: tuple[Row, ...]
    compare: tuple[str, str] | None = None
    losses: tuple[Loss, ...] = ()
    notes: tuple[str, ...] = ()
    level: float = 0.95

    @property
    def short(self) -> Mapping[str, str]:
        """Names of the arms for plots, without what all of them begin with."""
        return dict(zip(self.arms, short_names(self.arms), strict=True))

    @property
    def looks(self) -> Mapping[str, Look]:
        """The second arm of a comparison looks like a control."""
        return looks_of({a: "control" if self.compare and a == self.compare[1] else "candidate" for a in self.arms})

    def parts(self) -> Iterator[tuple[Block, Part]]:
        for block in self.blocks:
            for arm in self.arms:
                if arm in block.parts:
                    yield block, block.parts[arm]


def short_names(names: Sequence[str]) -> list[str]:
    """Without what all of them share: ``openai/gpt-4o`` and ``openai/gpt-4o-mini`` -> ``gpt-4o`` and ``gpt-4o-mini``;
    ``gpt-4o (runs/old)`` and ``gpt-4o (runs/new)`` -> ``old`` and ``new``. Names stay different."""
    inside = [re.fullmatch(r"(.*) \((.*)\)", name) for name in names]
    of_one = len(names) > 1 and all(inside) and len({match[1] for match in inside if match}) == 1
    whole = [match[2] for match in inside if match] if of_one else list(names)
    last = [name if " (" in name else name.rstrip("/").rpartition("/")[2] or name for name in whole]
    kept = last if len(set(last)) == len(set(names)) else whole
    if len(kept) < 2:
        return kept
    prefix = "".join(chars[0] for chars in takewhile(lambda chars: len(set(chars)) == 1, zip(*kept, strict=False)))
    cut = max((match.end() for match in re.finditer(r"[-_/:. (]", prefix)), default=0)
    return [f"…{name[cut:]}" for name in kept] if cut >= 12 else kept
