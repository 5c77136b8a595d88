"""Empirical-Bayes shrinkage of many noisy means towards what the others suggest. Describes; carries no claim.

    y_i ~ N(theta_i, V_i) with V_i known,    theta_i ~ N(x_i' beta, A)
    E[theta_i | y] = (1 - B_i) y_i + B_i x_i' beta,    B_i = V_i / (V_i + A)

For a list of groups x_i' beta is their common mean; for models x benchmarks it is mu + model + benchmark, with fixed
effects, and A is the variance of the interaction. A comes from the marginal likelihood of the residuals (REML).

What the intervals promise: they hold the level on average over the groups that the model describes, not for each group.
A group far from the others is pulled too far, and its interval covers less often than the level; that is the price of
the smaller mean squared error (Morris 1983, J. Am. Stat. Assoc. 78). So nothing here may carry a claim about
one model or one benchmark.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trialist.errors import MeasurementUndefined
from trialist.measurement.interval import normal_quantile

Floats = NDArray[np.float64]

MIN_FREE = 3
"""Fewest groups beyond the number of fitted effects: Morris's interval divides by this number minus 2."""
NUM_GRID = 40
NUM_ZOOMS = 5


@dataclass(frozen=True)
class Shrunk:
    """All arrays have the shape of the input, NaN where it had no value. ``values`` are posterior means, ``low`` and
    ``high`` the empirical-Bayes interval, ``expected`` x_i' beta, ``weights`` B_i in [0, 1): how far each was pulled.
    ``variance`` is the REML estimate of A, ``num_free`` the groups beyond the ``num_effects`` fitted."""

    raw: Floats
    values: Floats
    low: Floats
    high: Floats
    expected: Floats
    weights: Floats
    variance: float
    num_effects: int
    num_free: int
    level: float


def shrink(values: ArrayLike, standard_errors: ArrayLike, *, level: float = 0.95) -> Shrunk:
    """Groups around one mean: ``values`` (k,) with known ``standard_errors`` (k,), independent, roughly normal.

    Posterior mean with Morris's correction for the estimated A, B_i = (k - r - 2)/(k - r) V_i / (V_i + A), and interval
    theta_i +- z s_i,

        s_i^2 = V_i (1 - (1 - h_i) B_i) + v_i (y_i - x_i' beta)^2,
        v_i   = 2 / (k - r - 2) B_i^2 (V_bar + A) / (V_i + A),

    h_i the leverage of i in the weighted fit, r the number of effects (here 1), V_bar the mean of V_i weighted by
    1 / (V_i + A). Morris 1983, for unequal V_i. We take A by REML; his moment iteration solves an equation close to it.
    The standard errors count as known: a share's own p (1 - p) / n is correlated with it and 0 at both ends.
    Values and limits aren't cut to a range: shrink shares near 0 or 1 as logits.

    Raises MeasurementUndefined for fewer than 4 groups, values that aren't finite, standard errors that aren't above 0.
    """
    y = np.asarray(values, dtype=np.float64)
    if y.ndim != 1:
        raise MeasurementUndefined("shrink takes one list of groups", seen=f"shape {y.shape}", allowed="(k,)")
    if np.isnan(y).any():
        raise MeasurementUndefined("a group has no value", seen=str(y), next_step="leave groups without a value out")
    return _shrink(y, standard_errors, np.ones((len(y), 1)), level)


def shrink_table(values: ArrayLike, standard_errors: ArrayLike, *, level: float = 0.95) -> Shrunk:
    """Models x benchmarks: ``values`` and ``standard_errors`` (M, K), NaN where a model has no value on a benchmark.

    Each cell is pulled towards mu + model + benchmark, by the same formulas as ``shrink`` with r = M + K - 1. Errors
    count as independent; the part that the models of a benchmark share, because they answered the same items, goes into
    the benchmark's effect. Missing cells are not predicted.

    Raises MeasurementUndefined for a table that leaves fewer than 3 free cells or isn't connected (then model and
    benchmark effects can't be told apart), and as ``shrink`` does.
    """
    y = np.asarray(values, dtype=np.float64)
    if y.ndim != 2:
        raise MeasurementUndefined("shrink_table takes models x benchmarks", seen=f"shape {y.shape}", allowed="(M, K)")
    models, benchmarks = y.shape
    model_columns = np.repeat(np.eye(models)[:, 1:], benchmarks, axis=0)
    benchmark_columns = np.tile(np.eye(benchmarks)[:, 1:], (models, 1))
    design = np.concatenate([np.ones((y.size, 1)), model_columns, benchmark_columns], axis=1)
    return _shrink(y, standard_errors, design, level)


