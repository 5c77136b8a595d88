"""Question -> the planner of its default method: power, clusters needed, smallest effect."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from trialist.errors import MeasurementUndefined
from trialist.measurement.planning import betting_power as betting
from trialist.measurement.planning import discordant, exact, normal, search, sequential_power
from trialist.measurement.planning.betting_power import BettingClaim, Draw
from trialist.measurement.planning.question import Question

MAX_SIMULATED = 4_000
"""Most clusters that a simulation is asked about."""
PRECISION = 1.02
"""A simulated number of clusters is searched to this ratio: its Monte-Carlo error is larger than that anyway."""
NUM_STEPS = 8


@dataclass(frozen=True)
class Planner:
    """``power`` (clusters, effect) -> (power, Monte-Carlo standard error or 0); ``needed`` (effect) -> clusters;
    ``detectable`` (clusters) -> the effect nearest to none that is seen with the wanted power."""

    method: str
    kind: Literal["exact", "approximate", "simulated"]
    power: Callable[[int, float], tuple[float, float]]
    needed: Callable[[float], int]
    detectable: Callable[[int], float]


def planner(question: Question) -> Planner:
    """For a question that was ``checked``; the method is the one that ``choose`` names for the design."""
    if question.side is None:
        alone = question.binary and question.size == 1 and question.epochs == 1
        return _mcnemar(question) if alone else _jackknife(question)
    if question.situation == "binary" and question.size == 1:
        return _sequential(question) if question.sequential else _clopper_pearson(question)
    return _betting(question)


def _clopper_pearson(q: Question) -> Planner:
    threshold, side = _claim(q)

    def power(n: int, rate: float) -> tuple[float, float]:
        return float(exact.claim_power(rate, n, threshold=threshold, side=side, confidence=q.confidence)), 0.0

    def needed(rate: float) -> int:
        plan = exact.claim_plan(rate, threshold=threshold, side=side, power=q.power, confidence=q.confidence)
        return plan.num_items

    def detectable(n: int) -> float:
        return exact.detectable_rate(n, threshold=threshold, side=side, power=q.power, confidence=q.confidence)

    return Planner("one-sided exact bound (Clopper & Pearson 1934)", "exact", power, needed, detectable)


def _sequential(q: Question) -> Planner:
    threshold, _ = _claim(q)

    def passing(cap: int, rate: float) -> float:
        plan = sequential_power.sequential_plan(rate, cap, threshold=threshold, confidence=q.confidence)
        return plan.passes

    def needed(rate: float) -> int:
        cap = 64
        while True:
            limits = sequential_power.boundaries(cap, threshold=threshold, confidence=q.confidence)
            by = np.cumsum(sequential_power.stopping(rate, limits)[0])
            if by[-1] >= q.power:
                return int(np.argmax(by >= q.power)) + 1
            if cap == sequential_power.MAX_CAP:
                raise search.too_many(q.power)
            cap = min(sequential_power.MAX_CAP, 4 * cap)

    def detectable(cap: int) -> float:
        if passing(cap, 0.0) < q.power:
            raise MeasurementUndefined(
                f"{cap:,} items can't show a rate below {threshold:g}", seen="no event in any of them",
                allowed=f"{needed(0.0):,} items or more",
            )  # fmt: skip
        gap = search.solve(lambda gap: passing(cap, threshold - gap), q.power, 0.0, threshold, halvings=20)
        return threshold - gap

    return Planner(
        "sequential gate, Beta mixture at every item (Robbins 1970)", "exact",
        lambda n, rate: (passing(n, rate), 0.0), needed, detectable,
    )  # fmt: skip


def _mcnemar(q: Question) -> Planner:
    share = q.discordant or 0.0

    def power(n: int, difference: float) -> tuple[float, float]:
        gain, loss = (share + abs(difference)) / 2, max(0.0, (share - abs(difference)) / 2)
        return discordant.mcnemar_power(gain, loss, n, level=q.confidence).power, 0.0

    def needed(difference: float) -> int:
        gain, loss = (share + abs(difference)) / 2, max(0.0, (share - abs(difference)) / 2)
        return discordant.mcnemar_pairs(gain, loss, power=q.power, level=q.confidence)

    return Planner(
        "mid-p McNemar test (Fagerland et al. 2013)", "exact", power, needed,
        lambda n: discordant.mcnemar_detectable(share, n, power=q.power, level=q.confidence),
    )  # fmt: skip


def _jackknife(q: Question) -> Planner:
    def spread(difference: float) -> normal.Spread:
        one = normal.binary_variance(q.discordant or 0.0, difference) if q.binary else (q.sd or 0.0) ** 2
        kept = one * (1 - q.epoch_share + q.epoch_share / q.epochs)
        if kept <= 0:  # every pair moves the same way
            kept = 1e-12
        return normal.Spread(kept, cluster_size=q.size, icc=q.icc)

    def power(num: int, difference: float) -> tuple[float, float]:
        return normal.power(difference, num, spread(difference), level=q.confidence), 0.0

    def needed(difference: float) -> int:
        return normal.num_clusters_needed(difference, spread(difference), power_wanted=q.power, level=q.confidence)

    def detectable(num: int) -> float:
        if not q.binary:
            return normal.detectable(num, spread(0.0), power_wanted=q.power, level=q.confidence)
        most = q.discordant or 0.0
        if power(num, most)[0] < q.power:
            raise _too_few(num, most)
        return search.solve(lambda d: power(num, d)[0], q.power, 0.0, most)

    unit = "clusters" if q.size > 1 else "items"
    return Planner(
        f"t with one degree of freedom fewer than {unit} (jackknife)", "approximate", power, needed, detectable
    )


def _betting(q: Question) -> Planner:
    threshold, side = _claim(q)
    low, high = (0.0, 1.0) if q.situation == "binary" else (-1.0, 1.0) if q.binary else (q.low, q.high)
    claim = BettingClaim(side, low, high, q.confidence, paired_binary=q.situation == "paired binary")

    def power(num: int, effect: float) -> tuple[float, float]:
        if num > MAX_SIMULATED:
            raise MeasurementUndefined(
                "too many clusters to simulate", seen=f"{num:,}", allowed=f"up to {MAX_SIMULATED:,}",
                next_step="plan for a smaller sample or a larger effect",
            )  # fmt: skip
        # The same seed for every size and effect, so that power hardly jumps between neighbours.
        found = betting.betting_power(
            _draw(q, effect), num, threshold=threshold, generator=np.random.default_rng(q.seed), claim=claim,
            repetitions=q.repetitions,
        )  # fmt: skip
        return found.power, found.error

    def needed(effect: float) -> int:
        high = _fewest(lambda num: power(num, effect)[0], q.power)
        margin = threshold if side == "below" else -threshold
        if claim.paired_binary and margin > 0:
            for trough in _troughs(high, margin, q.confidence):
                if power(trough, effect)[0] < q.power:
                    return trough + 1
        return high

    def detectable(num: int) -> float:
        best = _best(q, low, high)
        sign = 1.0 if best > threshold else -1.0
        if power(num, best)[0] < q.power:
            raise _too_few(num, best)
        most = abs(best - threshold)
        gap = search.solve(
            lambda gap: power(num, threshold + sign * gap)[0] if gap < most else 1.0, q.power, 0.0, most,
            halvings=NUM_STEPS,
        )  # fmt: skip
        return threshold + sign * gap

    name = "exact bound on losing clusters or betting bound, the better one" if claim.paired_binary else "betting bound"
    name = f"{name}, over clusters (Waudby-Smith & Ramdas 2024)"
    return Planner(name, "simulated", power, needed, detectable)


def _fewest(power: Callable[[int], float], target: float) -> int:
    """Clusters that reach a simulated power, to the ratio ``PRECISION``."""
    high = 8
    while power(high) < target:
        if high == MAX_SIMULATED:
            raise search.too_many(target)
        high = min(MAX_SIMULATED, 2 * high)
    low = high // 2
    while high > max(low + 1, low * PRECISION):
        middle = (low + high) // 2
        low, high = (low, middle) if power(middle) >= target else (middle, high)
    return high


def _troughs(num: int, margin: float, confidence: float) -> list[int]:
    """Sizes above ``num``, at most twice it, the largest first, after which one more losing cluster is allowed: there
    the exact bound's power is lowest before it jumps. The nearest dozen."""
    sizes = np.arange(num, min(2 * num, MAX_SIMULATED) + 1)
    allowed = exact.critical_counts(sizes, margin, 1 - (1 - confidence) / 2)
    return [int(n) for n in sizes[:-1][np.diff(allowed) > 0][:12]][::-1]


