from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from measurement_helpers import reference

from trialist.errors import MeasurementUndefined
from trialist.measurement.check import coverage
from trialist.measurement.interval import Interval
from trialist.measurement.pairwise import BradleyTerry, bradley_terry

Battles = list[tuple[str, str, float]]


def fit(battles: Battles, cluster: Any = None) -> BradleyTerry:
    first, second, score = zip(*battles, strict=True)
    return bradley_terry(first, second, score, cluster)


def repeated(wins: dict[str, int]) -> Battles:
    return [(pair[0], pair[1], 1.0) for pair, num in wins.items() for _ in range(num)]


SHARED = repeated({"AB": 2, "BA": 3, "AD": 1, "DA": 4, "BC": 5, "CB": 3, "CD": 1, "DC": 3})


@pytest.mark.data
def test_bradley_terry_reference() -> None:
    """bradley_terry_shared, tolerance 1e-6."""
    want = reference("bradley_terry_shared")
    found = fit(SHARED)
    assert dict(zip(found.players, found.strengths, strict=True)) == pytest.approx(want, abs=1e-6)


def test_published_strengths() -> None:
    """arena-rank, tests/test_bradley_terry.py: .640, 1.043, .660, 2.270, geometric mean 1."""
    found = fit(SHARED)
    assert found.strengths == pytest.approx([0.640, 1.043, 0.660, 2.270], abs=6e-4)
    assert np.log(found.strengths).sum() == pytest.approx(0, abs=1e-12)
    assert (found.num_battles, found.num_clusters) == (22, 22)


battles = st.lists(
    st.tuples(st.sampled_from("ABCD"), st.sampled_from("ABCD"), st.sampled_from([0.0, 0.5, 1.0])).filter(
        lambda b: b[0] != b[1]
    ),
    min_size=3,
    max_size=30,
)


def connected(rows: Battles) -> bool:
    """Ford's condition by trying every split of the players."""
    players = sorted({p for row in rows for p in row[:2]})
    for size in range(1, len(players)):
        for group in itertools.combinations(players, size):
            won = any(
                (a in group and b not in group and y > 0) or (b in group and a not in group and y < 1)
                for a, b, y in rows
            )
            if not won:
                return False
    return True


@settings(max_examples=60)
@given(battles)
def test_refused_exactly_where_fords_condition_fails(rows: Battles) -> None:
    if connected(rows):
        fit_ok(rows)
    else:
        with pytest.raises(MeasurementUndefined, match="strongly connected"):
            fit(rows)


def fit_ok(rows: Battles) -> None:
    try:
        found = fit(rows)
    except MeasurementUndefined as undefined:
        assert "agrees exactly" in str(undefined)  # noqa: PT017 - one of two outcomes
        return
    # The likelihood equations: each player's expected number of wins is the observed one.
    s = dict(zip(found.players, found.strengths, strict=True))
    for player in found.players:
        won = sum(y if a == player else 1 - y for a, b, y in rows if player in (a, b))
        expected = sum(s[player] / (s[a] + s[b]) for a, b, _ in rows if player in (a, b))
        assert won == pytest.approx(expected, abs=1e-8)


def test_the_unbeaten_and_the_winless_are_named() -> None:
    rows = [("A", "B", 1.0), ("B", "A", 1.0), ("C", "A", 1.0), ("D", "B", 0.0)]
    with pytest.raises(MeasurementUndefined) as caught:
        fit(rows)
    text = str(caught.value)
    assert "never beaten or tied from outside their group: C;" in text
    assert "never won or tied outside their group: D" in text
    fit([*rows, ("A", "C", 0.5), ("D", "A", 0.5)])


@settings(max_examples=40)
@given(battles)
def test_names_order_and_sides_change_nothing(rows: Battles) -> None:
    if not connected(rows):
        return
    try:
        found = fit(rows)
    except MeasurementUndefined:
        return
    swapped = fit([(b.lower(), a.lower(), 1 - y) for a, b, y in reversed(rows)])
    assert swapped.strengths == pytest.approx(found.strengths)
    assert swapped.covariance == pytest.approx(found.covariance, abs=1e-9)


