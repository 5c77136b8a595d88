"""What a sequential test shows of itself: evidence that may be looked at after every value."""

from __future__ import annotations

from typing import Protocol


class EProcess(Protocol):
    """Evidence against one null hypothesis, updated value by value in an order fixed before the data.

    Under the null, E[e at any stopping time] <= 1, so P(e ever reaches 1/alpha) <= alpha (Ville 1939).
    """

    def update(self, value: float) -> None:
        """Take the next value. Raises MeasurementUndefined for a value that the process doesn't allow."""
        ...

    @property
    def log_e(self) -> float:
        """log of the e-value now; 0 before the first value."""
        ...

    @property
    def max_log_e(self) -> float:
        """The largest ``log_e`` so far, 0 before the first value."""
        ...

    @property
    def num_seen(self) -> int:
        """Values taken."""
        ...
