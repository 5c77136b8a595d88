"""``trialist power``: what a design could see, or what it needs; in words, a table and a plot of the power."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from trialist.errors import StorageError, TrialistError
from trialist.measurement.planning.answer import Answer, number, percent, plan, share
from trialist.measurement.planning.question import Question
from trialist.records import Side, pretty_json
from trialist.wording import format_count, visible

PLOTS = (".html", ".svg")
WIDTH, HEIGHT = 60, 12
_CLAIM = re.compile(r"\s*(below|above|<|>)\s*([-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?%?)\s*")


@dataclass(frozen=True)
class Options:
    """As given on the command line; None where it wasn't."""

    claim: str | None = None
    true: float | None = None
    difference: float | None = None
    compare: bool = False
    items: int | None = None
    clusters: int | None = None
    cluster_size: int | None = None
    icc: float = 0.0
    discordant: float | None = None
    sd: float | None = None
    low: float | None = None
    high: float | None = None
    epochs: int = 1
    epoch_share: float = 0.0
    confidence: float = 0.95
    power: float = 0.8
    sequential: bool = False
    seed: int = 0
    repetitions: int = 400
    plot: Path | None = None
    as_json: bool = False


def power(options: Options) -> int:
    """Exit code 0. Raises what ``plan`` raises, and TrialistError for options that don't go together."""
    if options.plot and options.plot.suffix.lower() not in PLOTS:
        raise TrialistError(
            "a plot is a web page or a drawing", seen=str(options.plot), allowed="FILE.html or FILE.svg",
            next_step="give --plot a file name that ends so",
        )  # fmt: skip
    answer = plan(question(options))
    if options.plot:
        _write_plot(answer, options.plot)
    if options.as_json:
        Console().file.write(pretty_json(record(answer)).decode())
    else:
        _show(answer, options.plot)
    return 0


def question(options: Options) -> Question:
    """The options as a question. A claim about pairs is one with --discordant, or with --sd and a range below 0."""
    side, threshold = _claim(options.claim) if options.claim is not None else (None, None)
    compared = options.compare or options.difference is not None
    if (side is not None) == compared:
        raise TrialistError(
            "say what is to be shown: a claim or a difference",
            seen="both" if compared else "neither",
            allowed="--claim 'below .01'; --difference .03; --compare with --items, to ask for the difference",
            next_step="--claim is about one rate, mean or difference; the others compare two conditions",
        )
    if side is None and options.true is not None:
        raise TrialistError(
            "--true belongs to a claim", seen=f"--true {options.true:g}",
            next_step="the true difference of a comparison is --difference",
        )  # fmt: skip
    paired = side is None or options.discordant is not None
    low = options.low if options.low is not None else 0.0
    if options.sd is not None and options.discordant is not None:
        raise TrialistError(
            "outcomes are binary or graded, not both", seen=f"--sd {options.sd:g} --discordant {options.discordant:g}",
            next_step="--discordant for pairs of binary outcomes, --sd for graded scores",
        )  # fmt: skip
    kind: Any = ("paired " if paired or low < 0 else "") + ("graded" if options.sd is not None else "binary")
    if options.sd is None and (options.low is not None or options.high is not None):
        raise TrialistError(
            "a range belongs to graded scores", seen="--low or --high without --sd", next_step="add --sd"
        )
    return Question(
        situation=kind, side=side, threshold=threshold, effect=options.true if side else options.difference,
        num_items=options.items, num_clusters=options.clusters, cluster_size=options.cluster_size, icc=options.icc,
        power=options.power, confidence=options.confidence, sd=options.sd, discordant=options.discordant,
        epochs=options.epochs, epoch_share=options.epoch_share, low=low,
        high=options.high if options.high is not None else 1.0, sequential=options.sequential, seed=options.seed,
        repetitions=options.repetitions,
    )  # fmt: skip


def _claim(text: str) -> tuple[Side, float]:
    found = _CLAIM.fullmatch(text)
    try:
        if found is None:
            raise ValueError(text)
        value = float(found[2].rstrip("%"))
    except ValueError:
        raise TrialistError(
            "a claim names a side and a threshold", seen=visible(text), allowed="'below .01', 'above -.03', 'below 1%'",
            next_step="put it in quotes, so that the shell passes it on as one argument",
        ) from None  # fmt: skip
    side: Side = "below" if found[1] in ("below", "<") else "above"
    return side, value / 100 if found[2].endswith("%") else value


