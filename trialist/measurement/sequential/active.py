"""Active sampling: ask the items whose answer is uncertain more often, and weight them back.

Step t draws an item from the n that remain with probabilities q_t(i) that sum to 1 and are fixed by the past. With a
prediction f_t(i) for every item, also fixed by the past, the increment is the augmented inverse-probability-weighted
value

    z_t = mean of f_t over the remaining + (x_t - f_t(i_t)) / (n q_t(i_t))

E[z_t | past] = mean f + sum_i q(i) (x_i - f(i)) / (n q(i)) = mean of x over the remaining items = mu_t, whatever f
and q are. So the process of ``bounded.py`` stays exact: its factors have a conditional mean of at most 1 under the
null, and the bets are capped by the range, known before the draw:

    min_i (mean f - f(i) / (n q(i))) <= z_t <= max_i (mean f + (1 - f(i)) / (n q(i)))

A share ``least`` of every draw is uniform, so that n q(i) >= least and the range stays within -1/least and 1 +
1/least. With f = 0 and q = 1/n this is plain sampling without replacement; with q = 1/n and f = c g it is
``ControlVariate``.

q is ``least``/n plus the rest in proportion to ``uncertainty`` of the prediction: sqrt(f (1 - f)), the standard
deviation of a binary answer, unless told otherwise. That is the variance-minimising choice if f is a calibrated
probability; a wrong f costs answers only.

Robins, Rotnitzky & Zhao 1994, J. Am. Stat. Assoc. 89, for the estimator; Neyman 1934 for the allocation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from trialist.errors import MeasurementUndefined
from trialist.measurement.sequential.bounded import Scale, Step
from trialist.measurement.sequential.predictors import Predictor
from trialist.measurement.sequential.variates import Coefficient, Refits

Floats = NDArray[np.float64]


def binary_deviation(predictions: Floats) -> Floats:
    """sqrt(f (1 - f)): the standard deviation of a binary answer with probability f."""
    return np.sqrt(predictions * (1 - predictions))


class ActiveSampling:
    """A ``Sampling`` that also chooses: ``items()`` gives the next item to ask, drawn when it is taken.

    Each item must be answered before the next one is taken. ``least`` in (0, 1] is the uniform share of a draw, 1
    being uniform sampling. Raises MeasurementUndefined for a ``least`` out of range, a rule that gives no finite
    weights, or steps out of turn.
    """

    def __init__(
        self,
        num_items: int,
        predictor: Predictor,
        generator: np.random.Generator,
        *,
        least: float = 0.5,
        uncertainty: Callable[[Floats], Floats] = binary_deviation,
        low: float = 0.0,
        high: float = 1.0,
    ) -> None:
        if not 0 < least <= 1 or num_items < 1:
            raise MeasurementUndefined(
                "the uniform share of a draw",
                seen=f"{least}, {num_items} items",
                allowed="0 < least <= 1, N >= 1",
            )
        self._num_items = num_items
        self._generator = generator
        self._least = least
        self._uncertainty = uncertainty
        self._refits = Refits(predictor, num_items, Scale.make(low, high))
        self._coefficient = Coefficient()
        self._remaining = np.arange(num_items)
        self._predictions: Floats = np.full(num_items, 0.5)
        self._weights: Floats = np.ones(num_items)
        self._drawn: list[int] = []
        self._values: list[float] = []
        self._steps: list[Step] = []
        self._centred = 0.0

    @property
    def num_items(self) -> int:
        return self._num_items

    @property
    def scale(self) -> Scale:
        return self._refits.scale

    @property
    def settings(self) -> dict[str, str | float]:
        return {"sampling": "active", "least": self._least, "predictor": self._refits.name}

    @property
    def drawn(self) -> tuple[int, ...]:
        """The items drawn so far, in order."""
        return tuple(self._drawn)

    def items(self) -> Iterator[int]:
        """Items to ask, until the bank is empty."""
        while len(self._drawn) < self._num_items:
            yield self.draw()

    def draw(self) -> int:
        """The next item. The one before it must have its value."""
        if len(self._drawn) != len(self._values):
            raise MeasurementUndefined(
                "the next draw depends on the value of the last one",
                seen=f"{len(self._drawn)} items drawn, {len(self._values)} values",
                next_step="ask one item at a time",
            )
        if len(self._remaining) == 0:
            raise MeasurementUndefined("the whole bank has been drawn", seen=f"{self._num_items} items")
        relative = self._relative()
        place = int(np.searchsorted(np.cumsum(relative), self._generator.random() * float(relative.sum()), "right"))
        place = min(place, len(relative) - 1)
        self._steps.append(self._make_step(relative, place))
        item = int(self._remaining[place])
        self._remaining = np.delete(self._remaining, place)
        self._drawn.append(item)
        return item

    def probabilities(self) -> Floats:
        """q_t of the next draw, shape (N,): 0 for items that were drawn."""
        found = np.zeros(self._num_items)
        found[self._remaining] = self._relative() / max(1, len(self._remaining))
        return found

    def step(self, t: int) -> Step:
        if not 0 <= t < len(self._steps):
            raise MeasurementUndefined(
                "an item must be drawn before its value is used", seen=f"step {t}, {len(self._steps)} items drawn"
            )
        return self._steps[t]

    def learn(self, t: int, value: float) -> None:
        if t == len(self._values) < len(self._drawn):
            self._values.append(value)
            self._coefficient.learn(value, self._centred)

    def _relative(self) -> Floats:
        """n q(i) of the remaining items: least + (1 - least) * weight / mean weight."""
        if self._refits.due(len(self._values)) and len(self._remaining):
            self._refit()
        weights = self._weights[self._remaining]
        total = float(weights.sum())
        if total <= 0:
            return np.ones(len(weights))
        return self._least + (1 - self._least) * len(weights) * weights / total

    def _make_step(self, relative: Floats, place: int) -> Step:
        """f is the predictions with the level of the values so far and the coefficient c of ``Coefficient``, in [0,
        1]."""
        predictions = self._predictions[self._remaining]
        centred = predictions - predictions.mean()
        f = np.clip(self._coefficient.mean + self._coefficient.value * centred, 0.0, 1.0)
        mean = float(f.mean())
        low = mean - float((f / relative).max())
        high = mean + float(((1 - f) / relative).max())
        self._centred = float(centred[place])
        scale = 1 / float(relative[place])
        return Step(scale, float(f[place]) * scale - mean, min(low, 0.0), max(high, 1.0))

    def _refit(self) -> None:
        self._predictions = self._refits.predict(np.array(self._drawn, dtype=np.int64), self._values)
        weights = np.asarray(self._uncertainty(self._predictions), dtype=np.float64)
        if weights.shape != (self._num_items,) or not (np.isfinite(weights) & (weights >= 0)).all():
            raise MeasurementUndefined(
                "an uncertainty must be a finite number of at least 0 for every item",
                seen=f"shape {weights.shape}, smallest {weights.min() if weights.size else 'none'}",
                allowed=f"shape ({self._num_items},)",
            )
        self._weights = weights
