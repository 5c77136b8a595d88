"""Five small tasks for lm-evaluation-harness, written as its users write theirs: YAML and local JSON lines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

WORDS = ("the abbey", "a band", "this is", "that thing", "banana bath", "an island", "the ban", "his path")
LONG = "the bathing band is in the abbey and this is the path " * 6
"""More bytes than the tiny models have positions."""


def _choices() -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for i in range(8):
        options = [f"{WORDS[(i + k) % 8]} {WORDS[(3 * i + k) % 8]}" for k in range(4)]
        rows.append({"question": f"What is {WORDS[i]}?", "options": options, "gold": i % 4})
    return rows


def _endings() -> list[dict[str, Any]]:
    contexts = ("The thing is", "A band ", "the abbey  ", "", "\n", LONG, "this is\t", "<s>The path")
    endings = (" the", "is", "the end", "the abbey", " ban", " bath", "an", " ab")
    # A context of white space alone stops the harness's own model where the tokenizer adds no begin token.
    return [{"context": c, "ending": e} for c, e in zip(contexts, endings, strict=True) if c != "\n"]


DATA: dict[str, list[dict[str, Any]]] = {
    "choices": _choices(),
    "endings": _endings(),
    "texts": [{"text": text} for text in ("the abbey is", "a", LONG, "<s>this is", "ünïcode ☃ band")],
    "prompts": [{"prompt": p, "answer": "x"} for p in ("The thing", "A band is", "xyz", "<s>this", "abc the ")],
    "overlong": [{"prompt": LONG, "answer": "x"}, {"prompt": "This is", "answer": "x"}],
}

MEAN = {"aggregation": "mean", "higher_is_better": True}
QUESTION = {"doc_to_text": "{{question}}\nA:", "doc_to_target": "gold"}
GENERATE: dict[str, Any] = {
    "output_type": "generate_until",
    "doc_to_text": "{{prompt}}",
    "doc_to_target": "{{answer}}",
    "generation_kwargs": {"until": ["\n", "the", "ab"], "max_gen_toks": 12, "do_sample": False},
    "metric_list": [{"metric": "exact_match", **MEAN}],
}
LETTERS = "{{question}}\nA. {{options[0]}}\nB. {{options[1]}}\nAnswer:"

TASKS: dict[str, tuple[str, dict[str, Any]]] = {
    "tiny_choices": ("choices", {"output_type": "multiple_choice", "doc_to_choice": "{{options}}", **QUESTION}),
    "tiny_letters": (
        "choices",
        {
            "output_type": "multiple_choice",
            "num_fewshot": 1,
            "fewshot_split": "test",
            **QUESTION,
            "doc_to_text": LETTERS,
            "doc_to_choice": ["A", "B", "C", "D"],
        },
    ),
    "tiny_endings": (
        "endings",
        {
            "output_type": "loglikelihood",
            "doc_to_text": "{{context}}",
            "doc_to_target": "{{ending}}",
            "target_delimiter": "",
            "metric_list": [
                {"metric": "perplexity", "aggregation": "perplexity", "higher_is_better": False},
                {"metric": "acc", **MEAN},
            ],
        },
    ),
    "tiny_texts": (
        "texts",
        {
            "output_type": "loglikelihood_rolling",
            "doc_to_text": "",
            "doc_to_target": "{{text}}",
            "metric_list": [{"metric": name} for name in ("word_perplexity", "byte_perplexity", "bits_per_byte")],
        },
    ),
    "tiny_prompts": ("prompts", GENERATE),
    "tiny_overlong": ("overlong", GENERATE),
}


def write_tasks(folder: Path) -> Path:
    """The data, one YAML a task, and a place for the data sets' cache, all inside the folder."""
    for name, rows in DATA.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for name, (data, config) in TASKS.items():
        files = {"test": str(folder / f"{data}.jsonl")}
        where = {"dataset_path": "json", "dataset_kwargs": {"data_files": files, "cache_dir": str(folder / "cache")}}
        row = {"task": name, **where, "test_split": "test", **config, "metadata": {"version": 1}}
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(row))
    return folder
