"""The difference that a comparison could have seen is seen as often as it says, by the test that is made."""

from __future__ import annotations

import numpy as np
import pytest

from trialist.errors import MeasurementUndefined
from trialist.measurement.clustered import aggregate
from trialist.measurement.cr2 import cr2
from trialist.measurement.metrics import mean_of
from trialist.measurement.paired import mcnemar_midp
from trialist.measurement.planning import normal
from trialist.measurement.planning.observed import detectable_difference
from trialist.measurement.sample import Floats, Ints, Sample, difference_of

DRAWS = 1500


def pairs(differences: Floats, cluster: Ints | None = None, *, binary: bool = True) -> Sample:
    """Pairs whose first value minus the second is ``differences`` (n,), NaN where a side is missing."""
    n = len(differences)
    values = np.stack([np.maximum(differences, 0.0), np.maximum(-differences, 0.0)], axis=1)
    codes = np.arange(n) if cluster is None else cluster
    return Sample(
        metric=difference_of(mean_of("acc")), ids=np.arange(n), values=values, weights=np.ones((n, 2)),
        scored=~np.isnan(differences), cluster=codes, named_cluster=codes, num_epochs=np.ones(n, dtype=np.int64),
        plain=True, paired=True, binary=binary,
    )  # fmt: skip


def with_shares(n: int, gains: int, losses: int) -> Floats:
    return np.repeat([1.0, -1.0, 0.0], [gains, losses, n - gains - losses])


@pytest.mark.parametrize(("n", "share"), [(80, 0.3), (300, 0.1), (1000, 0.2)])
def test_binary_pairs_at_that_difference_are_told_apart_that_often(n: int, share: float) -> None:
    seen = detectable_difference(pairs(with_shares(n, round(n * share / 2), round(n * share / 2))))
    generator = np.random.default_rng(n)
    chances = [(share + seen) / 2, (share - seen) / 2, 1 - share]
    counts = generator.multinomial(n, chances, size=DRAWS)
    shown = np.mean([b > c and mcnemar_midp(int(b), int(c)) <= 0.05 for b, c, _ in counts])
    assert abs(shown - 0.8) < 4 * np.sqrt(0.8 * 0.2 / DRAWS)


def test_clustered_pairs_at_that_difference_are_told_apart_that_often() -> None:
    generator = np.random.default_rng(7)
    cluster = np.repeat(np.arange(40), 5)

    def draw(shift: float) -> Floats:
        return np.clip(shift + 0.1 * generator.normal(size=40)[cluster] + 0.1 * generator.normal(size=200), -1, 1)

    # The spread of one pilot is itself uncertain: the mean over pilots is what the truth has to agree with.
    seen = float(np.mean([detectable_difference(pairs(draw(0.0), cluster, binary=False)) for _ in range(200)]))
    hits = [cr2(aggregate(draw(seen), cluster), 0.95).interval.low > 0 for _ in range(DRAWS)]
    assert abs(np.mean(hits) - 0.8) < 0.04


def test_alone_in_their_clusters_graded_pairs_are_the_t_test() -> None:
    d = np.random.default_rng(1).normal(0, 0.2, 60).clip(-1, 1)
    wanted = normal.detectable(60, normal.Spread(float(d.var(ddof=1))))
    assert detectable_difference(pairs(d, binary=False)) == pytest.approx(wanted)
    assert detectable_difference(pairs(d, binary=False), power=0.9) > wanted
    assert detectable_difference(pairs(d, binary=False), level=0.99) > wanted


def test_what_was_observed_does_not_move_it_and_missing_pairs_do() -> None:
    even, uneven = with_shares(200, 20, 20), with_shares(200, 40, 0)
    assert detectable_difference(pairs(even)) == detectable_difference(pairs(uneven))
    cut = even.copy()
    cut[100:180] = np.nan
    assert detectable_difference(pairs(cut)) == detectable_difference(pairs(cut[~np.isnan(cut)]))


def test_where_no_pair_differs_the_smallest_one_sided_share_is_given() -> None:
    seen = detectable_difference(pairs(np.zeros(300)))
    generator = np.random.default_rng(3)
    shown = np.mean([mcnemar_midp(int(b), 0) <= 0.05 for b in generator.binomial(300, seen, DRAWS)])
    assert abs(shown - 0.8) < 4 * np.sqrt(0.8 * 0.2 / DRAWS)
    assert 0 < detectable_difference(pairs(np.ones(300))) < 0.2


@pytest.mark.parametrize(
    ("sample", "says"),
    [
        (pairs(np.array([1.0, 0.0, -1.0])), "3 pairs show no difference"),
        (pairs(np.array([np.nan] * 4)), "no pair was scored"),
        (pairs(np.zeros(20), binary=False), "don't vary"),
        (pairs(with_shares(20, 5, 5), np.zeros(20, dtype=np.int64)), "don't vary"),
        (pairs(with_shares(6, 3, 3), binary=False), "that the scores allow"),
    ],
)
def test_a_difference_that_cannot_be_given(sample: Sample, says: str) -> None:
    with pytest.raises(MeasurementUndefined, match=says):
        detectable_difference(sample)
