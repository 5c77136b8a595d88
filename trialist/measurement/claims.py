"""A threshold and the bounds of an estimate -> PASS, FAIL or UNDECIDED; a margin and bounds -> a word."""

from __future__ import annotations

import re
from dataclasses import dataclass

from trialist.errors import MeasurementUndefined
from trialist.measurement.equivalence import equivalent
from trialist.measurement.interval import check_share
from trialist.records import Estimate, Side, Verdict
from trialist.wording import format_threshold, format_value


@dataclass(frozen=True)
class Threshold:
    """The claim that the quantity lies on ``side`` of ``value``, to be shown with ``confidence``."""

    side: Side
    value: float
    confidence: float = 0.95


def threshold_of(text: str, confidence: float = 0.95) -> Threshold:
    """``below .05`` or ``above -0.03``. Raises MeasurementUndefined for anything else."""
    match = re.fullmatch(r"\s*(below|above)\s+([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*", text)
    if match is None:
        raise MeasurementUndefined("a claim that can't be read", seen=text, allowed="below NUMBER or above NUMBER")
    side: Side = "below" if match[1] == "below" else "above"
    return Threshold(side, float(match[2]), check_share("confidence", confidence))


def judge(estimate: Estimate, claim: Threshold) -> tuple[Verdict, str]:
    """PASS: the bound on the claim's side excludes the threshold. FAIL: the opposite bound does. UNDECIDED: neither, or
    there are no bounds; the reason says which."""
    if estimate.lower is None or estimate.upper is None:
        return "UNDECIDED", estimate.reason or "there are no bounds"
    signed = estimate.contrast is not None
    passing, failing = (estimate.upper, estimate.lower) if claim.side == "below" else (estimate.lower, estimate.upper)
    passed = passing < claim.value if claim.side == "below" else passing > claim.value
    failed = failing > claim.value if claim.side == "below" else failing < claim.value
    names = ("upper", "lower") if claim.side == "below" else ("lower", "upper")
    name, bound = (names[1], failing) if failed else (names[0], passing)
    said = format_value(bound, signed=signed, apart_from=claim.value)
    limit = format_threshold(claim.value, signed=signed)
    verdict: Verdict = "PASS" if passed else "FAIL" if failed else "UNDECIDED"
    return verdict, f"{claim.side} {limit} at {claim.confidence:g}: {name} bound {said}"


def words(estimate: Estimate, margin: float | None = None) -> str:
    """better, worse, equivalent (within the margin) or can't tell, from an estimate's one-sided bounds; without a
    margin nothing is equivalent. Larger is taken as better."""
    if estimate.lower is None or estimate.upper is None:
        return "can't tell"
    if margin is not None:
        return equivalent(estimate.lower, estimate.upper, margin)
    return "better" if estimate.lower > 0 else "worse" if estimate.upper < 0 else "can't tell"
