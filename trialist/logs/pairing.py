"""Which items of two logs are the same question: by id where the contents agree, else by content."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from trialist.logs.collect import listed


@dataclass(frozen=True)
class Pairing:
    """``first`` and ``second`` are the paired ids, in the first log's order; the last ``num_by_content`` of them, in
    that order too, have different ids and equal contents. ``changed``: ids of both logs that were asked differently
    and therefore aren't paired. ``only_first``, ``only_second``: ids without a partner, the changed ones included.
    ``num_ambiguous``: items of the first without a partner whose content the second has, but more than once, or which
    the first itself has more than once."""

    first: tuple[str, ...]
    second: tuple[str, ...]
    num_by_content: int = 0
    changed: tuple[str, ...] = ()
    only_first: tuple[str, ...] = ()
    only_second: tuple[str, ...] = ()
    num_ambiguous: int = 0

    def notes(self, first: str, second: str) -> list[str]:
        """What has to be said of it, a line each; ``first`` and ``second`` are the arms' names."""
        notes: list[str] = []
        changed = set(self.changed)
        if changed:
            notes.append(
                f"{listed(self.changed, 'item')} asked differently under the same id in {first} and {second}: not "
                "paired"
            )
        for arm, ids in ((first, self.only_first), (second, self.only_second)):
            rest = [name for name in ids if name not in changed]
            if rest:
                notes.append(f"{listed(rest, 'item')} of {arm} without a partner: left out of the comparison")
        if self.num_by_content:
            number = f"{self.num_by_content:,} item{'' if self.num_by_content == 1 else 's'}"
            notes.append(f"{number} with different ids in {first} and {second} paired by their content")
        if self.num_ambiguous:
            notes.append(f"{self.num_ambiguous:,} without a partner have the content of more than one item: not paired")
        return notes


def pair_items(first: pl.DataFrame, second: pl.DataFrame) -> Pairing:
    """Pair the items (ITEM_COLUMNS) of two logs.

    Items of one id are paired if their content hashes agree; a hash that isn't known (empty) agrees with any. What is
    left is paired by content hash where exactly one item of each log that is left has it.
    """
    one, other = (x.select("id", pl.col("content_hash").alias("hash")) for x in (first, second))
    same_id = one.join(other, on="id", suffix="_other", maintain_order="left")
    agrees = (pl.col("hash") == pl.col("hash_other")) | (pl.col("hash") == "") | (pl.col("hash_other") == "")
    by_id = same_id.filter(agrees)["id"]
    differing = same_id.filter(~agrees)["id"].to_list()
    rest = [x.filter(~pl.col("id").is_in(by_id.implode()) & (pl.col("hash") != "")) for x in (one, other)]
    single = [x.filter(pl.col("hash").is_unique()) for x in rest]
    by_content = single[0].join(single[1], on="hash", suffix="_other", maintain_order="left")
    matched = (by_id.to_list() + by_content["id"].to_list(), by_id.to_list() + by_content["id_other"].to_list())
    only = [[name for name in x["id"].to_list() if name not in known]
            for x, known in ((one, set(matched[0])), (other, set(matched[1])))]  # fmt: skip
    unpaired = set(only[0]) & set(only[1])
    shared = rest[0].filter(pl.col("hash").is_in(rest[1]["hash"].implode()) & pl.col("id").is_in(only[0]))
    return Pairing(
        tuple(matched[0]), tuple(matched[1]), len(by_content),
        tuple(name for name in differing if name in unpaired), tuple(only[0]), tuple(only[1]), len(shared),
    )  # fmt: skip
