"""Logs of any tool -> one HTML file that looks like the report of a trial: values, differences, counts, items."""

from __future__ import annotations

import polars as pl

from trialist.folder import schema_of
from trialist.records import ANSWER_COLUMNS, SCORE_COLUMNS
from trialist.reports.evidence import Evidence
from trialist.reports.log_counts import counts_section
from trialist.reports.log_evidence import LogEvidence
from trialist.reports.log_figures import differences_section, values_section
from trialist.reports.log_items import MOST, items_section
from trialist.reports.log_sources import notes_section, sources_section
from trialist.reports.markup import Html, Node, element, text
from trialist.reports.methods import methods_section
from trialist.reports.page import contents, document, footer, section
from trialist.wording import format_estimate

MOST_NAMED = 4


def render_logs(evidence: LogEvidence, *, version: str, most_items: int = MOST) -> str:
    """The report as one self-contained HTML document: no script, nothing from outside, all text escaped."""
    title = _title(evidence)
    sections = [one for one in _sections(evidence, most_items) if one[3]]
    body = element(
        "body",
        element("a", "Skip to the values", href="#values", cls="skip"),
        element(
            "header",
            element("p", "Trialist", cls="brand"),
            element("h1", text(title)),
            element("p", text(_about(evidence)), cls="about"),
            _in_short(evidence),
        ),
        element("main", contents(sections), *(section(*one) for one in sections)),
        element("footer", element("p", footer(version))),
    )
    return document(title, body)


def _title(evidence: LogEvidence) -> str:
    tasks = [block.task for block in evidence.blocks if block.task]
    what = _listed(tasks, "tasks") or "A table of scores"
    if evidence.compare:
        one, other = (evidence.short[arm] for arm in evidence.compare)
        return f"{what}: {one} against {other}"
    return f"{what}: {_listed([evidence.short[arm] for arm in evidence.arms], 'arms')}"


def _listed(names: list[str], what: str) -> str:
    return ", ".join(names) if len(names) <= MOST_NAMED else f"{len(names)} {what}"


def _about(evidence: LogEvidence) -> str:
    logs = [log for _, part in evidence.parts() for log in part.logs]
    tools = list(dict.fromkeys(log.source.tool for log in logs if log.source.tool))
    number = f"{len(logs)} log{'' if len(logs) == 1 else 's'}"
    unfinished = sum(log.source.status not in ("success", "") for log in logs)
    return " · ".join([number, *tools[:MOST_NAMED], *([f"{unfinished} not finished"] if unfinished else [])])


def _in_short(evidence: LogEvidence) -> Html | None:
    """What the comparison says, a line each."""
    rows = [row for row in evidence.rows if row.difference is not None]
    if not rows or evidence.compare is None:
        return None
    one = evidence.short[evidence.compare[0]]
    lines = [
        element(
            "li", element("b", text(row.word or "can't tell")), ": ",
            text(f"{one} on {row.name}, {format_estimate(row.difference, unit='share' if row.in_unit else 'value')}"),
            text(" (graded by a model)") if row.judged else None,
        )
        for row in rows[:8] if row.difference is not None
    ]  # fmt: skip
    rest = element("li", f"and {len(rows) - 8} more below") if len(rows) > 8 else None
    return element("ul", *lines, rest, cls="short")


def _sections(evidence: LogEvidence, most: int) -> list[tuple[str, str, str, Node]]:
    about = _as_evidence(evidence)
    order = "What was asked and what was answered, side by side: the answer of the first epoch, the mean over epochs."
    if evidence.compare is None:
        order = (
            "What was asked and what was answered, worst first: the answer of the first epoch, the mean over epochs."
        )
        if len(evidence.arms) > 1:
            order += " Of the first arm; --compare A B shows two side by side."
    return [
        ("values", "Values", "Each row is an arm: its mean over items with an interval that describes it. Every mark "
         "leads to the items behind it.", values_section(evidence)),
        ("differences", "Differences", "The same items, answered by both: paired by item, so that hard and easy items "
         "cancel.", differences_section(evidence)),
        ("counts", "Counts", "Planned, answered, scored. What is missing never reads as right.",
         counts_section(evidence)),
        ("notes", "Notes", "What was found, assumed or lost.", notes_section(evidence)),
        ("items", "Items", order, items_section(evidence, most)),
        ("sources", "Sources", "Where the numbers come from, and what the tools themselves computed.",
         sources_section(evidence)),
        ("methods", "Methods", "How each number was made, and from how much.", methods_section(about)),
    ]  # fmt: skip


def _as_evidence(evidence: LogEvidence) -> Evidence:
    """The estimates as the sections of a trial's report take them."""
    estimates = [e for row in evidence.rows for e in (*row.arms, *([row.difference] if row.difference else []))]
    answers, scores = (pl.DataFrame(schema=schema_of(columns)) for columns in (ANSWER_COLUMNS, SCORE_COLUMNS))
    return Evidence({}, {}, answers, scores, tuple(estimates), (), None, ())
