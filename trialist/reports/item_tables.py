"""The items behind an outcome as tables: control and candidate side by side, worst first."""

from __future__ import annotations

import math
from collections.abc import Sequence

from trialist.records import Answer, Cell, Item
from trialist.reports.evidence import Evidence, Outcome, candidate_of, cells, control_of, doses_of, outcomes
from trialist.reports.items import Listing, Reading, Shown, Value, listing
from trialist.reports.markup import Html, Node, details, element, join, table, text
from trialist.wording import format_count, format_number, format_value

MOST, MOST_ATTACKED, OPEN = 60, 30, 8
PROMPT_LIMIT, ANSWER_LIMIT, OPTION_LIMIT, REASON_LIMIT = 1200, 600, 200, 300
FEW_OPTIONS, TOP_OPTIONS = 5, 3


def item_tables(evidence: Evidence) -> Html:
    """One part an outcome: its items without a threat, and at the highest dose of each threat it was measured under."""
    return join(_outcome(evidence, outcome) for outcome in outcomes(evidence))


def _outcome(evidence: Evidence, outcome: Outcome) -> Html:
    want = {"lower": "lower is wanted", "higher": "higher is wanted"}.get(outcome.want, "no direction is wanted")
    parts: list[Node] = [element("h3", text(outcome.name), " ", element("small", f"{outcome.metric}, {want}"))]
    parts.append(_table(evidence, outcome, "", 0.0, MOST))
    for threat in outcome.under:
        dose = doses_of(evidence, threat)[-1]
        if dose:
            parts.append(_table(evidence, outcome, threat, dose, MOST_ATTACKED))
    return element("section", *parts, cls="items")


def _table(evidence: Evidence, outcome: Outcome, threat: str, dose: float, most: int) -> Html:
    control, candidate = control_of(evidence), candidate_of(evidence)
    all_cells = list(cells(evidence, threat, dose))
    pair = [c for name in dict.fromkeys([control, candidate]) for c in all_cells if (c.arm, c.replicate) == (name, 0)]
    others = [c for c in all_cells if c not in pair]
    found = listing(evidence, outcome, pair, others, most=most)
    place = f"under {threat}, dose {format_number(dose)}" if threat else "without a threat"
    head = element("h4", place, id=outcome.anchor(threat), tabindex=-1)
    if not found.shown:
        return join([head, element("p", "No item was scored here: this was not measured.", cls="warning")])
    names = ["#", "question", *(c.arm for c in pair), *(["all arms"] if others else [])]
    rows = [item_row(rank, shown, all_cells if others else ()) for rank, shown in enumerate(found.shown, start=1)]
    first = table(names, rows[:OPEN], cls="item-table", caption=_caption(found, outcome, candidate, place))
    rest = rows[OPEN:]
    if not rest:
        return join([head, first])
    more = table(names, rest, cls="item-table", caption=f"{outcome.name} {place}, continued")
    return join([head, first, details(f"{format_count(len(rest))} more items", more)])


def _caption(found: Listing, outcome: Outcome, candidate: str, place: str) -> Html:
    many = len(found.shown)
    part = (
        f"All {format_count(many)} items"
        if many == found.num_items
        else (f"{format_count(many)} of {format_count(found.num_items)} items")
    )
    order = "worst in" if outcome.want in ("lower", "higher") else "most changed in"
    rest = "" if many == found.num_items else "; the rest is in answers/answers.parquet and scores/scores.parquet"
    return text(f"{outcome.name} {place}: {part}, {order} {candidate} first by {found.measure}{rest}.")


def item_row(rank: int, shown: Shown, all_cells: Sequence[Cell] = ()) -> list[Node]:
    """One item: rank, question, the arms' answers side by side, and every arm's value if ``all_cells`` are given."""
    item = shown.item
    about = f"{item.id}" + (f" · {item.cluster}" if item.cluster and item.cluster != item.id else "")
    question = element("div", text(item.input, limit=PROMPT_LIMIT, keep_newlines=True), cls="prompt", dir="auto")
    row: list[Node] = [str(rank), join([question, element("div", text(about, limit=160), cls="note")])]
    row += [_reading(item, reading) for reading in shown.readings]
    return [*row, _strip(shown, all_cells)] if all_cells else row


