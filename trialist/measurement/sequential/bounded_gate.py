"""The gate for a bounded mean or a paired difference: two betting processes around one threshold."""

from __future__ import annotations

from trialist.errors import MeasurementUndefined
from trialist.measurement.sequential.bounded import BoundedProcess, Sampling, Scale, Shows, check_items, check_shows
from trialist.measurement.sequential.gate import Gate
from trialist.measurement.sequential.wealth import designed


def bounded_gate(
    threshold: float,
    *,
    claim: Shows,
    gap: float,
    alpha: float = 0.05,
    beta: float = 0.05,
    cap: int | None = None,
    low: float = 0.0,
    high: float = 1.0,
    num_items: int | None = None,
    sampling: Sampling | None = None,
) -> Gate:
    """PASS shows that the mean lies on the side ``claim`` of the threshold, FAIL that it lies on the other one.

    P(PASS) <= alpha if the claim is false, P(FAIL) <= beta if it is true, at the boundary both. ``gap`` is the
    distance between threshold and mean at which the bets are best, in the units of the values: choose it before the
    data; another true gap costs answers and never validity. A paired difference has low = -1, high = 1: 'loses less
    than the margin' is ``bounded_gate(-margin, claim="above", low=-1, high=1, ...)``, 'is better' has the threshold
    0.

    ``num_items`` or a ``sampling`` for a bank without replacement; then the cap is the whole bank unless said
    otherwise, and only a mean exactly at the threshold stays UNDECIDED. With replacement a ``cap`` is needed. A
    missing answer counts as the worst for the claim in the pass process and as the best in the other; this holds with
    a control variate too, since the increment rises with the value and the sum of what was seen can only move the
    same way.
    """
    bank = check_items(num_items, sampling, Scale.make(low, high))
    limit = cap if cap is not None else bank
    if limit is None or (bank is not None and limit > bank):
        raise MeasurementUndefined(
            "a gate needs a cap of values, at most the bank",
            seen=f"cap {cap}, {bank} items",
            next_step="give cap, or num_items for sampling without replacement",
        )
    other: Shows = "below" if check_shows(claim) == "above" else "above"
    passing, failing = (
        BoundedProcess(threshold, shows=side, low=low, high=high, num_items=bank, bets=designed(gap), sampling=sampling)
        for side in (claim, other)
    )
    worst, best = (low, high) if claim == "above" else (high, low)
    return Gate(passing, failing, alpha=alpha, beta=beta, cap=limit, missing=(worst, best))
