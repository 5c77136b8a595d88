"""The organisms that come with the package: a folder each, with weights, tokenizer, spec and truth."""

from __future__ import annotations

import json
from pathlib import Path

from trialist.errors import NameUnknown
from trialist.organisms.spec import OrganismSpec, load_spec
from trialist.organisms.truth import Truth, truth_of

_HERE = Path(__file__).parent


def names() -> tuple[str, ...]:
    return tuple(sorted(file.parent.name for file in _HERE.glob("[!.]*/truth.json")))


def path(name: str) -> Path:
    """The model folder of an organism. Raises ``NameUnknown`` with the nearest name."""
    if name not in names():
        raise NameUnknown("organism", name, names())
    return _HERE / name


def truth(name: str) -> Truth:
    """What was measured on the shipped files."""
    return truth_at(path(name))


def truth_at(folder: Path) -> Truth:
    """What was measured on the files of a built organism."""
    return truth_of(json.loads((folder / "truth.json").read_text(encoding="utf-8")))


def spec(name: str) -> OrganismSpec:
    """What rebuilds it: ``build(spec(name), folder)``."""
    return load_spec(path(name) / "spec.yaml")
