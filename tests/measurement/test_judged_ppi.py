from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from judged_helpers import stock_ppi
from measurement_helpers import reference

from trialist.errors import MeasurementUndefined
from trialist.measurement.interval import t_quantile
from trialist.measurement.judged.items import JudgedItems, judged_items
from trialist.measurement.judged.ppi import ppi_mean

Y = np.array([float(c) for c in "1011001011"])
F = np.array([float(c) for c in "1010011011"])
U = np.repeat([1.0, 0.0], [30, 20])

values = st.floats(0, 1).map(lambda x: round(x, 3))
rows = st.lists(st.tuples(values, values), min_size=4, max_size=15)
others = st.lists(values, min_size=2, max_size=30)


def pack(y: np.ndarray, f: np.ndarray, unlabelled: np.ndarray, *, graded: bool = True) -> JudgedItems:
    gold = np.concatenate([y, np.full(len(unlabelled), np.nan)])
    return judged_items(np.concatenate([f, unlabelled]), gold, graded=graded)


def split(gold: list[tuple[float, float]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([y for y, _ in gold]), np.array([f for _, f in gold])


@pytest.mark.data
def test_the_peers_toy_numbers_come_from_mixed_normalisations_and_ours_dont() -> None:
    expected = reference("ppi_toy_shared")
    lam, tuned = stock_ppi(Y, F, U)
    assert lam == pytest.approx(expected["power_tuned"]["lam"], abs=1e-9)
    assert [tuned.low, tuned.high] == pytest.approx(expected["power_tuned"]["ci"], abs=1e-9)
    for name, fixed in (("lam1", 1.0), ("classical", 0.0)):
        _, interval = stock_ppi(Y, F, U, fixed)
        assert [interval.low, interval.high] == pytest.approx(expected[name], abs=1e-9)
    # One normalisation throughout gives .531 here, and leaving one out moves that by little.
    one = np.cov(Y, F)[0, 1] / (np.concatenate([F, U]).var(ddof=1) * (1 + 10 / 50))
    assert one == pytest.approx(0.5311, abs=1e-4)
    ours = ppi_mean(pack(Y, F, U, graded=False), population="superpopulation")
    assert ours.reliance == pytest.approx(one, abs=0.01)
    assert ours.interval().width > tuned.width


def plain(y: np.ndarray, f: np.ndarray, u: np.ndarray, folds: int, bank: bool) -> tuple[float, float, float]:
    """The formula of the docstring, one item at a time."""
    n, num = len(y), len(u)
    every = np.concatenate([f, u])
    centre = every.mean() if bank else u.mean()
    lams, residuals = [], []
    for i in range(n):
        out = np.arange(n) % folds != i % folds
        covariance = np.cov(y[out], f[out])[0, 1]
        spread = every.var(ddof=1) if bank else np.concatenate([f[out], u]).var(ddof=1) * (1 + n / num)
        lams.append(np.clip(covariance / max(spread, 1e-300), 0, 1))
        residuals.append(y[i] - lams[-1] * (f[i] - centre))
    lam, spread = float(np.mean(lams)), np.var(residuals, ddof=1)
    variance = (1 - n / (n + num)) * spread / n if bank else lam**2 * u.var(ddof=1) / num + spread / n
    return float(np.mean(residuals)), float(np.sqrt(variance)), lam


@settings(max_examples=50, deadline=None)
@given(rows, others, st.sampled_from([None, 2, 3]), st.booleans())
def test_fast_equals_plain(gold: list[tuple[float, float]], other: list[float], folds: int | None, bank: bool) -> None:
    (y, f), u = split(gold), np.array(other)
    items = pack(y, f, u)
    try:
        found = ppi_mean(items, population="bank" if bank else "superpopulation", num_folds=folds)
    except MeasurementUndefined:
        return
    value, error, lam = plain(y, f, u, folds or len(y), bank)
    if np.concatenate([f, u]).var() < 1e-9 or u.var() < 1e-9:
        return  # a ratio of rounding errors in both
    assert found.value == pytest.approx(value, abs=1e-7)
    assert found.standard_error == pytest.approx(error, abs=1e-7)
    assert found.reliance == pytest.approx(lam, abs=1e-6)


@settings(max_examples=40, deadline=None)
@given(rows, others, st.randoms(use_true_random=False), st.sampled_from(["bank", "superpopulation"]))
def test_order_mirror_and_scale(gold: list[tuple[float, float]], other: list[float], random: object, pop: str) -> None:
    (y, f), u = split(gold), np.array(other)
    if y.var() < 1e-6 or f.var() < 1e-6 or u.var() < 1e-6:
        return
    items = pack(y, f, u)
    try:
        found = ppi_mean(items, population=pop)
    except MeasurementUndefined:
        return
    order = list(range(items.num_judged))
    random.shuffle(order)
    shuffled = ppi_mean(JudgedItems(items.judge[order], items.gold[order], graded=True), population=pop)
    assert shuffled.value == pytest.approx(found.value, abs=1e-9)
    assert shuffled.standard_error == pytest.approx(found.standard_error, abs=1e-9)
    assert ppi_mean(items.mirrored(), population=pop).value == pytest.approx(1 - found.value, abs=1e-9)
    scaled = JudgedItems(4 * items.judge - 1, 4 * items.gold - 1, -1.0, 3.0, True)
    assert ppi_mean(scaled, population=pop).value == pytest.approx(4 * found.value - 1, abs=1e-8)


def test_a_constant_judge_is_ignored() -> None:
    found = ppi_mean(pack(Y, np.full(10, 0.3), np.full(50, 0.3), graded=False), population="superpopulation")
    half = t_quantile(0.95, 9) * Y.std(ddof=1) / np.sqrt(10)
    assert found.reliance == 0
    assert found.interval().low == pytest.approx(0.6 - half)
    assert found.interval().high == pytest.approx(0.6 + half)


def test_an_opposite_judge_is_ignored_and_a_good_one_used() -> None:
    generator = np.random.default_rng(1)
    y, u = (generator.random(80) < 0.4).astype(float), (generator.random(900) < 0.4).astype(float)
    assert ppi_mean(pack(y, 1 - y, 1 - u)).reliance == 0
    noisy = np.abs(y - (generator.random(80) < 0.1))
    good = ppi_mean(pack(y, noisy, u))
    assert good.reliance > 0.6
    assert good.standard_error < 0.75 * y.std(ddof=1) / np.sqrt(80)


def test_one_sided_bounds_spend_the_whole_error_on_their_side() -> None:
    found = ppi_mean(pack(Y, F, U, graded=False))
    both = found.interval(0.9)
    assert found.upper(0.95) == pytest.approx(both.high, abs=1e-12)
    assert found.lower(0.95) == pytest.approx(both.low, abs=1e-12)
    assert found.upper(0.95) < found.interval(0.95).high


def test_pseudo_errors_are_one_false_alarm_and_one_miss_more() -> None:
    plain_error, more = (ppi_mean(pack(Y, F, U, graded=False), pseudo_errors=c).standard_error for c in (0.0, 1.0))
    assert more**2 - plain_error**2 == pytest.approx(2 / 10**2 * (1 - 10 / 60))


def test_nearly_the_whole_bank_labelled_leaves_nearly_no_error() -> None:
    generator = np.random.default_rng(2)
    y = (generator.random(300) < 0.5).astype(float)
    f = np.abs(y - (generator.random(300) < 0.2))
    gold = y.copy()
    gold[-2:] = np.nan
    bank, more = (ppi_mean(judged_items(f, gold), population=p) for p in ("bank", "superpopulation"))
    assert bank.standard_error < 0.1 * more.standard_error
    assert bank.value == pytest.approx(y.mean(), abs=0.01)


def test_refusals() -> None:
    cases = [
        pack(Y[:2], F[:2], U),
        pack(Y, F, U[:0]),
        pack(np.ones(10), F * 0, U * 0),
        pack(Y, Y, U[:0]),
        pack(np.zeros(10), np.zeros(10), U * 0),
    ]
    for items in cases:
        with pytest.raises(MeasurementUndefined):
            ppi_mean(items, population="superpopulation")
    with pytest.raises(MeasurementUndefined):
        ppi_mean(pack(Y, F, U), num_folds=1)
    with pytest.raises(MeasurementUndefined):
        ppi_mean(pack(Y, F, U), num_folds=11)
    for f, y in (
        ([], []),
        ([0.5], [np.nan]),
        ([np.nan, 0.5], [1.0, 0.0]),
        ([0.5, 1.2], [1.0, 0.0]),
        ([0.5, 0.2], [1.0, 0.3]),
        ([0.5, np.inf], [1.0, 0.0]),
        ([0.5], [1.0, 0.0]),
    ):
        with pytest.raises(MeasurementUndefined):
            judged_items(f, y)
