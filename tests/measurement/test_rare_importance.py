from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trialist.errors import MeasurementUndefined
from trialist.measurement import betting
from trialist.measurement.check import coverage
from trialist.measurement.interval import Interval
from trialist.measurement.rare.importance import (
    WeightedSample,
    describe,
    lower,
    report,
    tail_mass,
    upper,
    weighted,
)

# Prompts of four kinds: how common in traffic, how often drawn, and how often the behaviour shows.
TARGET = np.array([0.90, 0.08, 0.015, 0.005])
PROPOSAL = np.array([0.30, 0.30, 0.30, 0.10])
RATES = np.array([0.001, 0.01, 0.3, 0.6])
TRUTH = float(TARGET @ RATES)


def draws(generator: np.random.Generator, num: int = 300, *, cap: float = 3.0) -> WeightedSample:
    kind = generator.choice(4, num, p=PROPOSAL)
    hits = (generator.random(num) < RATES[kind]).astype(float)
    return weighted(hits, (TARGET / PROPOSAL)[kind], cap=cap, tail=tail_mass(TARGET, PROPOSAL, cap))


def test_tail_mass_bounds_what_the_cut_hides_exactly() -> None:
    for cap in (0.01, 0.2, 1.0, 2.0, 3.0):
        hidden = float(PROPOSAL @ (np.maximum(TARGET / PROPOSAL - cap, 0) * RATES))
        assert 0 <= hidden <= tail_mass(TARGET, PROPOSAL, cap)
    assert tail_mass(TARGET, PROPOSAL, 3.0) == 0
    assert tail_mass([0.5, 0.5], [1.0, 0.0], 1.0) == 0.5
    with pytest.raises(MeasurementUndefined):
        tail_mass([0.5, 0.4], [0.5, 0.5], 1.0)


@pytest.mark.parametrize("cap", [3.0, 1.0])
def test_bounds_hold(cap: float) -> None:
    up = coverage(lambda s: Interval(0, upper(s, 0.9)), lambda g: draws(g, 60, cap=cap), truth=TRUTH, repetitions=60,
                  generator=np.random.default_rng(0))  # fmt: skip
    low = coverage(lambda s: Interval(lower(s, 0.9), 1), lambda g: draws(g, 60, cap=cap), truth=TRUTH, repetitions=60,
                   generator=np.random.default_rng(1))  # fmt: skip
    assert up.reaches(0.9)
    assert low.reaches(0.9)


def test_leaving_the_tail_out_fails() -> None:
    """The behaviour sits where weights are large: a cut without its tail is below the truth almost always."""
    target, proposal = np.array([0.5, 0.5]), np.array([0.95, 0.05])
    generator, cap = np.random.default_rng(2), 1.0
    missed = held = 0
    for _ in range(25):
        kind = generator.choice(2, 200, p=proposal)
        weights, hits = (target / proposal)[kind], (kind == 1).astype(float)
        sample = weighted(hits, weights, cap=cap, tail=tail_mass(target, proposal, cap))
        missed += betting.upper_mean(np.minimum(weights, cap) * hits, high=cap) < 0.5
        held += upper(sample) >= 0.5
    assert missed == 25
    assert held == 25


def test_unbiased_and_better_than_plain_draws() -> None:
    """Exact mean over every sample of two draws; and a smaller variance than drawing from traffic."""
    w = TARGET / PROPOSAL
    mean = 0.0
    for a, b in product(product(range(4), (0, 1)), repeat=2):
        chance = math.prod(PROPOSAL[k] * (RATES[k] if x else 1 - RATES[k]) for k, x in (a, b))
        mean += chance * (w[a[0]] * a[1] + w[b[0]] * b[1]) / 2
    assert mean == pytest.approx(TRUTH)
    per_draw = float(PROPOSAL @ (w**2 * RATES)) - TRUTH**2
    assert per_draw < TRUTH * (1 - TRUTH)
    sample = draws(np.random.default_rng(3), 3000)
    found = describe(sample)
    assert found.value == pytest.approx(float((sample.weights * sample.values).mean()))
    assert found.cut == found.value
    assert found.interval.contains(TRUTH)
    assert abs(found.self_normalised - TRUTH) < 0.01


