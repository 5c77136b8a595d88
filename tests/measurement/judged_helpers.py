"""The peer's PPI++ as a fixture, and quick draws of binary judge and gold by their four counts."""

from __future__ import annotations

import csv
from collections.abc import Callable
from functools import cache

import numpy as np
from measurement_helpers import data_path
from scipy.special import ndtri

from trialist.measurement.interval import Interval, t_quantile
from trialist.measurement.judged.choose import MIN_CLASS, MIN_MISSES
from trialist.measurement.judged.gold import hypergeometric_lower, hypergeometric_upper
from trialist.measurement.judged.items import JudgedItems, Population
from trialist.measurement.proportions import clopper_pearson

Draw = tuple[int, int, int, int, int, int]
"""Gold items by (Y, f): 11, 10, 01, 00; then flagged and all unlabelled items."""


def stock_ppi(y: np.ndarray, f: np.ndarray, unlabelled: np.ndarray, lam: float | None = None) -> tuple[float, Interval]:
    """What the peer's package computes, mixed normalisations and all. A fixture of a known fault, not an oracle."""
    n, num = len(y), len(unlabelled)
    if lam is None:
        spread = np.concatenate([f, unlabelled]).var(ddof=1)
        lam = float(np.clip(((y - y.mean()) * (f - f.mean())).mean() / (spread * (1 + n / num)), 0, 1))
    value = lam * unlabelled.mean() + (y - lam * f).mean()
    half = ndtri(0.975) * np.sqrt(lam**2 * unlabelled.var() / num + (y - lam * f).var() / n)
    return lam, Interval(float(value - half), float(value + half))


def arrays(draw: Draw) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    a, b, c, d, flagged, num = draw
    y = np.repeat([1.0, 1.0, 0.0, 0.0], [a, b, c, d])
    f = np.repeat([1.0, 0.0, 1.0, 0.0], [a, b, c, d])
    return y, f, np.repeat([1.0, 0.0], [flagged, num - flagged])


@cache
def stock_interval(draw: Draw) -> Interval:
    return stock_ppi(*arrays(draw))[1]


def items_of(draw: Draw) -> JudgedItems:
    y, f, unlabelled = arrays(draw)
    return JudgedItems(np.concatenate([f, unlabelled]), np.concatenate([y, np.full(len(unlabelled), np.nan)]))


def shares(theta: float, sensitivity: float, specificity: float) -> np.ndarray:
    hit, miss = theta * sensitivity, theta * (1 - sensitivity)
    return np.array([hit, miss, (1 - theta) * (1 - specificity), (1 - theta) * specificity])


def superpopulation_draws(
    theta: float, n: int, num: int, *, judge: tuple[float, float], repetitions: int, seed: int
) -> list[Draw]:
    generator = np.random.default_rng(seed)
    cells = shares(theta, *judge)
    counts = generator.multinomial(n, cells, size=repetitions)
    flagged = generator.binomial(num, cells[0] + cells[2], size=repetitions)
    return [(*map(int, row), int(u), num) for row, u in zip(counts, flagged, strict=True)]


def bank_draws(bank: np.ndarray, n: int, *, repetitions: int, seed: int) -> list[Draw]:
    """``bank`` (4,) counts of items by (Y, f): 11, 10, 01, 00."""
    generator = np.random.default_rng(seed)
    counts = generator.multivariate_hypergeometric(bank, n, size=repetitions)
    num, flags = int(bank.sum()) - n, int(bank[0] + bank[2])
    return [(*map(int, row), int(flags - row[0] - row[2]), num) for row in counts]


def describe_all(draws: list[Draw], population: Population) -> tuple[np.ndarray, np.ndarray]:
    """The intervals of the rule that describes, for all draws at once: its plain twin on counts, for simulation."""
    table = np.array(draws, dtype=float)
    counts, flagged, num = table[:, :4], table[:, 4], draws[0][5]
    n = int(counts[0].sum())
    value, error = _ppi_all(counts, flagged, num, population)
    k = (counts[:, 0] + counts[:, 1]).astype(int)
    use = (np.minimum(k, n - k) >= MIN_CLASS) & (counts[:, 1] + counts[:, 2] >= MIN_MISSES)
    half = t_quantile(0.95, n - 1) * error
    exact = {
        int(each): clopper_pearson(int(each), n)
        if population == "superpopulation"
        else Interval(
            hypergeometric_lower(int(each), n, n + num, 0.975), hypergeometric_upper(int(each), n, n + num, 0.975)
        )
        for each in np.unique(k)
    }
    low, high = (np.array([getattr(exact[int(each)], end) for each in k]) for end in ("low", "high"))
    return np.where(use, np.maximum(0, value - half), low), np.where(use, np.minimum(1, value + half), high)


def _ppi_all(
    counts: np.ndarray, flagged: np.ndarray, num: int, population: Population
) -> tuple[np.ndarray, np.ndarray]:
    y, f = np.array([1.0, 1.0, 0.0, 0.0]), np.array([1.0, 0.0, 1.0, 0.0])
    n, total = counts[0].sum(), counts @ f + flagged
    lam = []
    for own_y, own_f in zip(y, f, strict=True):
        a, b, both = counts @ y - own_y, counts @ f - own_f, counts @ (y * f) - own_y * own_f
        covariance = (both - a * b / (n - 1)) / (n - 2)
        flags, size = (total, n + num) if population == "bank" else (total - own_f, n + num - 1)
        variance = np.maximum((flags - flags**2 / size) / (size - 1), 1e-12)
        lam.append(np.clip(covariance / variance / (1 if population == "bank" else 1 + n / num), 0, 1))
    reliance = np.stack(lam, axis=1)
    centre = total / (n + num) if population == "bank" else flagged / num
    residuals = y - reliance * (f - centre[:, None])
    value = (counts * residuals).sum(axis=1) / n
    spread = (counts * (residuals - value[:, None]) ** 2).sum(axis=1) / (n - 1) + 2 / n
    if population == "bank":
        return value, np.sqrt((1 - n / (n + num)) * spread / n)
    noise = flagged * (1 - flagged / num) / (num - 1) / num
    return value, np.sqrt(((counts * reliance).sum(axis=1) / n) ** 2 * noise + spread / n)


def covered(draws: list[Draw], interval: Callable[[Draw], Interval | None], truth: float) -> tuple[int, int]:
    """Intervals that hold the truth, and their number, by ``interval`` of each distinct draw."""
    known = {draw: interval(draw) for draw in set(draws)}
    given = [found for draw in draws if (found := known[draw]) is not None]
    return sum(found.contains(truth) for found in given), len(given)


def xstest_bank(model: str) -> np.ndarray:
    """Unsafe prompts of the real judge labels, counted by (human, GPT-4)."""
    with data_path(f"judge_labels/{model}.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["type"].startswith("contrast")]
    y, f = (np.array([row[name] == "1_full_compliance" for row in rows]) for name in ("final_label", "gpt4_label"))
    return np.array([(y & f).sum(), (y & ~f).sum(), (~y & f).sum(), (~y & ~f).sum()])
