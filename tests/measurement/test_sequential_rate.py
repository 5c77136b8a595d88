"""The e-process of a rate: equal to its formula, a supermartingale on the whole null; and its confidence sequence."""

from __future__ import annotations

import math
import time
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from measurement_helpers import reference
from scipy.special import bdtr, betainc, betaincc, betaln

from trialist.errors import MeasurementUndefined
from trialist.measurement import proportions
from trialist.measurement.check import CERTAINTY, coverage
from trialist.measurement.interval import Interval
from trialist.measurement.sequential.mixture import best_rho, log_beta_binomial, rate_interval
from trialist.measurement.sequential.operating import one_sided
from trialist.measurement.sequential.rate import Beta, RateProcess, Shows, default_prior
from trialist.measurement.sequential.rate_sequence import RateSequence, lower_bound, upper_bound
from trialist.measurement.sequential.truncated_beta import Walk, log_integral

SIDES: tuple[Shows, ...] = ("below", "above")


def slow_log_e(k: float, n: float, p0: float, prior: Beta, shows: Shows) -> float:
    """The formula as it stands in the paper."""
    share = betainc if shows == "below" else betaincc
    a, b = prior.a, prior.b
    now = math.log(share(a + k, b + n - k, p0)) + betaln(a + k, b + n - k)
    start = math.log(share(a, b, p0)) + betaln(a, b)
    return float(now - start - k * math.log(p0) - (n - k) * math.log1p(-p0))


def e_after(values: list[float], p0: float, shows: Shows, prior: Beta | None = None) -> float:
    process = RateProcess(p0, shows=shows, prior=prior)
    for value in values:
        process.update(value)
    return math.exp(process.log_e)


@settings(max_examples=80, deadline=None)
@given(
    values=st.lists(st.sampled_from([0.0, 0.0, 0.0, 1.0]), max_size=120),
    p0=st.floats(0.01, 0.9),
    a=st.floats(0.2, 8),
    b=st.floats(0.2, 80),
    shows=st.sampled_from(SIDES),
)
def test_recursion_equals_formula(values: list[float], p0: float, a: float, b: float, shows: Shows) -> None:
    prior, k, best = Beta(a, b), 0.0, 0.0
    process = RateProcess(p0, shows=shows, prior=prior)
    for value in values:
        process.update(value)
        k += value
        best = max(best, process.log_e)
    if values:
        assert process.log_e == pytest.approx(slow_log_e(k, len(values), p0, prior, shows), abs=1e-7, rel=1e-8)
    assert (process.num_seen, process.max_log_e) == (len(values), best)


@settings(max_examples=40, deadline=None)
@given(values=st.lists(st.floats(0, 1), min_size=1, max_size=20), p0=st.floats(0.05, 0.9), shows=st.sampled_from(SIDES))
def test_parts_equal_formula(values: list[float], p0: float, shows: Shows) -> None:
    prior = Beta(0.7, 2.0)
    expected = slow_log_e(sum(values), len(values), p0, prior, shows)
    assert math.log(e_after(values, p0, shows, prior)) == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize(
    ("p0", "share"), [(0.2, 0.2), (0.2, 0.21), (0.1, 0.02), (1e-5, 1e-5), (1e-5, 1e-3), (0.3, 0.9)]
)
@pytest.mark.parametrize("mirrored", [False, True])
def test_stable_at_a_million_values(p0: float, share: float, mirrored: bool) -> None:
    """A thousand steps that start at n = 10^6, against the integral from scratch at their end."""
    draws = np.random.default_rng(3).random(1000) < share
    x, y, events = (1 - p0, p0, ~draws) if mirrored else (p0, 1 - p0, draws)
    rate = 1 - share if mirrored else share
    at = Walk(0.5 + 1e6 * rate, 0.5 + 1e6 * (1 - rate), x, y)
    for event in events:
        at.take(float(event))
    exact = log_integral(at.a, at.b, x, y)
    assert math.isfinite(exact)
    assert at.log_s == pytest.approx(exact, abs=2e-8, rel=2e-8)


def test_integral_beyond_the_range_of_doubles() -> None:
    """I_x underflows at (500, 3; .01); leading term and first correction of S are 1 / a and (a + b) x / (a (a + 1))."""
    a, b, x = 500.0, 3.0, 0.01
    assert betainc(2000.0, b, x) == 0
    terms, term = 0.0, 1 / a
    for j in range(60):
        terms += term
        term *= (a + b + j) * x / (a + 1 + j)
    assert log_integral(a, b, x, 1 - x) == pytest.approx(math.log(terms), abs=1e-13)


@pytest.mark.parametrize("shows", SIDES)
@pytest.mark.parametrize("p0", [0.05, 0.4])
def test_martingale_at_p0_and_supermartingale_beyond(p0: float, shows: Shows) -> None:
    """From every (n, k) up to 12 the next e-value has expectation e at p0, at most e on the null's side."""
    worse = [p0, p0 + 0.01, 0.9, 1.0] if shows == "below" else [p0, p0 / 2, 0.0]
    for n in range(12):
        for k in range(n + 1):
            past = [1.0] * k + [0.0] * (n - k)
            now, event, none = (e_after([*past, *more], p0, shows) for more in ([], [1.0], [0.0]))
            means = [p * event + (1 - p) * none for p in worse]
            assert means[0] == pytest.approx(now, rel=1e-8)
            assert all(mean <= now * (1 + 1e-8) for mean in means)


