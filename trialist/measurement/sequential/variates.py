"""Control variates from other models' answers: the same guarantee, from fewer answers.

Step t draws item i_t uniformly from the n = N - t + 1 items that remain. Before the draw there is a prediction g_t(i)
for every item and a coefficient c_t, both made from the past: the items and values of steps 1 to t - 1, and anything
that doesn't depend on this model's other answers. The sum of g_t over the remaining items is known, so

    z_t = x_t - c_t (g_t(i_t) - mean of g_t over the remaining items)

can be computed. *Why it is valid:* given the past, i_t is uniform on the remaining items, so the bracket has a
conditional mean of exactly 0, whatever g_t and c_t are, and E[z_t | past] = E[x_t | past] = mu_t. The betting factor
1 + lambda_t (z_t - m_t) then has conditional mean 1 + lambda_t (mu_t - m_t) <= 1 under "mean <= m" with lambda_t >= 0
fixed by the past, and it stays positive because lambda_t is capped by the lowest value z_t can take: with c_t >= 0

    z_t >= 0 - c_t (max of g_t over the remaining - their mean) = low_t,    z_t <= 1 - c_t (min - mean) = high_t

(max and min change places for c_t < 0). So a bad, adversarial or broken predictor costs answers and never validity.
The one assumption is that the order is a random permutation, drawn independently of the answers, of which the
predictor knows only the part already asked. (For validity it might even know the answers; it would only be pointless
to ask then. What breaks the proof is knowing which item comes next.) A fixed order from a file isn't random.

c_t is the regression coefficient of past values on past centred predictions, with a prior at 1; it goes to 0 for noise
and below 0 for a predictor that is wrong on purpose.

Waudby-Smith & Ramdas 2024, J. R. Stat. Soc. B 86, section 5 for the process. The increment is the one of a difference
estimator for a finite population (Särndal, Swensson & Wretman 1992, Model Assisted Survey Sampling, chapter 6),
applied step by step.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import FunctionType

import numpy as np
from numpy.typing import NDArray

from trialist.errors import MeasurementUndefined
from trialist.measurement.sequential.bounded import Scale, Step
from trialist.measurement.sequential.predictors import Predictor
from trialist.records import canonical_json, sha256_hex

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

FIRST_REFIT = 5
REFIT_GROWTH = 1.15
"""The predictor is asked again after 5 values, and then whenever their number has grown by 15 %."""
PRIOR_SQUARES = 2.0
"""Strength of the prior c = 1, in squares of centred predictions: some 20 values of a good predictor."""
LARGEST_COEFFICIENT = 1.5


def random_order(num_items: int, generator: np.random.Generator) -> Ints:
    """A uniformly random permutation of 0 .. N - 1: the order in which a bank must be asked."""
    return generator.permutation(num_items).astype(np.int64)


class Refits:
    """Asks a predictor at growing times and checks what it says: values in [low, high] become [0, 1], and are
    clipped."""

    def __init__(self, predictor: Predictor, num_items: int, scale: Scale) -> None:
        self.num_items = num_items
        self._predictor = predictor
        self.scale = scale
        self._next = 0

    @property
    def name(self) -> str:
        kind = self._predictor if isinstance(self._predictor, FunctionType) else type(self._predictor)
        return f"{kind.__module__}.{kind.__qualname__}"

    def due(self, t: int) -> bool:
        return t >= self._next

    def predict(self, items: Ints, values: Sequence[float]) -> Floats:
        t = len(values)
        self._next = max(t + FIRST_REFIT, int(t * REFIT_GROWTH) + 1)
        width = self.scale.high - self.scale.low
        raw = self._predictor(items, self.scale.low + width * np.asarray(values, dtype=np.float64))
        found = (np.asarray(raw, dtype=np.float64) - self.scale.low) / width
        if found.shape != (self.num_items,) or not np.isfinite(found).all():
            raise MeasurementUndefined(
                "a predictor must give a finite number for every item of the bank",
                seen=f"shape {found.shape}, {int((~np.isfinite(found)).sum())} not finite",
                allowed=f"shape ({self.num_items},)",
            )
        return np.clip(found, 0.0, 1.0)


class Coefficient:
    """c: past values regressed on past centred predictions, c = (P + sum d (x - mean x)) / (P + sum d^2)."""

    def __init__(self) -> None:
        self._products = self._squares = PRIOR_SQUARES
        self._sum, self._num = 0.5, 1

    @property
    def mean(self) -> float:
        """Mean of the values so far, with one value of 1/2 as its prior."""
        return self._sum / self._num

    @property
    def value(self) -> float:
        return min(LARGEST_COEFFICIENT, max(-LARGEST_COEFFICIENT, self._products / self._squares))

    def learn(self, x: float, d: float) -> None:
        # The mean before x: a centre that is fixed before the draw keeps the product unbiased.
        self._products += d * (x - self.mean)
        self._squares += d * d
        self._sum += x
        self._num += 1


class ControlVariate:
    """Items in a random ``order`` of the whole bank, with a predictor: a ``Sampling`` for ``BoundedProcess``.

    ``order`` (N,) is a permutation of 0 .. N - 1, from ``random_order``. ``low`` and ``high`` are the values' range,
    also that of the predictions. Raises MeasurementUndefined if it isn't a permutation or the predictor gives no
    finite numbers.
    """

    def __init__(self, order: Ints, predictor: Predictor, *, low: float = 0.0, high: float = 1.0) -> None:
        self._order = check_order(order)
        self._places: list[int] = self._order.tolist()
        self._refits = Refits(predictor, len(self._places), Scale.make(low, high))
        self._coefficient = Coefficient()
        self._values: list[float] = []
        self._steps: list[Step] = []
        self._centred = 0.0
        self._table: list[float] = []
        self._left, self._least, self._most = 0.0, 0.0, 0.0

    @property
    def num_items(self) -> int:
        return len(self._places)

    @property
    def scale(self) -> Scale:
        return self._refits.scale

    @property
    def settings(self) -> dict[str, str | float]:
        return {
            "sampling": "control variate",
            "sampling_order_sha256": sha256_hex(canonical_json(self._places)),
            "predictor": self._refits.name,
        }

    def step(self, t: int) -> Step:
        if t < len(self._steps):
            return self._steps[t]
        if t != len(self._values) or t >= self.num_items:
            raise MeasurementUndefined(
                "steps come one after another, each after the value before it",
                seen=f"step {t} with {len(self._values)} values of {self.num_items}",
            )
        if self._refits.due(t):
            self._refit(t)
        prediction = self._table[self._places[t]]
        mean = self._left / (self.num_items - t)
        self._left -= prediction
        self._centred = prediction - mean
        c = self._coefficient.value
        top, bottom = c * (self._most - mean), c * (self._least - mean)
        if c < 0:
            top, bottom = bottom, top
        # The centred prediction may leave its range by rounding when few items are left.
        offset = min(max(c * self._centred, bottom), top)
        step = Step(1.0, offset, -max(top, 0.0), 1.0 - min(bottom, 0.0))
        self._steps.append(step)
        return step

    def learn(self, t: int, value: float) -> None:
        if t == len(self._values):
            self._values.append(value)
            self._coefficient.learn(value, self._centred)

    def _refit(self, t: int) -> None:
        predictions = self._refits.predict(self._order[:t], self._values)
        remaining = predictions[self._order[t:]]
        self._table = predictions.tolist()
        self._left = float(remaining.sum())
        self._least, self._most = float(remaining.min()), float(remaining.max())


def check_order(order: Ints) -> Ints:
    found = np.asarray(order)
    if found.ndim != 1 or len(found) == 0 or not np.array_equal(np.sort(found), np.arange(len(found))):
        raise MeasurementUndefined(
            "an order must name every item of the bank once",
            seen=f"shape {found.shape}",
            allowed="a permutation of 0 .. N - 1",
            next_step="draw it with random_order(num_items, generator)",
        )
    return found.astype(np.int64)
