"""Counts of logs: what was planned, answered and scored, and what is missing by reason, in every task and arm."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from trialist.logs.blocks import Part
from trialist.reports.counts import MOST_REASONS, bar_of
from trialist.reports.log_evidence import LogEvidence
from trialist.reports.markup import Html, Node, details, element, join, table, text
from trialist.wording import format_count

NO_REASON = "no reason given"


@dataclass(frozen=True)
class Count:
    """Answers (items times epochs) of one measure of one task by one arm. ``answered`` is None where the log holds no
    answers; every planned one that isn't scored is missing for one of the ``reasons``."""

    task: str
    measure: str
    arm: str
    planned: int
    answered: int | None
    scored: int
    reasons: tuple[tuple[str, int], ...]

    @property
    def missing(self) -> int:
        return self.planned - self.scored


def counts_of(evidence: LogEvidence) -> list[Count]:
    """In order of the tasks, arms and measures. A judge's and a person's scores of one answer count once."""
    return [
        _count(block.task, str(measure), part)
        for block, part in evidence.parts()
        for measure in part.scores["measure"].unique(maintain_order=True)
    ]


def _count(task: str, measure: str, part: Part) -> Count:
    rows = part.scores.filter(pl.col("measure") == measure)
    if (rows["scorer_kind"] != "human").any():
        rows = rows.filter(pl.col("scorer_kind") != "human")
    lacking = rows.filter(pl.col("value").is_null())
    reasons = Counter(str(reason or NO_REASON) for reason in lacking["reason"].to_list())
    ordered = tuple(sorted(reasons.items(), key=lambda pair: (-pair[1], pair[0])))
    answers = [log.answers for log in part.logs if len(log.answers)]
    answered = sum(int(a["status"].is_in(["ok", "truncated"]).sum()) for a in answers) if answers else None
    return Count(task, measure, part.arm, len(rows), answered, len(rows) - len(lacking), ordered)


def counts_section(evidence: LogEvidence) -> Html:
    found = counts_of(evidence)
    lacking = [count for count in found if count.missing]
    missing, total = sum(c.missing for c in found), sum(c.planned for c in found)
    if not found:
        return element("p", "No answer has a score. Nothing was measured.", cls="warning")
    if not missing:
        head = element("p", f"All {format_count(total)} scores that were to be had are there.")
    else:
        share = f"{format_count(missing)} of {format_count(total)} scores are missing"
        head = element("p", f"{share}, in {len(lacking)} of {len(found)} rows.", cls="warning")
    rest = [count for count in found if not count.missing]
    parts: list[Node] = [head, _table(evidence, lacking, "Rows with missing scores") if lacking else None]
    if rest:
        label = "Every row" if not lacking else "Rows without missing scores"
        parts.append(details(f"{label} ({len(rest)})", _table(evidence, rest, label)))
    return join(parts)


def _table(evidence: LogEvidence, found: Sequence[Count], caption: str) -> Html:
    head = ["outcome", "arm", "planned", "answered", "scored", "missing, by reason"]
    return table(head, [_row(evidence, c) for c in found], cls="funnel", caption=caption)


def _row(evidence: LogEvidence, c: Count) -> list[Node]:
    shown = [element("li", element("b", format_count(n)), " ", text(r, limit=200)) for r, n in c.reasons[:MOST_REASONS]]
    rest = sum(n for _, n in c.reasons[MOST_REASONS:])
    more = element("li", element("b", format_count(rest)), " for other reasons") if rest else None
    answered = "not in the log" if c.answered is None else bar_of(c.answered, c.planned)
    reasons = element("ul", *shown, more) if shown else "none"
    name = f"{c.task}: {c.measure}" if c.task else c.measure
    numbers = (bar_of(c.planned, c.planned), answered, bar_of(c.scored, c.planned))
    return [text(name), text(evidence.short[c.arm]), *numbers, reasons]
