"""The commands about organisms: what there is, what one is, building one, a grid of them, or sealed ones."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trialist.cli.output import print_json
from trialist.cli.sealing import seal, unseal
from trialist.wording import format_value

if TYPE_CHECKING:
    from trialist.organisms.grid import GridResult
    from trialist.organisms.spec import OrganismSpec
    from trialist.organisms.truth import Truth

SOME_FAILED = 3

organism_app = typer.Typer(help="Small models whose properties are known.", no_args_is_help=True)
organism_app.command("seal")(seal)
organism_app.command("unseal")(unseal)

_Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
_Device = Annotated[str, typer.Option(help="cpu, where equal specs give equal bytes; or cuda, where they don't.")]


@organism_app.command("list")
def list_organisms(as_json: _Json = False) -> int:
    """The shipped organisms and their truth."""
    from trialist.cli.results import show_rows
    from trialist.organisms import catalog

    rows = [
        {"name": f"organism/{name}", "realised": _planted(catalog.spec(name), truth), **_truth_row(truth)}
        for name, truth in ((name, catalog.truth(name)) for name in catalog.names())
    ]
    print_json({"organisms": rows}) if as_json else show_rows(rows)
    return 0


@organism_app.command("plants")
def plants(as_json: _Json = False) -> int:
    """The properties an organism can be given, each with the twin that a careless test takes for it."""
    from trialist.cli.results import show_rows
    from trialist.organisms.plants import PLANTS

    rows = [{"plant": plant.name, "what": plant.what, "twin": plant.twin or "-"} for plant in PLANTS.values()]
    print_json({"plants": rows}) if as_json else show_rows(rows)
    return 0


@organism_app.command("show")
def show(
    name: Annotated[str, typer.Argument(help="A shipped organism, or the folder of a built one.")],
    as_json: _Json = False,
) -> int:
    """What an organism is made of, what it recalls, and every plant's realised dose in it."""
    found = _card(name)
    if as_json:
        print_json(found)
    else:
        _show_card(found)
    return 0


@organism_app.command("build")
def build(
    name: Annotated[str, typer.Argument(help="A spec file in YAML, or a name such as hazard or sycophancy@0.3#2.")],
    out: Annotated[Path | None, typer.Option(help="The folder to write. Default: organisms/<name>.")] = None,
    plant: Annotated[str | None, typer.Option(help="This plant in place of the spec's.")] = None,
    dose: Annotated[float | None, typer.Option(help="Its dose, from 0 (a sham) to 1.")] = None,
    seed: Annotated[int | None, typer.Option(help="The seed of world, training and implant.")] = None,
    route: Annotated[str | None, typer.Option(help="pretraining, full or lora.")] = None,
    threads: Annotated[int | None, typer.Option(help="Threads in place of the spec's.", min=1)] = None,
    device: _Device = "cpu",
    as_json: _Json = False,
) -> int:
    """Train an organism from its spec (about 2 CPU minutes in the small size, 10 for hazard)."""
    from trialist.cli.progress import Screen
    from trialist.cli.results import show_rows
    from trialist.organisms.build import build as build_organism
    from trialist.organisms.spec import changed

    spec = changed(_spec(name), plant=plant, dose=dose, seed=seed, route=route)
    if threads is not None:
        spec = spec.model_copy(update={"training": spec.training.model_copy(update={"threads": threads})})
    folder = out or Path("organisms") / Path(name).stem
    with Screen(folder, silent=as_json) as screen, screen.task("organism", f"building {Path(name).stem}") as progress:
        built = build_organism(spec, folder, progress, device=device)
    doses = {name: f"{built.truth.realised[name].value:.3f}" for name in spec.plants}
    row = {"folder": str(built.folder), **_truth_row(built.truth), **doses}
    print_json(row) if as_json else show_rows([row])
    return 0


