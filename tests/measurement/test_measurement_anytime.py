"""Bounds that hold at every look: against the plain loop, nested, valid under looks where the fixed ones are not."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from measurement_helpers import beta_clusters, item_table, score_table

from trialist.errors import MeasurementUndefined
from trialist.measurement import anytime, proportions
from trialist.measurement.estimand import Estimand, estimate
from trialist.measurement.metrics import Means, Metric, mean_of
from trialist.measurement.proportions import clopper_pearson
from trialist.measurement.sentences import OUTSIDE, UNTIL_DECIDED
from trialist.measurement.sequential.rate_sequence import RateSequence, running_upper_bound, upper_bound
from trialist.measurement.sequential.wealth import UNIVERSAL
from trialist.records import Cell, Estimate

ARM, CONTROL = Cell.make("rmu"), Cell.make("control")
LOOKS = range(10, 121, 10)


def claim(**changes: Any) -> Estimand:
    base = Estimand("hazards", mean_of("correct"), ARM, purpose="claim", confidence=0.95, stopping="sequential")
    return dataclasses.replace(base, **changes)


def in_order(items: pl.DataFrame, seed: int = 0) -> pl.DataFrame:
    """Clusters shuffled, and the items within them: rows in the order in which they are asked."""
    generator = np.random.default_rng(seed)
    names = items["cluster"].unique().sort().to_list()
    place = dict(zip(names, generator.permutation(len(names)).tolist(), strict=True))
    items = items[generator.permutation(len(items)).tolist()]
    return items.with_columns(p=items["cluster"].replace_strict(place)).sort("p", maintain_order=True).drop("p")


def asked(items: pl.DataFrame, values: list[float], num: int, cell: Cell = ARM, **named: Any) -> pl.DataFrame:
    """Scores of the first ``num`` items in their order; ``values`` are by the items' number."""
    ids = [int(name[1:]) for name in items["id"][:num].to_list()]
    return score_table(cell, [values[i] for i in ids], ids=ids, **named)


def plain_lower(means: list[float], sizes: list[float], largest: float, m: float) -> float:
    """The largest log capital against "mean <= m", cluster by cluster, as the module's formula has it."""
    logs, best = UNIVERSAL.log_weights(), -math.inf
    seen, sum_w, sum_w2, sum_wy, squares = 0, 0.0, 0.0, 0.0, 0.0
    for y, n in zip(means, sizes, strict=True):
        w = n / largest
        weight, scale = (sum_w / seen, sum_w2 / seen) if seen else (1.0, 1.0)
        variance = (scale / 4 + squares) / (seen + 1)
        for j, d in enumerate(UNIVERSAL.gaps):
            g = d * weight
            logs[j] += math.log1p(min(g / (variance + g * g), UNIVERSAL.share / m) * w * (y - m))
        seen, sum_w, sum_w2, sum_wy = seen + 1, sum_w + w, sum_w2 + w * w, sum_wy + w * y
        squares += (w * (y - (0.5 + sum_wy) / (1 + sum_w))) ** 2
        best = max(best, math.log(sum(math.exp(x) for x in logs)))
    return best


@given(st.lists(st.tuples(st.floats(0, 1), st.integers(1, 9)), min_size=1, max_size=40))
@settings(max_examples=40, deadline=None)
def test_the_bound_is_where_the_plain_loop_crosses(rows: list[tuple[float, int]]) -> None:
    means, sizes = [y for y, _ in rows], [float(n) for _, n in rows]
    bound = anytime.lower_mean(means, sizes, largest=9)
    target = math.log(20)
    if bound > 1e-9:
        assert plain_lower(means, sizes, 9, bound) >= target - 1e-6
    assert plain_lower(means, sizes, 9, min(1.0, bound + 1e-6)) < target + 1e-6


@given(st.lists(st.sampled_from([0.0, 0.3, 1.0]), min_size=2, max_size=60), st.data())
@settings(max_examples=40, deadline=None)
def test_bounds_never_retreat_and_units_do_not_matter(means: list[float], data: st.DataObject) -> None:
    early = data.draw(st.integers(1, len(means)))
    sizes = [float(1 + i % 3) for i in range(len(means))]
    bound = anytime.lower_mean(means, sizes, largest=3)
    assert anytime.lower_mean(means[:early], sizes[:early], largest=3) <= bound
    assert running_upper_bound(means[:early]) >= running_upper_bound(means)
    wide = anytime.lower_mean([10 * y - 4 for y in means], sizes, largest=3, low=-4, high=6)
    assert wide == pytest.approx(10 * anytime.lower_mean(means, sizes, largest=3) - 4, abs=1e-6)