def record(answer: Answer) -> dict[str, Any]:
    """Everything as plain data."""
    row = dataclasses.asdict(answer)
    return {**row, "curve_effect": answer.curve_effect, "curve": [list(point) for point in answer.curve]}


def rows(answer: Answer) -> list[tuple[str, str]]:
    """The small table: name, value."""
    q = answer.question
    claimed = q.side is not None
    found = [("method", answer.method)]
    if claimed:
        found.append(("claim", f"{q.side} {number(q.threshold or 0)}, confidence {number(q.confidence)}"))
    else:
        found.append(("interval", f"two-sided, level {number(q.confidence)}"))
    if q.effect is not None:
        found.append(("true value" if claimed else "difference", number(q.effect)))
    if answer.num_items is not None:
        found.append(("items", _items(answer, answer.num_items)))
    if answer.power is not None:
        error = f" ± {answer.error:.3f}".replace("0.", ".") if answer.kind == "simulated" else ""
        found.append(("power", share(answer.power, rounded=answer.kind == "simulated") + error))
    if answer.needed_items is not None:
        found.append((f"needed for {percent(q.power)}", _items(answer, answer.needed_items)))
    if answer.detectable is not None:
        name = "passes" if claimed else "seen"
        found.append((f"{name} at {percent(q.power)}", number(answer.detectable)))
    return found


def _items(answer: Answer, n: int) -> str:
    size = answer.question.size
    return format_count(n) + (f" in {format_count(n // size)} clusters" if size > 1 else "")


def text_plot(answer: Answer, width: int = WIDTH, height: int = HEIGHT) -> list[str]:
    """Power against items in characters: ``•`` the curve, ``┄`` the wanted power, ``┆`` the items there are."""
    if len(answer.curve) < 2:
        return []
    end = answer.curve[-1][0]
    grid = [[" "] * width for _ in range(height)]

    def column(n: int) -> int:
        return min(width - 1, round((n - answer.curve[0][0]) / (end - answer.curve[0][0]) * (width - 1)))

    def row(value: float) -> int:
        return height - 1 - round(value * (height - 1))

    target = row(answer.question.power)
    grid[target] = ["┄"] * width
    if answer.num_items and answer.num_items <= end:
        for line in range(height):
            grid[line][column(answer.num_items)] = "┆"
    sizes, powers = [n for n, _ in answer.curve], [value for _, value in answer.curve]
    if len(sizes) < width // 2:  # a simulated curve: few points, and a thin line between them
        first = sizes[0]
        for place in range(width):
            between = np.interp(first + place / (width - 1) * (end - first), sizes, powers)
            grid[row(float(between))][place] = "·"
    for n, value in answer.curve:
        grid[row(value)][column(n)] = "•"
    labels = {height - 1: "0", 0: "1", target: number(answer.question.power)}
    lines = [f"{labels.get(index, ''):>5} │{''.join(cells).rstrip()}" for index, cells in enumerate(grid)]
    first, last = format_count(answer.curve[0][0]), format_count(end)
    axis = f"{'':>6}└{'─' * width}"
    return ["power", *lines, axis, f"{'':>7}{first}{last + ' items':>{width - len(first)}}"]


def _show(answer: Answer, plotted: Path | None) -> None:
    console = Console(highlight=False, soft_wrap=True)
    for words in answer.words:
        console.print(visible(words), markup=False)
    console.print()
    table = rows(answer)
    wide = max(len(name) for name, _ in table) + 3
    for name, value in table:
        console.print(f"{name:<{wide}}{visible(value)}", markup=False)
    lines = text_plot(answer)
    if lines:
        console.print()
    for line in lines:
        console.print(line, markup=False)
    for note in answer.notes:
        console.print(f"note: {visible(note)}", markup=False)
    if plotted:
        console.print(f"plot  {visible(str(plotted))}", markup=False)


def _write_plot(answer: Answer, path: Path) -> None:
    from trialist.reports.power_curve import drawing, page

    text = page(answer, rows(answer)) if path.suffix.lower() == ".html" else drawing(answer)
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        step = "make the folder, or give another file with --plot"
        raise StorageError(f"can't write {path}", seen=str(error), next_step=step) from error
