"""What a comparison that was made could have seen, from how much its pairs vary."""

from __future__ import annotations

from trialist.errors import MeasurementUndefined
from trialist.measurement.clustered import aggregate, standard_error
from trialist.measurement.planning import discordant, normal, search
from trialist.measurement.sample import Sample

NO_SPREAD = 1e-12
ALL = 1 - 1e-9


def detectable_difference(sample: Sample, *, level: float = 0.95, power: float = 0.8) -> float:
    """Smallest true difference that this design would have shown: with probability ``power`` its two-sided test at
    ``level`` says that the first cell is better (or, mirrored, worse).

    ``sample``: pairs, of which those scored in both cells count. Binary, one pair a cluster: n pairs of which the share
    q that was seen here differs, mid-p McNemar test, by enumeration; where no difference up to q is seen that often
    (few pairs differ), the smallest share of pairs that all differ in one direction. Otherwise, with C clusters and the
    cluster-robust standard error s (CR1) of the mean difference, the t test with C - 1 degrees of freedom: the d at
    which T' > t_{1-alpha/2, C-1} has that probability, T' noncentral t with noncentrality d/s; about (z_{1-alpha/2} +
    z_power) s. The spread is taken from these data and the observed difference isn't used: unlike "observed power" it
    doesn't repeat the p-value.

    The bounds behind a verdict in words hold at any sample size and are wider: to get the word takes a somewhat larger
    difference. Raises MeasurementUndefined for a sample that isn't a plain paired one, with fewer than two clusters or
    without any spread, and where no difference that the scores allow is seen that often.
    """
    if not (sample.paired and sample.plain):
        raise MeasurementUndefined("a smallest difference needs pairs of one measure with equal weights")
    pairs = sample.only(sample.scored)
    units = pairs.units()
    if not len(units):
        raise MeasurementUndefined("no pair was scored in both cells", seen="0 pairs")
    if pairs.binary and pairs.independent:
        return _of_binary(float((units != 0).mean()), len(units), level, power)
    groups = aggregate(units, pairs.cluster, pairs.weights[:, 0])
    if len(groups.means) < 2 or (error := standard_error(groups)) <= NO_SPREAD:
        raise MeasurementUndefined(
            "the differences don't vary between clusters", seen=f"{len(groups.means)} clusters",
            next_step="more clusters",
        )  # fmt: skip
    spread = normal.Spread(len(groups.means) * error**2)
    return _within(normal.detectable(len(groups.means), spread, power_wanted=power, level=level), pairs.metric.high)


def _of_binary(share: float, num: int, level: float, power: float) -> float:
    if share > 0:
        try:
            return discordant.mcnemar_detectable(min(share, ALL), num, power=power, level=level)
        except MeasurementUndefined:
            pass

    def at(gain: float) -> float:
        return discordant.mcnemar_power(gain, 0.0, num, level=level).power

    if at(1.0) < power:
        pairs = "1 pair shows" if num == 1 else f"{num:,} pairs show"
        raise MeasurementUndefined(f"{pairs} no difference with power {power:g}", next_step="more pairs")
    return search.solve(at, power, 0.0, 1.0)


def _within(difference: float, most: float) -> float:
    if difference > most:
        raise MeasurementUndefined("no difference that the scores allow is seen that often", seen=f"{difference:.3g}")
    return difference
