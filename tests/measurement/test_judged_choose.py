from __future__ import annotations

import itertools
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from judged_helpers import (
    Draw,
    bank_draws,
    covered,
    describe_all,
    items_of,
    shares,
    stock_interval,
    superpopulation_draws,
    xstest_bank,
)
from measurement_helpers import reference
from scipy.stats import hypergeom
from test_documents import blocks

from trialist.errors import MeasurementUndefined
from trialist.measurement.interval import Interval
from trialist.measurement.judged.choose import GoldDesign, estimate, judged_estimate, warnings_of
from trialist.measurement.judged.difference import JudgedArm, judged_difference
from trialist.measurement.judged.gold import gold_bounds
from trialist.measurement.judged.groups import _fisher, _holm, judge_error_by_group
from trialist.measurement.judged.items import judged_items
from trialist.measurement.proportions import clopper_pearson

ITERATIONS = 800
SUPER = GoldDesign(population="superpopulation")


@cache
def described(draw: Draw, population: str = "superpopulation") -> Interval:
    found = estimate(items_of(draw), "describe", design=GoldDesign(population=population), level=0.95).interval
    assert found is not None
    assert found.width > 0
    return found


def allowance(share: float, repetitions: int) -> float:
    """Three standard errors of a share over these repetitions."""
    return 3 * float(np.sqrt(share * (1 - share) / repetitions))


# Coverage on the references' own settings


@pytest.mark.data
@pytest.mark.parametrize(
    "setting", ["20 1000 0.5 0.9 0.9", "20 1000 0.1 0.9 0.95", "50 1000 0.1 0.9 0.95", "50 2000 0.02 0.9 0.99"]
)
def test_the_peer_undercovers_and_the_rule_covers_on_the_same_draws(setting: str) -> None:
    values = setting.split()
    names = ("n", "N", "theta", "sens", "spec")
    expected = reference("ppi_coverage_shared")["_".join(a + b for a, b in zip(names, values, strict=True))]
    n, num, theta = int(values[0]), int(values[1]), float(values[2])
    judge = (float(values[3]), float(values[4]))
    draws = superpopulation_draws(theta, n, num, judge=judge, repetitions=ITERATIONS, seed=11)
    held, given = covered(draws, stock_interval, theta)
    assert held / given == pytest.approx(expected["coverage"], abs=0.012 + allowance(expected["coverage"], given))
    flat = sum(stock_interval(draw).width < 1e-12 for draw in draws) / given
    assert flat == pytest.approx(expected["zero_width"], abs=0.012 + allowance(expected["zero_width"], given))
    held, given = covered(draws, described, theta)
    assert clopper_pearson(held, given, 0.999).high >= 0.95


@pytest.mark.data
@pytest.mark.parametrize("model", ["gpt4", "llama2new", "mistralinstruct"])
def test_real_judge_labels(model: str) -> None:
    expected, bank = reference("judge_ppi_coverage_shared")[model], xstest_bank(model)
    truth = float(bank[:2].sum() / bank.sum())
    assert truth == pytest.approx(expected["human_rate"])
    draws = bank_draws(bank, 50, repetitions=ITERATIONS, seed=12)
    held, given = covered(draws, stock_interval, truth)
    wanted = expected["ppi_plus_plus"]
    assert held / given == pytest.approx(wanted, abs=0.01 + allowance(wanted, given))
    held, given = covered(draws, lambda d: clopper_pearson(d[0] + d[1], 50), truth)
    wanted = expected["clopper_pearson"]
    assert held / given == pytest.approx(wanted, abs=0.01 + allowance(wanted, given))
    held, given = covered(draws, lambda d: described(d, "bank"), truth)
    assert clopper_pearson(held, given, 0.999).high >= 0.95


SETTINGS = [
    (0.02, 100, 0.9, 0.99),
    (0.05, 500, 0.9, 0.98),
    (0.1, 50, 0.9, 0.95),
    (0.1, 200, 0.9, 0.95),
    (0.3, 100, 0.9, 0.95),
    (0.3, 500, 0.8, 0.9),
    (0.5, 50, 0.9, 0.9),
    (0.5, 200, 0.7, 0.8),
]
"""theta, gold labels, sensitivity, specificity: the settings of the table in docs/measurement/judged.md."""


def setting_draws(
    setting: tuple[float, int, float, float], population: str, repetitions: int
) -> tuple[list[Draw], float]:
    """Draws of 3,000 items and their true rate."""
    theta, n, sensitivity, specificity = setting
    judge = (sensitivity, specificity)
    seed = SETTINGS.index(setting)
    if population == "bank":
        bank = np.round(3000 * shares(theta, *judge)).astype(int)
        return bank_draws(bank, n, repetitions=repetitions, seed=seed), float(bank[:2].sum() / bank.sum())
    return superpopulation_draws(theta, n, 3000 - n, judge=judge, repetitions=repetitions, seed=seed), theta