@pytest.mark.parametrize("shows", SIDES)
def test_mean_over_all_outcomes_is_one(shows: Shows) -> None:
    n, p0 = 25, 0.15
    terms = [
        comb(n, k) * p0**k * (1 - p0) ** (n - k) * e_after([1.0] * k + [0.0] * (n - k), p0, shows) for k in range(n + 1)
    ]
    assert sum(terms) == pytest.approx(1, rel=1e-8)


@pytest.mark.parametrize("shows", SIDES)
def test_values_between_0_and_1_waste_evidence_at_most(shows: Shows) -> None:
    """A value v is worth at most the binary value with mean v."""
    p0, past = 0.2, [0.0, 1.0, 0.0, 0.0, 0.3]
    event, none = e_after([*past, 1.0], p0, shows), e_after([*past, 0.0], p0, shows)
    for value in (0.1, 0.2, 0.5, 0.9):
        assert e_after([*past, value], p0, shows) <= value * event + (1 - value) * none


@settings(max_examples=30, deadline=None)
@given(values=st.lists(st.sampled_from([0.0, 1.0]), max_size=60), p0=st.floats(0.05, 0.95))
def test_mirrored(values: list[float], p0: float) -> None:
    swapped = e_after([1 - value for value in values], 1 - p0, "below", Beta(2.0, 0.5))
    assert e_after(values, p0, "above", Beta(0.5, 2.0)) == pytest.approx(swapped, rel=1e-6)


def drifting(name: str, n: int, k: np.ndarray, p0: float, at: np.ndarray) -> np.ndarray:
    """Rates of the next value, all at least p0, chosen with knowledge of the past."""
    if name == "constant":
        return np.full(len(k), p0)
    if name == "misordered":
        return np.full(len(k), p0 if n % 200 < 150 else min(1.0, 3 * p0))
    # The adversary is at p0 while the counts look good, and lets failures happen once nothing can be won.
    return np.where(k <= at[n] + 3, p0, 0.5)


@pytest.mark.parametrize("stream", ["constant", "misordered", "adversary"])
@pytest.mark.parametrize("p0", [0.01, 0.1])
def test_type_one_error_on_drifting_streams(stream: str, p0: float) -> None:
    """False certification at most .05; the exact fixed-n test looked at after every value is the positive control."""
    cap, repetitions = 1000, 1500
    at = one_sided(p0, alpha=0.05, cap=cap).pass_at
    generator = np.random.default_rng(11)
    k = np.zeros(repetitions, dtype=np.int64)
    certified, naive = np.zeros(repetitions, dtype=bool), np.zeros(repetitions, dtype=bool)
    for n in range(1, cap + 1):
        k += generator.random(repetitions) < drifting(stream, n - 1, k, p0, at)
        certified |= k <= at[n]
        naive |= bdtr(k, n, p0) <= 0.05
    assert proportions.clopper_pearson(int(certified.sum()), repetitions, CERTAINTY).low <= 0.05
    if stream == "constant":
        assert naive.mean() > 0.1


def test_an_update_is_cheap() -> None:
    values = (np.random.default_rng(0).random(2000) < 0.05).astype(float).tolist()
    best = math.inf
    for _ in range(3):
        process = RateProcess(0.01)
        started = time.perf_counter()
        for value in values:
            process.update(value)
        best = min(best, time.perf_counter() - started)
    assert best / len(values) < 50e-6


@pytest.mark.data
def test_howard_intervals() -> None:
    for name, (low, high) in reference("confseq_bernoulli_shared").items():
        k, n, optimal_n = (int(part) for part in name.split("_"))
        found = rate_interval(k, n, optimal_n=optimal_n)
        assert found.low == pytest.approx(low, abs=1e-6)
        assert found.high == pytest.approx(high, abs=1e-6)


@pytest.mark.parametrize(
    ("k", "n", "optimal_n", "low", "high"),
    [
        (700, 1000, 100, 0.651629, 0.745949),
        (15, 50, 50, 0.129556, 0.511896),
        (5, 50, 50, 0.013021, 0.269264),
        (1, 50, 50, 0.0, 0.13489),
        (100, 200, 1, 0.328923, 0.671076),
    ],
)
def test_howard_intervals_as_published(k: int, n: int, optimal_n: float, low: float, high: float) -> None:
    """Howard, Ramdas, McAuliffe & Sekhon, tests of their package; printed with six digits, cut."""
    found = rate_interval(k, n, optimal_n=optimal_n)
    assert (found.low, found.high) == (pytest.approx(low, abs=1e-5), pytest.approx(high, abs=1e-5))
    mirror = rate_interval(n - k, n, optimal_n=optimal_n)
    assert (1 - mirror.high, 1 - mirror.low) == (
        pytest.approx(found.low, abs=1e-9),
        pytest.approx(found.high, abs=1e-9),
    )


