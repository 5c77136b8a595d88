"""Logs made by hand: what a reader would have given, without a file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from trialist.folder import frame
from trialist.logs import kept
from trialist.logs.log import Log, Source, Stated
from trialist.records import ANSWER_COLUMNS, ITEM_COLUMNS, SCORE_COLUMNS


def made(
    values: Any,
    *,
    task: str = "sums",
    model: str = "m",
    ids: Sequence[str] | None = None,
    hashes: Sequence[str] | None = None,
    inputs: Sequence[str] | None = None,
    metadata: Sequence[Mapping[str, Any]] | None = None,
    clusters: Sequence[str] | None = None,
    strata: Sequence[str] | None = None,
    reasons: Mapping[tuple[str, int], str] | None = None,
    judges: Sequence[str] = (),
    stated: Sequence[Stated] = (),
    **source: Any,
) -> Log:
    """A log of ``values``: measure -> (items, epochs) or (items,), NaN and None where there is no score; a plain list
    is the measure "acc". Items are q0, q1, ... of contents of their own; ``reasons`` by item and epoch."""
    table: dict[str, Any] = {"acc": values}
    if isinstance(values, dict):
        table = values  # pyright: ignore[reportUnknownVariableType]
    arrays = {name: np.array(x, dtype=np.float64) for name, x in table.items()}
    arrays = {name: x[:, None] if x.ndim == 1 else x for name, x in arrays.items()}
    num = len(next(iter(arrays.values())))
    names = list(ids) if ids is not None else [f"q{i}" for i in range(num)]
    items = [
        _item(
            names[i],
            content_hash=hashes[i] if hashes else f"h-{names[i]}",
            input=inputs[i] if inputs else "",
            cluster=clusters[i] if clusters else names[i],
            stratum=strata[i] if strata else "",
            metadata=json.dumps(metadata[i] if metadata else {}),
        )
        for i in range(num)
    ]
    rows: list[dict[str, Any]] = []
    for measure, array in arrays.items():
        known = array[~np.isnan(array)]
        kind = "binary" if np.isin(known, (0.0, 1.0)).all() else "bounded"
        for place, value in np.ndenumerate(array):
            i, epoch = int(place[0]), int(place[1])
            gone = bool(np.isnan(value))
            reason = (reasons or {}).get((names[i], epoch), "error") if gone else ""
            rows.append({
                "arm": model, "replicate": 0, "threat": "", "attack_run": 0, "dose": 0.0, "evaluation": task,
                "item": names[i], "epoch": epoch, "measure": measure, "value": None if gone else float(value),
                "kind": kind, "scorer": measure, "scorer_version": "1",
                "scorer_kind": "judge" if measure in judges else "program", "weight": 1.0, "reason": reason,
            })  # fmt: skip
    given: dict[str, Any] = {
        "path": f"logs/{model}/{task}.eval",
        "format": "made",
        "tool": "maker 1",
        "task": task,
        "model": model,
    }
    return Log(
        Source(**{**given, **source}), frame(items, ITEM_COLUMNS), frame([], ANSWER_COLUMNS),
        frame(rows, SCORE_COLUMNS), stated=tuple(stated),
    )  # fmt: skip


def _item(name: str, **given: str) -> dict[str, Any]:
    return {"id": name, "options": [], "target": None, "reference": "", **given}


def keep(folder: Path, *logs: Log) -> Path:
    """The logs as files that the command can read."""
    kept.write(logs, folder)
    return folder


def without(log: Log, *ids: str) -> Log:
    """The log without the scores and items of ``ids``."""
    items = log.items.filter(~pl.col("id").is_in(ids))
    return replace(log, items=items, scores=log.scores.filter(~pl.col("item").is_in(ids)))
