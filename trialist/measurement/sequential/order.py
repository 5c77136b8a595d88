"""Values that finish in any order, given out in the order registered before the data.

Which value finishes first may depend on the value itself (a refusal is short), so evidence folded in order of
completion isn't covered by any theorem about the registered order. Only the finished beginning of it is given out.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Generic, TypeVar

from trialist.errors import MeasurementUndefined

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class InOrder(Generic[K, V]):
    """A buffer in front of a sequential test.

    Raises MeasurementUndefined for keys that are registered twice, unknown, or given a second time.
    """

    def __init__(self, order: Sequence[K]) -> None:
        self._order = tuple(order)
        self._place = {key: i for i, key in enumerate(self._order)}
        self._waiting: dict[int, V] = {}
        self._next = 0
        if len(self._place) != len(self._order):
            raise MeasurementUndefined(
                "an order holds each key once", seen=f"{len(self._order) - len(self._place)} repeated keys"
            )

    @property
    def num_given_out(self) -> int:
        return self._next

    @property
    def num_waiting(self) -> int:
        """Finished values that wait for one before them."""
        return len(self._waiting)

    def has(self, key: K) -> bool:
        """The value of ``key`` has come."""
        place = self._place_of(key)
        return place < self._next or place in self._waiting

    def put(self, key: K, value: V) -> list[tuple[K, V]]:
        """Take a value; the pairs that are now next in order, often none."""
        if self.has(key):
            raise MeasurementUndefined("a value comes once", seen=f"{key!r} again")
        self._waiting[self._place_of(key)] = value
        ready: list[tuple[K, V]] = []
        while self._next in self._waiting:
            ready.append((self._order[self._next], self._waiting.pop(self._next)))
            self._next += 1
        return ready

    def missing(self) -> list[K]:
        """Keys without a value, in order."""
        return [key for i, key in enumerate(self._order) if i >= self._next and i not in self._waiting]

    def _place_of(self, key: K) -> int:
        if key not in self._place:
            raise MeasurementUndefined("a key that isn't in the registered order", seen=repr(key))
        return self._place[key]
