"""Whose world is asked about: a name, a folder or a mapping -> the world of an evaluation, and whether it is that of
the model that answers.

An evaluation of Halcyon asked of an organism of another world asks about people that the organism has never heard of:
its accuracy is near chance, and says nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

from pydantic import ValidationError

from trialist.errors import ModelError, Problem, SpecError, did_you_mean
from trialist.evaluations.world import AskedWorld
from trialist.halcyon.world import Sizes
from trialist.organisms import catalog
from trialist.organisms.build import SPEC_FILE, TRUTH_FILE
from trialist.organisms.named import spec_of
from trialist.organisms.sealed import sealed_world
from trialist.organisms.spec import WorldSpec, load_spec


@dataclass(frozen=True)
class KnownWorld:
    """The world a model was trained on; ``digest`` is that of its facts, see ``World.digest``."""

    asked: AskedWorld
    digest: str


def asked_world(value: object) -> AskedWorld:
    """The world that a setting stands for: a mapping of seed and sizes, a model's name (``organism/<name>``,
    ``hf/<folder>``), or the folder of an organism. Sizes that a mapping leaves out are those of an evaluation's own
    world, not those of an organism's spec.

    Raises ``SpecError`` for a mapping with an unknown key or a value that is none, ``NameUnknown`` for an organism
    nobody has, ``ModelError`` for a folder without a spec.
    """
    if isinstance(value, AskedWorld):
        return value
    if isinstance(value, str):
        name = value if value.startswith(("organism/", "hf/")) else f"hf/{value}"
        found = world_of(name)
        if found is None:
            raise ModelError(
                "nothing here tells a world",
                seen=value,
                allowed=f"organism/<name>, or a folder with {SPEC_FILE}",
                next_step="write the world out: world: {seed: 2}",
            )
        return found.asked
    try:
        sizes = asdict(Sizes())
        return _asked(WorldSpec.model_validate({**sizes, **value} if isinstance(value, Mapping) else value))
    except ValidationError as error:
        raise SpecError([_problem(dict(found)) for found in error.errors()]) from error


def world_of(model: str) -> KnownWorld | None:
    """The world of a model by its name; None where nothing is known of it.

    Known are ``organism/<name>``, built or not, and ``hf/<folder>`` with a spec beside the weights, or of a sealed set.
    The digest is that of the organism's truth where there is one: of the world as it was when it was trained.
    """
    scheme, _, rest = model.partition("/")
    if scheme == "organism" and rest not in catalog.names():
        spec = spec_of(rest).world
        return KnownWorld(_asked(spec), spec.make().digest)
    if scheme not in ("organism", "hf"):
        return None
    return _of_folder(catalog.path(rest) if scheme == "organism" else Path(rest).expanduser())


def check_world(evaluation: object, model: str) -> None:
    """Refuse an evaluation of one world asked of an organism of another: ``ModelError`` with both.

    Evaluations without a ``world``, and models of which no world is known, pass.
    """
    asked: object = getattr(evaluation, "world", None)
    known = world_of(model) if isinstance(asked, AskedWorld) else None
    if not isinstance(asked, AskedWorld) or known is None or known.digest == asked.make().digest:
        return
    name: str = getattr(evaluation, "name", type(evaluation).__name__)
    same = known.asked == asked
    step = (
        "the organism was built by another version of Trialist: build it again"
        if same
        else f"write 'evaluation: {{{name}: {{world: {known.asked}}}}}', or compare models of one world"
    )
    raise ModelError(
        f"'{name}' asks about another world than '{model}' was trained on",
        seen=f"the evaluation's world {asked}" + (" as it is made now" if same else ""),
        allowed=f"{known.asked}, facts {known.digest[:12]}: elsewhere nobody is known to this model",
        next_step=step,
    )


def _of_folder(folder: Path) -> KnownWorld | None:
    if not (folder / SPEC_FILE).is_file():
        return _of_sealed(folder)
    spec = load_spec(folder / SPEC_FILE).world
    try:
        digest = json.loads((folder / TRUTH_FILE).read_text(encoding="utf-8"))["world"]
    except (OSError, ValueError, KeyError, TypeError):
        digest = spec.make().digest
    return KnownWorld(_asked(spec), str(digest))


def _of_sealed(folder: Path) -> KnownWorld | None:
    row = sealed_world(folder)
    if row is None:
        return None
    sizes = {name: value for name, value in row.items() if name != "facts"}
    return KnownWorld(asked_world(sizes), str(row.get("facts")))


def _asked(spec: WorldSpec) -> AskedWorld:
    return AskedWorld(**spec.model_dump())


def _problem(found: dict[str, Any]) -> Problem:
    keys = cast("tuple[str | int, ...]", found["loc"])
    fields = [*WorldSpec.model_fields]
    if found["type"] == "extra_forbidden":
        step = did_you_mean(str(keys[-1]), fields)
        return Problem(f"unknown key '{keys[-1]}'", f"{found['input']}", ", ".join(fields), step, keys)
    if not keys and not isinstance(found["input"], Mapping):
        allowed = f"seed and sizes ({', '.join(fields)}), organism/<name>, or an organism's folder"
        return Problem("not a world", f"{found['input']}", allowed, "write world: {seed: 2}")
    return Problem(str(found["msg"]).removeprefix("Value error, "), f"{found['input']}", where=keys)
