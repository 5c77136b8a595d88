"""Agreement between raters, corrected for chance: (p_a - p_e) / (1 - p_e), or 1 - D_o / D_e.

``ratings`` is (n items, r raters), numbers or strings, missing where None, NaN or "". Each coefficient is a smooth
function of sums over items (``Coefficient``), so one resampling scheme serves all (``agreement_intervals``).

With r_ik raters of item i in category k, r_i = sum_k r_ik, weights w_kl (1 on the diagonal) and
r*_ik = sum_l w_kl r_il, the observed agreement is the mean over items with r_i >= 2 of
sum_k r_ik (r*_ik - 1) / (r_i (r_i - 1)). The coefficients differ in the agreement expected by chance:

- Gwet AC1 (identity weights), AC2: T_w sum_k pi_k (1 - pi_k) / (q (q - 1)), T_w = sum w, pi_k = mean r_ik / r_i
- Fleiss (Scott's pi for many raters): sum_kl w_kl pi_k pi_l
- Conger (Cohen's kappa for many raters): the mean over pairs of raters g, h of sum_kl w_kl p_gk p_hl
- Brennan-Prediger: T_w / q^2

Gwet 2014, Handbook of Inter-Rater Reliability, 4th ed., chapters 2 to 5; Conger 1980, Psychol. Bull. 88. Krippendorff's
alpha compares pairs of values within items with pairs of all values; it is in ``krippendorff``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from trialist.errors import MeasurementUndefined

Floats = NDArray[np.float64]
Weights = Literal["identity", "linear", "quadratic", "ordinal"]
MOST_COUNTS = 100_000_000
"""Size of the table of counts, items by categories."""
Of = Callable[[Floats], tuple[Floats, Floats]]


@dataclass(frozen=True)
class Table:
    """``codes`` (n, r) are category numbers, -1 where missing; ``counts`` (n, q) raters of an item in a category. Items
    without a rating are left out; ``kept`` (items given,) marks the others."""

    categories: tuple[Any, ...]
    codes: NDArray[np.int64]
    counts: Floats
    kept: NDArray[np.bool_]

    @property
    def num_ratings(self) -> Floats:
        """r_i (n,)."""
        return self.counts.sum(axis=1)


@dataclass(frozen=True)
class Agreement:
    """``observed`` and ``expected`` by chance; ``num_items`` have two ratings or more."""

    value: float
    observed: float
    expected: float
    num_items: int


@dataclass(frozen=True)
class Coefficient:
    """``columns`` (n, k) per item; ``of`` takes their sums (..., k) to observed and expected agreement (...)."""

    name: str
    columns: Floats
    of: Of

    def values(self, sums: Floats) -> Floats:
        """The coefficient of sums (..., k); NaN where undefined."""
        with np.errstate(all="ignore"):
            observed, expected = self.of(sums)
            return np.where(1 - expected > 1e-12, (observed - expected) / (1 - expected), np.nan)


def tabulate(ratings: Any, categories: Sequence[Any] | None = None) -> Table:
    """``ratings`` (n, r) sorted into ``categories``: in the order given, or the values seen in sorted order.

    Raises MeasurementUndefined for values outside the categories, infinite values, and where no item has two ratings.
    """
    raw = np.asarray(ratings, dtype=object)
    if raw.ndim != 2 or not raw.size:
        raise MeasurementUndefined("ratings are a table of items by raters", seen=f"shape {raw.shape}")
    present = np.array([[not _is_missing(value) for value in row] for row in raw], dtype=np.bool_)
    seen = set(raw[present].tolist())
    order = list(categories) if categories is not None else _sorted(seen)
    outside = seen - set(order)
    if outside or len(set(order)) != len(order) or any(isinstance(v, float) and math.isinf(v) for v in seen):
        raise MeasurementUndefined(
            "a rating is none of the categories", seen=str(sorted(map(str, outside or seen))[:5]), allowed=str(order)
        )
    index = {value: k for k, value in enumerate(order)}
    codes = np.array(
        [[index[v] if p else -1 for v, p in zip(row, has, strict=True)] for row, has in zip(raw, present, strict=True)]
    )
    q = len(order)
    if len(codes) * q > MOST_COUNTS:
        raise MeasurementUndefined(
            "too many distinct ratings", seen=f"{q} values in {len(codes)} items", next_step="round or bin the ratings"
        )
    place = (np.arange(len(codes))[:, None] * q + codes)[codes >= 0]
    counts = np.bincount(place, minlength=len(codes) * q).reshape(len(codes), q).astype(np.float64)
    kept = counts.sum(axis=1) > 0
    if not (counts.sum(axis=1) >= 2).any():
        raise MeasurementUndefined("no item has two ratings", next_step="have at least some items rated twice")
    return Table(tuple(order), codes[kept].astype(np.int64), counts[kept], kept)


def agreement_weights(categories: Sequence[Any], kind: Weights) -> Floats:
    """w (q, q): identity [k = l]; linear 1 - |x_k - x_l| / (max - min); quadratic with the square of that; ordinal
    1 - C(|k - l| + 1, 2) / C(q, 2) by places in the order. Linear and quadratic take the categories as numbers."""
    q = len(categories)
    if kind == "identity" or q == 1:
        return np.eye(q)
    if kind == "ordinal":
        steps = np.abs(np.arange(q)[:, None] - np.arange(q)[None, :]) + 1
        return 1 - np.where(steps > 1, steps * (steps - 1) / 2, 0) / (q * (q - 1) / 2)
    x = numeric(categories)
    distance = np.abs(x[:, None] - x[None, :]) / np.ptp(x)
    return 1 - (distance if kind == "linear" else distance**2)


def numeric(categories: Sequence[Any]) -> Floats:
    try:
        return np.array([float(value) for value in categories])
    except (TypeError, ValueError) as error:
        raise MeasurementUndefined(
            "these weights need numbers as categories", seen=str(list(categories)[:5]),
            next_step="give numbers, or use ordinal weights with the categories in order",
        ) from error  # fmt: skip


def observed_agreement(
    ratings: Any, *, weights: Weights = "identity", categories: Sequence[Any] | None = None
) -> float:
    """p_a: the chance that two raters of an item agree (with weights: their expected credit)."""
    table = tabulate(ratings, categories)
    shares, rated = item_agreement(table, agreement_weights(table.categories, weights))
    return float(shares.sum() / rated.sum())


def gwet_ac(ratings: Any, *, weights: Weights = "identity", categories: Sequence[Any] | None = None) -> Agreement:
    """Gwet's AC1, or AC2 with weights. Standard error: ``agreement_intervals.gwet_standard_error``.

    ``categories`` should name all that raters could choose: AC1 depends on their number, seen or not.
    Raises MeasurementUndefined with a single category.
    """
    return _result(gwet_coefficient(tabulate(ratings, categories), weights))


def fleiss_kappa(ratings: Any, *, weights: Weights = "identity", categories: Sequence[Any] | None = None) -> Agreement:
    """Fleiss' kappa with Gwet's treatment of missing ratings. Raises MeasurementUndefined for constant ratings."""
    return _result(fleiss_coefficient(tabulate(ratings, categories), weights))


def conger_kappa(ratings: Any, *, weights: Weights = "identity", categories: Sequence[Any] | None = None) -> Agreement:
    """Conger's kappa: each rater keeps its own distribution. With two complete raters it is Cohen's."""
    return _result(conger_coefficient(tabulate(ratings, categories), weights))


def cohen_kappa(
    first: Sequence[Any],
    second: Sequence[Any],
    *,
    weights: Weights = "identity",
    categories: Sequence[Any] | None = None,
) -> Agreement:
    """Cohen's kappa of two raters over the items that both rated. Cohen 1960; with weights Cohen 1968."""
    if len(first) != len(second):
        raise MeasurementUndefined("two raters of the same items", seen=f"{len(first)} and {len(second)} ratings")
    pairs = [(a, b) for a, b in zip(first, second, strict=True) if not (_is_missing(a) or _is_missing(b))]
    if not pairs:
        raise MeasurementUndefined("no item has both ratings")
    raw = np.empty((len(pairs), 2), dtype=object)
    raw[:] = pairs
    return conger_kappa(raw, weights=weights, categories=categories)


