"""``trialist rescore``: stored answers scored again, and how far old and new scores agree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from trialist.cli.output import print_json
from trialist.errors import Problem, SpecError
from trialist.evaluations.rescoring import Agreement, Scorer, agreements, answers_of, free_name, rescore
from trialist.evaluations.text_scorers import text_scorer
from trialist.logs.log import Log
from trialist.wording import format_count, format_value, visible

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
MOST_REASONS = 4
ORDER = ("1", "between", "0", "other", "missing")


def command(
    runs: Annotated[list[Path], typer.Argument(help="Logs with the models' answers: files or folders.")],
    out: Annotated[Path, typer.Option(help="The new folder to write, with old and new scores.")],
    scorer: Annotated[
        str | None,
        typer.Option(
            help="exact, match, includes, letter, number:0.01, pattern:REGEX, likeliest or package.module:function."
        ),
    ] = None,
    group: Annotated[int | None, typer.Option(help="The group of a pattern that is compared with the target.")] = None,
    judge: Annotated[str | None, typer.Option(help="A model that grades instead, such as hf/<folder>.")] = None,
    template: Annotated[
        Path | None, typer.Option(help="What the judge is asked: text with {question}, {target}, {answer}.")
    ] = None,
    dtype: Annotated[str | None, typer.Option(help="Of a local judge: float32, bfloat16 or float16.")] = None,
    name: Annotated[str | None, typer.Option(help="Of the new measure. Default: the scorer's.")] = None,
    as_json: Json = False,
) -> int:
    """Score stored answers again, without asking the model, and write them beside the old scores."""
    from trialist.cli.bar import bar
    from trialist.folder import check_new
    from trialist.logs import kept
    from trialist.logs.collect import collect

    _check(scorer, group, judge, template)
    check_new(out)
    with bar("reading", silent=as_json) as progress:
        logs = collect(runs, full=True, progress=progress).logs
    journal = out.with_name(f"{out.name}.judge.jsonl")
    chosen = _judge(logs, judge, template, dtype, journal, as_json) if judge else _scorer(scorer or "", group)
    measure = name or free_name(logs, "judge" if judge else chosen.name)
    with bar("scoring", silent=as_json) as progress:
        found = [rescore(log, chosen, measure, progress) for log in logs]
    kept.write(found, out)
    for file in (journal, journal.with_name(f".{journal.name}.lock")):
        file.unlink(missing_ok=True)
    compared = [(log, agreements(log, measure)) for log in found]
    if as_json:
        print_json({"folder": str(out), "measure": measure, "scorer": chosen.name, "scorer_version": chosen.version,
                    "scorer_kind": chosen.kind, "agreements": _records(compared)})  # fmt: skip
    else:
        _show(compared, measure, chosen, out)
    return 0


def _check(scorer: str | None, group: int | None, judge: str | None, template: Path | None) -> None:
    problems: list[Problem] = []
    if (scorer is None) == (judge is None):
        seen = "both" if scorer else "neither"
        problems.append(Problem("one scorer is needed", seen, "--scorer NAME or --judge MODEL", "docs/logs/rescore.md"))
    if template is not None and judge is None:
        problems.append(Problem("a template without a judge", str(template), "--judge MODEL --template FILE"))
    if group is not None and not (scorer or "").startswith("pattern:"):
        problems.append(Problem("a group without a pattern", f"--group {group}", "--scorer pattern:REGEX --group N"))
    if problems:
        raise SpecError(problems)


def _scorer(name: str, group: int | None) -> Scorer:
    from trialist.evaluations.rescoring import dotted_scorer

    module, _, rest = name.partition(":")
    is_dotted = bool(rest) and module not in ("match", "number", "pattern", "likeliest")
    return dotted_scorer(name) if is_dotted else text_scorer(name, group=group)


def _judge(
    logs: Sequence[Log], name: str, template: Path | None, dtype: str | None, journal: Path, silent: bool
) -> Scorer:
    from trialist.cli.bar import bar
    from trialist.evaluations.judging import TEMPLATE, Judge, judged
    from trialist.trial.names import model

    text = TEMPLATE if template is None else _read(template)
    judge = Judge(name, model(name, dtype=dtype), text)
    pairs = ((item, answer) for log in logs for item, answer in answers_of(log) if item is not None)
    with bar("judging", silent=silent) as progress:
        return judged(judge, pairs, journal, progress)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(
            [Problem("a template that can't be read", f"{path}: {error}", "a text file in UTF-8")]
        ) from None


def _records(compared: Sequence[tuple[Log, Sequence[Agreement]]]) -> list[dict[str, Any]]:
    return [
        {"path": log.source.path, "task": log.source.task, "model": log.source.model, "old": one.measure,
         "same": one.same, "both": one.both, "changes": one.changes,
         "counts": [{"old": old, "new": new, "answers": n} for (old, new), n in one.counts.items()]}
        for log, found in compared for one in found
    ]  # fmt: skip


def _show(compared: Sequence[tuple[Log, Sequence[Agreement]]], measure: str, scorer: Scorer, out: Path) -> None:
    from trialist.cli.results import plain_console

    console = plain_console()
    for log, found in compared:
        new = log.scores.filter(log.scores["measure"] == measure)
        head = " · ".join(part for part in (log.source.task, log.source.model) if part) or log.source.path
        scored = f"{format_count(len(new) - new['value'].null_count())} of {format_count(len(new))} answers scored"
        console.print(Text(visible(f"{head}: {scored} by {measure}"), "bold"))
        lacking = Counter(new.filter(new["value"].is_null())["reason"].to_list())
        for reason, number in lacking.most_common(MOST_REASONS):
            console.print(Text(visible(f"  missing {format_count(number)}: {reason or 'no reason given'}")))
        if len(lacking) > MOST_REASONS:
            console.print(f"  and {len(lacking) - MOST_REASONS} other reasons")
        for one in found:
            console.print(_table(one, measure))
            share = f", {format_value(one.same / one.both)}" if one.both else ""
            console.print(f"the same in {format_count(one.same)} of {format_count(one.both)} scored by both{share}")
            for change in one.changes:
                values = " -> ".join("missing" if v is None else f"{v:g}" for v in (change.old, change.new))
                why = f" ({change.reason})" if change.reason else ""
                console.print(Text(visible(f"  look at {change.item}, epoch {change.epoch}: {values}{why}")))
    if scorer.kind == "judge":
        console.print("note: a judge errs; without gold labels its scores carry no claim (docs/measurement/judged.md)")
    console.print(f"written {out}  ·  trialist report {out}", markup=False, soft_wrap=True)


def _table(one: Agreement, measure: str) -> Table:
    """Answers by their old value (rows) and their new one (columns)."""
    olds, news = ([v for v in ORDER if any(pair[side] == v for pair in one.counts)] for side in (0, 1))
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    table.add_column(Text(visible(f"{one.measure} \\ {measure}")))
    for new in news:
        table.add_column(new, justify="right")
    for old in olds:
        table.add_row(old, *(format_count(one.counts.get((old, new), 0)) for new in news))
    return table