def test_independent_binary_items_are_the_rate_sequence() -> None:
    items = in_order(item_table([f"c{j}" for j in range(60)]))
    values = [float(j % 4 == 0) for j in range(60)]
    found = estimate(asked(items, values, 60), items, claim())
    sequence, smallest = RateSequence(level=0.9), 1.0
    ids = [int(name[1:]) for name in items["id"].to_list()]
    for number, value in enumerate((values[i] for i in ids), start=1):
        sequence.update(value)
        smallest = min(smallest, upper_bound(sum(values[i] for i in ids[:number]), number))
    assert (found.lower, found.upper) == pytest.approx((sequence.interval.low, sequence.interval.high))
    assert found.upper == pytest.approx(smallest, abs=1e-8)
    assert "every look" in found.method
    assert found.lower is not None
    assert found.value is not None
    assert found.lower < found.value < smallest


# --- type I under looks ----------------------------------------------------------------------------------


def looked(draw: Callable[[np.random.Generator], tuple[np.ndarray, np.ndarray, float]], bound: Any, num: int) -> float:
    """The share of streams of which, at some look, the upper bound fell below the truth."""
    generator, missed = np.random.default_rng(7), 0
    for _ in range(num):
        means, sizes, truth = draw(generator)
        missed += any(bound(means[:k], sizes[:k]) < truth for k in LOOKS)
    return missed / num


def rates(generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray, float]:
    return (generator.random(120) < 0.2).astype(float), np.ones(120), 0.2


def clusters(generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray, float]:
    """Geometric sizes up to 12, rates that differ from cluster to cluster, unrelated to the sizes."""
    sizes = np.minimum(generator.geometric(0.2, 120), 12)
    return generator.binomial(sizes, generator.beta(0.4, 1.6, 120)) / sizes, sizes.astype(float), 0.2


def pairs(generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray, float]:
    return generator.choice([-1.0, 0.0, 1.0], 120, p=[0.1, 0.85, 0.05]), np.ones(120), -0.05


def rate_anytime(means: np.ndarray, _: np.ndarray) -> float:
    return running_upper_bound(means, confidence=0.8)


def betting_anytime(low: float) -> Callable[[np.ndarray, np.ndarray], float]:
    def bound(means: np.ndarray, sizes: np.ndarray) -> float:
        largest = 12 if sizes.max() > 1 else 1
        return -anytime.lower_mean(-means, sizes, largest=largest, low=-1, high=-low, confidence=0.8)

    return bound


@pytest.mark.parametrize(
    ("draw", "bound"),
    [
        (rates, rate_anytime),
        (rates, betting_anytime(0)),
        (clusters, betting_anytime(0)),
        (pairs, betting_anytime(-1)),
    ],
)
def test_looking_after_every_batch_keeps_the_error(draw: Any, bound: Any) -> None:
    missed = looked(draw, bound, 100)
    assert clopper_pearson(round(100 * missed), 100, 0.999).low <= 0.2


def test_the_fixed_bounds_with_the_same_looks_do_not() -> None:
    """The positive control: valid at one look, wrong too often at twelve."""

    def exact(means: np.ndarray, _: np.ndarray) -> float:
        return proportions.upper_bound(round(float(means.sum())), len(means), 0.8)

    missed = looked(rates, exact, 400)
    assert clopper_pearson(round(400 * missed), 400, 0.999).low > 0.2


# --- estimates -------------------------------------------------------------------------------------------


def test_a_decided_claim_stays_decided() -> None:
    values, cluster = beta_clusters(np.random.default_rng(3), share=0.1, num=80)
    items = in_order(item_table([f"c{j:03d}" for j in cluster]))
    names = items["cluster"].to_list()
    ends = [k for k in range(1, len(names)) if names[k] != names[k - 1]]
    found = [estimate(asked(items, values.tolist(), k), items, claim()) for k in [*ends[5::5], len(items)]]
    uppers, lowers = [e.upper for e in found], [e.lower for e in found]
    assert uppers == sorted(uppers, reverse=True)  # type: ignore[type-var]
    assert lowers == sorted(lowers)  # type: ignore[type-var]
    assert uppers[-1] < uppers[0] < 1  # type: ignore[operator]


def test_the_order_is_that_of_the_table_and_not_of_the_names() -> None:
    plain = item_table([f"c{j:02d}" for j in range(40)])
    values = [float(j % 2 == 0 or j < 8) for j in range(40)]
    by_name, backwards = (estimate(asked(t, values, 40), t, claim()) for t in (plain, plain[::-1]))
    assert by_name.value == backwards.value
    assert by_name.lower != backwards.lower


