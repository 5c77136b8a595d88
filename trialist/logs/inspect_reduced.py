"""What Inspect computes from the scores of a log, so that its numbers can be checked against ours to the last digit.

Inspect reduces the epochs of a sample to one value first, leaves out what is unscored (NaN) and what has no score at
all, and averages over the rest (``inspect_ai/_eval/task/results.py`` and ``scorer/_reducer``, 0.3.285). The order of
the sums is the order of the data set. Not to be had from numbers alone: ``mode`` and ``majority`` where two marks mean
the same number (I and N), metrics with a ``to_float`` of their own, samples that were invalidated afterwards.
"""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
import polars as pl

from trialist.errors import MeasurementUndefined
from trialist.logs.inspect_scores import ALL, MEAN_OF_GROUPS, NOT_A_NUMBER, UNSCORED
from trialist.logs.log import Log, Stated

Values = Sequence[float]
METRICS: dict[str, Callable[[Values], float]] = {
    "accuracy": lambda values: _total(values) / len(values),
    "mean": lambda values: float(np.mean(values)),
}


def stated_again(log: Log, stated: Stated) -> float:
    """The value of ``stated``, computed from ``log.scores`` as Inspect does; NaN where nothing was scored.

    Raises MeasurementUndefined for metrics other than accuracy and mean (also by group), reducers of other packages,
    and where invalidated samples took values away.
    """
    metric = stated.metric.removesuffix(MEAN_OF_GROUPS)
    if metric not in METRICS:
        raise MeasurementUndefined(f"Inspect's metric {stated.metric}", seen=stated.metric, allowed=", ".join(METRICS))
    rows = log.scores.filter(pl.col("measure") == stated.measure)
    if (rows["reason"] == "invalidated").any():
        raise MeasurementUndefined(
            f"Inspect's {stated.metric} of {stated.measure}",
            seen="samples that were invalidated after it was computed",
            next_step="compare the values themselves",
        )  # fmt: skip
    strata = dict(zip(log.items["id"], log.items["stratum"], strict=True))
    values = _reduced(rows, stated.reducer, log.source.settings.get("epochs_reducer"))
    if metric != stated.metric:
        groups = [
            [v for item, v in values if strata[item] == name] for name in dict.fromkeys(strata[i] for i, _ in values)
        ]
        return float(np.mean([METRICS[metric](group) for group in groups])) if groups else math.nan
    named = [v for item, v in values if not stated.group or stated.group == ALL or strata[item] == stated.group]
    return METRICS[metric](named) if named else math.nan


def _reduced(rows: pl.DataFrame, reducer: str, reducers: object) -> list[tuple[str, float]]:
    """(item, value) of those that count, in Inspect's order."""
    known = rows.filter(
        pl.col("value").is_not_null() | pl.col("reason").str.starts_with(UNSCORED) | (pl.col("reason") == NOT_A_NUMBER)
    ).select("item", "epoch", value=pl.when(pl.col("reason") == NOT_A_NUMBER).then(0.0).otherwise(pl.col("value")))
    if reducers == [] and not reducer:
        scored = known.drop_nulls("value")
        epochs = sorted(set(scored["epoch"]))
        return [
            row for epoch in epochs for row in scored.filter(pl.col("epoch") == epoch).select("item", "value").rows()
        ]
    one = _reducer(reducer or "mean")
    answers: dict[str, list[float | None]] = {}
    for item, _, value in known.rows():
        answers.setdefault(item, []).append(value)
    found = [(item, one(values)) for item, values in answers.items()]
    return [(item, value) for item, value in found if not math.isnan(value)]


def _reducer(name: str) -> Callable[[Sequence[float | None]], float]:
    """Of the values of one sample, None where an epoch is unscored."""
    base, _, number = name.rpartition("_")
    k = int(number) if base and number.isdigit() else 0
    simple: dict[str, Callable[[Values], float]] = {
        "mean": statistics.mean,
        "median": statistics.median,
        "max": max,
        "mode": lambda values: Counter(values).most_common(1)[0][0],
    }
    counted: dict[str, Callable[[Values], float]] = {
        "at_least": lambda values: float(sum(v >= 1 for v in values) >= k),
        "pass_at": lambda values: pass_at_k(len(values), sum(v >= 1 for v in values), k),
        "pass_k": lambda values: _pass_k(len(values), sum(v >= 1 for v in values), k),
    }
    if name == "majority":
        return _majority
    function = simple.get(name) or (counted.get(base) if k else None)
    if function is None:
        known = [*simple, "majority", *(f"{counted_name}_k" for counted_name in counted)]
        raise MeasurementUndefined(f"Inspect's reducer {name}", seen=name, allowed=", ".join(known))

    def reduce(values: Sequence[float | None]) -> float:
        scored = [v for v in values if v is not None]
        return float(function(scored)) if scored else math.nan

    return reduce


def _majority(values: Sequence[float | None]) -> float:
    counts = Counter(v for v in values if v is not None).most_common(1)
    return counts[0][0] if counts and 2 * counts[0][1] > len(values) else math.nan


def pass_at_k(n: int, c: int, k: int) -> float:
    """1 - C(n-c, k) / C(n, k) as a product (Chen et al. 2021), NaN below k answers."""
    if n < k:
        return math.nan
    return 1.0 if n - c < k else 1.0 - float(np.prod(1.0 - k / np.arange(n - c + 1, n + 1)))


def _pass_k(n: int, c: int, k: int) -> float:
    return math.comb(c, k) / math.comb(n, k) if n >= k else math.nan


def _total(values: Values) -> float:
    """One after the other, as Inspect adds: another order would give another last digit."""
    total = 0.0
    for value in values:
        total += value
    return total
