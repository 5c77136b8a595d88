"""Operating characteristics -> stand-alone SVGs: scores and sensitivity against the dose, and the matrix."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from trialist.errors import MeasurementUndefined
from trialist.reports.charts import Spec, as_is, layered, mark, pixels, placed, svg, words
from trialist.reports.forest import ticks
from trialist.reports.palette import COLOURS, Look
from trialist.validate.characteristics import Characteristics, DoseRate
from trialist.validate.matrix import MatrixCell
from trialist.validate.readings import Reading

Rows = list[dict[str, Any]]

WIDTH, HEIGHT = 640, 560
LEFT, RIGHT = 64, 130
TOP, MIDDLE, LOWER, BOTTOM = 48, 320, 372, 508
LOOKS = {
    "positive": Look("candidate-1", "circle"),
    "null": Look("control", "cross"),
    "twin": Look("candidate-2", "triangle-up"),
    "sham": Look("sham", "square"),
    "other plant": Look("candidate-3", "diamond"),
}
CELL_WIDTH, CELL_HEIGHT, NAMES, HEADS, NOTE = 108, 46, 150, 64, 30


def dose_response(characteristics: Characteristics, readings: Sequence[Reading]) -> str:
    """Above: score against realised dose of test readings by role, and the frozen threshold. Below: sensitivity at each
    nominal dose with its .95 interval, at the mean realised dose.

    A reading without a realised dose stands at dose 0 if its organism doesn't carry the plant; a positive without one
    is left out and counted in the caption, as an unmeasured score is.
    Raises MeasurementUndefined where nothing can be drawn.
    """
    c = characteristics
    test = [r for r in readings if r.method == c.method and r.split == "test"]
    points = [p for p in map(_point, test) if p is not None]
    if not points:
        raise MeasurementUndefined("no test reading has a score and a dose", seen=f"{len(test)} test readings")
    xs = [p["dose"] for p in points]
    ys = [p["score"] for p in points] + ([c.threshold.value] if c.threshold is not None else [])
    across, up = _padded(xs), _padded(ys)
    x = placed("dose", across, (LEFT, WIDTH - RIGHT))
    layers = [
        *_frame(x, across, (MIDDLE, TOP), up, "score"),
        *_frame(x, across, (BOTTOM, LOWER), (0.0, 1.0), "sensitivity at the threshold"),
        words([{"text": "realised dose"}], {"x": pixels((LEFT + WIDTH - RIGHT) / 2), "y": pixels(BOTTOM + 38)}),
        *_threshold(c, up),
    ]
    y = placed("score", up, (MIDDLE, TOP))
    for role, look in LOOKS.items():
        here = [p for p in points if p["role"] == role]
        layers.append(mark("point", here, {"x": x, "y": y}, shape=look.shape, color=look.hex, size=42, opacity=0.75))
    layers += _sensitivity(c.routes[0].doses, x)
    layers += _legend([role for role in LOOKS if any(p["role"] == role for p in points)])
    left = len(test) - len(points)
    title = [{"text": f"{c.method} on {c.target}" + (f", {left} readings not drawn" if left else "")}]
    layers.append(
        words(title, {"x": pixels(LEFT), "y": pixels(16)}, align="left", color=COLOURS["ink"], fontWeight="bold")
    )
    label = f"Scores of {c.method} and its sensitivity against the realised dose of {c.target}"
    return _alone(layered(layers, width=WIDTH, height=HEIGHT), label, (WIDTH, HEIGHT))


def heatmap(cells: Sequence[MatrixCell]) -> str:
    """Methods down, plants across; darker is a higher alarm rate. The target has a thick frame, a twin a dashed one.

    Raises MeasurementUndefined for no cells.
    """
    if not cells:
        raise MeasurementUndefined("a matrix needs cells", seen="0", next_step="give test readings")
    columns = list(dict.fromkeys(cell.column for cell in cells))
    methods = list(dict.fromkeys(cell.method for cell in cells))
    width, high = NAMES + CELL_WIDTH * len(columns) + 12, HEADS + CELL_HEIGHT * len(methods)
    height = high + NOTE
    rows = [_box(cell, columns, methods) for cell in cells]
    x, y = placed("x", (0, width), (0, width)), placed("y", (0, height), (0, height))
    area = {"x": x, "x2": {"field": "x2"}, "y": y, "y2": {"field": "y2"}}
    shade = {"field": "shade", "type": "quantitative", "scale": None, "legend": None}
    centre = {"x": placed("cx", (0, width), (0, width)), "y": placed("cy", (0, height), (0, height))}
    heads: Rows = [{"cx": _left(i) + CELL_WIDTH / 2, "text": _short(name, 16)} for i, name in enumerate(columns)]
    names: Rows = [{"cy": HEADS + (i + 0.5) * CELL_HEIGHT, "text": _short(name, 22)} for i, name in enumerate(methods)]
    note = "alarms / organisms and .95 interval; thick frame: its plant, dashed: twin, -: unmeasured"
    layers = [
        mark("rect", rows, {**area, "opacity": shade}, color=COLOURS["candidate-1"]),
        mark("rect", [r for r in rows if r["kind"] == "target"], area, filled=False, stroke=COLOURS["ink"], strokeWidth=3),
        mark("rect", [r for r in rows if r["kind"] == "twin"], area, filled=False, stroke=COLOURS["limit"],
             strokeWidth=2.5, strokeDash=[5, 3]),
        mark("text", rows, {**centre, "text": as_is("text"), "color": as_is("ink")}, fontSize=14, dy=-7),
        mark("text", rows, {**centre, "text": as_is("span"), "color": as_is("ink")}, fontSize=11, dy=10),
        words(heads, {"x": centre["x"], "y": pixels(HEADS - 12)}, fontSize=11.5),
        words([{"text": "what the organism carries"}], {"x": pixels(NAMES), "y": pixels(18)}, align="left"),
        words(names, {"x": pixels(NAMES - 10), "y": centre["y"]}, align="right", color=COLOURS["ink"]),
        *_note(note, width, high),
    ]  # fmt: skip
    drawn = layered(layers, width=width, height=height + NOTE)
    return _alone(drawn, "Alarm rate of each method on each plant", (width, height + NOTE))


def _note(note: str, width: int, high: int) -> list[Spec]:
    """The note below the matrix, broken where the matrix is narrow."""
    parts, line = [""], max(20, int((width - 12) / 5.6))
    for word in note.split():
        if len(parts[-1]) + len(word) >= line:
            parts.append("")
        parts[-1] = f"{parts[-1]} {word}".strip()
    return [
        words([{"text": part}], {"x": pixels(8), "y": pixels(high + 18 + 15 * i)}, align="left", fontSize=11)
        for i, part in enumerate(parts)
    ]


def _point(reading: Reading) -> dict[str, Any] | None:
    dose = reading.realised
    if dose is None and reading.role != "positive":
        dose = 0.0
    if dose is None or reading.score is None:
        return None
    return {"dose": dose, "score": reading.score, "role": reading.role}


def _padded(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    pad = 0.06 * (high - low) or 0.5 * max(1.0, abs(low))
    return low - pad, high + pad


def _frame(
    x: Spec, across: tuple[float, float], span: tuple[int, int], up: tuple[float, float], name: str
) -> list[Spec]:
    y = placed("v", up, span)
    wide = {"x": pixels(LEFT), "x2": pixels(WIDTH - RIGHT)}
    levels: Rows = [{"v": v, "text": f"{v:g}"} for v in ticks(*up)]
    doses: Rows = [{"dose": v, "text": f"{v:g}"} for v in ticks(*across)]
    return [
        mark("rule", levels, {**wide, "y": y}, color=COLOURS["faint"]),
        words(levels, {"x": pixels(LEFT - 8), "y": y}, align="right"),
        words(doses, {"x": x, "y": pixels(span[0] + 16)}),
        words([{"text": name}], {"x": pixels(LEFT), "y": pixels(span[1] - 13)}, align="left", fontSize=11.5),
    ]


def _threshold(c: Characteristics, up: tuple[float, float]) -> list[Spec]:
    if c.threshold is None:
        return []
    y = placed("v", up, (MIDDLE, TOP))
    row: Rows = [{"v": c.threshold.value, "text": f"threshold {c.threshold.value:.3g}"}]
    wide = {"x": pixels(LEFT), "x2": pixels(WIDTH - RIGHT), "y": y}
    beside = {"x": pixels(WIDTH - RIGHT + 8), "y": y}
    return [
        mark("rule", row, wide, color=COLOURS["limit"], strokeDash=[4, 3], strokeWidth=1.5),
        words(row, beside, align="left", color=COLOURS["limit"], fontSize=11.5),
    ]


def _sensitivity(doses: Sequence[DoseRate], x: Spec) -> list[Spec]:
    rows: Rows = [
        {"dose": d.mean_realised, "v": d.rate.value, "low": d.rate.interval.low, "high": d.rate.interval.high}
        for d in doses
        if d.mean_realised is not None and d.rate.value is not None
    ]
    colour, span = LOOKS["positive"].hex, (BOTTOM, LOWER)
    y, ends = placed("v", (0, 1), span), {"y": placed("low", (0, 1), span), "y2": {"field": "high"}}
    return [
        mark("rule", rows, {"x": x, **ends}, color=colour, strokeWidth=1.5),
        mark("line", rows, {"x": x, "y": y}, color=colour, strokeWidth=2),
        mark("point", rows, {"x": x, "y": y}, color=colour, filled=True, size=40, opacity=1),
    ]


def _legend(roles: Sequence[str]) -> list[Spec]:
    """In the right margin of the lower panel, where the threshold's label can't reach it."""
    layers: list[Spec] = []
    for place, role in enumerate(roles):
        look, y = LOOKS[role], pixels(LOWER + 10 + 20 * place)
        at = {"x": pixels(WIDTH - RIGHT + 22), "y": y}
        layers.append(mark("point", [{}], at, shape=look.shape, color=look.hex, size=42))
        layers.append(words([{"text": role}], {"x": pixels(WIDTH - RIGHT + 34), "y": y}, align="left"))
    return layers


def _left(column: int) -> int:
    return NAMES + column * CELL_WIDTH


def _box(cell: MatrixCell, columns: Sequence[str], methods: Sequence[str]) -> dict[str, Any]:
    left, top = _left(columns.index(cell.column)), HEADS + methods.index(cell.method) * CELL_HEIGHT
    value = None if cell.rate is None else cell.rate.value
    span = "" if cell.rate is None else f"{cell.rate.interval.low:.2f} to {cell.rate.interval.high:.2f}"
    return {
        "x": left + 3, "x2": left + CELL_WIDTH - 3, "y": top + 3, "y2": top + CELL_HEIGHT - 3,
        "cx": left + CELL_WIDTH / 2, "cy": top + CELL_HEIGHT / 2,
        "shade": 0.06 if value is None else 0.1 + 0.9 * value,
        "ink": "#ffffff" if value is not None and value > 0.5 else COLOURS["ink"],
        "text": cell.text, "span": span, "kind": cell.kind,
    }  # fmt: skip


def _short(name: str, most: int) -> str:
    return name if len(name) <= most else name[: most - 1] + "…"


def _alone(spec: Spec, label: str, size: tuple[int, int]) -> str:
    """A file of its own: the page's colour variables become the light colours, on white."""
    drawn = re.sub(r"var\(--[a-z0-9-]+,(#[0-9a-f]{6})\)", r"\1", svg(spec, label))
    frame = f'xmlns="http://www.w3.org/2000/svg" width="{size[0]}" height="{size[1]}" font-family="sans-serif"'
    return drawn.replace("<svg ", f"<svg {frame} ", 1) + "\n"
