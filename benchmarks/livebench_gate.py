"""How many answers a sequential gate needs on LiveBench, against a fixed sample, and how often it errs.

    python benchmarks/livebench_gate.py --repetitions 20 [--json]

Each of 41 models in turn is the new one. The gate decides whether its mean over the 1136 questions lies above or
below a threshold, which stands at a known distance, the gap, from its true mean, on either side. Predictors see
models of other families only. Bets were tuned on the families in ``TUNED_ON``; what is printed is from the others.
Needs the file response_matrices/livebench_13012025.parquet below TRIALIST_DATA, or ../shared/data beside the project.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import ndtri

from trialist.measurement.proportions import clopper_pearson
from trialist.measurement.sequential import wealth
from trialist.measurement.sequential.bounded import walk
from trialist.measurement.sequential.predictors import FactorRidge, Predictor, mean_of_others
from trialist.measurement.sequential.variates import ControlVariate, random_order
from trialist.measurement.sequential.wealth import designed, log_path

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

ROOT = Path(__file__).resolve().parent.parent
ALPHA = BETA = 0.05
POWER = 0.90
DESIGN_GAP = 0.05
GAPS = (0.025, 0.05, 0.10, 0.15)
FAMILIES = {
    "claude": "claude",
    "gpt": "gpt",
    "chatgpt": "gpt",
    "gemini": "google",
    "gemma": "google",
    "meta-llama": "llama",
    "coding-meta-llama": "llama",
    "deepseek": "deepseek",
    "mistral": "mistral",
    "open-mistral": "mistral",
    "command-r": "command",
    "phi": "phi",
}
TUNED_ON = ("claude", "deepseek", "google", "mistral")

MakePredictor = Callable[[Floats, np.random.Generator], Predictor]


# ------------------------------------------------------------------------------------------------------------ data


@dataclass(frozen=True)
class Bank:
    scores: Floats
    """Shape (questions, models), in [0, 1]."""
    families: list[str]

    def others(self, model: int) -> Floats:
        """Answers of the models of other families."""
        return self.scores[:, [family != self.families[model] for family in self.families]]

    def reported(self) -> list[int]:
        return [j for j, family in enumerate(self.families) if family not in TUNED_ON]


def load() -> Bank:
    """Questions by models: the first of duplicates, models with less than 2 % missing, then complete questions."""
    root = Path(os.environ.get("TRIALIST_DATA") or ROOT.parent / "shared" / "data")
    table = pl.read_parquet(root / "response_matrices/livebench_13012025.parquet")
    table = table.unique(["question_id", "model"], keep="first", maintain_order=True)
    wide = table.pivot(on="model", index="question_id", values="score")
    names = [name for name in wide.columns[1:] if wide[name].null_count() < 0.02 * len(wide)]
    scores = wide.select(names).drop_nulls().to_numpy().astype(np.float64)
    return Bank(scores, [family_of(name) for name in names])


def family_of(name: str) -> str:
    (found,) = {family for prefix, family in FAMILIES.items() if name.lower().startswith(prefix)}
    return found


# ------------------------------------------------------------------------------------------------------ predictors


def flipping(others: Floats) -> Predictor:
    """Right and wrong by turns, so that the coefficient learnt from the past is always the wrong one."""
    means = others.mean(axis=1)
    calls = [0]

    def predict(items: Ints, values: Floats, /) -> Floats:
        calls[0] += 1
        return means if calls[0] % 2 else 1 - means

    return predict


def noise(others: Floats, generator: np.random.Generator) -> Predictor:
    return lambda items, values, /: generator.random(len(others))


def anti(others: Floats) -> Predictor:
    """Learns from the past what the model answers, and says the opposite."""
    honest = FactorRidge(others)
    return lambda items, values, /: 1 - honest(items, values)


PREDICTORS: dict[str, MakePredictor | None] = {
    "none": None,
    "mean of others": lambda others, generator: mean_of_others(others),
    "factor ridge": lambda others, generator: FactorRidge(others),
    "1 - mean of others": lambda others, generator: mean_of_others(1 - others),
    "noise": noise,
    "constant": lambda others, generator: mean_of_others(np.full((len(others), 1), 0.7)),
    "anti-predicting": lambda others, generator: anti(others),
    "flipping": lambda others, generator: flipping(others),
}
HONEST = ("none", "mean of others", "factor ridge")


# ---------------------------------------------------------------------------------------------------- fixed sample


def fixed_size(variance: float, num_items: int) -> int:
    """Answers for a one-sided normal test of level ALPHA with POWER at the design gap: n0 = (z_a + z_b)^2 s^2 / D^2,
    and n = n0 / (1 + n0 / N) for a finite bank (Cochran 1977, section 4.6). The variance is the model's true one."""
    n0 = (float(ndtri(1 - ALPHA)) + float(ndtri(POWER))) ** 2 * variance / DESIGN_GAP**2
    return math.ceil(n0 / (1 + n0 / num_items))


