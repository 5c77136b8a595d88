"""Counts as a funnel: attempted, answered, scored, missing by reason, in every cell; and what to be careful about."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from trialist.records import CELL_COLUMNS, Cell, Stopping, cell_of
from trialist.reports.evidence import Evidence, outcomes, unmeasured
from trialist.reports.markup import Html, Node, details, element, join, table, text
from trialist.wording import format_count, format_stopping

MOST_REASONS, MOST_WARNINGS = 6, 40


@dataclass(frozen=True)
class Funnel:
    """Counts of answers (items times epochs) of one evaluation in one cell. Attempted is what was planned, in a trial
    that stops when it is decided up to its last round: where the table of answers holds less, the rest was never asked.
    """

    evaluation: str
    cell: Cell
    attempted: int
    answered: int
    scored: int
    reasons: tuple[tuple[str, int], ...]

    @property
    def missing(self) -> int:
        return self.attempted - self.scored


def funnels(evidence: Evidence) -> list[Funnel]:
    """One for each evaluation and cell that has answers, in the order of the items and of the cells."""
    found: list[Funnel] = []
    keys = ["evaluation", *CELL_COLUMNS]
    scored = _scored(evidence.scores)
    joined = evidence.answers.select(*keys, "item", "epoch", "status", "reason").join(
        scored, on=[*keys, "item", "epoch"], how="left", maintain_order="left"
    )
    epochs = dict(evidence.answers.group_by("evaluation").agg(pl.col("epoch").n_unique()).iter_rows())
    for group in joined.partition_by(keys, maintain_order=True):
        first = group.row(0, named=True)
        items = evidence.items.get(str(first["evaluation"]))
        registered = items.height if items is not None else 0
        if evidence.stopping is not None:
            registered = evidence.stopping.items.get(str(first["evaluation"]), registered)
        planned = max(group.height, registered * epochs[first["evaluation"]])
        found.append(_funnel(group, str(first["evaluation"]), cell_of(first), planned))
    order = {name: i for i, name in enumerate(evidence.items)}
    return sorted(found, key=lambda f: (order.get(f.evaluation, len(order)), f.cell.threat, f.cell.dose))


def _scored(scores: pl.DataFrame) -> pl.DataFrame:
    """An answer is scored if it has a score row and none of its values is missing."""
    keys = ["evaluation", *CELL_COLUMNS, "item", "epoch"]
    lacks = pl.col("value").is_null()
    return scores.group_by(keys, maintain_order=True).agg(
        scored=(~lacks).all(), why=pl.col("reason").filter(lacks).first()
    )


def _funnel(group: pl.DataFrame, evaluation: str, cell: Cell, planned: int) -> Funnel:
    is_answered = pl.col("status").is_in(["ok", "truncated"])
    is_scored = pl.col("scored").fill_null(False)
    status = pl.concat_str(
        pl.col("status"), pl.when(pl.col("reason") != "").then(": " + pl.col("reason")), ignore_nulls=True
    )
    why = pl.when(is_answered).then("not scored: " + pl.col("why").fill_null("no score")).otherwise(status)
    lacking = group.filter(~is_scored).select(why=why)["why"].to_list()
    reasons = Counter(str(reason) for reason in lacking)
    if planned > group.height:
        reasons["never asked"] = planned - group.height
    ordered = tuple(sorted(reasons.items(), key=lambda pair: (-pair[1], pair[0])))
    answered, scored = group.filter(is_answered).height, group.filter(is_scored).height
    return Funnel(evaluation, cell, planned, answered, scored, ordered)


def counts_section(evidence: Evidence) -> Html:
    found = funnels(evidence)
    absent = unmeasured(evidence)
    lacking = [f for f in found if f.missing]
    total = sum(f.attempted for f in found)
    missing = sum(f.missing for f in found)
    if not found:
        head = element("p", "No item was answered. Nothing was measured.", cls="warning")
    elif missing:
        share = f"{format_count(missing)} of {format_count(total)} answers are missing"
        head = element("p", f"{share}, in {len(lacking)} of {len(found)} cells.", cls="warning")
    else:
        where = f"in all {len(found)} cells" if len(found) != 1 else "in the one cell"
        head = element("p", f"All {format_count(total)} answers {where} were given and scored.")
    parts: list[Node] = [head]
    if evidence.stopping is not None:
        parts += _stopping(evidence.stopping)
    if absent:
        listed = element("ul", *(element("li", text(name)) for name in absent))
        parts.append(details(f"{len(absent)} planned cells were not measured", listed, cls="warning"))
    if lacking:
        parts.append(_table(evidence, lacking, "Cells with missing answers"))
    rest = [f for f in found if not f.missing]
    if rest:
        label = "Every cell" if not lacking else "Cells without missing answers"
        parts.append(details(f"{label} ({len(rest)})", _table(evidence, rest, label)))
    return join(parts)


def _stopping(stopping: Stopping) -> list[Node]:
    """Where it stopped, and after which round each claim was decided."""
    said = format_stopping(stopping)
    rows: list[list[Node]] = [
        [text(name), "undecided" if after is None else element("span", format_count(after), cls="number")]
        for name, after in stopping.decided.items()
    ]
    listed = table(["claim", "decided after round"], rows, caption="When each claim was decided")
    return [element("p", text(f"The trial {said}.")), details("When each claim was decided", listed)]


def _table(evidence: Evidence, found: Sequence[Funnel], caption: str) -> Html:
    names: dict[str, list[str]] = {}
    for outcome in outcomes(evidence):
        names.setdefault(outcome.evaluation, []).append(outcome.name)
    head = ["outcome", "cell", "attempted", "answered", "scored", "missing, by reason"]
    return table(head, [_row(f, names.get(f.evaluation, [f.evaluation])) for f in found], cls="funnel", caption=caption)


def _row(f: Funnel, names: Sequence[str]) -> list[Node]:
    shown = [element("li", element("b", format_count(n)), " ", text(r, limit=200)) for r, n in f.reasons[:MOST_REASONS]]
    rest = sum(n for _, n in f.reasons[MOST_REASONS:])
    more = element("li", element("b", format_count(rest)), " for other reasons") if rest else None
    reasons = element("ul", *shown, more) if shown else "none"
    bars = [bar_of(number, f.attempted) for number in (f.attempted, f.answered, f.scored)]
    return [text(", ".join(names)), text(f.cell.label), *bars, reasons]


def bar_of(number: int, whole: int) -> Html:
    share = 100 * number / whole if whole else 0
    fill = element("span", "", cls="fill", style=f"width:{share:.4g}%")
    return element("span", element("span", format_count(number), cls="number"), element("span", fill, cls="bar"))


def warnings_section(evidence: Evidence) -> Html:
    """Cautions of the trial, then warnings of the estimates with where they stand."""
    cautions = [element("li", text(str(caution))) for caution in evidence.trial.get("cautions") or ()]
    grouped: dict[str, list[str]] = {}
    for e in evidence.estimates:
        label = e.cell.label + (f" minus {e.contrast.label}" if e.contrast else "")
        place = f"{e.outcome}, {label}" + (f", {e.stratum}" if e.stratum else "")
        for warning in (*e.warnings, *([f"undefined: {e.reason}"] if e.value is None else [])):
            grouped.setdefault(warning, []).append(place)
    listed = [_warning(text(warning), list(dict.fromkeys(places))) for warning, places in grouped.items()]
    parts: list[Node] = []
    if cautions:
        parts.append(element("ul", *cautions, cls="cautions"))
    if listed[:MOST_WARNINGS]:
        parts.append(element("ul", *listed[:MOST_WARNINGS], cls="warnings"))
    if listed[MOST_WARNINGS:]:
        rest = element("ul", *listed[MOST_WARNINGS:], cls="warnings")
        parts.append(details(f"{len(listed) - MOST_WARNINGS} more warnings", rest))
    return join(parts) if parts else element("p", "None.", cls="quiet")


def _warning(warning: Html, places: list[str]) -> Html:
    if len(places) == 1:
        return element("li", warning, " ", element("span", places[0], cls="note"))
    where = element("ul", *(element("li", text(place)) for place in places))
    return element("li", warning, details(f"in {len(places)} places", where, cls="inline"))
