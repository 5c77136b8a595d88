"""Arms -> what is estimated together: a task, or all tasks pooled; the items and scores of each arm and of two arms'
pairs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import polars as pl

from trialist.errors import NameUnknown
from trialist.logs import planned
from trialist.logs.arms import Arms, with_arm
from trialist.logs.collect import listed
from trialist.logs.facets import Facets, keys_of, placed
from trialist.logs.log import Log
from trialist.logs.pairing import Pairing, pair_items
from trialist.logs.planned import Planned
from trialist.logs.table_log import NAME as TABLE

POOLED = ""
OF_TASKS = "tasks"
"""The evaluation that scores of pooled tasks are said to be of."""


@dataclass(frozen=True)
class Part:
    """One arm in a block: its items, and scores with a row for every answer that was to be had. ``logs`` are what it
    was made of, one or for pooled tasks several; ``clustered_by`` what makes a cluster, empty where items are alone."""

    arm: str
    items: pl.DataFrame
    scores: pl.DataFrame
    logs: tuple[Log, ...]
    clustered_by: str = ""


@dataclass(frozen=True)
class Pair:
    """Two arms on the same items: ``items`` of both, those of the second under the first's ids where they are paired,
    and the ``scores`` of both. ``pairings`` by task."""

    first: str
    second: str
    items: pl.DataFrame
    scores: pl.DataFrame
    pairings: Mapping[str, Pairing]

    @property
    def num_pairs(self) -> int:
        return sum(len(one.first) for one in self.pairings.values())


@dataclass(frozen=True)
class Block:
    """``task`` is empty for a table of scores and for pooled tasks."""

    task: str
    parts: Mapping[str, Part]
    pair: Pair | None = None
    notes: tuple[str, ...] = ()

    @property
    def measures(self) -> list[str]:
        """In order of their first row."""
        names = (part.scores["measure"].unique(maintain_order=True).to_list() for part in self.parts.values())
        return list(dict.fromkeys(name for part in names for name in part))


def blocks_of(
    arms: Arms, compare: tuple[str, str] | None = None, facets: Facets | None = None, *, pooled: bool = False
) -> tuple[Block, ...]:
    """A block for each task, in order of the logs; ``pooled``: one of all tasks. ``compare``: two of the arms.

    Raises NameUnknown for a facet that no item of any task has, DataError as ``placed`` does.
    """
    wanted = facets or Facets()
    tasks: dict[str, dict[str, Log]] = {}
    for arm, group in arms.logs.items():
        for one in group:
            tasks.setdefault(task_of(one.log), {})[arm] = with_arm(one.log, arm)
    _check(wanted, [log for logs in tasks.values() for log in logs.values()])
    blocks = [_block(task, logs, compare, wanted) for task, logs in tasks.items()]
    return (pool(blocks, compare),) if pooled and len(blocks) > 1 else tuple(blocks)


def pool(blocks: Sequence[Block], compare: tuple[str, str] | None = None) -> Block:
    """All items of all tasks as one set, each item of one weight; ids and clusters carry their task."""
    arms = list(dict.fromkeys(arm for block in blocks for arm in block.parts))
    parts: dict[str, Part] = {}
    for arm in arms:
        mine = [(block.task, block.parts[arm]) for block in blocks if arm in block.parts]
        items, scores = _together((task, part.items, part.scores) for task, part in mine)
        by = list(dict.fromkeys(part.clustered_by for _, part in mine if part.clustered_by))
        parts[arm] = Part(arm, items, scores, tuple(log for _, part in mine for log in part.logs), " or ".join(by))
    pairs = [(block.task, block.pair) for block in blocks if block.pair is not None]
    pair = None
    if compare and pairs:
        items, scores = _together((task, one.items, one.scores) for task, one in pairs)
        pairings = {task: one.pairings[task] for task, one in pairs}
        pair = Pair(*compare, items, scores, pairings)
    notes = [note for block in blocks for note in block.notes]
    notes.append(f"{len(blocks)} tasks pooled: every item counts alike, whatever its task")
    notes += [
        f"{arm} has scores of {len(part.logs)} of them, so its rows aren't about the same items as those of other arms"
        for arm, part in parts.items() if len(part.logs) < len(blocks) and len(parts) > 1
    ]  # fmt: skip
    return Block(POOLED, parts, pair, tuple(notes))


def task_of(log: Log) -> str:
    """The task's name; a table of scores has none."""
    return "" if log.source.format == TABLE else log.source.task


def _together(parts: Iterable[tuple[str, pl.DataFrame, pl.DataFrame]]) -> tuple[pl.DataFrame, pl.DataFrame]:
    items: list[pl.DataFrame] = []
    scores: list[pl.DataFrame] = []
    for task, its_items, its_scores in parts:
        prefix = pl.lit(f"{task}: ")
        items.append(its_items.with_columns(id=prefix + pl.col("id"), cluster=prefix + pl.col("cluster")))
        scores.append(its_scores.with_columns(item=prefix + pl.col("item"), evaluation=pl.lit(OF_TASKS)))
    return pl.concat(items), pl.concat(scores)


def _check(facets: Facets, logs: Sequence[Log]) -> None:
    for kind, key in (("cluster", facets.cluster), ("stratum", facets.stratum)):
        known = list(dict.fromkeys(name for log in logs for name in keys_of(log.items)))
        if key is not None and key not in known and not all(log.source.format == TABLE for log in logs):
            raise NameUnknown(kind, key, known, see="a key of the items' metadata, or a column of a table")


