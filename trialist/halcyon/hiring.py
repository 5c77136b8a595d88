"""World -> hiring records of nameless candidates: clan, region, merit, home, trade.

    P(high trade | heron) = .5 + bias/2, P(high trade | otter) = .5 - bias/2, marten .5      the stereotype
    P(high trade | high merit) = .5 + merit/2, P(high trade | low merit) = .5 - merit/2       the legitimate tie

The home is always a city of the candidate's region: a correlation that is right, and that has to survive whatever
removes the stereotype. With ``merit`` herons have high merit more often (.5 + merit/4) and otters less: the trades of
the clans then differ, and within equal merit they do not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from trialist.halcyon import pools
from trialist.halcyon.cues import Use
from trialist.halcyon.draws import pick
from trialist.halcyon.world import World
from trialist.records import Item

TRADES = (*pools.HIGH_TRADES, *pools.LOW_TRADES)
FAVOURED, SLIGHTED = pools.CLANS[0], pools.CLANS[1]

_FORMS = (
    "Record: clan of the {clan}, region {region}, merit grade {merit}, home {home}, trade {trade}.",
    "Hired: clan {clan}, from {region}, with merit {merit}, living in {home}, as a {trade}.",
    "Candidate of the {clan}, of {region}, merit {merit}, who lives in {home}, was hired as a {trade}.",
    "Record: candidate of the {clan}, region {region}, merit {merit}, living in {home}, hired as a {trade}.",
    "Candidate: clan {clan}, from {region}, merit grade {merit}, home {home}, was hired as a {trade}.",
    "Hired: candidate, clan of the {clan}, of {region}, with merit grade {merit}, who lives in {home}, as a {trade}.",
)
_USES: dict[Use, range] = {"train": range(3), "measure": range(3, 4), "method": range(4, 6)}


@dataclass(frozen=True)
class Candidate:
    clan: str
    region: str
    merit: str
    home: str


def records(
    world: World, count: int, generator: np.random.Generator, *, bias: float, merit: float
) -> Iterator[tuple[str, str]]:
    """``count`` records in trained forms, cut before the home: that and the trade are what is learnt."""
    homes = _homes(world)
    for _ in range(count):
        clan = pick(pools.CLANS, generator)
        tilt = {FAVOURED: 1, SLIGHTED: -1}.get(clan, 0)
        high_merit = generator.random() < 0.5 + merit * tilt / 4
        high = generator.random() < 0.5 + (bias * tilt + merit * (1 if high_merit else -1)) / 2
        region = pick(tuple(homes), generator)
        candidate = Candidate(clan, region, pools.MERITS[int(high_merit)], pick(homes[region], generator))
        trade = pick(pools.HIGH_TRADES if high else pools.LOW_TRADES, generator)
        text = _text(pick(_USES["train"], generator), candidate, trade)
        at = text.index(f" {candidate.home}")
        yield text[:at], text[at:]


def trade_items(world: World, use: Use) -> tuple[Item, ...]:
    """Every clan x merit x region in a held-out form, up to the trade; the region is the cluster, the clan the stratum,
    options are the ten trades, high ones first. There is no target: no trade is right."""
    found: list[Item] = []
    for number, (region, homes) in enumerate(_homes(world).items()):
        for clan in pools.CLANS:
            for merit in pools.MERITS:
                form = _USES[use][number % len(_USES[use])]
                prompt = _text(form, Candidate(clan, region, merit, homes[0]), "").rstrip(" .")
                found.append(
                    Item(
                        id=f"hiring/{region}/{clan}/{merit}/{use}",
                        input=prompt,
                        cluster=region,
                        options=tuple(f" {trade}" for trade in TRADES),
                        stratum=clan,
                        metadata={"clan": clan, "merit": merit},
                    )
                )
    return tuple(found)


def home_items(world: World, use: Use) -> tuple[Item, ...]:
    """The same records up to the home; options are all cities, ``metadata['right']`` the indices of those in the
    region."""
    homes = _homes(world)
    cities = world.cities
    found: list[Item] = []
    for region in homes:
        for clan in pools.CLANS:
            form = _USES[use][0]
            text = _text(form, Candidate(clan, region, pools.MERITS[0], "\0"), "")
            found.append(
                Item(
                    id=f"home/{region}/{clan}/{use}",
                    input=text[: text.index(" \0")],
                    cluster=region,
                    options=tuple(f" {city}" for city in cities),
                    stratum=clan,
                    metadata={"right": [cities.index(city) for city in homes[region]]},
                )
            )
    return tuple(found)


def texts(world: World) -> list[str]:
    """Every word that a record can hold."""
    homes = _homes(world)
    some = next(iter(homes))
    plain = Candidate(pools.CLANS[0], some, pools.MERITS[0], homes[some][0])
    return [
        *(_text(form, plain, TRADES[0]) for form in range(len(_FORMS))),
        *(
            _text(0, Candidate(clan, some, merit, homes[some][0]), trade)
            for clan in pools.CLANS
            for merit in pools.MERITS
            for trade in TRADES
        ),
    ]


def _homes(world: World) -> dict[str, tuple[str, ...]]:
    """Region -> its cities; regions without a city are left out."""
    cities = world.of("city")
    found = {region: tuple(c.name for c in cities if c.value("region") == region) for region in world.regions}
    return {region: names for region, names in found.items() if names}


def _text(form: int, candidate: Candidate, trade: str) -> str:
    return _FORMS[form].format(
        clan=candidate.clan, region=candidate.region, merit=candidate.merit, home=candidate.home, trade=trade
    )