def _best(q: Question, low: float, high: float) -> float:
    """The true value furthest on the claimed side that the design can have."""
    if q.situation == "paired binary":
        most = q.discordant or 0.0
        return most if q.side == "above" else -most
    end = high if q.side == "above" else low
    if q.binary:
        return end
    # A graded mean at this spread can't come nearer to its end than where the spread is the largest possible one.
    spread = (_cluster_sd(q) / (high - low)) ** 2
    if spread >= 0.25:
        raise MeasurementUndefined(
            "scores can't spread like that", seen=f"sd {q.sd}", allowed=f"below {(high - low) / 2:g}"
        )
    edge = (1 - math.sqrt(1 - 4 * spread)) / 2 * 1.0001
    return high - (high - low) * edge if q.side == "above" else low + (high - low) * edge


def _draw(q: Question, effect: float) -> Draw:
    if q.situation == "binary":
        return betting.clustered_binary(effect, cluster_size=q.size, icc=q.icc)
    if q.situation == "paired binary":
        share = q.discordant or 0.0
        gain, loss = max(0.0, (share + effect) / 2), max(0.0, (share - effect) / 2)
        return betting.paired_binary(gain, loss, cluster_size=q.size, icc=q.icc)
    return betting.graded(effect, _cluster_sd(q), low=q.low, high=q.high)


def _cluster_sd(q: Question) -> float:
    return (q.sd or 0.0) * math.sqrt((1 + (q.size - 1) * q.icc) / q.size)


def _claim(q: Question) -> tuple[float, Literal["below", "above"]]:
    if q.threshold is None or q.side is None:
        raise ValueError("a claim was promised")
    return q.threshold, q.side


def _too_few(num: int, most: float) -> MeasurementUndefined:
    return MeasurementUndefined(
        f"{num:,} clusters can't show this with the wanted power, however large the effect",
        seen=f"the largest possible effect is {most:g}",
        next_step="take more clusters, or a smaller power",
    )
