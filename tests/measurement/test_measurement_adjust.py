from __future__ import annotations

import math
import re
from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats
from test_documents import blocks

from trialist.errors import MeasurementUndefined
from trialist.measurement.adjust import (
    Family,
    benjamini_hochberg,
    benjamini_yekutieli,
    bonferroni,
    e_adjusted,
    e_benjamini_hochberg,
    hochberg,
    holm,
    log_e_of_p,
    merge_log_e,
    p_of_log_e,
)
from trialist.measurement.proportions import clopper_pearson

p_lists = st.lists(st.floats(0, 1) | st.sampled_from([0.0, 0.01, 0.02, 0.05, 1.0]), min_size=1, max_size=6)
log_e_lists = st.lists(st.floats(-5, 9) | st.sampled_from([-math.inf, 0.0, math.inf]), min_size=1, max_size=8)


def closed(p: list[float], local: str) -> list[float]:
    """Closed testing by enumeration: the largest local p-value over all subsets that hold the hypothesis."""
    m = len(p)
    result = [0.0] * m
    for size in range(1, m + 1):
        for subset in combinations(range(m), size):
            inside = sorted(p[i] for i in subset)
            if local == "bonferroni":
                value = min(1.0, size * inside[0])
            else:
                value = min(1.0, *((size - j) * x for j, x in enumerate(inside)))  # Hochberg's own local test
            for i in subset:
                result[i] = max(result[i], value)
    return result


@given(p_lists)
def test_holm_is_closed_bonferroni(p: list[float]) -> None:
    assert holm(p) == pytest.approx(closed(p, "bonferroni"), abs=1e-12)


@given(p_lists)
def test_hochberg_is_closed_too(p: list[float]) -> None:
    assert hochberg(p) == pytest.approx(closed(p, "hochberg"), abs=1e-12)


@given(p_lists)
def test_false_discovery_rates_are_those_of_scipy(p: list[float]) -> None:
    assert benjamini_hochberg(p) == pytest.approx(stats.false_discovery_control(p, method="bh"), abs=1e-12)
    assert benjamini_yekutieli(p) == pytest.approx(stats.false_discovery_control(p, method="by"), abs=1e-12)


@given(p_lists)
def test_order_of_strictness_and_of_the_list(p: list[float]) -> None:
    steps = [np.array(p), benjamini_hochberg(p), hochberg(p), holm(p), bonferroni(p)]
    for weaker, stronger in pairwise(steps):
        assert (weaker <= stronger + 1e-12).all()
    assert (benjamini_hochberg(p) <= benjamini_yekutieli(p) + 1e-12).all()
    for method in (holm, hochberg, benjamini_hochberg, benjamini_yekutieli):
        assert method(p[::-1])[::-1] == pytest.approx(method(p), abs=1e-15)


def test_published_numbers() -> None:
    """Benjamini & Hochberg 1995, section 3.2: at .05 their procedure rejects four, Bonferroni three."""
    p = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344]
    p += [0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.000]
    assert (benjamini_hochberg(p) <= 0.05).sum() == 4
    assert (bonferroni(p) <= 0.05).sum() == 3
    assert (hochberg(p) <= 0.05).sum() == 3


def definition(log_e: list[float], alpha: float) -> set[int]:
    """e-BH as it is written."""
    m = len(log_e)
    e = sorted((math.exp(x) for x in log_e), reverse=True)
    k = max((k for k in range(1, m + 1) if e[k - 1] >= m / (alpha * k)), default=0)
    return {i for i in range(m) if k and math.exp(log_e[i]) >= e[k - 1]}


@given(log_e_lists, st.sampled_from([0.01, 0.05, 0.2, 0.5]))
def test_e_bh_is_its_definition(log_e: list[float], alpha: float) -> None:
    got = e_benjamini_hochberg(log_e, alpha)
    assert set(np.flatnonzero(got)) == definition(log_e, alpha)
    assert (e_adjusted(log_e) <= 1).all()


