"""Plug-ins for tests, as a user's own package would have them: named in specs as ``toys:Name``."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from trialist.measurement.metrics import Metric, mean_of
from trialist.models.protocol import Ability, Choose, Failure, Keyed, Reply, Request
from trialist.models.scripted import Scripted, replay
from trialist.records import Answer, Item, Score, seed_of


@dataclass(frozen=True)
class Sums:
    """Whether the model adds small numbers."""

    count: int = 40
    name: ClassVar[str] = "sums"
    version: ClassVar[str] = "1"
    metrics: ClassVar[tuple[Metric, ...]] = (mean_of("accuracy"),)

    def items(self) -> Iterable[Item]:
        for i in range(self.count):
            options = tuple(f" {i + k}" for k in range(4))
            yield Item(f"sum-{i}", f"{i} + 2 =", cluster=f"sum-{i}", options=options, target=2)

    def ask(self, item: Item) -> Request:
        return Choose(item.input, item.options)

    def score(self, item: Item, answer: Answer) -> Sequence[Score]:
        if answer.status != "ok":
            return [Score("accuracy", None, reason=answer.reason)]
        return [Score("accuracy", float(max(range(4), key=answer.logprobs.__getitem__) == item.target))]


@dataclass(frozen=True)
class Grouped(Sums):
    """The same sums in clusters of one to four."""

    def items(self) -> Iterable[Item]:
        for i, item in enumerate(super().items()):
            yield replace(item, cluster=f"group-{i // 10}-{(0, 1, 1, 2, 2, 2, 3, 3, 3, 3)[i % 10]}")


class Adder:
    """Right in a share of the items, the same ones every time; may fail on some and may take its time."""

    def __init__(self, share: float, *, fails: int = 0, seconds: float = 0.0) -> None:
        self.share, self.fails, self.seconds = share, fails, seconds

    @property
    def digest(self) -> str:
        return f"adder-{self.share}-{self.fails}"

    @property
    def abilities(self) -> frozenset[Ability]:
        return frozenset({"choose", "repeatable"})

    def answer(self, requests: Iterable[Keyed[Request]]) -> Iterator[Keyed[Reply | Failure]]:
        for number, request in enumerate(requests):
            time.sleep(self.seconds)
            if number < self.fails:
                yield Keyed(request.key, request.seed, Failure("the model would not"))
                continue
            right = seed_of(request.key) % 1000 < 1000 * self.share
            logprobs = tuple(-1.0 if (k == 2) == right else -2.0 - k for k in range(4))
            yield Keyed(request.key, request.seed, Reply(logprobs=logprobs, num_tokens=(1,) * 4, num_bytes=(2,) * 4))


def good() -> Adder:
    return Adder(1.0, seconds=float(os.environ.get("TOY_SECONDS", "0")))


def poor() -> Adder:
    return Adder(0.1, seconds=float(os.environ.get("TOY_SECONDS", "0")))


def failing() -> Adder:
    return Adder(1.0, fails=2)


class Silent(Adder):
    """Never replies."""

    def answer(self, requests: Iterable[Keyed[Request]]) -> Iterator[Keyed[Reply | Failure]]:
        return iter(())


def silent() -> Adder:
    return Silent(1.0)


class NotANumber(Adder):
    def answer(self, requests: Iterable[Keyed[Request]]) -> Iterator[Keyed[Reply | Failure]]:
        for request in requests:
            yield Keyed(request.key, request.seed, Reply(logprobs=(float("nan"),) * 4))


def not_a_number() -> Adder:
    return NotANumber(1.0)


def _unifiedqa(column: str) -> Scripted:
    """The published predictions of UnifiedQA-11B on BBQ, given again as replies by item."""
    root = Path(os.environ["TRIALIST_BBQ"])
    replies: dict[str, Reply | Failure] = {}
    for path in sorted((root / "results" / "UnifiedQA").glob("preds_*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            replies[f"{row['category']}/{row['example_id']}"] = Reply(text=row[f"unifiedqa-t5-11b_pred_{column}"])
    return replay(replies)


def unifiedqa_arc() -> Scripted:
    return _unifiedqa("arc")


def unifiedqa_race() -> Scripted:
    return _unifiedqa("race")
