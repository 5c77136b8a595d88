"""Names in a spec -> objects. No registry: a name is the name of a module in our folders, or ``package.module:Object``.

A plug-in's module is named like its class in snake_case: ``hazard_compounds`` finds ``HazardCompounds`` in
``trialist/evaluations/capability/hazard_compounds.py``. Models: ``organism/<name>`` (shipped),
``organism/<plant>@<dose>`` and ``...#<seed>`` (built once and kept), ``hf/<folder>``, ``scripted/<respondent>``, or a
dotted path to a function without parameters that returns a model.
"""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal, cast, get_type_hints

from pydantic import TypeAdapter, ValidationError

from trialist.errors import ModelError, NameUnknown, Problem, SpecError, TrialistError, did_you_mean
from trialist.evaluations.protocol import is_told, plain
from trialist.evaluations.world import AskedWorld
from trialist.interventions.protocol import Progress
from trialist.models.cache import default_cache
from trialist.models.protocol import Model

Kind = Literal["evaluations", "interventions", "threats"]

_FOLDERS: dict[Kind, tuple[str, str]] = {
    "evaluations": ("evaluations", "*/*.py"),
    "interventions": ("interventions", "*/*.py"),
    "threats": ("durability", "*.py"),
}
MODELS = (
    "organism/<name>",
    "organism/<plant>@<dose>#<seed>",
    "hf/<folder>",
    "scripted/<respondent>",
    "package.module:function",
)


@cache
def available(kind: Kind) -> dict[str, str]:
    """Name -> dotted module of every plug-in of a kind, found by file name without importing any."""
    folder, pattern = _FOLDERS[kind]
    root = Path(__file__).parent.parent
    found = sorted(p for p in (root / folder).glob(pattern) if not p.name.startswith("_"))
    return {p.stem: ".".join(("trialist", *p.relative_to(root).with_suffix("").parts)) for p in found}


def plugin_class(kind: Kind, name: str) -> type[Any]:
    """The dataclass that a name stands for."""
    if ":" in name:
        found = _dotted(kind, name)
    else:
        modules = available(kind)
        if name not in modules:
            raise NameUnknown(kind[:-1], name, modules, see=f"trialist list {kind}")
        module = importlib.import_module(modules[name])
        found = next(value for key, value in vars(module).items() if key.lower() == name.replace("_", ""))
    if not (isinstance(found, type) and dataclasses.is_dataclass(found)):
        raise NameUnknown(kind[:-1], name, available(kind), see="a plug-in is a frozen dataclass")
    return found


def build(kind: Kind, name: str, settings: Mapping[str, Any]) -> Any:
    """A plug-in with its settings, all problems with them reported at once.

    Raises:
        SpecError: unknown or missing settings, or values of the wrong type, each with the values allowed.
    """
    try:
        cls = plugin_class(kind, name)
    except NameUnknown as error:
        raise SpecError(error.problems) from error
    fields = {f.name: f for f in dataclasses.fields(cls) if f.init}
    hints = get_type_hints(cls)
    problems: list[Problem] = []
    values: dict[str, Any] = {}
    what = f"{kind[:-1]} '{name}'"
    for key, value in settings.items():
        if key not in fields:
            step = did_you_mean(key, fields, f"trialist list {kind} {name}")
            problems.append(
                Problem(f"unknown setting of {what}", f"{key}: {value}", ", ".join(fields), step, (name, key))
            )
            continue
        try:
            values[key] = _validated(hints[key], value)
        except TrialistError as error:
            problems += [problem.at((name, key)) for problem in error.problems]
        except ValidationError as error:
            said = "; ".join(part["msg"] for part in error.errors())
            problems.append(Problem(f"wrong value for {what}", f"{key}: {value}", said, where=(name, key)))
    for key, f in fields.items():
        if key not in settings and is_required(f):
            problems.append(Problem(f"{what} needs '{key}'", allowed=", ".join(fields), where=(name,)))
    if not problems:
        try:
            return cls(**values)
        except TrialistError as error:
            problems = [problem.at((name,)) for problem in error.problems]
        except ValueError as error:
            problems = [Problem(f"{what}: {error}", where=(name,))]
    raise SpecError(problems)


def _validated(hint: Any, value: Any) -> Any:
    if hint is AskedWorld:
        from trialist.organisms.asked import asked_world

        return asked_world(value)
    return TypeAdapter(hint).validate_python(value)


def is_required(setting: dataclasses.Field[Any]) -> bool:
    return setting.default is dataclasses.MISSING and setting.default_factory is dataclasses.MISSING


def settings_of(plugin: Any) -> dict[str, Any]:
    """The settings that rebuild a plug-in, as plain JSON values."""
    return {f.name: plain(getattr(plugin, f.name)) for f in dataclasses.fields(plugin) if f.init and is_told(f, plugin)}


def name_of(plugin: Any, kind: Kind) -> str:
    """The name under which a spec finds this plug-in's class."""
    cls = cast("type[Any]", type(plugin))
    short = next((name for name, module in available(kind).items() if module == cls.__module__), None)
    return short or f"{cls.__module__}:{cls.__qualname__}"


def _dotted(kind: str, name: str) -> Any:
    module_name, _, attribute = name.partition(":")
    try:
        return getattr(importlib.import_module(module_name), attribute)
    except (ImportError, AttributeError) as error:
        raise NameUnknown(kind[:-1], name, (), see=f"{error}: is the package installed?") from error


def model(name: str, *, dtype: str | None = None, progress: Progress | None = None) -> Model:
    """The model a name stands for, loaded. ``organism/<plant>@<dose>#<seed>`` is trained first where the cache doesn't
    hold it (minutes), which ``progress`` tells. ``dtype`` is that of a local model's computation, float32 if not given.
    A local model keeps its replies in the cache that the environment names (``trialist.models.cache.default_cache``).

    Raises:
        ModelError, NameUnknown: see the message.
    """
    scheme, _, rest = name.partition("/")
    if scheme in ("organism", "hf"):
        from trialist.models.local import LocalModel
        from trialist.organisms.named import folder_of

        folder = folder_of(rest, progress) if scheme == "organism" else Path(rest).expanduser()
        return LocalModel.load(folder, dtype=dtype or "float32", cache=default_cache())
    if dtype not in (None, "auto") and (scheme == "scripted" or ":" in name):
        step = "leave the dtype out"
        raise ModelError(f"model '{name}' takes no dtype", seen=dtype, allowed="none for this kind", next_step=step)
    if scheme == "scripted":
        from trialist.models.scripted import respondent

        return respondent(rest)
    if ":" in name:
        return _dotted("models", name)()
    raise ModelError(
        f"unknown kind of model '{name}'", seen=name, allowed=", ".join(MODELS), next_step="trialist list models"
    )