def test_two_players_are_a_proportion() -> None:
    """70 wins in 100: odds 7/3, and the sandwich is the binomial variance of the logit times n/(n - 1)."""
    found = fit([("A", "B", 1.0)] * 70 + [("A", "B", 0.0)] * 30)
    pair = found.contrast("A", "B")
    assert pair.probability == pytest.approx(0.7)
    assert pair.standard_error == pytest.approx(math.sqrt(1 / 21 * 100 / 99))
    assert found.strengths == pytest.approx([math.sqrt(7 / 3), math.sqrt(3 / 7)])
    back = found.contrast("B", "A")
    assert (back.interval.low, back.p_value) == pytest.approx((1 - pair.interval.high, pair.p_value))
    assert found.interval("A").contains(math.sqrt(7 / 3))


def test_repeating_every_battle_within_its_prompt_adds_nothing() -> None:
    once = fit(SHARED)
    many = fit([row for row in SHARED for _ in range(5)], np.repeat(np.arange(22), 5))
    naive = fit([row for row in SHARED for _ in range(5)])
    assert many.strengths == pytest.approx(once.strengths)
    assert many.covariance == pytest.approx(once.covariance)
    assert naive.contrast("D", "A").standard_error < 0.5 * once.contrast("D", "A").standard_error


PLAYERS, STRENGTHS = ("a", "b", "c", "d"), np.array([0.6, 0.2, -0.2, -0.6])
Data = tuple[list[str], list[str], np.ndarray, np.ndarray]


def draw(generator: np.random.Generator) -> Data:
    """50 prompts of six battles; on a prompt both sides of a pair keep one verdict with probability 1/2 for all six.

    Marginally each battle is Bradley-Terry: shared or own, its uniform variable is compared to the same probability.
    """
    first, second, score, prompt = [], [], [], []
    pairs = list(itertools.combinations(range(4), 2))
    for p in range(50):
        shared, own = generator.random(), generator.random(6)
        use = generator.random() < 0.5
        for k, (i, j) in enumerate(pairs):
            chance = 1 / (1 + math.exp(STRENGTHS[j] - STRENGTHS[i]))
            first.append(PLAYERS[i])
            second.append(PLAYERS[j])
            score.append(float((shared if use else own[k]) < chance))
            prompt.append(p)
    return first, second, np.array(score), np.array(prompt)


def test_coverage_with_prompts_as_clusters_and_without() -> None:
    truth = float(1 / (1 + np.exp(-1.2)))

    def clustered(data: Data) -> Interval:
        return bradley_terry(*data).contrast("a", "d").interval

    def naive(data: Data) -> Interval:
        return bradley_terry(*data[:3]).contrast("a", "d").interval

    found = coverage(clustered, draw, truth=truth, repetitions=200, generator=np.random.default_rng(0))
    assert found.reaches(0.95), found
    control = coverage(naive, draw, truth=truth, repetitions=200, generator=np.random.default_rng(0))
    assert not control.reaches(0.95), control


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: bradley_terry([], [], []), "two players"),
        (lambda: bradley_terry(["A"], ["A"], [1]), "battle itself"),
        (lambda: bradley_terry(["A"], ["B"], [2]), "score"),
        (lambda: bradley_terry(["A"], ["B"], [math.nan]), "score"),
        (lambda: bradley_terry(["A", "B"], ["B", "A"], [1, 1], [0, 0]), "two clusters"),
        (lambda: bradley_terry(["A", "A"], ["B", "B"], [0.5, 0.5]), "agrees exactly"),
        (lambda: fit(SHARED).contrast("A", "A"), "two players"),
        (lambda: fit(SHARED).interval("E"), "unknown player"),
    ],
)
def test_wrong_input_is_refused(call: Any, match: str) -> None:
    with pytest.raises(MeasurementUndefined, match=match):
        call()
