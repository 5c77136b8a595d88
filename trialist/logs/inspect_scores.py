"""Inspect's score values -> numbers or the reason why there is none, and the numbers that a log states itself.

Values as ``inspect_ai.scorer.value_to_float`` reads them (0.3.285): C 1, P 0.5, I and N 0, yes and true 1, no and false
0 (in any case), texts that are finite numbers, booleans, numbers. Two things differ on purpose: a text that is none of
these is no 0 but missing ("not a number"), and infinite numbers are missing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trialist.logs.inspect_json import clean, listed, table, tables
from trialist.logs.log import Stated

MARKS: Mapping[str, float] = {"C": 1.0, "P": 0.5, "I": 0.0, "N": 0.0}
WORDS: Mapping[str, float] = {"yes": 1.0, "true": 1.0, "no": 0.0, "false": 0.0}
NOT_A_NUMBER = "not a number"
NOT_FINITE = "not finite"
UNSCORED = "unscored"
NO_VALUE = "no value"
MAX_REASON = 80
JUDGE_WORDS = ("model", "grader", "judge")
ALL, MEAN_OF_GROUPS = "all", ", mean of groups"
GLOB = frozenset("*?[")


Value = tuple[str, float | None, str]
"""Key ("" for a single value, the key or index in a dictionary or list), number, why there is none."""


def values(score: Any) -> Sequence[Value]:
    """The values of one scorer for one sample, at least one."""
    told = table(score)
    given = told.get("value")
    if isinstance(given, str | int | float):
        return (("", *number(given, told)),)
    parts: list[tuple[Any, Any]] = [*table(given).items(), *enumerate(listed(given))]
    return [(clean(str(key)), *number(part, told)) for key, part in parts] or [("", *number(given, told))]


def number(given: Any, score: Mapping[str, Any]) -> tuple[float | None, str]:
    """The number, or None and why; ``score`` is asked for the reason of an unscored one."""
    if isinstance(given, str):
        return _text(given)
    if given is None or isinstance(given, dict | list):
        return None, NO_VALUE if not given else NOT_A_NUMBER
    if isinstance(given, float) and math.isnan(given):
        said = score.get("reason") or table(score.get("metadata")).get("unscored_reason")
        return None, clean(f"{UNSCORED}: {said}"[:MAX_REASON]) if said else UNSCORED
    try:
        found = float(given)
    except OverflowError:
        found = math.inf
    return (found, "") if math.isfinite(found) else (None, NOT_FINITE)


def _text(given: str) -> tuple[float | None, str]:
    known = MARKS.get(given, WORDS.get(given.lower()))
    if known is not None:
        return known, ""
    try:
        found = float(given)
    except ValueError:
        return None, NOT_A_NUMBER
    return (found, "") if math.isfinite(found) else (None, NOT_A_NUMBER)


def measure_name(scorer: str, key: str) -> str:
    return f"{scorer}/{key}" if key else scorer


# --- scorers as the log declares them ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Scorer:
    """``name`` as it stands in the samples. ``keys`` of a dictionary that its metrics name, ``cluster`` and ``group``
    the metadata fields that its metrics cluster and group by."""

    name: str
    is_judge: bool
    keys: tuple[str, ...] = ()
    cluster: str = ""
    group: str = ""


def declared(spec: Mapping[str, Any]) -> tuple[Scorer, ...]:
    """The scorers of the header's ``eval``; names that occur twice are numbered as Inspect does."""
    found: list[Scorer] = []
    used: set[str] = set()
    for scorer in tables(spec.get("scorers")):
        base = str(scorer.get("name", "")).rsplit("/", 1)[-1]
        name, count = base, 1
        while name in used:
            name, count = f"{base}{count}", count + 1
        used.add(name)
        metrics = spec.get("metrics") or scorer.get("metrics")
        keys = [k for part in _dictionaries(metrics) for k in part if not GLOB & set(k)]
        settings = [table(m.get("options")) for m in _flat(metrics)]
        found.append(Scorer(
            name, is_judge(base, table(scorer.get("options"))), tuple(dict.fromkeys(keys)), _only(settings, "cluster"),
            _only(settings, "group_key"),
        ))  # fmt: skip
    return tuple(found)


def is_judge(name: str, options: Mapping[str, Any]) -> bool:
    """Whether a model gives the score: one of Inspect's graders, or a scorer that was given a model."""
    if "perplexity" in name:  # it asks the model itself, how likely the target is
        return False
    named = (key for key, value in options.items() if value)
    return name.startswith("model_graded") or any(word in key.lower() for key in named for word in JUDGE_WORDS)


def shows_grading(score: Any) -> bool:
    """Inspect's graders keep their conversation in the score's metadata."""
    return "grading" in table(table(score).get("metadata"))


def _only(settings: Sequence[Mapping[str, Any]], name: str) -> str:
    found = {str(s[name]) for s in settings if s.get(name)}
    return found.pop() if len(found) == 1 else ""


def _dictionaries(metrics: Any) -> list[dict[str, Any]]:
    """The parts of ``metrics`` that go by key; a metric itself has a name."""
    found = [table(metrics)] if isinstance(metrics, dict) else tables(metrics)
    return [part for part in found if not isinstance(part.get("name"), str)]


def _flat(metrics: Any) -> list[dict[str, Any]]:
    simple = [part for part in tables(metrics) if isinstance(part.get("name"), str)]
    return simple + [metric for part in _dictionaries(metrics) for some in part.values() for metric in tables(some)]


# --- numbers that the log states -----------------------------------------------------------------------------------


def stated(results: Mapping[str, Any]) -> tuple[Stated, ...]:
    """Every metric of every scorer, key, reducer and group. The value of ``grouped(..., all=...)`` has the group "all",
    and is named "accuracy, mean of groups" if it is that; other metrics of several values are named "ci/lower"."""
    found: list[Stated] = []
    for score in tables(results.get("scores")) or _first_schema(results):
        scorer, name = str(score.get("scorer") or score.get("name", "")), str(score.get("name", ""))
        measure = measure_name(scorer, "" if name == scorer else name)
        for metric in tables(list(table(score.get("metrics")).values())):
            value = metric.get("value")
            if isinstance(value, int | float):
                label, group = _label(metric)
                found.append(Stated(measure, label, float(value), group, str(score.get("reducer") or "")))
    return tuple(found)


def _label(metric: Mapping[str, Any]) -> tuple[str, str]:
    name, family = str(metric.get("name", "")).rsplit("/", 1)[-1], metric.get("group")
    if not family:
        return name, ""
    params = table(metric.get("params"))
    inner = table(params.get("metric")) if "group_key" in params else {}
    if not inner:
        return f"{family}/{name}", ""
    base = str(inner.get("name", family)).rsplit("/", 1)[-1]
    if params.get("all") is False or metric.get("name") != str(params.get("all_label") or "all"):
        return base, str(metric.get("name", ""))
    return base + (MEAN_OF_GROUPS if params.get("all") == "groups" else ""), ALL


def _first_schema(results: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Schema 1 had one scorer, with its metrics beside it."""
    scorer = table(results.get("scorer"))
    return [{"metrics": results.get("metrics"), **scorer, "scorer": scorer.get("name")}] if scorer else []
