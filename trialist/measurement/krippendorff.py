"""Krippendorff's alpha: 1 - D_o / D_e over the coincidences of values within items.

An item with r_i >= 2 ratings adds its r_i (r_i - 1) ordered pairs with weight 1/(r_i - 1) to the coincidence matrix o,
with margins n_k = sum_l o_kl and N = sum n_k; items with one rating have no pair and are left out. Then

    alpha = 1 - (N - 1) sum_kl o_kl d_kl / sum_kl n_k n_l d_kl

with d_kl: nominal [k != l]; interval (x_k - x_l)^2; ratio ((x_k - x_l) / (x_k + x_l))^2; ordinal (the number of values
between k and l in order, ends counted half)^2 = (M_k - M_l)^2, M_k = sum_{g <= k} n_g - n_k/2.
Krippendorff 2011, Computing Krippendorff's Alpha-Reliability.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from trialist.errors import MeasurementUndefined
from trialist.measurement.agreement import Agreement, Coefficient, Table, numeric, tabulate

Floats = NDArray[np.float64]
Level = Literal["nominal", "ordinal", "interval", "ratio"]
MOST_NUMBERS = 50_000_000
"""Size of the matrices that a coefficient may hold: of distances, for ``ordinal`` of all items' coincidences."""


def krippendorff_alpha(ratings: Any, metric: Level = "nominal", categories: Sequence[Any] | None = None) -> Agreement:
    """alpha of ``ratings`` (n items, r raters), missing where None, NaN or "". ``categories`` give the order for
    ``ordinal`` (sorted values if None); categories nobody chose change nothing.

    ``observed`` and ``expected`` of the result are 1 - D_o / D_max and 1 - D_e / D_max with D_max the largest d_kl, so
    that alpha is (observed - expected)/(1 - expected). Raises MeasurementUndefined where all ratings are the same:
    D_e is 0 and there is nothing to agree about; and for ``ratio`` with negative values.
    """
    table = tabulate(ratings, categories)
    coefficient = krippendorff_coefficient(table, metric)
    sums = coefficient.columns.sum(axis=0)
    value = float(coefficient.values(sums))
    if not np.isfinite(value):
        raise MeasurementUndefined(
            "alpha is undefined: all ratings are the same, so no disagreement was possible by chance",
            seen=f"one value in {int(table.num_ratings[table.num_ratings >= 2].sum())} ratings",
            next_step="report the observed agreement, or Gwet's AC1 with all categories named",
        )
    observed, expected = coefficient.of(sums)
    return Agreement(value, float(observed), float(expected), int((table.num_ratings >= 2).sum()))


def krippendorff_coefficient(table: Table, metric: Level) -> Coefficient:
    """alpha as a function of sums over items: of the disagreement within items and the margins where d_kl is fixed, of
    the whole coincidence matrix for ``ordinal``, whose distances move with the margins."""
    q = len(table.categories)
    name = f"Krippendorff alpha ({metric})"
    if q * q * (len(table.counts) if metric == "ordinal" else 1) > MOST_NUMBERS:
        raise MeasurementUndefined(
            f"too many distinct ratings for {metric} distances", seen=f"{q} values, {len(table.counts)} items",
            next_step="put the ratings into fewer classes",
        )  # fmt: skip
    if metric == "ordinal":
        return Coefficient(name, coincidences(table).reshape(-1, q * q), _of_coincidences)
    x = np.arange(q, dtype=np.float64) if metric == "nominal" else numeric(table.categories)
    if metric == "ratio" and (x < 0).any():
        raise MeasurementUndefined("ratio distances need values of 0 or more", seen=str(x.min()))
    d = fixed_distances(x, metric)
    largest = float(d.max()) or 1.0
    r = table.num_ratings
    share = np.where(r >= 2, 1 / np.maximum(r - 1, 1), 0.0)
    within = ((table.counts @ d) * table.counts).sum(axis=1) * share
    margins = table.counts * (r >= 2)[:, None]

    def of(sums: Floats) -> tuple[Floats, Floats]:
        n = sums[..., 1:]
        total = n.sum(axis=-1)
        expected = ((n @ d) * n).sum(axis=-1) / (total * (total - 1))
        return 1 - sums[..., 0] / total / largest, 1 - expected / largest

    return Coefficient(name, np.column_stack([within, margins]), of)


def _of_coincidences(sums: Floats) -> tuple[Floats, Floats]:
    q = math.isqrt(sums.shape[-1])
    o = sums.reshape(*sums.shape[:-1], q, q)
    n = o.sum(axis=-1)
    total = n.sum(axis=-1)
    middle = np.cumsum(n, axis=-1) - n / 2
    d = (middle[..., :, None] - middle[..., None, :]) ** 2
    largest = d.max(axis=(-1, -2))
    safe = np.where(largest > 0, largest, 1.0)
    observed = (o * d).sum(axis=(-1, -2)) / total
    expected = (n[..., :, None] * n[..., None, :] * d).sum(axis=(-1, -2)) / (total * (total - 1))
    return 1 - observed / safe, 1 - expected / safe


def coincidences(table: Table) -> Floats:
    """Each item's coincidence matrix (n, q, q); zero for an item with one rating."""
    counts, r = table.counts, table.num_ratings
    pairs = counts[:, :, None] * counts[:, None, :]
    pairs = pairs - counts[:, :, None] * np.eye(counts.shape[1])
    return np.where(r[:, None, None] >= 2, pairs / np.maximum(r - 1, 1)[:, None, None], 0.0)


def fixed_distances(x: Floats, metric: Level) -> Floats:
    """d (q, q) of the values ``x`` (q,) for nominal, interval and ratio."""
    gap = np.abs(x[:, None] - x[None, :])
    if metric == "nominal":
        return (gap > 0).astype(np.float64)
    if metric == "ratio":
        both = x[:, None] + x[None, :]
        gap = gap / np.where(both > 0, both, 1.0)
    return gap**2
