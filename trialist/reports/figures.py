"""The plots of a report with their tables: forest plot, side effects, durability and recovery."""

from __future__ import annotations

from collections.abc import Sequence

from trialist.records import Cell, Estimate, Recovery
from trialist.reports.charts import svg
from trialist.reports.curves import Panel, curves
from trialist.reports.evidence import (
    Evidence,
    Outcome,
    claims,
    control_of,
    described,
    doses_of,
    outcomes,
    strata_of,
    threats,
)
from trialist.reports.forest import Band, Frame, Limit, domain, forest, limit_label
from trialist.reports.markup import Html, Node, details, element, join, table, text
from trialist.reports.palette import Look, looks
from trialist.wording import (
    format_estimate,
    format_interval,
    format_number,
    format_recovery,
    format_threshold,
    format_value,
)

_PLAIN = Look("control", "circle")
_WIDE = {"width": 930, "values": 170}
_NARROW = {"width": 360, "values": 132}


def forest_section(evidence: Evidence) -> Html:
    """Outcomes of every arm without a threat, one plot for each unit of measurement."""
    found = [o for o in outcomes(evidence) if o.role != "side effect"]
    units = list(dict.fromkeys(o.unit for o in found))
    plots = [_outcome_forest(evidence, [o for o in found if o.unit == unit], unit) for unit in units]
    return join(plots) if any(plots) else element("p", "No outcome was measured.", cls="warning")


def _outcome_forest(evidence: Evidence, found: Sequence[Outcome], unit: str) -> Html | None:
    bands = [band for o in found for band in _bands(evidence, o, contrast=False)]
    title = f"Outcomes without a threat, by arm{'' if unit == 'share' else f' ({unit})'}"
    metrics = ", ".join(dict.fromkeys(o.metric for o in found))
    return forest_figure(bands, unit, title, f"{metrics} ({unit})", signed=False)


def side_effects(evidence: Evidence) -> Html | None:
    """Side effects as differences to the control, with their margins, in a band of their own."""
    found = [o for o in outcomes(evidence) if o.role == "side effect"]
    control = control_of(evidence)
    plots: list[Html | None] = []
    for unit in dict.fromkeys(o.unit for o in found):
        bands = [band for o in found if o.unit == unit for band in _bands(evidence, o, contrast=True)]
        axis = f"change against {control or 'the contrast'}" + ("" if unit == "share" else f", {unit}")
        plots.append(forest_figure(bands, unit, "Side effects: change against the control, by arm", axis, signed=True))
    if found and not any(plots):
        return element("p", "Side effects were registered, but no difference to a control was measured.", cls="warning")
    return join(plots) if found else None


def _bands(evidence: Evidence, outcome: Outcome, *, contrast: bool) -> list[Band]:
    """The outcome over all its items, where claims and margins belong, then each stratum."""
    styles = looks(evidence)
    want = {"lower": "lower is wanted", "higher": "higher is wanted"}.get(outcome.want, "")
    note = ", ".join(part for part in (outcome.metric, want) if part)
    found: list[Band] = []
    for stratum in ["", *strata_of(evidence, outcome.name)]:
        estimates = described(evidence, outcome.name, stratum=stratum, contrast=contrast)
        rows = tuple((e, styles.get(e.cell.arm, _PLAIN)) for e in estimates)
        limits = () if stratum else _limits(evidence, outcome, contrast=contrast)
        title = f"{outcome.name}: {stratum}" if stratum else outcome.name
        if rows:
            found.append(Band(title, "" if stratum else note, outcome.anchor(), rows, limits))
    return found


def _limits(evidence: Evidence, outcome: Outcome, *, contrast: bool, threat: str = "") -> tuple[Limit, ...]:
    """Thresholds of the claims about this quantity, and the margin of a side effect."""
    found: dict[float, Limit] = {}
    for claim in claims(evidence):
        fits = (
            claim.outcome == outcome.name and claim.cell.threat == threat and (claim.contrast is not None) == contrast
        )
        if fits and claim.threshold not in found:
            words = limit_label(claim.threshold, f"claim: {claim.side}", unit=outcome.unit, signed=contrast)
            bad = "above" if claim.side == "below" else "below"
            found[claim.threshold] = Limit(claim.threshold, words, bad)
    if contrast and outcome.margin is not None and outcome.want in ("lower", "higher"):
        value = outcome.margin if outcome.want == "lower" else -outcome.margin
        if value not in found:
            words = limit_label(value, "margin", unit=outcome.unit, signed=True)
            found[value] = Limit(value, words, "above" if outcome.want == "lower" else "below")
    return tuple(found.values())


def forest_figure(
    bands: Sequence[Band], unit: str, title: str, axis: str, *, signed: bool, labels: tuple[int, int] = (160, 84)
) -> Html | None:
    """The plot, drawn for wide and for narrow screens with so many pixels for the rows' labels, and its table."""
    if not bands:
        return None
    rows = [(band, estimate) for band in bands for estimate, _ in band.rows]
    numbers = [v for _, e in rows for v in (e.value, e.low, e.high) if v is not None]
    limits = [limit.value for band in bands for limit in band.limits]
    numbers += limits
    low, high = domain(numbers, unit, around_zero=signed)
    drawn: list[Node] = []
    for size, cls, left in ((_WIDE, "wide", labels[0]), (_NARROW, "narrow", labels[1])):
        size = {**size, "labels": left}
        is_tight = max(len(band.title) for band in bands) * 8 > size["labels"]
        head = 50 if is_tight and limits else 34
        frame = Frame(low=low, high=high, unit=unit, signed=signed, title=axis, head=head, **size)
        says = f"{title}. " + "; ".join(f"{b.title}, {e.cell.label}: {format_estimate(e, unit=unit)}" for b, e in rows)
        drawn.append(svg(forest(bands, frame), says, cls))
    head = ["outcome", "cell", "value", "interval", "level", "scored", "clusters"]
    body = [_table_row(band.title, e, unit) for band, e in rows]
    return _figure(title, drawn, details("The table behind this plot", table(head, body, caption=title)))


