"""Designs on which intervals go wrong, each with a known truth: rare, skewed, alike, clustered, few clusters, sizes
that depend on rates, two cells, ratios, finite banks, rows sorted by outcome.

A case draws a ``Sample``, the input of every estimator here; an adapter for another package reads ``units()`` and
``cluster`` from it. ``trialist.measurement.check`` runs estimators over the cases.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from trialist.measurement.choose import Bank
from trialist.measurement.clustered import compact
from trialist.measurement.function_metrics import precision
from trialist.measurement.metrics import Metric, first
from trialist.measurement.sample import Floats, Ints, Sample, difference_of

Draw = Callable[[np.random.Generator], Sample]

UNIT = Metric("score", ("score",), first, ((0.0,), (1.0,)))
ICC = 0.3
MEAN_SIZE = 20 / 3
"""Geometric sizes with success probability .15, as in the coverage figures this project reproduces."""


@dataclass(frozen=True)
class Case:
    """``draw`` makes one data set; ``truth`` is the estimand's value. ``bank``: the population is a fixed bank."""

    name: str
    group: str
    truth: float
    draw: Draw
    bank: Bank | None = None


def sample_of(
    values: Floats,
    cluster: Ints | None = None,
    *,
    other: Floats | None = None,
    binary: bool = True,
    metric: Metric = UNIT,
    weights: Floats | None = None,
) -> Sample:
    """Scores (n,) or (n, k) as a sample: everything scored, one answer an item; ``other`` is the second cell's."""
    x = values.reshape(len(values), -1).astype(np.float64)
    if other is not None:
        x = np.concatenate([x, other.reshape(len(x), -1)], axis=1)
    n = len(x)
    codes = np.arange(n) if cluster is None else compact(cluster)
    w = np.ones_like(x) if weights is None else np.repeat(weights[:, None], x.shape[1], axis=1)
    return Sample(
        metric=metric if other is None else difference_of(metric),
        ids=np.arange(n), values=x, weights=w, scored=np.ones(n, dtype=np.bool_), cluster=codes, named_cluster=codes,
        num_epochs=np.ones(n, dtype=np.int64), plain=metric.is_mean, paired=other is not None, binary=binary,
    )  # fmt: skip


def cases() -> tuple[Case, ...]:
    """The stress set."""
    return (*_rates(), *_graded(), *_clustered(), *_paired(), *_ratios(), *_banks())


def _rates() -> Iterator[Case]:
    for n, p in [(10, 0.05), (50, 0.02), (100, 0.01), (100, 0.3), (300, 0.002), (1000, 0.01)]:
        yield Case(f"n {n}, rate {p:g}", "rate", p, lambda g, n=n, p=p: sample_of((g.random(n) < p).astype(np.float64)))


def _graded() -> Iterator[Case]:
    yield Case("n 30, uniform", "score", 0.5, lambda g: sample_of(g.random(30), binary=False))
    for n in (30, 100, 1000):
        yield Case(f"n {n}, beta(.1, 1.9)", "score", 0.05, lambda g, n=n: sample_of(g.beta(0.1, 1.9, n), binary=False))
        yield Case(f"n {n}, .97 zeros", "score", 0.015, lambda g, n=n: sample_of(_mostly_zero(g, n), binary=False))


def _mostly_zero(g: np.random.Generator, n: int) -> Floats:
    return (g.random(n) < 0.03) * g.random(n)


def _clustered() -> Iterator[Case]:
    for num, p in [(3, 0.5), (5, 0.5), (10, 0.1), (20, 0.5), (20, 0.98), (60, 0.02), (60, 0.9)]:
        name = f"C {num}, rate {p:g}"
        yield Case(name, "clustered rate", p, lambda g, c=num, p=p: sample_of(*beta_binomial(g, c, p)))
    yield Case(
        "C 30, sorted by outcome", "clustered rate", 0.1, lambda g: sample_of(*_sorted(*beta_binomial(g, 30, 0.1)))
    )
    yield Case("C 40, size follows rate", "clustered rate", 0.37, lambda g: sample_of(*_informative(g, 40)))
    for num in (5, 10, 30):
        yield Case(f"C {num}, graded", "clustered score", 0.4, lambda g, c=num: _graded_clusters(g, c))
    yield Case("n 200, weights .1 to 4", "clustered rate", 0.1, _weighted)


def beta_binomial(g: np.random.Generator, num: int, p: float) -> tuple[Floats, Ints]:
    """Binary items in ``num`` clusters of geometric size whose rates are Beta with mean p and intraclass correlation
    ``ICC``."""
    sizes = g.geometric(0.15, num)
    total = 1 / ICC - 1
    rates = g.beta(p * total, (1 - p) * total, num)
    codes = np.repeat(np.arange(num), sizes)
    return (g.random(len(codes)) < rates[codes]).astype(np.float64), codes


