"""One sample of lm-evaluation-harness: what was asked, what was answered, which option is right."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from trialist.logs.gathering import plain

LONG = 200
"""Characters of a document's field that a summary keeps."""


@dataclass(frozen=True)
class Asked:
    """What a sample's requests were: the ``options`` whose likelihoods were compared, none where text was generated."""

    text: str
    options: tuple[str, ...]


def asked_of(sample: Mapping[str, Any]) -> Asked:
    """From the arguments of the requests, ``{"gen_args_0": {"arg_0": context, "arg_1": continuation}}`` (older
    versions: lists). Options are compared where several requests share their context, or their continuation
    (Winogrande); requests without context that follow these (mutual information) are no options."""
    requests = [[_written(part) for part in request] for request in _requests(sample.get("arguments"))]
    if not requests:
        return Asked("", ())
    first = requests[0]
    if len(requests) == 1 or any(len(request) != 2 for request in requests) or not _is_likelihood(sample):
        return Asked("\n".join(request[0] for request in requests if request), ())
    same = [request for request in requests if request[0] == first[0]]
    if len(same) > 1 and (len(same) == len(requests) or _are_unconditional(requests, same)):
        return Asked(first[0], tuple(request[1] for request in same))
    if all(request[1] == first[1] for request in requests):
        return Asked(first[1], tuple(request[0] for request in requests))
    return Asked("\n".join("".join(request) for request in requests), ())


def _are_unconditional(requests: list[list[str]], options: list[list[str]]) -> bool:
    rest = requests[len(options) :]
    return [request[1] for request in rest] == [request[1] for request in options]


def _requests(arguments: Any) -> list[list[Any]]:
    if isinstance(arguments, dict):
        named = cast("dict[str, Any]", arguments)
        rows = sorted(named.items(), key=lambda row: int(re.sub(r"\D", "", row[0]) or 0))
        parts = [row for _, row in rows]
        return [list(cast("dict[str, Any]", row).values()) if isinstance(row, dict) else [row] for row in parts]
    if isinstance(arguments, list):
        return [cast("list[Any]", row) if isinstance(row, list) else [row] for row in cast("list[Any]", arguments)]
    return []


def _written(part: Any) -> str:
    return part if isinstance(part, str) else json.dumps(plain(part), sort_keys=True, ensure_ascii=False)


def _is_likelihood(sample: Mapping[str, Any]) -> bool:
    """Each answer is a pair (log-probability, is greedy)."""
    answers: Any = sample.get("filtered_resps")
    return isinstance(answers, list) and all(
        isinstance(row, list) and len(cast("list[Any]", row)) == 2 for row in cast("list[Any]", answers)
    )


def logprobs_of(sample: Mapping[str, Any], asked: Asked) -> list[float]:
    """Log-probabilities of the options; minus infinity is one, and what is no number is NaN."""
    rows: list[list[Any]] = sample["filtered_resps"] if asked.options else []
    found: list[float] = []
    for row in rows[: len(asked.options)]:
        try:
            found.append(float(row[0]))
        except (TypeError, ValueError):
            found.append(math.nan)
    return found


def texts_of(sample: Mapping[str, Any]) -> list[str]:
    """What the model gave to the first request, one text a repeat."""
    answers: Any = sample.get("resps")
    first: Any = cast("list[Any]", answers)[0] if isinstance(answers, list) and answers else None
    rows = cast("list[Any]", first) if isinstance(first, list) else [] if first is None else [first]
    return [_written(row) for row in rows]


def index_of(target: str, options: Sequence[str]) -> tuple[int | None, bool]:
    """Which option is right, None where it isn't said; and whether two could be meant."""
    texts = [option.strip() for option in options]
    number = int(target) if re.fullmatch(r"\d{1,4}", target) and int(target) < len(options) else None
    text = texts.index(target.strip()) if texts.count(target.strip()) == 1 else None
    if number is not None and text is not None and number != text:
        return None, True
    return (number if number is not None else text), False


def fields_of(doc: Mapping[str, Any], *, full: bool) -> dict[str, Any]:
    """A document's fields. A summary keeps numbers and text, long text cut and marked by its hash: what is equal stays
    equal."""
    if full:
        return cast("dict[str, Any]", plain(dict(doc)))
    kept: dict[str, Any] = {}
    for name, value in doc.items():
        if isinstance(value, str) and len(value) > LONG:
            kept[name] = f"{value[:40]}... {hashlib.sha256(value.encode('utf-8', 'replace')).hexdigest()[:16]}"
        elif isinstance(value, (str, int, float)):
            kept[name] = plain(value)
    return kept
