"""Other packages as estimators of the stress set; each is offered only where it is installed and claims to apply."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np

from trialist.measurement.interval import Interval
from trialist.measurement.sample import Sample
from trialist.measurement.stress import Case
from trialist.measurement.stress_judged import JudgedCase, JudgedData

LEVEL = 0.95


def _has(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def for_case(case: Case) -> list[str]:
    """Names of the peers' estimators for a case of scores."""
    if case.bank is not None or case.group == "function of means" or "weights" in case.name:
        return []
    names: list[str] = []
    if _has("statsmodels"):
        names += ["statsmodels, t", "statsmodels, cluster t"] if "C " in case.name else ["statsmodels, t"]
        names += ["statsmodels, Wilson", "statsmodels, beta"] if case.group == "rate" else []
    if _has("inspect_ai"):
        names += ["inspect_ai, ci", "inspect_ai, ci cluster"] if "C " in case.name else ["inspect_ai, ci"]
    return names


def for_judged(case: JudgedCase) -> list[str]:
    if case.group == "judged difference":
        return []
    return ["ppi_py, PPI++"] if _has("ppi_py") else []


def estimator(name: str) -> Callable[[Any], Interval | None]:
    return _ESTIMATORS[name]


def _statsmodels_t(data: Sample) -> Interval | None:
    from statsmodels.stats.weightstats import DescrStatsW

    low, high = DescrStatsW(data.units()).tconfint_mean(alpha=1 - LEVEL)
    return Interval(float(low), float(high))


def _statsmodels_cluster(data: Sample) -> Interval | None:
    import statsmodels.api as sm

    x = data.units()
    fitted = sm.OLS(x, np.ones((len(x), 1))).fit(cov_type="cluster", cov_kwds={"groups": data.cluster}, use_t=True)
    low, high = fitted.conf_int(1 - LEVEL)[0]
    return Interval(float(low), float(high))


def _proportion(method: str) -> Callable[[Sample], Interval | None]:
    def interval(data: Sample) -> Interval | None:
        from statsmodels.stats.proportion import proportion_confint

        x = data.units()
        low, high = proportion_confint(int(x.sum()), len(x), alpha=1 - LEVEL, method=method)
        return Interval(float(low), float(high))

    return interval


def _inspect(cluster: str | None) -> Callable[[Sample], Interval | None]:
    def interval(data: Sample) -> Interval | None:
        from inspect_ai.scorer import SampleScore, Score, ci

        rows = [
            SampleScore(score=Score(value=float(value)), sample_metadata={"cluster": int(code)})
            for value, code in zip(data.units(), data.cluster, strict=True)
        ]
        found: Any = ci(level=LEVEL, cluster=cluster)(rows)
        return Interval(float(found["lower"]), float(found["upper"]))

    return interval


def _ppi(data: JudgedData) -> Interval | None:
    from ppi_py import ppi_mean_ci

    gold = ~np.isnan(data.gold)
    low, high = ppi_mean_ci(data.gold[gold], data.judge[gold], data.judge[~gold], alpha=1 - LEVEL)
    return Interval(float(np.ravel(low)[0]), float(np.ravel(high)[0]))


_ESTIMATORS: dict[str, Callable[[Any], Interval | None]] = {
    "statsmodels, t": _statsmodels_t,
    "statsmodels, cluster t": _statsmodels_cluster,
    "statsmodels, Wilson": _proportion("wilson"),
    "statsmodels, beta": _proportion("beta"),
    "inspect_ai, ci": _inspect(None),
    "inspect_ai, ci cluster": _inspect("cluster"),
    "ppi_py, PPI++": _ppi,
}
