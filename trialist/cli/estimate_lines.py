"""What the table of ``trialist estimate`` can't hold, a line each: counts, what is missing or refused, what the tool
says, what could have been seen, what was lost."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from trialist.cli.estimate_records import Answers, Row, Said
from trialist.cli.estimate_rows import NO_REASON
from trialist.records import Estimate
from trialist.wording import format_count, format_interval, format_value

NUM_REASONS = 4
NUM_TITLES = 3
NUM_LOSSES = 5
NUM_LINES = 20
"""Of one kind; a run of many tasks would fill the screen otherwise."""
LONGEST_REASON = 60
POWER = ".8"
SAME = 1e-9
APART = 0.1
"""A tool's interval is shown where a limit differs by more than this share of our interval's width."""
SAID_ABOVE = (" items missing (", " clusters, effective n ")
UNMATCHED = " items were attempted in only one of the two cells"


def lines_of(found: Answers) -> Iterator[str]:
    unmatched = sum(len(one.only_first) + len(one.only_second) for one in found.paired)
    rows = found.rows
    yield from _grouped(pair for row in rows for pair in _counts(row))
    yield from _grouped(pair for row in rows for pair in (*_missing(row), *_warnings(row, unmatched)))
    yield from _grouped(pair for row in rows for pair in (*_words(row), *_seen(row)))
    yield from _grouped(pair for row in rows for pair in _stated(row))
    yield from _intervals(rows)


def _grouped(pairs: Iterable[tuple[str, str]]) -> Iterator[str]:
    """``where: text``, a line for each text in order of its first place."""
    places: dict[str, list[str]] = {}
    for where, text in pairs:
        places.setdefault(text, []).append(where)
    for number, (text, wheres) in enumerate(places.items()):
        if number == NUM_LINES:
            yield f"({len(places) - NUM_LINES} more lines like these; --json holds everything)"
            return
        yield f"{_several(list(dict.fromkeys(wheres)))}: {text}"


def losses_of(found: Answers) -> Iterator[str]:
    for loss in found.losses[:NUM_LOSSES]:
        yield f"lost: {loss.sentence}"
    if len(found.losses) > NUM_LOSSES:
        yield f"lost: {len(found.losses) - NUM_LOSSES:,} more, all of them in --json"


def name_of(one: Estimate) -> str:
    return one.cell.arm + (f" minus {one.contrast.arm}" if one.contrast else "")


def _counts(row: Row) -> Iterator[tuple[str, str]]:
    """How many items and clusters."""
    if row.stratum:
        return
    counts = {name_of(one): _count_text(one, row) for one in row.described}
    if len(set(counts.values())) == 1:
        counts = {"": next(iter(counts.values()))}
    for name, text in counts.items():
        yield f"{row.title}{', ' + name if name else ''}", text


def _several(titles: Sequence[str]) -> str:
    more = len(titles) - NUM_TITLES
    return "; ".join([*titles[:NUM_TITLES], *([f"{more} more"] if more > 0 else [])])


def _count_text(one: Estimate, row: Row) -> str:
    attempted, clusters = one.counts.attempted, one.num_clusters
    text = f"{format_count(attempted)} {'item' if attempted == 1 else 'items'}"
    if one.num_replicates > 1:
        text = f"{format_count(attempted)} answers of {one.num_replicates} runs"
    elif one.contrast is None and row.num_answers.get(one.cell.arm, 0) > attempted:
        text += f", {format_count(row.num_answers[one.cell.arm])} answers,"
    if one.counts.scored and clusters != one.counts.scored:
        text += f" in {format_count(clusters)} {'cluster' if clusters == 1 else 'clusters'}"
        text += f" by {row.clustered_by}" if row.clustered_by not in ("", "cluster") else ""
    return text.rstrip(",")


def _missing(row: Row) -> Iterator[tuple[str, str]]:
    for one in row.described:
        where = f"{row.name}, {name_of(one)}"
        if one.counts.missing:
            scored, attempted = format_count(one.counts.scored), format_count(one.counts.attempted)
            reasons = _reasons(row.missing.get(one.cell.arm, {})) if one.contrast is None else ""
            yield where, f"{scored} of {attempted} items scored{reasons}{_worst(one)}"
        if one.reason:
            yield where, one.reason + (f" (next: {one.next_step})" if one.next_step else "")


def _reasons(counts: Mapping[str, int]) -> str:
    """`` (8 error: timed out, 4 limit)``; kinds of reasons alone, before a colon, where there are too many."""
    if not counts or set(counts) == {NO_REASON}:
        return ""
    if len(counts) > NUM_REASONS:
        kinds: dict[str, int] = {}
        for reason, count in counts.items():
            kind = reason.partition(":")[0]
            kinds[kind] = kinds.get(kind, 0) + count
        counts = dict(sorted(kinds.items(), key=lambda pair: -pair[1]))
    texts = [f"{count:,} {_short(reason)}" for reason, count in list(counts.items())[:NUM_REASONS]]
    rest = sum(list(counts.values())[NUM_REASONS:])
    return f" ({', '.join([*texts, *([f'{rest:,} other reasons'] if rest else [])])})"


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_REASON else f"{text[: LONGEST_REASON - 3]}..."


def _worst(one: Estimate) -> str:
    if one.worst_low is None or one.worst_high is None:
        return "; what the missing could be is unknown (--range)"
    limits = format_interval(one.worst_low, one.worst_high, signed=one.contrast is not None)
    return f"; whatever the missing are, it lies in {limits}"


def _warnings(row: Row, unmatched: int) -> Iterator[tuple[str, str]]:
    """Warnings, once for a row where all its estimates have them."""
    described = row.described
    for one in described:
        for warning in one.warnings:
            if any(said in warning for said in SAID_ABOVE) or warning.startswith(f"{unmatched}{UNMATCHED}"):
                continue
            shared = len(described) > 1 and all(warning in other.warnings for other in described)
            yield row.name if shared else f"{row.name}, {name_of(one)}", warning


def _words(row: Row) -> Iterator[tuple[str, str]]:
    """Why there is no better or worse where the method refuses to say."""
    bounds = row.bounds
    if bounds is None or bounds.lower is not None or row.difference is None or bounds.reason == row.difference.reason:
        return
    step = f" (next: {bounds.next_step})" if bounds.next_step else ""
    yield f"{row.name}, {name_of(row.difference)}", f"not better, worse or equivalent: {bounds.reason}{step}"


def _seen(row: Row) -> Iterator[tuple[str, str]]:
    if row.difference is None or row.stratum:
        return
    if row.detectable is not None:
        yield row.title, f"you could have seen a difference of {format_value(row.detectable)} (power {POWER})"
    elif row.undetectable and row.difference.value is not None:
        yield row.title, f"what difference could have been seen isn't known: {row.undetectable}"


def _stated(row: Row) -> Iterator[tuple[str, str]]:
    """The tool's means, where they differ from ours or leave something out."""
    for said in row.stated:
        if said.ours is None or not said.why:
            continue
        too = " too" if abs(said.value - said.ours) < SAME else ""
        value = format_value(said.value, apart_from=None if too else said.ours)
        yield f"{row.title}, {said.arm}", f"{said.tool} says {value}{too}: {said.why}"


def _intervals(rows: Sequence[Row]) -> Iterator[str]:
    """The intervals that the tool's standard errors make, where they differ from ours."""
    made: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        ours = {one.cell.arm: one for one in row.arms}
        for said in row.stated:
            if said.ours is None and _apart(said, ours[said.arm]):
                place = f"{format_interval(said.low, said.high)} of {row.title}, {said.arm}"
                made.setdefault((f"{said.tool}'s {said.metric}", said.why), []).append(place)
    for (what, why), places in made.items():
        yield f"{what} makes {_several(places)}: {why}"


def _apart(said: Said, ours: Estimate) -> bool:
    if said.low is None or said.high is None or ours.low is None or ours.high is None:
        return False
    return max(abs(said.low - ours.low), abs(said.high - ours.high)) > APART * (ours.high - ours.low)
