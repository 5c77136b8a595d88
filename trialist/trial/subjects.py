"""Arms -> models that answer: edits applied once and kept, attacks run once with their snapshots kept while needed.

What an edit made is stored under ``models/`` and its receipt, written last, says that it is complete. Snapshots of an
attack live in ``work/``, which is evidence of nothing: their digests stand in the receipts, and the same seed makes
them again.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np

from trialist.errors import ModelError, RunFolderError
from trialist.folder import RunFolder, whole_folder
from trialist.interventions.protocol import Context, Progress, Receipt, Subject
from trialist.models.cache import default_cache
from trialist.models.protocol import Model
from trialist.records import Cell, seed_of
from trialist.trial import names
from trialist.trial.spec import Trial

Task = Callable[[str, str], AbstractContextManager[Progress]]
"""task(arm, what) opens a line of progress."""


class _Storable(Protocol):
    def save(self, folder: Path) -> None: ...


def load_models(trial: Trial, task: Task) -> dict[str, Model]:
    """Every base model of the trial, loaded once; an organism that has to be trained first shows its progress."""
    models: dict[str, Model] = {}
    for name in dict.fromkeys(str(arm.model) for arm in trial.arms.values()):
        if name.startswith("organism/") and "@" in name:
            with task("model", f"building {name}") as progress:
                models[name] = names.model(name, progress=progress)
        else:
            models[name] = names.model(name)
    return models


def check_worlds(trial: Trial) -> None:
    """Every question about Halcyon is asked of models of its own world, before any is loaded or trained.

    Raises ``ModelError`` naming the evaluation, the model and both worlds.
    """
    from trialist.organisms.asked import check_world

    for arm in trial.arms.values():
        for outcome in trial.outcomes.values():
            check_world(outcome.evaluation, str(arm.model))


def check_edits(trial: Trial, models: Mapping[str, Model]) -> None:
    """Let every edit and threat look at the models it will meet, before anything is registered and a try is spent."""
    for arm in trial.arms.values():
        subject = Subject(models[str(arm.model)])
        for part in (*arm.edits, *trial.threats.values()):
            part.check(subject)


class Subjects:
    """The model that answers in a cell, made when it is first needed."""

    def __init__(self, trial: Trial, folder: RunFolder, models: Mapping[str, Model], task: Task) -> None:
        self._trial = trial
        self._folder = folder
        self._models = models
        self._task = task
        self._held: tuple[tuple[str, int], Model] | None = None

    def model(self, cell: Cell) -> Model:
        untouched = self._arm(cell.arm, cell.replicate)
        return self._attacked(cell, untouched) if cell.threat else untouched

    def release(self, arm: str, replicate: int, threat: str) -> None:
        """Drop an attack's snapshots: all its cells are answered."""
        if threat:
            shutil.rmtree(self._work(arm, replicate, threat), ignore_errors=True)

    # --- edits -------------------------------------------------------------------------------------------

    def _arm(self, arm: str, replicate: int) -> Model:
        """The arm's model; the last one is held, since its cells follow each other."""
        if self._held is None or self._held[0] != (arm, replicate):
            self._held = ((arm, replicate), self._edited(arm, replicate))
        return self._held[1]

    def _edited(self, arm: str, replicate: int) -> Model:
        settings = self._trial.arms[arm]
        base = self._models[str(settings.model)]
        if not settings.edits:
            return base
        name = f"{slug(arm)}-{replicate}"
        receipts = f"receipts/{name}.json"
        if self._folder.exists(receipts):
            return _stored(self._folder, f"models/{name}", self._folder.read_json(receipts)[-1]["after"])
        subject, done = Subject(base), list[Receipt]()
        for index, edit in enumerate(settings.edits):
            with self._task(arm, edit.name) as progress:
                seed = seed_of(self._trial.seed, "edit", replicate, index)
                applied = edit.apply(subject, Context(np.random.default_rng(seed), progress))
            subject = applied.subject
            done.append(applied.receipt)
        shutil.rmtree(self._folder.path("models", name), ignore_errors=True)  # of a run killed before its receipt
        _storable(subject.model).save(self._folder.path("models", name))
        self._folder.write_json(receipts, done)
        return subject.model

    # --- attacks -----------------------------------------------------------------------------------------

    def _attacked(self, cell: Cell, untouched: Model) -> Model:
        work = self._work(cell.arm, cell.replicate, cell.threat)
        if not work.exists():
            self._attack(cell, untouched)
        receipt = self._folder.read_json(f"receipts/{_attack_name(cell)}.json")[f"{cell.dose:g}"]
        return _stored(self._folder, str(work.relative_to(self._folder.root) / f"dose-{cell.dose:g}"), receipt["after"])

    def _attack(self, cell: Cell, untouched: Model) -> None:
        threat = self._trial.threats[cell.threat]
        seed = seed_of(self._trial.seed, "attack", cell.threat, cell.attack_run)
        receipts: dict[str, Receipt] = {}
        work = self._work(cell.arm, cell.replicate, cell.threat)
        with whole_folder(work) as draft, self._task(cell.arm, f"{cell.threat}, attack") as progress:
            for dose, applied in threat.attack(Subject(untouched), Context(np.random.default_rng(seed), progress)):
                _storable(applied.subject.model).save(draft / f"dose-{dose:g}")
                receipts[f"{dose:g}"] = applied.receipt
            self._folder.write_json(f"receipts/{_attack_name(cell)}.json", receipts)

    def _work(self, arm: str, replicate: int, threat: str) -> Path:
        return self._folder.path("work", f"{slug(arm)}-{replicate}.{slug(threat)}")


def slug(name: str) -> str:
    """A name as part of a file's name; a changed one carries a hash, so that two names never meet."""
    plain = re.sub(r"[^A-Za-z0-9_-]+", "-", name)
    return plain if plain == name else f"{plain}-{hashlib.sha256(name.encode()).hexdigest()[:6]}"


def _attack_name(cell: Cell) -> str:
    return f"{slug(cell.arm)}-{cell.replicate}.{slug(cell.threat)}"


def _storable(model: Model) -> _Storable:
    if not hasattr(model, "save"):
        raise ModelError(
            "an edited model must be storable", seen=type(model).__name__, allowed="a model with save(folder)"
        )
    return cast(_Storable, model)


def _stored(folder: RunFolder, name: str, digest: str) -> Model:
    from trialist.models.local import LocalModel

    model: Any = LocalModel.load(folder.path(name), cache=default_cache())
    if model.digest != digest:
        raise RunFolderError(
            f"{folder.path(name)} is not what its receipt says",
            seen=f"digest {model.digest[:16]}",
            allowed=f"digest {digest[:16]}",
            next_step="the run folder was changed: run again into a new one with --out",
        )
    return model
