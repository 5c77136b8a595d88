"""``trialist organism seal`` and ``unseal``: organisms for a blind test, and what they were once the answers are in."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trialist.cli.output import print_json

if TYPE_CHECKING:
    from trialist.organisms.grid_spec import GridSpec
    from trialist.organisms.sealed import Opened

DOSES = (0.1, 0.3, 1.0)

_Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
_Key = Annotated[Path, typer.Option(help="The file with the truth. Keep it where no tester can read it.")]


def seal(
    out: Annotated[Path, typer.Option(help="The folder to hand out, new or empty.")],
    key: _Key,
    count: Annotated[int, typer.Option(help="How many organisms.")],
    file: Annotated[Path | None, typer.Argument(help="A grid to draw from; its seeds are those of worlds.")] = None,
    plant: Annotated[list[str] | None, typer.Option(help="Without a grid: these plants. Default: all.")] = None,
    dose: Annotated[list[float] | None, typer.Option(help="Without a grid: doses. Default: .1, .3, 1.")] = None,
    route: Annotated[list[str] | None, typer.Option(help="Without a grid: routes. Default: pretraining.")] = None,
    null: Annotated[float, typer.Option(help="Probability of an organism without plants.")] = 0.5,
    seed: Annotated[int | None, typer.Option(help="Draws that can be repeated, by anybody: for tests.")] = None,
    jobs: Annotated[int, typer.Option(help="Organisms trained at once, each on one core.", min=1)] = 1,
    as_json: _Json = False,
) -> int:
    """Draw, build and seal organisms for a blind test, or go on with it. Nothing here tells what was drawn."""
    from trialist.cli.progress import Screen
    from trialist.organisms.seal_key import Lottery
    from trialist.organisms.sealed import seal as seal_organisms

    lottery = Lottery(_population(file, plant, dose, route), count, null, seed)
    with Screen(out, silent=as_json) as screen, screen.task("seal", "building") as progress:
        manifest = seal_organisms(lottery, out, key=key, jobs=jobs, progress=progress)
    if as_json:
        print_json({"folder": str(out), "manifest": str(manifest), "key": str(key), "organisms": count})
    else:
        print(f"{count} organisms in {out}, commitments in {manifest.name}, truth in {key}")
        if seed is not None:
            print("whoever knows the seed can open this seal: for a blind test leave --seed out")
    return 0


def unseal(
    folder: Annotated[Path, typer.Argument(help="The folder that was handed out.")],
    key: _Key,
    answers: Annotated[Path | None, typer.Option(help="A CSV: organism, and score or verdict or both.")] = None,
    as_json: _Json = False,
) -> int:
    """Check every commitment and weight file, and tell what the organisms are, beside a tester's answers."""
    from trialist.cli.results import show_rows
    from trialist.organisms.sealed import unseal as unseal_organisms

    opened = unseal_organisms(folder, key)
    given = _answers(answers, [one.name for one in opened]) if answers else {}
    if as_json:
        rows = [
            {"organism": o.name, "spec": o.spec.model_dump(mode="json"), "truth": o.truth, **given.get(o.name, {})}
            for o in opened
        ]
        print_json({"organisms": rows})
        return 0
    columns = list(dict.fromkeys(name for row in given.values() for name in row))
    show_rows([{**_row(one), **{name: _cell(given, one, name) for name in columns}} for one in opened])
    print(f"\n{len(opened)} organisms, each as it was committed to")
    return 0


def _population(
    file: Path | None, plants: list[str] | None, doses: list[float] | None, routes: list[str] | None
) -> GridSpec:
    import yaml

    from trialist.errors import Problem, SpecError
    from trialist.organisms.grid_spec import GRID_SCHEMA, load_grid, parse_grid
    from trialist.organisms.plants import PLANTS

    if file is None:
        drawn = {"plants": plants or list(PLANTS), "doses": doses or list(DOSES), "routes": routes or ["pretraining"]}
        return parse_grid(yaml.safe_dump({"schema": f"trialist/grid/{GRID_SCHEMA}", **drawn}))
    if plants or doses or routes:
        step = "write plants, doses and routes into the grid, or leave the grid out"
        raise SpecError([Problem("a grid and options that say what to draw from", str(file), "one of both", step)])
    return load_grid(file)


def _row(one: Opened) -> dict[str, str]:
    """What was planted, and what came of it."""
    planted = next(iter(one.spec.plants), None)
    realised = one.truth.realised.get(planted) if planted else None
    return {
        "organism": one.name,
        "plant": planted or "none",
        "nominal": f"{one.spec.plants[planted]:g}" if planted else "-",
        "realised": f"{realised.value:.3f}" if realised else "-",
        "se": f"{realised.se:.3f}" if realised and realised.se is not None else "-",
        "route": one.spec.implant.route if planted else "-",
        "world": f"{one.spec.world.seed}",
    }


def _cell(given: dict[str, dict[str, Any]], one: Opened, name: str) -> str:
    value = given.get(one.name, {}).get(name, "")
    return "-" if value == "" else f"{value:g}" if isinstance(value, float) else str(value)


def _answers(path: Path, names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Organism -> its other columns; ``score`` a finite number. Raises ``DataError`` with the line."""
    from trialist.errors import DataError, did_you_mean

    try:
        reader = csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig")), skipinitialspace=True)
        rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} can't be read", seen=str(error), next_step="give a CSV in UTF-8") from error
    columns = list(reader.fieldnames or ())
    if "organism" not in columns or not {"score", "verdict"} & set(columns):
        allowed = "organism, and score or verdict or both"
        raise DataError(f"{path}: columns are missing", seen=", ".join(columns), allowed=allowed, next_step="add them")
    found: dict[str, dict[str, Any]] = {}
    for number, row in enumerate(rows, start=2):
        name = (row.pop("organism") or "").strip()
        wrong = _wrong(name, row, names, found)
        if wrong:
            step = did_you_mean(name, names, "write one line an organism, and quote cells with commas")
            raise DataError(f"{path}, line {number}: {wrong}", seen=name, allowed=", ".join(names), next_step=step)
        found[name] = {column: (value or "").strip() for column, value in row.items()}
        if found[name].get("score"):
            found[name]["score"] = _score(path, number, found[name]["score"])
    return found


def _wrong(name: str, row: Mapping[Any, Any], names: Sequence[str], found: Collection[str]) -> str:
    if name not in names:
        return "no such organism"
    if name in found:
        return f"'{name}' is there twice"
    return "more cells than columns" if None in row else ""


def _score(path: Path, number: int, text: str) -> float:
    from trialist.errors import DataError

    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        step = "leave the cell empty where there is no score"
        raise DataError(f"{path}, line {number}: not a score", seen=text, allowed="a finite number", next_step=step)
    return value