def fixed_test_rejects(values: Floats, n: int, distance: float) -> bool:
    """z test with the finite population correction on the first ``n`` of ``values``, that the mean exceeds a
    threshold which is ``distance`` below the true mean."""
    seen, num_items = values[:n], len(values)
    error = math.sqrt(float(seen.var(ddof=1)) * (1 - n / num_items) / n)
    return float(seen.mean()) - (float(values.mean()) - distance) > float(ndtri(1 - ALPHA)) * error


def residual_variance(x: Floats, others: Floats) -> float:
    """What the mean of others leaves of a model's variance, with the best coefficient."""
    return float(x.var(ddof=1)) * (1 - float(np.corrcoef(x, others.mean(axis=1))[0, 1]) ** 2)


# ------------------------------------------------------------------------------------------------------------ runs


@dataclass(frozen=True)
class Runs:
    """One entry for each model, order and side."""

    calls: Floats
    fixed: Floats
    model: Ints
    wrong: int
    undecided: int
    decided_by_fixed: int

    def row(self, predictor: str, gap: float) -> dict[str, Any]:
        models = np.unique(self.model)
        each = [self.fixed[self.model == j].mean() / self.calls[self.model == j].mean() for j in models]
        return {
            "predictor": predictor,
            "gap": gap,
            "calls": round(float(self.calls.mean()), 1),
            "p90": float(np.quantile(self.calls, 0.9)),
            "fixed": round(float(self.fixed.mean()), 1),
            "ratio": round(float(self.fixed.mean() / self.calls.mean()), 2),
            "mean_of_ratios": round(float(np.mean(each)), 2),
            "worst_model": round(float(np.min(each)), 2),
            "decided_by_fixed_n": round(self.decided_by_fixed / len(self.calls), 3),
            "wrong": self.wrong,
            "undecided": self.undecided,
            "runs": len(self.calls),
        }


@dataclass
class Tally:
    """What one predictor did: runs away from the threshold, and crossings at the boundary."""

    calls: dict[float, list[tuple[int, int, int, bool, bool]]]
    crossings: int = 0
    boundary: int = 0

    def runs(self, gap: float) -> Runs:
        rows = self.calls[gap]
        calls, fixed, model, wrong, undecided = (np.array(column) for column in zip(*rows, strict=True))
        early = int(((calls <= fixed) & ~undecided & ~wrong).sum())
        return Runs(calls, fixed, model, int(wrong.sum()), int(undecided.sum()), early)


def orders(bank: Bank, repetitions: int) -> list[tuple[int, Ints]]:
    """The same random orders for every predictor."""
    generator = np.random.default_rng(2026)
    num_items = len(bank.scores)
    return [(j, random_order(num_items, generator)) for j in bank.reported() for _ in range(repetitions)]


def measure(bank: Bank, make: MakePredictor | None, asked: list[tuple[int, Ints]], gaps: tuple[float, ...]) -> Tally:
    tally = Tally({gap: [] for gap in gaps})
    generator = np.random.default_rng(7)
    bets, num_items = designed(DESIGN_GAP), len(bank.scores)
    for model, order in asked:
        x = bank.scores[order, model]
        mean = float(x.mean())
        fixed = fixed_size(float(x.var(ddof=1)), num_items)
        path = follow(bank, model, order, make, generator)
        sides = {"pass": path, "fail": path.mirrored()}

        def crossing(name: str, m: float, sides: dict[str, wealth.Path] = sides, limit: float = ALPHA) -> int | None:
            """Values until ``name`` is declared at the threshold ``m``."""
            level = m if name == "pass" else 1 - m
            over = log_path(sides[name], level, num_items, bets) >= math.log(1 / limit)
            return int(over.argmax()) + 1 if over.any() else None

        for gap in gaps:
            for right, wrong, threshold in (("pass", "fail", mean - gap), ("fail", "pass", mean + gap)):
                if not 0 < threshold < 1:
                    continue
                good, bad = crossing(right, threshold), crossing(wrong, threshold)
                first = min(good or num_items, bad or num_items)
                failed = bad is not None and (good is None or bad < good)
                tally.calls[gap].append((first, fixed, model, failed, good is None and bad is None))
        tally.crossings += sum(crossing(name, mean) is not None for name in sides)
        tally.boundary += 2
    return tally


