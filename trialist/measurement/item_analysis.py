"""Which items of a benchmark do their work: difficulty, discrimination, dead, miskeyed and doubled items.

A flag is a reason to read the item, not to drop it. Dropping flagged items and reporting the rest on the same models
changes the estimand after the data.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trialist.errors import MeasurementUndefined
from trialist.measurement.adjust import holm
from trialist.measurement.interval import check_share, normal_quantile

Floats = NDArray[np.float64]
FlagKind = Literal["all pass", "all fail", "constant", "miskeyed", "duplicate"]

MIN_MODELS = 10
MAX_EXACT = 100
"""Up to this many models the rank-sum distribution is counted out; beyond, its normal approximation."""
MIN_DEVIATING = 3
"""Two items count as duplicates only if this many models deviate from the most common score: easy items agree by
chance."""


@dataclass(frozen=True)
class Flag:
    item: int
    kind: FlagKind
    reason: str


@dataclass(frozen=True)
class ItemAnalysis:
    """Arrays over items (J,). ``difficulty``: the mean score, 1 the easiest. ``discrimination``: corrected item-rest
    correlation with the interval ``low`` to ``high``, NaN for items that don't vary (and no interval at +-1).
    ``p_negative``: Holm-adjusted over the items that vary, 1 for the others. ``identical_models``: groups of models
    with the same answer everywhere; each group is one model counted several times."""

    difficulty: Floats
    discrimination: Floats
    low: Floats
    high: Floats
    p_negative: Floats
    flags: tuple[Flag, ...]
    identical_models: tuple[tuple[int, ...], ...]
    num_models: int

    def flagged(self, kind: FlagKind) -> list[int]:
        return [flag.item for flag in self.flags if flag.kind == kind]


def analyse_items(
    responses: ArrayLike, *, level: float = 0.95, alpha: float = 0.05, bounds: tuple[float, float] = (0.0, 1.0)
) -> ItemAnalysis:
    """Item analysis of ``responses`` (M models, J items) within ``bounds``, without missing cells.

    - Discrimination: r_j = corr(x_j, mean of the model's other items), interval tanh(artanh r +- z / sqrt(M - 3))
      (Fisher 1921). It is derived for normal scores; for items of 0 and 1 against 30 others it covered .93 to .98 at
      15 to 100 models, where a distribution-free standard error came down to .88 for hard items.
    - Miskeyed: the models that pass rank low on all other items. One-sided exact rank-sum test of the rest scores of
      the models above the item's mean score against the others, mid-ranks for ties; p = 1 where r_j is not negative.
      Flagged where the p-value, adjusted by Holm over the items, is at most ``alpha``. The null is that passing
      has nothing to do with the other items, models exchangeable; models of one family are more alike than that, so
      the number of families counts. With few models no item can reach the level: C(M, k) orders exist for k passes.
    - Dead: all models at one score. Duplicates: the same score from every model, where at least 3 models deviate.

    Raises MeasurementUndefined for fewer than 10 models or 3 items, missing cells, values outside ``bounds``, no item
    that varies. Lord & Novick 1968, chapter 15; Mann & Whitney 1947.
    """
    x = _check(responses, bounds)
    check_share("alpha", alpha)
    models = len(x)
    rest = (x.sum(axis=1, keepdims=True) - x) / (x.shape[1] - 1)
    live = np.ptp(x, axis=0) > 0
    if not live.any():
        raise MeasurementUndefined("no item varies over the models", seen=f"{x.shape[1]} items, each with one score")
    r, low, high = (np.full(x.shape[1], np.nan) for _ in range(3))
    r[live], low[live], high[live] = _correlations(x[:, live], rest[:, live], level)
    p = np.ones(x.shape[1])
    p[live] = holm([_p_negative(x[:, j], rest[:, j]) if r[j] < 0 else 1.0 for j in np.flatnonzero(live)])
    flags = [*_dead(x, live, bounds), *_miskeyed(x, rest, r=r, p=p, alpha=alpha), *_duplicates(x)]
    return ItemAnalysis(
        difficulty=x.mean(axis=0), discrimination=r, low=low, high=high, p_negative=p,
        flags=tuple(sorted(flags, key=lambda flag: flag.item)), identical_models=tuple(_groups(x)), num_models=models,
    )  # fmt: skip


def rank_sum_p(scores: NDArray[np.int64], chosen: NDArray[np.bool_]) -> float:
    """P(W <= w) with w the sum of the ``chosen`` (n,) of ``scores`` (n,), whole numbers above 0, and W that of as many
    drawn without replacement.

    Counted out up to ``MAX_EXACT`` scores. Beyond, normal with a continuity correction: sums without replacement have
    lighter tails than a normal variable, so that small p-values come out too large, not too small.
    """
    num, k, w = len(scores), int(chosen.sum()), int(scores[chosen].sum())
    if num > MAX_EXACT:
        variance = k * (num - k) / (num - 1) * float(scores.var())
        return math.erfc((k * float(scores.mean()) - w - 0.5) / math.sqrt(2 * variance)) / 2
    if 2 * k <= num:
        return min(1.0, float(_subset_sums(scores, k)[: w + 1].sum()))
    return min(1.0, float(_subset_sums(scores, num - k)[int(scores.sum()) - w :].sum()))


def _subset_sums(scores: NDArray[np.int64], k: int) -> Floats:
    """Probabilities of the sums 0.. of k of the scores."""
    table = np.zeros((k + 1, int(scores.sum()) + 1))
    table[0, 0] = 1.0
    for value in scores:
        # From the right-hand side as it was, so that each score is used once.
        table[1:, value:] += table[:-1, :-value].copy()
    return table[k] / table[k].sum()


def _p_negative(item: Floats, rest: Floats) -> float:
    _, place, counts = np.unique(np.round(rest, 12), return_inverse=True, return_counts=True)
    doubled_mid_ranks = 2 * np.cumsum(counts) - counts + 1
    return rank_sum_p(doubled_mid_ranks[place], item > item.mean())


def _correlations(x: Floats, rest: Floats, level: float) -> tuple[Floats, Floats, Floats]:
    spread = rest.std(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        zx, zy = (x - x.mean(axis=0)) / x.std(axis=0), (rest - rest.mean(axis=0)) / spread
        r = np.where(spread > 1e-12, np.clip((zx * zy).mean(axis=0), -1, 1), np.nan)
        half = normal_quantile(level) / np.sqrt(len(x) - 3)
        low, high = np.tanh(np.arctanh(r) - half), np.tanh(np.arctanh(r) + half)
    known = np.abs(r) < 1 - 1e-9
    return r, np.where(known, low, np.nan), np.where(known, high, np.nan)


def _dead(x: Floats, live: NDArray[np.bool_], bounds: tuple[float, float]) -> list[Flag]:
    flags: list[Flag] = []
    for j in np.flatnonzero(~live):
        score = float(x[0, j])
        kind: FlagKind = "all fail" if score == bounds[0] else "all pass" if score == bounds[1] else "constant"
        flags.append(Flag(int(j), kind, f"all {len(x)} models score {score:g}: it can't tell models apart"))
    return flags


def _miskeyed(x: Floats, rest: Floats, *, r: Floats, p: Floats, alpha: float) -> list[Flag]:
    flags: list[Flag] = []
    third = max(1, len(x) // 3)
    for j in np.flatnonzero((p <= alpha) & (r < 0)):
        order = np.argsort(rest[:, j], kind="stable")
        best, worst = x[order[-third:], j].mean(), x[order[:third], j].mean()
        reason = (
            f"the best third of the models scores {best:.2f} on it, the weakest third {worst:.2f}; item-rest "
            f"correlation {r[j]:.2f}, adjusted p {p[j]:.2g}: read the key"
        )
        flags.append(Flag(int(j), "miskeyed", reason))
    return flags


def _duplicates(x: Floats) -> list[Flag]:
    flags: list[Flag] = []
    for group in _groups(x.T):
        column = x[:, group[0]]
        deviating = len(x) - int(np.unique(column, return_counts=True)[1].max())
        if deviating < MIN_DEVIATING:
            continue
        for j in group:
            others = ", ".join(str(k) for k in group if k != j)
            reason = f"each of the {len(x)} models scores as on item {others}; {deviating} deviate from the commonest"
            flags.append(Flag(j, "duplicate", reason))
    return flags


def _groups(rows: Floats) -> list[tuple[int, ...]]:
    """Groups of identical rows, two or more each."""
    inverse = np.unique(rows, axis=0, return_inverse=True)[1].reshape(-1)
    members = [np.flatnonzero(inverse == code) for code in np.flatnonzero(np.bincount(inverse) > 1)]
    return sorted(tuple(int(i) for i in group) for group in members)


def _check(responses: ArrayLike, bounds: tuple[float, float]) -> Floats:
    x = np.asarray(responses, dtype=np.float64)
    if x.ndim != 2 or len(x) < MIN_MODELS or x.shape[1] < 3:
        raise MeasurementUndefined(
            "item analysis needs many models: discrimination is a correlation over models",
            seen=f"shape {x.shape}",
            allowed=f"(models, items), {MIN_MODELS} models and 3 items or more",
        )
    if not np.isfinite(x).all():
        raise MeasurementUndefined(
            "item analysis needs every model's score on every item",
            seen=f"{int((~np.isfinite(x)).sum())} cells missing or not finite",
            next_step="keep the models that answered all, or the items that all answered",
        )
    if not (bounds[0] < bounds[1] and (x >= bounds[0]).all() and (x <= bounds[1]).all()):
        raise MeasurementUndefined("scores outside their bounds", seen=f"[{x.min()}, {x.max()}]", allowed=f"{bounds}")
    return x
