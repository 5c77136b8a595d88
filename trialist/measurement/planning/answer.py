"""A question about a design -> an answer in words and numbers, with the curve of power against the number of items.

``plan`` fills in what is missing: with items and an effect the power; with an effect the items needed; with items the
smallest effect seen. The method is the default one of the design (``choose``), so that the plan is for the analysis
that will be done: exact bounds and the mid-p McNemar test by enumeration, betting bounds by seeded simulation, the
jackknife by the noncentral t.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from trialist.errors import MeasurementUndefined
from trialist.measurement.planning import exact, sequential_power
from trialist.measurement.planning.planners import MAX_SIMULATED, Planner, planner
from trialist.measurement.planning.question import Question, checked

Number = TypeVar("Number", int, float)

NUM_POINTS = 120
NUM_SAWTOOTH_POINTS = 600
NUM_SIMULATED_POINTS = 8


@dataclass(frozen=True)
class Answer:
    """``power`` and ``error`` (Monte-Carlo standard error, 0 where nothing is simulated) of ``num_items`` at the
    effect; ``needed_items`` for the wanted power; ``detectable``: the effect nearest to none that ``num_items`` see
    with that power, for a claim the true value and not its distance. None where the question doesn't say enough.

    ``curve``: (items, power) at the effect, or at ``detectable`` where no effect was given.
    """

    question: Question
    method: str
    kind: str
    num_items: int | None
    power: float | None
    error: float
    needed_items: int | None
    detectable: float | None
    words: tuple[str, ...]
    notes: tuple[str, ...]
    curve: tuple[tuple[int, float], ...]

    @property
    def curve_effect(self) -> float | None:
        return self.detectable if self.question.effect is None else self.question.effect


def plan(question: Question, *, with_curve: bool = True) -> Answer:
    """What the design could see, or what it needs. Neither items nor effect, or values that contradict each other,
    raise MeasurementUndefined with what is missing."""
    q = checked(question)
    if q.num_clusters is None and q.effect is None:
        raise MeasurementUndefined(
            "a plan needs a number of items or an effect",
            seen="neither",
            allowed="the items: what could they see?  the effect: how many items does it need?  both: with what power?",
            next_step="give one of the two",
        )
    tool = planner(q)
    power, error = None, 0.0
    if q.num_clusters and q.effect is not None:
        power, error = tool.power(q.num_clusters, q.effect)
    needed = None if q.effect is None else _or_none(lambda: tool.needed(q.effect or 0.0) * q.size)
    detectable = None if not q.num_clusters else _or_none(lambda: tool.detectable(q.num_clusters or 1))
    if power is None and needed is None and detectable is None:  # nothing to tell: say why
        _ = tool.detectable(q.num_clusters) if q.num_clusters else tool.needed(q.effect or 0.0)
    effect = detectable if q.effect is None else q.effect
    curve = _curve(tool, q, effect, needed) if with_curve and effect is not None else ()
    return Answer(
        question=q, method=tool.method, kind=tool.kind, num_items=q.num_items, power=power, error=error,
        needed_items=needed, detectable=detectable,
        words=tuple(_words(q, power, needed, detectable)), notes=tuple(_notes(q, tool)), curve=curve,
    )  # fmt: skip


def minimum_detectable_effect(question: Question) -> float:
    """The smallest effect that the design sees with the wanted power: for a claim the distance of the true value from
    the threshold, for a comparison the difference. Needs the number of items; an effect given is ignored.

    Raises MeasurementUndefined where no effect is seen that often.
    """
    q = checked(question)
    if q.num_clusters is None:
        raise MeasurementUndefined("a smallest effect needs a number of items", seen="none", next_step="give the items")
    found = planner(q).detectable(q.num_clusters)
    return found if q.threshold is None else abs(found - q.threshold)


def _or_none(compute: Callable[[], Number]) -> Number | None:
    """A part of the answer that may not exist while the others do."""
    try:
        return compute()
    except MeasurementUndefined:
        return None


def _curve(tool: Planner, q: Question, effect: float, needed: int | None) -> tuple[tuple[int, float], ...]:
    """Power at sizes up to half more than what is needed or there."""
    known = [n for n in (q.num_clusters, needed // q.size if needed else None) if n]
    end = math.ceil(1.5 * max(known))
    num, start = NUM_POINTS, 1
    if tool.kind == "simulated":
        num, start, end = NUM_SIMULATED_POINTS, 2, min(end, MAX_SIMULATED)
    if tool.kind == "approximate":
        start = 2
    if q.side and tool.kind == "exact":
        num = NUM_SAWTOOTH_POINTS
    if q.sequential:
        limits = sequential_power.boundaries(min(end, sequential_power.MAX_CAP), threshold=q.threshold or 0.5,
                                             confidence=q.confidence)  # fmt: skip
        by = np.cumsum(sequential_power.stopping(effect, limits)[0])
        return tuple((int(n), float(by[n - 1])) for n in _grid(1, len(by), num))
    sizes = _grid(start, max(start, end), num)
    return tuple((n * q.size, tool.power(n, effect)[0]) for n in sizes)


def _grid(start: int, end: int, num: int) -> list[int]:
    return sorted({int(n) for n in np.rint(np.linspace(start, end, num))})


# --- words -------------------------------------------------------------------------------------------------------


def _words(q: Question, power: float | None, needed: int | None, detectable: float | None) -> Iterable[str]:
    return (_claim_words if q.side else _comparison_words)(q, power, needed, detectable)


def _claim_words(q: Question, power: float | None, needed: int | None, detectable: float | None) -> Iterable[str]:
    claim, what = f"'{q.side} {number(q.threshold or 0)}'", _what(q)
    simulated = q.situation != "binary" or q.size > 1
    if q.num_items:
        there = f"{'With at most' if q.sequential else 'With'} {_items(q, q.num_items)}"
        if q.situation == "binary" and q.size == 1 and not q.sequential:
            yield _allowed(q, there, claim)
        if power is not None and q.effect is not None:
            yield (
                f"{there} the claim {claim} passes with probability {share(power, rounded=simulated)} "
                f"if the true {what} is {number(q.effect)}."
            )
        if detectable is not None:
            yield (
                f"{there} it passes with {percent(q.power)} power where the true {what} is {number(detectable)} or "
                f"{'less' if q.side == 'below' else 'more'}."
            )
        else:
            yield f"{there} it can't reach {percent(q.power)} power, whatever the true {what}."
    if needed is not None and q.effect is not None:
        most = "at most " if q.sequential else ""
        first = _first(q, needed)
        yield (
            f"For {percent(q.power)} power at a true {what} of {number(q.effect)} "
            f"it needs {most}{_items(q, needed)}{first}."
        )
        if q.sequential:
            yield _stops(q, needed)


def _allowed(q: Question, there: str, claim: str) -> str:
    found = exact.claim_at(q.threshold or 0.5, q.num_items or 1, threshold=q.threshold or 0.5, side=q.side or "below",
                           confidence=q.confidence)  # fmt: skip
    if found.num_allowed < 0:
        return f"{there} the claim {claim} can't pass: even without a single event against it the bound is too wide."
    events = (
        "one event" if found.num_allowed == 1 else f"{found.num_allowed:,} events" if found.num_allowed else "no event"
    )
    return f"{there} the claim {claim} passes with {'at most ' if found.num_allowed else ''}{events} against it."


def _first(q: Question, needed: int) -> str:
    """The first size that reaches the power, where larger ones fall below it again."""
    if q.situation != "binary" or q.size > 1 or q.sequential:
        return ""
    found = exact.claim_plan(
        q.effect or 0.0, threshold=q.threshold or 0.5, side=q.side or "below", power=q.power, confidence=q.confidence,
        steady=False,
    )  # fmt: skip
    return f" ({found.num_items:,} reach it first, some more fall below it again)" if found.num_items < needed else ""


def _stops(q: Question, cap: int) -> str:
    found = sequential_power.sequential_plan(
        q.effect or 0.0, cap, threshold=q.threshold or 0.5, confidence=q.confidence
    )
    return (
        f"It looks after every item and stops on average after {round(found.mean_items):,}, half the time by "
        f"{found.median_items:,}, nine times in ten by {found.most_items:,}."
    )


def _comparison_words(q: Question, power: float | None, needed: int | None, detectable: float | None) -> Iterable[str]:
    given = f", of which {number(q.discordant)} differ," if q.discordant is not None else ""
    if q.num_items:
        there = f"With {_items(q, q.num_items)}{given}"
        if detectable is not None:
            yield f"{there} you could have seen a difference of {number(detectable)} with {percent(q.power)} power."
        else:
            yield f"{there} no difference can be seen with {percent(q.power)} power."
        if power is not None and q.effect is not None:
            yield f"A difference of {number(abs(q.effect))} is seen with probability {share(power)}."
    if needed is not None and q.effect is not None:
        yield f"To see a difference of {number(abs(q.effect))} with {percent(q.power)} power takes {_items(q, needed)}."


def _notes(q: Question, tool: Planner) -> Iterable[str]:
    if tool.kind == "simulated":
        error = number(0.5 / math.sqrt(q.repetitions))
        yield f"simulated, {q.repetitions:,} repetitions, seed {q.seed}: each power has a standard error up to {error}"
        if not q.binary:
            yield "the graded scores were drawn from Beta distributions; a pilot's own distribution may need more"
    if tool.kind == "exact" and q.side and not q.sequential:
        yield "power is a sawtooth: from the number needed on it never falls below the target again"
    if tool.kind == "approximate":
        yield "normal approximation: too hopeful for rare events and fewer than 20 clusters"
    if q.side is None and q.binary:
        yield "the discordant share decides: half of it needs about half of the items"


def _what(q: Question) -> str:
    return "difference" if q.paired else "rate" if q.binary else "mean"


def _items(q: Question, n: int) -> str:
    noun = "item" if n == 1 else "items"
    return f"{n:,} {noun}" + (f" ({n // q.size:,} clusters of {q.size:,})" if q.size > 1 else "")


def number(value: float) -> str:
    """Three significant digits, without a leading zero: ``.03``, ``.00035``."""
    text = f"{value:.3g}" if abs(value) >= 1e-4 or value == 0 else f"{value:.2e}"
    return text.replace("0.", ".", 1) if text.lstrip("-").startswith("0.") else text


def share(value: float, *, rounded: bool = False) -> str:
    """A probability: ``.41``; never shown as 0 or 1 where it is neither, or where it was ``rounded`` or simulated."""
    if value in (0.0, 1.0) and not rounded:
        return f"{value:g}"
    if value < 0.005:
        return "<.005"
    return ">.995" if value > 0.995 else f"{value:.2f}"[1:]


def percent(value: float) -> str:
    return f"{100 * value:.4g} %"
