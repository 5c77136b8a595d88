"""A plan -> its curve of power against the number of items, as an SVG of its own or in a page with the answer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from trialist.measurement.planning.answer import Answer, number, percent
from trialist.reports.charts import Spec, layered, mark, pixels, placed, svg, words
from trialist.reports.forest import ticks
from trialist.reports.markup import element, table, text
from trialist.reports.page import POLICY, stylesheet
from trialist.reports.palette import COLOURS
from trialist.wording import format_count

Rows = list[dict[str, Any]]

WIDTH, HEIGHT = 560, 320
LEFT, RIGHT, TOP, BOTTOM = 48, 24, 24, 52


def curve(answer: Answer) -> Spec:
    """The chart: grid, the wanted power and the items there are as dashed lines, and the curve."""
    end = max(n for n, _ in answer.curve)
    rows = [{"n": n, "power": value} for n, value in answer.curve]
    x, y = placed("n", (0, end), (LEFT, WIDTH - RIGHT)), _y()
    shares: Rows = [{"power": v / 5, "text": "0" if v == 0 else "1" if v == 5 else f".{2 * v}"} for v in range(6)]
    sizes: Rows = [{"n": n, "text": format_count(round(n))} for n in ticks(0, end) if n == round(n)]
    across = {"x": pixels(LEFT), "x2": pixels(WIDTH - RIGHT), "y": y}
    goal: Rows = [{"power": answer.question.power, "text": f"wanted {number(answer.question.power)}"}]
    there: Rows = [{"n": n, "text": format_count(n)} for n in (answer.num_items,) if n is not None and n <= end]
    upright = {"x": x, "y": pixels(TOP), "y2": pixels(HEIGHT - BOTTOM)}
    dashed = {"color": COLOURS["limit"], "strokeDash": [4, 3], "strokeWidth": 1.5}
    small: dict[str, Any] = {"fontSize": 11.5, "color": COLOURS["limit"]}
    middle = {"x": pixels((LEFT + WIDTH - RIGHT) / 2), "y": pixels(HEIGHT - BOTTOM + 40)}
    line = mark("line", rows, {"x": x, "y": y}, color=COLOURS["candidate-1"], strokeWidth=2)
    dots = mark("point", rows, {"x": x, "y": y}, color=COLOURS["candidate-1"], filled=True, size=24, opacity=1)
    return layered(
        [
            mark("rule", shares, across, color=COLOURS["faint"]),
            words(shares, {"x": pixels(LEFT - 8), "y": y}, align="right"),
            words(sizes, {"x": x, "y": pixels(HEIGHT - BOTTOM + 17)}),
            words([{"text": "items"}], middle),
            words([{"text": "power"}], {"x": pixels(LEFT - 8), "y": pixels(TOP - 14)}, align="right"),
            mark("rule", goal, across, **dashed),
            words(goal, {"x": pixels(WIDTH - RIGHT), "y": y}, align="right", dy=-8, **small),
            mark("rule", there, upright, **dashed),
            words(there, {"x": x, "y": pixels(TOP - 10)}, **small),
            line,
            dots if len(rows) <= 40 else mark("point", [], {}),
        ],
        width=WIDTH,
        height=HEIGHT,
    )


def drawing(answer: Answer) -> str:
    """A file of its own: the page's colour variables become the light colours, as no style sheet holds them."""
    drawn = re.sub(r"var\(--[a-z0-9-]+,(#[0-9a-f]{6})\)", r"\1", svg(curve(answer), label(answer)))
    frame = f'xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" font-family="sans-serif"'
    return drawn.replace("<svg ", f"<svg {frame} ", 1) + "\n"


def page(answer: Answer, rows: Sequence[tuple[str, str]]) -> str:
    """One HTML file: no script, nothing from outside."""
    sentences = [element("p", text(words)) for words in answer.words]
    notes = [element("p", text(note), cls="note") for note in answer.notes]
    chart = element("figure", svg(curve(answer), label(answer)), element("figcaption", label(answer)))
    body = element(
        "body",
        element("header", element("p", "Trialist", cls="brand"), element("h1", "What this design can see")),
        element("main", *sentences, chart, table(("", ""), rows, caption="The plan"), *notes),
    )
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", "Power"),
        element("style", stylesheet()),
    )
    return f"<!doctype html>\n{element('html', head, body, lang='en')}\n"


def label(answer: Answer) -> str:
    """What the chart shows, in words."""
    effect, claimed = answer.curve_effect, answer.question.side is not None
    if effect is None:
        true = ""
    elif claimed:
        true = f" at a true value of {number(effect)}"
    else:
        true = f" at a difference of {number(abs(effect))}"
    return f"Power against the number of items{true}; wanted {percent(answer.question.power)}"


def _y() -> Spec:
    return placed("power", (0, 1), (HEIGHT - BOTTOM, TOP))
