"""Where the numbers of logs come from, what their tools say themselves, and what was lost or has to be said."""

from __future__ import annotations

from trialist.logs.log import Log, Source
from trialist.records import canonical_json
from trialist.reports.log_evidence import LogEvidence
from trialist.reports.markup import Html, Node, code, details, element, join, pairs, table, text
from trialist.wording import format_count, format_number

MOST_LOSSES = 40


def notes_section(evidence: LogEvidence) -> Html:
    warned: dict[str, list[str]] = {}
    for row in evidence.rows:
        for e in (*row.arms, *([row.difference] if row.difference else [])):
            place = f"{row.name}, {e.cell.arm}" + (f" minus {e.contrast.arm}" if e.contrast else "")
            for said in (*e.warnings, *([f"undefined: {e.reason}"] if e.value is None else [])):
                warned.setdefault(said, []).append(place)
    lines = [text(note, limit=600) for note in dict.fromkeys([*evidence.notes, *_of_logs(evidence)])]
    lines += [
        join([text(said), " ", element("span", text(_places(places)), cls="note")]) for said, places in warned.items()
    ]
    parts: list[Node] = [element("ul", *(element("li", line) for line in lines), cls="warnings") if lines else None]
    if evidence.losses:
        shown = [
            element(
                "li", code(loss.path), text(f", sample {loss.sample}" if loss.sample else ""), ": ", text(loss.what)
            )
            for loss in evidence.losses[:MOST_LOSSES]
        ]
        rest = len(evidence.losses) - len(shown)
        more = element("li", f"and {format_count(rest)} more") if rest else None
        many = (
            f"{format_count(len(evidence.losses))} file{'s' if len(evidence.losses) != 1 else ''} or samples were lost"
        )
        parts.append(details(many, element("ul", *shown, more), cls="warning"))
    return join(parts) if any(parts) else element("p", "None.", cls="quiet")


def _of_logs(evidence: LogEvidence) -> list[str]:
    return [
        f"{arm}: {note}"
        for _, part in evidence.parts()
        for arm in [part.arm]
        for log in part.logs
        for note in log.notes
    ]


def _places(places: list[str]) -> str:
    return places[0] if len(places) == 1 else f"in {len(places)} places"


def sources_section(evidence: LogEvidence) -> Html:
    head = ["arm", "task", "tool", "status", "created", "answers", "file"]
    found = [(block, part, log) for block, part in evidence.parts() for log in part.logs]
    rows: list[list[Node]] = [_source_row(part.arm, log) for _, part, log in found]
    settings = [_settings(part.arm, log.source) for _, part, log in found if log.source.settings]
    folded = details(f"Settings ({len(settings)})", *settings) if settings else None
    return join([table(head, rows, caption="The logs"), folded, _stated(evidence)])


def _source_row(arm: str, log: Log) -> list[Node]:
    source = log.source
    task = f"{source.task} {source.task_version}".strip()
    rows = log.scores.select("item", "epoch", "replicate").n_unique() if len(log.scores) else 0
    planned = (
        f"{format_count(rows)} of {format_count(source.num_samples)}" if source.num_samples else format_count(rows)
    )
    told = (arm, task, source.tool or source.format, source.status, source.created)
    return [*(text(word) for word in told), element("span", planned, cls="number"), code(source.path)]


def _settings(arm: str, source: Source) -> Html:
    title = text(f"{source.task}, {arm}")
    facts = [
        (text(str(name)), text(value, limit=500) if isinstance(value, str) else code(_json(value), limit=500))
        for name, value in source.settings.items()
    ]
    return details(title, pairs(facts), cls="receipt")


def _json(value: object) -> str:
    try:
        return canonical_json(value).decode("utf-8", "replace")
    except (TypeError, ValueError):
        return repr(value)


def _stated(evidence: LogEvidence) -> Html | None:
    """What the tools say themselves, our number beside it, and the reason for the difference."""
    rows: list[list[Node]] = []
    for row in evidence.rows:
        for one in row.told:
            ours = "" if one.ours is None else format_number(one.ours)
            numbers = (element("span", n, cls="number") for n in (format_number(one.value), ours))
            rows.append([text(row.name), text(evidence.short[one.arm]), text(one.metric), *numbers, text(one.why)])
    if not rows:
        return None
    head = ["outcome", "arm", "metric", "the tool's", "ours", "why they differ"]
    listed = table(head, rows, caption="What the tools computed themselves")
    return details(f"What the tools computed themselves ({format_count(len(rows))})", listed)
