from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trialist.errors import MeasurementUndefined
from trialist.measurement import selective
from trialist.measurement.check import coverage
from trialist.measurement.interval import Interval
from trialist.measurement.selective import area, by_cluster, coverage_at, evaluate, risk_at, risk_coverage

items = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3)), min_size=1, max_size=30)


def arrays(rows: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    c, x = zip(*rows, strict=True)
    return np.array(c, dtype=float), np.array(x, dtype=float)


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=6))
def test_ties_are_the_mean_over_all_orders(rows: list[tuple[int, int]]) -> None:
    c, x = arrays(rows)
    orders = [o for o in itertools.permutations(range(len(c))) if (np.diff(c[list(o)]) <= 0).all()]
    places = np.arange(1, len(c) + 1)
    curves = np.array([np.cumsum(x[list(o)]) / places for o in orders])
    np.testing.assert_allclose(risk_coverage(c, x).risk, curves.mean(axis=0))
    assert evaluate(c, x, area()) == pytest.approx(curves.mean())


@given(items)
def test_area_from_digammas_equals_the_mean_of_the_curve(rows: list[tuple[int, int]]) -> None:
    c, x = arrays(rows)
    curve = risk_coverage(c, x)
    assert evaluate(c, x, area()) == pytest.approx(curve.risk.mean())
    assert curve.risk[-1] == pytest.approx(x.mean())
    for k in range(len(c)):
        assert evaluate(c, x, risk_at((k + 1) / len(c))) == pytest.approx(curve.risk[k])


@given(items)
def test_only_the_order_of_confidences_matters(rows: list[tuple[int, int]]) -> None:
    c, x = arrays(rows)
    order = np.random.default_rng(0).permutation(len(c))
    for of in (area(), risk_at(0.4), coverage_at(1.0)):
        assert evaluate(np.exp(c[order]), x[order], of) == pytest.approx(evaluate(c, x, of))


@given(items, st.floats(0, 3))
def test_coverage_at_a_risk_is_the_best_threshold(rows: list[tuple[int, int]], risk: float) -> None:
    c, x = arrays(rows)
    kept = [c >= t for t in set(c.tolist())]
    want = max([k.mean() for k in kept if x[k].mean() <= risk + 1e-12], default=0.0)
    assert evaluate(c, x, coverage_at(risk)) == pytest.approx(want)


def test_a_perfect_ranking_and_a_random_one() -> None:
    x = np.array([0.0] * 80 + [1.0] * 20)
    best = evaluate(-np.arange(100), x, area())
    assert best == pytest.approx(sum((k - 80) / k for k in range(81, 101)) / 100)
    assert evaluate(np.zeros(100), x, area()) == pytest.approx(0.2)
    assert evaluate(np.arange(100), x, area()) > 0.4
    assert evaluate(-np.arange(100), x, coverage_at(0.0)) == 0.8


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2), st.integers(0, 3)), min_size=4, max_size=25))
def test_jackknife_and_bootstrap_equal_the_plain_recomputation(rows: list[tuple[int, int, int]]) -> None:
    c, x, g = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    labels = np.unique(g)
    if len(labels) < 2:
        return
    for of in (area(), risk_at(0.5)):
        left = np.array([evaluate(c[g != k], x[g != k], of) for k in labels])
        error = math.sqrt((len(labels) - 1) / len(labels) * float(((left - left.mean()) ** 2).sum()))
        if error < 1e-9:
            continue
        assert selective.jackknife(by_cluster(c, x, g), of).standard_error == pytest.approx(error)
    of = coverage_at(0.5)
    weights = np.random.default_rng(7).multinomial(len(labels), np.full(len(labels), 1 / len(labels)), size=50)
    drawn: list[float] = []
    for row in weights:
        picked = np.concatenate([np.flatnonzero(g == k) for k, w in zip(labels, row, strict=True) for _ in range(w)])
        drawn.append(evaluate(c[picked], x[picked], of))
    low, high = np.quantile(drawn, [0.025, 0.975])
    if high > low:
        generator = np.random.default_rng(7)
        found = selective.bootstrap(by_cluster(c, x, g), of, generator=generator, num_resamples=50)
        assert (found.low, found.high) == pytest.approx((low, high))


Data = tuple[np.ndarray, np.ndarray, np.ndarray]


def draw(generator: np.random.Generator) -> Data:
    """40 clusters of 8; the chance of an error falls with the confidence and is shared within the cluster."""
    cluster = np.repeat(np.arange(40), 8)
    hard = generator.normal(size=40)[cluster]
    confidence = 1 / (1 + np.exp(-(generator.normal(size=320) - hard)))
    return confidence, (generator.random(320) < 0.5 - 0.4 * confidence + 0.1 * (hard > 0.8)).astype(float), cluster


def truth_of(of: selective.Statistic) -> float:
    generator = np.random.default_rng(8)
    sets = [draw(generator) for _ in range(150)]
    c, x = (np.concatenate([s[k] for s in sets]) for k in (0, 1))
    return evaluate(c, x, of)


@pytest.mark.parametrize("name", ["area", "risk", "coverage"])
def test_intervals_cover(name: str) -> None:
    of = {"area": area(), "risk": risk_at(0.5), "coverage": coverage_at(0.25)}[name]
    generator = np.random.default_rng(9)

    def interval(data: Data) -> Interval:
        if name == "coverage":
            return selective.bootstrap(by_cluster(*data), of, generator=generator, num_resamples=100)
        return selective.jackknife(by_cluster(*data), of).interval

    repetitions = 60 if name == "coverage" else 200
    found = coverage(interval, draw, truth=truth_of(of), repetitions=repetitions, generator=np.random.default_rng(10))
    assert found.reaches(0.95 if name != "coverage" else 0.9), found


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: evaluate([], [], area()), "a confidence and a loss"),
        (lambda: evaluate([math.nan], [1], area()), "numbers"),
        (lambda: evaluate([1], [math.inf], area()), "finite"),
        (lambda: risk_at(0.0), "coverage"),
        (lambda: by_cluster(np.arange(8000), np.zeros(8000), np.arange(8000)), "round the confidences"),
        (lambda: coverage_at(math.nan), "risk limit"),
        (lambda: selective.jackknife(by_cluster([1, 2], [0, 1], [0, 0]), area()), "two clusters"),
        (lambda: selective.jackknife(by_cluster([1, 2, 3], [0, 0, 0], [0, 1, 2]), area()), "changes nothing"),
        (lambda: selective.jackknife(by_cluster([1, 2, 3], [0, 0, 0], [0, 1]), area()), "needs a cluster"),
        (
            lambda: selective.bootstrap(
                by_cluster([1, 2], [0, 0], [0, 1]), area(), generator=np.random.default_rng(0), num_resamples=20
            ),
            "changes nothing",
        ),
    ],
)
def test_degenerate_input_is_refused(call: Any, match: str) -> None:
    with pytest.raises(MeasurementUndefined, match=match):
        call()
