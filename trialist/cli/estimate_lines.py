"""What the table of ``trialist estimate`` can't hold, a line each: counts, what is missing or refused, what the tool
says, what could have been seen, what was lost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from trialist.cli.estimate_records import Answers, Row, Said
from trialist.cli.estimate_rows import NO_REASON
from trialist.records import Estimate
from trialist.wording import format_count, format_interval, format_value

NUM_REASONS = 4
NUM_TITLES = 3
NUM_LOSSES = 5
LONGEST_REASON = 60
POWER = ".8"
APART = 0.1
"""A tool's interval is shown where a limit differs by more than this share of our interval's width."""
SAID_ABOVE = (" items missing (", " clusters, effective n ")
UNMATCHED = " items were attempted in only one of the two cells"


def lines_of(found: Answers) -> Iterator[str]:
    yield from _counts(found.rows)
    unmatched = sum(len(one.only_first) + len(one.only_second) for one in found.paired)
    for row in found.rows:
        yield from _missing(row)
        yield from _warnings(row, unmatched)
    for row in found.rows:
        yield from _words(row)
    yield from _seen(found.rows)
    yield from _stated(found.rows)


def losses_of(found: Answers) -> Iterator[str]:
    for loss in found.losses[:NUM_LOSSES]:
        sample = f", sample {loss.sample}" if loss.sample else ""
        yield f"lost: {loss.path}{sample}: {loss.what}"
    if len(found.losses) > NUM_LOSSES:
        yield f"lost: {len(found.losses) - NUM_LOSSES:,} more, all of them in --json"


def name_of(one: Estimate) -> str:
    return one.cell.arm + (f" minus {one.contrast.arm}" if one.contrast else "")


def _counts(rows: Sequence[Row]) -> Iterator[str]:
    """How many items and clusters, rows with the same numbers together."""
    titles: dict[str, list[str]] = {}
    for row in rows:
        if row.stratum:
            continue
        counts = {name_of(one): _count_text(one, row) for one in row.described}
        if len(set(counts.values())) == 1:
            counts = {"": next(iter(counts.values()))}
        for name, text in counts.items():
            titles.setdefault(text, []).append(f"{row.title}{', ' + name if name else ''}")
    for text, names in titles.items():
        yield f"{_several(names)}: {text}"


def _several(titles: Sequence[str]) -> str:
    more = len(titles) - NUM_TITLES
    return "; ".join([*titles[:NUM_TITLES], *([f"{more} more rows"] if more > 0 else [])])


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


def _missing(row: Row) -> Iterator[str]:
    for one in row.described:
        where = f"{row.name}, {name_of(one)}"
        if one.counts.missing:
            scored, attempted = format_count(one.counts.scored), format_count(one.counts.attempted)
            reasons = _reasons(row.missing.get(one.cell.arm, {})) if one.contrast is None else ""
            yield f"{where}: {scored} of {attempted} items scored{reasons}{_worst(one)}"
        if one.reason:
            yield f"{where}: {one.reason}" + (f" (next: {one.next_step})" if one.next_step else "")


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


def _warnings(row: Row, unmatched: int) -> Iterator[str]:
    """Warnings, once for a row where all its estimates have them."""
    described = row.described
    for one in described:
        for warning in one.warnings:
            if any(said in warning for said in SAID_ABOVE) or warning.startswith(f"{unmatched}{UNMATCHED}"):
                continue
            shared = len(described) > 1 and all(warning in other.warnings for other in described)
            yield f"{row.name}: {warning}" if shared else f"{row.name}, {name_of(one)}: {warning}"


def _words(row: Row) -> Iterator[str]:
    """Why there is no better or worse where the method refuses to say."""
    if row.bounds is not None and row.bounds.lower is None and row.bounds.reason and row.difference is not None:
        reason = row.bounds.reason
        if reason != row.difference.reason:
            step = f" (next: {row.bounds.next_step})" if row.bounds.next_step else ""
            yield f"{row.name}, {name_of(row.difference)}: not better, worse or equivalent: {reason}{step}"


def _seen(rows: Sequence[Row]) -> Iterator[str]:
    for row in rows:
        if row.difference is None or row.stratum:
            continue
        if row.detectable is not None:
            yield f"{row.title}: you could have seen a difference of {format_value(row.detectable)} (power {POWER})"
        elif row.undetectable and row.difference.value is not None:
            yield f"{row.title}: what difference could have been seen isn't known: {row.undetectable}"


def _stated(rows: Sequence[Row]) -> Iterator[str]:
    """The tool's numbers, where they differ from ours or leave something out."""
    intervals: dict[str, list[str]] = {}
    for row in rows:
        ours = {one.cell.arm: one for one in row.arms}
        for said in row.stated:
            where = f"{row.title}, {said.arm}"
            if said.ours is not None:
                if said.why:
                    too = " too" if abs(said.value - said.ours) < 1e-9 else ""
                    value = format_value(said.value, apart_from=None if too else said.ours)
                    yield f"{where}: {said.tool} says {value}{too}: {said.why}"
            elif _apart(said, ours[said.arm]):
                text = f"{said.tool}'s {said.metric}"
                made = f"{where} {format_interval(said.low, said.high)}"
                intervals.setdefault(f"{text}\n{said.why}", []).append(made)
    for text, places in intervals.items():
        what, why = text.split("\n")
        yield f"{what} makes {_several(places)}: {why}"


def _apart(said: Said, ours: Estimate) -> bool:
    if said.low is None or said.high is None or ours.low is None or ours.high is None:
        return False
    return max(abs(said.low - ours.low), abs(said.high - ours.high)) > APART * (ours.high - ours.low)
