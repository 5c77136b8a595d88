"""Coverage, width and refusals of every default over the stress set, beside other packages on the same draws.

    OMP_NUM_THREADS=1 python benchmarks/coverage.py [--repetitions 20000] [--peer-repetitions 1000] [--out FILE]

Each cell (a case and an estimator) is written to ``--out`` as a JSON line when it is done; the same command goes on
where it was stopped. The tables that it prints last give coverage (relative width, share refused), and mark with !
what fails: coverage below nominal beyond a binomial test at .01 over all cells of the estimator, more than half
refused, an interval of no width, or a width above the limit. The peers are those that are installed:
pip install -c constraints.txt -e ".[peers]".
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
import time
import warnings
from collections.abc import Iterator
from multiprocessing import Pool
from pathlib import Path
from typing import Any

import coverage_sets as sets
from rich.progress import Progress

from trialist.measurement import check
from trialist.measurement.uncertainty import point

WIDEST_CLAIM = 15.0
"""Guaranteed bounds pay most in clusters of very unequal size, where one cluster may hold a tenth of all items."""

Job = tuple[str, int, str, int]
Row = dict[str, Any]


def load_peers() -> Any:
    """``coverage_peers``, with this folder last on the path: numba imports a package that has this script's name."""
    here = str(Path(__file__).parent)
    sys.path[:] = [*(entry for entry in sys.path if entry != here), here]
    return importlib.import_module("coverage_peers")


peers = load_peers()


def jobs(repetitions: int, peer_repetitions: int) -> Iterator[Job]:
    """(set, case number, estimator, repetitions)."""
    for kind in ("scores", "judged", "agreement"):
        for number, case in enumerate(sets.of_set(kind)):
            yield from ((kind, number, name, repetitions) for name in sets.ours_for(kind, case))
            yield from ((kind, number, name, peer_repetitions) for name in peers.for_case(kind, case))


def together(pending: list[Job]) -> list[tuple[Job, ...]]:
    """Jobs in groups: the two sides of a claim on one cell, whose bounds don't depend on the side, and all others
    alone."""
    found: list[tuple[Job, ...]] = []
    for job in pending:
        kind, number, name, repetitions = job
        other = (kind, number, sets.ABOVE, repetitions)
        if name == sets.ABOVE and (kind, number, sets.BELOW, repetitions) in pending:
            if "pairs" in sets.of_set(kind)[number].group:
                found.append((job,))
        elif name == sets.BELOW and other in pending and "pairs" not in sets.of_set(kind)[number].group:
            found.append((job, other))
        else:
            found.append((job,))
    return found


def run_jobs(jobs: tuple[Job, ...]) -> list[Row]:
    """The cells of one case that are computed together: both bounds of a claim come from one call."""
    warnings.simplefilter("ignore")  # peers warn of what this table is about
    kind, number, *_ = jobs[0]
    case = sets.of_set(kind)[number]
    shared = sets.Shared(case) if len(jobs) > 1 else None
    return [_row(job, case, shared) for job in jobs]


def _row(job: Job, case: Any, shared: Any) -> Row:
    kind, number, name, repetitions = job
    if shared is not None:
        estimator = shared.side(name)
    else:
        estimator = sets.ours(kind, name, case) if name.startswith("trialist") else peers.estimator(name)
    started = time.perf_counter()
    value = point if kind == "scores" else None
    report = check.check(estimator, [case], nominal=sets.LEVEL, repetitions=repetitions, seed=number, point=value)
    cell = report.cells[0]
    found = cell.coverage
    return {
        "set": kind, "case": number, "estimator": name, "repetitions": repetitions, "group": case.group,
        "name": case.name, "covered": found and found.covered, "given": found and found.repetitions,
        "mean_width": found and found.mean_width, "zero_width": found and found.zero_width,
        "relative_width": cell.relative_width, "refused": cell.refused,
        "ms": 1000 * (time.perf_counter() - started) / repetitions,
    }  # fmt: skip


def read_done(path: Path) -> dict[Job, Row]:
    """The finished cells of a file; a line that was being written when it was killed is left out."""
    if not path.exists():
        return {}
    rows = [json.loads(line) for line in path.read_text().splitlines() if line.endswith("}")]
    return {(r["set"], r["case"], r["estimator"], r["repetitions"]): r for r in rows}


def cell_of(row: Row) -> check.CellResult:
    if row["covered"] is None:
        return check.CellResult(row["name"], 0.0, row["repetitions"], None, None)
    counted = check.Coverage(
        row["covered"], row["given"], 0.0, 1.0, row["mean_width"], row["repetitions"] - row["given"], row["zero_width"]
    )
    return check.CellResult(row["name"], 0.0, row["repetitions"], counted, row["relative_width"])


def tables(rows: list[Row]) -> Iterator[str]:
    """A table for ours and one for the peers, a row a case; below ours what fails."""
    for title, mine in (("Trialist", True), ("Peers, on the same draws", False)):
        part = [row for row in rows if row["estimator"].startswith("trialist") == mine]
        names = list(dict.fromkeys(row["estimator"] for row in part))
        shown = {(row["set"], row["case"], row["estimator"]): row for row in part}
        yield f"\n### {title}\n"
        yield "| case | " + " | ".join(name.removeprefix("trialist, ") for name in names) + " |"
        yield "|---" * (len(names) + 1) + "|"
        for kind, number in dict.fromkeys((row["set"], row["case"]) for row in part):
            found = [shown.get((kind, number, name)) for name in names]
            label = next(f"{row['group']}: {row['name']}" for row in found if row)
            yield f"| {label} | " + " | ".join(_text(row, names, part) for row in found) + " |"
        yield ""
        for row in part if mine else []:
            if why := _failures(row, part):
                yield f"- {row['estimator'].removeprefix('trialist, ')}, {row['name']}: {why}"


def _text(row: Row | None, names: list[str], part: list[Row]) -> str:
    if row is None:
        return ""
    cell = cell_of(row)
    if cell.coverage is None:
        return "refused"
    width = "" if row["relative_width"] is None else f" ({row['relative_width']:.2f})"
    refused = f", refused {row['refused']:.2f}" if row["refused"] > 0 else ""
    return f"{cell.coverage.share:.4f}{width}{refused}{' !' if _failures(row, part) else ''}"


def _failures(row: Row, part: list[Row]) -> str:
    same = sum(other["estimator"] == row["estimator"] for other in part)
    limit = WIDEST_CLAIM if "claim" in row["estimator"] else check.WIDEST
    return "; ".join(check.failures_of(cell_of(row), sets.LEVEL, same, limit))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=20_000)
    parser.add_argument("--peer-repetitions", type=int, default=1_000)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--out", type=Path, default=Path("coverage.jsonl"))
    options = parser.parse_args()
    wanted = list(jobs(options.repetitions, options.peer_repetitions))
    done = read_done(options.out)
    pending = [job for job in wanted if job not in done]
    with options.out.open("a") as stream, Progress() as progress, Pool(options.processes) as pool:
        task = progress.add_task("cells", total=len(wanted), completed=len(wanted) - len(pending))
        for rows in pool.imap_unordered(run_jobs, together(pending)):
            for row in rows:
                stream.write(json.dumps(row, default=float) + "\n")
                done[row["set"], row["case"], row["estimator"], row["repetitions"]] = row
                progress.advance(task)
            stream.flush()
    print("\n".join(tables([done[job] for job in wanted])))


if __name__ == "__main__":
    main()
