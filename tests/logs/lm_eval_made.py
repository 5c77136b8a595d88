"""Logs of lm-evaluation-harness, made by the harness itself: small tasks in YAML, and a model whose answers are a hash
of what it is asked."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

MEAN = {"aggregation": "mean", "higher_is_better": True}
KEEP = {"function": "take_first"}
STRICT = {"name": "strict-match", "filter": [{"function": "regex", "regex_pattern": "is (-?[0-9]+)"}, KEEP]}
LOOSE = {
    "name": "flexible-extract",
    "filter": [{"function": "regex", "group_select": -1, "regex_pattern": "(-?[0-9]+)"}, KEEP],
}

CHOICES = [
    {
        "question": f"Which number follows {i}?",
        "options": [f"{i + 1}", f"{i} ünd {i}", "none at all"],
        "gold": 0,
        "subject": "ab"[i % 2],
    }
    for i in range(20)
]
SUMS = [{"question": f"What is {i} plus {i}?", "answer": str(2 * i)} for i in range(16)]
CLAIMS = [{"question": f"Is {i} odd?", "options": ["no", "yes"], "gold": i % 2} for i in range(12)]
TEXTS = [{"text": "word " * (i + 1)} for i in range(6)]

CHOICE: dict[str, Any] = {
    "output_type": "multiple_choice",
    "doc_to_text": "{{question}}\nA:",
    "doc_to_choice": "{{options}}",
    "doc_to_target": "gold",
    "metric_list": [{"metric": "acc", **MEAN}, {"metric": "acc_norm", **MEAN}],
}
SUM: dict[str, Any] = {
    "output_type": "generate_until",
    "doc_to_text": "{{question}}\nAnswer:",
    "doc_to_target": "{{answer}}",
    "generation_kwargs": {"until": ["\n"], "do_sample": False},
    "metric_list": [{"metric": "exact_match", **MEAN}],
}
PAIRS = ("f1", "mcc", "brier_score")

Task = tuple[list[dict[str, Any]], dict[str, Any]]
TASKS: dict[str, Task] = {
    "made_choices": (CHOICES, CHOICE),
    "made_shots": (CHOICES, {**CHOICE, "num_fewshot": 2, "fewshot_split": "test"}),
    "made_pairs": (CLAIMS, {**CHOICE, "metric_list": [{"metric": "acc", **MEAN}, *({"metric": m} for m in PAIRS)]}),
    "made_sums": (SUMS, {**SUM, "filter_list": [STRICT, LOOSE]}),
    "made_repeats": (
        SUMS,
        {
            **SUM,
            "repeats": 4,
            "generation_kwargs": {"until": ["\n"], "do_sample": True, "temperature": 0.7},
            "filter_list": [
                {"name": "first", "filter": [LOOSE["filter"][0], KEEP]},
                {"name": "maj@4", "filter": [LOOSE["filter"][0], {"function": "majority_vote"}, KEEP]},
            ],
        },
    ),
    "made_bleu": (SUMS, {**SUM, "metric_list": [{"metric": "bleu"}, {"metric": "exact_match", **MEAN}]}),
    "made_endings": (
        SUMS,
        {
            "output_type": "loglikelihood",
            "doc_to_text": "{{question}}",
            "doc_to_target": " {{answer}}",
            "metric_list": [{"metric": "perplexity"}, {"metric": "acc", **MEAN}],
        },
    ),
    "made_texts": (
        TEXTS,
        {
            "output_type": "loglikelihood_rolling",
            "doc_to_text": "",
            "doc_to_target": "{{text}}",
            "metric_list": [{"metric": name} for name in ("word_perplexity", "byte_perplexity", "bits_per_byte")],
        },
    ),
    "made_undefined": (
        SUMS,
        {
            **SUM,
            "process_results": "!function made_functions.undefined",
            "metric_list": [{"metric": "share", "aggregation": "nanmean", "higher_is_better": True}],
        },
    ),
    "made_contexts": (
        CLAIMS,
        {
            **CHOICE,
            "doc_to_text": "{{gold}}",
            "doc_to_target": "is odd",
            "doc_to_choice": "{{[question, 'x ' + question]}}",
        },
    ),
    "made_mutual": (
        CHOICES,
        {**CHOICE, "metric_list": [{"metric": "acc", **MEAN}, {"metric": "acc_mutual_info", **MEAN}]},
    ),
    "made_part_a": (CHOICES[::2], CHOICE),
    "made_part_b": (CHOICES[1:8:2], CHOICE),
}
FUNCTIONS = """
def undefined(doc, results):
    size = int(doc["answer"])
    share = float("nan") if size % 6 == 0 else (size % 10) / 10
    return {"share": share} if size != 4 else {}
