"""The commands that measure without a trial: runs that exist, a study that is planned."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, cast

import typer

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]


def estimate(
    runs: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN...",
            help="Logs of Inspect or lm-evaluation-harness, Every Eval Ever, run folders, tables of scores, or folders "
            "of them.",
        ),
    ],
    compare: Annotated[
        tuple[str, str] | None,
        typer.Option(help="Two arms, models or paths given: the first minus the second, item by item."),
    ] = None,
    by: Annotated[
        str, typer.Option(help="A row for each: task (else pooled), metric (else the first), stratum; commas between.")
    ] = "task,metric",
    measure: Annotated[
        list[str] | None, typer.Option(help="A column of scores, in a wide table; may be repeated.")
    ] = None,
    item: Annotated[str | None, typer.Option(help="The column of item ids.")] = None,
    value: Annotated[str | None, typer.Option(help="The column of scores, in a long table.")] = None,
    arm: Annotated[str | None, typer.Option(help="The column of arms. Default: each file is one.")] = None,
    cluster: Annotated[
        str | None, typer.Option(help="The column or metadata key of the independent unit; item: each is its own.")
    ] = None,
    epoch: Annotated[str | None, typer.Option(help="The column that numbers several answers to one item.")] = None,
    replicate: Annotated[str | None, typer.Option(help="The column that numbers an arm's training runs.")] = None,
    scorer_kind: Annotated[
        str | None, typer.Option(help="The column that says program, judge or human (gold labels).")
    ] = None,
    weight: Annotated[str | None, typer.Option(help="The column of weights.")] = None,
    stratum: Annotated[str | None, typer.Option(help="The column or metadata key of strata.")] = None,
    claim: Annotated[str | None, typer.Option(help='"below .05" or "above .9", of arms or comparison.')] = None,
    confidence: Annotated[float, typer.Option(help="With which the claim is to be shown.")] = 0.95,
    margin: Annotated[float | None, typer.Option(help="How large a difference may be and not matter.")] = None,
    level: Annotated[float, typer.Option(help="Of the intervals.")] = 0.95,
    bounds: Annotated[
        tuple[float, float] | None, typer.Option("--range", help="Lowest and highest possible score.")
    ] = None,
    population: Annotated[
        str, typer.Option(help="process, bank or traffic (docs/measurement/estimate.md).")
    ] = "process",
    bank_size: Annotated[int | None, typer.Option(help="Items in the bank that these were drawn from.")] = None,
    about: Annotated[str, typer.Option(help="artefact, or method: all replicates of the arm.")] = "artefact",
    missing: Annotated[str, typer.Option(help='worst, "as low", "as high" or dropped.')] = "worst",
    sizes: Annotated[str, typer.Option(help='Of clusters: "may matter", or unrelated to the scores.')] = "may matter",
    as_json: Json = False,
) -> int:
    """Value, interval and comparison of runs that exist. With --claim exit code 0 PASS, 3 UNDECIDED, 4 FAIL."""
    from trialist.cli import estimate as command
    from trialist.cli.bar import bar
    from trialist.cli.estimate_screen import show
    from trialist.cli.output import print_json
    from trialist.logs.facets import ITEM, Facets
    from trialist.logs.table import Columns
    from trialist.measurement.claims import threshold_of

    columns = Columns(
        item=item, value=value, arm=arm, cluster=None if cluster == ITEM else cluster, epoch=epoch,
        replicate=replicate, weight=weight, stratum=stratum, scorer_kind=scorer_kind, measures=tuple(measure or ()),
    )  # fmt: skip
    question = command.Question(
        columns, Facets(cluster, stratum), compare, tuple(word.strip() for word in by.split(",")), level,
        None if claim is None else threshold_of(claim, confidence), margin, bounds, population=cast(Any, population),
        about=cast(Any, about), bank_size=bank_size, missing=cast(Any, missing), sizes=cast(Any, sizes),
    )  # fmt: skip
    with bar("reading", silent=as_json) as progress:
        found = command.answer(runs, question, progress)
    code = command.exit_code(found)
    print_json({"exit_code": code, **command.record(found)}) if as_json else show(found, level=level)
    return code


def power(
    claim: Annotated[str | None, typer.Option(help="What is to be shown: 'below .01', 'above -.03'.")] = None,
    true: Annotated[float | None, typer.Option(help="Of a claim: the true rate, mean or difference.")] = None,
    difference: Annotated[float | None, typer.Option(help="Of a comparison: the true difference.")] = None,
    compare: Annotated[bool, typer.Option("--compare", help="A comparison whose difference is asked for.")] = False,
    items: Annotated[int | None, typer.Option("--items", "--n", help="Number of items.")] = None,
    clusters: Annotated[int | None, typer.Option(help="Number of clusters.")] = None,
    cluster_size: Annotated[int | None, typer.Option(help="Items a cluster.")] = None,
    icc: Annotated[float, typer.Option(help="Intraclass correlation within clusters.")] = 0.0,
    discordant: Annotated[float | None, typer.Option(help="Share of items on which two conditions differ.")] = None,
    sd: Annotated[float | None, typer.Option(help="Of a graded score, for pairs of the difference.")] = None,
    low: Annotated[float | None, typer.Option(help="Lowest graded value; below 0 for differences.")] = None,
    high: Annotated[float | None, typer.Option(help="Highest graded value.")] = None,
    epochs: Annotated[int, typer.Option(help="Answers averaged for each item.")] = 1,
    epoch_share: Annotated[float, typer.Option(help="Share of an answer's variance between epochs.")] = 0.0,
    confidence: Annotated[float, typer.Option(help="Of a claim's bound, or the level of an interval.")] = 0.95,
    power: Annotated[float, typer.Option(help="The power wanted.")] = 0.8,
    sequential: Annotated[bool, typer.Option("--sequential", help="Stop when decided; --items is the most.")] = False,
    seed: Annotated[int, typer.Option(help="Of the simulation, where one is needed.")] = 0,
    repetitions: Annotated[int, typer.Option(help="Of the simulation.")] = 400,
    plot: Annotated[Path | None, typer.Option(help="Write the curve to FILE.html or FILE.svg.")] = None,
    as_json: Json = False,
) -> int:
    """What a design could see, or how many items it needs."""
    given = dict(locals())  # before any other name exists here
    from trialist.cli.power import Options
    from trialist.cli.power import power as show_power

    return show_power(Options(**given))