@organism_app.command("grid")
def grid(
    file: Annotated[Path, typer.Argument(help="A grid in YAML: plants x doses x seeds x routes.")],
    out: Annotated[Path, typer.Option(help="The folder to write, or to go on with.")],
    jobs: Annotated[int, typer.Option(help="Organisms trained at once, each on one core.", min=1)] = 1,
    device: _Device = "cpu",
    as_json: _Json = False,
) -> int:
    """Build every organism of a grid, or go on with it. Exit code 0, or 3 where some could not be built."""
    from trialist.cli.progress import Screen
    from trialist.organisms.grid import build_grid
    from trialist.organisms.grid_spec import load_grid

    spec = load_grid(file)
    with Screen(out, silent=as_json) as screen, screen.task("grid", f"building {file.stem}") as progress:
        result = build_grid(spec, out, jobs=jobs, device=device, progress=progress)
    code = SOME_FAILED if result.failed else 0
    if as_json:
        print_json({"exit_code": code, "folder": str(result.folder), "rows": list(result.rows)})
    else:
        _show_grid(result)
    return code


def _spec(name: str) -> OrganismSpec:
    from trialist.organisms import catalog
    from trialist.organisms.named import spec_of
    from trialist.organisms.spec import load_spec

    return load_spec(name) if Path(name).is_file() and name not in catalog.names() else spec_of(name)


def _card(name: str) -> dict[str, Any]:
    """Spec, truth, sizes and licence. A folder is checked to be whole."""
    from trialist.organisms import catalog
    from trialist.organisms.build import SPEC_FILE, check_whole
    from trialist.organisms.catalog import truth_at
    from trialist.organisms.spec import load_spec

    shipped = name.removeprefix("organism/")
    is_folder = shipped not in catalog.names() and (Path(name) / SPEC_FILE).is_file()
    folder = check_whole(Path(name) if is_folder else catalog.path(shipped))
    return {
        "name": str(folder) if is_folder else f"organism/{shipped}",
        "folder": str(folder),
        "bytes": sum(file.stat().st_size for file in folder.iterdir() if file.is_file()),
        "licence": "Apache-2.0",
        "spec": load_spec(folder / SPEC_FILE).model_dump(mode="json"),
        "truth": truth_at(folder),
    }


def _show_card(found: dict[str, Any]) -> None:
    from trialist.cli.results import show_rows

    truth, spec = found["truth"], found["spec"]
    doses, training = spec["plants"], spec["training"]
    print(f"{found['name']}    {found['folder']}")
    sizes = f"{truth.parameters:,} parameters    {found['bytes'] / 2**20:.1f} MiB"
    print(f"{sizes}    route {spec['implant']['route']}    seed {training['seed']}    {found['licence']}\n")
    show_rows([{"recall": n, "right": f"{r.correct:g}/{r.items}"} for n, r in truth.recall.items()])
    print()
    rows = [
        {
            "plant": plant,
            "nominal": f"{doses[plant]:g}" if plant in doses else "-",
            "realised": f"{r.value:.3f}",
            "se": "-" if r.se is None else f"{r.se:.3f}",
        }
        for plant, r in truth.realised.items()
    ]
    if rows:
        show_rows(rows)


def _show_grid(result: GridResult) -> None:
    from trialist.cli.results import show_rows

    rows: list[dict[str, str]] = []
    for row in result.rows:
        planted = [row.realised[name] for name in row.plants if name in row.realised]
        se = planted[0].se if planted else None
        realised = f"{planted[0].value:.3f}" if planted else "-"
        rows.append(
            {"organism": row.id, "status": row.status, "realised": realised, "se": "-" if se is None else f"{se:.3f}"}
        )
    show_rows(rows)
    for row in result.failed:
        print(f"\n{row.id} failed: {row.error}")
    print(f"\n{len(result.rows) - len(result.failed)} of {len(result.rows)} organisms in {result.folder}")


def _planted(spec: OrganismSpec, truth: Truth) -> str:
    """Each plant with the dose that came out."""
    found = [f"{name} {format_value(truth.realised[name].value)}" for name in spec.plants if name in truth.realised]
    return ", ".join(found) or "-"


def _truth_row(truth: Truth) -> dict[str, str]:
    """Size, and what the model knows: items right of items asked, per evaluation."""
    recall = {name: f"{found.correct:g}/{found.items}" for name, found in truth.recall.items()}
    return {"parameters": f"{truth.parameters:,}", **recall}
