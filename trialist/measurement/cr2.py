"""Bias-reduced linearisation (CR2) for the item-weighted mean of few or unequal clusters.

CR1 multiplies every cluster's residual by the same factor. A large cluster pulls the mean to itself, so its residual is
too small by more: CR2 corrects each by its own leverage, and Satterthwaite's degrees of freedom say how much the
variance estimate is worth. Both are exact if items are independent with equal variance, and serve any correlation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from trialist.errors import MeasurementUndefined
from trialist.measurement.clustered import Clusters
from trialist.measurement.interval import Interval, t_quantile


@dataclass(frozen=True)
class Robust:
    """``interval`` is value +- t_degrees * standard_error."""

    value: float
    standard_error: float
    degrees: float
    interval: Interval


def cr2(clusters: Clusters, level: float = 0.95) -> Robust:
    """CR2 standard error, Satterthwaite degrees of freedom and t interval of s = sum(n_c Y_c) / sum(n_c).

    With h_c = n_c / sum(n) (the leverage) and u_c = h_c^2 / (1 - h_c):

        SE^2    = sum_c h_c^2 (Y_c - s)^2 / (1 - h_c)
        degrees = 1 / (sum h_c^2 + (sum u_c)^2 - sum u_c^2)

    This is least squares with only an intercept under the working model Var(Y_c) = sigma^2 / n_c (independent items of
    equal variance): A_c = (I - 11'/n)^(-1/2) acts on the sum of a cluster's residuals as 1 / sqrt(1 - h_c). Clusters of
    one size give CR1 and C - 1 degrees of freedom; unequal ones fewer. Near 0 or 1 no t interval is good: see the
    beta-binomial. Raises MeasurementUndefined for fewer than two clusters and where all cluster means are equal.
    Bell & McCaffrey 2002, Survey Methodology 28; Pustejovsky & Tipton 2018, J. Bus. Econ. Stat. 36, sections 2 and 4.
    """
    num = len(clusters.means)
    if num < 2:
        raise MeasurementUndefined("CR2 needs at least two clusters", seen=f"{num} cluster", allowed="2 or more")
    if not (np.isfinite(clusters.means).all() and np.isfinite(clusters.sizes).all() and (clusters.sizes > 0).all()):
        raise MeasurementUndefined("cluster means must be finite, sizes finite and above 0")
    share = clusters.sizes / clusters.sizes.sum()
    rest = (clusters.sizes.sum() - clusters.sizes) / clusters.sizes.sum()
    if rest.min() <= 1e-9:
        raise MeasurementUndefined(
            "one cluster has all the weight, so the spread between clusters can't be estimated",
            seen=f"a share of {share.max():.10g}", next_step="weights that leave others a say",
        )  # fmt: skip
    value = float(share @ clusters.means)
    error = math.sqrt(float((share**2 * (clusters.means - value) ** 2 / rest).sum()))
    if error <= 1e-12 * max(1.0, float(abs(clusters.means).max())):
        raise MeasurementUndefined(
            "all cluster means are equal, so their spread can't be estimated",
            seen=f"{num} clusters at {value:g}",
            next_step="use cluster_bound or betting, which hold without a variance",
        )
    u = share**2 / rest
    degrees = 1 / float((share**2).sum() + u.sum() ** 2 - (u**2).sum())
    half = t_quantile(level, degrees) * error
    return Robust(value, error, degrees, Interval(value - half, value + half))
