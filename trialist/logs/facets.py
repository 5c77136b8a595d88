"""What the items say of themselves, as clusters and strata."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from trialist.errors import DataError
from trialist.logs import clusters
from trialist.records import ITEM_COLUMNS

ITEM = "item"
"""The name of the cluster that says that items are independent."""


@dataclass(frozen=True)
class Facets:
    """``cluster``: a key of the items' metadata, one of their columns, ``item``, or None: as the log declares, else as
    found (``clusters.find``). ``stratum``: a key or a column, or None: as the log declares."""

    cluster: str | None = None
    stratum: str | None = None


@dataclass(frozen=True)
class Placed:
    """Items with their clusters and strata set. ``clustered_by`` names what makes a cluster, empty where every item is
    its own."""

    items: pl.DataFrame
    clustered_by: str = ""
    notes: tuple[str, ...] = ()


def placed(items: pl.DataFrame, facets: Facets) -> Placed:
    """Raises DataError where some items have the key and others don't. Items without any stratum keep an empty one; a
    cluster key that no item has leaves every item its own, with a note."""
    if facets.stratum is not None:
        strata = _values(items, facets.stratum)
        items = items.with_columns(stratum=strata.fill_null("") if strata is not None else pl.lit(""))
    if facets.cluster == ITEM:
        return Placed(items.with_columns(cluster="id"))
    if facets.cluster is None:
        found = clusters.find(items)
        if found.structure is not None:
            named = found.structure
            return Placed(items.with_columns(named.groups.alias("cluster")), named.by, found.notes)
        return Placed(items, "cluster" if clusters.declared(items) else "", found.notes)
    values = _values(items, facets.cluster)
    if values is None:
        note = f"no item has a '{facets.cluster}': every one is its own cluster"
        return Placed(items.with_columns(cluster="id"), "", (note,))
    if values.null_count():
        raise DataError(
            f"some items don't say their {facets.cluster}", allowed="every item or none",
            seen=f"{values.null_count():,} of {len(items):,}, such as {items['id'].filter(values.is_null())[0]}",
            next_step="--cluster item, or another key",
        )  # fmt: skip
    return Placed(items.with_columns(values.alias("cluster")), facets.cluster)


def keys_of(items: pl.DataFrame) -> list[str]:
    """What a facet may name."""
    return [ITEM, *clusters.keys_of(items), *(name for name in ("cluster", "stratum", "reference") if name in items)]


def _values(items: pl.DataFrame, key: str) -> pl.Series | None:
    """The key's values as text; None where no item has it."""
    values = clusters.values_of(items, key)
    if values.null_count() == len(values) and key in ITEM_COLUMNS and not items[key].dtype.is_nested():
        values = items[key].cast(pl.String)
    return None if values.null_count() == len(values) else values
