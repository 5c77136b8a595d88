"""Predictions of a model's answers from other models' answers to the same items.

A predictor is any callable: the items answered so far, in order, and their values -> a prediction for every item of
the bank, shape (N,). It may use everything of *other* models, and of this model only what it is handed. It needs no
property for validity, only for savings; see ``variates.py``. Probabilities of an item response model are such a
callable too.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trialist.errors import MeasurementUndefined

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

NOISE = 0.1
"""Variance of an answer around a good prediction, for the strength of the priors: on public response matrices about
.1."""
LEVEL_SPREAD = 0.2
"""Prior standard deviation of a model's mean around the other models' mean."""
SLOPE_VARIANCE = 0.1
"""Prior variance of b, the slope beyond 1 on the other models' item means."""


class Predictor(Protocol):
    def __call__(self, items: Ints, values: Floats, /) -> Floats: ...


def mean_of_others(others: ArrayLike) -> Predictor:
    """The mean of the other models' answers to each item. ``others`` (N, M): items by models, complete.

    Needs no answer of the new model. Its level may be off: only its differences between items count.
    """
    means = check_answers(others).mean(axis=1)

    def predict(items: Ints, values: Floats, /) -> Floats:
        return means

    return predict


class FactorRidge:
    """Bayesian linear regression of the answers on the other models' item means and leading factors.

        x_i ~ mean_i + a + b (mean_i - mean of means) + sum_k w_k u_ik

    with u_k the leading left singular vectors of the other models' centred answers, scaled to mean square 1. The
    other models give the priors: w_k ~ N(0, mean square of their own loadings), a ~ N(0, ``LEVEL_SPREAD``^2), b ~
    N(0, 0.1); the residual variance is ``NOISE``. One factor plays the part of a two-parameter item response model
    (how strongly an item separates able from weak models) without its likelihood.

    ``others`` (N, M), complete, M >= 2. With few answers it is the mean of others; a prediction costs O(N K).
    """

    def __init__(self, others: ArrayLike, *, num_factors: int = 1) -> None:
        answers = check_answers(others)
        n, m = answers.shape
        if not 0 <= num_factors <= min(n, m) - 1:
            raise MeasurementUndefined(
                "too many factors for this matrix", seen=str(num_factors), allowed=f"0 to {min(n, m) - 1}"
            )
        self._means = answers.mean(axis=1)
        centred = answers - self._means[:, None]
        left, singular, _ = np.linalg.svd(centred, full_matrices=False)
        factors = left[:, :num_factors] * np.sqrt(n)
        loadings = singular[:num_factors] ** 2 / (n * m)
        self._features = np.column_stack([np.ones(n), self._means - self._means.mean(), factors])
        prior = np.concatenate([[LEVEL_SPREAD**2, SLOPE_VARIANCE], np.maximum(loadings, 1e-12)])
        self._penalty = np.diag(NOISE / prior)

    def __call__(self, items: Ints, values: Floats, /) -> Floats:
        seen = self._features[items]
        target = seen.T @ (values - self._means[items])
        gram: Floats = seen.T @ seen + self._penalty
        weights: Floats = np.asarray(np.linalg.solve(gram, target), dtype=np.float64)
        return self._means + self._features @ weights


def minus_known(predictor: Predictor, known: ArrayLike) -> Predictor:
    """For paired differences d_i = x_i - known_i with ``known`` (N,), the answers of a model that has been asked
    everything: the prediction of x minus what is known."""
    reference = np.asarray(known, dtype=np.float64)

    def predict(items: Ints, values: Floats, /) -> Floats:
        return predictor(items, values + reference[items]) - reference

    return predict


def check_answers(others: ArrayLike) -> Floats:
    answers = np.asarray(others, dtype=np.float64)
    if answers.ndim != 2 or min(answers.shape) < 1 or not np.isfinite(answers).all():
        raise MeasurementUndefined(
            "other models' answers must be a complete table, items by models",
            seen=f"shape {answers.shape}",
            allowed="finite values, at least one item and one model",
            next_step="leave out models with missing answers, or fill in what those models are predicted to answer",
        )
    return answers
