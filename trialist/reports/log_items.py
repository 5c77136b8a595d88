"""Items of logs side by side: where one model is right and the other wrong first, or one model's worst first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from trialist.logs.blocks import Block
from trialist.records import Answer, answer_of, item_of
from trialist.reports.item_tables import OPEN, item_row
from trialist.reports.items import Reading, Shown
from trialist.reports.log_evidence import LogEvidence
from trialist.reports.markup import Html, details, element, join, table, text
from trialist.wording import format_count

MOST = 60
"""Items of one task that are shown."""
MOST_IN_ALL, FEWEST = 900, 5

RIGHT_WRONG, WRONG_RIGHT, DIFFERENT, ONE_MISSING, ALIKE = range(5)
GROUPS = ("right and wrong", "wrong and right", "different", "missing in one", "alike")


@dataclass(frozen=True)
class Ranked:
    """One item: its ids in the arms, the mean value over epochs of each arm (None where an epoch has none), and which
    of ``GROUPS`` it is in."""

    ids: tuple[str, ...]
    values: tuple[float | None, ...]
    group: int


@dataclass(frozen=True)
class Listing:
    """The items of a task in their order, worst first, ranked by ``measure``; ``arms`` are those compared."""

    arms: tuple[str, ...]
    measure: str
    ranked: tuple[Ranked, ...]


def anchor_of(evidence: LogEvidence, task: str) -> str:
    """The id of a task's table of items."""
    return f"items-{[block.task for block in evidence.blocks].index(task) + 1}"


def listing_of(evidence: LogEvidence, block: Block) -> Listing:
    """Of two arms the pairs of items: first those that the first arm has right and the second wrong, then the reverse,
    then by the largest difference, then those that one of them lacks, then those where both agree, the lowest first. Of
    one arm its items, missing ones and the lowest values first. Equal ones stand in the order of the log."""
    if block.pair is not None and evidence.compare is not None:
        return _of_pair(block, evidence.compare)
    arm = next((arm for arm in evidence.arms if arm in block.parts), "")
    if not arm:
        return Listing((), "", ())
    scores = block.parts[arm].scores
    measure = str(scores["measure"][0]) if len(scores) else ""
    values = _values(scores, arm, measure)
    names = [str(name) for name in block.parts[arm].items["id"].to_list()]
    ranked = [Ranked((name,), (values.get(name),), ALIKE) for name in names if name in values]
    ranked.sort(key=lambda one: (one.values[0] is not None, one.values[0] or 0.0))
    return Listing((arm,), measure, tuple(ranked))


def _of_pair(block: Block, compare: tuple[str, str]) -> Listing:
    pair = block.pair
    assert pair is not None
    first, second = (pair.scores.filter(pl.col("arm") == arm) for arm in compare)
    theirs = set(second["measure"].unique().to_list())
    shared = [str(m) for m in first["measure"].unique(maintain_order=True) if m in theirs]
    if not shared:
        return Listing(compare, "", ())
    one, other = (_values(scores, arm, shared[0]) for scores, arm in zip((first, second), compare, strict=True))
    known = [*one.values(), *other.values()]
    ends = _ends([value for value in known if value is not None])
    pairing = pair.pairings[block.task]
    ranked: list[Ranked] = []
    for a, b in zip(pairing.first, pairing.second, strict=True):
        if a in one and a in other:  # both stand under the first's ids
            values = (one[a], other[a])
            ranked.append(Ranked((a, b), values, _group(values, ends)))
    ranked.sort(key=_key)
    return Listing(compare, shared[0], tuple(ranked))


def _ends(values: Sequence[float]) -> tuple[float, float]:
    """What is wrong and what is right: 0 and 1 where all values lie between, else nothing is."""
    inside = all(0 <= value <= 1 for value in values)
    return (0.0, 1.0) if inside else (float("-inf"), float("inf"))


def _group(values: tuple[float | None, float | None], ends: tuple[float, float]) -> int:
    a, b = values
    if a is None or b is None:
        return ALIKE if a is b else ONE_MISSING
    if (b, a) == ends:
        return RIGHT_WRONG
    return WRONG_RIGHT if (a, b) == ends else DIFFERENT if a != b else ALIKE


def _key(one: Ranked) -> tuple[float, ...]:
    a, b = one.values
    if one.group == DIFFERENT and a is not None and b is not None:
        return (one.group, -abs(a - b))
    return (one.group, -1.0 if a is None else a) if one.group == ALIKE else (one.group, 0.0)


def _values(scores: pl.DataFrame, arm: str, measure: str) -> dict[str, float | None]:
    """Item -> mean over its epochs and replicates, None where any of them has no value."""
    rows = scores.filter((pl.col("measure") == measure) & (pl.col("arm") == arm))
    if (rows["scorer_kind"] != "human").any():
        rows = rows.filter(pl.col("scorer_kind") != "human")
    mean = pl.when(pl.col("value").is_null().any()).then(None).otherwise(pl.col("value").mean())
    return dict(rows.group_by("item", maintain_order=True).agg(value=mean).iter_rows())


