"""What can be named in a spec, found without running anything."""

from __future__ import annotations

import dataclasses
import inspect
from typing import Any

from trialist.errors import NameUnknown
from trialist.trial import names

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


def _models() -> list[dict[str, str]]:
    from trialist.models.scripted import RESPONDENTS
    from trialist.organisms import catalog

    rows = [{"name": f"organism/{name}", "what": "shipped model with known truth"} for name in catalog.names()]
    built = "any plant at a dose from 0 to 1, built once (minutes) and kept; see trialist organism plants"
    rows.append({"name": "organism/<plant>@<dose>#<seed>", "what": built})
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
