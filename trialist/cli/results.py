"""Results on one screen: the table of outcomes, counts, claims, the verdict, and where the report lies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from trialist.records import Decision
from trialist.wording import format_count, format_interval, format_stopping, visible

if TYPE_CHECKING:
    from trialist.trial.run import Result  # it takes a while to load, and not every table is of a trial

_STYLE = {
    "PASS": "green",
    "PROMOTE": "bold green",
    "FAIL": "bold red",
    "BLOCK": "bold red",
    "UNDECIDED": "yellow",
    "HOLD": "bold yellow",
}


def plain_console() -> Console:
    """The terminal as wide as it is; a pipe gets lines wide enough for the tables."""
    plain = Console(highlight=False)
    return plain if plain.is_terminal else Console(highlight=False, width=160)


def show_result(result: Result, *, quiet: bool, again: str) -> None:
    from trialist.cli.table import outcome_table

    console = plain_console()
    if quiet:
        console.print(Text(result.decision.verdict, _STYLE[result.decision.verdict]))
        return
    if result.reused:
        console.print("finished before: everything below was read from the run folder, nothing was asked again")
    console.print()
    console.print(outcome_table(result))
    for line in count_lines(result):
        console.print(line, markup=False)
    console.print()
    show_decision(result.decision, notes=result.document["cautions"], label="caution")
    console.print()
    console.print(f"report  {result.folder / 'report.html'}", markup=False, soft_wrap=True)
    console.print(f"again   {again}", markup=False, soft_wrap=True)


def show_decision(decision: Decision, *, notes: Sequence[str] = (), label: str = "note") -> None:
    console = plain_console()
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column(no_wrap=True, min_width=9)
    table.add_column()
    table.add_column()
    for row in decision.results:
        table.add_row(Text(row.verdict, _STYLE[row.verdict]), Text(visible(row.claim.name)), Text(visible(row.reason)))
    console.print(table)
    console.print(Text.assemble((f"{decision.verdict:<11}", _STYLE[decision.verdict]), visible(decision.reason)))
    for note in notes:
        console.print(f"{label}: {visible(note)}", markup=False)


def show_rows(rows: Sequence[Mapping[str, Any]]) -> None:
    """A plain table of equal rows."""
    if not rows:
        plain_console().print("none")
        return
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    for name in rows[0]:
        table.add_column(name)
    for row in rows:
        table.add_row(*(Text(visible(str(value))) for value in row.values()))
    plain_console().print(table)


def count_lines(result: Result) -> list[str]:
    """Scored of attempted over all cells, then what is missing and what is undefined."""
    plain = [e for e in result.estimates if e.purpose == "describe" and e.contrast is None and not e.stratum]
    attempted = sum(e.counts.attempted for e in plain)
    scored = sum(e.counts.scored for e in plain)
    places = f"{len(plain)} cells of outcomes" if len(plain) != 1 else "one cell"
    lines = [f"{format_count(scored)} of {format_count(attempted)} items scored, in {places}"]
    if result.stopping is not None:
        lines.append(format_stopping(result.stopping))
    gaps = [e for e in plain if e.counts.missing]
    for e in gaps[:8]:
        worst = ""
        if e.worst_low is not None and e.worst_high is not None:
            worst = f"; whatever they are, it lies in {format_interval(e.worst_low, e.worst_high)}"
        missing = f"{format_count(e.counts.missing)} of {format_count(e.counts.attempted)}"
        lines.append(f"  missing {missing} in {visible(e.outcome)}, {visible(e.cell.label)}{worst}")
    undefined = [e for e in plain if e.value is None]
    lines += [f"  undefined: {visible(e.outcome)}, {visible(e.cell.label)}: {visible(e.reason)}" for e in undefined[:8]]
    return lines
