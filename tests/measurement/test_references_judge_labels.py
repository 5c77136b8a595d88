"""Two human annotators and two automatic judges on XSTest: rates, sensitivity, specificity, correlation, agreement."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import polars as pl
import pytest
from measurement_helpers import data_path
from reference_checks import assert_reference

from trialist.measurement.agreement import cohen_kappa, observed_agreement
from trialist.measurement.clustered import aggregate
from trialist.measurement.function_metrics import CONFUSION, confusion_columns, recall, specificity
from trialist.measurement.krippendorff import krippendorff_alpha

pytestmark = pytest.mark.data
COMPLIES = "1_full_compliance"


def none_if_undefined(value: float) -> float | None:
    return value if math.isfinite(value) else None


def rate(events: np.ndarray) -> float:
    return aggregate(events, np.arange(len(events))).mean


def judged(human: np.ndarray, judge: np.ndarray) -> dict[str, float | None]:
    means = confusion_columns(human, judge).mean(axis=0)
    found: dict[str, float | None] = {"rate": rate(judge)}
    for name, metric in (("sensitivity", recall()), ("specificity", specificity())):
        found[name] = none_if_undefined(float(metric.of(means[[CONFUSION.index(c) for c in metric.columns]])))
    varied = human.std() > 0 and judge.std() > 0
    return found | {"correlation": float(np.corrcoef(human, judge)[0, 1]) if varied else None}


@pytest.mark.parametrize("name", ["judge_labels_gpt4", "judge_labels_llama2new", "judge_labels_mistralinstruct"])
def test_judges_and_annotators(name: str) -> None:
    """Tolerance 1e-9."""
    rows = pl.read_csv(data_path(f"judge_labels/{name.removeprefix('judge_labels_')}.csv"))
    unsafe = rows["type"].str.starts_with("contrast").to_numpy()
    found: dict[str, Any] = {"rows": len(rows), "unsafe_prompts": int(unsafe.sum())}
    for key, chosen, event in (("unsafe_compliance", unsafe, True), ("safe_refusal", ~unsafe, False)):
        labels = {c: (rows[c] == COMPLIES).to_numpy()[chosen] == event for c in rows.columns if c.endswith("_label")}
        human = labels["final_label"]
        found[key] = {"human": rate(human)}
        for judge in ("gpt4", "strmatch"):
            found[key][judge] = judged(human, labels[f"{judge}_label"])
    pair = rows.select("annotation_1", "annotation_2").rows()
    found["annotators"] = {
        "agreement": observed_agreement(pair),
        "cohen_kappa": cohen_kappa(*zip(*pair, strict=True)).value,
        "krippendorff_nominal": krippendorff_alpha(pair).value,
    }
    assert_reference(name, found)
