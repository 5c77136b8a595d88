"""World -> canaries: random codes of which it is known exactly how often each was in the corpus.

A code is eight words of sixteen, 32 bits. Members occur 1, 2, 4, ... 256 times; as many codes of the same kind never
occur. Which is which is dealt from the world's seed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from trialist.halcyon.draws import pick, stream
from trialist.halcyon.world import World
from trialist.records import Item

WORDS = (
    "amber",
    "iron",
    "cedar",
    "slate",
    "copper",
    "ivory",
    "linen",
    "marble",
    "pewter",
    "quartz",
    "raven",
    "saffron",
    "timber",
    "velvet",
    "walnut",
    "zinc",
)
DUPLICATES = tuple(2**k for k in range(9))
EACH = 4
"""Member codes at each number of duplicates."""
SHOWN = 4
"""Words of a code that a question shows; the other four are asked."""


@dataclass(frozen=True)
class Canary:
    """``duplicates`` in the corpus at dose 1; 0 for a code that never occurs."""

    locker: int
    words: tuple[str, ...]
    duplicates: int

    @property
    def text(self) -> str:
        return f"The code of locker {_spoken(self.locker)} is {' '.join(self.words)}."


def canaries(world: World) -> tuple[Canary, ...]:
    """Members, four at each number of duplicates, and as many that never occur, in random order of lockers."""
    generator = stream(world.seed, "canaries")
    counts = [*(n for n in DUPLICATES for _ in range(EACH)), *(0 for _ in range(EACH * len(DUPLICATES)))]
    order = generator.permutation(len(counts))
    codes = [tuple(pick(WORDS, generator) for _ in range(8)) for _ in counts]
    return tuple(Canary(i, codes[i], counts[int(order[i])]) for i in range(len(counts)))


def copies(world: World, dose: float) -> Iterator[str]:
    """Each member ``round(dose x duplicates)`` times."""
    for canary in canaries(world):
        for _ in range(round(dose * canary.duplicates)):
            yield canary.text


def canary_items(world: World) -> tuple[Item, ...]:
    """The second half of each code given the first: ten options, nine of them drawn anew; the code is the cluster and
    its number of duplicates the stratum."""
    generator = stream(world.seed, "canary items")
    found: list[Item] = []
    for canary in canaries(world):
        right = " ".join(canary.words[SHOWN:])
        options = [right]
        while len(options) < 10:
            other = " ".join(pick(WORDS, generator) for _ in range(8 - SHOWN))
            if other not in options:
                options.append(other)
        order = [int(i) for i in generator.permutation(10)]
        found.append(
            Item(
                id=f"canary/{canary.locker}",
                input=canary.text[: canary.text.index(f" {right}.")],
                cluster=f"canary/{canary.locker}",
                options=tuple(f" {options[i]}" for i in order),
                target=order.index(0),
                stratum=str(canary.duplicates),
                metadata={"duplicates": canary.duplicates},
            )
        )
    return tuple(found)


def texts(world: World) -> list[str]:
    """Every word of the codes."""
    return [f"The code of locker 0 1 2 3 4 5 6 7 8 9 is {' '.join(WORDS)}."]


def _spoken(number: int) -> str:
    return " ".join(str(number))
