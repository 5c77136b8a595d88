"""A sample and a level -> the two-sided interval of the default method: it describes, and may carry no claim."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from trialist.errors import MeasurementUndefined
from trialist.measurement import betting, clustered, crossed, fixed_bank, independent_trials, paired, proportions
from trialist.measurement.bootstrap_mean import studentised_mean
from trialist.measurement.choose import METHODS, Bank, MethodName, choose
from trialist.measurement.cr2 import cr2
from trialist.measurement.interval import Interval, t_quantile
from trialist.measurement.sample import Sample
from trialist.measurement.uncertainty import Uncertainty, by_method, design_of, refused

NO_SPREAD = 1e-12


def describe(sample: Sample, level: float, bank: Bank | None = None) -> Uncertainty:
    """Two-sided interval at ``level`` from the scored items, at least one."""
    sample = sample if sample.scored.all() else sample.only(sample.scored)
    choice = choose(design_of(sample, bank), "describe")
    if choice.method is None:
        return refused(choice)
    try:
        found = _DESCRIBE[choice.method](sample, level, bank)
    except MeasurementUndefined as undefined:
        problem = undefined.problems[0]
        method = METHODS[choice.method].text
        return Uncertainty(method, reason=f"no interval: {problem.message}", next_step=problem.next_step)
    if found.interval is not None and not np.isfinite([found.interval.low, found.interval.high]).all():
        reason = "no interval: the scores are too skewed for a limit without finite bounds"
        return Uncertainty(found.method, found.citation, reason=reason, next_step="give the metric its low and high")
    if found.interval is None or found.interval.width > 0:
        return found
    return Uncertainty(found.method, found.citation, reason="no interval: leaving out any one cluster changes nothing")


def _wilson(sample: Sample, level: float, _: Bank | None) -> Uncertainty:
    x = sample.units()
    return by_method("wilson", proportions.wilson(float(x.sum()), len(x), level))


def _wilson_effective(sample: Sample, level: float, _: Bank | None) -> Uncertainty:
    x, w = sample.units(), sample.weights[:, 0]
    size = clustered.effective_size(x, sample.cluster, weights=w, level=level)
    share = clustered.aggregate(x, sample.cluster, w).mean
    return by_method("wilson-effective", proportions.wilson(min(1.0, share) * size, size, level), effective_size=size)


def _tango(sample: Sample, level: float, _: Bank | None) -> Uncertainty:
    d = sample.units()
    b, c = int((d > 0).sum()), int((d < 0).sum())
    return by_method("tango", paired.tango(b, c, len(d), level), p_value=paired.mcnemar_midp(b, c))


def _tango_effective(sample: Sample, level: float, _: Bank | None) -> Uncertainty:
    d, w = sample.units(), sample.weights[:, 0]
    size = clustered.effective_size(d, sample.cluster, weights=w, level=level)
    b, c = (float(w[sign * d > 0].sum() / w.sum()) * size for sign in (1, -1))
    net = clustered.aggregate(d, sample.cluster, w).means
    p_value = paired.mcnemar_midp(int((net > NO_SPREAD).sum()), int((net < -NO_SPREAD).sum()))
    return by_method("tango-effective", paired.tango(b, c, size, level), p_value=p_value, effective_size=size)


def _robust(sample: Sample, level: float, _: Bank | None) -> Uncertainty:
    """CR2 over clusters; with one item of equal weight a cluster it is Student's t interval to the last bit."""
    result = cr2(clustered.aggregate(sample.units(), sample.cluster, sample.weights[:, 0]), level)
    name: MethodName = "t" if sample.independent else "cr2"
    return _clipped(name, sample, result.interval, result.standard_error, degrees=result.degrees)


def _bootstrap(sample: Sample, level: float, _: Bank | None) -> Uncertainty:
    groups = clustered.aggregate(sample.units(), sample.cluster, sample.weights[:, 0])
    return _clipped("bootstrap-t", sample, studentised_mean(groups, level), 1.0)


def _jackknife(sample: Sample, level: float, _: Bank | None) -> Uncertainty:
    result = clustered.jackknife(sample.values, sample.cluster, sample.metric.of, weights=sample.weights, level=level)
    return _clipped("jackknife", sample, result.interval, result.standard_error, degrees=result.num_clusters - 1)


def _crossed(sample: Sample, level: float, _: Bank | None) -> Uncertainty:
    if sample.second is None:
        raise MeasurementUndefined("a crossed design needs its second facet")
    result = crossed.crossed(sample.units(), sample.cluster, sample.second, weights=sample.weights[:, 0])
    return _clipped("crossed", sample, result.interval(level), result.standard_error, degrees=result.degrees)


def _betting(sample: Sample, level: float, _: Bank | None) -> Uncertainty:
    groups = clustered.aggregate(sample.units(), sample.cluster, sample.weights[:, 0])
    low, high = sample.metric.low, sample.metric.high
    return by_method("betting-interval", betting.interval(groups.means, groups.sizes, low=low, high=high, level=level))


def _hypergeometric(sample: Sample, level: float, bank: Bank | None) -> Uncertainty:
    x = sample.units()
    size = bank.size if bank else len(x)
    return by_method("hypergeometric", fixed_bank.interval(int(x.sum()), len(x), size, level))


def _bank_t(sample: Sample, level: float, bank: Bank | None) -> Uncertainty:
    x = sample.units()
    n, size = len(x), bank.size if bank else len(x)
    if n < 2:
        raise MeasurementUndefined("a t interval needs at least two items", seen=str(n), allowed="2 or more")
    error = float(np.sqrt(x.var(ddof=1) / n * (1 - n / size)))
    half = t_quantile(level, n - 1) * error
    return _clipped("bank-t", sample, Interval(x.mean() - half, x.mean() + half), error, degrees=n - 1)


def _within(sample: Sample, level: float, _: Bank | None) -> Uncertainty:
    if sample.within is None:
        raise MeasurementUndefined("the epochs of the items are not known")
    mean = clustered.aggregate(sample.units(), sample.cluster, sample.weights[:, 0]).mean
    # Items of weight w_i count (w_i / mean w)^2 times in the variance of the mean.
    spread = sample.within * (sample.weights[:, 0] / sample.weights[:, 0].mean()) ** 2
    result = independent_trials.summary_interval(mean, spread, sample.num_epochs, level)
    return _clipped("within", sample, result, result.width)


def _clipped(
    name: MethodName, sample: Sample, interval: Interval, error: float, *, degrees: float | None = None
) -> Uncertainty:
    low, high = max(sample.metric.low, interval.low), min(sample.metric.high, interval.high)
    found = Interval(low, high) if error > NO_SPREAD else Interval(low, low)
    return by_method(name, found, degrees=degrees)


_DESCRIBE: dict[MethodName, Callable[[Sample, float, Bank | None], Uncertainty]] = {
    "wilson": _wilson,
    "wilson-effective": _wilson_effective,
    "tango": _tango,
    "tango-effective": _tango_effective,
    "t": _robust,
    "cr2": _robust,
    "jackknife": _jackknife,
    "crossed": _crossed,
    "bootstrap-t": _bootstrap,
    "betting-interval": _betting,
    "hypergeometric": _hypergeometric,
    "bank-t": _bank_t,
    "within": _within,
}
