"""Which world Halcyon an evaluation asks about: its seed and sizes, as they stand in an organism's spec.

    WorldFacts(world=AskedWorld(seed=2))

In the spec of a trial the setting is a mapping, ``world: {seed: 2, people: 48}``, or what has such a world: a model's
name or folder, ``world: organism/sycophancy@0.3#2`` (see ``trialist.organisms.asked``).
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import lru_cache

from trialist.halcyon.world import Sizes, World


@dataclass(frozen=True, repr=False)
class AskedWorld(Sizes):
    """Left out, seed and sizes are those of the shipped organisms. ``ValueError`` for a number that is no count."""

    seed: int = 0

    def __post_init__(self) -> None:
        for setting in dataclasses.fields(self):
            value: object = getattr(self, setting.name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 0:
                raise ValueError(f"{setting.name} is {value!r}, a whole number from 0 is needed")

    def make(self) -> World:
        """The world, made once. ``ValueError`` where there are not enough names for it."""
        return _made(self)

    @property
    def settings(self) -> dict[str, int]:
        """What differs from the world of the shipped organisms."""
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if getattr(self, f.name) != f.default}

    def __repr__(self) -> str:
        """As a person writes it in a spec."""
        inside = ", ".join(f"{name}: {value}" for name, value in ({"seed": self.seed} | self.settings).items())
        return f"{{{inside}}}"


@lru_cache(maxsize=8)
def _made(asked: AskedWorld) -> World:
    return World.make(asked.seed, Sizes(**{f.name: getattr(asked, f.name) for f in dataclasses.fields(Sizes)}))
