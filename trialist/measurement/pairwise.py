"""Pairwise comparisons: Bradley-Terry strengths with a covariance that takes the prompt as the unit.

P(i beats j) = s_i / (s_i + s_j), with log strengths b_i = ln s_i summing to 0 (geometric mean of s is 1). Battles on
one prompt share what the prompt rewards, so they are not independent: the sandwich sums the scores of a prompt before
squaring. Bradley & Terry 1952, Biometrika 39; Ford 1957, Am. Math. Monthly 64; Liang & Zeger 1986.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, stdtr

from trialist.errors import MeasurementUndefined
from trialist.measurement.interval import Interval, t_quantile

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]
MAX_STEPS = 100
TOLERANCE = 1e-12


@dataclass(frozen=True)
class PairContrast:
    """``log_odds`` of the first beating the second, ``probability`` of it with ``interval``, ``p_value`` two-sided for
    equal strength."""

    log_odds: float
    standard_error: float
    probability: float
    interval: Interval
    p_value: float


@dataclass(frozen=True)
class BradleyTerry:
    """Players in sorted order; ``strengths`` (K,) with geometric mean 1; ``covariance`` (K, K) of the log strengths,
    singular in the direction of a common factor; t quantiles with ``num_clusters`` - 1 degrees of freedom."""

    players: tuple[str, ...]
    strengths: Floats
    covariance: Floats
    num_clusters: int
    num_battles: int
    num_steps: int

    def interval(self, player: str, level: float = 0.95) -> Interval:
        """For the strength relative to the geometric mean, on the log scale."""
        k = self._place(player)
        half = t_quantile(level, self.num_clusters - 1) * math.sqrt(self.covariance[k, k])
        b = math.log(self.strengths[k])
        return Interval(math.exp(b - half), math.exp(b + half))

    def contrast(self, first: str, second: str, level: float = 0.95) -> PairContrast:
        """``first`` against ``second``; of K players there are K (K - 1)/2 of these, so correct for the choice."""
        i, j = self._place(first), self._place(second)
        if i == j:
            raise MeasurementUndefined("a contrast needs two players", seen=f"{first} twice")
        gap = math.log(self.strengths[i]) - math.log(self.strengths[j])
        variance = self.covariance[i, i] + self.covariance[j, j] - 2 * self.covariance[i, j]
        error = math.sqrt(max(0.0, float(variance)))
        half = t_quantile(level, self.num_clusters - 1) * error
        limits = Interval(float(expit(gap - half)), float(expit(gap + half)))
        p_value = float(2 * stdtr(self.num_clusters - 1, -abs(gap) / error))
        return PairContrast(gap, error, float(expit(gap)), limits, p_value)

    def _place(self, player: str) -> int:
        if player not in self.players:
            raise MeasurementUndefined("unknown player", seen=player, allowed=", ".join(self.players))
        return self.players.index(player)


def bradley_terry(
    first: Sequence[str],
    second: Sequence[str],
    score: ArrayLike,
    cluster: ArrayLike | None = None,
) -> BradleyTerry:
    """Maximum likelihood by Newton's method; covariance H^+ (C/(C-1) sum_c g_c g_c^T) H^+.

    ``first`` and ``second`` (n,) name the players of a battle, ``score`` (n,) is 1 where the first won, 0 where the
    second did, 1/2 for a tie (half a win each, which models no tie rate). ``cluster`` (n,) is the prompt; None: each
    battle is its own. H is the negative Hessian, g_c the score of prompt c, + the pseudo-inverse.

    Raises MeasurementUndefined unless the players are strongly connected by "beat or tied" (Ford's condition):
    otherwise some player or group would get a strength of 0 or infinity, and it is named. Also for one cluster, for a
    battle of a player with itself, for scores outside [0, 1], and where the scores of all prompts vanish.
    """
    players, i, j, y, codes = _battles(first, second, score, cluster)
    check_connected(players, i, j, y)
    b, num_steps = _newton(i, j, y, len(players))
    residual = y - expit(b[i] - b[j])
    inverse = np.linalg.pinv(_information(i, j, b), hermitian=True)
    num = int(codes.max()) + 1
    if num < 2:
        raise MeasurementUndefined("a covariance needs at least two clusters", seen="1 cluster", allowed="2 or more")
    scores = np.zeros((num, len(players)))
    np.add.at(scores, (codes, i), residual)
    np.add.at(scores, (codes, j), -residual)
    covariance = inverse @ (num / (num - 1) * scores.T @ scores) @ inverse
    if float(np.trace(covariance)) <= 1e-20:
        raise MeasurementUndefined(
            "every cluster agrees exactly with the fit, so the spread is unknown", seen=f"{num} clusters",
            next_step="more prompts",
        )  # fmt: skip
    return BradleyTerry(players, np.exp(b), covariance, num, len(y), num_steps)


def check_connected(players: tuple[str, ...], i: Codes, j: Codes, y: Floats) -> None:
    """Ford's condition: however the players are split in two, each part has beaten or tied the other somewhere."""
    k = len(players)
    wins = np.zeros((k, k), dtype=np.bool_)
    wins[i[y > 0], j[y > 0]] = True
    wins[j[y < 1], i[y < 1]] = True
    reach = wins | np.eye(k, dtype=np.bool_)
    for _ in range(k.bit_length()):
        reach = (reach.astype(np.float64) @ reach) > 0
    together = reach & reach.T
    if together.all():
        return
    crossing = wins & ~together
    unbeaten = [players[p] for p in range(k) if not (crossing.any(axis=0) & together[p]).any()]
    winless = [players[p] for p in range(k) if not (crossing.any(axis=1) & together[p]).any()]
    raise MeasurementUndefined(
        "strengths are undefined: the players are not strongly connected by wins",
        seen=f"never beaten or tied from outside their group: {', '.join(unbeaten)}; "
        f"never won or tied outside their group: {', '.join(winless)}",
        allowed="every group of players has beaten or tied some player outside it (Ford 1957)",
        next_step="more battles for the players named, or leave them out and say so",
    )


def _newton(i: Codes, j: Codes, y: Floats, num_players: int) -> tuple[Floats, int]:
    """Log strengths with mean 0. The likelihood is concave; a step that would lower it is halved."""
    b = np.zeros(num_players)
    best = _log_likelihood(i, j, y, b)
    for step in range(1, MAX_STEPS + 1):
        residual = y - expit(b[i] - b[j])
        gradient = np.bincount(i, residual, num_players) - np.bincount(j, residual, num_players)
        if np.abs(gradient).max() <= TOLERANCE * len(y):
            return b, step
        move = np.linalg.pinv(_information(i, j, b), hermitian=True) @ gradient
        scale, found = 1.0, _log_likelihood(i, j, y, b + move)
        while found < best - 1e-12 * abs(best) and scale > 1e-10:
            scale /= 2
            found = _log_likelihood(i, j, y, b + scale * move)
        b, best = b + scale * move, found
        b -= b.mean()
    raise MeasurementUndefined(
        "Bradley-Terry did not converge", seen=f"{MAX_STEPS} steps", next_step="look for players with hardly any battle"
    )


def _information(i: Codes, j: Codes, b: Floats) -> Floats:
    """Negative Hessian (K, K): a weighted Laplacian with weights p (1 - p)."""
    p = expit(b[i] - b[j])
    h = np.zeros((len(b), len(b)))
    np.add.at(h, (i, j), -p * (1 - p))
    h = h + h.T
    return h - np.diag(h.sum(axis=1))


def _log_likelihood(i: Codes, j: Codes, y: Floats, b: Floats) -> float:
    gap = b[i] - b[j]
    return float((y * gap - np.logaddexp(0.0, gap)).sum())


def _battles(
    first: Sequence[str], second: Sequence[str], score: ArrayLike, cluster: ArrayLike | None
) -> tuple[tuple[str, ...], Codes, Codes, Floats, Codes]:
    y = np.asarray(score, dtype=np.float64)
    n = len(y)
    labels = np.arange(n) if cluster is None else np.asarray(cluster)
    if n == 0 or not (len(first) == len(second) == len(labels) == n):
        raise MeasurementUndefined(
            "each battle needs two players, a score and a cluster",
            seen=f"{len(first)}, {len(second)}, {n}, {len(labels)}",
        )
    if not ((y >= 0) & (y <= 1)).all():
        raise MeasurementUndefined("a score is 1 (first won), 0 (second won) or 1/2", seen=f"{y.min()} to {y.max()}")
    names, codes = np.unique(np.array([*first, *second], dtype=str), return_inverse=True)
    i, j = codes[:n].astype(np.int64), codes[n:].astype(np.int64)
    if (i == j).any():
        raise MeasurementUndefined("a player can't battle itself", seen=str(names[i[i == j][0]]))
    clusters = np.unique(labels, return_inverse=True)[1].astype(np.int64)
    return tuple(names.tolist()), i, j, y, clusters
