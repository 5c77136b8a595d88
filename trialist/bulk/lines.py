"""One line of the input -> a request, or what is wrong with it; a reply -> one line of the output."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any, cast

from trialist.errors import did_you_mean
from trialist.models.protocol import Choose, Failure, Reply

KEYS = ("context", "continuations", "id")
ONE_OBJECT = "allowed: one JSON object with context, continuations and, if wanted, id"

Id = str | int | None


@dataclass(frozen=True)
class Asked:
    """A line to score; ``number`` counts from 1."""

    number: int
    id: Id
    request: Choose


@dataclass(frozen=True)
class Unusable:
    """A line that can't be asked, and why."""

    number: int
    id: Id
    reason: str


def parse(number: int, data: bytes) -> Asked | Unusable:
    """The line's request, or the reason why there is none: what was seen and what is allowed."""
    record: dict[str, Any] = {}
    try:
        record = _record(data)
        _check_keys(record)
        context, continuations = record["context"], record["continuations"]
        _check_text("context", context)
        _check_texts("continuations", continuations)
        return Asked(number, _id(record), Choose(context, tuple(continuations)))
    except ValueError as error:
        return Unusable(number, record.get("id") if _is_id(record.get("id")) else None, str(error))


def outcome(line: Asked | Unusable, reply: Reply | Failure | None) -> Reply | Failure:
    """The reply where it can be taken as the line's scores, else why not."""
    if isinstance(line, Unusable):
        return Failure(line.reason)
    if reply is None:
        return Failure("the model gave no reply")
    if isinstance(reply, Failure):
        return reply
    expected = len(line.request.options)
    if not len(reply.logprobs) == len(reply.num_tokens) == len(reply.num_bytes) == expected:
        return Failure(f"the model gave {len(reply.logprobs)} log-probabilities for {expected} continuations")
    wrong = next((value for value in reply.logprobs if not math.isfinite(value)), None)
    return reply if wrong is None else Failure(f"the model gave the log-probability {wrong}")


def encode(line: Asked | Unusable, found: Reply | Failure) -> bytes:
    """A line of the output, in ASCII: whatever a text holds, it can do nothing to a terminal. Floats read back as they
    were; ``greedy`` is null where the model doesn't say."""
    row: dict[str, Any] = {"line": line.number}
    if line.id is not None:
        row["id"] = line.id
    if isinstance(found, Failure):
        row["error"] = found.reason
    else:
        row |= {"logprobs": found.logprobs, "num_tokens": found.num_tokens, "num_bytes": found.num_bytes}
        row["greedy"] = found.greedy or None
    return _ENCODER.encode(row).encode("ascii") + b"\n"


# --- checks, each raising ValueError with what was seen and allowed ------------------------------------------


def _record(data: bytes) -> dict[str, Any]:
    if not data.strip():
        raise ValueError(f"an empty line; {ONE_OBJECT}")
    try:
        value = _DECODER.decode(data.decode())
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8 at byte {error.start}; {ONE_OBJECT}") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON, character {error.pos}: {error.msg}; {ONE_OBJECT}") from error
    except RecursionError as error:
        raise ValueError(f"nested too deep; {ONE_OBJECT}") from error
    if not isinstance(value, dict):
        raise ValueError(f"{_kind(value)}; {ONE_OBJECT}")
    return cast("dict[str, Any]", value)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """JSON lets a key come twice, and readers disagree on which counts."""
    record = dict(pairs)
    if len(record) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {_shown(twice)} comes twice; allowed: once")
    return record


_DECODER, _ENCODER = json.JSONDecoder(object_pairs_hook=_once), json.JSONEncoder(allow_nan=False)


def _check_keys(record: dict[str, Any]) -> None:
    allowed = f"allowed: {', '.join(KEYS)}"
    for key in record:
        if key not in KEYS:
            near = did_you_mean(key, KEYS)
            raise ValueError(f"unknown key {_shown(key)}; {allowed}" + (f"; {near}" if near else ""))
    for key in ("context", "continuations"):
        if key not in record:
            raise ValueError(f"no key '{key}'; {allowed}")


def _check_texts(name: str, value: Any) -> None:
    if not isinstance(value, list):
        raise ValueError(f"{name} is {_kind(value)}; allowed: a list of texts")
    if not value:
        raise ValueError(f"{name} is an empty list; allowed: one text or more")
    for place, text in enumerate(cast("list[Any]", value)):
        _check_text(f"{name}[{place}]", text)


def _check_text(name: str, value: Any) -> None:
    if not isinstance(value, str):
        raise ValueError(f"{name} is {_kind(value)}; allowed: a text")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{name} has half a character at {error.start}; allowed: valid Unicode") from error


def _id(record: dict[str, Any]) -> Id:
    if "id" in record and not _is_id(record["id"]):
        raise ValueError(f"id is {_kind(record['id'])}; allowed: a text or a whole number")
    return record.get("id")


def _is_id(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool))


def _kind(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, (list, dict)):
        return "a list" if isinstance(value, list) else "an object"
    return f"a {'text' if isinstance(value, str) else 'number'}, {_shown(value)}"


def _shown(value: Any) -> str:
    text = ascii(value)
    return text if len(text) <= 40 else text[:37] + "..."