def follow(
    bank: Bank, model: int, order: Ints, make: MakePredictor | None, generator: np.random.Generator
) -> wealth.Path:
    x = bank.scores[order, model]
    if make is None:
        return wealth.Path(x, x, np.zeros_like(x), np.ones_like(x))
    return walk(x.tolist(), ControlVariate(order, make(bank.others(model), generator)))


def file_order(bank: Bank) -> list[tuple[int, Ints]]:
    """The positive control: the questions as the file lists them, task by task."""
    return [(j, np.arange(len(bank.scores))) for j in range(len(bank.families))]


def fixed_power(bank: Bank, asked: list[tuple[int, Ints]]) -> float:
    """How often the fixed test with its own n declares the right side at the design gap."""
    hits = []
    for model, order in asked:
        x = bank.scores[order, model]
        n = fixed_size(float(x.var(ddof=1)), len(x))
        hits += [fixed_test_rejects(x, n, DESIGN_GAP), fixed_test_rejects(1 - x, n, DESIGN_GAP)]
    return float(np.mean(hits))


def boundary_row(predictor: str, tally: Tally) -> dict[str, Any]:
    limits = clopper_pearson(tally.crossings, tally.boundary, 0.95)
    share = round(tally.crossings / tally.boundary, 4)
    return {
        "predictor": predictor,
        "share": share,
        "low": round(limits.low, 4),
        "high": round(limits.high, 4),
        "tests": tally.boundary,
    }


# ----------------------------------------------------------------------------------------------------------- print


def show(found: dict[str, Any]) -> None:
    print("| predictor | gap | mean calls | 90th percentile | fixed n | ratio | mean of models' ratios | worst model | "
          "right by fixed n | wrong | undecided |")  # fmt: skip
    print("|---" * 11 + "|")
    for r in found["rows"]:
        print(f"| {r['predictor']} | {r['gap']} | {r['calls']} | {r['p90']:.0f} | {r['fixed']} | {r['ratio']} | "
              f"{r['mean_of_ratios']} | {r['worst_model']} | {r['decided_by_fixed_n']} | {r['wrong']} of {r['runs']} | "
              f"{r['undecided']} |")  # fmt: skip
    print("\n| at the boundary | crossed | 95 % Monte Carlo interval | tests |\n|---|---|---|---|")
    for r in found["boundary"]:
        print(f"| {r['predictor']} | {r['share']} | [{r['low']}, {r['high']}] | {r['tests']} |")
    print("\n" + ", ".join(f"{name}: {value}" for name, value in found["facts"].items()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=15, help="random orders for each model (default 15)")
    parser.add_argument("--json", action="store_true", help="print one line of JSON instead of tables")
    options = parser.parse_args()
    started = time.perf_counter()
    bank = load()
    asked = orders(bank, options.repetitions)
    rows: list[dict[str, Any]] = []
    boundary: list[dict[str, Any]] = []
    for name, make in PREDICTORS.items():
        gaps = GAPS if name in HONEST else (DESIGN_GAP,)
        tally = measure(bank, make, asked, gaps)
        rows += [tally.runs(gap).row(name, gap) for gap in gaps]
        boundary.append(boundary_row(name, tally))
    control = measure(bank, None, file_order(bank), ())
    boundary.append(boundary_row("none, in the order of the file", control))
    reported = bank.reported()
    variances = {j: float(bank.scores[:, j].var(ddof=1)) for j in reported}
    left = {j: residual_variance(bank.scores[:, j], bank.others(j)) for j in reported}
    num_items = len(bank.scores)
    facts = {
        "models": len(reported),
        "questions": num_items,
        "fixed n with the same control variate": round(
            float(np.mean([fixed_size(v, num_items) for v in left.values()])), 1
        ),
        "share of variance left": round(sum(left.values()) / sum(variances.values()), 3),
        "power of the fixed test": round(fixed_power(bank, asked), 3),
        "bets": asdict(designed(DESIGN_GAP)),
        "seconds": round(time.perf_counter() - started, 1),
    }
    found = {"rows": rows, "boundary": boundary, "facts": facts}
    if options.json:
        print(json.dumps(found))
    else:
        show(found)


if __name__ == "__main__":
    main()
