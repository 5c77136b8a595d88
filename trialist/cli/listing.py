"""What can be named in a spec, found without running anything."""

from __future__ import annotations

import dataclasses
import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trialist.cli.progress import Screen
from trialist.errors import NameUnknown
from trialist.trial import names

if TYPE_CHECKING:
    from trialist.organisms.truth import Truth

_KINDS = ("evaluations", "interventions", "threats", "models")


def listing(kind: str, name: str | None) -> list[dict[str, str]]:
    """Rows of one kind, or the settings of one plug-in.

    Raises:
        NameUnknown: no such kind, or no such name.
    """
    if kind == "models":
        return _models()
    if kind not in ("evaluations", "interventions", "threats"):
        raise NameUnknown("kind", kind, _KINDS)
    plugins: names.Kind = kind
    if name is None:
        return [{"name": n, "what": _first_line(names.plugin_class(plugins, n))} for n in names.available(plugins)]
    return _settings(names.plugin_class(plugins, name))


def organisms() -> list[dict[str, str]]:
    from trialist.organisms import catalog

    return [{"name": f"organism/{name}", **_truth_row(catalog.truth(name))} for name in catalog.names()]


def plants() -> list[dict[str, str]]:
    """Every plant with its twin: what a careless test takes for it."""
    from trialist.organisms.plants import PLANTS

    return [{"plant": plant.name, "what": plant.what, "twin": plant.twin or "-"} for plant in PLANTS.values()]


def organism(name: str) -> dict[str, Any]:
    """What a shipped organism is made of and what is true of it."""
    from trialist.organisms import catalog

    return {
        "name": f"organism/{name}",
        "folder": str(catalog.path(name)),
        "spec": catalog.spec(name).model_dump(mode="json"),
        "truth": catalog.truth(name),
    }


@dataclasses.dataclass(frozen=True)
class Change:
    """What a command line changes in a spec; None leaves it."""

    plant: str | None = None
    dose: float | None = None
    seed: int | None = None
    route: str | None = None


def build_organism(name: str, folder: Path, change: Change, screen: Screen) -> dict[str, str]:
    """Train the organism of a shipped name or of a spec file into ``folder``; one row about what came out.

    Raises:
        SpecError, NameUnknown: see the message.
    """
    from trialist.organisms import catalog
    from trialist.organisms.build import build
    from trialist.organisms.spec import changed, load_spec

    spec = catalog.spec(name) if name in catalog.names() or not Path(name).is_file() else load_spec(name)
    spec = changed(spec, **dataclasses.asdict(change))
    with screen.task("organism", f"building {Path(name).stem}") as progress:
        built = build(spec, folder, progress)
    doses = {plant: f"{built.truth.realised[plant].value:.3f}" for plant in spec.plants}
    return {"folder": str(built.folder), **_truth_row(built.truth), **doses}


def _truth_row(truth: Truth) -> dict[str, str]:
    """Size, and what the model knows: items right of items asked, per evaluation."""
    recall = {name: f"{found.correct:g}/{found.items}" for name, found in truth.recall.items()}
    return {"parameters": f"{truth.parameters:,}", **recall}


def _models() -> list[dict[str, str]]:
    from trialist.models.scripted import RESPONDENTS
    from trialist.organisms import catalog

    rows = [{"name": f"organism/{name}", "what": "shipped model with known truth"} for name in catalog.names()]
    rows.append({"name": "hf/<folder>", "what": "causal language model in Hugging Face format, safetensors only"})
    rows += [{"name": f"scripted/{name}", "what": "degenerate respondent"} for name in RESPONDENTS]
    return rows


def _first_line(cls: type[Any]) -> str:
    return (inspect.getdoc(cls) or "").partition("\n")[0]


def _settings(cls: type[Any]) -> list[dict[str, str]]:
    rows: list[dict[str, str]] = []
    for field in dataclasses.fields(cls):
        if field.init:
            default = "required" if names.is_required(field) else repr(field.default)
            rows.append({"setting": field.name, "type": str(field.type), "default": default})
    return rows
