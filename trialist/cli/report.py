"""``trialist report``: the report of a finished run again, or of logs of any tool."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from trialist.cli.output import print_json

REGISTRATION = "trial.json"
FILE = Path("trialist-report.html")


def command(
    runs: Annotated[list[Path], typer.Argument(help="A finished run folder, or logs: files or folders.")],
    compare: Annotated[
        tuple[str, str] | None, typer.Option(help="Of logs: two arms, the first minus the second, side by side.")
    ] = None,
    cluster: Annotated[str | None, typer.Option(help="Of logs: a key of the items' metadata, or item.")] = None,
    level: Annotated[float, typer.Option(help="Of the intervals of logs.")] = 0.95,
    margin: Annotated[float | None, typer.Option(help="How large a difference may be and not matter.")] = None,
    items: Annotated[int, typer.Option(help="Of logs: items of each task that are shown.", min=0)] = 60,
    out: Annotated[
        Path | None,
        typer.Option(help=f"Where to write the HTML. Default: report.html in a run folder, of logs {FILE}."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")] = False,
) -> int:
    """Write one HTML file: of a finished run folder from its records, of logs of any tool from what they hold."""
    if len(runs) == 1 and (runs[0] / REGISTRATION).exists() and compare is None:
        from trialist.trial.review import write_report

        path = write_report(runs[0], out)
    else:
        path = _of_logs(runs, Wanted(compare, cluster, level, margin, items), out or FILE, silent=as_json)
    print_json({"report": str(path)}) if as_json else print(path)
    return 0


@dataclass(frozen=True)
class Wanted:
    """What a report on logs is to show."""

    compare: tuple[str, str] | None
    cluster: str | None
    level: float
    margin: float | None
    items: int


def _of_logs(runs: Sequence[Path], wanted: Wanted, out: Path, *, silent: bool) -> Path:
    from trialist import __version__
    from trialist.cli.bar import bar
    from trialist.cli.estimate import Question, answer_of
    from trialist.folder import storage_error
    from trialist.logs.arms import arms_of
    from trialist.logs.collect import collect
    from trialist.logs.facets import Facets
    from trialist.measurement.interval import check_share
    from trialist.reports.log_evidence import LogEvidence, Row, Told
    from trialist.reports.log_page import render_logs

    check_share("level", wanted.level)
    compare = wanted.compare
    with bar("reading", silent=silent) as progress:
        collection = collect(runs, full=True, progress=progress)
    if compare is None and len(arms := list(arms_of(collection).logs)) == 2:
        compare = (arms[0], arms[1])
    question = Question(facets=Facets(wanted.cluster), compare=compare, level=wanted.level, margin=wanted.margin)
    found = answer_of(collection, question)
    rows = tuple(
        Row(row.task, row.measure, row.arms, row.difference, row.words, row.judged, row.detectable,
            tuple(Told(one.arm, one.metric, one.value, one.ours, one.why) for one in row.stated))
        for row in found.rows
    )  # fmt: skip
    evidence = LogEvidence(found.blocks, found.arms, rows, found.compare, found.losses, found.notes, wanted.level)
    page = render_logs(evidence, version=__version__, most_items=wanted.items)
    try:
        out.write_text(page, encoding="utf-8")
    except OSError as error:
        raise storage_error(error, out) from error
    return out