def brennan_prediger(
    ratings: Any, *, weights: Weights = "identity", categories: Sequence[Any] | None = None
) -> Agreement:
    """Chance is a uniform choice among the categories, so all of them should be named. Brennan & Prediger 1981."""
    return _result(brennan_prediger_coefficient(tabulate(ratings, categories), weights))


# --- coefficients as functions of sums over items -------------------------------------------------------


def item_agreement(table: Table, weights: Floats) -> tuple[Floats, Floats]:
    """Each item's share of agreeing pairs (0 with one rating) and whether it has two ratings (n,)."""
    r = table.num_ratings
    pairs = (table.counts * (table.counts @ weights.T - 1)).sum(axis=1)
    return np.where(r >= 2, pairs / np.where(r >= 2, r * (r - 1), 1), 0.0), (r >= 2).astype(np.float64)


def gwet_coefficient(table: Table, kind: Weights) -> Coefficient:
    weights, q = agreement_weights(table.categories, kind), len(table.categories)
    if q < 2:
        raise MeasurementUndefined(
            "AC needs two categories", seen=f"only {table.categories[0]!r}", next_step="name all categories"
        )

    def chance(pi: Floats) -> Floats:
        return weights.sum() / (q * (q - 1)) * (pi * (1 - pi)).sum(axis=-1)

    return _from_shares("Gwet AC", table, weights, chance)