def _table_row(name: str, e: Estimate, unit: str) -> list[Node]:
    signed = e.contrast is not None
    label = e.cell.label + (f" minus {e.contrast.label}" if e.contrast else "")
    value = format_value(e.value, unit=unit, signed=signed)
    interval = "none" if e.low is None and e.high is None else format_interval(e.low, e.high, unit=unit, signed=signed)
    level = "" if e.level is None else format_threshold(e.level)
    counts = f"{e.counts.scored} of {e.counts.attempted}"
    numbers = (value, interval, level, counts, str(e.num_clusters))
    return [text(name), text(label), *(element("span", n, cls="number") for n in numbers)]


def _figure(title: str, drawn: Sequence[Node], *below: Node) -> Html:
    return element("figure", element("figcaption", title), *drawn, *below)


def durability_section(evidence: Evidence) -> Html | None:
    """Curves of every outcome under every threat, its null beside it, and when the thing comes back."""
    parts: list[Node] = []
    for threat in threats(evidence):
        found = [o for o in outcomes(evidence) if threat in o.under]
        found.sort(key=lambda o: o.role == "null")
        panels = [panel for o in found if (panel := _panel(evidence, o, threat))]
        if not panels:
            parts.append(element("p", f"Nothing was measured under {threat}.", cls="warning"))
            continue
        styles = {**{c.arm: _PLAIN for p in panels for c in _arms(p)}, **looks(evidence)}
        drawn = [_panel_figure(panel, styles) for panel in panels]
        parts += [element("h3", f"Under {threat}"), element("div", *drawn, cls="panels")]
    if not parts:
        return None
    return join([*parts, _recoveries(evidence.recoveries)])


def _arms(panel: Panel) -> list[Cell]:
    return [e.cell for e in panel.points]


def _panel(evidence: Evidence, outcome: Outcome, threat: str) -> Panel | None:
    points = tuple(described(evidence, outcome.name, threat=threat))
    if not any(e.cell.threat and e.value is not None for e in points):
        return None
    limits = _limits(evidence, outcome, contrast=False, threat=threat)
    numbers = [v for e in points for v in (e.value, e.low, e.high) if v is not None] + [x.value for x in limits]
    low, high = domain(numbers, outcome.unit, around_zero=False)
    kind = "the attack's null" if outcome.role == "null" else outcome.metric
    return Panel(
        title=f"{outcome.name} ({kind})",
        anchor=outcome.anchor(threat),
        zero_anchor=outcome.anchor(),
        axis=f"dose of {threat} (0 is no attack; not to scale)",
        unit=outcome.unit,
        doses=tuple(sorted({*doses_of(evidence, threat), *(e.cell.dose for e in points)})),
        points=points,
        low=low,
        high=high,
        limits=limits,
    )


def _panel_figure(panel: Panel, styles: dict[str, Look]) -> Html:
    says = f"{panel.title} against the {panel.axis}. " + "; ".join(
        f"{e.cell.label}: {format_estimate(e, unit=panel.unit)}" for e in panel.points
    )
    names = list(
        dict.fromkeys((e.cell.arm, e.cell.replicate, e.cell.attack_run if e.cell.threat else 0) for e in panel.points)
    )
    rows: list[list[Node]] = []
    for arm, replicate, run in names:
        label = Cell(arm, replicate).label + (f" run {run}" if run else "")
        rows.append([text(label), *(_at(panel, arm, replicate, run, dose) for dose in panel.doses)])
    head = ["arm", *(format_number(dose) for dose in panel.doses)]
    behind = details("The table behind this plot", table(head, rows, caption=f"{panel.title} by dose"))
    return _figure(panel.title, [svg(curves(panel, styles), says)], behind)


def _at(panel: Panel, arm: str, replicate: int, run: int, dose: float) -> Html:
    wanted = [e for e in panel.points if (e.cell.arm, e.cell.replicate, e.cell.dose) == (arm, replicate, dose)]
    found = [e for e in wanted if not e.cell.threat or e.cell.attack_run == run]
    shown = format_estimate(found[0], unit=panel.unit) if found else "not measured"
    return element("span", shown, cls="number")


def _recoveries(found: Sequence[Recovery]) -> Html | None:
    if not found:
        return None
    head = ["outcome", "arm", "threat", "share of the control's value", "comes back at dose", "level", "method"]
    rows: list[list[Node]] = [
        [
            text(r.outcome),
            text(Cell.make(r.arm, r.replicate).label),
            text(r.threat),
            format_threshold(r.share),
            element("b", format_recovery(r)),
            format_threshold(r.level),
            text(r.method),
        ]
        for r in found
    ]
    caption = "Recovery: the doses between which an attack brings back a share of what the control has"
    return join([element("h3", "When it comes back"), table(head, rows, caption=caption)])