def items_section(evidence: LogEvidence, most: int = MOST) -> Html:
    num = max(1, len(evidence.blocks))
    each = min(most, max(min(most, FEWEST), MOST_IN_ALL // num))
    return join(_task(evidence, block, each) for block in evidence.blocks)


def _task(evidence: LogEvidence, block: Block, most: int) -> Html:
    found = listing_of(evidence, block)
    head = element("h3", text(block.task or "Items"), id=anchor_of(evidence, block.task), tabindex=-1)
    if not found.ranked:
        return element("section", head, element("p", "No item can be shown here.", cls="quiet"), cls="items")
    chosen = found.ranked[:most]
    shown = _shown(block, found, chosen)
    names = ["#", "question", *(evidence.short[arm] for arm in found.arms)]
    rows = [item_row(rank, one) for rank, one in enumerate(shown, start=1)]
    first = table(names, rows[:OPEN], cls="item-table", caption=_caption(evidence, found, len(chosen)))
    rest = rows[OPEN:]
    more = table(names, rest, cls="item-table", caption=f"{block.task or 'Items'}, continued") if rest else None
    fold = details(f"{format_count(len(rest))} more items", more) if rest else None
    return element("section", head, _tally(evidence, found), first, fold, cls="items")


def _tally(evidence: LogEvidence, found: Listing) -> Html | None:
    """How many pairs are in each group."""
    if len(found.arms) != 2:
        return None
    numbers = [sum(one.group == group for one in found.ranked) for group in range(len(GROUPS))]
    said = [f"{format_count(n)} {name}" for n, name in zip(numbers, GROUPS, strict=True) if n]
    one, other = (evidence.short[arm] for arm in found.arms)
    return element("p", text(f"{one} and {other} on {format_count(len(found.ranked))} pairs: {', '.join(said)}."))


def _caption(evidence: LogEvidence, found: Listing, num: int) -> Html:
    left = len(found.ranked) - num
    part = f"All {format_count(num)}" if not left else f"{format_count(num)} of {format_count(len(found.ranked))}"
    what = "pairs" if len(found.arms) == 2 else "items"
    order = f"worst first by {found.measure}"
    if len(found.arms) == 2:
        one, other = (evidence.short[arm] for arm in found.arms)
        order = (
            f"by {found.measure}: {one} right and {other} wrong first, then the reverse, then the largest difference"
        )
    rest = f"; {format_count(left)} are left out (--items N shows more)" if left else ""
    return text(f"{part} {what}, {order}{rest}.")


def _shown(block: Block, found: Listing, chosen: Sequence[Ranked]) -> list[Shown]:
    """The chosen items with what each arm answered: read for these alone."""
    readings: list[list[Reading]] = []
    for side, arm in enumerate(found.arms):
        ids = [one.ids[side] for one in chosen]
        answers, rows = _answers(block, arm, ids), _scores(block, arm, ids)
        values = [one.values[side] for one in chosen]
        readings.append([_reading(answers.get(n), rows.get(n, []), v) for n, v in zip(ids, values, strict=True)])
    own = block.parts[found.arms[0]].items
    wanted = [one.ids[0] for one in chosen]
    items = {str(row["id"]): row for row in own.filter(pl.col("id").is_in(wanted)).to_dicts()}
    return [
        Shown(item_of({**items[name], "options": items[name]["options"] or ()}), tuple(each), {})
        for name, each in zip(wanted, zip(*readings, strict=True), strict=True)
    ]


def _answers(block: Block, arm: str, ids: Sequence[str]) -> dict[str, Answer]:
    """The answer of the first epoch to each item."""
    found: dict[str, Answer] = {}
    for log in block.parts[arm].logs:
        rows = log.answers.filter(pl.col("item").is_in(list(ids))).sort("replicate", "epoch", maintain_order=True)
        for row in rows.to_dicts():
            filled = {name: () if value is None and name in _LISTS else value for name, value in row.items()}
            found.setdefault(str(row["item"]), answer_of(filled))
    return found


_LISTS = {"logprobs", "num_tokens", "num_bytes"}


def _scores(block: Block, arm: str, ids: Sequence[str]) -> Mapping[str, list[dict[str, Any]]]:
    rows = block.parts[arm].scores.filter(pl.col("item").is_in(list(ids)))
    found: dict[str, list[dict[str, Any]]] = {}
    for row in rows.sort("replicate", "epoch", maintain_order=True).to_dicts():
        found.setdefault(str(row["item"]), []).append(row)
    return found


def _reading(answer: Answer | None, rows: Sequence[Mapping[str, Any]], value: float | None) -> Reading:
    first = [row for row in rows if (row["replicate"], row["epoch"]) == (rows[0]["replicate"], rows[0]["epoch"])]
    shown = tuple((str(row["measure"]), row["value"], str(row["reason"] or "")) for row in first)
    return Reading(answer, value, shown, len({(row["replicate"], row["epoch"]) for row in rows}))
