"""Coverage, width and refusals of every default over the stress set, beside other packages on the same draws.

    OMP_NUM_THREADS=1 python benchmarks/coverage.py [--repetitions 20000] [--peer-repetitions 1000] [--out FILE]

Each cell (a case and an estimator) is written to ``--out`` as a JSON line when it is done; the same command goes on
where it was stopped. The table that it prints last marks what fails: coverage below nominal beyond a binomial test at
.01 over all cells of an estimator, more than half refused, an interval of no width, or a width above the limit. The
peers are those that are installed: pip install -c constraints.txt -e ".[peers]".
"""

from __future__ import annotations

import argparse
import importlib
import json
import math
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterable
from functools import partial
from multiprocessing import Pool
from pathlib import Path
from typing import Any

from rich.progress import Progress

from trialist.measurement import check, stress
from trialist.measurement.claiming import claim_bounds
from trialist.measurement.describing import describe
from trialist.measurement.interval import Interval
from trialist.measurement.judged.choose import GoldDesign, judged_estimate
from trialist.measurement.judged.difference import JudgedArm, judged_difference
from trialist.measurement.sample import Sample
from trialist.measurement.stress_judged import JudgedCase, JudgedData, judged_cases
from trialist.measurement.uncertainty import point

LEVEL = 0.95
WIDEST_CLAIM = 15.0
"""Guaranteed bounds pay most in clusters of very unequal size, where one cluster may hold a tenth of all items."""

MANY_GOLD = 150

Estimator = Callable[[Any], Interval | None]


def load_peers() -> Any:
    """``coverage_peers``, with this folder last on the path: numba imports a package that has this script's name."""
    here = str(Path(__file__).parent)
    sys.path[:] = [*(entry for entry in sys.path if entry != here), here]
    return importlib.import_module("coverage_peers")


peers = load_peers()


def ours_describe(case: stress.Case, data: Sample) -> Interval | None:
    return describe(data, LEVEL, case.bank).interval


def ours_below(case: stress.Case, data: Sample) -> Interval | None:
    found = claim_bounds(data, LEVEL, "below", case.bank).interval
    return found and Interval(-math.inf, found.high)


def ours_above(case: stress.Case, data: Sample) -> Interval | None:
    found = claim_bounds(data, LEVEL, "above", case.bank).interval
    return found and Interval(found.low, math.inf)


def ours_equal_sizes(case: stress.Case, data: Sample) -> Interval | None:
    """The claim with cluster sizes declared unrelated to rates."""
    found = claim_bounds(data.of_equal_clusters(), LEVEL, "below", case.bank).interval
    return found and Interval(-math.inf, found.high)


def _judged(case: JudgedCase, data: JudgedData, purpose: Any) -> Any:
    design = GoldDesign(population="superpopulation")
    if data.control_judge is None or data.control_gold is None:
        return judged_estimate(data.judge, data.gold, purpose=purpose, design=design, level=LEVEL)
    arm, control = JudgedArm(data.judge, data.gold), JudgedArm(data.control_judge, data.control_gold)
    return judged_difference(arm, control, purpose=purpose, paired=False, design=design, level=LEVEL)


def judged_describe(case: JudgedCase, data: JudgedData) -> Interval | None:
    return _judged(case, data, "describe").interval


def judged_below(case: JudgedCase, data: JudgedData) -> Interval | None:
    upper = _judged(case, data, "claim").upper
    return None if upper is None else Interval(-math.inf, upper)


OURS: dict[str, Callable[[Any, Any], Interval | None]] = {
    "trialist, describe": ours_describe, "trialist, claim below": ours_below, "trialist, claim above": ours_above,
    "trialist, claim below, sizes unrelated": ours_equal_sizes,
}  # fmt: skip
OURS_JUDGED: dict[str, Callable[[Any, Any], Interval | None]] = {
    "trialist, describe": judged_describe, "trialist, claim below": judged_below,
}  # fmt: skip