def test_describing_interval_covers_only_where_heavy_events_are_seen() -> None:
    """Events in all kinds of prompt: near its level (.90 to .95). Events of weight 3 mostly unseen: too short."""

    def even(generator: np.random.Generator) -> WeightedSample:
        kind = generator.choice(4, 500, p=PROPOSAL)
        hits = (generator.random(500) < np.array([0.05, 0.1, 0.3, 0.6])[kind]).astype(float)
        return weighted(hits, (TARGET / PROPOSAL)[kind], cap=3, tail=0)

    easy = coverage(lambda s: describe(s).interval, even, truth=float(TARGET @ [0.05, 0.1, 0.3, 0.6]), repetitions=200,
                    generator=np.random.default_rng(4))  # fmt: skip
    hard = coverage(lambda s: describe(s).interval, lambda g: draws(g, 500), truth=TRUTH, repetitions=200,
                    generator=np.random.default_rng(4))  # fmt: skip
    assert easy.share > 0.87
    assert hard.high < 0.9


@settings(max_examples=25)
@given(st.lists(st.tuples(st.booleans(), st.floats(0.01, 4)), min_size=1, max_size=12), st.floats(0.5, 5))
def test_equal_weights_are_plain_betting_and_bounds_are_ordered(rows: list[tuple[bool, float]], cap: float) -> None:
    x, w = np.array([a for a, _ in rows], float), np.array([b for _, b in rows])
    sample = weighted(x, w, cap=cap, tail=0.1)
    cut = float((np.minimum(w, cap) * x).mean())
    assert lower(sample) <= min(cut, 1) + 1e-9
    assert min(1.0, cut + 0.1) - 1e-9 <= upper(sample) <= 1
    plain = weighted(x, np.ones_like(w), cap=1.0, tail=0.0)
    assert upper(plain) == pytest.approx(betting.upper_mean(x))
    assert lower(plain) == pytest.approx(betting.lower_mean(x))


def test_report_warns() -> None:
    even = report(weighted(np.zeros(100), np.ones(100), cap=2, tail=0))
    assert even.effective_size == pytest.approx(100)
    assert even.warnings == ()
    spiked = report(weighted(np.zeros(100), np.r_[np.full(99, 0.1), 90.0], cap=2, tail=0.5))
    assert spiked.effective_size < 2
    assert spiked.num_cut == 1
    assert [word in " ".join(spiked.warnings) for word in ("effective", "one draw", "cut")] == [True] * 3
    wrong = report(weighted(np.zeros(100), np.full(100, 1.5), cap=2, tail=0))
    assert any("densities" in text for text in wrong.warnings)


def test_clusters_count_once() -> None:
    x, w = np.tile([0.0, 0, 0, 1], 30), np.full(120, 1.0)
    rows = weighted(x, w, cap=1, tail=0)
    groups = weighted(x, w, cap=1, tail=0, cluster=np.tile([0, 1, 2, 3], 30))
    assert upper(groups) > upper(rows)


def test_refusals() -> None:
    bad = [([0.5], [-1.0], 1), ([0.5], [math.inf], 1), ([0.5], [math.nan], 1), ([0.5, 1], [0.0, 0.0], 1), ([], [], 1),
           ([1.5], [1.0], 1), ([math.nan], [1.0], 1), ([0.5], [1.0], 0), ([0.5], [1.0, 2.0], 1)]  # fmt: skip
    for x, w, cap in bad:
        with pytest.raises(MeasurementUndefined):
            weighted(x, w, cap=cap, tail=0.5)
    with pytest.raises(MeasurementUndefined, match="exceeds"):
        weighted([0.5], [2.0], cap=1, tail=0.0)
    with pytest.raises(MeasurementUndefined, match="too little"):
        describe(weighted(np.ones(20), np.ones(20), cap=1, tail=0))
    with pytest.raises(MeasurementUndefined, match="too little"):
        describe(weighted(np.r_[np.ones(5), np.zeros(200)], np.ones(205), cap=1, tail=0))
    with pytest.raises(MeasurementUndefined, match="spread"):
        describe(weighted(np.ones(50), np.ones(50), cap=1, tail=0))
