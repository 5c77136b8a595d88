"""What the evaluations of facts share: which world is asked about, in which form, and that the best option counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from trialist.evaluations.protocol import IF_CHANGED
from trialist.evaluations.scoring import accuracy_score
from trialist.evaluations.world import AskedWorld
from trialist.measurement.metrics import Metric, mean_of
from trialist.models.protocol import Choose
from trialist.records import Answer, Item, Score


@dataclass(frozen=True)
class OfWorld:
    """Metric, question and score of a question with options about a ``world``; name and items are each evaluation's
    own."""

    world: AskedWorld = field(default=AskedWorld(), kw_only=True, metadata=IF_CHANGED)

    @property
    def version(self) -> str:
        return "1"

    @property
    def metrics(self) -> tuple[Metric, ...]:
        return (mean_of("accuracy"),)

    def ask(self, item: Item) -> Choose:
        return Choose(item.input, item.options)

    def score(self, item: Item, answer: Answer) -> Sequence[Score]:
        """1 where the right option has the highest log-probability, summed over its tokens."""
        return [accuracy_score(item, answer)]


@dataclass(frozen=True)
class Facts(OfWorld):
    """``form``: ``cloze`` (the beginning of a sentence), ``question`` (a free question in a held-out wording) or
    ``choice`` (the same with four lettered options)."""

    form: Literal["cloze", "question", "choice"] = field(default="cloze", kw_only=True, metadata=IF_CHANGED)
