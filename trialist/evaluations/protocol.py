"""What an evaluation is: a frozen dataclass of its parameters with a name, a version, metrics and three methods.

Its module is named like its class in snake_case (``hazard_compounds.py`` holds ``HazardCompounds``), which is how
``evaluation: hazard_compounds`` in a spec finds it. Fields of the dataclass are the parameters a spec may set.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, cast, runtime_checkable

from trialist.evaluations.world import AskedWorld
from trialist.measurement.metrics import Metric
from trialist.models.protocol import Request
from trialist.records import Answer, Item, Score, canonical_json


@runtime_checkable
class Evaluation(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def version(self) -> str:
        """Changes whenever items, prompts or scoring change; part of every result's identity."""
        ...

    @property
    def metrics(self) -> tuple[Metric, ...]: ...

    def items(self) -> Iterable[Item]: ...
    def ask(self, item: Item) -> Request: ...
    def score(self, item: Item, answer: Answer) -> Sequence[Score]:
        """One score for each measure this item ought to have; value None where the answer can't be scored."""
        ...


def identity(evaluation: Evaluation) -> str:
    """Name, version and parameters of an evaluation as one string: the key of its items and answers.

    A field with metadata ``identity=False`` (where data lie on this machine) is left out: what it holds is
    identified by the items' content hashes. One with ``IF_CHANGED`` is left out at its default, so that a parameter
    that came later leaves the identities alone that were there before.
    """
    fields = [f for f in dataclasses.fields(cast(Any, evaluation)) if f.init and f.metadata.get("identity", True)]
    values = {f.name: plain(getattr(evaluation, f.name)) for f in fields if is_told(f, evaluation)}
    text = canonical_json(values).decode()
    return f"{evaluation.name}@{evaluation.version}" + ("" if text == "{}" else text)


IF_CHANGED: Mapping[str, Any] = {"identity": "if changed"}
"""Metadata of a field that identity and registration name only where it differs from its default."""


def is_told(field: dataclasses.Field[Any], plugin: object) -> bool:
    """Whether a plug-in's setting is named in its identity and in a registered spec."""
    return field.metadata.get("identity") != IF_CHANGED["identity"] or getattr(plugin, field.name) != field.default


def plain(value: Any) -> Any:
    """A setting as JSON values; of a world, what differs from the default one."""
    if isinstance(value, AskedWorld):
        return value.settings
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, (list, tuple)):
        return [plain(part) for part in value]  # pyright: ignore[reportUnknownVariableType]
    return value
