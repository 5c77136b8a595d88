"""How arms look: a colour, a shape and a dash each, so that colour never carries meaning alone.

Hues are from the palette of Okabe and Ito (2008), which people with any common colour blindness can tell apart. Each
colour is a CSS variable of ``assets/report.css``, where the dark variant stands; the value here is the light one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from trialist.reports.evidence import Evidence, arms, role_of

COLOURS: Mapping[str, str] = {
    "ink": "#1f2833",
    "quiet": "#5d6875",
    "faint": "#dfe3e8",
    "limit": "#a33b12",
    "zone": "#a33b13",
    "control": "#56616e",
    "sham": "#b07a00",
    "oracle": "#00805c",
    "candidate-1": "#0067a3",
    "candidate-2": "#c4560a",
    "candidate-3": "#a8568a",
    "candidate-4": "#3d8fc0",
}


@dataclass(frozen=True)
class Look:
    """``colour`` is a key of COLOURS, ``shape`` a Vega symbol, ``dash`` an SVG dash pattern."""

    colour: str
    shape: str
    dash: tuple[int, ...] = ()

    @property
    def hex(self) -> str:
        return COLOURS[self.colour]


_BY_ROLE = {
    "control": Look("control", "circle", (1, 0)),
    "sham": Look("sham", "square", (6, 3)),
    "oracle": Look("oracle", "diamond", (2, 3)),
}
_CANDIDATES = (
    Look("candidate-1", "triangle-up", (1, 0)),
    Look("candidate-2", "triangle-down", (8, 2, 2, 2)),
    Look("candidate-3", "cross", (4, 2)),
    Look("candidate-4", "triangle-right", (10, 4)),
)


def looks(evidence: Evidence) -> dict[str, Look]:
    """The look of each arm, by its role."""
    return looks_of({name: role_of(evidence, name) for name in arms(evidence)})


def looks_of(roles: Mapping[str, str]) -> dict[str, Look]:
    """Looks by arm; candidates beyond the fourth start over with colours, in other shapes."""
    found: dict[str, Look] = {}
    num_candidates = 0
    for name, role in roles.items():
        if role in _BY_ROLE:
            found[name] = _BY_ROLE[role]
            continue
        base = _CANDIDATES[num_candidates % len(_CANDIDATES)]
        shift = num_candidates // len(_CANDIDATES)
        found[name] = Look(base.colour, _CANDIDATES[(num_candidates + shift) % len(_CANDIDATES)].shape, base.dash)
        num_candidates += 1
    return found