"""
GROUP: dict[str, Any] = {
    "group": "made_group",
    "task": ["made_part_a", "made_part_b"],
    "aggregate_metric_list": [{"metric": "acc", "weight_by_size": True}],
    "metadata": {"version": 3},
}


@dataclass(frozen=True)
class Made:
    """Where the harness wrote, what it returned, and the files by task."""

    folder: Path
    results: dict[str, Any]
    result_file: Path
    samples: dict[str, Path]


def write_tasks(folder: Path, tasks: Mapping[str, Task] | None = None) -> Path:
    tasks = TASKS if tasks is None else tasks
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "made_functions.py").write_text(FUNCTIONS)
    for name, (rows, config) in tasks.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        where = {"data_files": {"test": str(folder / f"{name}.jsonl")}, "cache_dir": str(folder / "cache")}
        task = {"task": name, "dataset_path": "json", "dataset_kwargs": where, "test_split": "test", **config}
        text = yaml.safe_dump({**task, "metadata": {"version": 2.0}}, sort_keys=False)
        (folder / f"{name}.yaml").write_text(text.replace("'!function made_functions.undefined'", UNDEFINED))
    if set(GROUP["task"]) <= set(tasks):
        (folder / "made_group.yaml").write_text(yaml.safe_dump(GROUP))
    return folder


UNDEFINED = "!function made_functions.undefined"


def scripted(seed: str) -> Any:
    """A model of the harness that answers every request by a hash of it, of the seed, and of how often it was asked."""
    from lm_eval.api.model import LM

    class Scripted(LM):
        def __init__(self) -> None:
            super().__init__()
            self.asked: dict[str, int] = {}

        def _draw(self, *parts: str) -> float:
            digest = hashlib.sha256("|".join((seed, *parts)).encode()).digest()
            return int.from_bytes(digest[:6], "big") / 2**48

        def loglikelihood(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
            draws = [self._draw(*request.args) for request in requests]
            return [(-10 * draw - 0.1, draw < 0.3) for draw in draws]

        def loglikelihood_rolling(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[float]:
            return [-20 * self._draw(request.args[0]) - 1 for request in requests]

        def generate_until(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[str]:
            return [self._say(request.args[0]) for request in requests]

        def _say(self, prompt: str) -> str:
            count = self.asked[prompt] = self.asked.get(prompt, -1) + 1
            draw = self._draw(prompt, str(count))
            number = 2 * int(prompt.rpartition("What is ")[2].split()[0])
            if draw < 0.2:
                return "I don't know"
            said = number if draw < 0.6 else number + 1
            return f"The sum is {said}" if draw < 0.8 else f"{said}"

    return Scripted()


def run(
    tasks: Path,
    out: Path,
    names: Sequence[str],
    *,
    seed: str = "a",
    model: str = "org/tiny",
    lm: Any = None,
    **options: Any,
) -> Made:
    """Run the harness as its command line does, with a fresh index of tasks, and write its files."""
    from lm_eval import simple_evaluate
    from lm_eval.loggers import EvaluationTracker
    from lm_eval.tasks import TaskManager

    options = {"bootstrap_iters": 200, **options}
    tracker = EvaluationTracker(output_path=str(out))
    tracker.general_config_tracker.log_experiment_args(
        model_source="scripted",
        model_args=f"pretrained={model}",
        system_instruction=options.get("system_instruction"),
        chat_template="",
        fewshot_as_multiturn=False,
    )
    manager = TaskManager(include_path=str(tasks), include_defaults=False)
    results = simple_evaluate(model=lm or scripted(seed), tasks=list(names), task_manager=manager, **options)
    samples = results.pop("samples", None)
    tracker.save_results_aggregated(results=results, samples=samples)
    for name in samples or {}:
        tracker.save_results_samples(task_name=name, samples=samples[name])
    (result_file,) = [path for path in out.rglob("results_*.json") if tracker.date_id in path.name]
    files = {name: result_file.with_name(f"samples_{name}_{tracker.date_id}.jsonl") for name in samples or {}}
    return Made(result_file.parent, results, result_file, files)
