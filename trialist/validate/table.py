"""Operating characteristics -> a Markdown table for people."""

from __future__ import annotations

from trialist.measurement.interval import Interval
from trialist.validate.characteristics import Characteristics, RouteResult
from trialist.validate.matrix import MatrixCell
from trialist.validate.rates import Rate


def markdown(characteristics: Characteristics) -> str:
    """Findings first, then alarms, sensitivity by route and dose, each plant, and what is undefined and why."""
    c = characteristics
    lines = [f"# {c.method} as a detector of {c.target}", "", *findings_lines(c), "", *numbers(c)]
    return "\n".join(lines) + "\n"


def findings_lines(characteristics: Characteristics) -> list[str]:
    """The findings, worst first."""
    return [f"- {finding.text}" for finding in characteristics.findings] or ["- No finding on these organisms."]


def numbers(characteristics: Characteristics) -> list[str]:
    """All but title and findings."""
    c = characteristics
    lines = [f"{c.num_readings} test readings, {c.num_unmeasured} unmeasured."]
    if c.threshold is not None:
        t = c.threshold
        lines[-1] += f" Threshold {t.value:.4g}, frozen on {t.num_units} calibration units; a new null alarms with "
        lines[-1] += f"chance at most {t.guarantee:.3f}, on average over calibration sets."
    lines += ["", "| organisms | alarms | interval (.95) | bound (.95) | unmeasured |", "|---|---|---|---|---|"]
    named = (
        ("nulls", c.false_alarms),
        ("twins at full dose", c.twins),
        ("shams", c.shams),
        ("other plants at full dose", c.others),
    )
    lines += [_rate_row(name, rate, upper=True) for name, rate in named]
    # with one route "all" says the same twice
    routes = c.routes[1:] if len(c.routes) == 2 else c.routes
    for route in routes:
        lines += _route_rows(route)
    lines.append("")
    for s in c.stated:
        ratio = f"variance ratio {s.ratio:.2f} {_span(s.ratio_interval)}"
        covered = "" if s.covered is None else f", truth in {s.covered}/{s.num_readings} of the .95 intervals"
        lines.append(f"- Stated error against {s.kind}: {ratio}{covered}; {s.sentence}.")
    lines += [
        "",
        "## What it fires on",
        "",
        "At the highest nominal dose of each plant.",
        "",
        *_plants_markdown(c.cells),
    ]
    reasons = [reason for reason in c.undefined if len(routes) == len(c.routes) or "(all)" not in reason]
    if reasons:
        lines += ["", "Undefined:", "", *(f"- {reason}" for reason in reasons)]
    return lines


def _plants_markdown(cells: tuple[MatrixCell, ...]) -> list[str]:
    """A row of the matrix, written downwards: one line for what an organism can carry, at its highest dose."""
    if not cells:
        return ["No test organism."]
    lines = ["| the organism carries | which is | alarms | interval (.95) | unmeasured |", "|---|---|---|---|---|"]
    for cell in cells:
        name = f"**{cell.column}**" if cell.kind == "target" else cell.column
        kind = {"target": "its plant", "twin": "its twin"}.get(cell.kind, cell.kind)
        if cell.rate is None:
            lines.append(f"| {name} | {kind} | - | {cell.reason} | |")
        else:
            lines.append(
                f"| {name} | {kind} | {cell.text} | {_span(cell.rate.interval)} | {cell.rate.num_unmeasured} |"
            )
    return lines


def matrix_markdown(cells: tuple[MatrixCell, ...]) -> list[str]:
    """Rows of methods; ``**k/n**`` is the target, ``(twin)`` a twin, ``-`` unmeasured with its reason below."""
    columns = list(dict.fromkeys(cell.column for cell in cells))
    if not columns:
        return ["No test organism, so no matrix."]
    lines = ["| method | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    by_place = {(cell.method, cell.column): cell for cell in cells}
    for method in dict.fromkeys(cell.method for cell in cells):
        row = [_cell_text(by_place.get((method, column))) for column in columns]
        lines.append(f"| {method} | " + " | ".join(row) + " |")
    dashes = [cell for cell in cells if cell.text == "-"]
    return [*lines, *(["", *(f"- {d.method}, {d.column}: {d.reason}" for d in dashes)] if dashes else [])]


def _cell_text(cell: MatrixCell | None) -> str:
    if cell is None or cell.rate is None:
        return "-"
    text = f"{cell.text} {_span(cell.rate.interval)}"
    marked = {"target": f"**{text}**", "twin": f"{text} twin"}.get(cell.kind, text)
    return marked + (f", {cell.rate.num_unmeasured} unmeasured" if cell.rate.num_unmeasured else "")


def _rate_row(name: str, rate: Rate | None, *, upper: bool) -> str:
    if rate is None:
        return f"| {name} | - | | | |"
    bound = f"at most {rate.upper:.3f}" if upper else f"at least {rate.lower:.3f}"
    return f"| {name} | {rate} | {_span(rate.interval)} | {bound} | {rate.num_unmeasured} |"


def _route_rows(route: RouteResult) -> list[str]:
    lines = ["", f"## Route: {route.route}", ""]
    if route.doses:
        lines += ["| nominal dose | realised | detected | interval (.95) | bound (.95) | unmeasured |"]
        lines += ["|---|---|---|---|---|---|"]
    for dose in route.doses:
        realised = "-" if dose.mean_realised is None else f"{dose.mean_realised:.3g}"
        lines.append(f"| {dose.nominal:g} " + _rate_row(realised, dose.rate, upper=False))
    if route.doses:
        lines.append("")
    if route.detectable is not None:
        d = route.detectable
        lines.append(f"Minimum detectable dose (sensitivity {d.sensitivity:g}): {d.sentence}.")
    if route.auroc is not None:
        lines.append(f"AUROC at full dose {route.auroc.value:.3f} {_span(route.auroc.interval)}.")
    if route.response is not None:
        r = route.response
        tau = "" if r.tau is None else f", Kendall's tau {r.tau:.2f}"
        tau += "" if r.r_squared is None else f", R^2 {r.r_squared:.2f}"
        lines.append(f"Slope on the realised dose {r.slope:.3g} {_span(r.interval)}{tau}; {r.method}.")
    return lines


def _span(interval: Interval) -> str:
    return f"[{interval.low:.3g}, {interval.high:.3g}]"
