"""The commands. Each parses, calls one function of the library, and shows what came back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from trialist.cli import gate, measuring, organisms, report, rescore, validate
from trialist.cli.output import EXIT, print_json
from trialist.errors import TrialistError
from trialist.wording import visible

INTERRUPTED = 130

app = typer.Typer(
    name="trialist",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]


def start(arguments: list[str]) -> int:
    """Run one command and turn what happened into an exit code."""
    error_console = Console(stderr=True, highlight=False, soft_wrap=True)
    try:
        code = app(arguments, standalone_mode=False)
        if code == INTERRUPTED:
            return _interrupted(error_console)
        return code if isinstance(code, int) else 0
    except TrialistError as error:
        show_error(error_console, error)
        return error.exit_code
    except (typer.Abort, KeyboardInterrupt):
        return _interrupted(error_console)
    except typer.Exit as done:
        return done.exit_code
    except Exception as error:
        # A wrong option or argument: typer's own text, in our form. Anything else is a defect and keeps its traceback.
        said = getattr(error, "format_message", None)
        if said is None:
            raise
        text: str = said()
        if text.startswith("Usage:"):  # a command without its arguments: the help is the answer
            error_console.print(text, markup=False)
        else:
            show_error(error_console, TrialistError(text, next_step="trialist --help"))
        return 2


def _interrupted(console: Console) -> int:
    console.print("interrupted: finished chunks are kept; the same command goes on from there", markup=False)
    return INTERRUPTED


def show_error(console: Console, error: TrialistError) -> None:
    first, *rest = str(error).splitlines()
    console.print("[bold red]error:[/] ", end="")
    console.print(visible(first), markup=False)
    for line in rest:
        console.print(visible(line), markup=False)


def _print_version(wanted: bool) -> None:
    if wanted:
        from trialist import __version__

        print(f"trialist {__version__}")
        raise typer.Exit


_Version = Annotated[bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=_print_version)]


@app.callback()
def common(version: _Version = False) -> None:
    """Controlled trials for AI systems: measure a model, change it, attack the change, decide."""


@app.command()
def run(
    spec: Annotated[Path, typer.Argument(help="A trial, in YAML.")],
    out: Annotated[Path | None, typer.Option(help="The run folder. Default: runs/<name of the spec>.")] = None,
    model: Annotated[
        str | None, typer.Option(help="The model of the arms that name none, such as hf/<folder>.")
    ] = None,
    data: Annotated[Path | None, typer.Option(help="The data folder of the evaluations that name none.")] = None,
    as_json: Json = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print the verdict only.")] = False,
) -> int:
    """Run a trial, or resume it. Exit code 0 PROMOTE, 3 HOLD, 4 BLOCK."""
    from trialist.cli.progress import Screen
    from trialist.cli.results import show_result
    from trialist.trial.registration import fill_in
    from trialist.trial.run import run as run_trial
    from trialist.trial.spec import Trial

    folder = out or Path("runs") / spec.stem
    trial = fill_in(Trial.load(spec), model=model, data=data)
    with Screen(folder, silent=quiet or as_json) as screen:
        result = run_trial(trial, folder, screen)
    if as_json:
        print_json({"exit_code": EXIT[result.decision.verdict], **_result_record(result)})
    else:
        options = [("--out", str(folder)), ("--model", model), ("--data", data)]
        again = " ".join(["trialist run", str(spec), *(f"{name} {value}" for name, value in options if value)])
        show_result(result, quiet=quiet, again=again)
    return EXIT[result.decision.verdict]


def _result_record(result: Any) -> dict[str, Any]:
    return {
        "folder": str(result.folder),
        "hash": result.document["hash"],
        "verdict": result.decision.verdict,
        "reason": result.decision.reason,
        "claims": result.decision.results,
        "estimates": result.estimates,
        "recoveries": result.recoveries,
        "report": str(result.folder / "report.html"),
        "reused": result.reused,
        "stopping": result.stopping,
    }


app.command("report")(report.command)
app.command("gate")(gate.command)
app.command("rescore")(rescore.command)
app.command("estimate")(measuring.estimate)
app.command("power")(measuring.power)
app.add_typer(organisms.organism_app, name="organism")
app.command("validate")(validate.validate)


@app.command()
def score(
    file: Annotated[
        str, typer.Argument(help="JSON lines, each with context, continuations, id if wanted; - for a pipe.")
    ],
    model: Annotated[str, typer.Option(help="The model, such as hf/<folder>.")],
    out: Annotated[Path | None, typer.Option(help="The file to write. Default: FILE.scores.jsonl.")] = None,
    dtype: Annotated[str, typer.Option(help="auto (see docs/score.md), float32, bfloat16 or float16.")] = "auto",
    restart: Annotated[bool, typer.Option("--restart", help="Write the file anew instead of going on.")] = False,
    as_json: Json = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print only how many lines were scored.")] = False,
) -> int:
    """Log-probabilities of continuations, line by line. Exit code 0, or 3 where some lines could not be scored."""
    from trialist.cli.score import Options
    from trialist.cli.score import score as score_lines

    return score_lines(file, Options(model, out, dtype, restart, as_json, quiet))


@app.command("list")
def list_names(
    kind: Annotated[str, typer.Argument(help="evaluations, interventions, threats or models.")],
    name: Annotated[str | None, typer.Argument(help="One of them, with its settings.")] = None,
    as_json: Json = False,
) -> int:
    """What a spec can name."""
    from trialist.cli.listing import listing
    from trialist.cli.results import show_rows

    rows = listing(kind, name)
    print_json({kind: rows}) if as_json else show_rows(rows)
    return 0


@app.command()
def doctor(as_json: Json = False) -> int:
    """What is installed, what is missing and the line that installs it; device and threads."""
    from trialist.cli.doctor import examine
    from trialist.cli.results import show_rows

    rows = examine()
    print_json({"parts": rows}) if as_json else show_rows(rows)
    return 0


@app.command(
    "lm-eval",
    add_help_option=False,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "allow_interspersed_args": False},
)
def lm_eval(context: typer.Context) -> int:
    """lm-evaluation-harness, with this project's engine as --model trialist. All arguments are the harness's own."""
    from trialist.cli.lm_eval_command import forward

    return forward(context.args)
