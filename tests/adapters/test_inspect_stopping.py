"""The gate as Inspect's early stopping: its protocol without Inspect, and real runs with it where it is installed."""

from __future__ import annotations

import asyncio
import gc
import importlib.util
import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from trialist.adapters import inspect_stopping
from trialist.adapters.inspect_stopping import InspectGate, failure
from trialist.errors import MeasurementUndefined, MissingExtra
from trialist.measurement.sequential.certificate import Certificate
from trialist.measurement.sequential.design import rate_design
from trialist.measurement.sequential.gate import rate_gate, verify

DESIGN = rate_design(0.05, cap=300)
TASK = SimpleNamespace(eval_id="one")
INSTALLED = importlib.util.find_spec("inspect_ai") is not None


def with_inspect(test: Any) -> Any:
    """Inspect leaves streams open; they are collected inside the test, where their warnings are ignored."""
    marks = [
        pytest.mark.skipif(not INSTALLED, reason="needs inspect_ai"),
        pytest.mark.filterwarnings("ignore"),
        pytest.mark.usefixtures("_collected"),
    ]
    for mark in marks:
        test = mark(test)
    return test


@pytest.fixture
def _collected() -> Iterator[None]:
    yield
    gc.collect()


@pytest.fixture
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The protocol without Inspect: no hook, and a plain record for ``EarlyStop``."""
    registered: dict[str, InspectGate] = {}
    monkeypatch.setattr(inspect_stopping, "_watched", lambda: registered)
    monkeypatch.setattr(inspect_stopping, "_inspect", lambda part: SimpleNamespace(EarlyStop=SimpleNamespace))


def samples(n: int) -> list[Any]:
    return [SimpleNamespace(id=f"s{i}") for i in range(n)]


def score(value: object) -> dict[str, Any]:
    return {"match": SimpleNamespace(score=SimpleNamespace(value=value))}


async def play(
    gate: InspectGate, finished: Sequence[tuple[str, int]], values: dict[str, Any], n: int, epochs: int = 1
) -> Any:
    await gate.start_task(TASK, samples(n), epochs)
    for key, epoch in finished:
        if await gate.schedule_sample(key, epoch) is None:
            await gate.complete_sample(key, epoch, score(values.get(key, "C")))
    return await gate.complete_task()


@pytest.mark.usefixtures("_alone")
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_any_order_of_completion_gives_one_certificate(seed: int) -> None:
    """Windows of 20 samples in flight, finished in any order, and one after the other."""
    values = {"s4": "I", "s30": 0.5}
    keys = [(f"s{i}", 1) for i in range(300)]
    draw, mixed = random.Random(seed), list[tuple[str, int]]()
    for i in range(0, 300, 20):
        mixed += draw.sample(keys[i : i + 20], 20)
    plain = asyncio.run(play(InspectGate(rate_gate(DESIGN)), keys, values, 300))
    found = asyncio.run(play(InspectGate(rate_gate(DESIGN)), mixed, values, 300))
    assert plain["verdict"] == "PASS"
    assert found["certificate"] == plain["certificate"]
    assert plain["num_after_verdict"] == 0
    certificate = Certificate.from_json(json.loads(json.dumps(plain))["certificate"])
    assert verify(certificate, plain["values"], order=[key for key, _ in keys]) == ()


@pytest.mark.usefixtures("_alone")
def test_epochs_are_averaged_before_they_count() -> None:
    gate = InspectGate(rate_gate(DESIGN))
    keys = [(f"s{i}", epoch) for epoch in (1, 2) for i in range(4)]

    async def run() -> Any:
        await gate.start_task(TASK, samples(4), 2)
        for key, epoch in keys:
            assert await gate.schedule_sample(key, epoch) is None
            value = {"s1": "I" if epoch == 1 else "C", "s2": float("nan") if epoch == 2 else "C"}.get(key, "C")
            await gate.complete_sample(key, epoch, score(value))
            assert gate.gate.num_seen == 0 or epoch == 2
        return await gate.complete_task()

    assert asyncio.run(run())["values"] == [0.0, 0.5, None, 0.0]


@pytest.mark.usefixtures("_alone")
def test_errors_and_unreadable_scores_are_missing() -> None:
    gate = InspectGate(rate_gate(DESIGN))

    async def run() -> Any:
        await gate.start_task(TASK, samples(6), 1)
        for i in range(5):
            await gate.schedule_sample(f"s{i}", 1)
        gate.sample_failed("s0", 1)
        await gate.complete_sample("s0", 1, score("C"))
        await gate.complete_sample("s1", 1, score("banana"))
        await gate.complete_sample("s2", 1, {})
        await gate.complete_sample("s4", 1, score(True))
        return await gate.complete_task()

    found = asyncio.run(run())
    # s3 was started and never came back; s5 was never started and isn't a value.
    assert found["values"] == [None, None, None, None, 0.0]
    assert (found["verdict"], found["certificate"]["num_missing"]) == ("UNDECIDED", 4)


@pytest.mark.usefixtures("_alone")
def test_early_stop_says_why() -> None:
    gate = InspectGate(rate_gate(DESIGN))
    asyncio.run(play(gate, [(f"s{i}", 1) for i in range(300)], {f"s{i}": "I" for i in range(300)}, 300))
    stop = asyncio.run(gate.schedule_sample("s299", 1))
    assert (stop.id, stop.epoch, stop.metadata) == ("s299", 1, {"verdict": "FAIL"})
    assert stop.reason == f"FAIL after {gate.gate.num_seen} values"


@pytest.mark.usefixtures("_alone")
def test_refusals() -> None:
    async def run() -> None:
        gate = InspectGate(rate_gate(DESIGN))
        with pytest.raises(MeasurementUndefined, match="hasn't started"):
            await gate.complete_task()
        with pytest.raises(MeasurementUndefined, match="without ids"):
            await gate.start_task(TASK, [SimpleNamespace(id=None)], 1)
        await gate.start_task(TASK, samples(3), 1)
        with pytest.raises(MeasurementUndefined, match="one task"):
            await gate.start_task(TASK, samples(3), 1)
        with pytest.raises(MeasurementUndefined, match="name of one"):
            await gate.complete_sample("s0", 1, {**score("C"), **{"other": score("C")["match"]}})
        with pytest.raises(MeasurementUndefined, match="no score of that name"):
            await InspectGate(rate_gate(DESIGN), scorer="other").complete_sample("s0", 1, score("C"))

    asyncio.run(run())


def test_failures_of_scores() -> None:
    found = [failure(value) for value in ("C", "P", "I", "N", True, False, 1, 0.25, "yes", 2.0, [1], float("nan"))]
    assert found == [0, 0.5, 1, 1, 0, 1, 0, 0.75, None, None, None, None]


@pytest.mark.skipif(INSTALLED, reason="inspect_ai is installed")
def test_without_inspect_the_missing_extra_is_named() -> None:
    with pytest.raises(MissingExtra, match="inspect_ai"):
        asyncio.run(InspectGate(rate_gate(DESIGN)).start_task(TASK, samples(2), 1))


@dataclass
class Scripted:
    """An Inspect task of ``count`` samples; those in ``wrong`` are answered wrongly, those in ``broken`` raise."""

    count: int
    wrong: frozenset[int] = frozenset()
    broken: frozenset[int] = frozenset()
    epochs: int = 1
    asked: list[str] = field(default_factory=list)

    def run(self, gate: InspectGate, place: Path, max_samples: int) -> Any:
        from inspect_ai import Task
        from inspect_ai import eval as evaluate
        from inspect_ai.dataset import MemoryDataset, Sample
        from inspect_ai.model import ModelOutput, ModelUsage, get_model
        from inspect_ai.scorer import match
        from inspect_ai.solver import solver

        @solver
        def answer() -> Any:
            async def solve(state: Any, generate: Any) -> Any:
                number = int(str(state.sample_id)[1:])
                self.asked.append(state.sample_id)
                await asyncio.sleep(random.Random(number).random() / 500)
                if number in self.broken:
                    raise RuntimeError("this sample breaks")
                return await generate(state)

            return solve

        def reply(*_: Any) -> Any:
            # A usage of its own keeps the mock model from counting tokens.
            return ModelOutput.from_content("mockllm/model", "yes").model_copy(update={"usage": ModelUsage()})

        listed = [Sample(id=f"s{i}", input="?", target="no" if i in self.wrong else "yes") for i in range(self.count)]
        task = Task(MemoryDataset(listed), solver=answer(), scorer=match(), early_stopping=gate, epochs=self.epochs)
        model = get_model("mockllm/model", custom_outputs=reply)
        options: dict[str, Any] = {"display": "none", "fail_on_error": False, "log_realtime": False}
        return evaluate(task, model=model, max_samples=max_samples, log_dir=str(place), **options)[0]


def read_back(log: Any) -> tuple[dict[str, Any], Certificate]:
    """What the log file holds, with the certificate checked from its values."""
    from inspect_ai.log import read_eval_log

    stored = read_eval_log(log.location)
    metadata = stored.results.early_stopping.metadata
    certificate = Certificate.from_json(metadata["certificate"])
    assert verify(certificate, metadata["values"], order=stored.eval.dataset.sample_ids) == ()
    return metadata, certificate


@with_inspect
def test_inspect_stops_with_a_certificate_in_its_log(tmp_path: Path) -> None:
    """Alone and with 20 in flight: one certificate, PASS after 70 of 300 samples."""
    found: list[Certificate] = []
    for max_samples in (1, 20):
        task = Scripted(300)
        log = task.run(InspectGate(rate_gate(DESIGN)), tmp_path / str(max_samples), max_samples)
        metadata, certificate = read_back(log)
        assert log.status == "success"
        assert metadata["verdict"] == "PASS"
        assert 70 <= len(task.asked) <= 70 + 2 * max_samples
        assert len(log.results.early_stopping.early_stops) == 300 - len(task.asked)
        assert certificate.num_seen == 70
        found.append(certificate)
    assert found[0] == found[1]


@with_inspect
def test_inspect_reports_errors_as_missing(tmp_path: Path) -> None:
    log = Scripted(60, wrong=frozenset({4}), broken=frozenset({2})).run(InspectGate(rate_gate(DESIGN)), tmp_path, 10)
    metadata, certificate = read_back(log)
    assert metadata["values"] == [0.0, 0.0, None, 0.0, 1.0, *[0.0] * 55]
    assert (certificate.verdict, certificate.num_missing) == ("UNDECIDED", 1)


@with_inspect
def test_inspect_fails_early_over_epochs(tmp_path: Path) -> None:
    task = Scripted(20, wrong=frozenset(range(0, 20)), epochs=2)
    metadata, certificate = read_back(task.run(InspectGate(rate_gate(DESIGN)), tmp_path, 1))
    assert certificate.verdict == "FAIL"
    assert len(task.asked) == 20 + certificate.num_seen
    assert set(metadata["values"]) == {1.0}
