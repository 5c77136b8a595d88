"""Item response models: a predictor of answers that were not asked for. Never an estimate by themselves.

    P(model i passes item j) = s(a_j theta_i + d_j),    s the logistic function, theta_i ~ N(0, 1)

2PL has a discrimination a_j for each item, 1PL one a for all. Difficulty is b_j = -d_j / a_j.

USE ONLY AS A PREDICTOR inside an estimator that stays valid whatever the prediction (AIPW, a control variate of a
betting bound). The mean of predicted answers is a model's opinion: it has no design-based guarantee, and published
savings of such estimates are mostly against the full benchmark and not against a random subset of equal size. The fit
must not hold the model under test, nor be refitted on answers that it then predicts: calibrate on other models, then
``predict_for`` uses only answers seen so far.

Fit: marginal maximum a posteriori by EM over a grid of abilities (Bock & Aitkin 1981, Psychometrika 46). The priors are
weak, a_j ~ N(1, PRIOR_DISCRIMINATION^2), d_j ~ N(0, PRIOR_INTERCEPT^2): without them an item that all models pass has
no finite d. A normal prior lets a_j be negative, as a miskeyed item's is, and keeps each item's problem concave.

Grid: equally spaced nodes with normal weights (the trapezoidal rule) and not Gauss-Hermite's. A thousand items fix an
ability to about .07, while Gauss-Hermite needs about 800 nodes for a spacing of .08; on the even grid the error of the
rule falls like exp(-2 pi^2 (sd / spacing)^2). The nodes don't move, so that each EM step can only raise the objective.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, log_expit, logsumexp

from trialist.errors import MeasurementUndefined

Floats = NDArray[np.float64]
Kind = Literal["1PL", "2PL"]

PRIOR_DISCRIMINATION = 1.0
PRIOR_INTERCEPT = 3.0
NUM_NODES = 121
REACH = 5.0
"""Nodes from -REACH to REACH, spacing .083 by default."""
NUM_HALVINGS = 30
FAR = 1e-14
"""Nodes whose posterior weight, summed over models, is below this are left out of an M step."""


@dataclass(frozen=True)
class ItemResponseModel:
    """``discrimination`` and ``intercept`` (J,), one and the same discrimination for 1PL; ``ability`` and
    ``ability_error`` (M,): posterior mode of the models fitted, and 1 / sqrt(posterior information).
    ``objective``: log marginal likelihood plus log prior after each EM step, never falling. ``converged``: the last
    step raised it by less than the tolerance times the number of answers."""

    kind: Kind
    discrimination: Floats
    intercept: Floats
    ability: Floats
    ability_error: Floats
    objective: tuple[float, ...]
    converged: bool

    @property
    def difficulty(self) -> Floats:
        """b_j = -d_j / a_j; NaN where a_j is 0."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(self.discrimination == 0, np.nan, -self.intercept / self.discrimination)

    def predict(self, ability: ArrayLike) -> Floats:
        """Expected score s(a_j theta + d_j) of every item: abilities (...) -> (..., J)."""
        theta = np.asarray(ability, dtype=np.float64)
        if not np.isfinite(theta).all():
            raise MeasurementUndefined("an ability isn't finite", seen=str(theta))
        return expit(theta[..., None] * self.discrimination + self.intercept)

    def ability_of(self, responses: ArrayLike) -> tuple[float, float]:
        """Posterior mode of theta and its error from ``responses`` (J,), NaN where not seen yet; (0, 1) if none is."""
        y, seen = _responses(responses, one_row=True)
        if y.shape[1] != len(self.intercept):
            raise MeasurementUndefined(
                "one place for each item", seen=f"{y.shape[1]}", allowed=f"{len(self.intercept)}"
            )
        theta, error = _abilities(y, seen, self.discrimination, self.intercept)
        return float(theta[0]), float(error[0])

    def predict_for(self, responses_so_far: ArrayLike, items: ArrayLike) -> Floats:
        """Expected scores of ``items`` (k,), numbers of columns, from the answers seen so far (J,), NaN elsewhere.

        A predictable predictor: it reads answers that were given and nothing else, so its value is fixed before the
        next item is asked. Raises MeasurementUndefined where one of ``items`` was seen already.
        """
        index = np.asarray(items, dtype=np.int64)
        known = ~np.isnan(np.asarray(responses_so_far, dtype=np.float64))
        if index.ndim != 1 or (index < 0).any() or (index >= len(self.intercept)).any():
            raise MeasurementUndefined("items are numbers of columns", seen=str(index), allowed=f"0..{len(known) - 1}")
        if known[index].any():
            raise MeasurementUndefined(
                "an item to predict was answered already",
                seen=f"item {int(index[known[index]][0])}",
                allowed="items whose answer is NaN",
                next_step="predicting an answer from itself is not predictable: leave the item out, or hide its answer",
            )
        return self.predict(self.ability_of(responses_so_far)[0])[index]


