from __future__ import annotations

import re
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from measurement_helpers import data_path
from scipy import stats
from scipy.special import expit
from test_documents import blocks

from trialist.errors import MeasurementUndefined
from trialist.measurement import item_analysis
from trialist.measurement.item_analysis import analyse_items, rank_sum_p
from trialist.measurement.proportions import clopper_pearson


def draw(generator: np.random.Generator, models: int, items: int) -> tuple[np.ndarray, np.ndarray]:
    theta = generator.normal(size=models)
    y = generator.random((models, items)) < expit(1.5 * theta[:, None] + np.linspace(-2, 2, items))
    return theta, y.astype(float)


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(1, 9), st.booleans()), min_size=2, max_size=9))
def test_rank_sums_are_those_of_all_subsets(pairs: list[tuple[int, bool]]) -> None:
    scores, chosen = (np.array(column) for column in zip(*pairs, strict=True))
    sums = [sum(subset) for subset in combinations(scores.tolist(), int(chosen.sum()))]
    assert rank_sum_p(scores, chosen) == pytest.approx(np.mean([s <= scores[chosen].sum() for s in sums]))


def test_rank_sum_is_the_exact_mann_whitney_test() -> None:
    generator = np.random.default_rng(0)
    scores = np.arange(1, 41)
    for k in (1, 3, 20, 38):
        chosen = np.isin(scores, generator.permutation(40)[:k] + 1)
        want = stats.mannwhitneyu(scores[chosen], scores[~chosen], alternative="less", method="exact").pvalue
        assert rank_sum_p(scores, chosen) == pytest.approx(want)


@pytest.mark.parametrize("k", [1, 2, 5, 50, 98])
def test_the_normal_tail_is_above_the_exact_one(k: int, monkeypatch: pytest.MonkeyPatch) -> None:
    scores = np.arange(1, 101)
    for shift in (0, 1):
        chosen = (scores > shift) & (scores <= k + shift)
        exact = rank_sum_p(scores, chosen)
        if exact > 0.05:
            continue
        with monkeypatch.context() as patch:
            patch.setattr(item_analysis, "MAX_EXACT", 10)
            assert rank_sum_p(scores, chosen) > exact


def test_flags_what_was_planted_and_nothing_else() -> None:
    theta, y = draw(np.random.default_rng(1), 40, 30)
    y[:, 3], y[:, 4], y[:, 5] = 1.0, 0.0, 0.5
    y[:, 6] = 1 - y[:, 6]
    y[:, 7] = (theta < np.median(theta)).astype(float)
    y[:, 9] = y[:, 12]
    y[:, 20] = y[:, 21] = (theta == theta.max()).astype(float)
    found = analyse_items(y)
    assert (found.flagged("all pass"), found.flagged("all fail"), found.flagged("constant")) == ([3], [4], [5])
    assert found.flagged("miskeyed") == [6, 7]
    assert found.flagged("duplicate") == [9, 12]  # 20 and 21 agree too, as one model alone deviates
    assert (found.high[[6, 7]] < 0).all()
    assert np.isnan(found.discrimination[[3, 4, 5]]).all()
    assert found.difficulty == pytest.approx(y.mean(axis=0))
    reason = next(flag.reason for flag in found.flags if flag.item == 7)
    assert "read the key" in reason
    assert [flag.item for flag in found.flags] == sorted(flag.item for flag in found.flags)


def test_discrimination_is_the_corrected_correlation() -> None:
    _, y = draw(np.random.default_rng(2), 25, 8)
    found = analyse_items(y)
    for j in range(8):
        rest = np.delete(y, j, axis=1).mean(axis=1)
        want = stats.pearsonr(y[:, j], rest)
        assert found.discrimination[j] == pytest.approx(want.statistic)
        limits = want.confidence_interval(0.95)
        assert (found.low[j], found.high[j]) == pytest.approx((limits.low, limits.high))


