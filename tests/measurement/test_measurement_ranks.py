from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from measurement_helpers import data_path
from scipy import stats
from scipy.special import ndtri

from trialist.errors import MeasurementUndefined
from trialist.measurement.adjust import holm
from trialist.measurement.proportions import clopper_pearson
from trialist.measurement.ranks import Ranks, guaranteed_rank_intervals, rank_intervals

REPETITIONS = 120


def draw(generator: np.random.Generator, rates: list[float], num: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Binary answers of models with these rates; items of a cluster and models on an item go together."""
    cluster = np.repeat(np.arange(num), size)
    n, models = len(cluster), len(rates)
    shared = generator.normal(size=(num, 1))[cluster] * 0.3**0.5 + generator.normal(size=(n, 1)) * 0.3**0.5
    own = generator.normal(size=(num, models))[cluster] * 0.2**0.5 + generator.normal(size=(n, models)) * 0.2**0.5
    return (shared + own < ndtri(np.array(rates))).astype(float), cluster


def holds(ranks: Ranks, rates: list[float]) -> bool:
    """Every model's whole set of true ranks lies in its interval."""
    r = np.array(rates)
    lowest = 1 + (r[None, :] > r[:, None]).sum(axis=1)
    highest = len(r) - (r[None, :] < r[:, None]).sum(axis=1)
    return bool((ranks.lowest <= lowest).all() and (ranks.highest >= highest).all())


@pytest.mark.parametrize(
    ("rates", "num", "size"),
    [([0.5] * 5, 20, 4), ([0.95] * 5, 60, 3), ([0.5, 0.5, 0.6, 0.6, 0.7], 60, 3), ([0.9, 0.9, 0.9, 0.5, 0.2], 100, 1)],
)
def test_coverage_with_ties(rates: list[float], num: int, size: int) -> None:
    generator = np.random.default_rng(1)
    sharp = sure = bold = 0
    for _ in range(REPETITIONS):
        x, cluster = draw(generator, rates, num, size)
        one = rank_intervals(x, cluster, generator=generator, num_draws=200)
        sharp += holds(one, rates)
        sure += holds(guaranteed_rank_intervals(x, cluster), rates)
        assert int(np.argmax(one.means)) in one.best
        bold += len(set(np.flatnonzero(np.array(rates) == max(rates))) - set(one.best)) == 0
    assert clopper_pearson(sharp, REPETITIONS, 0.999).high >= 0.95
    assert clopper_pearson(sure, REPETITIONS, 0.999).high >= 0.95
    assert clopper_pearson(bold, REPETITIONS, 0.999).high >= 0.95


def test_rows_as_units_and_unadjusted_pairs_fail() -> None:
    """Positive control on the first case of the coverage test: without clusters, or with pairs at their own level."""
    generator = np.random.default_rng(1)
    rates = [0.5] * 5
    rows = pairs = 0
    for _ in range(60):
        x, _ = draw(generator, rates, 20, 12)
        rows += holds(rank_intervals(x, np.arange(len(x)), generator=generator, num_draws=200), rates)
        means = x.reshape(20, 12, 5).mean(axis=1)
        p = [stats.ttest_rel(means[:, j], means[:, k]).pvalue for j in range(5) for k in range(j)]
        pairs += min(p) > 0.05
    assert clopper_pearson(rows, 60, 0.999).high < 0.95
    assert clopper_pearson(pairs, 60, 0.999).high < 0.95


def test_separates_what_is_far_apart() -> None:
    generator = np.random.default_rng(3)
    x, cluster = draw(generator, [0.9, 0.3, 0.6, 0.3], 150, 2)
    sharp = rank_intervals(x, cluster, generator=generator)
    assert sharp.best.tolist() == [0]
    assert sharp.separated
    assert sharp.lowest.tolist() == [1, 3, 2, 3]
    assert sharp.highest.tolist() == [1, 4, 2, 4]
    sure = guaranteed_rank_intervals(x, cluster)
    assert (sure.better <= sharp.better).all()
    assert sure.better[0].sum() == 3


def test_two_models_are_the_sign_flip_t_test() -> None:
    """With one pair the critical value is the quantile of the sign-flip distribution of t."""
    generator = np.random.default_rng(4)
    d = generator.normal(0.05, 0.1, 12)
    x = np.clip(np.stack([0.5 + d, np.full(12, 0.5)], axis=1), 0, 1)
    r = x[:, 0] - x[:, 1]
    signs = (np.arange(2**12)[:, None] >> np.arange(12) & 1) * 2 - 1
    flips = np.abs(stats.ttest_1samp(signs * r, 0, axis=1).statistic)
    observed = stats.ttest_rel(x[:, 0], x[:, 1]).statistic
    for level in (0.5, 0.9, 0.999):
        found = rank_intervals(x, np.arange(12), generator=generator, level=level, num_draws=4000)
        assert found.better[0, 1] == (observed > np.quantile(flips, level)), level
        assert not found.better[1, 0]


def test_guaranteed_pairs_are_binomial_tests_under_holm() -> None:
    generator = np.random.default_rng(5)
    x, _ = draw(generator, [0.8, 0.6, 0.5], 60, 1)
    p = []
    for j in range(3):
        for k in range(3):
            if j != k:
                b, c = int((x[:, j] > x[:, k]).sum()), int((x[:, j] < x[:, k]).sum())
                p.append(stats.binomtest(b, b + c, alternative="greater").pvalue)
    found = guaranteed_rank_intervals(x, np.arange(60))
    assert found.better[~np.eye(3, dtype=bool)].tolist() == (holm(p) <= 0.05).tolist()
    assert "sign tests" in found.method


def test_betting_test_keeps_its_level_on_the_worst_skew() -> None:
    """Two equal models, one loses much and rarely. Sign tests reject nearly always, and sign flips of the differences,
    as t tests, more often than they say: only the guaranteed version keeps its level (positive controls)."""
    generator = np.random.default_rng(6)
    wrong = flips = signs = 0
    for _ in range(300):
        lost = generator.random(40) < 0.05
        gain = generator.uniform(0.03, 0.07, 40)
        x = np.stack([np.where(lost, 0.0, 0.5 + gain), np.where(lost, 0.95, 0.5)], axis=1)
        wrong += bool(guaranteed_rank_intervals(x, np.arange(40)).better.any())
        flips += bool(rank_intervals(x, np.arange(40), generator=generator, num_draws=200).better.any())
        signs += stats.binomtest(int((~lost).sum()), 40, alternative="greater").pvalue <= 0.025
    assert clopper_pearson(wrong, 300, 0.999).low <= 0.05
    assert clopper_pearson(flips, 300, 0.999).low > 0.05
    assert signs / 300 > 0.9


@settings(max_examples=40)
@given(
    hnp.arrays(np.float64, st.tuples(st.integers(6, 25), st.integers(2, 5)), elements=st.sampled_from([0.0, 0.5, 1.0])),
    st.integers(0, 9),
)
def test_rank_intervals_are_coherent(x: np.ndarray, seed: int) -> None:
    cluster = np.arange(len(x)) % 6
    sure = guaranteed_rank_intervals(x, cluster)
    for ranks in (rank_intervals(x, cluster, generator=np.random.default_rng(seed), num_draws=100), sure):
        assert (ranks.lowest >= 1).all()
        assert (ranks.lowest <= ranks.highest).all()
        assert (ranks.highest <= x.shape[1]).all()
        assert not (ranks.better & ranks.better.T).any()
        assert (ranks.means[:, None] > ranks.means[None, :])[ranks.better].all()
        assert len(ranks.best) >= 1
    order = np.random.default_rng(seed).permutation(len(x))
    models = np.random.default_rng(seed).permutation(x.shape[1])
    again = guaranteed_rank_intervals(x[order][:, models], cluster[order])
    assert (again.better == sure.better[np.ix_(models, models)]).all()


def test_constant_differences() -> None:
    """One model right on all items, one on none: no t, an exact argument instead. Equal models are never ordered."""
    x = np.stack([np.ones(20), np.zeros(20), np.ones(20)], axis=1)
    found = rank_intervals(x, np.arange(20), generator=np.random.default_rng(0))
    assert found.lowest.tolist() == [1, 3, 1]
    assert found.best.tolist() == [0, 2]
    assert not rank_intervals(x[:6], np.arange(6), generator=np.random.default_rng(0)).better.any()
    tiny = rank_intervals(x * 0.01, np.arange(20), generator=np.random.default_rng(0))
    assert not tiny.better.any()  # a rare large loss would be unseen
    assert not rank_intervals(np.ones((9, 3)), np.arange(9), generator=np.random.default_rng(0)).better.any()


def test_five_clusters_show_nothing_at_95_percent() -> None:
    """The smallest two-sided p of a sign-flip test over five clusters is 1/16."""
    x = np.stack([np.linspace(0.8, 1, 5), np.linspace(0, 0.1, 5)], axis=1)
    assert not rank_intervals(x, np.arange(5), generator=np.random.default_rng(0)).better.any()


@pytest.mark.data
def test_a_published_table_has_no_first_place() -> None:
    """LangChain tool use, 20 tasks x 9 models: the first by its mean (20/20) isn't shown to be the best."""
    import polars as pl

    table = pl.read_csv(data_path("response_matrices/langchain_data_tool_use_FULL.csv")).to_numpy()
    x = table.astype(float)
    assert x.mean(axis=0).max() == 1
    found = rank_intervals(x, np.arange(20), generator=np.random.default_rng(0))
    assert 1 < len(found.best) < 9
    assert set(found.best) <= set(guaranteed_rank_intervals(x, np.arange(20)).best)


@pytest.mark.parametrize(
    ("values", "cluster"),
    [
        (np.ones((9, 1)), np.arange(9)),
        (np.ones(9), np.arange(9)),
        (np.full((9, 2), np.nan), np.arange(9)),
        (np.full((9, 2), np.inf), np.arange(9)),
        (np.full((9, 2), 2.0), np.arange(9)),
        (np.ones((9, 2)), np.arange(8)),
        (np.ones((0, 2)), np.arange(0)),
    ],
)
def test_refusals(values: np.ndarray, cluster: np.ndarray) -> None:
    with pytest.raises(MeasurementUndefined):
        rank_intervals(values, cluster, generator=np.random.default_rng(0))
    with pytest.raises(MeasurementUndefined):
        guaranteed_rank_intervals(values, cluster)


def test_few_clusters_and_draws_are_refused() -> None:
    x = np.random.default_rng(0).random((12, 3))
    with pytest.raises(MeasurementUndefined, match="clusters"):
        rank_intervals(x, np.arange(12) % 4, generator=np.random.default_rng(0))
    with pytest.raises(MeasurementUndefined, match="draws"):
        rank_intervals(x, np.arange(12), generator=np.random.default_rng(0), num_draws=50)
    with pytest.raises(MeasurementUndefined):
        rank_intervals(x, np.arange(12), generator=np.random.default_rng(0), level=1.0)
    assert not guaranteed_rank_intervals(x, np.zeros(12)).better.any()