def fit(
    responses: ArrayLike,
    kind: Kind = "2PL",
    *,
    num_steps: int = 500,
    tolerance: float = 1e-7,
    num_nodes: int = NUM_NODES,
) -> ItemResponseModel:
    """Fit to ``responses`` (M models, J items) in [0, 1], NaN where missing.

    Graded scores enter by the fractional likelihood y log p + (1 - y) log(1 - p). It fits the expected score, as
    quasi-likelihood does (Papke & Wooldridge 1996), and is not the density of a graded answer: ability errors then
    aren't standard errors. Missing cells are left out, which assumes that what is missing doesn't depend on the answer.
    Not converging in ``num_steps`` isn't an error, as a predictor needs no optimum; ``converged`` says so.

    Raises MeasurementUndefined for fewer than 2 models or items, values outside [0, 1], a model or an item without any
    answer, all answers equal.
    """
    y, seen = _responses(responses)
    if kind not in ("1PL", "2PL"):
        raise MeasurementUndefined("an unknown item response model", seen=str(kind), allowed="1PL, 2PL")
    if num_steps < 1 or num_nodes < 3:
        raise MeasurementUndefined("EM needs steps and nodes", seen=f"{num_steps}, {num_nodes}", allowed=">= 1, >= 3")
    nodes = np.linspace(-REACH, REACH, num_nodes)
    log_weights = -0.5 * nodes**2 - logsumexp(-0.5 * nodes**2)
    mask = seen.astype(np.float64)
    right, wrong = y * mask, (1 - y) * mask
    share = (right.sum(axis=0) + 0.5) / (seen.sum(axis=0) + 1)
    a, d = np.ones(y.shape[1]), np.log(share / (1 - share))
    objective: list[float] = []
    converged = False
    for _ in range(num_steps):
        value, posterior = _expect(right, wrong, a, d, nodes=nodes, log_weights=log_weights)
        objective.append(value)
        if len(objective) > 1 and value - objective[-2] < tolerance * seen.sum():
            converged = True
            break
        near = posterior.sum(axis=0) > FAR
        counts = _Counts(right.T @ posterior[:, near], mask.T @ posterior[:, near], nodes[near])
        # One Newton step: raising the objective is enough (generalised EM), maximising it isn't needed.
        a, d = _step_1pl(a, d, counts) if kind == "1PL" else _step_2pl(a, d, counts)
    theta, error = _abilities(y, seen, a, d)
    return ItemResponseModel(kind, a, d, theta, error, tuple(objective), converged)


@dataclass(frozen=True)
class _Counts:
    """Expected passes and answers of each item at each node, (J, Q); nodes (Q,)."""

    passes: Floats
    answers: Floats
    nodes: Floats


def _expect(
    right: Floats, wrong: Floats, a: Floats, d: Floats, *, nodes: Floats, log_weights: Floats
) -> tuple[float, Floats]:
    """Log marginal likelihood plus log prior, and the posterior of each model over the nodes (M, Q)."""
    logits = a[:, None] * nodes + d[:, None]
    log_p = log_expit(logits)
    logs = right @ log_p + wrong @ (log_p - logits) + log_weights
    total = logsumexp(logs, axis=1, keepdims=True)
    return float(total.sum()) + float(_log_prior(a, d).sum()), np.exp(logs - total)


def _log_prior(a: Floats, d: Floats) -> Floats:
    return -0.5 * ((a - 1) / PRIOR_DISCRIMINATION) ** 2 - 0.5 * (d / PRIOR_INTERCEPT) ** 2


def _expected_objective(a: Floats, d: Floats, counts: _Counts) -> Floats:
    """What the M step raises, for each item (J,)."""
    logits = a[:, None] * counts.nodes + d[:, None]
    return (counts.answers * log_expit(logits) - (counts.answers - counts.passes) * logits).sum(axis=1) + _log_prior(
        a, d
    )