@pytest.mark.parametrize("population", ["bank", "superpopulation"])
@pytest.mark.parametrize("setting", SETTINGS)
def test_the_rule_that_describes_covers(setting: tuple[float, int, float, float], population: str) -> None:
    draws, theta = setting_draws(setting, population, 4000)
    low, high = describe_all(draws, population)
    for i in range(10):
        one = described(draws[i], population)
        assert (one.low, one.high) == pytest.approx((low[i], high[i]), abs=1e-9)
    held = int(((low <= theta) & (theta <= high)).sum())
    assert clopper_pearson(held, len(draws), 0.999).high >= 0.95


# Which method


def example(k: int = 20, n: int = 100, *, misses: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """n gold labels with k events, a judge that misses the first ones, and 900 items flagged as often."""
    y = np.repeat([1.0, 0.0], [k, n - k])
    f = np.where(np.arange(n) < misses, 1 - y, y)
    return np.concatenate([f, np.arange(900) < 900 * f.mean()]), np.concatenate([y, np.full(900, np.nan)])


def test_ppi_only_above_both_guards() -> None:
    assert judged_estimate(*example()).method.startswith("PPI++")
    few = judged_estimate(*example(9))
    assert few.method.startswith("exact hypergeometric")
    assert few.why == "9 gold labels in the smaller class, PPI++ needs 10"
    assert judged_estimate(*example(91)).why == few.why
    right = judged_estimate(*example(misses=4), design=SUPER)
    assert right.method.startswith("Clopper-Pearson")
    assert right.why == "4 errors of the judge among the gold labels, PPI++ needs 5"
    exact = clopper_pearson(20, 100)
    assert right.interval is not None
    assert (right.interval.low, right.interval.high) == pytest.approx((exact.low, exact.high))
    assert judged_estimate([0.0] * 60, [0.0] * 60, design=SUPER).why == "every item has a gold label"


def test_graded_guards() -> None:
    generator = np.random.default_rng(0)
    f = generator.random(600)
    gold = np.where(np.arange(600) < 80, np.clip(f + generator.normal(0, 0.1, 600), 0, 1), np.nan)
    graded = GoldDesign(graded=True)
    assert judged_estimate(f, gold, design=graded).method.startswith("PPI++")
    few = np.where(np.arange(600) < 40, gold, np.nan)
    assert "graded gold labels" in judged_estimate(f, few, design=graded).why
    rare = judged_estimate(f, gold * 0.2, design=graded)
    assert rare.method == "betting bounds, gold labels alone"
    claim = judged_estimate(f, gold, purpose="claim", design=graded)
    assert claim.lower is not None
    assert claim.upper is not None
    truth_like = float(np.clip(f, 0, 1).mean())
    assert claim.lower < truth_like < claim.upper


def test_a_claim_never_rests_on_ppi() -> None:
    for k, threshold, population in itertools.product(
        (0, 3, 20, 60, 100), (None, 0.05, 0.3), ("bank", "superpopulation")
    ):
        design = GoldDesign(population=population, threshold=threshold)
        found = judged_estimate(*example(k), purpose="claim", design=design)
        assert "PPI" not in found.method
        assert found.interval is None
        assert found.lower is not None
        assert found.upper is not None
        assert 0 <= found.lower <= found.value <= found.upper <= 1
        assert found.lower < found.upper


def test_a_claim_uses_the_judge_only_where_the_design_expects_enough_events() -> None:
    def claim(**design: Any) -> Any:
        return judged_estimate(*example(), purpose="claim", design=GoldDesign(**design))

    rare, common, free = claim(threshold=0.1), claim(threshold=0.2), claim()
    assert "10.0 gold events expected" in rare.why
    alone = gold_bounds(judged_items(*example()))
    assert (rare.lower, rare.upper) == (alone.lower, alone.upper)
    assert common.method.startswith("the better of")
    assert common.upper == free.upper
    assert claim(use_judge=False).upper == alone.upper
    assert claim(threshold=0.95).method == rare.method
    many = judged_estimate(*(x[:150] for x in example()), purpose="claim", design=SUPER)
    assert "no batch" in many.why


def test_one_sided_claims_hold_at_their_confidence() -> None:
    """Both sides of the better-of-two bound, each at most 10% wrong."""
    bank = np.array([110, 10, 20, 260])
    design, wrong = GoldDesign(), np.zeros(2)
    draws = bank_draws(bank, 60, repetitions=60, seed=14)
    for draw in draws:
        found = estimate(items_of(draw), "claim", design=design, level=0.9)
        assert found.lower is not None
        assert found.upper is not None
        wrong += [found.lower > 0.3, found.upper < 0.3]
    for count in wrong:
        assert clopper_pearson(float(count), len(draws), 0.999).low <= 0.1


# Refusals and warnings


def test_refusals() -> None:
    judge, gold = example()
    with pytest.raises(MeasurementUndefined, match="alone don't estimate"):
        judged_estimate(judge, np.full(1000, np.nan))
    with pytest.raises(MeasurementUndefined, match="random sample"):
        judged_estimate(judge, gold, purpose="claim", design=GoldDesign(random=False))
    with pytest.raises(MeasurementUndefined, match="every item of the bank"):
        judged_estimate(judge[:100], gold[:100])
    with pytest.raises(MeasurementUndefined):
        judged_estimate(judge, gold, level=1.0)
    with pytest.raises(MeasurementUndefined):
        judged_estimate(judge, gold, design=GoldDesign(low=0, high=np.inf))


def test_warnings() -> None:
    judge, gold = example()
    assert judged_estimate(judge, gold).warnings == ()

    def said(judge: np.ndarray = judge, gold: np.ndarray = gold, **design: Any) -> str:
        return " | ".join(warnings_of(judged_items(judge, gold), GoldDesign(**design)))

    assert "judge version 'b' differs from the calibrated one 'a'" in said(judge_version="b", calibrated_version="a")
    assert "not randomly sampled" in said(random=False)
    useless = said(np.arange(1000) % 2 * 1.0)
    assert "J = " in useless
    assert "correlation" in useless
    assert "don't vary" in said(gold=np.where(np.isnan(gold), gold, 0.0))
    assert "30 gold labels" in said(judge[-930:], np.r_[np.zeros(30), np.full(900, np.nan)])
    loose = judged_estimate(judge, gold, design=GoldDesign(random=False))
    assert loose.method.startswith("exact")
    assert "can't correct" in loose.why


def test_unequal_inclusion_probabilities() -> None:
    judge, gold = example()
    pi = np.full(1000, 0.1)
    for purpose in ("describe", "claim"):
        found = judged_estimate(judge, gold, purpose=purpose, design=GoldDesign(random=False, inclusion=pi))
        assert found.method.startswith("Horvitz-Thompson")
        assert found.value == pytest.approx(0.2)
        assert (found.interval is None) == (purpose == "claim")
        assert not found.warnings


# Differences


def arms(generator: np.random.Generator, *, n: int = 100, effect: float = 0.15) -> tuple[JudgedArm, JudgedArm]:
    """Paired arms; the judge over-flags the arm only: an intervention that changes the judge's error."""
    size, u = 800, generator.random(800)
    y0, y1 = (u < 0.4).astype(float), (u < 0.4 - effect).astype(float)
    f0 = np.abs(y0 - (generator.random(size) < 0.1))
    f1 = np.maximum(np.abs(y1 - (generator.random(size) < 0.1)), generator.random(size) < 0.3)
    chosen = np.isin(np.arange(size), generator.choice(size, n, replace=False))
    return JudgedArm(f1, np.where(chosen, y1, np.nan)), JudgedArm(f0, np.where(chosen, y0, np.nan))


@pytest.mark.parametrize("paired", [True, False])
def test_a_shifted_judge_is_seen_through(paired: bool) -> None:
    generator = np.random.default_rng(15)
    held, claims, repetitions = 0, np.zeros(2), 60
    for i in range(repetitions):
        arm, control = arms(generator)
        found = judged_difference(arm, control, paired=paired, design=SUPER)
        assert found.interval is not None
        held += found.interval.contains(-0.15)
        # The control of this test: the judge alone is far off.
        assert found.judge_rate > -0.15 + 0.08
        if i < 20:
            claim = judged_difference(arm, control, purpose="claim", paired=paired, design=SUPER)
            assert claim.lower is not None
            assert claim.upper is not None
            claims += [claim.lower > -0.15, claim.upper < -0.15]
    assert clopper_pearson(held, repetitions, 0.999).high >= 0.95
    assert claims.max() <= 5  # P(Binomial(20, .05) > 5) < .001


def test_difference_needs_gold_in_each_arm() -> None:
    arm, control = arms(np.random.default_rng(0))
    nothing = np.full(800, np.nan)
    with pytest.raises(MeasurementUndefined, match="the arm has no gold labels"):
        judged_difference(replace(arm, gold=nothing), control)
    with pytest.raises(MeasurementUndefined, match="the control has no gold labels"):
        judged_difference(arm, replace(control, gold=nothing), paired=False)
    other = np.where(np.isnan(np.asarray(control.gold)), 0.0, np.nan)
    with pytest.raises(MeasurementUndefined, match="in both arms"):
        judged_difference(arm, replace(control, gold=other))
    with pytest.raises(MeasurementUndefined, match="same items"):
        judged_difference(arm, JudgedArm(np.asarray(control.judge)[:700], np.asarray(control.gold)[:700]))
    with pytest.raises(MeasurementUndefined, match="random sample"):
        judged_difference(arm, control, purpose="claim", design=GoldDesign(random=False))


def test_difference_of_alike_arms_and_of_weighted_gold() -> None:
    arm, _ = arms(np.random.default_rng(1))
    for purpose, paired in itertools.product(("describe", "claim"), (True, False)):
        same = judged_difference(arm, arm, purpose=purpose, paired=paired)
        low, high = (same.lower, same.upper) if same.interval is None else (same.interval.low, same.interval.high)
        assert low is not None
        assert high is not None
        assert low < 0 < high
        design = GoldDesign(random=False, inclusion=np.full(800, 0.125))
        weighted = judged_difference(arm, arm, purpose=purpose, paired=paired, design=design)
        assert "Horvitz-Thompson" in weighted.method


# Error by group


def test_fisher_by_enumeration_and_holm_by_hand() -> None:
    for table in ((3, 7, 1, 19), (0, 5, 4, 6), (8, 2, 3, 9)):
        a, b, c, d = table
        chances = hypergeom.pmf(np.arange(a + c + 1), a + b + c + d, a + c, a + b)
        seen = hypergeom.pmf(a, a + b + c + d, a + c, a + b)
        assert _fisher(table) == pytest.approx(float(chances[chances <= seen * (1 + 1e-7)].sum()))
    assert _fisher((0, 0, 3, 4)) is None
    assert _holm([0.01, None, 0.04, 0.03]) == pytest.approx([0.03, None, 0.06, 0.06])
    assert _holm([0.9, 0.5]) == [1.0, 1.0]


def test_a_group_with_more_judge_errors_is_found_and_alike_groups_arent() -> None:
    generator = np.random.default_rng(16)
    group = np.array(["a", "b", "c"])[np.arange(600) % 3]
    y = (generator.random(600) < 0.5).astype(float)
    quiet = 0
    for shift, repetitions in ((0.35, 1), (0.0, 60)):
        for _ in range(repetitions):
            wrong = generator.random(600) < np.where((group == "b") & (y == 0), 0.1 + shift, 0.1)
            found = {e.group: e for e in judge_error_by_group(np.abs(y - wrong), y, list(group))}
            adjusted = [p for e in found.values() for p in (e.false_positive.p_adjusted, e.false_negative.p_adjusted)]
            assert all(p is not None for p in adjusted)
            if shift:
                assert found["b"].false_positive.p_adjusted is not None
                assert found["b"].false_positive.p_adjusted < 1e-4
                assert found["b"].false_negative.p_adjusted is not None
                assert found["b"].false_negative.p_adjusted > 0.05
                assert found["b"].false_positive.interval is not None
                assert found["b"].false_positive.interval.low > 0.25
            else:
                quiet += min(p for p in adjusted if p is not None) > 0.05
    assert clopper_pearson(quiet, 60, 0.999).high >= 0.95


def test_groups_without_gold_are_not_measured() -> None:
    found = judge_error_by_group([1, 0, 1, 0], [1, 0, np.nan, np.nan], ["a", "a", "b", "b"])
    assert found[1].false_positive.num_gold == 0
    assert found[1].false_positive.interval is None
    assert found[1].false_negative.p_value is None
    for group in (["a"] * 4, ["a", "b"]):
        with pytest.raises(MeasurementUndefined):
            judge_error_by_group([1, 0, 1, 0], [1, 0, 1, np.nan], group)
    with pytest.raises(MeasurementUndefined):
        judge_error_by_group([1, 0], [0.5, 0], ["a", "b"])


def test_the_page(capsys: pytest.CaptureFixture[str]) -> None:
    for code in blocks("docs/measurement/judged.md", "python"):
        exec(code, {})  # noqa: S102 - our own page
        shown = [line[2:] for line in code.splitlines() if line.startswith("# ")]
        assert capsys.readouterr().out.splitlines() == shown
