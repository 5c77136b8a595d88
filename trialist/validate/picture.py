"""Operating characteristics -> stand-alone SVGs: scores and sensitivity against the dose, and the matrix."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from trialist.errors import MeasurementUndefined
from trialist.reports.charts import Spec, as_is, layered, mark, placed, svg, words
from trialist.reports.forest import ticks
from trialist.reports.palette import COLOURS, Look
from trialist.validate.characteristics import Characteristics, DoseRate
from trialist.validate.matrix import MatrixCell
from trialist.validate.readings import Reading, measured

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
SLOT = 26
CELL_WIDTH, CELL_HEIGHT, NAMES, HEADS = 108, 46, 150, 64
NOTE = "alarms / measured at full dose, .95 interval; thick frame: its plant; dashed: twin; grey: nothing measured"
SIDE = 4096
AT: Spec = {"x": placed("x", (0, SIDE), (0, SIDE)), "y": placed("y", (0, SIDE), (0, SIDE))}
"""Positions in pixels: layers share one scale, so two panels can't have one each."""


@dataclass(frozen=True)
class _Axis:
    """Values from ``low`` to ``high`` at the pixels from ``start`` to ``end``."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)


def dose_response(characteristics: Characteristics, readings: Sequence[Reading]) -> str:
    """Above: score of test readings, positives against their realised dose, the others in a strip by role at the left,
    with the frozen threshold. Below: sensitivity at each nominal dose with its .95 interval, at the mean realised dose.

    Unmeasured scores and positives without a realised dose can't be drawn; the title counts them.
    Raises MeasurementUndefined where nothing can be drawn.
    """
    c = characteristics
    test = [r for r in readings if r.method == c.method and r.split == "test"]
    drawn = [(r, s) for r, s in measured(test) if r.role != "positive" or r.realised is not None]
    if not drawn:
        raise MeasurementUndefined("no test reading has a score and a dose", seen=f"{len(test)} test readings")
    others = [role for role in LOOKS if role != "positive" and any(r.role == role for r, _ in drawn)]
    scores = [s for _, s in drawn] + ([c.threshold.value] if c.threshold is not None else [])
    doses = [r.realised for r, _ in drawn if r.role == "positive" and r.realised is not None] or [0.0, 1.0]
    start = LEFT + SLOT * len(others)
    across = _Axis(*_padded([*doses, 0.0]), start, WIDTH - RIGHT)
    up, share = _Axis(*_padded(scores), MIDDLE, TOP), _Axis(0.0, 1.0, BOTTOM, LOWER)
    layers = [*_frame(across, up, "score"), *_frame(across, share, "sensitivity at the threshold")]
    centre = [{"x": (start + WIDTH - RIGHT) / 2, "y": BOTTOM + 36, "text": "realised dose"}]
    strip = [{"x": LEFT + SLOT * len(others) / 2, "y": MIDDLE + 16, "text": "others"}] if others else []
    layers += [words([*centre, *strip], AT), *_threshold(c, up)]
    for role, look in LOOKS.items():
        here: Rows = []
        for place, (r, score) in enumerate(pair for pair in drawn if pair[0].role == role):
            spread = LEFT + SLOT * (others.index(role) + 0.2 + 0.6 * (place % 4) / 3) if role in others else 0.0
            x = across.at(r.realised) if role == "positive" and r.realised is not None else spread
            here.append({"x": x, "y": up.at(score)})
        layers.append(mark("point", here, AT, shape=look.shape, color=look.hex, size=36, opacity=0.7))
    layers += _sensitivity(c.routes[0].doses, across, share)
    layers += _legend([role for role in LOOKS if any(r.role == role for r, _ in drawn)])
    left = len(test) - len(drawn)
    title = [{"x": LEFT, "y": 16, "text": f"{c.method} on {c.target}" + (f" (not drawn: {left})" if left else "")}]
    layers.append(words(title, AT, align="left", color=COLOURS["ink"], fontWeight="bold"))
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
    notes = _note(width, high)
    rows = [_box(cell, columns, methods) for cell in cells]
    area = {"x": AT["x"], "x2": {"field": "x2"}, "y": AT["y"], "y2": {"field": "y2"}}
    heads: Rows = [
        {"x": _left(i) + CELL_WIDTH / 2, "y": HEADS - 12, "text": _short(c, 16)} for i, c in enumerate(columns)
    ]
    names: Rows = [
        {"x": NAMES - 8, "y": HEADS + (i + 0.5) * CELL_HEIGHT, "text": _short(m, 22)} for i, m in enumerate(methods)
    ]
    head: Rows = [{"x": NAMES + 3, "y": 18, "text": "what the organism carries"}]
    frames = {"target": {"stroke": COLOURS["ink"], "strokeWidth": 3},
              "twin": {"stroke": COLOURS["limit"], "strokeWidth": 2.5, "strokeDash": [5, 3]}}  # fmt: skip
    layers = [
        mark("rect", rows, {**area, "color": as_is("fill")}),
        *(mark("rect", [r for r in rows if r["kind"] == k], area, filled=False, **v) for k, v in frames.items()),
        words([r["large"] for r in rows], {**AT, "color": as_is("ink")}, fontSize=14),
        words([r["small"] for r in rows], {**AT, "color": as_is("ink")}, fontSize=11),
        words(heads, AT, fontSize=11.5),
        words(head, AT, align="left"),
        words(names, AT, align="right", color=COLOURS["ink"]),
        words(notes, AT, align="left", fontSize=11),
    ]
    height = high + 14 + 16 * len(notes)
    return _alone(
        layered(layers, width=width, height=height), "Alarm rate of each method on each plant", (width, height)
    )


def _note(width: int, high: int) -> Rows:
    """The note below the matrix, broken where the matrix is narrow."""
    parts, most = [""], max(20, int((width - 12) / 5.6))
    for word in NOTE.split():
        if len(parts[-1]) + len(word) >= most:
            parts.append("")
        parts[-1] = f"{parts[-1]} {word}".strip()
    return [{"x": 8, "y": high + 18 + 16 * i, "text": part} for i, part in enumerate(parts)]


def _padded(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    pad = 0.06 * (high - low) or 0.5 * max(1.0, abs(low))
    return low - pad, high + pad


def _frame(across: _Axis, up: _Axis, name: str) -> list[Spec]:
    levels: Rows = [{"x": LEFT, "y": up.at(v), "x2": WIDTH - RIGHT} for v in ticks(up.low, up.high)]
    marks: Rows = [{"x": LEFT - 8, "y": up.at(v), "text": f"{v:g}"} for v in ticks(up.low, up.high)]
    doses: Rows = [{"x": across.at(v), "y": up.start + 16, "text": f"{v:g}"} for v in ticks(across.low, across.high)]
    head: Rows = [{"x": LEFT, "y": up.end - 14, "text": name}]
    return [
        mark("rule", levels, {**AT, "x2": {"field": "x2"}}, color=COLOURS["faint"]),
        words(marks, AT, align="right"),
        words(doses, AT),
        words(head, AT, align="left", fontSize=11.5),
    ]


def _threshold(c: Characteristics, up: _Axis) -> list[Spec]:
    if c.threshold is None:
        return []
    row = {"x": LEFT, "x2": WIDTH - RIGHT, "y": up.at(c.threshold.value)}
    label = {"x": WIDTH - RIGHT + 8, "y": row["y"], "text": f"threshold {c.threshold.value:.3g}"}
    line = mark(
        "rule", [row], {**AT, "x2": {"field": "x2"}}, color=COLOURS["limit"], strokeDash=[4, 3], strokeWidth=1.5
    )
    return [line, words([label], AT, align="left", color=COLOURS["limit"], fontSize=11.5)]


def _sensitivity(doses: Sequence[DoseRate], across: _Axis, share: _Axis) -> list[Spec]:
    rows: Rows = [
        {"x": across.at(d.mean_realised), "y": share.at(d.rate.value)}
        for d in doses
        if d.mean_realised is not None and d.rate.value is not None
    ]
    bars: Rows = [
        {"x": across.at(d.mean_realised), "y": share.at(d.rate.interval.low), "y2": share.at(d.rate.interval.high)}
        for d in doses
        if d.mean_realised is not None
    ]
    colour = LOOKS["positive"].hex
    return [
        mark("rule", bars, {**AT, "y2": {"field": "y2"}}, color=colour, strokeWidth=1.5),
        mark("line", rows, AT, color=colour, strokeWidth=2),
        mark("point", rows, AT, color=colour, filled=True, size=40, opacity=1),
    ]


def _legend(roles: Sequence[str]) -> list[Spec]:
    """In the right margin of the lower panel, where the threshold's label can't reach it."""
    layers: list[Spec] = []
    for place, role in enumerate(roles):
        look, y = LOOKS[role], LOWER + 10 + 20 * place
        layers.append(mark("point", [{"x": WIDTH - RIGHT + 22, "y": y}], AT, shape=look.shape, color=look.hex, size=42))
        layers.append(words([{"x": WIDTH - RIGHT + 34, "y": y, "text": role}], AT, align="left"))
    return layers


def _left(column: int) -> int:
    return NAMES + column * CELL_WIDTH


def _box(cell: MatrixCell, columns: Sequence[str], methods: Sequence[str]) -> dict[str, Any]:
    left, top = _left(columns.index(cell.column)), HEADS + methods.index(cell.method) * CELL_HEIGHT
    value = None if cell.rate is None else cell.rate.value
    span = ""
    if cell.rate is not None:
        span = f"{cell.rate.interval.low:.2f} to {cell.rate.interval.high:.2f}"
    if cell.rate is not None and value is None:
        span = f"{cell.rate.num_unmeasured} unmeasured"
    ink = "#ffffff" if value is not None and value > 0.5 else COLOURS["ink"]
    x, y = left + CELL_WIDTH / 2, top + CELL_HEIGHT / 2
    return {
        "x": left + 3, "x2": left + CELL_WIDTH - 3, "y": top + 3, "y2": top + CELL_HEIGHT - 3, "kind": cell.kind,
        "fill": COLOURS["faint"] if value is None else _blend(0.08 + 0.92 * value),
        "large": {"x": x, "y": y - 7 if span else y, "text": cell.text, "ink": ink},
        "small": {"x": x, "y": y + 11, "text": span, "ink": ink},
    }  # fmt: skip


def _blend(share: float) -> str:
    """White mixed with ``share`` of the colour of positives."""
    full = (int(LOOKS["positive"].hex[i : i + 2], 16) for i in (1, 3, 5))
    return "#" + "".join(f"{round(255 + share * (channel - 255)):02x}" for channel in full)


def _short(name: str, most: int) -> str:
    return name if len(name) <= most else name[: most - 1] + "…"


def _alone(spec: Spec, label: str, size: tuple[int, int]) -> str:
    """A file of its own: the page's colour variables become the light colours, on white."""
    drawn = re.sub(r"var\(--[a-z0-9-]+,(#[0-9a-f]{6})\)", r"\1", svg(spec, label))
    frame = f'xmlns="http://www.w3.org/2000/svg" width="{size[0]}" height="{size[1]}" font-family="sans-serif"'
    return drawn.replace("<svg ", f"<svg {frame} ", 1) + "\n"
