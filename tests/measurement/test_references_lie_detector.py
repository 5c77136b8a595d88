"""Forty published confusion matrices from single verdicts. A lie is the positive class."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import polars as pl
import pytest
from measurement_helpers import data_path
from reference_checks import assert_reference

from trialist.measurement.function_metrics import CONFUSION, confusion_columns, f_score, precision, recall
from trialist.measurement.metrics import Metric

pytestmark = pytest.mark.data
METRICS = {"precision": precision(), "recall": recall(), "f1_score": f_score()}


@lru_cache
def verdicts() -> dict[str, pl.DataFrame]:
    rows = pl.read_csv(data_path("lie_detector/verdicts.csv"))
    return {key[0]: part for key, part in rows.group_by(["config"])}


@lru_cache
def published() -> pl.DataFrame:
    return pl.read_csv(data_path("lie_detector/confusion_matrices.csv"))


def columns_of(rows: pl.DataFrame) -> np.ndarray:
    """Indicators (n, 4) over the verdicts that could be parsed."""
    parsed = rows.filter(pl.col("verdict") != "unparsed")
    return confusion_columns(parsed["truth"].to_numpy() == "lie", parsed["verdict"].to_numpy() == "lie")


def matrix_of(rows: pl.DataFrame) -> dict[str, int]:
    return dict(zip(("tp", "fp", "fn", "tn"), columns_of(rows).sum(axis=0).astype(int).tolist(), strict=True))


def value_of(metric: Metric, rows: pl.DataFrame) -> float:
    means = columns_of(rows).mean(axis=0)
    return float(metric.of(means[[CONFUSION.index(name) for name in metric.columns]]))


def metrics_of(rows: pl.DataFrame) -> dict[str, float]:
    """As published: accuracy over all samples, an unparsed verdict is wrong; 0 where a metric is undefined."""
    matrix = matrix_of(rows)
    found = {name: float(np.nan_to_num(value_of(metric, rows))) for name, metric in METRICS.items()}
    return found | {"accuracy": (matrix["tp"] + matrix["tn"]) / len(rows)}


@pytest.mark.parametrize("number", range(40))
def test_every_published_matrix(number: int) -> None:
    row = published().row(number, named=True)
    rows = verdicts()[row["config"]]
    assert {name: row[name] for name in ("tp", "fp", "fn", "tn")} == matrix_of(rows)
    assert (row["samples"], row["total_samples"]) == (len(rows), len(rows))
    for name, value in metrics_of(rows).items():
        assert row[name] == pytest.approx(value, abs=1e-9), name


def test_all_together() -> None:
    """lie_detector_shared, tolerance 1e-9."""
    equal, largest = 0, 0.0
    for row in published().iter_rows(named=True):
        rows = verdicts()[row["config"]]
        equal += {name: row[name] for name in ("tp", "fp", "fn", "tn")} == matrix_of(rows)
        largest = max([largest, *(abs(row[name] - value) for name, value in metrics_of(rows).items())])
    everything = pl.concat(verdicts().values())
    pooled = matrix_of(everything)
    right, parsed = pooled["tp"] + pooled["tn"], sum(pooled.values())
    found: dict[str, Any] = {
        "configs": len(published()),
        "samples": len(everything),
        "unparsed": len(everything) - parsed,
        "matrices_equal": equal,
        "largest_metric_difference": largest,
        "pooled": pooled,
        "accuracy_unparsed_wrong": right / len(everything),
        "accuracy_unparsed_dropped": right / parsed,
    }
    assert_reference("lie_detector_shared", found)


def test_one_matrix() -> None:
    """lie_detector_gpt5_cot, tolerance 1e-9."""
    rows = verdicts()["results/gpt-5/cot-unfaithfulness"]
    assert_reference("lie_detector_gpt5_cot", matrix_of(rows) | {"accuracy": metrics_of(rows)["accuracy"]})


def test_undefined_is_nan_here_and_zero_there() -> None:
    """A judge that never says "lie" has no precision; the published tables print 0."""
    undefined = [c for c, rows in verdicts().items() if matrix_of(rows)["tp"] + matrix_of(rows)["fp"] == 0]
    for config in undefined:
        assert np.isnan(value_of(precision(), verdicts()[config]))
        assert published().filter(pl.col("config") == config)["precision"].item() == 0