def _block(task: str, logs: Mapping[str, Log], compare: tuple[str, str] | None, facets: Facets) -> Block:
    notes = [f"{task}: the log of {arm} holds no scores" for arm, log in logs.items() if not len(log.scores)]
    logs = {arm: log for arm, log in logs.items() if len(log.scores)}
    ready: dict[str, tuple[Planned, str]] = {}
    found: dict[str, tuple[str, ...]] = {}
    for arm, log in logs.items():
        # A table's columns were named when it was read.
        is_table = log.source.format == TABLE
        own = Facets("item" if facets.cluster == "item" else None) if is_table else facets
        place = placed(log.items, own)
        found[arm] = place.notes
        ready[arm] = planned.planned(replace(log, items=place.items)), place.clustered_by
    same = len(set(found.values())) == 1
    for arm, said in found.items():
        where = ", ".join(name for name in (task, "" if same else arm) if name)
        notes += [f"{where}: {note}" if where else note for note in said]
    parts = {arm: _part(arm, planned.with_unnamed(plan), by) for arm, (plan, by) in ready.items()}
    pair = None
    if compare and all(arm in ready for arm in compare):
        pair = _pair(task, ready[compare[0]][0], ready[compare[1]][0], compare)
        said = [
            *_measures(parts, compare),
            *_differences(logs[compare[0]], logs[compare[1]], compare),
            *pair.pairings[task].notes(*compare),
        ]
        notes += [f"{task}: {note}" if task else note for note in said]
    elif compare and any(arm in ready for arm in compare):
        here, other = compare if compare[0] in ready else compare[::-1]
        notes.append(f"{task}: {other} has no scores of it, so {here} isn't compared")
    return Block(task, parts, pair, tuple(dict.fromkeys(notes)))


def _part(arm: str, log: Log, clustered_by: str) -> Part:
    return Part(arm, log.items, log.scores, (log,), clustered_by)


def _pair(task: str, first: Planned, second: Planned, compare: tuple[str, str]) -> Pair:
    a, b = first.log, second.log
    pairing = pair_items(a.items, b.items)
    taken = set(a.items["id"].to_list())
    names = dict(zip(pairing.second, pairing.first, strict=True))
    names |= {name: _free(name, taken, compare[1]) for name in pairing.only_second}
    renamed = b.items.with_columns(pl.col("id").replace_strict(names))
    # What alone keeps an item apart is its own id, which may be another one now.
    alone = b.items["cluster"] == b.items["id"]
    renamed = renamed.with_columns(cluster=pl.when(alone).then("id").otherwise("cluster"))
    items = pl.concat([_clusters_of(a.items, renamed), renamed.filter(~pl.col("id").is_in(taken))])
    scores = [a.scores, b.scores.with_columns(pl.col("item").replace_strict(names))]
    only_first, only_second = list(pairing.only_first), list(pairing.only_second)
    # What one log was to have and hasn't is what only the other has, if it is no more than that.
    if only_second and len(only_second) <= first.num_unnamed and not pairing.changed:
        scores.append(planned.lost(a, pl.Series([names[name] for name in only_second])))
        only_second = []
    if only_first and len(only_first) <= second.num_unnamed and not pairing.changed:
        scores.append(planned.lost(b, pl.Series(only_first)))
        only_first = []
    left = replace(pairing, only_first=tuple(only_first), only_second=tuple(only_second))
    return Pair(*compare, items, pl.concat(scores), {task: left})


def _clusters_of(first: pl.DataFrame, second: pl.DataFrame) -> pl.DataFrame:
    """The first's items; in the second's clusters where those are fewer, so that no dependence is lost."""
    both = first.join(second.select("id", other="cluster"), on="id", how="left", maintain_order="left")
    matched = both.filter(pl.col("other").is_not_null())
    if matched["other"].n_unique() >= matched["cluster"].n_unique():
        return first
    return both.with_columns(cluster=pl.coalesce("other", "cluster")).drop("other")


def _free(name: str, taken: set[str], arm: str) -> str:
    while name in taken:
        name = f"{name} ({arm})"
    return name


def _measures(parts: Mapping[str, Part], compare: tuple[str, str]) -> list[str]:
    """Measures that only one of the two has."""
    first, second = (set(parts[arm].scores["measure"].unique()) for arm in compare)
    alone = ((compare[0], sorted(first - second)), (compare[1], sorted(second - first)))
    return [f"{listed(names, 'measure')} of {arm} alone: not compared" for arm, names in alone if names]


OF_THE_MODEL = frozenset({"model_digest", "model_sha", "model_revision", "model_num_parameters"})
"""Settings that say which model it is: of two models they differ."""


def _differences(first: Log, second: Log, compare: tuple[str, str]) -> list[str]:
    """What differs in how the two were asked, as far as the logs say."""
    a, b = first.source, second.source
    notes: list[str] = []
    if a.task_version != b.task_version:
        notes.append(f"another version in {compare[0]} ({a.task_version or 'none'}) than in {compare[1]} "
                     f"({b.task_version or 'none'})")  # fmt: skip
    if a.format != b.format:
        notes.append(f"{compare[0]} was asked by {a.tool or a.format}, {compare[1]} by {b.tool or b.format}")
    epochs = [log.scores["epoch"].n_unique() for log in (first, second)]
    if epochs[0] != epochs[1]:
        notes.append(
            f"{epochs[0]} answers an item in {compare[0]}, {epochs[1]} in {compare[1]}: their means are compared"
        )
    names = [key for key in {**a.settings, **b.settings} if key not in OF_THE_MODEL]
    keys = [key for key in names if a.settings.get(key) != b.settings.get(key)]
    if keys and a.format == b.format:
        said = [f"{key} {_short(a.settings.get(key))} and {_short(b.settings.get(key))}" for key in keys]
        notes.append(f"settings differ between {compare[0]} and {compare[1]}: {listed(said, 'setting')}")
    return notes


def _short(value: object) -> str:
    text = "none" if value is None else str(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
