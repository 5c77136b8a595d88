"""What measuring costs: two arms, a hundred outcomes, ten thousand items, paired and in clusters, on one core.

    OMP_NUM_THREADS=1 POLARS_MAX_THREADS=1 python benchmarks/measuring.py [--outcomes 100] [--items 10000]

Two million rows of scores, items in clusters of five. Timed: the item index, cutting the table, and an estimate of the
paired difference of every outcome, to describe and to claim; then one update of each sequential process.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Callable

import numpy as np
import polars as pl

import trialist
from trialist.measurement.estimand import Estimand, estimate
from trialist.measurement.metrics import mean_of
from trialist.measurement.reading import index_items
from trialist.measurement.score_table import ScoreTable
from trialist.measurement.sequential.bounded import BoundedProcess
from trialist.measurement.sequential.discordant import DiscordantProcess
from trialist.measurement.sequential.rate import RateProcess
from trialist.records import ITEM_COLUMNS, SCORE_COLUMNS, Cell

CLUSTER = 5


def tables(num_outcomes: int, num_items: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    generator = np.random.default_rng(0)
    rows = 2 * num_outcomes * num_items
    rates = generator.random((num_outcomes, num_items // CLUSTER)).repeat(CLUSTER, axis=1).ravel()
    ids = [f"item {j:05d}" for j in range(num_items)]
    columns = {
        "arm": pl.Series(np.repeat(["rmu", "control"], rows // 2)),
        "item": pl.Series(np.tile(ids, 2 * num_outcomes)),
        "measure": pl.Series(np.tile(np.repeat([f"outcome {j}" for j in range(num_outcomes)], num_items), 2)),
        "value": pl.Series((generator.random((2, len(rates))) < rates).ravel().astype(np.float64)),
    }
    constants = {"replicate": 0, "threat": "", "attack_run": 0, "dose": 0.0, "evaluation": "made@1", "epoch": 0,
                 "kind": "binary", "scorer": "program", "scorer_version": "1", "scorer_kind": "program", "weight": 1.0,
                 "reason": ""}  # fmt: skip
    scores = pl.DataFrame(columns).with_columns(**{name: pl.lit(value) for name, value in constants.items()})
    scores = scores.select([pl.col(name).cast(getattr(pl, kind)) for name, kind in SCORE_COLUMNS.items()])
    items = pl.DataFrame({"id": ids, "cluster": [f"c{j // CLUSTER}" for j in range(num_items)]}).with_columns(
        content_hash=pl.lit(""), input=pl.lit(""), options=pl.lit([], dtype=pl.List(pl.String)), stratum=pl.lit(""),
        target=pl.lit(None, dtype=pl.Int32), reference=pl.lit(""), metadata=pl.lit("{}"),
    )  # fmt: skip
    return scores, items.select(list(ITEM_COLUMNS))


def measure(scores: pl.DataFrame, items: pl.DataFrame, num_outcomes: int, purpose: str) -> tuple[float, float]:
    """Seconds for index and table, and for everything."""
    started = time.perf_counter()
    index = index_items(items)
    table = ScoreTable(scores, index)
    ready = time.perf_counter()
    for j in range(num_outcomes):
        asked = Estimand(f"outcome {j}", mean_of(f"outcome {j}"), Cell("rmu"), contrast=Cell("control"))
        if purpose == "claim":
            asked = Estimand(asked.outcome, asked.metric, asked.cell, contrast=asked.contrast, purpose="claim",
                             confidence=0.95, side="above")  # fmt: skip
        estimate(table, index, asked)
    return ready - started, time.perf_counter() - started


def update_microseconds(
    make: Callable[[], RateProcess | BoundedProcess | DiscordantProcess], values: list[float]
) -> float:
    process = make()
    started = time.perf_counter()
    for value in values:
        process.update(value)
    return 1e6 * (time.perf_counter() - started) / len(values)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--outcomes", type=int, default=100)
    parser.add_argument("--items", type=int, default=10_000)
    parser.add_argument("--turns", type=int, default=3)
    options = parser.parse_args()
    scores, items = tables(options.outcomes, options.items)
    print(f"trialist {trialist.__version__}, Python {platform.python_version()}; {len(scores):,} rows\n")
    print("| what | seconds, best of turns | of them reading |\n|---|---|---|")
    for purpose in ("describe", "claim"):
        turns = [measure(scores, items, options.outcomes, purpose) for _ in range(options.turns)]
        reading, whole = min(turns, key=lambda pair: pair[1])
        print(f"| {options.outcomes} paired, clustered differences, to {purpose} | {whole:.2f} | {reading:.2f} |")
    rare = (np.random.default_rng(1).random(20_000) < 0.02).astype(np.float64).tolist()
    discordant = [1.0 if value else -1.0 for value in rare]
    makers: dict[str, tuple[Callable[[], RateProcess | BoundedProcess | DiscordantProcess], list[float]]] = {
        "rate": (lambda: RateProcess(0.05), rare),
        "discordant pairs": (lambda: DiscordantProcess("worse"), discordant),
        "bounded mean": (lambda: BoundedProcess(0.05, shows="below"), rare),
        "bounded mean, bank": (lambda: BoundedProcess(0.05, shows="below", num_items=20_000), rare),
    }
    print("\n| process | microseconds an update |\n|---|---|")
    for name, (make, values) in makers.items():
        print(f"| {name} | {min(update_microseconds(make, values) for _ in range(options.turns)):.1f} |")


if __name__ == "__main__":
    main()
