"""Evidence on the mean of bounded values, valid at any stopping time and for any distribution.

Two designs. *With replacement* (``num_items`` is None): every value has, given the past, the same mean mu
(independent draws, or a martingale). *Without replacement*: the items of a fixed bank of N, asked in a random order;
mu is the mean over the whole bank, and after t - 1 values with sum S the next one has, under "mean = m", the
conditional mean

    m_t = (N m - S_{t-1}) / (N - t + 1)

``BoundedProcess`` bets against "mean <= m" (shows="above") or "mean >= m" (shows="below") with factors 1 + lambda_t
(x_t - m_t), or their mirror image. If the true mean lies in the null, x_t has a conditional mean of at most m_t,
every factor a conditional expectation of at most 1, and P(e ever reaches 1/alpha) <= alpha. No limit theorem: it is
exact for finite samples.

When m_t leaves the values' range the null is impossible, since no remaining items could bring the mean back: e is
infinite. When m_t lies beyond the other end, the null is certain; the bets go on and can only lose. (Betting nothing
there would be valid too, but then evidence would not fall in m, and confidence limits would need a grid.)

*The order must be random.* Without replacement the guarantee comes from the order alone: a permutation drawn with a
seed, before any answer. The order in which a file lists its items is not valid unless the items are exchangeable.

Waudby-Smith & Ramdas 2024, J. R. Stat. Soc. B 86, sections 4 and 5; what we do differently stands in ``wealth.py``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, cast

import numpy as np

from trialist.errors import MeasurementUndefined
from trialist.measurement.sequential.wealth import TOLERANCE, UNIVERSAL, Bets, Path, Wealth

Shows = Literal["below", "above"]


@dataclass(frozen=True)
class Step:
    """What is known of a step before its value x in [0, 1]: the increment scale * x - offset, and its range."""

    scale: float = 1.0
    offset: float = 0.0
    low: float = 0.0
    high: float = 1.0


class Sampling(Protocol):
    """How the items of a bank are drawn, and what is predicted of them. Several processes may share one."""

    @property
    def num_items(self) -> int: ...

    @property
    def scale(self) -> Scale:
        """The range of the values."""
        ...

    @property
    def settings(self) -> Mapping[str, str | float]:
        """What a certificate says of it."""
        ...

    def step(self, t: int) -> Step:
        """Step ``t`` (from 0), fixed by the values of the steps before it. Asked again, it is the same."""
        ...

    def learn(self, t: int, value: float) -> None:
        """The value of step ``t``, in [0, 1]. The first one told for a step is kept."""
        ...


def take(sampling: Sampling | None, t: int, x: float) -> tuple[float, float, float, float]:
    """Value, increment, and the increment's range, of step ``t``; tells ``sampling`` the value."""
    if sampling is None:
        return x, x, 0.0, 1.0
    step = sampling.step(t)
    sampling.learn(t, x)
    return x, step.scale * x - step.offset, step.low, step.high


class BoundedProcess:
    """Evidence that the mean lies "above" the threshold (against "mean <= threshold") or "below" it, an ``EProcess``.

    ``num_items`` is N for sampling without replacement, None with replacement; ``sampling`` brings a control variate
    or unequal probabilities, and its own N. ``bets`` are in the units of the values.
    """

    def __init__(
        self,
        threshold: float,
        *,
        shows: Shows,
        low: float = 0.0,
        high: float = 1.0,
        num_items: int | None = None,
        bets: Bets | None = None,
        sampling: Sampling | None = None,
    ) -> None:
        self.scale = Scale.make(low, high)
        m = self.scale.threshold(threshold)
        self.threshold = threshold
        self.num_items = check_items(num_items, sampling, self.scale)
        self.bets = Bets(tuple(g * (high - low) for g in UNIVERSAL.gaps), UNIVERSAL.weights) if bets is None else bets
        self._sampling = sampling
        self.shows: Shows = check_shows(shows)
        self._mirrored = shows == "below"
        self._m = 1 - m if self._mirrored else m
        self._wealth = Wealth(self.bets.unit(high - low))
        self._sum = 0.0
        self._log_e = 0.0
        self._max_log_e = 0.0

    def update(self, value: float) -> None:
        """The next value. Raises MeasurementUndefined outside [low, high] and after the last item of the bank."""
        t, n = self.num_seen, self.num_items
        if n is not None and t >= n:
            raise MeasurementUndefined("the whole bank has been seen", seen=f"value {t + 1}", allowed=f"{n} values")
        x, z, low, high = take(self._sampling, t, self.scale.unit(value))
        if self._mirrored:
            x, z, low = 1 - x, 1 - z, 1 - high
        self._bet(x, z, low)

    def _bet(self, x: float, z: float, low: float) -> None:
        wealth, n = self._wealth, self.num_items
        target, growth = self._m, 1.0
        if n is not None:
            left = n - wealth.num_seen
            target, growth = (n * self._m - self._sum) / left, n / left
        wealth.bet(z, max(target, 0.0), low, growth)
        wealth.watch(z)
        self._sum += x
        if n is not None and self._sum > n * self._m + TOLERANCE * n:
            self._log_e = math.inf
        else:
            self._log_e = wealth.log_capital
        self._max_log_e = max(self._max_log_e, self._log_e)

    @property
    def log_e(self) -> float:
        return self._log_e

    @property
    def max_log_e(self) -> float:
        return self._max_log_e

    @property
    def num_seen(self) -> int:
        return self._wealth.num_seen

    @property
    def settings(self) -> dict[str, str | float]:
        """What rebuilds the process before its first value; of a ``sampling``, what identifies it."""
        found: dict[str, str | float] = {
            "kind": "bounded",
            "threshold": self.threshold,
            "shows": self.shows,
            "low": self.scale.low,
            "high": self.scale.high,
            "num_items": "with replacement" if self.num_items is None else self.num_items,
            "gaps": " ".join(map(repr, self.bets.gaps)),
            "weights": " ".join(map(repr, self.bets.weights)),
            "share": self.bets.share,
        }
        return found if self._sampling is None else found | {**self._sampling.settings}


