"""The plots of a report on logs: every task, measure and arm, and the paired differences."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from trialist.records import Cell, Estimate
from trialist.reports.figures import forest_figure
from trialist.reports.forest import Band
from trialist.reports.log_evidence import LogEvidence, Row
from trialist.reports.log_items import anchor_of
from trialist.reports.markup import Html, Node, details, element, join, table, text
from trialist.wording import format_count, format_estimate, format_value

MOST_BANDS = 40
LABELS = (250, 96)
"""Pixels for the names of arms on wide and on narrow screens."""

Drawn = Callable[[Row], Sequence[Estimate]]


def values_section(evidence: LogEvidence) -> Html:
    """Forest plots: measures between 0 and 1 in one, others each on its own axis."""
    if not evidence.rows:
        return element("p", "The logs hold no scores: nothing was measured.", cls="warning")
    plain = [row for row in evidence.rows if row.in_unit]
    parts: list[Node] = [_plots(evidence, plain, lambda row: row.arms, "Values by task, measure and arm", signed=False)]
    for row in evidence.rows:
        if not row.in_unit:
            parts.append(_plots(evidence, [row], lambda row: row.arms, f"{row.name}, by arm", signed=False))
    return join(parts)


def differences_section(evidence: LogEvidence) -> Html | None:
    """The paired differences as a plot, and in a table with their words and what could have been seen."""
    if evidence.compare is None:
        return None
    rows = [row for row in evidence.rows if row.difference is not None]
    one, other = evidence.compare
    if not rows:
        return element("p", text(f"{one} and {other} have no task and measure in common."), cls="warning")
    parts: list[Node] = []
    shares = [row for row in rows if row.in_unit]
    axis = f"{evidence.short[one]} minus {evidence.short[other]}, on the same items"
    parts.append(_plots(evidence, shares, _difference, "Paired differences", signed=True, axis=axis))
    for row in rows:
        if not row.in_unit:
            parts.append(_plots(evidence, [row], _difference, f"{row.name}, difference", signed=True, axis=axis))
    return join([*parts, _table(evidence, rows)])


def _difference(row: Row) -> Sequence[Estimate]:
    return [row.difference] if row.difference else []


def _plots(
    evidence: LogEvidence, rows: Sequence[Row], drawn: Drawn, title: str, *, signed: bool, axis: str = ""
) -> Html | None:
    """The first ``MOST_BANDS`` in sight, the others below a fold."""
    bands = [_band(evidence, row, drawn(row)) for row in rows if drawn(row)]
    unit = "share" if all(row.in_unit for row in rows) else "value"
    said = axis or f"mean, with its interval at {100 * evidence.level:g}%"

    def figure(some: Sequence[Band], name: str) -> Html | None:
        return forest_figure(some, unit, name, said, signed=signed, labels=LABELS)

    rest = bands[MOST_BANDS:]
    more = details(f"{format_count(len(rest))} more rows", figure(rest, f"{title}, continued")) if rest else None
    return join([figure(bands[:MOST_BANDS], title), more])


def _band(evidence: LogEvidence, row: Row, estimates: Sequence[Estimate]) -> Band:
    notes = ["graded by a model: no claim without gold labels"] if row.judged else []
    shown = tuple((_named(evidence, e), evidence.looks[e.cell.arm]) for e in estimates)
    return Band(row.name, ", ".join(notes), anchor_of(evidence, row.task), shown)


def _named(evidence: LogEvidence, estimate: Estimate) -> Estimate:
    """The estimate under the arms' short names; a difference is named by its first arm alone, as the axis says both."""
    short = evidence.short
    contrast = None if estimate.contrast is None else _short(short, estimate.contrast)
    return replace(estimate, cell=_short(short, estimate.cell), contrast=contrast)


def _short(short: Mapping[str, str], cell: Cell) -> Cell:
    return replace(cell, arm=short.get(cell.arm, cell.arm))


def _table(evidence: LogEvidence, rows: Sequence[Row]) -> Html:
    one, other = evidence.compare or ("", "")
    head = ["outcome", "difference", "in words", "could have been seen", "pairs", "scored pairs"]
    body: list[list[Node]] = []
    for row in rows:
        e = row.difference
        if e is None:
            continue
        unit = "share" if row.in_unit else "value"
        numbers = (format_estimate(e, unit=unit), row.word or "can't tell")
        counts = (format_count(e.counts.attempted), format_count(e.counts.scored))
        seen = "" if row.detectable is None else format_value(row.detectable, unit=unit)
        shown = [
            element("span", numbers[0], cls="number"),
            element("b", numbers[1]),
            element("span", seen, cls="number"),
        ]
        body.append([text(row.name), *shown, *(element("span", n, cls="number") for n in counts)])
    note = f"{one} minus {other}: larger values are taken as better. Words rest on bounds that hold at any sample size"
    seen = "what could have been seen has power .8 and takes the spread from these data"
    return table(head, body, caption=text(f"{note}; {seen}."))
