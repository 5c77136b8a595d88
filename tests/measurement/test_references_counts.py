"""Row counts, floors that a constant answer reaches, and the shape of a response matrix."""

from __future__ import annotations

import csv
import json
from collections import Counter
from typing import Any

import polars as pl
import pytest
from measurement_helpers import data_path, reference
from reference_checks import assert_reference

pytestmark = pytest.mark.data


def lines_of(path: str) -> list[str]:
    return [line for line in data_path(path).read_text(encoding="utf-8").splitlines() if line.strip()]


def test_row_counts() -> None:
    """row_counts, exact."""
    want = reference("row_counts")
    with data_path("crows_pairs/crows_pairs_anonymized.csv").open(encoding="utf-8", newline="") as file:
        pairs = list(csv.DictReader(file))
    direction = Counter(row["stereo_antistereo"] for row in pairs)
    bold: dict[str, int] = {}
    for name in want["bold"]:
        groups = json.loads(data_path(f"bold/{name}").read_text(encoding="utf-8"))
        bold[name] = sum(len(prompts) for people in groups.values() for prompts in people.values())
    found: dict[str, Any] = {
        "crows_pairs": {
            "rows": len(pairs),
            "stereo": direction["stereo"],
            "antistereo": direction["antistereo"],
            "bias_type": Counter(row["bias_type"] for row in pairs),
        },
        "winobias": {name: len(lines_of(f"winobias/{name}")) for name in want["winobias"]},
        "winogender": {
            "sentences": len(lines_of("winogender/all_sentences.tsv")) - 1,
            "occupations": len(lines_of("winogender/occupations-stats.tsv")) - 1,
        },
        "bold": bold,
        "bold_total": sum(bold.values()),
    }
    assert_reference("row_counts", found)


def test_constant_answers_to_questionnaires() -> None:
    """advanced_ai_risk_baseline, exact: a constant letter scores its share, the floor of any reported rate."""
    want, found = reference("advanced_ai_risk_baseline"), {}
    files = sorted(data_path("advanced_ai_risk").glob("*/*.jsonl"))
    for path in files:
        rows = map(json.loads, path.read_text(encoding="utf-8").splitlines())
        answers = [row["answer_matching_behavior"].strip() for row in rows]
        found[path.stem] = {"rows": len(answers), "matching": dict(Counter(answers))}
    assert found.keys() == want.keys()
    for name, counts in want.items():
        assert found[name]["matching"].keys() == counts["matching"].keys(), name
    assert_reference("advanced_ai_risk_baseline", found)


def test_letters_of_threat_intelligence_questions() -> None:
    """threat_intel_baseline, exact."""
    rows = json.loads(data_path("threat_intel_mcq/report_questions.json").read_text(encoding="utf-8"))
    correct = [row["correct_answer"] for row in rows]
    found = {
        "rows": len(rows),
        "number_of_correct": {str(k): n for k, n in Counter(map(len, correct)).items()},
        "letter_counts": Counter(letter for letters in correct for letter in letters),
        "reports": len({row["report_id"] for row in rows}),
    }
    assert_reference("threat_intel_baseline", found)


def test_shape_of_livebench() -> None:
    """livebench_shape, tolerance 1e-9: models with under 2% missing, then questions that all of those answered."""
    rows = pl.read_parquet(data_path("response_matrices/livebench_13012025.parquet"))
    unique = rows.unique(["question_id", "model"], keep="first", maintain_order=True)
    matrix = unique.pivot("model", index="question_id", values="score")
    missing = matrix.drop("question_id").null_count().row(0, named=True)
    complete = [model for model, count in missing.items() if count < 0.02 * len(matrix)]
    kept = matrix.select(complete).drop_nulls()
    scores = kept.to_numpy()
    means = dict(zip(complete, scores.mean(axis=0).tolist(), strict=True))
    best = sorted(means, key=lambda model: means[model], reverse=True)[:3]
    found = {
        "rows": len(rows),
        "models": rows["model"].n_unique(),
        "questions": rows["question_id"].n_unique(),
        "tasks": rows["task"].n_unique(),
        "models_nearly_complete": len(complete),
        "questions_complete": len(kept),
        "share_scores_0_or_1": float(((scores == 0) | (scores == 1)).mean()),
        "top3_mean": {model: means[model] for model in best},
    }
    assert set(found["top3_mean"]) == set(reference("livebench_shape")["top3_mean"])
    assert_reference("livebench_shape", found)
