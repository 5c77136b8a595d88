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


def harness(
    folder: Path, model: str, tasks: Mapping[str, Sequence[tuple[Mapping[str, Any], float]]], *, cut: str = "",
    date: str = "2026-01-01T00-00-00.1",
) -> None:  # fmt: skip
    """The files of a run of lm-evaluation-harness, as few as its reader takes: task -> (document, acc) of each item.
    The last line of the task ``cut`` is written by half."""
    folder.mkdir(parents=True, exist_ok=True)
    results = {
        "results": {
            task: {"alias": task, "acc,none": float(np.mean([x for _, x in rows])),
                   "acc_stderr,none": float(np.std([x for _, x in rows], ddof=1) / np.sqrt(len(rows)))}
            for task, rows in tasks.items()
        },
        "model_name": model, "lm_eval_version": "0.4.13",
        "n-samples": {task: {"original": len(rows), "effective": len(rows)} for task, rows in tasks.items()},
    }  # fmt: skip
    Path(folder, f"results_{date}.json").write_text(json.dumps(results))
    for task, rows in tasks.items():
        lines = [
            json.dumps({"doc_id": i, "doc": dict(doc), "target": "0", "arguments": {}, "filter": "none",
                        "metrics": ["acc"], "resps": [["x"]], "filtered_resps": ["x"], "acc": x})
            for i, (doc, x) in enumerate(rows)
        ]  # fmt: skip
        text = "\n".join(lines)
        Path(folder, f"samples_{task}_{date}.jsonl").write_text(text[:-40] if task == cut else text)


def two_runs(folder: Path) -> None:
    """``base`` and ``tuned`` of one model: 300 questions in four wordings each, and 200 sums."""
    generator = np.random.default_rng(11)
    hard, plus = np.repeat(generator.random(300), 4), generator.random(200)
    places = [f"Place {i // 4}" for i in range(1200)]
    wordings = (
        "What is the capital of {}?",
        "Name the capital of {}.",
        "{}: its capital?",
        "Where does {} govern from?",
    )
    for name, gain in (("base", 0.0), ("tuned", 0.06)):
        noise = np.random.default_rng(len(name)).random(1400)
        right = (0.75 * noise[:1200] + hard < 0.95 + gain).astype(float)
        sums = (0.3 * noise[1200:] + plus < 0.8 + gain / 6).astype(float)
        capitals = [({"question": wordings[i % 4].format(places[i]), "question_id": i // 4}, float(right[i]))
                    for i in range(1200)]  # fmt: skip
        harness(
            folder / name, f"lab/{name}",
            {"capitals": capitals, "sums": [({"question": f"{i} + {i}?"}, float(x)) for i, x in enumerate(sums)]},
            cut="sums" if name == "tuned" else "",
        )  # fmt: skip
