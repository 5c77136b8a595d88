"""Does a binary judge err more on one group of items than on the others? Exact intervals, Fisher tests, Holm.

For each group the judge's false-positive rate (over gold negatives) and false-negative rate (over gold positives), with
Clopper-Pearson intervals, and Fisher's exact test of the group against all other groups together. Holm 1979 (Scand. J.
Stat. 6) over all tests made: the chance of calling any group different that isn't stays below the level, under any
dependence. A group or class without gold labels is reported as not measured; it is not evidence of equal error.

Fisher 1935. With few gold labels a group the test has little power: the intervals say how much error is still possible.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trialist.errors import MeasurementUndefined
from trialist.measurement.adjust import holm
from trialist.measurement.fisher import fisher_exact
from trialist.measurement.interval import Interval
from trialist.measurement.judged.items import judged_items
from trialist.measurement.proportions import clopper_pearson


@dataclass(frozen=True)
class ErrorRate:
    """``num_errors`` of ``num_gold``. ``interval`` is None without gold labels; ``p_value`` is None where this group or
    all others have none; ``p_adjusted`` is Holm's over all tests."""

    num_errors: int
    num_gold: int
    interval: Interval | None
    p_value: float | None
    p_adjusted: float | None


@dataclass(frozen=True)
class GroupError:
    group: str
    false_positive: ErrorRate
    false_negative: ErrorRate


def judge_error_by_group(
    judge: ArrayLike, gold: ArrayLike, group: Sequence[str], *, level: float = 0.95
) -> tuple[GroupError, ...]:
    """Error rates of a judge in [0, 1] (flags at 1/2 or more) per group, in sorted order of the groups.

    ``judge`` (N,), ``gold`` (N,) 0, 1 or NaN, ``group`` (N,). Assumes gold items drawn at random within each group.
    Raises MeasurementUndefined for graded gold labels, no gold labels, and fewer than two groups.
    """
    items = judged_items(judge, gold)
    names = sorted(set(group))
    if len(group) != items.num_judged or len(names) < 2:
        raise MeasurementUndefined(
            "a comparison needs a group for each item, and two groups or more",
            seen=f"{len(group)} labels of groups for {items.num_judged} items; groups {names[:5]}",
        )
    of = np.asarray(list(group))[items.labelled]
    positive, wrong = items.labels == 1.0, items.misses
    counts = [_count(of == name, chosen, wrong) for chosen in (~positive, positive) for name in names]
    raw = [_fisher(table) for table in counts]
    adjusted = _holm(raw)
    rates = [_rate(table, p, q, level) for table, p, q in zip(counts, raw, adjusted, strict=True)]
    num = len(names)
    return tuple(GroupError(name, rates[i], rates[num + i]) for i, name in enumerate(names))


Table = tuple[int, int, int, int]
"""Errors and right ones in the group, errors and right ones outside."""


def _count(inside: NDArray[np.bool_], chosen: NDArray[np.bool_], wrong: NDArray[np.bool_]) -> Table:
    return (
        int((inside & chosen & wrong).sum()),
        int((inside & chosen & ~wrong).sum()),
        int((~inside & chosen & wrong).sum()),
        int((~inside & chosen & ~wrong).sum()),
    )


def _fisher(table: Table) -> float | None:
    if table[0] + table[1] == 0 or table[2] + table[3] == 0:
        return None
    return fisher_exact(np.array(table).reshape(2, 2))


def _holm(raw: Sequence[float | None]) -> list[float | None]:
    """Holm's p-values of those that were tested."""
    made = [p for p in raw if p is not None]
    adjusted = iter(holm(made).tolist()) if made else iter(())
    return [None if p is None else next(adjusted) for p in raw]


def _rate(table: Table, p: float | None, adjusted: float | None, level: float) -> ErrorRate:
    errors, n = table[0], table[0] + table[1]
    return ErrorRate(errors, n, clopper_pearson(errors, n, level) if n else None, p, adjusted)
