"""``trialist validate``: methods against model organisms whose truth is known."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trialist.cli.output import print_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trialist.validate.characteristics import Characteristics
    from trialist.validate.experiment import Experiment
    from trialist.validate.page import Analysis
    from trialist.validate.run import Run

SOME_FAILED = 3
MOST_FINDINGS, MOST_NAMES = 20, 4


def validate(
    methods: Annotated[list[str] | None, typer.Argument(help="Methods by name. Default: all.")] = None,
    organisms: Annotated[
        list[Path] | None, typer.Option(help="A folder that 'trialist organism grid' wrote. Several are allowed.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The folder to write, or to go on with.")] = None,
    calibration: Annotated[
        str | None, typer.Option(help="Seeds whose nulls set the thresholds, such as 0-39. Default: see the docs.")
    ] = None,
    jobs: Annotated[int, typer.Option(help="Organisms read at once, each on one core.", min=1)] = 1,
    list_only: Annotated[bool, typer.Option("--list", help="Print the methods and stop.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")] = False,
) -> int:
    """Run methods over model organisms: false alarms, sensitivity by dose, twins. Goes on where it stopped.

    Exit code 0, or 3 where some organisms could not be read.
    """
    from trialist.errors import TrialistError
    from trialist.validate.methods import METHODS, methods_named

    names = [method.name for method in methods_named(methods or METHODS)]
    if list_only or not (methods or organisms or out):
        return _list(names, as_json=as_json)
    if not organisms or out is None:
        raise TrialistError(
            "a validation needs organisms and a folder to write",
            seen=f"--organisms {len(organisms or [])} times, --out {'once' if out else 'not at all'}",
            allowed="--organisms FOLDER --out FOLDER",
            next_step="trialist organism grid GRID.yaml --out FOLDER builds organisms",
        )
    return _validate(names, organisms, out, (calibration, jobs, as_json))


def _validate(names: Sequence[str], organisms: Sequence[Path], out: Path, how: tuple[str | None, int, bool]) -> int:
    from trialist.cli.progress import Screen
    from trialist.validate.experiment import experiment, seeds_of
    from trialist.validate.page import analyse, summary, write_pages
    from trialist.validate.run import registered, run

    calibration, jobs, as_json = how
    seeds = seeds_of(calibration) if calibration is not None else registered(out)
    found = experiment(organisms, seeds)
    with Screen(out, silent=as_json) as screen, screen.task("validate", f"{len(names)} methods") as progress:
        result = run(found, names, out, jobs=jobs, progress=progress)
    analysis = analyse(result.readings)
    pages = write_pages(analysis, names, found, out)
    code = SOME_FAILED if result.damaged or found.not_built else 0
    if as_json:
        shown = {"exit_code": code, "folder": str(out), "pages": [str(page) for page in pages]}
        print_json({**shown, **summary(result, found, analysis)})
    else:
        _show(names, analysis, (found, result), out)
    return code


def _list(names: Sequence[str], *, as_json: bool) -> int:
    from trialist.cli.results import show_rows
    from trialist.validate.methods import METHODS

    rows = [
        {
            "method": name,
            "plant": METHODS[name].target,
            "twin": METHODS[name].twin or "-",
            "naive": "naive" if METHODS[name].naive else "",
            "score": METHODS[name].what,
        }
        for name in names
    ]
    print_json({"methods": rows}) if as_json else show_rows(rows)
    return 0


def _show(names: Sequence[str], analysis: Analysis, about: tuple[Experiment, Run], out: Path) -> None:
    from trialist.cli.results import show_rows
    from trialist.validate.page import all_findings

    found, result = about
    shown = {name: analysis.characteristics[name] for name in names if name in analysis.characteristics}
    doses = sorted({dose.nominal for c in shown.values() for dose in c.routes[0].doses})
    show_rows([_row(c, doses) for c in shown.values()])
    print("\nalarms/organisms; <= upper, >= lower one-sided .95 bound; sensitivity at each nominal dose, all routes")
    findings = [finding for finding in all_findings(shown) if shown[finding.method].threshold is not None]
    blind = [c for c in shown.values() if c.threshold is None]
    print()
    if blind:
        print(
            f"- no threshold: {blind[0].undefined[0].removeprefix('threshold: ')}: {_named([c.method for c in blind])}"
        )
    if not found.calibration:
        print("- no calibration seeds: build nulls of many seeds (plants: [], bases: true), see docs/validation.md")
    for finding in findings[:MOST_FINDINGS]:
        print(f"- {finding.text}")
    if len(findings) > MOST_FINDINGS:
        print(f"- and {len(findings) - MOST_FINDINGS} more: see the pages")
    for what, names_of in (("not whole", result.damaged), ("not built", found.not_built)):
        for name in names_of:
            print(f"{what}: {name}")
    if found.left_out:
        print(f"{len(found.left_out)} organisms of calibration seeds are left out")
    print(f"\n{len(result.readings)} readings, {result.num_read} of them now    pages in {out}")


def _named(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= MOST_NAMES else f"{', '.join(names[:MOST_NAMES])}, ..."


def _row(c: Characteristics, doses: Sequence[float]) -> dict[str, Any]:
    by_dose = {dose.nominal: dose.rate for dose in c.routes[0].doses}
    row: dict[str, Any] = {
        "method": c.method,
        "plant": c.target,
        "threshold": "-" if c.threshold is None else f"{c.threshold.value:.3g}",
        "nulls": "-" if c.false_alarms is None else f"{c.false_alarms} <={c.false_alarms.upper:.2f}",
    }
    for dose in doses:
        rate = by_dose.get(dose)
        row[f"dose {dose:g}"] = "-" if rate is None else f"{rate} >={rate.lower:.2f}"
    row["twin"] = "-" if c.twins is None else f"{c.twins} <={c.twins.upper:.2f}"
    return row
