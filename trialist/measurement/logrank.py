"""Do two groups of runs have the same distribution of times to the event? The log-rank test, exact at few runs.

U = sum over event times of (events in group 1 - those expected given the risk set). Given the pooled data U is a sum of
one score per subject of group 1, a_i = seen_i - H(time_i) with H the pooled Nelson-Aalen estimate, so its permutation
distribution is that of a sum of n_1 scores drawn without replacement: all choices are enumerated where they are few.

A permutation p-value is exact where the labels are exchangeable under the null: times *and* budgets have the same
distribution in both groups (equal budgets by design). With different budgets use the chi-squared value, at many runs.
Mantel 1966; Peto & Peto 1972, J. R. Stat. Soc. A 135; strata: sums within each, labels permuted within each.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import chdtrc

from trialist.errors import MeasurementUndefined
from trialist.measurement.lifetimes import Lifetimes

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

MOST_ASSIGNMENTS = 50_000
"""Up to this many assignments of labels all are enumerated."""
TIE = 1e-9


@dataclass(frozen=True)
class LogRank:
    """``observed`` events in group 1 and ``expected`` ones; ``chi_squared`` (1 degree of freedom) with its asymptotic
    ``p_chi_squared``; ``p_value`` by permutation, two-sided, ``exact`` if all ``num_assignments`` were enumerated."""

    observed: float
    expected: float
    chi_squared: float
    p_chi_squared: float
    p_value: float
    exact: bool
    num_assignments: int


def log_rank(
    data: Lifetimes,
    group: ArrayLike,
    *,
    strata: ArrayLike | None = None,
    generator: np.random.Generator | None = None,
    num_draws: int = 9_999,
) -> LogRank:
    """Log-rank test of subjects with ``group`` (n,) 1 against 0, within ``strata`` (n,) labels (items) if given.

    p = share of assignments with |U| at or above that seen; above ``MOST_ASSIGNMENTS``, (1 + hits) / (1 + num_draws)
    with labels drawn by ``generator``, which is needed then. Raises MeasurementUndefined where no stratum has both
    groups and an event at which the test can differ.
    """
    first, blocks = _labels(data, group, strata)
    parts = [(_scores(data, block), first[block]) for block in blocks]
    u = sum(float(scores[mask].sum()) for scores, mask in parts)
    variance = sum(_variance(data, block, first[block]) for block in blocks)
    if variance <= 0:
        raise MeasurementUndefined(
            "no event at which both groups were at risk: nothing to compare", seen=f"{int(data.seen.sum())} events",
            next_step="more runs, or larger budgets",
        )  # fmt: skip
    chi_squared = u * u / variance
    observed = float(sum(data.seen[block][first[block]].sum() for block in blocks))
    count = math.prod(math.comb(len(mask), int(mask.sum())) for _, mask in parts)
    exact = count <= MOST_ASSIGNMENTS
    if exact:
        p_value = float((np.abs(_all_sums(parts)) >= abs(u) - TIE).mean())
    else:
        if generator is None:
            raise MeasurementUndefined(
                "too many assignments to enumerate", seen=f"{float(count):.3g}", allowed=f"{MOST_ASSIGNMENTS}",
                next_step="pass a generator for a Monte Carlo p-value",
            )  # fmt: skip
        hits = int((np.abs(_drawn_sums(parts, generator, num_draws)) >= abs(u) - TIE).sum())
        p_value = (1 + hits) / (1 + num_draws)
    p_chi = float(chdtrc(1, chi_squared))
    return LogRank(observed, observed - u, chi_squared, p_chi, p_value, exact, count)


def _labels(data: Lifetimes, group: ArrayLike, strata: ArrayLike | None) -> tuple[Mask, list[NDArray[np.int64]]]:
    """Members of group 1, and the rows of each stratum that has both groups."""
    g = np.asarray(group)
    rows = np.zeros(len(data.times)) if strata is None else np.asarray(strata)
    if g.shape != data.times.shape or rows.shape != g.shape or not np.isin(g, (0, 1)).all():
        raise MeasurementUndefined("each subject needs a group and a stratum", seen=str(g), allowed="groups 0 and 1")
    first = g == 1
    blocks = [np.flatnonzero(rows == label) for label in np.unique(rows)]
    blocks = [block for block in blocks if 0 < first[block].sum() < len(block)]
    if not blocks:
        raise MeasurementUndefined(
            "two groups to compare", seen=f"{int(first.sum())} of {len(g)} in group 1", allowed="both in some stratum"
        )
    return first, blocks


def _risk_sets(data: Lifetimes, block: NDArray[np.int64]) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Event times of the block (J,), events d (J,) and who is at risk at each (J, m)."""
    times, seen = data.times[block], data.seen[block]
    points = np.unique(times[seen])
    deaths = np.array([float((seen & (times == t)).sum()) for t in points])
    return points, deaths, times[None, :] >= points[:, None]


def _scores(data: Lifetimes, block: NDArray[np.int64]) -> Floats:
    """seen - H(time), H the Nelson-Aalen estimate of the block; they add up to 0."""
    _, deaths, risk = _risk_sets(data, block)
    hazard = (deaths / np.maximum(risk.sum(axis=1), 1)) @ risk
    return data.seen[block].astype(np.float64) - hazard


def _variance(data: Lifetimes, block: NDArray[np.int64], first: Mask) -> float:
    """Hypergeometric variance sum_j d_j (r_1j / r_j)(1 - r_1j / r_j)(r_j - d_j) / (r_j - 1)."""
    _, deaths, risk = _risk_sets(data, block)
    r = risk.sum(axis=1)
    share = risk[:, first].sum(axis=1) / np.maximum(r, 1)
    terms = deaths * share * (1 - share) * (r - deaths) / np.maximum(r - 1, 1)
    return float(terms.sum())


def _all_sums(parts: list[tuple[Floats, Mask]]) -> Floats:
    """U under every assignment: within a block all choices of group 1, over blocks all sums of these."""
    total = np.zeros(1)
    for scores, mask in parts:
        size = int(mask.sum())
        rows = np.array(list(combinations(range(len(scores)), size)), dtype=np.int64)
        total = (total[:, None] + scores[rows].sum(axis=1)[None, :]).ravel()
    return total


def _drawn_sums(parts: list[tuple[Floats, Mask]], generator: np.random.Generator, num_draws: int) -> Floats:
    """U under random assignments: the labels' keys are uniform, the smallest ones make group 1."""
    total = np.zeros(num_draws)
    for scores, mask in parts:
        order = generator.random((num_draws, len(scores))).argsort(axis=1)[:, : int(mask.sum())]
        total += scores[order].sum(axis=1)
    return total
