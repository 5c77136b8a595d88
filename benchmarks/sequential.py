"""What stopping as soon as it is decided saves, against the exact test with a fixed number of values. All exact.

    python benchmarks/sequential.py [--cap 4] [--quick] [--json]

For each p0 the fixed-n test is the smallest exact one-sided binomial test of "rate < p0" with error .05 and power .9 at
p0 / 3. The gate has error .05 on both sides, the default priors, and a cap of ``--cap`` times the fixed n. The cap is a
free choice: it is what is spent at rates near p0, where nothing can be decided cheaply. Operating characteristics come
from dynamic programming over (n, k), not from simulation. Below them the exact type-I error of each process
alone within 4,000 values, and what one update costs.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np

import trialist
from trialist.measurement.sequential.design import fixed_design, rate_design
from trialist.measurement.sequential.operating import boundaries, one_sided, operating
from trialist.measurement.sequential.rate import RateProcess, Shows
from trialist.measurement.sequential.rate_sequence import RateSequence

RATES = {
    "0": 0.0,
    "p0/10": 0.1,
    "p0/3": 1 / 3,
    "p0/2": 0.5,
    ".75 p0": 0.75,
    "p0": 1.0,
    "1.5 p0": 1.5,
    "2 p0": 2.0,
    "3 p0": 3.0,
    "5 p0": 5.0,
}
P0 = (0.2, 0.1, 0.05, 0.02, 0.01)
TYPE_ONE_P0 = (0.2, 0.1, 0.05, 0.02, 0.01, 0.005)
TYPE_ONE_CAP = 4_000
TARGETS = {"0": 3.0, "3 p0": 4.0, "5 p0": 10.0}
NUM_TIMED = 20_000


@dataclass(frozen=True)
class Row:
    """The gate at one true rate; ``wrong``: PASS at a rate of p0 or more, FAIL at p0 or less (both count at p0)."""

    p0: float
    rate: str
    fixed: int
    mean_number: float
    saving: float
    """Fixed n over E[N]: above 1 the gate needs fewer values."""
    ninetieth: int
    passed: float
    failed: float
    undecided: float
    wrong: float


def curve(p0: float, cap_factor: float) -> list[Row]:
    fixed = fixed_design(p0).num_values
    design = rate_design(p0, cap=round(cap_factor * fixed))
    factors = np.array(list(RATES.values()))
    found = operating(boundaries(design), np.minimum(1.0, p0 * factors))
    ninetieth = found.number(0.9)
    rows: list[Row] = []
    for i, (name, factor) in enumerate(RATES.items()):
        passed, failed = float(found.passed[i]), float(found.failed[i])
        wrong = (passed if factor >= 1 else 0.0) + (failed if factor <= 1 else 0.0)
        mean = float(found.mean_number[i])
        undecided = float(found.undecided[i])
        rows.append(Row(p0, name, fixed, mean, fixed / mean, int(ninetieth[i]), passed, failed, undecided, wrong))
    return rows


def type_one(shows: Shows) -> dict[float, float]:
    """Exact probability that the process alone ever rejects at p0 within TYPE_ONE_CAP values, alpha .05."""
    found: dict[float, float] = {}
    for p0 in TYPE_ONE_P0:
        result = operating(one_sided(p0, shows=shows, alpha=0.05, cap=TYPE_ONE_CAP), [p0])
        found[p0] = float((result.passed if shows == "below" else result.failed)[0])
    return found


def microseconds(rate: float, p0: float) -> dict[str, float]:
    """Mean cost of an update over NUM_TIMED independent values at ``rate``, the best of three runs."""
    values = (np.random.default_rng(0).random(NUM_TIMED) < rate).astype(float).tolist()
    makers: dict[str, Callable[[], RateProcess | RateSequence]] = {
        "below": lambda: RateProcess(p0, shows="below"),
        "above": lambda: RateProcess(p0, shows="above"),
        "sequence": RateSequence,
    }
    found: dict[str, float] = {}
    for name, make in makers.items():
        best = float("inf")
        for _ in range(3):
            process = make()
            started = time.perf_counter()
            for value in values:
                process.update(value)
            best = min(best, time.perf_counter() - started)
        found[name] = 1e6 * best / NUM_TIMED
    return found


def show(rows: list[Row]) -> None:
    print("| p0 | fixed n | true rate | E[N] | fixed n / E[N] | 90th percentile | PASS | FAIL | UNDECIDED | wrong |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for r in rows:
        shares = " | ".join(f"{x:.4f}" for x in (r.passed, r.failed, r.undecided, r.wrong))
        print(f"| {r.p0:g} | {r.fixed} | {r.rate} | {r.mean_number:.1f} | {r.saving:.2f} | {r.ninetieth} | {shares} |")
    for rate, target in TARGETS.items():
        least = min(r.saving for r in rows if r.rate == rate)
        print(
            f"\nleast saving at {rate}: {least:.2f}, target {target:g}: {'met' if least >= target else 'MISSED'}",
            end="",
        )
    print()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cap", type=float, default=4.0, help="values at most, in units of the fixed n")
    parser.add_argument("--quick", action="store_true", help="the table for p0 = .2 and .1 alone")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    rows = [row for p0 in (P0[:2] if arguments.quick else P0) for row in curve(p0, arguments.cap)]
    if arguments.quick:
        show(rows)
        return
    errors = {"below": type_one("below"), "above": type_one("above")}
    streams = ((0.0, 0.01), (0.05, 0.01), (0.5, 0.2))
    cost = {f"rate {rate:g}, p0 {p0:g}": microseconds(rate, p0) for rate, p0 in streams}
    if arguments.json:
        versions = {"python": platform.python_version(), "numpy": np.__version__, "trialist": trialist.__version__}
        result = {"rows": [asdict(row) for row in rows], "type_one": errors, "microseconds": cost}
        print(json.dumps({**result, "machine": platform.machine(), "versions": versions}))
        return
    show(rows)
    print(f"\ntype-I error within {TYPE_ONE_CAP} values at alpha .05, exact")
    for name, found in errors.items():
        print(f"{name}: " + ", ".join(f"{p0:g}: {error:.4f}" for p0, error in found.items()))
    print("\nmicroseconds an update")
    for stream, found in cost.items():
        print(f"{stream}: " + ", ".join(f"{name} {value:.1f}" for name, value in found.items()))


if __name__ == "__main__":
    main()
