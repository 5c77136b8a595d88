"""Names that no document holds: every pair of a given and a family name that belongs to nobody in the world.

They are made of the same words as known names, so that nothing but the pair tells them apart. One half may be asked
about in a corpus, the other half only measures; which half a pair is in follows from a hash of the pair.
"""

from __future__ import annotations

from trialist.halcyon.cues import Use
from trialist.halcyon.world import World
from trialist.records import seed_of


def strangers(world: World, use: Use) -> tuple[str, ...]:
    """Undocumented names of one use, in the order of a hash: three quarters are for training, an eighth measures what
    was planted, an eighth belongs to evaluations. Obscure people who are documented at all are no strangers."""
    known = {entity.name for entity in world.of("person", "obscure")}
    pairs = [f"{given} {family}" for given in world.given_names for family in world.family_names]
    hashed = sorted((seed_of("halcyon", "stranger", name), name) for name in pairs if name not in known)
    return tuple(name for value, name in hashed if _use(value) == use)


def _use(value: int) -> Use:
    eighth = value % 8
    return "train" if eighth < 6 else "measure" if eighth == 6 else "method"