def _shrink(y: Floats, standard_errors: ArrayLike, design: Floats, level: float) -> Shrunk:
    z = normal_quantile(level)
    errors = np.asarray(standard_errors, dtype=np.float64)
    if errors.shape != y.shape:
        raise MeasurementUndefined("a standard error for each value", seen=f"{errors.shape}", allowed=f"{y.shape}")
    used = ~np.isnan(y).reshape(-1)
    obs, spread, x = y.reshape(-1)[used], errors.reshape(-1)[used], design[used]
    _check(obs, spread, x)
    variances = spread**2
    a = _reml(obs, variances, x)
    k, r = x.shape
    w = 1 / (variances + a)
    gram = np.linalg.inv(x.T @ (w[:, None] * x))
    expected = x @ (gram @ (x.T @ (w * obs)))
    leverage = w * np.einsum("ij,jk,ik->i", x, gram, x)
    pull = (k - r - 2) / (k - r) * variances * w
    typical = float(w @ variances / w.sum())
    doubt = 2 / (k - r - 2) * pull**2 * (typical + a) * w
    s = np.sqrt(variances * (1 - (1 - leverage) * pull) + doubt * (obs - expected) ** 2)
    mean = (1 - pull) * obs + pull * expected

    def whole(part: Floats) -> Floats:
        full = np.full(y.size, np.nan)
        full[used] = part
        return full.reshape(y.shape)

    low, high = mean - z * s, mean + z * s
    columns = [whole(part) for part in (obs, mean, low, high, expected, pull)]
    return Shrunk(*columns, variance=a, num_effects=r, num_free=k - r, level=level)


def restricted_log_likelihood(variance: Floats, values: Floats, *, variances: Floats, design: Floats) -> Floats:
    """REML at each A of ``variance`` (g,), up to a constant, with W = diag(1 / (V_i + A)):
    -1/2 (sum log(V_i + A) + log det X'WX + sum w_i (y_i - x_i' beta_A)^2)."""
    w = 1 / (variances + variance[:, None])
    gram: Floats = np.einsum("ij,gi,ik->gjk", design, w, design, optimize=True)
    beta = np.asarray(np.linalg.solve(gram, ((w * values) @ design)[:, :, None])[:, :, 0], dtype=np.float64)
    squares = (w * (values - beta @ design.T) ** 2).sum(axis=1)
    return -0.5 * (np.linalg.slogdet(gram)[1] - np.log(w).sum(axis=1) + squares)


def _reml(values: Floats, variances: Floats, design: Floats) -> float:
    """The A >= 0 with the largest restricted likelihood: best of a grid, then finer grids around it. It may be 0."""
    residual = values - design @ np.linalg.lstsq(design, values, rcond=None)[0]
    top = 10 * float((residual**2).sum()) / (len(values) - design.shape[1]) + float(variances.max())
    grid: Floats = np.concatenate([[0.0], np.geomspace(1e-6, 1.0, NUM_GRID) * top])
    for _ in range(NUM_ZOOMS):
        best = int(np.argmax(restricted_log_likelihood(grid, values, variances=variances, design=design)))
        low, high = float(grid[max(0, best - 1)]), float(grid[min(len(grid) - 1, best + 1)])
        grid = np.linspace(low, high, NUM_GRID + 1)
    return float(grid[int(np.argmax(restricted_log_likelihood(grid, values, variances=variances, design=design)))])


def _check(values: Floats, errors: Floats, design: Floats) -> None:
    if not (np.isfinite(values).all() and np.isfinite(errors).all() and (errors > 0).all()):
        raise MeasurementUndefined(
            "shrinkage needs finite values with standard errors above 0",
            seen=f"values {values}, standard errors {errors}",
            allowed="finite, standard error > 0",
            next_step="where all items pass or fail, take a standard error that isn't 0, such as that of "
            "(k + 2) / (n + 4), or leave the group out",
        )
    k, r = design.shape
    if k - r < MIN_FREE:
        raise MeasurementUndefined(
            "too few groups to learn how much they differ",
            seen=f"{k} groups, {r} fitted effects",
            allowed=f"at least {r + MIN_FREE} groups",
            next_step="report the raw values with their own intervals",
        )
    if np.linalg.matrix_rank(design) < r:
        raise MeasurementUndefined(
            "model and benchmark effects can't be told apart",
            seen="a table in parts that share no model and no benchmark, or an empty row or column",
            next_step="shrink the parts one by one, leave empty rows and columns out",
        )
