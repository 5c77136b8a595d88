"""``results_<date>.json`` of lm-evaluation-harness: what was run, how, and the harness's own numbers."""

from __future__ import annotations

import datetime
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from trialist.errors import DataError
from trialist.logs.gathering import plain
from trialist.logs.lm_eval_metrics import AGGREGATIONS, measure_of
from trialist.logs.log import Stated

DATE = re.compile(r"_(\d{4}-\d{2}-\d{2}T\d{2}-\d{2}-\d{2}(?:\.\d+)?)$")
"""How the harness ends the stems of its files: the run."""

TESTED = (0, 4, 13)
FROM_TASK = (
    "output_type", "dataset_path", "dataset_name", "test_split", "doc_to_text", "doc_to_target", "doc_to_choice",
    "description", "target_delimiter", "fewshot_delimiter", "generation_kwargs", "repeats", "filter_list",
)  # fmt: skip
FROM_RUN = (
    "model_source", "system_instruction", "system_instruction_sha", "fewshot_as_multiturn", "chat_template_sha",
    "tokenizer_pad_token", "tokenizer_eos_token", "tokenizer_bos_token", "eot_token_id", "max_length",
    "transformers_version", "git_hash", "upper_git_hash",
)  # fmt: skip


@dataclass(frozen=True)
class Results:
    """One results file. ``content`` is the file's, empty where there is none."""

    path: str = ""
    content: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def part(self, *names: str) -> Mapping[str, Any]:
        """A part of the file, empty where it isn't there or is no object."""
        found: Any = self.content
        for name in names:
            found = cast("dict[str, Any]", found).get(name) if isinstance(found, dict) else None
        return cast("dict[str, Any]", found) if isinstance(found, dict) else {}

    def text(self, name: str) -> str:
        value = self.content.get(name)
        return "" if value is None else str(value)

    @property
    def version(self) -> str:
        return self.text("lm_eval_version")

    @property
    def created(self) -> str:
        """When the run began, ISO 8601 in UTC."""
        seconds = self.content.get("date")
        if not isinstance(seconds, (int, float)):
            return ""
        try:
            return datetime.datetime.fromtimestamp(seconds, datetime.UTC).isoformat(timespec="seconds")
        except (ValueError, OverflowError, OSError):
            return ""

    @property
    def tasks(self) -> list[str]:
        """The tasks that have samples: groups have none. Up to 0.4.9 a task is listed as a group of nothing."""
        return [name for name in self.part("results") if not self.part("group_subtasks").get(name)]

    def num_effective(self, task: str) -> int | None:
        """Samples that the harness says it evaluated (the most that any metric has)."""
        count = self.part("n-samples", task).get("effective")
        return count if isinstance(count, int) else None

    def task_hash(self, task: str) -> str:
        return str(self.part("task_hashes").get(task, ""))

    def aggregation(self, task: str, metric: str) -> str:
        """How the metric was aggregated, empty where nothing says so."""
        listed: Any = self.part("configs", task).get("metric_list")
        for row in cast("list[Any]", listed) if isinstance(listed, list) else []:
            known = cast("dict[str, Any]", row) if isinstance(row, dict) else {}
            if known.get("metric") == metric and isinstance(known.get("aggregation"), str):
                return str(known["aggregation"])
        return AGGREGATIONS.get(metric, "")

    def settings(self, task: str) -> dict[str, Any]:
        """What changes answers, as far as the file tells: the run's arguments, the task's, the groups it is in."""
        found = {name: value for name, value in self.part("config").items() if value not in (None, [])}
        found |= {name: self.content[name] for name in FROM_RUN if self.content.get(name) not in (None, "")}
        config = self.part("configs", task)
        found |= {name: config[name] for name in FROM_TASK if config.get(name) not in (None, "")}
        if task in self.part("n-shot"):
            found["num_fewshot"] = self.part("n-shot")[task]
        if self.part("higher_is_better", task):
            found["higher_is_better"] = dict(self.part("higher_is_better", task))
        groups = {group: dict(self.part("groups", group)) for group in self.groups(task)}
        return cast("dict[str, Any]", plain({**found, **({"groups": groups} if groups else {})}))

    def groups(self, task: str) -> list[str]:
        """The groups that hold the task, also through groups of groups."""
        parents = self.part("group_subtasks")
        found: list[str] = []
        wanted = [task]
        while wanted:
            child = wanted.pop()
            above = [name for name, parts in parents.items() if isinstance(parts, list) and child in parts]
            wanted += [name for name in above if name not in found]
            found += [name for name in above if name not in found]
        return found

    def template(self, task: str) -> list[Any] | None:
        """What stands for the prompt where a model's own chat template wrote it; None where none was applied.

        Prompts of two models then differ by their templates alone, and what was asked is told by the document and by
        the settings that make the prompt.
        """
        if not self.content.get("chat_template_sha"):
            return None
        config, run = self.part("configs", task), self.part("config")
        made = [config.get(name) for name in ("doc_to_text", "description", "fewshot_delimiter", "target_delimiter")]
        shots = self.part("n-shot").get(task)
        asked = [self.content.get("system_instruction_sha"), self.content.get("fewshot_as_multiturn")]
        return cast("list[Any]", plain([*made, shots, run.get("fewshot_seed") if shots else None, *asked]))

    def stated(self, task: str) -> tuple[Stated, ...]:
        """The harness's numbers of a task: ``metric`` is "mean" ("nanmean", "median") where it is that of the scores,
        otherwise the metric's own name; "stderr" is the standard error of a mean, "<name> stderr" of anything else."""
        found: list[Stated] = []
        for key, value in self.part("results", task).items():
            metric, comma, filter_name = key.partition(",")
            base = metric.removesuffix("_stderr")
            if not comma or not isinstance(value, (int, float)) or not math.isfinite(value):
                continue
            aggregation = self.aggregation(task, base)
            measure = measure_of(base, filter_name, aggregation)
            plain_name = aggregation if aggregation in ("mean", "nanmean", "median") else base
            error = "stderr" if plain_name == aggregation else f"{base} stderr"
            what = error if metric != base else plain_name
            if aggregation != "bypass":
                found.append(Stated(measure.name, what, float(value)))
        return tuple(found)

    def notes(self) -> list[str]:
        numbers = re.match(r"(\d+)\.(\d+)\.(\d+)", self.version)
        if numbers and tuple(map(int, numbers.groups())) > TESTED:
            return [f"written by lm_eval {self.version}; this reader was tested up to {'.'.join(map(str, TESTED))}"]
        return []


def run_of(path: Path) -> str:
    """The run's date in a file's name, empty where it has none."""
    found = DATE.search(path.stem)
    return found[1] if found else ""


def read_results(path: Path) -> Results:
    """Raises DataError where it isn't JSON or holds no results."""
    try:
        content: Any = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path} can't be read as results of lm-evaluation-harness", seen=str(error)[:200],
            next_step="copy it again from where the harness wrote it",
        ) from error  # fmt: skip
    if not isinstance(content, dict) or not isinstance(cast("dict[str, Any]", content).get("results"), dict):
        raise DataError(f"{path} holds no results", allowed="a results_<date>.json of lm-evaluation-harness")
    return Results(str(path), cast("dict[str, Any]", content))
