"""Type-I error of every sequential rule on streams at the edge of its null, looked at after every value.

    OMP_NUM_THREADS=1 python benchmarks/type_one.py [--repetitions 20000] [--alpha .05]

A rule errs where its evidence ever reaches 1 / alpha within the stream. A fixed-n test that is looked at after every
value stands beside them as the control: what stopping early costs when nobody pays for it.
"""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Callable
from multiprocessing import Pool

import numpy as np
from rich.progress import track

from trialist.measurement import check
from trialist.measurement.interval import normal_quantile
from trialist.measurement.proportions import clopper_pearson
from trialist.measurement.sample import Floats
from trialist.measurement.sequential.bounded import walk
from trialist.measurement.sequential.rate import RateProcess
from trialist.measurement.sequential.variates import ControlVariate
from trialist.measurement.sequential.wealth import UNIVERSAL, Path, log_path
from trialist.measurement.stress_streams import StreamCase, stream_cases

Rule = Callable[[StreamCase, Floats, float], bool]


def rate_process(case: StreamCase, values: Floats, alpha: float) -> bool:
    process = RateProcess(case.p0, shows="below")
    for value in values.tolist():
        process.update(value)
    return process.max_log_e >= -math.log(alpha)


def bounded_process(case: StreamCase, values: Floats, alpha: float) -> bool:
    path = Path(values, values, np.zeros_like(values), np.ones_like(values)).mirrored()
    return bool(log_path(path, 1 - case.p0, None, UNIVERSAL).max() >= -math.log(alpha))


def bank_process(case: StreamCase, values: Floats, alpha: float) -> bool:
    path = Path(values, values, np.zeros_like(values), np.ones_like(values)).mirrored()
    evidence = log_path(path, 1 - case.p0, len(values), UNIVERSAL)[:-1]  # after the last value nothing is unknown
    return bool(evidence.max() >= -math.log(alpha))


def against_predictor(case: StreamCase, values: Floats, alpha: float) -> bool:
    """A control variate that predicts the opposite of what is in the bank."""
    sampling = ControlVariate(np.arange(len(values)), lambda *_: 1 - values)
    path = walk(values.tolist(), sampling).mirrored()
    return bool(log_path(path, 1 - case.p0, len(values), UNIVERSAL)[:-1].max() >= -math.log(alpha))


def peeking_z(case: StreamCase, values: Floats, alpha: float) -> bool:
    """The control: the one-sided z test for a mean, looked at after every value from the thirtieth on."""
    n = np.arange(1, len(values) + 1)
    mean = np.cumsum(values) / n
    spread = np.maximum(np.cumsum(values**2) / n - mean**2, 0.0)
    low = mean + normal_quantile(1 - 2 * alpha) * np.sqrt(spread / n) < case.p0
    return bool((low & (spread > 0))[29:].any())


RULES: dict[str, Rule] = {
    "rate e-process": rate_process,
    "betting": bounded_process,
    "betting, without replacement": bank_process,
    "betting, opposite control variate": against_predictor,
    "control: z, peeking": peeking_z,
}


def applies(name: str, case: StreamCase) -> bool:
    if "replacement" in name or "variate" in name:
        return case.bank
    return not case.bank or "control:" in name


def run_job(job: tuple[int, str, int, float]) -> check.TypeOne:
    number, name, repetitions, alpha = job
    case = stream_cases()[number]
    generator = np.random.default_rng(number)
    return check.type_one(
        lambda values: RULES[name](case, values, alpha), case.draw, repetitions=repetitions, generator=generator
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=20_000)
    parser.add_argument("--alpha", type=float, default=0.05)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    jobs = [
        (number, name, options.repetitions, options.alpha)
        for number, case in enumerate(stream_cases())
        for name in RULES
        if applies(name, case)
    ]
    with Pool(options.processes) as pool:
        found = list(track(pool.imap(run_job, jobs), total=len(jobs), description="streams"))
    print("| stream | rule | type-I error | |\n|---|---|---|---|")
    for (number, name, *_), result in zip(jobs, found, strict=True):
        shown = clopper_pearson(result.rejected, result.repetitions, 1 - 0.02 / len(jobs)).low > options.alpha
        said = f"above {options.alpha:g}" if shown else ""
        print(f"| {stream_cases()[number].name} | {name} | {result.share:.4f} | {said} |")


if __name__ == "__main__":
    main()
