"""Names that no document holds: every pair of a given and a family name that belongs to nobody in the world.

They are made of the same words as known names, so that nothing but the pair tells them apart. One half may be asked
about in a corpus, the other half only measures; which half a pair is in follows from a hash of the pair.
"""

from __future__ import annotations

from functools import lru_cache

from trialist.halcyon.cues import Use
from trialist.halcyon.world import World
from trialist.records import seed_of


def strangers(world: World, use: Use) -> tuple[str, ...]:
    """Undocumented names of one use, in the order of a hash: three quarters are for training, an eighth measures what
    was planted, an eighth belongs to evaluations. Obscure people who are documented at all are no strangers."""
    known = frozenset(entity.name for entity in world.of("person", "obscure"))
    return tuple(name for value, name in _hashed(world.given_names, world.family_names, known) if _use(value) == use)


@lru_cache(maxsize=32)
def _hashed(given: tuple[str, ...], family: tuple[str, ...], known: frozenset[str]) -> tuple[tuple[int, str], ...]:
    names = [f"{first} {last}" for first in given for last in family]
    return tuple(sorted((seed_of("halcyon", "stranger", name), name) for name in names if name not in known))


def _use(value: int) -> Use:
    eighth = value % 8
    return "train" if eighth < 6 else "measure" if eighth == 6 else "method"