def test_interval_covers_the_population_correlation() -> None:
    generator = np.random.default_rng(3)
    _, big = draw(generator, 100_000, 12)
    covered = 0
    for j in (0, 6):
        truth = np.corrcoef(big[:, j], np.delete(big, j, axis=1).mean(axis=1))[0, 1]
        for _ in range(100):
            y = big[generator.integers(0, len(big), 41)]
            found = analyse_items(y)
            covered += bool(found.low[j] <= truth <= found.high[j])
    assert clopper_pearson(covered, 200, 0.999).high >= 0.95


def test_random_items_are_flagged_no_more_often_than_alpha() -> None:
    """Items that have nothing to do with each other, many of them hard: the exact test under Holm keeps its level,
    correlations tested by t without Holm flag something nearly always (positive control)."""
    generator = np.random.default_rng(4)
    wrong = naive = 0
    for _ in range(80):
        y = (generator.random((20, 40)) < generator.choice([0.1, 0.5, 0.9], 40)).astype(float)
        found = analyse_items(y)
        wrong += bool(found.flagged("miskeyed"))
        naive += bool((found.high < 0).any())
    assert clopper_pearson(wrong, 80, 0.999).low <= 0.05
    assert naive / 80 > 0.3


@settings(max_examples=15)
@given(st.integers(0, 1000))
def test_order_of_models_and_items_does_not_matter(seed: int) -> None:
    generator = np.random.default_rng(seed)
    y = generator.integers(0, 3, (12, 6)) / 2
    y[0, :3], y[1, :3] = 0.0, 1.0
    one = analyse_items(y)
    models, items = generator.permutation(12), generator.permutation(6)
    two = analyse_items(y[models][:, items])
    assert two.p_negative == pytest.approx(one.p_negative[items])
    assert two.discrimination == pytest.approx(one.discrimination[items], nan_ok=True)
    assert sorted((items[f.item], f.kind) for f in two.flags) == sorted((f.item, f.kind) for f in one.flags)


def test_identical_models_are_named() -> None:
    _, y = draw(np.random.default_rng(5), 20, 15)
    y[4] = y[11] = y[2]
    assert (2, 4, 11) in analyse_items(y).identical_models


@pytest.mark.data
def test_real_matrix() -> None:
    """LiveBench: 143 of 1136 items tell none of 41 models apart."""
    import polars as pl

    table = pl.read_parquet(data_path("response_matrices/livebench_13012025.parquet"))
    table = table.unique(["question_id", "model"], keep="first", maintain_order=True)
    x = table.pivot(index="model", on="question_id", values="score").drop("model").to_numpy()
    x = x[np.isnan(x).mean(axis=1) < 0.02]
    found = analyse_items(x)
    counts = [len(found.flagged(kind)) for kind in ("all fail", "all pass", "constant", "miskeyed")]
    assert counts == [113, 28, 2, 0]
    assert sum(counts) == (np.ptp(x, axis=0) == 0).sum()


@pytest.mark.parametrize(
    "y",
    [
        np.eye(9),
        np.eye(10)[:, :2],
        np.ones((12, 5)),
        np.where(np.eye(12) == 1, np.nan, 0),
        np.eye(12) * 2,
        np.ones(12),
    ],
)
def test_refusals(y: np.ndarray) -> None:
    with pytest.raises(MeasurementUndefined):
        analyse_items(y)


def test_no_interval_of_zero_width() -> None:
    """Three items that agree: correlation 1, no interval."""
    y = np.repeat((np.arange(12) < 6).astype(float)[:, None], 3, axis=1)
    found = analyse_items(y)
    assert found.discrimination == pytest.approx(np.ones(3))
    assert np.isnan(found.low).all()
    with pytest.raises(MeasurementUndefined):
        analyse_items(y, alpha=0.0)


def test_the_page_prints_what_it_shows(capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = blocks("docs/measurement/items.md", "python")
    exec(code, {})  # noqa: S102 - our own page
    assert capsys.readouterr().out.splitlines() == re.findall(r"^print.*  # (.*)$", code, re.MULTILINE)
