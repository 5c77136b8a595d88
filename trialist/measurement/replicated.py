"""What a method makes: several training runs (or attack runs) of one arm, on the same items.

Runs and clusters of items cut across each other, so neither rows nor runs alone are independent. To describe, the
two-way cluster-robust variance. To claim, every cluster of items is given to one run, drawn before the data: then runs
are independent draws of (run, clusters) and betting over them holds at any number of runs. On a fixed bank the items
don't vary, and the means of the runs on all of them are the independent draws.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from trialist.measurement import betting, clustered
from trialist.measurement.choose import Bank, Choice
from trialist.measurement.crossed import FEWEST_CLUSTERS
from trialist.measurement.describing import describe
from trialist.measurement.interval import Interval, t_quantile
from trialist.measurement.sample import Floats, Ints, Sample
from trialist.measurement.uncertainty import Uncertainty, by_method, point, refused
from trialist.records import Cell

MIN_RUNS = 2
SAMPLED_BANK = Choice(
    None, "runs that were asked the same sample of a bank share its luck, and no method here adds the two up",
    "population='process', or all items of the bank in every run",
)  # fmt: skip


def runs(cells: list[Cell], cell: Cell, contrast: Cell | None) -> list[tuple[Cell, Cell | None]]:
    """The runs of the cell's arm, threat and dose among ``cells``, each with the contrast's run of the same number; a
    contrast with a single run stands beside all."""
    found = _runs_of(cells, cell)
    if contrast is None:
        return [(one, None) for one in found]
    others = _runs_of(cells, contrast)
    if len(others) == 1:
        return [(one, others[0]) for one in found]
    by_number = {(one.replicate, one.attack_run): one for one in others}
    paired = [(one, by_number.get((one.replicate, one.attack_run))) for one in found]
    return [(one, other) for one, other in paired if other is not None] or [(cell, contrast)]


def together(samples: list[Sample]) -> Sample:
    """All runs as one sample: rows are items x runs, and the run is the second facet. One run stays as it is."""
    first = samples[0]
    if len(samples) == 1:
        return first
    number = np.repeat(np.arange(len(samples)), [len(s.ids) for s in samples])
    return replace(
        first,
        ids=np.concatenate([s.ids for s in samples]),
        values=np.concatenate([s.values for s in samples]),
        weights=np.concatenate([s.weights for s in samples]),
        scored=np.concatenate([s.scored for s in samples]),
        cluster=clustered.compact(np.concatenate([s.named_cluster for s in samples])),
        named_cluster=np.concatenate([s.named_cluster for s in samples]),
        num_epochs=np.concatenate([s.num_epochs for s in samples]),
        within=None,
        plain=all(s.plain for s in samples),
        binary=all(s.binary for s in samples),
        num_unmatched=sum(s.num_unmatched for s in samples),
        second=number,
        gold=None,
    )  # fmt: skip


def describe_runs(samples: list[Sample], sample: Sample, level: float, bank: Bank | None) -> Uncertainty:
    """Two-way interval over clusters and runs; on a fixed bank, or for a function of means, t over the runs."""
    if len(samples) < MIN_RUNS:
        return refused(_too_few(len(samples)))
    if not all(one.scored.any() for one in samples):
        return refused(Choice(None, "no interval: some run has no scored items", "score every run, or leave it out"))
    if bank is not None and bank.sampled < bank.size:
        return refused(SAMPLED_BANK, "no interval: ")
    if bank is None and sample.plain:
        if len(samples) < FEWEST_CLUSTERS:
            return refused(_too_few(len(samples), fewest=FEWEST_CLUSTERS))
        return describe(sample, level)
    values = _values(samples)
    if values is None:
        return Uncertainty("none", reason="the metric is undefined in one of the runs")
    if bank is None:
        reason = "no interval: a function of means over items and runs has no method here"
        return refused(Choice(None, reason, "population='bank' for these items, or about='artefact'"))
    error = float(values.std(ddof=1)) / len(values) ** 0.5
    if error <= 0:
        return Uncertainty("none", reason="no interval: all runs have the same value", next_step="more runs")
    half = t_quantile(level, len(values) - 1) * error
    mean, metric = float(values.mean()), sample.metric
    found = Interval(max(metric.low, mean - half), min(metric.high, mean + half))
    return by_method("t", found, degrees=len(values) - 1, text="t interval over the runs of the method")


def claim_runs(samples: list[Sample], sample: Sample, confidence: float, bank: Bank | None) -> Uncertainty:
    """Betting bounds over runs, each with its own share of the clusters (of a fixed bank: all of them)."""
    if len(samples) < MIN_RUNS:
        return refused(_too_few(len(samples), "no bounds"))
    if bank is not None and bank.sampled < bank.size:
        return refused(SAMPLED_BANK, "no bounds: ")
    low, high = sample.metric.low, sample.metric.high
    if not (sample.plain and np.isfinite([low, high]).all()):
        reason = "no bounds: no method with a guaranteed error exists here for this metric over several runs"
        return refused(Choice(None, reason, "claim the mean of one bounded measure"))
    below, above = ([s.filled(best) for s in samples] for best in (0, 1))
    lowest, highest = (_draws([s for s in side if s is not None], fixed=bank is not None) for side in (below, above))
    if len(lowest[0]) < len(samples) or len(highest[0]) < len(samples):
        return refused(Choice(None, "no bounds: some run has no items", "fewer runs than clusters are needed"))
    interval = Interval(
        betting.lower_mean(*lowest, low=low, high=high, confidence=confidence),
        betting.upper_mean(*highest, low=low, high=high, confidence=confidence),
    )
    how = "each on all items of the bank" if bank is not None else "each on its own share of the clusters"
    return by_method("betting", interval, text=f"one-sided betting bounds over {len(samples)} runs, {how}")


def _draws(samples: list[Sample], *, fixed: bool) -> tuple[Floats, Floats]:
    """One independent value a run, and its size: the total weight of the run's clusters, or 1 on a fixed bank."""
    parts = samples
    if not fixed:
        owner = _owners(max(int(s.named_cluster.max(initial=-1)) + 1 for s in samples), len(samples))
        parts = [s.only(owner[s.named_cluster] == number) for number, s in enumerate(samples)]
    found = [(value, float(part.weights[:, 0].sum())) for part in parts if (value := point(part)) is not None]
    values, sizes = (np.array([pair[k] for pair in found], dtype=np.float64) for k in (0, 1))
    return values, np.ones_like(values) if fixed else sizes


