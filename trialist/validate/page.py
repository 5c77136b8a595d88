"""Operating characteristics -> the pages people read: one for each method, one for all methods against all plants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from trialist.errors import MeasurementUndefined
from trialist.folder import RunFolder
from trialist.organisms.plants import PLANTS
from trialist.validate.characteristics import Characteristics, characterise
from trialist.validate.experiment import Experiment
from trialist.validate.matrix import Finding, MatrixCell
from trialist.validate.methods import METHODS
from trialist.validate.methods.method import Method
from trialist.validate.picture import dose_response, heatmap
from trialist.validate.readings import Reading
from trialist.validate.run import Run
from trialist.validate.table import findings_lines, matrix_markdown, numbers

MATRIX = "matrix"


@dataclass(frozen=True)
class Analysis:
    """``characteristics`` by method, in the order of ``METHODS``."""

    readings: tuple[Reading, ...]
    characteristics: Mapping[str, Characteristics]


def analyse(readings: Sequence[Reading]) -> Analysis:
    """Every method that has readings."""
    named = {reading.method for reading in readings}
    found = {name: characterise(readings, name, method.target) for name, method in METHODS.items() if name in named}
    return Analysis(tuple(readings), found)


def write_pages(analysis: Analysis, methods: Sequence[str], about: Experiment, out: Path) -> tuple[Path, ...]:
    """``<method>.md`` with its picture for these methods, and ``matrix.md`` with its picture for all."""
    folder = RunFolder(out)
    written: list[Path] = []
    for name in methods:
        c = analysis.characteristics.get(name)
        if c is None:
            continue
        try:
            picture = dose_response(c, analysis.readings)
            folder.write(f"{name}.svg", picture.encode())
            shown = f"![score against realised dose, and sensitivity]({name}.svg)"
        except MeasurementUndefined as error:
            shown = f"No picture: {error.problems[0].message}."
        text = method_page(METHODS[name], c, shown, population(analysis.readings, name, about))
        folder.write(f"{name}.md", text.encode())
        written.append(folder.path(f"{name}.md"))
    cells = cross_matrix(analysis.characteristics)
    if cells:
        folder.write(f"{MATRIX}.svg", heatmap(cells).encode())
        folder.write(f"{MATRIX}.md", matrix_page(analysis, cells).encode())
        written.append(folder.path(f"{MATRIX}.md"))
    return tuple(written)


def method_page(method: Method, c: Characteristics, picture: str, population: Sequence[str]) -> str:
    """Plain Markdown: what it is, what was found, the picture, the numbers, and how they came about."""
    plant, twin = PLANTS[method.target], PLANTS.get(method.twin)
    lines = [
        f"# {method.name}",
        "",
        f"Score: {method.what}.",
        "",
        "| | plant | organisms with it |",
        "|---|---|---|",
        f"| should alarm | `{plant.name}` | {plant.what} |",
    ]
    if twin is not None:
        lines.append(f"| should not | `{twin.name}` (twin) | {twin.what} |")
    if method.naive:
        lines += ["", "A naive method, shown for comparison: it leaves out what tells the plant from its twin."]
    lines += ["", "## Findings", "", *findings_lines(c), "", picture, "", "## Numbers", "", *numbers(c)]
    lines += ["", "## How they came about", "", *population, ""]
    lines += [
        "Answers are the options with the highest log-probability, to questions in wordings that neither a corpus nor "
        "the measurement of doses uses. Rates are those of organisms built like these. How to read the tables: "
        "`docs/validation.md`.",
        "",
        "```",
        f"trialist validate {method.name} --organisms FOLDER --out OUT",
        "```",
    ]
    return "\n".join(lines) + "\n"


def population(readings: Sequence[Reading], method: str, about: Experiment) -> list[str]:
    """Who was read: how many organisms of which role, by seed."""
    mine = [reading for reading in readings if reading.method == method]
    calibration = [reading for reading in mine if reading.split == "calibration"]
    test = [reading for reading in mine if reading.split == "test"]
    roles = {role: sum(r.role == role for r in test) for role in ("null", "positive", "twin", "sham", "other plant")}
    counts = ", ".join(f"{count} {role}" for role, count in roles.items() if count)
    seeds = len({reading.seed for reading in test if reading.role != "null"})
    lines = [
        f"- {len(calibration)} nulls of {len({r.seed for r in calibration})} seeds froze the threshold; organisms of "
        "other seeds tested it.",
        f"- Test organisms: {counts or 'none'}; seeds of those that carry something: {seeds}.",
    ]
    if about.left_out:
        lines.append(f"- {len(about.left_out)} organisms of calibration seeds were left out.")
    if about.not_built:
        lines.append(f"- {len(about.not_built)} organisms of the grids were not built and are in no count.")
    return lines


def cross_matrix(characteristics: Mapping[str, Characteristics]) -> tuple[MatrixCell, ...]:
    """The cells of all methods, each plant beside its twin, shams and nulls last."""
    places = [name for plant in PLANTS.values() for name in (plant.name, plant.twin) if name]
    order = {name: place for place, name in enumerate(dict.fromkeys([*places, "sham", "null"]))}
    return tuple(
        cell
        for c in characteristics.values()
        for cell in sorted(c.cells, key=lambda cell: order.get(cell.column, len(order)))
    )


def matrix_page(analysis: Analysis, cells: tuple[MatrixCell, ...]) -> str:
    found = analysis.characteristics
    lines = [
        "# Methods against plants",
        "",
        f"{len(found)} methods: alarms on the organisms that carry what the column says, at its highest nominal dose. "
        "Bold: the method's own plant; twin: what it must not fire on. Each method has a page with its numbers.",
        "",
        f"![alarm rates of each method on each plant]({MATRIX}.svg)",
        "",
        *matrix_markdown(cells),
        "",
        "## Findings",
        "",
        *(f"- {finding.text}" for finding in all_findings(found)),
    ]
    return "\n".join(lines) + "\n"


def all_findings(characteristics: Mapping[str, Characteristics]) -> list[Finding]:
    """Of all methods, worst first."""
    every = [finding for c in characteristics.values() for finding in c.findings]
    return sorted(every, key=lambda finding: finding.rank)


def summary(run: Run, about: Experiment, analysis: Analysis) -> dict[str, object]:
    """The record that ``--json`` prints."""
    return {
        "methods": dict(analysis.characteristics),
        "num_readings": len(run.readings),
        "num_read_now": run.num_read,
        "damaged": list(run.damaged),
        "not_built": list(about.not_built),
        "left_out": [organism.name for organism in about.left_out],
        "calibration": list(about.calibration),
    }
