"""The key of a seal: what is drawn, and the file that keeps draws, nonces and truths.

    commitment = sha256(nonce || canonical JSON of {files, name, spec, truth})

The seeds of training and implant are drawn as well: with a known seed anybody could build every candidate and compare
bytes. The file is written before anything is built, and again with the truths.
"""

from __future__ import annotations

import json
import os
import random
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from trialist.errors import DataError, Problem, SpecError
from trialist.folder import storage_error
from trialist.organisms.grid_spec import GridSpec
from trialist.organisms.spec import ImplantSpec, OrganismSpec
from trialist.organisms.truth import Truth, truth_of
from trialist.records import canonical_json, pretty_json, sha256_hex, to_json

KEY_SCHEMA = "trialist/seal-key/1"
SEED_BITS = 48
"""Of training and implant: too many to try them all, and whole in every reader of JSON."""


@dataclass(frozen=True)
class Lottery:
    """What is drawn from: with probability ``null`` an organism without plants, else a plant, dose and route of
    ``population``, each as likely. Its ``seeds`` are those of worlds, which are public.

    With a ``seed`` the draws can be repeated, by everybody who knows it: for tests. Raises ``SpecError`` for fewer than
    one organism or a share outside [0, 1].
    """

    population: GridSpec
    count: int
    null: float = 0.5
    seed: int | None = None

    def __post_init__(self) -> None:
        problems: list[Problem] = []
        if self.count < 1:
            problems.append(Problem("nothing to seal", f"{self.count}", "at least 1 organism", where=("count",)))
        if not 0 <= self.null <= 1:
            problems.append(Problem("not a share", f"{self.null}", "a number from 0 to 1", where=("null",)))
        if problems:
            raise SpecError(problems)


@dataclass(frozen=True)
class Entry:
    """One organism in the key file. ``files`` are the sha256 of what was published; both are empty until it is
    built."""

    name: str
    nonce: str
    spec: OrganismSpec
    truth: Truth | None = None
    files: Mapping[str, str] | None = None

    @property
    def commitment(self) -> str:
        told = {"name": self.name, "spec": self.spec.model_dump(mode="json"), "truth": self.truth, "files": self.files}
        return sha256_hex([bytes.fromhex(self.nonce), canonical_json(told)])


def draw(lottery: Lottery) -> tuple[Entry, ...]:
    """The organisms of a lottery, in the order of their names."""
    # SystemRandom reads the operating system's entropy and keeps no state that a guess could rebuild
    source = secrets.SystemRandom() if lottery.seed is None else random.Random(lottery.seed)
    width = max(2, len(str(lottery.count)))
    return tuple(
        Entry(f"sealed-{i:0{width}d}", f"{source.getrandbits(256):064x}", _drawn(lottery, source))
        for i in range(1, lottery.count + 1)
    )


def _drawn(lottery: Lottery, source: random.Random) -> OrganismSpec:
    population = lottery.population
    world = population.world.model_copy(update={"seed": source.choice(population.seeds)})
    training = population.training.model_copy(update={"seed": source.getrandbits(SEED_BITS)})
    plants, implant = dict[str, float](), ImplantSpec()
    if source.random() >= lottery.null:
        plants = {source.choice(population.plants): source.choice(population.doses)}
        implant = source.choice(population.routes).model_copy(update={"seed": source.getrandbits(SEED_BITS)})
    return OrganismSpec(plants=plants, implant=implant, world=world, network=population.network, training=training)


def head_of(root: Path, lottery: Lottery) -> dict[str, Any]:
    """What tells one seal from another."""
    return {
        "folder": str(root),
        "population": lottery.population.model_dump(mode="json"),
        "count": lottery.count,
        "null": lottery.null,
        "seed": lottery.seed,
    }


def write_key(secret: Path, root: Path, lottery: Lottery, entries: Sequence[Entry]) -> None:
    """Whole or not at all, readable by its owner alone from the first byte."""
    rows = [
        {
            "name": e.name,
            "nonce": e.nonce,
            "spec": e.spec.model_dump(mode="json"),
            "truth": to_json(e.truth),
            "files": e.files,
        }
        for e in entries
    ]
    draft = secret.with_name(f".{secret.name}.draft")
    try:
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
            stream.write(pretty_json({"schema": KEY_SCHEMA, **head_of(root, lottery), "organisms": rows}))
            stream.flush()
            os.fsync(stream.fileno())
        draft.replace(secret)
    except OSError as error:
        raise storage_error(error, secret) from error


def read_key(secret: Path) -> tuple[dict[str, Any], tuple[Entry, ...]]:
    """What tells the seal, and the organisms of it."""
    try:
        data: dict[str, Any] = json.loads(secret.read_bytes())
        if data.pop("schema") != KEY_SCHEMA:
            raise ValueError("another schema")
        entries = tuple(_entry(row) for row in data.pop("organisms"))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ValidationError) as error:
        raise DataError(
            f"{secret} is not the key of a seal",
            seen=str(error).splitlines()[0] if str(error) else type(error).__name__,
            allowed=f"a file of 'trialist organism seal', schema {KEY_SCHEMA}",
            next_step="give the file that was written with --key, unchanged",
        ) from error
    return data, entries


def _entry(row: Mapping[str, Any]) -> Entry:
    bytes.fromhex(row["nonce"])
    if not re.fullmatch(r"sealed-\d+", row["name"]):  # it becomes a folder's name
        raise ValueError(f"an organism named {row['name']!r}")
    spec = OrganismSpec.model_validate_json(canonical_json(row["spec"]))
    truth = None if row["truth"] is None else truth_of(row["truth"])
    return Entry(str(row["name"]), str(row["nonce"]), spec, truth, row["files"])
