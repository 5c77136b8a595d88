"""One sample of an Inspect log, or its summary -> what was asked and what came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from trialist.logs.inspect_json import clean, listed, plain_json, table, tables
from trialist.logs.inspect_zip import Damaged
from trialist.records import sha256_hex

LONGEST = 5120
"""Inspect's summaries shorten texts of inputs and targets to so many characters."""
SHORTENED = "...\n(content truncated)"
OTHER_CONTENT = frozenset(
    f"({kind})" for kind in ("Image", "Audio", "Video", "Document", "Data", "Reasoning", "Tool_use")
)
"""What stands in summaries for content that isn't text."""
CUT_BY = ("max_tokens", "model_length", "content_filter")
ATTACHMENT = "attachment://"
MAX_REASON = 80


class Asked(NamedTuple):
    """``is_shortened``: the hash is of a text that a summary shortened."""

    input: str
    options: tuple[str, ...]
    target: int | None
    reference: str
    content_hash: str
    is_shortened: bool


class Sample(NamedTuple):
    """``id`` as it stands in the log. ``missing`` is why there is no value where a scorer gave none, ``set_aside`` why
    no value counts. ``edited``: scorers whose score was edited."""

    id: str | int
    epoch: int
    asked: Asked
    metadata: Mapping[str, Any]
    metadata_json: str
    status: str
    reason: str
    text: str
    scores: Mapping[str, Any]
    missing: str
    set_aside: str = ""
    edited: tuple[str, ...] = ()


def read_sample(record: Any, *, full: bool) -> Sample:
    """A member of ``samples/``, an element of ``samples`` or of the summaries. Raises Damaged where it says neither
    which sample it is nor what was asked."""
    if not isinstance(record, dict):
        raise Damaged("is no sample")
    raw = table(record)
    name, epoch = raw.get("id"), raw.get("epoch", 1)
    if not isinstance(name, str | int) or isinstance(name, bool) or name == "":
        raise Damaged("has no id")
    if not isinstance(epoch, int) or isinstance(epoch, bool) or not 0 <= epoch < 2**31:
        raise Damaged("has no epoch")
    metadata = table(raw.get("metadata"))
    scores = table(raw.get("scores"))
    if not scores and isinstance(raw.get("score"), dict):
        scores = {"": raw["score"]}  # schema 1: one score, whose name is in the results
    status, reason, missing = _ending(raw, scored=bool(scores))
    invalid = raw.get("invalidation")
    set_aside = "invalidated" if isinstance(invalid, dict) else ""
    edited = tuple(n for n, s in scores.items() if table(s).get("history"))
    text = clean(_completion(table(raw.get("output")), table(raw.get("attachments")))) if full else ""
    asked = _asked(raw, full=full)
    return Sample(
        name, epoch, asked, metadata, plain_json(metadata), status, reason, text, scores, missing, set_aside, edited
    )


def _ending(raw: Mapping[str, Any], *, scored: bool) -> tuple[str, str, str]:
    """The status of the answer, the reason of it in full, and the short reason of scores that aren't there."""
    error, limit = raw.get("error"), raw.get("limit")
    if error:
        said = table(error).get("message", "") if isinstance(error, dict) else error
        return "error", clean(f"error: {said}"), "error"
    if limit:
        told = table(limit)
        kind = clean(str(told.get("type", "") if told else limit))
        said = told.get("reason") or raw.get("limit_reason")
        return "truncated", clean(f"limit: {kind}" + (f": {said}" if said else "")), f"limit: {kind}"
    output = raw.get("output")
    if output:
        said, stop = table(output).get("error"), _first(table(output).get("choices")).get("stop_reason")
        if said:
            return "error", clean(f"error: {said}"), "error"
        if stop in CUT_BY:
            return "truncated", f"stop: {stop}", "no score"
    if not scored and raw.get("completed") is False:
        return "missing", "not completed", "not completed"
    return "ok", "", "no score"


def _first(values: Any) -> dict[str, Any]:
    found = tables(values)
    return found[0] if found else {}


def _completion(output: Mapping[str, Any], attachments: Mapping[str, Any]) -> str:
    """The text of the first choice; where none is kept, ``completion``."""
    message = table(_first(output.get("choices")).get("message"))
    content = message.get("content", output.get("completion"))
    return _content(content, attachments, full=True)[0] if content is not None else ""


