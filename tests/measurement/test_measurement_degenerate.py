"""Degenerate input to ``estimate``: a valid interval, a refusal with its reason, or an error; never a zero width."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from measurement_helpers import item_table, score_table

from trialist.errors import MeasurementUndefined
from trialist.measurement.estimand import Estimand, estimate
from trialist.measurement.metrics import Means, Metric, first, mean_of
from trialist.records import Cell, Estimate

ARM, CONTROL = Cell("arm"), Cell("control")


def youden(means: Means) -> Means:
    return means[..., 0] + means[..., 1] - 1


def ratio(means: Means) -> Means:
    return means[..., 0] / means[..., 1]


UNIT = mean_of("one", "share")
LOG = Metric("cost", ("one",), first, ((-math.inf,), (math.inf,)), -math.inf, math.inf)
YOUDEN = Metric("youden", ("one", "two"), youden, ((0.0, 0.0), (1.0, 1.0)), low=-1.0)
RATIO = Metric("ratio", ("one", "two"), ratio, ((0.0, 1.0), (1.0, 1.0), (0.0, 0.0)), 0.0, math.inf)

SITUATIONS: dict[str, dict[str, Any]] = {
    "binary": {"metric": UNIT, "kind": "binary"},
    "graded": {"metric": UNIT, "kind": "bounded"},
    "graded without bounds": {"metric": LOG, "kind": "bounded"},
    "paired binary": {"metric": UNIT, "kind": "binary", "paired": True},
    "paired graded": {"metric": UNIT, "kind": "bounded", "paired": True},
    "function": {"metric": YOUDEN, "kind": "binary"},
    "ratio": {"metric": RATIO, "kind": "binary"},
    "paired function": {"metric": YOUDEN, "kind": "binary", "paired": True},
}
CASES: dict[str, dict[str, Any]] = {
    "all pass": {"values": [1.0] * 40},
    "all fail": {"values": [0.0] * 40},
    "all pass in five clusters": {"values": [1.0] * 40, "size": 8},
    "one fails": {"values": [0.0] + [1.0] * 39},
    "one cluster": {"values": [1.0, 0.0] * 10, "size": 20},
    "four clusters": {"values": [1.0, 0.0] * 10, "size": 5},
    "one item passes": {"values": [1.0]},
    "one item fails": {"values": [0.0]},
    "two items": {"values": [1.0, 0.0]},
    "all missing": {"values": [None] * 12},
    "one scored": {"values": [1.0] + [None] * 11},
    "constant judge": {"values": [1.0] * 40, "scorer": "judge"},
    "no weight": {"values": [1.0, 0.0] * 20, "weights": [0.0] * 40},
    "one item has the weight": {"values": [1.0, 0.0] * 20, "weights": [1.0] + [0.0] * 39},
    "weights far apart": {"values": [1.0, 0.0] * 20, "weights": [1e12] + [1e-12] * 39},
    "tiny weights": {"values": [1.0, 0.0] * 20, "weights": [1e-12] * 40},
    "no items": {"values": []},
}
ASKED: dict[str, dict[str, Any]] = {
    "process": {},
    "bank": {"population": "bank"},
    "part of a bank": {"population": "bank", "bank_size": 300},
    "traffic": {"population": "traffic"},
    "method": {"about": "method"},
    "sizes unrelated": {"sizes": "unrelated"},
}


def table(situation: dict[str, Any], case: dict[str, Any]) -> pl.DataFrame:
    cells = [ARM, CONTROL] if situation.get("paired") else [ARM]
    parts = [
        score_table(cell, case["values"], measure=measure, kind=situation["kind"], weights=case.get("weights"))
        for cell in cells
        for measure in situation["metric"].columns
    ]
    return pl.concat(parts).with_columns(scorer_kind=pl.lit(case.get("scorer", "program")))


def asked(situation: dict[str, Any], purpose: str, **more: Any) -> Estimand:
    base = Estimand("items", situation["metric"], ARM, contrast=CONTROL if situation.get("paired") else None)
    claim = {"purpose": "claim", "confidence": 0.95, "side": "above"} if purpose == "claim" else {}
    return dataclasses.replace(base, **{**claim, **more})


def honest(found: Estimate, low: float, high: float) -> None:
    limits = (found.low, found.high) if found.purpose == "describe" else (found.lower, found.upper)
    if found.value is None:
        assert limits == (None, None)
        assert found.reason
        return
    assert math.isfinite(found.value)
    assert low <= found.value <= high
    if found.worst_low is not None:
        assert found.worst_low <= found.value <= found.worst_high  # type: ignore[operator]
    if limits == (None, None):
        assert found.reason
        return
    assert limits[0] < limits[1]  # type: ignore[operator]
    assert low <= limits[0] <= found.value <= limits[1] <= high  # type: ignore[operator]
    assert all(map(math.isfinite, limits))  # type: ignore[arg-type]
    assert found.method != "none"


def span(situation: dict[str, Any]) -> tuple[float, float]:
    metric = situation["metric"]
    width = metric.high - metric.low
    return (-width, width) if situation.get("paired") else (metric.low, metric.high)


@pytest.mark.parametrize("purpose", ["describe", "claim"])
@pytest.mark.parametrize("case", list(CASES))
@pytest.mark.parametrize("situation", list(SITUATIONS))
def test_a_valid_interval_or_a_reason(situation: str, case: str, purpose: str) -> None:
    place, data = SITUATIONS[situation], CASES[case]
    n = len(data["values"])
    items = item_table([f"c{j // data.get('size', 1)}" for j in range(max(n, 1))])
    for more in ASKED.values():
        found = estimate(table(place, data), items, asked(place, purpose, **more))
        honest(found, *span(place))
        if purpose == "claim" and data.get("scorer") == "judge":
            assert found.lower is None


@pytest.mark.parametrize("purpose", ["describe", "claim"])
@pytest.mark.parametrize("situation", [name for name in SITUATIONS if SITUATIONS[name].get("paired")])
def test_cells_without_a_common_item(situation: str, purpose: str) -> None:
    place = SITUATIONS[situation]
    scores = table(place, {"values": [1.0, 0.0] * 10})
    apart = scores.filter((pl.col("arm") == "arm") == (pl.col("item") < "i00010"))
    found = estimate(apart, item_table([f"c{j}" for j in range(20)]), asked(place, purpose))
    assert found.value is None
    honest(found, *span(place))
    assert any("20 items were attempted in only one" in warning for warning in found.warnings)


@pytest.mark.parametrize("purpose", ["describe", "claim"])
@pytest.mark.parametrize(
    "bad",
    [
        "nan",
        "infinite",
        "negative weight",
        "infinite weight",
        "weight 1e300",
        "weight 1e-300",
        "doubled",
        "out of range",
    ],
)
@pytest.mark.parametrize("situation", list(SITUATIONS))
def test_an_error_and_no_number(situation: str, bad: str, purpose: str) -> None:
    place = SITUATIONS[situation]
    scores = table(place, {"values": [1.0, 0.0] * 10})
    here = pl.col("item") == "i00003"
    change = {
        "nan": ("value", math.nan), "infinite": ("value", math.inf), "negative weight": ("weight", -1.0),
        "infinite weight": ("weight", math.inf), "weight 1e300": ("weight", 1e300), "weight 1e-300": ("weight", 1e-300),
        "out of range": ("value", 7.0), "doubled": ("value", 1.0),
    }[bad]  # fmt: skip
    name, value = change
    scores = scores.with_columns(pl.when(here).then(value).otherwise(pl.col(name)).alias(name))
    if bad == "doubled":
        scores = pl.concat([scores, scores.filter(here)])
    if bad == "out of range" and (place["metric"] is LOG or (place["kind"] == "bounded" and place["metric"] is RATIO)):
        return
    with pytest.raises(MeasurementUndefined) as error:
        estimate(scores, item_table([f"c{j}" for j in range(20)]), asked(place, purpose))
    assert error.value.problems[0].seen


values = st.lists(st.sampled_from([0.0, 0.25, 1.0, None]), min_size=1, max_size=30)


@settings(max_examples=50, deadline=None)
@given(
    values, st.sampled_from(["graded", "graded without bounds", "paired graded"]), st.sampled_from(list(ASKED)),
    st.sampled_from(["describe", "claim"]), st.integers(1, 6), st.integers(0, 10**6),
)  # fmt: skip
def test_any_scores_weights_and_clusters(
    drawn: list[float | None], situation: str, more: str, purpose: str, size: int, seed: int
) -> None:
    place, generator = SITUATIONS[situation], np.random.default_rng(seed)
    weights = generator.choice([0.0, 1.0, 1.0, 3.5], len(drawn)).tolist() if seed % 2 else None
    scores = table(place, {"values": drawn, "weights": weights})
    if place.get("paired"):
        mixed = generator.permutation(np.array([math.nan if x is None else x for x in drawn]))
        second = score_table(
            CONTROL, [None if math.isnan(x) else float(x) for x in mixed], measure="one", kind="bounded",
            weights=weights,
        )  # fmt: skip
        scores = pl.concat([scores.filter(pl.col("arm") == "arm"), second])
    if more == "method":
        scores = pl.concat([scores, scores.with_columns(replicate=pl.lit(1, dtype=pl.Int32))])
    items = item_table([f"c{j // size}" for j in range(len(drawn))])
    honest(estimate(scores, items, asked(place, purpose, **ASKED[more])), *span(place))