def jobs(repetitions: int, peer_repetitions: int) -> list[tuple[str, int, str, int]]:
    """(set, case number, estimator, repetitions), the slow ones of our own first."""
    found: list[tuple[str, int, str, int]] = []
    for number, case in enumerate(stress.cases()):
        for name in OURS:
            if name.endswith("unrelated") and case.group != "clustered rate":
                continue
            if case.group == "function of means" and "claim" in name:
                continue  # refused by design: see docs/design/measurement.md
            if "unrelated" in name and "size follows" in case.name:
                continue  # what is declared would be false here
            found.append(("scores", number, name, repetitions))
        found += [("scores", number, name, peer_repetitions) for name in peers.for_case(case)]
    for number, case in enumerate(judged_cases()):
        many = case.num_gold > MANY_GOLD  # a claim with hundreds of labels costs much and shows nothing new
        found += [("judged", number, name, repetitions) for name in OURS_JUDGED if not (many and "claim" in name)]
        found += [("judged", number, name, peer_repetitions) for name in peers.for_judged(case)]
    return found


def run_job(job: tuple[str, int, str, int]) -> dict[str, Any]:
    kind, number, name, repetitions = job
    warnings.simplefilter("ignore")  # peers warn of what this table is about
    case: Any = (stress.cases() if kind == "scores" else judged_cases())[number]
    ours = OURS if kind == "scores" else OURS_JUDGED
    estimator: Estimator = partial(ours[name], case) if name in ours else peers.estimator(name)
    started = time.perf_counter()
    report = check.check(
        estimator,
        [case],
        nominal=LEVEL,
        repetitions=repetitions,
        seed=number,
        point=point if kind == "scores" else None,
    )
    cell = report.cells[0]
    found = cell.coverage
    return {
        "set": kind, "case": number, "estimator": name, "repetitions": repetitions, "group": case.group,
        "name": case.name, "covered": found and found.covered, "given": found and found.repetitions,
        "mean_width": found and found.mean_width, "zero_width": found and found.zero_width,
        "relative_width": cell.relative_width, "refused": cell.refused,
        "ms": 1000 * (time.perf_counter() - started) / repetitions,
    }  # fmt: skip


def read_done(path: Path) -> dict[tuple[str, int, str, int], dict[str, Any]]:
    if not path.exists():
        return {}
    rows = [json.loads(line) for line in path.read_text().splitlines() if line.endswith("}")]
    return {(r["set"], r["case"], r["estimator"], r["repetitions"]): r for r in rows}


def cell_of(row: dict[str, Any]) -> check.CellResult:
    if row["covered"] is None:
        return check.CellResult(row["name"], 0.0, row["repetitions"], None, None)
    counted = check.Coverage(
        row["covered"], row["given"], 0.0, 1.0, row["mean_width"], row["repetitions"] - row["given"], row["zero_width"]
    )
    return check.CellResult(row["name"], 0.0, row["repetitions"], counted, row["relative_width"])


def table(rows: Iterable[dict[str, Any]]) -> list[str]:
    """One line a cell, in the order of the cases; what fails is said at its end."""
    found = list(rows)
    counts: dict[str, int] = {}
    for row in found:
        counts[row["estimator"]] = counts.get(row["estimator"], 0) + 1
    lines = ["| group | case | estimator | coverage | refused | width | ms | |", "|---|---|---|---|---|---|---|---|"]
    for row in found:
        cell = cell_of(row)
        limit = WIDEST_CLAIM if "claim" in row["estimator"] else check.WIDEST
        why = "; ".join(check.failures_of(cell, LEVEL, counts[row["estimator"]], limit))
        share = "none" if cell.coverage is None else f"{cell.coverage.share:.4f}"
        width = "" if row["relative_width"] is None else f"{row['relative_width']:.2f}"
        lines.append(
            f"| {row['group']} | {row['name']} | {row['estimator']} | {share} | {row['refused']:.3f} | {width} | "
            f"{row['ms']:.2f} | {why} |"
        )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=20_000)
    parser.add_argument("--peer-repetitions", type=int, default=1_000)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--out", type=Path, default=Path("coverage.jsonl"))
    options = parser.parse_args()
    wanted = jobs(options.repetitions, options.peer_repetitions)
    done = read_done(options.out)
    pending = [job for job in wanted if job not in done]
    with options.out.open("a") as stream, Progress() as progress, Pool(options.processes) as pool:
        task = progress.add_task("cells", total=len(wanted), completed=len(wanted) - len(pending))
        for row in pool.imap_unordered(run_job, pending):
            stream.write(json.dumps(row, default=float) + "\n")
            stream.flush()
            done[row["set"], row["case"], row["estimator"], row["repetitions"]] = row
            progress.advance(task)
    print("\n".join(table(done[job] for job in wanted)))


if __name__ == "__main__":
    main()
