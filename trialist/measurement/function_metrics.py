"""Metrics of a confusion matrix, of two groups, and ratios: functions of weighted column means.

Every column is an indicator measure of an item, 1 or 0: ``true_positive`` (positive and called so), ``false_positive``
(negative and called positive), ``false_negative``, ``true_negative``; ``confusion_columns`` makes all four. The
denominators cancel the number of items, so means serve as well as counts. A metric is NaN where its denominator is 0,
never 0: an estimator then says that it is undefined.

Missing items: where all of them equal to one row give the worst and best case (precision, recall, F), the rows are
what an item can be. Where a metric adds two shares with different denominators (Youden's J, balanced accuracy, a gap),
the worst case may split the missing items between the two; its rows then count a missing item in both denominators,
an outer bound that holds for every split.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trialist.errors import MeasurementUndefined
from trialist.measurement.metrics import Means, Metric

Floats = NDArray[np.float64]

CONFUSION = ("true_positive", "false_positive", "false_negative", "true_negative")
"""Names of the columns of ``confusion_columns``, in order."""


def confusion_columns(actual: ArrayLike, called: ArrayLike) -> Floats:
    """Indicators (n, 4) in the order of ``CONFUSION`` from boolean ``actual`` (n,) and ``called`` (n,)."""
    truth, verdict = np.asarray(actual), np.asarray(called)
    if truth.shape != verdict.shape or truth.ndim != 1 or not len(truth):
        raise MeasurementUndefined(
            "a confusion matrix needs a truth and a verdict for each item", seen=f"{truth.shape} and {verdict.shape}"
        )
    for name, values in (("truth", truth), ("verdict", verdict)):
        if not np.isin(values, [0, 1]).all():
            raise MeasurementUndefined(f"a {name} is neither true nor false", allowed="0, 1, False, True")
    t, v = truth.astype(bool), verdict.astype(bool)
    return np.stack([t & v, ~t & v, t & ~v, ~t & ~v], axis=1).astype(np.float64)


def precision(name: str = "precision", *, tp: str = CONFUSION[0], fp: str = CONFUSION[1]) -> Metric:
    """TP / (TP + FP): the share of positive verdicts that are right. Undefined without a positive verdict."""
    return _share_metric(name, tp, fp)


def recall(name: str = "recall", *, tp: str = CONFUSION[0], fn: str = CONFUSION[2]) -> Metric:
    """TP / (TP + FN), sensitivity: the share of positive items that are found. Undefined without a positive item."""
    return _share_metric(name, tp, fn)


def specificity(name: str = "specificity", *, tn: str = CONFUSION[3], fp: str = CONFUSION[1]) -> Metric:
    """TN / (TN + FP): the share of negative items that are left alone. Undefined without a negative item."""
    return _share_metric(name, tn, fp)


def f_score(
    beta: float = 1.0,
    name: str = "",
    *,
    tp: str = CONFUSION[0],
    fp: str = CONFUSION[1],
    fn: str = CONFUSION[2],
) -> Metric:
    """(1 + b^2) TP / ((1 + b^2) TP + b^2 FN + FP): F1 at b = 1, the harmonic mean of precision and recall.

    Undefined where nothing is positive, neither item nor verdict. van Rijsbergen 1979, chapter 7.
    """
    if not 0 < beta < math.inf:
        raise MeasurementUndefined("beta must be positive and finite", seen=str(beta), allowed="0 < beta < inf")
    b2 = beta * beta

    def of(means: Means) -> Means:
        hits = (1 + b2) * means[..., 0]
        return _quotient(hits, hits + means[..., 1] + b2 * means[..., 2])

    rows = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0), (0.0, 0.0, 0.0))
    return Metric(name or f"F{beta:g}", (tp, fp, fn), of, rows)


def youden_j(
    name: str = "Youden's J",
    *,
    tp: str = CONFUSION[0],
    fp: str = CONFUSION[1],
    fn: str = CONFUSION[2],
    tn: str = CONFUSION[3],
) -> Metric:
    """TP / (TP + FN) + TN / (TN + FP) - 1, in [-1, 1]; 0 for a verdict that doesn't look. Youden 1950, Cancer 3."""
    return _of_two_shares(name, (tp, fp, fn, tn), lambda found, spared: found + spared - 1, low=-1.0)


def balanced_accuracy(
    name: str = "balanced accuracy",
    *,
    tp: str = CONFUSION[0],
    fp: str = CONFUSION[1],
    fn: str = CONFUSION[2],
    tn: str = CONFUSION[3],
) -> Metric:
    """(TP / (TP + FN) + TN / (TN + FP)) / 2: the mean of sensitivity and specificity."""
    return _of_two_shares(name, (tp, fp, fn, tn), lambda found, spared: (found + spared) / 2, low=0.0)


def accuracy_gap(first: str, second: str, name: str = "", *, event: str = "correct") -> Metric:
    """Share with ``event`` among the items of group ``first`` minus that of group ``second``, in [-1, 1].

    Columns: ``<event>_<group>`` is 1 for an item of the group that has the event, ``in_<group>`` is 1 for an item of
    the group; all four are scored for every item. The sign is kept: |gap| is biased upwards and not smooth at 0, so
    it has no honest interval here.
    """
    columns = (f"{event}_{first}", f"in_{first}", f"{event}_{second}", f"in_{second}")

    def of(means: Means) -> Means:
        return _quotient(means[..., 0], means[..., 1]) - _quotient(means[..., 2], means[..., 3])

    rows = ((1.0, 1.0, 0.0, 1.0), (0.0, 1.0, 1.0, 1.0))
    return Metric(name or f"{event} gap {first} - {second}", columns, of, rows, low=-1.0)


def ratio(numerator: str, denominator: str, name: str = "", *, part: bool = True) -> Metric:
    """Mean of ``numerator`` over mean of ``denominator``, both measures in [0, 1].

    ``part``: the numerator is an event among the denominator's (at most it, item by item), so the ratio is a
    conditional share in [0, 1]. Otherwise it lies in [0, inf). Undefined where the denominator's mean is 0.
    """

    def of(means: Means) -> Means:
        return _quotient(means[..., 0], means[..., 1])

    rows = ((0.0, 1.0), (1.0, 1.0)) if part else ((0.0, 1.0), (1.0, 0.0))
    high, unit = (1.0, "share") if part else (math.inf, "ratio")
    return Metric(name or f"{numerator} / {denominator}", (numerator, denominator), of, rows, high=high, unit=unit)


def _share_metric(name: str, hit: str, miss: str) -> Metric:
    def of(means: Means) -> Means:
        return _quotient(means[..., 0], means[..., 0] + means[..., 1])

    return Metric(name, (hit, miss), of, ((1.0, 0.0), (0.0, 1.0), (0.0, 0.0)))


def _of_two_shares(
    name: str, columns: tuple[str, str, str, str], combine: Callable[[Means, Means], Means], *, low: float
) -> Metric:
    """A sum of sensitivity and specificity; a missing item counts as both kinds of error, or as both kinds of hit."""

    def of(means: Means) -> Means:
        tp, fp, fn, tn = (means[..., j] for j in range(4))
        return combine(_quotient(tp, tp + fn), _quotient(tn, tn + fp))

    return Metric(name, columns, of, ((0.0, 1.0, 1.0, 0.0), (1.0, 0.0, 0.0, 1.0)), low=low)


def _quotient(numerator: Means, denominator: Means) -> Means:
    """NaN where the denominator is 0."""
    defined = denominator > 0
    return np.where(defined, numerator / np.where(defined, denominator, 1.0), np.nan)
