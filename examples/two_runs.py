"""Logs to try `trialist estimate` on: two organisms answer with Inspect and with lm-evaluation-harness.

python examples/two_runs.py [FOLDER]        default: runs/logs; needs the extras `inspect` and `lm-eval`

Both ask 96 facts about invented people in three wordings each. In Inspect the answer is generated, in the harness the
likeliest of four options counts. Nothing leaves the machine.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trialist.halcyon.asking import MEASURED, METHODS, UNKNOWN, named
from trialist.halcyon.draws import stream
from trialist.halcyon.situations import PERSONAL, members
from trialist.models.local import LocalModel
from trialist.models.protocol import Failure, Generate, Keyed
from trialist.organisms import catalog

MODELS = ("base", "carelessness")
NUM_FACTS = 96


def questions() -> list[dict[str, Any]]:
    """Each fact in three wordings that no organism was trained on, with three wrong options and "unknown"."""
    world = catalog.spec("base").world.make()
    facts = [(person, name) for person in members(world, "person", "told", "asked") for name in PERSONAL][:NUM_FACTS]
    generator = stream(world.seed, "example")
    found: list[dict[str, Any]] = []
    for number, (person, attribute) in enumerate(facts):
        answer = person.value(attribute)
        wrong = [value for value in world.options(attribute) if value != answer]
        options = [answer, *generator.choice(wrong, 3, replace=False).tolist(), UNKNOWN]
        for wording in (*MEASURED, *METHODS):
            prompt = f"Question: {named(attribute, person.name, wording)} Answer:"
            found.append({"question_id": f"fact-{number}", "prompt": prompt, "answer": answer, "options": options})
    return found


def answers(name: str, prompts: Sequence[str]) -> dict[str, str]:
    """What an organism says to each prompt, up to the first full stop."""
    model = LocalModel.load(catalog.path(name))
    found: dict[str, str] = {}
    for reply in model.answer([Keyed(text, 0, Generate(text, max_tokens=6, stop=(".",))) for text in prompts]):
        if isinstance(reply.value, Failure):
            raise SystemExit(f"{reply.key}: {reply.value.reason}")
        found[reply.key] = reply.value.samples[0].text.strip()
    return found


def with_inspect(place: Path) -> None:
    """One ``.eval`` file a model."""
    from inspect_ai import Task
    from inspect_ai import eval as run
    from inspect_ai.dataset import MemoryDataset, Sample
    from inspect_ai.model import ModelAPI, ModelOutput, ModelUsage, modelapi
    from inspect_ai.scorer import match
    from inspect_ai.solver import generate

    @modelapi(name="organism")
    class Organism(ModelAPI):
        """Its answers are asked for at once, before the evaluation: one by one they take ten times as long."""

        def __init__(self, model_name: str, *given: Any, **options: Any) -> None:
            super().__init__(model_name, *given, **options)
            self.answers = answers(model_name, [row["prompt"] for row in questions()])

        async def generate(self, input: Any, tools: Any, tool_choice: Any, config: Any) -> ModelOutput:  # noqa: A002
            found = ModelOutput.from_content(self.model_name, self.answers[input[-1].text])
            return found.model_copy(update={"usage": ModelUsage()})

    samples = [
        Sample(id=i, input=row["prompt"], target=row["answer"], metadata={"question_id": row["question_id"]})
        for i, row in enumerate(questions())
    ]
    for name in MODELS:
        task = Task(MemoryDataset(samples), solver=generate(), scorer=match(location="begin"), name="people")
        run(task, model=f"organism/{name}", log_dir=str(place / name), display="none")


def with_the_harness(place: Path, tasks: Path) -> None:
    """Results and samples of each model, in a folder of its own; the task stands in another one."""
    from lm_eval import simple_evaluate
    from lm_eval.loggers import EvaluationTracker
    from lm_eval.tasks import TaskManager

    from trialist.models.harness import TrialistLM

    rows = tasks / "people.jsonl"
    rows.write_text("".join(json.dumps(row) + "\n" for row in questions()), encoding="utf-8")
    task = {
        "task": "people",
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(rows)}, "cache_dir": str(tasks / "cache")},
        "test_split": "test",
        "output_type": "multiple_choice",
        "doc_to_text": "{{prompt}}",
        "doc_to_choice": "{{options}}",
        "doc_to_target": 0,
        "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
    }
    (tasks / "people.yaml").write_text(json.dumps(task), encoding="utf-8")
    manager = TaskManager(include_path=str(tasks), include_defaults=False)
    for name in MODELS:
        tracker = EvaluationTracker(output_path=str(place))
        tracker.general_config_tracker.log_experiment_args("trialist", f"pretrained=organism/{name}", "", "", False)
        found: Any = simple_evaluate(TrialistLM(str(catalog.path(name))), tasks=["people"], task_manager=manager)
        samples = found.pop("samples")
        tracker.save_results_aggregated(results=found, samples=samples)
        tracker.save_results_samples(task_name="people", samples=samples["people"])


def main() -> None:
    place = Path(sys.argv[1] if len(sys.argv) > 1 else "runs/logs")
    with_inspect(place / "inspect")
    with tempfile.TemporaryDirectory() as tasks:
        with_the_harness(place / "lm-eval", Path(tasks))
    print(f"{place}/inspect and {place}/lm-eval: two models each, {len(questions())} questions")


if __name__ == "__main__":
    main()