def _derivatives(a: Floats, d: Floats, counts: _Counts) -> tuple[Floats, Floats, Floats, Floats, Floats]:
    """Gradient in a and d and the (negative) Hessian's aa, ad, dd for each item, priors included."""
    p = expit(a[:, None] * counts.nodes + d[:, None])
    residual, curve = counts.passes - counts.answers * p, counts.answers * p * (1 - p)
    t = counts.nodes
    grad_a = residual @ t - (a - 1) / PRIOR_DISCRIMINATION**2
    grad_d = residual.sum(axis=1) - d / PRIOR_INTERCEPT**2
    haa, had, hdd = curve @ t**2 + PRIOR_DISCRIMINATION**-2, curve @ t, curve.sum(axis=1) + PRIOR_INTERCEPT**-2
    return grad_a, grad_d, haa, had, hdd


def _step_2pl(a: Floats, d: Floats, counts: _Counts) -> tuple[Floats, Floats]:
    """A Newton step for each item; halved for the items where it would lower the objective."""
    grad_a, grad_d, haa, had, hdd = _derivatives(a, d, counts)
    det = haa * hdd - had**2
    step_a, step_d = (hdd * grad_a - had * grad_d) / det, (haa * grad_d - had * grad_a) / det
    before, length = _expected_objective(a, d, counts), np.ones_like(a)
    for _ in range(NUM_HALVINGS):
        worse = _expected_objective(a + length * step_a, d + length * step_d, counts) < before - 1e-12
        if not worse.any():
            return a + length * step_a, d + length * step_d
        length = np.where(worse, length / 2, length)
    return a, d  # no item's step helps any more


def _step_1pl(a: Floats, d: Floats, counts: _Counts) -> tuple[Floats, Floats]:
    """A joint Newton step for one a and all d_j; the prior of a counts once for each item, as in 2PL."""
    grad_a, grad_d, haa, had, hdd = _derivatives(a, d, counts)
    step_a = float((grad_a.sum() - (had * grad_d / hdd).sum()) / (haa.sum() - (had**2 / hdd).sum()))
    step_d = (grad_d - had * step_a) / hdd
    before, length = float(_expected_objective(a, d, counts).sum()), 1.0
    while length > 1e-9 and float(_expected_objective(a + length * step_a, d + length * step_d, counts).sum()) < before:
        length /= 2
    return (a, d) if length <= 1e-9 else (a + length * step_a, d + length * step_d)


def _abilities(y: Floats, seen: NDArray[np.bool_], a: Floats, d: Floats) -> tuple[Floats, Floats]:
    """Posterior mode of each row's theta by bisection on the falling score, which no start can throw off; its error."""
    right, mask = (y * seen) @ a, seen.astype(np.float64)

    def score(theta: Floats) -> Floats:
        return right - (mask * expit(theta[:, None] * a + d)) @ a - theta

    reach = 1.0 + float(np.abs(a).sum())
    low, high = np.full(len(y), -reach), np.full(len(y), reach)
    for _ in range(60):
        middle = (low + high) / 2
        up = score(middle) > 0
        low, high = np.where(up, middle, low), np.where(up, high, middle)
    theta = (low + high) / 2
    p = expit(theta[:, None] * a + d)
    return theta, 1 / np.sqrt(1 + (mask * p * (1 - p)) @ a**2)


def _responses(responses: ArrayLike, *, one_row: bool = False) -> tuple[Floats, NDArray[np.bool_]]:
    """Responses with 0 where missing, and where they are not missing."""
    y = np.asarray(responses, dtype=np.float64)
    y = y[None] if one_row and y.ndim == 1 else y
    if y.ndim != 2 or (one_row and len(y) != 1) or (not one_row and min(y.shape) < 2):
        raise MeasurementUndefined(
            "item responses have a wrong shape", seen=str(y.shape),
            allowed="(J,)" if one_row else "(models, items), 2 or more of each",
        )  # fmt: skip
    seen = np.logical_not(np.isnan(y))
    if (seen & ~((y >= 0) & (y <= 1))).any():
        raise MeasurementUndefined("responses must lie in [0, 1]", seen=f"[{np.nanmin(y)}, {np.nanmax(y)}]")
    if one_row:
        return np.where(seen, y, 0.0), seen
    if not (seen.any(axis=0).all() and seen.any(axis=1).all()):
        raise MeasurementUndefined(
            "a model or an item without any answer", seen=f"{int((~seen.any(axis=1)).sum())} models, "
            f"{int((~seen.any(axis=0)).sum())} items", next_step="leave them out",
        )  # fmt: skip
    if np.ptp(y[seen]) == 0:
        raise MeasurementUndefined("all answers are the same: nothing to fit", seen=str(y[seen][0]))
    return np.where(seen, y, 0.0), seen