# --- what was asked ------------------------------------------------------------------------------------------------


def _asked(raw: Mapping[str, Any], *, full: bool) -> Asked:
    attachments = table(raw.get("attachments"))
    text, others, is_shortened = _input(raw.get("input", ""), attachments, full=full)
    options = tuple([clean(str(choice)) for choice in listed(raw.get("choices"))])
    given = raw.get("target", "")
    targets = [str(target) for target in listed(given)] if isinstance(given, list) else [str(given)]
    if not full:
        is_shortened = is_shortened or any(len(t) > LONGEST for t in targets)
        targets = [_thin(t) for t in targets]
    target = _letter(targets[0], options) if len(targets) == 1 else None
    reference = "" if target is not None else clean(targets[0]) if len(targets) == 1 else plain_json(targets)
    parts = (text, *options, "" if target is None else str(target), reference, plain_json(others) if others else "")
    content_hash = sha256_hex("".join([f"{len(part)}:{part}" for part in parts]).encode())
    return Asked(text, options, target, reference, content_hash, is_shortened)


def _letter(target: str, options: Sequence[str]) -> int | None:
    """The option that a letter (A first; after Z the numbers from 1) or the option's own text names."""
    index = None
    if len(target) == 1 and target.isascii() and target.isalpha():
        index = ord(target.upper()) - ord("A")
    elif target.isascii() and target.isdigit() and len(target) < 6 and int(target):
        index = 25 + int(target)
    if index is not None and index < len(options):
        return index
    return options.index(target) if options.count(target) == 1 else None


def _thin(text: str) -> str:
    return text if len(text) <= LONGEST else text[:LONGEST] + SHORTENED


def _input(given: Any, attachments: Mapping[str, Any], *, full: bool) -> tuple[str, list[Any], bool]:
    """The text, what else was shown (images, documents: only in full), and whether a summary shortened it.

    A lone message of the user is its text: Inspect makes the same of a text. Otherwise each message stands under its
    role."""
    if not isinstance(given, list):
        text, others, is_shortened = _content(given, attachments, full=full)
        return clean(text), others, is_shortened
    messages = tables(given)
    texts: list[str] = []
    others: list[Any] = []
    is_shortened = False
    for message in messages:
        text, more, was_shortened = _content(message.get("content", ""), attachments, full=full)
        calls = tables(message.get("tool_calls"))
        said = [text, *(f"{call.get('function', '')}({plain_json(call.get('arguments', {}))})" for call in calls)]
        texts.append("\n".join(line for line in said if line))
        others.extend(more)
        is_shortened = is_shortened or was_shortened
    if len(messages) == 1 and messages[0].get("role") == "user":
        return clean(texts[0]), others, is_shortened
    headed = [f"[{message.get('role', '')}]\n{text}" for message, text in zip(messages, texts, strict=True)]
    return clean("\n\n".join(headed)), others, is_shortened


def _content(content: Any, attachments: Mapping[str, Any], *, full: bool) -> tuple[str, list[Any], bool]:
    if not isinstance(content, list):
        return _text(content, attachments, full=full)
    texts: list[str] = []
    others: list[Any] = []
    is_shortened = False
    for part in map(table, listed(content)):
        if part.get("type") == "text":
            text, _, was_shortened = _text(part.get("text", ""), attachments, full=full)
        else:
            kind = str(part.get("type", "data"))
            text, was_shortened = f"({kind.capitalize()})", not full
            if full:
                others.append({name: value for name, value in sorted(part.items()) if name not in ("id", "internal")})
        texts.append(text)
        is_shortened = is_shortened or was_shortened
    return "\n".join(texts), others, is_shortened


def _text(given: Any, attachments: Mapping[str, Any], *, full: bool) -> tuple[str, list[Any], bool]:
    text = given if isinstance(given, str) else "" if given is None else plain_json(given)
    if text.startswith(ATTACHMENT):
        text = str(attachments.get(text.removeprefix(ATTACHMENT), text))
    if full:
        return text, [], False
    return _thin(text), [], len(text) > LONGEST or text in OTHER_CONTENT
