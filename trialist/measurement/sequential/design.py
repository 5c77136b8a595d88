"""The design of a gate on one rate, and the fixed-n exact test that it stands against."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import bdtr, bdtrik

from trialist.errors import MeasurementUndefined
from trialist.measurement.interval import check_share
from trialist.measurement.sequential.rate import Beta, RateProcess, default_prior

CAP_FACTOR = 4
"""Default cap, in units of the fixed-n test's n."""
MAX_FIXED = 10_000_000


@dataclass(frozen=True)
class FixedDesign:
    """The exact one-sided test: show "rate < p0" if at most ``critical`` of ``num_values`` values are events."""

    num_values: int
    critical: int
    error: float
    """P(shown) at p0: at most alpha."""
    power: float
    """P(shown) at the rate the design is for."""


def fixed_design(p0: float, *, alpha: float = 0.05, power: float = 0.9, at: float | None = None) -> FixedDesign:
    """The smallest n with a critical count c such that P(Bin(n, p0) <= c) <= alpha and P(Bin(n, at) <= c) >= power.

    ``at`` is p0 / 3 unless given. Exact power isn't monotone in n; this is the first n that reaches it.
    Raises MeasurementUndefined unless 0 <= at < p0 < 1, or where more than ten million values are needed.
    """
    at = p0 / 3 if at is None else at
    for name, share in (("p0", p0), ("alpha", alpha), ("power", power)):
        check_share(name, share)
    if not 0 <= at < p0:
        raise MeasurementUndefined("power is asked for at a rate below p0", seen=str(at), allowed=f"0 <= at < {p0}")
    # Below this n not even a stream without events shows anything.
    start = max(1, math.floor(math.log(alpha) / math.log1p(-p0)))
    while start <= MAX_FIXED:
        n = np.arange(start, start + 1000)
        # Where the distribution function reaches alpha, then down to the largest count that is allowed.
        critical = np.floor(np.nan_to_num(bdtrik(alpha, n, p0))).astype(np.int64) + 1
        for _ in range(2):
            critical -= bdtr(critical, n, p0) > alpha
        reached = (critical >= 0) & (bdtr(np.maximum(critical, 0), n, at) >= power)
        if reached.any():
            i = int(np.argmax(reached))
            num, c = int(n[i]), int(critical[i])
            return FixedDesign(num, c, float(bdtr(c, num, p0)), float(bdtr(c, num, at)))
        start += 1000
    raise MeasurementUndefined("the fixed-n test needs more than ten million values", seen=f"p0 = {p0}, at = {at}")


@dataclass(frozen=True)
class RateDesign:
    """A gate on one rate: PASS shows "rate < p0" with error alpha, FAIL shows "rate > p0" with error beta.

    Everything is fixed before the first value. ``cap``: values after which the gate stays UNDECIDED.
    """

    p0: float
    alpha: float
    beta: float
    cap: int
    pass_prior: Beta
    fail_prior: Beta

    def __post_init__(self) -> None:
        for name, share in (("p0", self.p0), ("alpha", self.alpha), ("beta", self.beta)):
            check_share(name, share)
        if self.cap < 1:
            raise MeasurementUndefined("a gate needs a cap of values", seen=str(self.cap), allowed="1, 2, ...")

    def pass_process(self) -> RateProcess:
        return RateProcess(self.p0, shows="below", prior=self.pass_prior)

    def fail_process(self) -> RateProcess:
        return RateProcess(self.p0, shows="above", prior=self.fail_prior)


def rate_design(
    p0: float,
    *,
    alpha: float = 0.05,
    beta: float = 0.05,
    cap: int | None = None,
    pass_prior: Beta | None = None,
    fail_prior: Beta | None = None,
) -> RateDesign:
    """A ``RateDesign`` with ``default_prior`` on both sides and, unless ``cap`` is given, CAP_FACTOR times the size of
    the fixed-n test with power .9 at p0 / 3. The cap is a free choice: it limits what is spent where nothing can be
    decided (rates near p0), and moves neither error above alpha and beta.
    """
    cap = CAP_FACTOR * fixed_design(p0, alpha=alpha).num_values if cap is None else cap
    below = pass_prior or default_prior(p0, "below")
    return RateDesign(p0, alpha, beta, cap, below, fail_prior or default_prior(p0, "above"))
