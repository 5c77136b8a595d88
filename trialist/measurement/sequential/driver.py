"""Asks for answers until a gate has decided.

Items go out in batches, in the order registered before the data, and their values enter the gate in that order, not
in the order in which they finish. The first batches are small, since an easy case is decided by a few answers, and
grow, since a hard one needs many. What a batch answers beyond the decision is handed back and not used: evidence may
be stopped only where the rule stops it, and a certificate must be the same for every size of a batch.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from trialist.errors import MeasurementUndefined
from trialist.measurement.sequential.certificate import Certificate, Key
from trialist.measurement.sequential.gate import Gate
from trialist.records import Verdict

Ask = Callable[[Sequence[Key]], Mapping[Key, float | None]]
"""Keys of items -> their values, None for an answer that is missing. Exactly the keys that were asked."""


@dataclass(frozen=True)
class Batches:
    """Sizes: ``first``, then ``growth`` times the last one, up to ``largest``. At most ``growth`` - 1 of the answers
    used are asked for in vain, plus ``first``."""

    first: int = 8
    growth: float = 1.25
    largest: int = 256

    def __post_init__(self) -> None:
        if not (1 <= self.first <= self.largest and 1 <= self.growth < math.inf):
            raise MeasurementUndefined(
                "batches that can't be asked", seen=str(self), allowed="1 <= first <= largest, growth at least 1"
            )

    def sizes(self) -> Iterator[int]:
        size = self.first
        while True:
            yield size
            size = min(self.largest, math.ceil(size * self.growth))


ONE_BY_ONE = Batches(1, 1.0, 1)
"""For ``ActiveSampling.items()``, where the next item depends on the last value."""


@dataclass(frozen=True)
class Decision:
    """``values``: everything answered, in order, also what came before this call and what wasn't used; give it as
    ``stored`` to go on. ``asked``: the items of this call, in order. The gate used the first ``certificate.num_seen``
    of ``values``."""

    verdict: Verdict
    certificate: Certificate
    values: dict[Key, float | None]
    asked: tuple[Key, ...]

    @property
    def num_unused(self) -> int:
        """Answers beyond the decision."""
        return len(self.values) - self.certificate.num_seen


def decide(
    gate: Gate,
    ask: Ask,
    *,
    order: Iterable[Key],
    batch: Batches | None = None,
    stored: Mapping[Key, float | None] | None = None,
) -> Decision:
    """Ask in ``order`` until ``gate`` decides, its cap, or the end of the order (UNDECIDED).

    ``gate`` must be fresh. ``order`` is registered with it, so that the certificate holds its digest, unless it is an
    iterator: that is taken batch by batch. With a ``ControlVariate``, its order must be the same one. ``stored`` are
    values of an earlier call or an interrupted one: they aren't asked again, and the decision is the one that an
    uninterrupted call makes. If ``ask`` raises, nothing is lost but this call: let it store what it answers.

    Raises MeasurementUndefined for a gate that has seen values, a repeated item, and replies to other items than asked.
    """
    if gate.num_seen or gate.verdict is not None:
        raise MeasurementUndefined(
            "a decision starts with a fresh gate", seen=f"{gate.num_seen} values", next_step="give them as stored"
        )
    if isinstance(order, Iterator):
        items = order
    else:
        fixed: tuple[Key, ...] = tuple(order.tolist() if isinstance(order, np.ndarray) else order)
        gate.register(fixed)
        items = iter(fixed)
    known = dict(stored or {})
    values: dict[Key, float | None] = {}
    asked: list[Key] = []
    for size in (batch or Batches()).sizes():
        wanted = _next_batch(items, min(size, gate.rule.cap - gate.num_seen), values)
        ready = list(itertools.takewhile(known.__contains__, wanted))
        _feed(gate, [known[item] for item in ready])
        unknown = [] if gate.verdict is not None else [item for item in wanted if item not in known]
        if unknown:
            known |= _replies(ask, unknown)
            asked += unknown
            _feed(gate, [known[item] for item in wanted[len(ready) :]])
        values |= {item: known[item] for item in wanted if item in known}
        if gate.verdict is not None or not wanted:
            break
    gate.close()
    certificate = gate.certificate()
    return Decision(certificate.verdict, certificate, values, tuple(asked))


def _next_batch(items: Iterator[Key], size: int, before: Mapping[Key, float | None]) -> list[Key]:
    wanted = list(itertools.islice(items, size))
    repeated = [item for i, item in enumerate(wanted) if item in before or item in wanted[:i]]
    if repeated:
        raise MeasurementUndefined("an order holds each item once", seen=f"{repeated[0]!r} again")
    return wanted


def _replies(ask: Ask, unknown: list[Key]) -> dict[Key, float | None]:
    replies = dict(ask(tuple(unknown)))
    if set(replies) != set(unknown):
        raise MeasurementUndefined(
            "replies to other items than asked",
            seen=f"{len(set(replies) - set(unknown))} unasked, {len(set(unknown) - set(replies))} without a reply",
            allowed="one value for each item asked, None where the answer is missing",
        )
    return replies


def _feed(gate: Gate, values: Sequence[float | None]) -> None:
    for value in values:
        if gate.verdict is not None:
            return
        if value is None:
            gate.update_missing()
        else:
            gate.update(value)