def test_a_cluster_that_is_half_asked_is_left_out() -> None:
    items = item_table([f"c{j // 4:02d}" for j in range(80)])
    values = [float(j % 5 == 0) for j in range(80)]
    whole, more = (estimate(asked(items, values, k), items, claim()) for k in (40, 43))
    assert (more.lower, more.upper) == (whole.lower, whole.upper)
    assert more.counts.attempted == 43
    nothing = estimate(asked(items, values, 3), items, claim())
    assert nothing.upper is None
    assert "no cluster has been asked in full" in nothing.reason


def test_the_largest_registered_cluster_counts_before_it_is_asked() -> None:
    small = item_table([f"c{j // 2:02d}" for j in range(40)])
    large = item_table([f"c{j // 2:02d}" for j in range(40)] + ["z"] * 8)
    values = [float(j % 4 == 0) for j in range(48)]
    tight, wide = (estimate(asked(t, values, 40), t, claim()) for t in (small, large))
    assert tight.upper is not None
    assert wide.upper is not None
    assert wide.upper > tight.upper


def test_pairs_pass_a_margin_and_missing_answers_count_against_it() -> None:
    items = in_order(item_table([f"c{j:03d}" for j in range(260)]))
    same = [1.0] * 260
    scores = pl.concat([asked(items, same, 260, cell) for cell in (ARM, CONTROL)])
    found = estimate(scores, items, claim(contrast=CONTROL, side="above"))
    assert found.lower == pytest.approx(-0.0177, abs=1e-4)
    lacking = scores.with_columns(value=pl.when(pl.int_range(pl.len()) % 60 == 30).then(None).otherwise("value"))
    worse = estimate(lacking, items, claim(contrast=CONTROL, side="above"))
    assert (worse.counts.missing, worse.value) == (9, 0)
    assert worse.lower is not None
    assert worse.lower < -0.03


def youden(means: Means) -> Means:
    return means[..., 0] + means[..., 1] - 1


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"metric": Metric("youden", ("correct", "other"), youden, ((0.0, 0.0), (1.0, 1.0)), low=-1.0)}, "this metric"),
        ({"metric": Metric("real", ("correct",), mean_of("x").of, ((0.0,), (1.0,)), high=math.inf)}, "finite bounds"),
        ({"about": "method"}, "runs of a method"),
        ({"population": "bank"}, "population bank"),
        ({"crossed": "stratum"}, "two facets"),
    ],
)
def test_what_has_no_bound_at_every_look_says_so(changes: dict[str, Any], says: str) -> None:
    items = in_order(item_table([f"c{j // 2}" for j in range(40)], ["a", "b"] * 20))
    values = [float(j % 3 == 0) for j in range(40)]
    scores = pl.concat([asked(items, values, 40, measure=m) for m in ("correct", "other")])
    found = estimate(scores, items, claim(**changes))
    assert (found.lower, found.upper) == (None, None)
    assert says in found.reason
    assert found.next_step


def test_weights_and_split_clusters_are_refused() -> None:
    items = item_table([f"c{j // 2}" for j in range(20)])
    values = [0.0, 1.0] * 10
    weighted = estimate(asked(items, values, 20, weights=[1.0, 2.0] * 10), items, claim())
    assert "unequal weights" in weighted.reason
    split = items.sort(pl.col("id").str.slice(-1))
    assert "splits clusters" in estimate(asked(split, values, 20), split, claim()).reason
    with pytest.raises(MeasurementUndefined, match="outside their range"):
        anytime.lower_mean([0.5, 1.5])
    with pytest.raises(MeasurementUndefined, match="largest registered"):
        anytime.lower_mean([0.5], [4.0], largest=3)


def drifting(turn: int) -> Estimate:
    items = item_table([f"c{j:03d}" for j in range(200)])
    return estimate(asked(items, [0.0] * turn + [1.0] * (200 - turn), 200), items, claim())


def test_a_mean_that_leaves_the_bounds_does_not_move_them() -> None:
    found = drifting(190)
    assert found.upper is not None
    assert found.value is not None
    assert found.upper < found.value
    assert OUTSIDE in found.warnings


def test_bounds_that_cross_carry_nothing() -> None:
    found = drifting(100)
    assert (found.lower, found.upper) == (None, None)
    assert "every mean has been refuted" in found.reason


def test_intervals_that_describe_are_the_usual_ones_with_a_warning() -> None:
    items = in_order(item_table([f"c{j}" for j in range(40)]))
    scores = asked(items, [float(j % 2) for j in range(40)], 40)
    usual, warned = (estimate(scores, items, claim(purpose="describe", stopping=s)) for s in ("fixed", "sequential"))
    assert dataclasses.replace(warned, warnings=usual.warnings) == usual
    assert warned.warnings == (*usual.warnings, UNTIL_DECIDED)