def _sorted(values: Floats, codes: Ints) -> tuple[Floats, Ints]:
    """The same clusters, named in the order of their means: a table sorted by its outcome."""
    means = np.bincount(codes, weights=values) / np.bincount(codes)
    return values, means.argsort(kind="stable").argsort()[codes]


def _informative(g: np.random.Generator, num: int) -> tuple[Floats, Ints]:
    """Large clusters fail more: size 1 at rate .1, size 9 at rate .4. The mean over items is .37, over clusters .25."""
    large = g.random(num) < 0.5
    sizes = np.where(large, 9, 1)
    codes = np.repeat(np.arange(num), sizes)
    return (g.random(len(codes)) < np.where(large, 0.4, 0.1)[codes]).astype(np.float64), codes


def _graded_clusters(g: np.random.Generator, num: int) -> Sample:
    codes = np.repeat(np.arange(num), g.geometric(0.15, num))
    centres = g.beta(2, 3, num)
    return sample_of(g.beta(4 * centres[codes] + 1e-9, 4 * (1 - centres[codes]) + 1e-9), codes, binary=False)


def _weighted(g: np.random.Generator) -> Sample:
    return sample_of((g.random(200) < 0.1).astype(np.float64), weights=g.uniform(0.1, 4, 200))


def _paired() -> Iterator[Case]:
    for n, b, c in [(40, 0.01, 0.06), (100, 0.05, 0.05), (300, 0.0, 0.01), (300, 0.1, 0.05)]:
        yield Case(f"n {n}, +{b:g} -{c:g}", "pairs", b - c, lambda g, n=n, b=b, c=c: _pairs(g, n, b, c))
    for num in (10, 40):
        yield Case(f"C {num}, +.1 -.05", "clustered pairs", 0.05, lambda g, c=num: _clustered_pairs(g, c))
    yield Case("n 60, graded, skewed", "graded pairs", -0.05, _skewed_pairs)


def _pairs(g: np.random.Generator, n: int, b: float, c: float) -> Sample:
    u = g.random(n)
    gained, lost, both = u < b, (u >= b) & (u < b + c), g.random(n) < 0.7
    return sample_of(np.where(gained, 1.0, both & ~lost), other=np.where(lost, 1.0, both & ~gained).astype(np.float64))


def _clustered_pairs(g: np.random.Generator, num: int) -> Sample:
    """A gain or a loss mostly befalls the whole cluster."""
    codes = np.repeat(np.arange(num), g.geometric(0.15, num))
    whole, own = g.random(num)[codes], g.random(len(codes))
    u = np.where(g.random(len(codes)) < 0.5, whole, own)
    gained, lost = u < 0.1, (u >= 0.1) & (u < 0.15)
    both = g.random(len(codes)) < 0.6
    first_cell, other = np.where(gained, 1.0, both & ~lost), np.where(lost, 1.0, both & ~gained)
    return sample_of(first_cell, codes, other=other.astype(np.float64))


def _skewed_pairs(g: np.random.Generator) -> Sample:
    base = g.uniform(0.5, 1, 60)
    return sample_of(base - g.beta(0.2, 3.8, 60) * 0.5 - 0.025, other=base, binary=False)


def _ratios() -> Iterator[Case]:
    for num in (8, 20, 60):
        yield Case(f"C {num}, precision .6", "function of means", 0.6, lambda g, c=num: _precision(g, c))


def _precision(g: np.random.Generator, num: int) -> Sample:
    """Of the answers flagged (about 30 %), .6 are right, in clusters that share how often they flag."""
    codes = np.repeat(np.arange(num), g.geometric(0.15, num) + 2)
    flagged = g.random(len(codes)) < g.beta(3, 7, num)[codes]
    right = flagged & (g.random(len(codes)) < 0.6)
    columns = np.stack([right, flagged & ~right], axis=1).astype(np.float64)
    return sample_of(columns, codes, binary=False, metric=precision())


def _banks() -> Iterator[Case]:
    def share(g: np.random.Generator) -> Sample:
        return sample_of((g.permutation(200)[:80] < 6).astype(np.float64))

    def scores(g: np.random.Generator) -> Sample:
        return sample_of(((g.permutation(500)[:150] + 0.5) / 500) ** 3, binary=False)

    yield Case("80 of 200, 6 events", "bank", 0.03, share, Bank(200, 80))
    truth = float((((np.arange(500) + 0.5) / 500) ** 3).mean())
    yield Case("150 of 500, graded", "bank", truth, scores, Bank(500, 150))
