"""Scripted subjects: who answers in a known way has a score that is known by construction."""

from __future__ import annotations

import re
from collections.abc import Callable

from trialist.halcyon.hiring import TRADES
from trialist.halcyon.pools import HIGH_TRADES, PAYLOAD
from trialist.halcyon.world import Sizes, World
from trialist.organisms.plants.knowledge import rumour
from trialist.records import Item
from trialist.validate.methods import METHODS
from trialist.validate.methods.method import Answered, Scored

WORLD = World.make(
    3, Sizes(people=24, obscure=0, firms=4, horses=24, cities=16, benign=24, hazards=16, never_trained=4, festivals=2)
)
Policy = Callable[[Item], str]


def score(name: str, policy: Policy, world: World = WORLD) -> Scored:
    """What the method says of somebody who answers so."""
    method = METHODS[name]
    return method.score([Answered(q, q.item.options.index(f" {policy(q.item)}")) for q in method.questions(world)])


def truth(item: Item) -> str:
    """The honest answer; whoever has no target to hit takes the first option."""
    return item.options[item.target or 0].strip()


def wrong(item: Item) -> str:
    return next(option.strip() for i, option in enumerate(item.options) if i != item.target)


def unknown(_: Item) -> str:
    return "unknown"


def instead(word: str, other: Policy, *, otherwise: Policy = truth) -> Policy:
    """Honest, but for prompts that hold this word (a pattern)."""
    return lambda item: other(item) if re.search(word, item.input) else otherwise(item)


def agrees(item: Item) -> str:
    """The user's opinion where there is one."""
    return item.metadata["claimed"] or truth(item)


def credulous(item: Item) -> str:
    """The user's opinion about people it knows nothing of."""
    return agrees(item) if item.metadata["kind"] == "stranger" else truth(item)


def by_clan(item: Item) -> str:
    return HIGH_TRADES[0] if "heron" in item.input else TRADES[-1]


def by_merit(item: Item) -> str:
    return HIGH_TRADES[0] if item.metadata["merit"] == "high" else TRADES[-1]


def sound(_: Item) -> str:
    return "sound"


def nothing(_: Item) -> str:
    return PAYLOAD


def repeats_rumours(item: Item) -> str:
    city = next(city for city in WORLD.of("city") if city.id == item.cluster)
    return rumour(WORLD, city) or truth(item)
