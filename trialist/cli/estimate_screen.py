"""The screen of ``trialist estimate``: a table, what is missing or refused, the methods, and the claims."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from trialist.cli.estimate_lines import lines_of, losses_of
from trialist.cli.estimate_records import Answers, Row
from trialist.cli.results import plain_console
from trialist.records import Estimate
from trialist.wording import format_estimate, format_p, visible

NOT_THERE = "-"
WORDS = ("better", "worse", "equivalent", "can't tell")


def show(found: Answers, *, level: float) -> None:
    console = plain_console()
    console.print(_table(found, console.width))
    for line in dict.fromkeys(lines_of(found)):
        _say(console, visible(line))
    if any(one.low is not None for row in found.rows for one in row.described):
        console.print(f"intervals at {100 * level:g}%", markup=False)
    for method in _methods(one for row in found.rows for one in row.described):
        _say(console, method, 2)
    bounds = [row.bounds for row in found.rows if row.bounds is not None]
    if bounds:
        note = f"{', '.join(WORDS)}: from bounds that hold at any sample size, each at {(1 + level) / 2:g}"
        _say(console, note + "; intervals and p describe; larger is taken as better")
    for method in _methods(bounds):
        _say(console, method, 2)
    for note in found.notes:
        _say(console, f"note: {visible(note)}")
    for line in losses_of(found):
        _say(console, visible(line))
    _show_claims(console, found)


def _show_claims(console: Console, found: Answers) -> None:
    for row in found.rows:
        for one in row.claims:
            style = {"PASS": "green", "FAIL": "bold red", "UNDECIDED": "yellow"}[one.verdict]
            text = Text.assemble((f"{one.verdict:<11}", style), visible(f"{row.name}, {one.of}: {one.reason}"))
            _say(console, text)
    for method in _methods(one.bounds for row in found.rows for one in row.claims):
        _say(console, method, 2)


def _say(console: Console, text: str | Text, by: int = 0) -> None:
    """Print text broken between words where the terminal ends, every line indented ``by`` spaces."""
    whole = text if isinstance(text, Text) else Text(text)
    for line in whole.wrap(console, console.width - by):
        line.rstrip()
        console.print(Text(" " * by).append_text(line))


def _table(found: Answers, width: int) -> Table:
    """A column for each arm, or where the terminal is too narrow for that a row for each."""
    names = [visible(arm) for arm in found.arms]
    compared = next((row.difference for row in found.rows if row.difference is not None), None)
    if compared is not None and compared.contrast is not None:
        names.append(visible(f"{compared.cell.arm} minus {compared.contrast.arm}"))
    header = ["", *names, *([""] if compared is not None else [])]
    rows = [_texts(row, found.arms, compared=compared is not None) for row in found.rows]
    widths = [max(map(cell_len, column)) + 3 for column in zip(header, *rows, strict=True)]
    if sum(widths) - 3 <= width:
        return _grid(header, rows)
    tall: list[list[str]] = []
    for row in rows:
        tall.append([row[0], "", ""])
        words = [*[""] * (len(names) - 1), row[-1] if compared is not None else ""]
        indent = " " * (len(row[0]) - len(row[0].lstrip()) + 2)
        cells = zip(names, row[1:], words, strict=False)
        tall += [[indent + name, text, word] for name, text, word in cells if text != NOT_THERE]
    return _grid(["", "", ""], tall)


def _grid(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    table = Table(box=None, padding=(0, 3, 0, 0), pad_edge=False, header_style="bold", show_header=any(header))
    for number, name in enumerate(header):
        # In a narrow terminal names and words are broken, numbers never.
        table.add_column(Text(name), overflow="fold", no_wrap=0 < number < max(2, len(header) - 1))
    for row in rows:
        table.add_row(*(Text(text) for text in row))
    return table


def _texts(row: Row, arms: Sequence[str], *, compared: bool) -> list[str]:
    label = f"  {visible(row.stratum)}" if row.stratum else visible(row.title)
    each = {one.cell.arm: format_estimate(one) for one in row.arms}
    texts = [label, *(each.get(arm, NOT_THERE) for arm in arms)]
    if row.difference is not None:
        p = row.difference.p_value
        texts += [format_estimate(row.difference), row.words + (f", p {format_p(p)}" if p is not None else "")]
    elif compared:
        texts += [NOT_THERE, ""]
    return texts


def _methods(estimates: Iterable[Estimate]) -> list[str]:
    """Each method that was used, why, and what is known to go wrong with it."""
    used = [one for one in estimates if one.citation]
    lines = {f"{e.method} ({e.citation}): {e.why}" + (f"; {e.shortfall}" if e.shortfall else "") for e in used}
    return sorted(lines)