@given(log_e_lists)
def test_e_bh_is_bh_of_the_inverse(log_e: list[float]) -> None:
    with np.errstate(over="ignore"):
        inverse = np.minimum(1, np.exp(-np.array(log_e)))
    # Capping 1/e at 1 changes nothing below 1.
    assert np.minimum(1, e_adjusted(log_e)) == pytest.approx(benjamini_hochberg(inverse), abs=1e-12)


def test_e_values_beyond_the_range_of_floats() -> None:
    assert e_benjamini_hochberg([5000.0, -5000.0, math.inf], 0.05).tolist() == [True, False, True]
    assert merge_log_e([5000.0, 5000.0]) == pytest.approx(5000)
    assert merge_log_e([0.0, -math.inf]) == pytest.approx(-math.log(2))


@pytest.mark.parametrize("kappa", [None, 0.1, 0.5, 0.9])
def test_calibrators_integrate_to_one(kappa: float | None) -> None:
    # In depth L = -ln p, dp = e^-L dL; the tail beyond 700 is 1/700 without kappa.
    total, _ = integrate.quad(lambda x: math.exp(log_e_of_p([math.exp(-x)], kappa)[0] - x), 0, 700, limit=400)
    beyond = 1 / 700 if kappa is None else math.exp(-700 * kappa)
    assert total + beyond == pytest.approx(1, abs=1e-6)


def test_calibrators_fall_and_have_their_limits() -> None:
    p = [0.0, 1e-300, 1e-8, 0.5, 0.98, 0.99, 0.9901, 0.9999999, 1.0]
    for kappa in (None, 0.3):
        assert (np.diff(log_e_of_p(p, kappa)) < 0).all()
    assert log_e_of_p([1.0])[0] == pytest.approx(math.log(0.5))
    log = math.log(0.001)
    assert math.exp(log_e_of_p([0.001])[0]) == pytest.approx((1 - 0.001 + 0.001 * log) / (0.001 * log**2))
    assert math.exp(log_e_of_p([0.001])[0]) == pytest.approx(20.8, abs=0.1)
    mean = integrate.quad(lambda k: k * 0.02 ** (k - 1), 0, 1)[0]
    assert math.exp(log_e_of_p([0.02])[0]) == pytest.approx(mean)
    assert (p_of_log_e(log_e_of_p([0.001, 0.3, 1.0])) >= [0.001, 0.3, 1.0]).all()


def false_discovery_share(rejected: np.ndarray, null: np.ndarray) -> np.ndarray:
    return (rejected & null).sum(axis=1) / np.maximum(1, rejected.sum(axis=1))


def worst_p_values(generator: np.random.Generator, m: int, repetitions: int, alpha: float) -> np.ndarray:
    """Null p-values, each uniform, that reach Benjamini & Yekutieli's bound: with probability alpha / k * ... k of them
    lie in the same step ((k - 1) alpha / m, k alpha / m], so that Benjamini-Hochberg rejects exactly these k."""
    steps = np.arange(1, m + 1)
    chance = alpha / steps
    k = np.searchsorted(np.cumsum(chance), generator.random(repetitions)) + 1
    p = np.empty((repetitions, m))
    for row, size in enumerate(k):
        # The rest lies above alpha, at a density that leaves every margin uniform.
        p[row] = alpha + (1 - alpha) * generator.random(m)
        if size <= m:
            chosen = generator.permutation(m)[:size]
            p[row, chosen] = (size - 1 + generator.random(size)) * alpha / m
    return p


def test_dependent_nulls_break_benjamini_hochberg_only() -> None:
    m, alpha, repetitions = 10, 0.1, 4000
    generator = np.random.default_rng(1)
    p = worst_p_values(generator, m, repetitions, alpha)
    assert stats.kstest(p[:, 3], "uniform").pvalue > 0.001
    methods = (benjamini_hochberg, benjamini_yekutieli)
    any_found = {method: sum(bool((method(row) <= alpha).any()) for row in p) for method in methods}
    assert clopper_pearson(any_found[benjamini_hochberg], repetitions, 0.999).low > 1.5 * alpha
    assert clopper_pearson(any_found[benjamini_yekutieli], repetitions, 0.999).low <= alpha
    # The same p-values calibrated to e-values, which hold under this dependence as well.
    e = sum(bool(e_benjamini_hochberg(log_e_of_p(row, 0.5), alpha).any()) for row in p)
    assert clopper_pearson(e, repetitions, 0.999).low <= alpha