def fleiss_coefficient(table: Table, kind: Weights) -> Coefficient:
    weights = agreement_weights(table.categories, kind)
    return _from_shares("Fleiss kappa", table, weights, lambda pi: ((pi @ weights) * pi).sum(axis=-1))


def brennan_prediger_coefficient(table: Table, kind: Weights) -> Coefficient:
    weights = agreement_weights(table.categories, kind)
    chance = float(weights.sum()) / len(weights) ** 2
    return _from_shares("Brennan-Prediger", table, weights, lambda pi: np.full(pi.shape[:-1], chance))


def conger_coefficient(table: Table, kind: Weights) -> Coefficient:
    weights, q = agreement_weights(table.categories, kind), len(table.categories)
    (n, r) = table.codes.shape
    if r < 2:
        raise MeasurementUndefined("kappa needs two raters", seen="1 rater")
    if (table.codes < 0).all(axis=0).any():
        raise MeasurementUndefined(
            "a rater rated nothing, so its choices have no distribution", next_step="leave that rater's column out"
        )
    choices = (table.codes[:, :, None] == np.arange(q)).astype(np.float64)
    columns = np.column_stack([*item_agreement(table, weights), choices.reshape(n, r * q)])

    def of(sums: Floats) -> tuple[Floats, Floats]:
        chosen = sums[..., 2:].reshape(*sums.shape[:-1], r, q)
        p = chosen / chosen.sum(axis=-1, keepdims=True)
        mean = p.mean(axis=-2)
        all_pairs = r * r * ((mean @ weights) * mean).sum(axis=-1)
        same_rater = ((p @ weights) * p).sum(axis=(-1, -2))
        return sums[..., 0] / sums[..., 1], (all_pairs - same_rater) / (r * (r - 1))

    return Coefficient("Conger kappa", columns, of)


def _from_shares(name: str, table: Table, weights: Floats, chance: Callable[[Floats], Floats]) -> Coefficient:
    shares = table.counts / table.num_ratings[:, None]
    columns = np.column_stack([*item_agreement(table, weights), shares])

    def of(sums: Floats) -> tuple[Floats, Floats]:
        pi = sums[..., 2:] / sums[..., 2:].sum(axis=-1, keepdims=True)
        return sums[..., 0] / sums[..., 1], chance(pi)

    return Coefficient(name, columns, of)


def _result(coefficient: Coefficient) -> Agreement:
    sums = coefficient.columns.sum(axis=0)
    value = float(coefficient.values(sums))
    observed, expected = coefficient.of(sums)
    if not math.isfinite(value):
        raise MeasurementUndefined(
            f"{coefficient.name} is undefined: raters never differ in their choice, so all agreement is by chance",
            seen=f"expected agreement {float(expected):g}",
            next_step="report the observed agreement, Gwet's AC or Brennan-Prediger with all categories named",
        )
    return Agreement(value, float(observed), float(expected), round(float(sums[1])))


def _sorted(values: set[Any]) -> list[Any]:
    try:
        return sorted(values)
    except TypeError as error:
        raise MeasurementUndefined(
            "ratings of different kinds have no order", seen=str(list(values)[:5]), next_step="name the categories"
        ) from error


def _is_missing(value: Any) -> bool:
    if value is None or value == "":
        return True
    try:
        return math.isnan(value)
    except TypeError:
        return False
