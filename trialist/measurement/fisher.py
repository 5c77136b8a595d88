"""Two groups and K categories: Fisher's exact test, by counting out all tables with the same margins."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaln

from trialist.errors import MeasurementUndefined

Floats = NDArray[np.float64]

MAX_TABLES = 200_000
"""Most tables that are counted out."""


def fisher_exact(table: ArrayLike) -> float:
    """Fisher's exact test of a 2 x K table of counts: the probability, given both margins, of all tables that are no
    more likely than this one. 1 where a margin leaves no choice. Freeman & Halton 1951, Biometrika 38."""
    counts = np.asarray(table)
    if counts.ndim != 2 or counts.shape[0] != 2 or not np.issubdtype(counts.dtype, np.integer) or (counts < 0).any():
        raise MeasurementUndefined("Fisher's test takes a 2 x K table of counts", seen=str(counts.tolist()))
    columns = np.sort(counts.sum(axis=0))
    columns, row = columns[columns > 0], int(counts[0].sum())
    if len(columns) == 0:
        raise MeasurementUndefined("an empty table", seen=str(counts.tolist()))
    num = math.prod(int(c) + 1 for c in columns[:-1])
    if num > MAX_TABLES:
        raise MeasurementUndefined(
            "too many tables to count out", seen=f"up to {num}", allowed=f"{MAX_TABLES}",
            next_step="pool rare reasons, or give clusters for the test by sign flips",
        )  # fmt: skip
    choices = np.array(list(product(*(range(int(c) + 1) for c in columns[:-1]))), dtype=np.int64).reshape(num, -1)
    last = row - choices.sum(axis=1)
    allowed = (last >= 0) & (last <= columns[-1])
    cells = np.column_stack([choices[allowed], last[allowed]])
    logs = _log_choose(columns, cells).sum(axis=1) - _log_choose(columns.sum(), np.array(row))
    observed = _log_choose(counts.sum(axis=0), counts[0]).sum() - _log_choose(columns.sum(), np.array(row))
    return min(1.0, float(np.exp(logs[logs <= observed + 1e-7]).sum()))


def _log_choose(n: ArrayLike, k: NDArray[np.int64]) -> Floats:
    return gammaln(np.asarray(n) + 1.0) - gammaln(k + 1.0) - gammaln(np.asarray(n) - k + 1.0)
