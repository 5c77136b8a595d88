"""Measuring without a trial: scores that you have, a gate that stops by itself, a judge with a few gold labels.

python examples/measure_scores.py
"""

from __future__ import annotations

import numpy as np
import polars as pl

from trialist.measurement.judged.choose import judged_estimate
from trialist.measurement.proportions import num_runs_needed
from trialist.measurement.sequential.design import rate_design
from trialist.measurement.sequential.gate import rate_gate, verify

generator = np.random.default_rng(0)


def table_of_scores() -> None:
    """Two models on 60 questions with 4 paraphrases each: ``trialist estimate`` says the rest."""
    question = np.repeat(np.arange(60), 4)
    rates = generator.beta(3, 2, 60)[question]
    for name, shift in (("base", 0.0), ("tuned", 0.08)):
        right = generator.random(240) < np.clip(rates + shift, 0, 1)
        columns = {"item": [f"{q}/{j % 4}" for j, q in enumerate(question)], "cluster": question, "score": right}
        pl.DataFrame(columns).write_csv(f"{name}.csv")
    print("trialist estimate base.csv tuned.csv --compare tuned base --margin .1")


def gate_that_stops() -> None:
    """Is the failure rate below one in twenty? Ask until it is known; here it is one in two hundred."""
    gate = rate_gate(rate_design(0.05))
    while gate.verdict is None:
        gate.update(float(generator.random() < 0.005))
    certificate = gate.certificate()
    problems = verify(certificate, gate.values)
    print(f"{certificate.verdict} after {certificate.num_seen} answers; checks: {problems or 'ok'}")
    print(f"a fixed sample needs {num_runs_needed(0.05)} clean runs, and may be looked at once")


def judge_with_gold() -> None:
    """A judge scored 2,000 answers, people 150 of them."""
    truth = generator.random(2000) < 0.1
    judge = np.where(generator.random(2000) < 0.08, ~truth, truth).astype(float)
    gold = np.full(2000, np.nan)
    labelled = generator.permutation(2000)[:150]
    gold[labelled] = truth[labelled]
    described = judged_estimate(judge, gold)
    claimed = judged_estimate(judge, gold, purpose="claim")
    assert described.interval is not None
    print(f"the judge alone says {judge.mean():.3f}; with gold labels {described.value:.3f}", end=" ")
    print(f"[{described.interval.low:.3f}, {described.interval.high:.3f}], at most {claimed.upper:.3f}")


if __name__ == "__main__":
    table_of_scores()
    gate_that_stops()
    judge_with_gold()