def test_false_discovery_rate_with_true_effects_and_dependent_e_values() -> None:
    """Likelihood-ratio e-values exp(d x - d^2/2), equally or oppositely correlated, half of the nulls true."""
    m, alpha, repetitions, shift = 20, 0.1, 1500, 3.0
    generator = np.random.default_rng(2)
    null = np.arange(m) < m // 2
    for sign in (1, -1):
        common = generator.normal(size=(repetitions, 1))
        signs = np.where(np.arange(m) % 2 == 0, 1, sign)
        x = np.sqrt(0.8) * common * signs + np.sqrt(0.2) * generator.normal(size=(repetitions, m))
        x = x + np.where(null, 0.0, 4.0)
        rejected = np.stack([e_benjamini_hochberg(shift * row - shift**2 / 2, alpha) for row in x])
        share = false_discovery_share(rejected, null)
        assert share.mean() - 3.3 * share.std() / math.sqrt(repetitions) <= alpha * null.mean()
        assert rejected[:, ~null].mean() > 0.3
        # Positive control: each e-value against its own 1/alpha makes more wrong findings.
        naive = false_discovery_share(shift * x - shift**2 / 2 >= math.log(1 / alpha), null)
        assert naive.mean() > share.mean()


def test_holm_controls_and_unadjusted_does_not() -> None:
    generator = np.random.default_rng(3)
    p = generator.random((2000, 12))
    wrong = sum(bool((holm(row) <= 0.05).any()) for row in p)
    assert clopper_pearson(wrong, 2000, 0.999).low <= 0.05
    assert (p.min(axis=1) <= 0.05).mean() > 0.4


def test_promotion_needs_no_correction() -> None:
    """Nine claims hold with certainty and one is false: a promotion is wrong no more often than alpha."""
    family = Family("release", "promotion")
    generator = np.random.default_rng(4)
    wrong = 0
    for _ in range(1000):
        p = np.append(np.zeros(9), generator.random())
        found = family.adjust(p)
        assert found.adjusted.tolist() == p.tolist()
        wrong += found.family_p_value <= 0.05
    assert clopper_pearson(wrong, 1000, 0.999).contains(0.05)


@settings(max_examples=30)
@given(p_lists)
def test_families_use_their_rule(p: list[float]) -> None:
    for kind, method in (
        ("claims", holm), ("screen", benjamini_hochberg), ("dependent screen", benjamini_yekutieli)
    ):  # fmt: skip
        found = Family("f", kind).adjust(p)  # type: ignore[arg-type]
        assert found.adjusted.tolist() == method(p).tolist()
        assert found.rejected(0.05).tolist() == (method(p) <= 0.05).tolist()
        assert found.family_p_value == found.adjusted.min()


@pytest.mark.parametrize("p", [[], [math.nan, 0.1], [-0.1], [1.1], [math.inf], [[0.1]]])
def test_bad_p_values_are_refused(p: list[float]) -> None:
    for method in (bonferroni, holm, hochberg, benjamini_hochberg, benjamini_yekutieli, log_e_of_p):
        with pytest.raises(MeasurementUndefined):
            method(p)


def test_other_refusals() -> None:
    with pytest.raises(MeasurementUndefined, match="sequential"):
        Family("watch", "sequential screen").adjust([0.1])
    for log_e in ([], [math.nan], [[1.0]]):
        with pytest.raises(MeasurementUndefined):
            e_benjamini_hochberg(log_e, 0.05)
    for alpha in (0, 1, math.nan):
        with pytest.raises(MeasurementUndefined):
            e_benjamini_hochberg([1.0], alpha)
        with pytest.raises(MeasurementUndefined):
            log_e_of_p([0.5], alpha)


def test_the_page_prints_what_it_shows(capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = blocks("docs/measurement/many-outcomes.md", "python")
    exec(code, {})  # noqa: S102 - our own page
    assert capsys.readouterr().out.splitlines() == re.findall(r"^print.*  # (.*)$", code, re.MULTILINE)
