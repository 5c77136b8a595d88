"""Answerers that never read the question, human factual precision, and entropies over meanings."""

from __future__ import annotations

import csv
import json
import math
from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
from measurement_helpers import data_path, reference
from reference_checks import assert_reference

from trialist.measurement.clustered import aggregate
from trialist.measurement.function_metrics import ratio

pytestmark = pytest.mark.data


def percent(values: Iterable[float]) -> float:
    x = np.array(list(values), dtype=float)
    return 100 * aggregate(x, np.arange(len(x))).mean


def blind_accuracies(file: str) -> dict[str, float]:
    tasks = [task["mc1_targets"] for task in json.loads(data_path(file).read_text(encoding="utf-8"))]
    first: list[float] = []
    shared: list[float] = []
    for options in tasks:
        longest = max(map(len, options))
        ties = [label for text, label in options.items() if len(text) == longest]
        first.append(ties[0])
        shared.append(sum(ties) / len(ties))
    return {
        "questions": len(tasks),
        "longest_first_on_ties": percent(first),
        "longest_ties_shared": percent(shared),
        "uniform": percent(sum(options.values()) / len(options) for options in tasks),
        "correct_at_index_0": percent(next(iter(options.values())) for options in tasks),
    }


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("truthfulqa_mc1_v1", "truthfulqa/data/v1/mc_task.json"),
        ("truthfulqa_mc1_790", "truthfulqa/data/mc_task.json"),
    ],
)
def test_the_longest_option(name: str, file: str) -> None:
    """Tolerance 1e-6."""
    assert_reference(name, blind_accuracies(file))


def test_the_longer_of_two_answers() -> None:
    """truthfulqa_binary, tolerance 1e-6."""
    with data_path("truthfulqa/TruthfulQA.csv").open(encoding="utf-8", newline="") as file:
        pairs = [(len(row["Best Answer"]), len(row["Best Incorrect Answer"])) for row in csv.DictReader(file)]
    found = {
        "rows": len(pairs),
        "correct_longer": percent(right > wrong for right, wrong in pairs),
        "equal": percent(right == wrong for right, wrong in pairs),
    }
    assert_reference("truthfulqa_binary", found)


def fact_labels(annotations: list[dict[str, Any]]) -> list[str]:
    """S supported, NS not supported, IR irrelevant; an irrelevant sentence without labelled facts counts its facts."""
    labels: list[str] = []
    for sentence in annotations:
        facts = sentence["human-atomic-facts"]
        if facts:
            labels += [fact["label"] for fact in facts]
        elif not sentence["is-relevant"]:
            labels += ["IR"] * len(sentence["model-atomic-facts"] or [])
    return labels


def test_human_factual_precision() -> None:
    """factscore_human, tolerance 1e-6; the paper's digits within .13. The unit is the answer."""
    supported = ratio("supported", "labelled")
    found: dict[str, Any] = {}
    for model in reference("factscore_human"):
        lines = data_path(f"factscore/{model}.jsonl").read_text(encoding="utf-8").splitlines()
        answers = [fact_labels(row["annotations"]) for row in map(json.loads, lines) if row["annotations"]]
        answers = [labels for labels in answers if labels]
        relevant = [[label for label in labels if label != "IR"] for labels in answers]
        scores = [
            [100 * float(supported.of(np.array([labels.count("S"), len(labels)], dtype=float))) for labels in group]
            for group in (answers, [labels for labels in relevant if labels])
        ]
        found[model] = {
            "answers_scored": len(answers),
            "facts": sum(map(len, answers)),
            "irrelevant_counts_as_unsupported": float(np.mean(scores[0])),
            "irrelevant_dropped": float(np.mean(scores[1])),
        }
    assert_reference("factscore_human", found)


def entropy(sizes: Iterable[int]) -> float:
    p = np.array(list(sizes), dtype=float)
    p = p / p.sum()
    return float(-(p * np.log(p)).sum()) + 0.0


def test_semantic_entropy() -> None:
    """semantic_entropy_fixture, tolerance 1e-9. Prompts 2 to 4 follow from the strings; in prompt 1 two texts are one
    meaning; in prompt 5 an entailment model merged four numbers that differ, so its sizes are given."""
    data = json.loads(data_path("semantic_entropy/semanticentropy_results_file.json").read_text(encoding="utf-8"))[
        "data"
    ]
    texts = [[one, *others] for one, others in zip(data["responses"], data["sampled_responses"], strict=True)]
    exact = [sorted(Counter(group).values(), reverse=True) for group in texts]
    meanings = [[sum(exact[0])], *exact[1:4], [4, 1, 1]]
    assert meanings[1:4] == [[2, 2, 1, 1], [4, 2], [5, 1]]
    found = {
        "entropy": [entropy(sizes) for sizes in meanings],
        "confidence": [1 - entropy(sizes) / math.log(6) for sizes in meanings],
        "exact_match_entropy": [entropy(sizes) for sizes in exact],
        "file_entropy": data["entropy_values"],
        "file_confidence": data["confidence_scores"],
    }
    assert found["entropy"] == pytest.approx(found["file_entropy"], abs=1e-9)
    assert_reference("semantic_entropy_fixture", found)