def _strip(shown: Shown, all_cells: Sequence[Cell]) -> Html:
    """Every arm's value in a line, so that a mark of any arm leads to something."""
    lines = [
        element("li", _dot(shown.values[c]), " ", text(c.arm if not c.replicate else f"{c.arm}#{c.replicate}"))
        for c in all_cells
    ]
    return element("ul", *lines, cls="strip")


def _dot(value: Value) -> Html:
    shown = _number(value)
    level = "none" if value is None else "full" if value >= 1 else "empty" if value <= 0 else "part"
    return element("span", shown, cls=f"dot {level}")


def _number(value: Value) -> str:
    return "missing" if value is None else f"{value:g}" if value == int(value) else format_value(value)


def _reading(item: Item, reading: Reading) -> Html:
    answer = reading.answer
    if answer is None:
        return element("p", "not asked", cls="missing")
    parts: list[Node] = []
    if answer.status != "ok":
        told = answer.reason.startswith(f"{answer.status}: ")
        reason = f"{answer.status}: {answer.reason}" if answer.reason and not told else answer.reason or answer.status
        parts.append(element("p", text(reason, limit=REASON_LIMIT), cls="missing"))
    if answer.logprobs and item.options:
        parts.append(_options(item, answer))
    if answer.text:
        parts.append(element("blockquote", text(answer.text, limit=ANSWER_LIMIT, keep_newlines=True), dir="auto"))
    if not answer.logprobs and item.options and item.target is not None and item.target < len(item.options):
        parts.append(element("p", "right: ", text(item.options[item.target], limit=OPTION_LIMIT), cls="note"))
    if not item.options and item.reference:
        parts.append(element("p", "right: ", text(item.reference, limit=OPTION_LIMIT), cls="note"))
    parts.append(_scores(reading))
    return join(parts)


def _scores(reading: Reading) -> Html:
    lines = [
        element("li", f"{measure} ", element("b", _number(value)), f" {reason}" if reason else None)
        for measure, value, reason in reading.scores
    ]
    more = element("li", f"mean of {reading.num_epochs} answers: {_number(reading.value)}")
    return element("ul", *lines, more if reading.num_epochs > 1 else None, cls="scores")


def _options(item: Item, answer: Answer) -> Html:
    """Options by falling log-probability: all of a few, else the highest three and the right one with its rank."""
    num = min(len(item.options), len(answer.logprobs))
    order = sorted(range(num), key=lambda i: (-_sortable(answer.logprobs[i]), i))
    keep = order if num <= FEW_OPTIONS else order[:TOP_OPTIONS]
    if item.target is not None and item.target in order and item.target not in keep:
        keep = [*keep, item.target]
    lines = [_option(item, answer, index, order.index(index) + 1, num) for index in keep]
    hidden = num - len(keep)
    note = element("li", f"and {hidden} other options", cls="note") if hidden else None
    return element("ul", *lines, note, cls="options")


def _option(item: Item, answer: Answer, index: int, rank: int, num: int) -> Html:
    is_right = index == item.target
    marks = [
        element("span", "▸", title="highest log-probability") if rank == 1 else element("span", ""),
        element("span", text(item.options[index].strip() or item.options[index], limit=OPTION_LIMIT), dir="auto"),
        element("em", "right") if is_right else element("em", ""),
        element("span", _logprob(answer.logprobs[index]), cls="number"),
    ]
    place = f"rank {rank} of {num}"
    return element("li", *marks, cls="right" if is_right else "", title=place)


def _logprob(value: float) -> str:
    return f"{value:.2f}" if math.isfinite(value) else "NaN" if math.isnan(value) else str(value).replace("inf", "∞")


def _sortable(value: float) -> float:
    return -math.inf if math.isnan(value) else value