def rebuild(settings: Mapping[str, str | float], sampling: Sampling | None = None) -> BoundedProcess:
    """A fresh process from its ``settings``, so that a certificate can be verified. A ``sampling`` must be given
    again, since a predictor can't be stored; without one, settings that name one are refused."""
    if settings.get("kind") != "bounded" or ("sampling" in settings) != (sampling is not None):
        raise MeasurementUndefined(
            "settings that don't give this process back",
            seen=f"kind {settings.get('kind')}, sampling {settings.get('sampling', 'none')}",
            allowed="kind bounded, and the sampling that the settings name",
        )
    gaps, weights = (tuple(map(float, str(settings[name]).split())) for name in ("gaps", "weights"))
    items = settings["num_items"]
    process = BoundedProcess(
        float(settings["threshold"]),
        shows=cast(Shows, settings["shows"]),
        low=float(settings["low"]),
        high=float(settings["high"]),
        num_items=None if isinstance(items, str) else int(items),
        bets=Bets(gaps, weights, float(settings["share"])),
        sampling=sampling,
    )
    if process.settings != dict(settings):
        raise MeasurementUndefined("a sampling of other settings", seen=str(process.settings), allowed=str(settings))
    return process


def walk(values: Sequence[float], sampling: Sampling) -> Path:
    """The increments of ``values``, in [0, 1] and in the order drawn, under ``sampling``: the input of ``log_path``."""
    rows = [take(sampling, t, x) for t, x in enumerate(values)]
    return Path(*(np.array(column, dtype=np.float64) for column in zip(*rows, strict=True)))


@dataclass(frozen=True)
class Scale:
    """Values in [low, high] as [0, 1] and back."""

    low: float
    high: float

    @staticmethod
    def make(low: float, high: float) -> Scale:
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            raise MeasurementUndefined("a bounded mean needs finite bounds, low < high", seen=f"[{low}, {high}]")
        return Scale(low, high)

    def unit(self, value: float) -> float:
        x = (value - self.low) / (self.high - self.low)
        if not -TOLERANCE <= x <= 1 + TOLERANCE:
            raise MeasurementUndefined(
                "a value outside its range", seen=str(value), allowed=f"[{self.low}, {self.high}]"
            )
        return min(1.0, max(0.0, x))

    def value(self, unit: float) -> float:
        return self.low + (self.high - self.low) * unit

    def threshold(self, threshold: float) -> float:
        """A threshold strictly inside the range: at its ends one of the two hypotheses is empty."""
        if not self.low < threshold < self.high:
            raise MeasurementUndefined(
                "a threshold must lie strictly inside the range of the values",
                seen=str(threshold),
                allowed=f"{self.low} < threshold < {self.high}",
            )
        return (threshold - self.low) / (self.high - self.low)


def check_shows(shows: Shows) -> Shows:
    if shows not in ("below", "above"):
        raise MeasurementUndefined("a mean is shown to lie below or above", seen=str(shows), allowed="below, above")
    return shows


def check_items(num_items: int | None, sampling: Sampling | None, scale: Scale) -> int | None:
    """N, or None with replacement."""
    if sampling is not None and sampling.scale != scale:
        raise MeasurementUndefined(
            "a sampling made for values of another range", seen=str(sampling.scale), allowed=str(scale)
        )
    own = None if sampling is None else sampling.num_items
    if num_items is not None and own is not None and num_items != own:
        raise MeasurementUndefined("two sizes of the bank", seen=f"{num_items} and {own}", allowed="the same, or one")
    found = num_items if own is None else own
    if found is not None and found < 1:
        raise MeasurementUndefined("an empty bank", seen=str(found), allowed="at least 1 item")
    return found