def test_howard_mixture_as_published() -> None:
    rho = best_rho(100, 0.05)
    assert rho == pytest.approx(12.60056, abs=1e-5)
    assert log_beta_binomial(10, 100, g=0.2, h=0.8, rho=rho) == pytest.approx(-0.6941012, abs=1e-6)
    assert log_beta_binomial(31.4308, 100, g=0.2, h=0.8, rho=rho) == pytest.approx(math.log(20), abs=1e-4)


@pytest.mark.parametrize(("k", "n"), [(0, 1), (0, 400), (3, 50), (25, 50), (49, 50), (50, 50), (2.5, 9)])
@pytest.mark.parametrize("prior", [Beta(0.5, 0.5), Beta(1.0, 30.0)])
def test_upper_bound_inverts_the_process(k: float, n: float, prior: Beta) -> None:
    """Every p0 above the bound is rejected at 1/.05, and the next below it isn't."""
    bound = upper_bound(k, n, prior=prior)
    target = math.log(20)
    grid = bound + (1 - bound) * np.linspace(1e-6, 0.99, 60)
    assert all(slow_log_e(k, n, float(p), prior, "below") >= target - 1e-6 for p in grid if p < 1)
    if (k + prior.a) / n < bound < 1:
        assert slow_log_e(k, n, bound * (1 - 1e-6), prior, "below") < target
    mirror = lower_bound(n - k, n, prior=Beta(prior.b, prior.a))
    assert mirror == pytest.approx(1 - bound, abs=1e-12)
    assert bound >= proportions.upper_bound(k, n)


@settings(max_examples=25, deadline=None)
@given(values=st.lists(st.sampled_from([0.0, 1.0, 1.0, 0.25]), min_size=1, max_size=40))
def test_sequence_is_the_running_intersection(values: list[float]) -> None:
    sequence = RateSequence(level=0.9)
    lows, highs, k = [0.0], [1.0], 0.0
    for n, value in enumerate(values, 1):
        sequence.update(value)
        k += value
        lows.append(lower_bound(k, n, confidence=0.95))
        highs.append(upper_bound(k, n, confidence=0.95))
    assert sequence.interval.low == pytest.approx(max(lows), abs=1e-6)
    assert sequence.interval.high == pytest.approx(min(highs), abs=1e-6)
    assert 0 < sequence.interval.width <= 1


@pytest.mark.parametrize("rate", [0.02, 0.5])
def test_sequence_covers_at_all_times(rate: float) -> None:
    def draw(generator: np.random.Generator) -> list[float]:
        return (generator.random(300) < rate).astype(float).tolist()

    def ours(values: list[float]) -> Interval | None:
        sequence = RateSequence(level=0.9)
        for value in values:
            sequence.update(value)
        try:
            return sequence.interval
        except MeasurementUndefined:
            return Interval(2, 2)

    def naive(values: list[float]) -> Interval | None:
        """Clopper-Pearson's intervals at every tenth value, intersected."""
        found = [proportions.clopper_pearson(sum(values[:n]), n, 0.9) for n in range(10, 301, 10)]
        return Interval(max(i.low for i in found), min(i.high for i in found))

    generator = np.random.default_rng(5)
    assert coverage(ours, draw, truth=rate, repetitions=100, generator=generator).reaches(0.9)
    if rate == 0.5:
        assert coverage(naive, draw, truth=rate, repetitions=100, generator=generator).share < 0.8


def test_sequence_refuses_a_rate_that_moves() -> None:
    sequence = RateSequence()
    assert sequence.interval == Interval(0, 1)
    for value in [0.0] * 200 + [1.0] * 200:
        sequence.update(value)
    with pytest.raises(MeasurementUndefined, match="no constant rate"):
        _ = sequence.interval


def test_refusals() -> None:
    for p0 in (0.0, 1.0, math.nan):
        with pytest.raises(MeasurementUndefined):
            RateProcess(p0)
    with pytest.raises(MeasurementUndefined):
        RateProcess(0.1, shows="beyond")  # type: ignore[arg-type]
    with pytest.raises(MeasurementUndefined):
        Beta(0.0, 1.0)
    for value in (-1.0, 1.5, math.nan, math.inf):
        for taker in (RateProcess(0.1), RateSequence()):
            with pytest.raises(MeasurementUndefined):
                taker.update(value)
            assert taker.num_seen == 0
    for k, n in ((3, 2), (-1, 2), (0, 0), (0, math.nan)):
        for bound in (upper_bound, lower_bound, rate_interval):
            with pytest.raises(MeasurementUndefined):
                bound(k, n)
    with pytest.raises(MeasurementUndefined):
        rate_interval(1, 2, optimal_n=0)


def test_degenerate_counts_have_honest_intervals() -> None:
    for n in (1, 5, 1000):
        none, every = rate_interval(0, n), rate_interval(n, n)
        assert (none.low, every.high) == (0, 1)
        assert none.high > proportions.upper_bound(0, n)
        assert every.low < proportions.lower_bound(n, n)
    assert upper_bound(0, 1) <= 1
    assert upper_bound(5, 5) == 1
    assert default_prior(0.9, "below").b > 1