def _owners(num_clusters: int, num_runs: int) -> Ints:
    """Which run each cluster is given to: a fixed random split, as even as it can be."""
    order = np.random.PCG64(0).random_raw(num_clusters).argsort()
    owner = np.empty(num_clusters, dtype=np.int64)
    owner[order] = np.arange(num_clusters) % num_runs
    return owner


def _values(samples: list[Sample]) -> Floats | None:
    values = [point(one) for one in samples]
    return None if any(value is None for value in values) else np.array(values, dtype=np.float64)


def _runs_of(cells: list[Cell], cell: Cell) -> list[Cell]:
    place = (cell.arm, cell.threat, cell.dose)
    return sorted(one for one in cells if (one.arm, one.threat, one.dose) == place) or [cell]


def unmatched(cells: list[Cell], cell: Cell, contrast: Cell | None) -> int:
    """Runs of either arm that have no run of the same number in the other, and so are left out."""
    if contrast is None:
        return 0
    own, others = _runs_of(cells, cell), _runs_of(cells, contrast)
    return 0 if len(others) == 1 else len(own) + len(others) - 2 * len(runs(cells, cell, contrast))


def _too_few(num_runs: int, what: str = "no interval", fewest: int = MIN_RUNS) -> Choice:
    runs_said = f"{num_runs} run{'' if num_runs == 1 else 's'} of the method"
    reason = f"{what}: {runs_said}, its spread over items and runs needs at least {fewest}"
    return Choice(None, reason, "more replicates of the arm, or about='artefact'")
