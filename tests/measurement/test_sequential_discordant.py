"""Paired binary scores: the e-process of the discordant pairs, and the confidence sequence of their wins."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import betainc, betaln

from trialist.errors import MeasurementUndefined
from trialist.measurement.check import CERTAINTY, coverage
from trialist.measurement.interval import Interval
from trialist.measurement.proportions import clopper_pearson
from trialist.measurement.sequential.discordant import DiscordantProcess, Side, WinRateSequence

SIDES: tuple[Side, ...] = ("better", "worse")
PAIRS = st.lists(st.sampled_from([-1.0, 0.0, 1.0]), max_size=80)


def after(pairs: list[float], shows: Side) -> DiscordantProcess:
    process = DiscordantProcess(shows)
    for pair in pairs:
        process.update(pair)
    return process


@settings(max_examples=60, deadline=None)
@given(PAIRS, st.sampled_from(SIDES))
def test_equals_the_formula(pairs: list[float], shows: Side) -> None:
    b, c = pairs.count(1.0), pairs.count(-1.0)
    for_side, against = (c, b) if shows == "worse" else (b, c)
    mass = betainc(1 + against, 1 + for_side, 0.5)
    expected = math.log(mass / 0.5) + betaln(1 + b, 1 + c) + (b + c) * math.log(2)
    found = after(pairs, shows)
    assert found.log_e == pytest.approx(float(expected), abs=1e-7)
    assert (found.num_seen, found.num_discordant) == (len(pairs), b + c)


@settings(max_examples=30, deadline=None)
@given(PAIRS)
def test_sides_mirror_and_agreeing_pairs_count_for_nothing(pairs: list[float]) -> None:
    mirrored = after([-pair for pair in pairs], "worse")
    assert after(pairs, "better").log_e == pytest.approx(mirrored.log_e, abs=1e-9)
    without = after([pair for pair in pairs if pair], "better")
    assert (without.log_e, without.max_log_e) == (after(pairs, "better").log_e, after(pairs, "better").max_log_e)


@pytest.mark.parametrize("shows", SIDES)
def test_martingale_where_wins_and_losses_are_equally_likely(shows: Side) -> None:
    """Exact over all 3^6 streams, for any share of discordant pairs; below 1 where the other arm wins more often."""
    for share, tilt in ((0.1, 0.0), (0.9, 0.0), (0.5, 0.2)):
        sign = 1 if shows == "worse" else -1
        law = {1.0: share / 2 + sign * tilt / 2, -1.0: share / 2 - sign * tilt / 2, 0.0: 1 - share}
        mean = sum(
            math.prod(law[pair] for pair in stream) * math.exp(after(list(stream), shows).log_e)
            for stream in itertools.product(law, repeat=6)
        )
        assert mean == pytest.approx(1, abs=1e-9) if tilt == 0 else mean < 0.9


def test_type_one_error_and_power() -> None:
    """Equal arms are called different at most as often as allowed; .2 against .05 is found, by fewer pairs."""
    generator = np.random.default_rng(2)
    wrong, found, numbers = 0, 0, []
    for _ in range(150):
        a, b = generator.random(400) < 0.3, generator.random(400) < 0.3
        wrong += max(after((a.astype(float) - b).tolist(), side).max_log_e for side in SIDES) >= math.log(40)
        worse = (generator.random(400) < 0.05).astype(float) - (generator.random(400) < 0.2)
        process = DiscordantProcess("worse")
        for n, pair in enumerate(worse.tolist(), 1):
            process.update(pair)
            if process.log_e >= math.log(20):
                found += 1
                numbers.append(n)
                break
    assert clopper_pearson(wrong, 150, CERTAINTY).low <= 0.05
    assert found >= 145
    assert np.mean(numbers) < 200


def test_sequence_of_wins_covers() -> None:
    def draw(generator: np.random.Generator) -> list[float]:
        discordant = generator.random(200) < 0.4
        return np.where(discordant, np.where(generator.random(200) < 0.7, 1.0, -1.0), 0.0).tolist()

    def estimate(pairs: list[float]) -> Interval | None:
        sequence = WinRateSequence(level=0.9)
        for pair in pairs:
            sequence.update(pair)
        try:
            return sequence.interval
        except MeasurementUndefined:
            return Interval(2, 2)

    found = coverage(estimate, draw, truth=0.7, repetitions=120, generator=np.random.default_rng(4))
    assert found.reaches(0.9)
    assert found.mean_width < 0.5


def test_no_discordant_pair_says_nothing() -> None:
    assert after([0.0] * 50, "better").log_e == 0
    sequence = WinRateSequence()
    sequence.update(0.0)
    assert sequence.interval == Interval(0, 1)
    assert sequence.num_discordant == 0


def test_refusals() -> None:
    for value in (0.5, 2.0, math.nan):
        for taker in (DiscordantProcess("better"), WinRateSequence()):
            with pytest.raises(MeasurementUndefined, match="-1, 0 or 1"):
                taker.update(value)
    with pytest.raises(MeasurementUndefined):
        DiscordantProcess("equal")  # type: ignore[arg-type]
