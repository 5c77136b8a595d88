"""A fixed bank of N items of which a simple random sample of n was answered: what may be said about the whole bank.

The number of events X in the sample is hypergeometric given the unknown total K of events in the bank, so a test of
each whole K is exact, and the totals that aren't rejected are a confidence set: Clopper & Pearson's construction
without replacement. It is narrower than the binomial one, as the answered items are known. The claim is about this
bank alone, with each item's answer taken as it came (one answer an item, no generation noise).
"""

from __future__ import annotations

import math

import numpy as np
from scipy.special import gammaln

from trialist.errors import MeasurementUndefined
from trialist.measurement.interval import Interval, check_share

SLACK = 1e-8
"""Relative rounding of a tail probability; a total whose tail equals alpha up to this isn't rejected."""


def upper_total(k: int, n: int, num_bank: int, confidence: float = 0.95) -> int:
    """Upper bound on the bank's events: the largest K with P(X <= k | K) > 1 - confidence, X hypergeometric(N, K, n).

    ``k`` events among ``n`` items drawn without replacement from ``num_bank`` = N. Never below k, never above
    k + N - n. P(X <= k | K) falls in K, so the bound is found by bisection; its coverage is at least ``confidence`` for
    every K. n = N gives k itself. Buonaccorsi 1987, The American Statistician 41, section 2.
    Raises MeasurementUndefined unless 0 <= k <= n, 1 <= n <= N, all whole.
    """
    _check_bank(k, n, num_bank)
    alpha = 1 - check_share("confidence", confidence)
    kept, rejected = k, k + num_bank - n + 1
    while rejected - kept > 1:
        middle = (kept + rejected) // 2
        if lower_tail(k, n, middle, num_bank) > alpha * (1 - SLACK):
            kept = middle
        else:
            rejected = middle
    return kept


def lower_total(k: int, n: int, num_bank: int, confidence: float = 0.95) -> int:
    """Lower bound on the bank's events, the mirror image: N - upper_total(n - k, n, N)."""
    _check_bank(k, n, num_bank)
    return num_bank - upper_total(n - k, n, num_bank, confidence)


def interval(k: int, n: int, num_bank: int, level: float = 0.95) -> Interval:
    """Interval for the bank's share K/N: both bounds at confidence (1 + level) / 2, divided by N.

    Where the two bounds meet in one total (few items left unanswered), the neighbouring totals that the unanswered
    items leave possible are added: coverage can only rise, and the interval keeps a width while anything is unknown.
    Raises MeasurementUndefined as ``upper_total`` does, and for n = N: then the share is known.
    """
    _check_bank(k, n, num_bank)
    confidence = (1 + check_share("level", level)) / 2
    if n == num_bank:
        raise MeasurementUndefined(
            f"every item of the bank was answered: {k}/{n} is exact for this bank, not an estimate of it",
            seen=f"n = N = {n}",
            allowed="n < N",
            next_step="report the share without an interval; to speak of other items, declare the items a sample of "
            "their process, and to speak of other answers to the same items, answer them several times "
            "(independent_trials)",
        )
    low, high = lower_total(k, n, num_bank, confidence), upper_total(k, n, num_bank, confidence)
    if low == high:
        low, high = max(k, low - 1), min(k + num_bank - n, high + 1)
    return Interval(low / num_bank, high / num_bank)


def lower_tail(k: int, n: int, total: int, num_bank: int) -> float:
    """P(X <= k) for X hypergeometric: n items drawn without replacement from N of which ``total`` are events."""
    first = max(0, n - (num_bank - total))
    if k < first:
        return 0.0
    if k >= min(n, total):
        return 1.0
    x = np.arange(first, k + 1, dtype=np.float64)
    logs = (
        _log_choose(total, x)
        + _log_choose(num_bank - total, n - x)
        - _log_choose(num_bank, np.array([n], dtype=np.float64))
    )
    return min(1.0, math.fsum(np.exp(logs).tolist()))


def _log_choose(n: int, k: np.ndarray) -> np.ndarray:
    return gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)


def _check_bank(k: int, n: int, num_bank: int) -> None:
    whole = all(float(x).is_integer() for x in (k, n, num_bank) if math.isfinite(x))
    if not (whole and 0 <= k <= n and 1 <= n <= num_bank < math.inf):
        raise MeasurementUndefined(
            "a sample of a bank needs 0 <= k <= n and 1 <= n <= N, all whole",
            seen=f"k = {k}, n = {n}, N = {num_bank}",
            allowed="whole numbers, n at most N",
        )
