"""A gate that stops an Inspect task once it has decided: Inspect's ``EarlyStopping`` protocol.

    Task(..., early_stopping=InspectGate(rate_gate(rate_design(p0=0.05))))

The order is the order of the task's samples, registered before the first answer: shuffle the data set with a fixed
seed, or the first values speak for the beginning of the file only. Samples that finish early wait for earlier ones.
With several epochs an item's mean is one value; Inspect runs all items of one epoch before the next, so values come
with the last epoch and at most its calls are saved.

An item is missing, and enters at its worst, if any of its epochs ends in an error, has no score, or has one that isn't
a number in [0, 1]. Inspect doesn't report errors to ``EarlyStopping``; they come through its public hook
``on_sample_end``, registered once a process.

The certificate, the values and the verdict stand in the log under ``results.early_stopping.metadata``.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, Protocol
from weakref import WeakValueDictionary

from trialist.errors import MeasurementUndefined, MissingExtra
from trialist.measurement.sequential.gate import Gate
from trialist.measurement.sequential.order import InOrder

NAME = "trialist gate"
LETTERS = {"C": 0.0, "P": 0.5, "I": 1.0, "N": 1.0}
"""Inspect's correct, partial, incorrect and no answer, as failures."""

Id = str | int


class ScoredSample(Protocol):
    """What is read of Inspect's ``SampleScore``."""

    @property
    def score(self) -> Any: ...


class ListedSample(Protocol):
    """What is read of Inspect's ``Sample``."""

    @property
    def id(self) -> Id | None: ...


def failure(value: object) -> float | None:
    """A score's value as a failure in [0, 1]: 1 - value, with Inspect's letters; None where it can't be read."""
    if isinstance(value, str):
        return LETTERS.get(value)
    if isinstance(value, bool | int | float) and 0 <= value <= 1:
        return 1.0 - float(value)
    return None


class InspectGate:
    """``EarlyStopping`` for one task and one model, driven by ``gate``.

    ``scorer`` names the score that counts; without it a sample must have exactly one. ``event`` turns a score's value
    into the gate's value, or None if it can't. Raises MissingExtra without inspect_ai, MeasurementUndefined for a
    second task, samples without ids, and a scorer that a scored sample doesn't have.
    """

    def __init__(
        self, gate: Gate, *, scorer: str | None = None, event: Callable[[Any], float | None] = failure
    ) -> None:
        self.gate = gate
        self._scorer = scorer
        self._event = event
        self._order: InOrder[Id, float | None] | None = None
        self._epochs = 1
        self._found: dict[Id, dict[int, float | None]] = {}
        self._scheduled: set[Id] = set()
        self._num_late = 0

    async def start_task(self, task: Any, samples: Sequence[ListedSample], epochs: int) -> str:
        """Registers the order of the samples; the manager's name."""
        if self._order is not None:
            raise MeasurementUndefined(
                "a gate decides about one task and one model", next_step="give each task its own InspectGate"
            )
        ids = [sample.id for sample in samples if sample.id is not None]
        if len(ids) < len(samples):
            raise MeasurementUndefined("samples without ids have no order", seen=f"{len(samples) - len(ids)} of them")
        self._order = InOrder(ids)
        self._epochs = epochs
        self.gate.register(ids)
        _watched()[task.eval_id] = self
        return NAME

    async def schedule_sample(self, id: Id, epoch: int) -> Any:  # noqa: A002 - Inspect's own name
        """Inspect's ``EarlyStop`` after a verdict, else None."""
        if self.gate.verdict is None:
            self._scheduled.add(id)
            return None
        verdict = self.gate.verdict
        reason = f"{verdict} after {self.gate.num_seen} values"
        return _inspect("util").EarlyStop(id=id, epoch=epoch, reason=reason, metadata={"verdict": verdict})

    async def complete_sample(
        self,
        id: Id,  # noqa: A002 - Inspect's own name
        epoch: int,
        scores: Mapping[str, ScoredSample],
    ) -> None:
        """Takes a sample's score, in the registered order."""
        self._take(id, epoch, self._value(scores))

    async def complete_task(self) -> dict[str, Any]:
        """Scheduled samples that never came back are missing. JSON: verdict, certificate, values, counts."""
        order = self._started()
        for key in order.missing():
            if self.gate.verdict is not None or key not in self._scheduled:
                break
            self._put(key, None)
        verdict = self.gate.close()
        certificate = self.gate.certificate().to_json()
        counts = {"num_waiting": order.num_waiting, "num_after_verdict": self._num_late}
        return {"verdict": verdict, "certificate": certificate, "values": list(self.gate.values), **counts}

    def sample_failed(self, key: Id, epoch: int) -> None:
        """A sample ended in an error: missing, whatever its scores."""
        self._take(key, epoch, None)

    def _value(self, scores: Mapping[str, ScoredSample]) -> float | None:
        if not scores:
            return None
        if self._scorer is None and len(scores) > 1:
            raise MeasurementUndefined(
                "several scores: the gate needs the name of one",
                seen=", ".join(scores),
                next_step="InspectGate(scorer=)",
            )
        name = self._scorer or next(iter(scores))
        if name not in scores:
            raise MeasurementUndefined("no score of that name", seen=name, allowed=", ".join(scores))
        value = self._event(scores[name].score.value)
        return value if value is not None and math.isfinite(value) else None

    def _take(self, key: Id, epoch: int, value: float | None) -> None:
        """One epoch's value. The first one counts: an error is told before its scores, a repeated run comes later."""
        epochs = self._found.setdefault(key, {})
        if epoch in epochs:
            return
        epochs[epoch] = value
        if len(epochs) == self._epochs:
            known = [value for value in epochs.values() if value is not None]
            self._put(key, sum(known) / len(known) if len(known) == self._epochs else None)

    def _put(self, key: Id, value: float | None) -> None:
        for _, ready in self._started().put(key, value):
            if self.gate.verdict is not None:
                self._num_late += 1
            elif ready is None:
                self.gate.update_missing()
            else:
                self.gate.update(ready)

    def _started(self) -> InOrder[Id, float | None]:
        if self._order is None:
            raise MeasurementUndefined("the task hasn't started", next_step="Inspect calls start_task first")
        return self._order


@cache
def _watched() -> WeakValueDictionary[str, InspectGate]:
    """Gates by the id of their evaluation, told of every sample that ends in an error."""
    gates: WeakValueDictionary[str, InspectGate] = WeakValueDictionary()

    async def on_sample_end(_: Any, data: Any) -> None:
        gate = gates.get(data.eval_id)
        if gate is not None and data.sample.error is not None:
            gate.sample_failed(data.sample.id, data.sample.epoch)

    hooks = _inspect("hooks")
    watcher = type("TrialistGates", (hooks.Hooks,), {"on_sample_end": on_sample_end})
    hooks.hooks(name="trialist_gates", description="Tells a gate of samples that end in an error")(watcher)
    return gates


def _inspect(part: str) -> Any:
    try:
        return importlib.import_module(f"inspect_ai.{part}")
    except ModuleNotFoundError as error:
        if error.name is not None and error.name.split(".")[0] != "inspect_ai":
            raise
        raise MissingExtra("inspect_ai", "inspect") from error
