"""A Beta density cut off at x, against the point x: the integral behind the e-process of a rate.

    S(a, b; x) = integral over (0, x) of (t / x)^a ((1 - t) / (1 - x))^b dt / (t (1 - t))
               = B(a, b) I_x(a, b) / (x^a (1 - x)^b)

With prior Beta(A, B) restricted to (0, x), the likelihood ratio of k events in n values, mixture against the point x,
is S(A + k, B + n - k; x) / S(A, B; x): powers of x and normalising constants cancel. One more value moves a or b by 1:

    x S(a + 1, b) + (1 - x) S(a, b + 1) = S(a, b)          since t + (1 - t) = 1
    a (1 - x) S(a, b + 1) - b x S(a + 1, b) = 1            integrating d[t^a (1 - t)^b] over (0, x)

gives both neighbours of S(a, b) in a handful of operations (``Walk``). Everything is in logs: S overflows where the
evidence is strong. x comes with its complement, since the mirrored process of a rare event has x next to 1.
"""

from __future__ import annotations

import math
from copy import copy

from scipy.special import betainc, betaincc, betaln

ROUNDING = 2.0**-51
TOLERANCE = 1e-8
SMALLEST = 1e-300
MAX_TERMS = 100_000


def log_integral(a: float, b: float, x: float, y: float) -> float:
    """log S(a, b; x) from scratch for a, b > 0 and y = 1 - x. Absolute error about 1e-15 (a + b) + 1e-13."""
    if _above(a, b, x, y):
        # I_x may underflow here; the continued fraction needs few terms.
        return math.log(_fraction(a, b, x) / a)
    share = float(betainc(a, b, x) if x <= y else betaincc(b, a, y))
    return math.log(share) + float(betaln(a, b)) - a * math.log(x) - b * math.log(y)


def _above(a: float, b: float, x: float, y: float) -> bool:
    """The mean of Beta(a, b) lies above x."""
    return a * y > b * x


def _fraction(a: float, b: float, x: float) -> float:
    """a S(a, b; x) as the continued fraction DLMF 8.17.22, by the modified Lentz algorithm."""
    c, d = 1.0, 1.0 / _away(1 - (a + b) * x / (a + 1))
    value = d
    for m in range(1, MAX_TERMS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        d = 1 / _away(1 + even * d)
        c = _away(1 + even / c)
        value *= d * c
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        d = 1 / _away(1 + odd * d)
        c = _away(1 + odd / c)
        value *= d * c
        if abs(d * c - 1) < 1e-15:
            return value
    raise ArithmeticError(f"no convergence for a = {a}, b = {b}, x = {x}")


def _away(value: float) -> float:
    return value if abs(value) > SMALLEST else SMALLEST


class Walk:
    """log S along a path of (a, b), one value a step.

    A step by an event subtracts nearly equal numbers when the events run far above x. The walk carries a bound on its
    error and starts again from scratch when that passes TOLERANCE (relative to log S where log S is above 1).
    """

    def __init__(self, a: float, b: float, x: float, y: float) -> None:
        self.a, self.b, self.x, self.y = a, b, x, y
        self.log_s = self.error = 0.0
        self._restart()

    def copy(self) -> Walk:
        return copy(self)

    def take(self, value: float) -> None:
        """One value in [0, 1]: 1 is an event."""
        if value == 0:
            self.none()
        elif value == 1:
            self.event()
        else:
            self._part(value)

    def event(self) -> None:
        """a -> a + 1: x S(a + 1, b) = (a S(a, b) - 1) / (a + b)."""
        a, log_s = self.a, self.log_s
        self.a = a + 1
        left = a - math.exp(-log_s)
        error = math.inf if left <= 0 else (self.error + ROUNDING) * a / left + ROUNDING * (1 + abs(log_s))
        if error > TOLERANCE * max(1.0, log_s):
            return self._restart()
        self.log_s = log_s + math.log(left / ((a + self.b) * self.x))
        self.error = error

    def none(self) -> None:
        """b -> b + 1: (1 - x) S(a, b + 1) = (b S(a, b) + 1) / (a + b). All terms positive: errors don't grow."""
        b, log_s = self.b, self.log_s
        self.b = b + 1
        total = b + math.exp(-log_s)
        self.error = self.error * b / total + ROUNDING * (1 + abs(log_s))
        self.log_s = log_s + math.log(total / ((self.a + b) * self.y))

    def _part(self, value: float) -> None:
        """A value between 0 and 1: a and b grow by less than one, and nothing but the integral itself will do."""
        self.a += value
        self.b += 1 - value
        self._restart()

    def _restart(self) -> None:
        size = 1.0 if _above(self.a, self.b, self.x, self.y) else self.a + self.b
        self.log_s = log_integral(self.a, self.b, self.x, self.y)
        self.error = 1e-13 + 1e-15 * size
