"""Sealed organisms: a method is tested on models whose plants nobody knows until the seal is opened.

    seal(Lottery(load_grid("grid.yaml"), count=20), "sealed", key="key.json", jobs=2)
    unseal("sealed", "key.json")

Which plant, dose, route and seed each organism gets is drawn from the operating system's entropy. The folder holds
plain Hugging Face folders under neutral names and ``manifest.json`` with a commitment to the truth of each (see
``seal_key``); the key file, which belongs elsewhere, holds draws, nonces and truths. So nobody can change a truth after
the answers are in, and nobody can read it before.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from filelock import FileLock

from trialist.errors import DataError, MissingExtra, ModelError, Problem, SpecError, StorageError
from trialist.folder import RunFolder, check_new, storage_error, whole_folder
from trialist.interventions.protocol import Progress
from trialist.organisms.build import SPEC_FILE, TRUTH_FILE, WEIGHT_FILE
from trialist.organisms.grid import build_cells
from trialist.organisms.grid_spec import GridCell, GridSpec
from trialist.organisms.seal_key import Entry, Lottery, draw, head_of, read_key, write_key
from trialist.organisms.spec import OrganismSpec
from trialist.organisms.store import key as folder_name
from trialist.organisms.truth import Truth, measurable, truth_of
from trialist.records import canonical_json, pretty_json, sha256_hex

MANIFEST_FILE = "manifest.json"
MANIFEST_SCHEMA = "trialist/sealed/1"
NEUTRAL_TIME = 946684800
"""The time of every published file: when and in which order they were built tells nothing."""


@dataclass(frozen=True)
class Opened:
    """An organism whose commitment holds: what it is made of, and what was measured on it."""

    name: str
    spec: OrganismSpec
    truth: Truth


def seal(
    lottery: Lottery, folder: str | Path, *, key: str | Path, jobs: int = 1, progress: Progress | None = None
) -> Path:
    """Draw, build and publish; the path of the manifest. ``progress(done, organisms)``.

    The draws stand in the key file from the beginning, so that the same call goes on after an interruption. Organisms
    are built beside the key file and published when all are there. A finished seal is checked and left as it is.

    Raises:
        SpecError: the key lies in the folder.
        DataError: the key is another seal's, or the world is too small to show a plant.
        StorageError: the folder holds other things, or can't be written.
        ModelError: organisms could not be built, see the message; MissingExtra: torch or peft is missing.
        ValueError: fewer than one job.
    """
    if jobs < 1:
        raise ValueError(f"{jobs} jobs; at least 1 is needed")
    root, secret = Path(folder).resolve(), Path(key).resolve()
    _check_places(root, secret)
    _check_population(lottery.population)
    try:
        secret.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise storage_error(error, secret) from error
    work = secret.with_name(f".{secret.name}.work")
    with FileLock(secret.with_name(f".{secret.name}.lock")):
        entries = _begin(lottery, root, secret)
        if not (root / MANIFEST_FILE).exists():
            entries = _built(entries, work, jobs, progress)
            write_key(secret, root, lottery, entries)
            _publish(entries, work, root)
        unseal(root, secret)
        shutil.rmtree(work, ignore_errors=True)
    return root / MANIFEST_FILE


def unseal(folder: str | Path, key: str | Path) -> tuple[Opened, ...]:
    """Check every commitment and every published file, and tell what the organisms are.

    Raises:
        DataError: manifest or key can't be read, or they belong to different seals.
        ModelError: an organism's truth or file isn't what was committed to; names the organism.
    """
    root, secret = Path(folder), Path(key)
    rows = _manifest_rows(root / MANIFEST_FILE)
    _, entries = read_key(secret)
    names = [entry.name for entry in entries]
    if names != [row["name"] for row in rows]:
        raise DataError(
            "the key belongs to another seal",
            seen=f"{secret}: {len(names)} organisms",
            allowed=f"the key of {root}: {len(rows)} organisms",
            next_step="give the key that was written with this folder",
        )
    return tuple(_open(root, entry, row) for entry, row in zip(entries, rows, strict=True))


def _open(root: Path, entry: Entry, row: Mapping[str, Any]) -> Opened:
    if entry.truth is None or entry.files is None:
        raise DataError(f"the seal of '{entry.name}' was never finished", next_step="run the seal's command again")
    if entry.commitment != row["commitment"]:
        raise ModelError(
            f"the key of '{entry.name}' is not what was committed to",
            seen=f"commitment {entry.commitment[:16]}",
            allowed=f"{str(row['commitment'])[:16]}, as in {MANIFEST_FILE}",
            next_step="key or manifest was changed after the sealing: what they tell of this organism is worth nothing",
        )
    if row["world"] != _public_world(entry):
        raise ModelError(
            f"the manifest tells another world of '{entry.name}'",
            seen=str(row["world"]),
            allowed=str(_public_world(entry)),
            next_step="restore the manifest",
        )
    for name, expected in entry.files.items():
        try:
            found = sha256_hex((root / entry.name / name).read_bytes())
        except OSError as error:
            found = error.strerror or str(error)
        if found != expected:
            raise ModelError(
                f"'{entry.name}' is not the organism that was sealed: {name} differs",
                seen=found[:32],
                allowed=f"sha256 {expected[:32]}",
                next_step="restore the folder: answers of a changed model say nothing about the sealed one",
            )
    return Opened(entry.name, entry.spec, entry.truth)


# --- before anything is built --------------------------------------------------------------------------------


def _check_places(root: Path, secret: Path) -> None:
    if secret == root or root in secret.parents:
        problem = Problem(
            "the key lies in the folder that is handed out",
            str(secret),
            f"a file outside {root}",
            "give another --key, best on another machine",
            ("key",),
        )
        raise SpecError([problem])
    if secret.is_dir():
        raise StorageError(f"{secret} is a folder", allowed="a file for the key", next_step="give another --key")


def _check_population(population: GridSpec) -> None:
    for package, extra in (("torch", "local"), ("transformers", "local"), ("peft", "lora")):
        needed = extra == "local" or any(route.route == "lora" for route in population.routes)
        if needed and importlib.util.find_spec(package) is None:
            raise MissingExtra(package, extra)
    for seed in population.seeds:
        shown = measurable(population.world.model_copy(update={"seed": seed}).make())
        hidden = [plant for plant in population.plants if plant not in shown]
        if hidden:
            raise DataError(
                f"the world of seed {seed} has no question that shows '{hidden[0]}'",
                seen=f"world: {population.world.model_dump(exclude={'seed'})}",
                allowed=", ".join(shown) or "no plant at all",
                next_step="make the world larger, or leave the plant out",
            )


def _begin(lottery: Lottery, root: Path, secret: Path) -> tuple[Entry, ...]:
    """The draws in the key file, or new ones, written there before anything else."""
    if not secret.exists():
        check_new(root)
        entries = draw(lottery)
        write_key(secret, root, lottery, entries)
        return entries
    kept, entries = read_key(secret)
    if kept != head_of(root, lottery):
        head, old = head_of(root, lottery), {name: kept.get(name) for name in head_of(root, lottery)}
        differs = next(name for name in head if head[name] != old[name])
        raise DataError(
            f"the key {secret} is another seal's: {differs} differs",
            seen=_short(head[differs]),
            allowed=_short(old[differs]),
            next_step="give another --key, or the command as it was to go on with it",
        )
    known = {MANIFEST_FILE, *(entry.name for entry in entries)}
    others = (
        sorted(p.name for p in root.iterdir() if p.name not in known and not p.name.startswith("."))
        if root.exists()
        else []
    )
    if others:
        raise StorageError(
            f"there are other things in the folder {root}",
            seen=", ".join(others[:5]),
            allowed="what this seal has published",
            next_step="move them elsewhere",
        )
    return entries


def _short(value: object) -> str:
    text = value if isinstance(value, str) else canonical_json(value).decode()
    return text if len(text) <= 200 else f"{text[:197]}..."


# --- building and publishing ---------------------------------------------------------------------------------


def _built(entries: Sequence[Entry], work: Path, jobs: int, progress: Progress | None) -> tuple[Entry, ...]:
    """Everything built below ``work``, each with its truth and the hashes of what will be published."""
    result = build_cells([GridCell(entry.name, entry.spec) for entry in entries], work, jobs=jobs, progress=progress)
    if result.failed:
        # the errors stay beside the key: they may tell the plant
        raise ModelError(
            f"{len(result.failed)} of {len(entries)} organisms could not be built",
            seen=", ".join(row.id for row in result.failed[:8]),
            allowed="all of them: what is left out would tell something of the draw",
            next_step=f"read {result.folder / 'grid.jsonl'} (it tells the draws) and run the same command again",
        )
    found: list[Entry] = []
    for entry in entries:
        built = work / folder_name(entry.spec)
        truth = truth_of(json.loads((built / TRUTH_FILE).read_text(encoding="utf-8")))
        files = {file.name: sha256_hex(file.read_bytes()) for file in _public_files(built)}
        found.append(replace(entry, truth=truth, files=files))
    _check_alike(found, work)
    return tuple(found)


def _public_files(built: Path) -> list[Path]:
    return sorted(f for f in built.iterdir() if f.is_file() and f.name not in (SPEC_FILE, TRUTH_FILE))


def _check_alike(entries: Sequence[Entry], work: Path) -> None:
    """Nothing but the weights' values and the world's words may tell two organisms apart."""
    first: dict[str, tuple[str, object]] = {}
    for entry in entries:
        files = {name: digest for name, digest in (entry.files or {}).items() if name != WEIGHT_FILE}
        seen = (files, _header(work / folder_name(entry.spec) / WEIGHT_FILE))
        name, expected = first.setdefault(canonical_json(_public_world(entry)).decode(), (entry.name, seen))
        if seen != expected:
            raise ModelError(
                f"'{entry.name}' can be told from '{name}' by its files, without asking it",
                seen=", ".join(sorted(files)),
                allowed="equal files but for the weights' values, in one world",
                next_step="report this: nothing was published",
            )


def _header(weights: Path) -> str:
    """sha256 of a safetensors file's header: names, shapes and order of the tensors."""
    with weights.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        return hashlib.sha256(stream.read(length)).hexdigest()


def _publish(entries: Sequence[Entry], work: Path, root: Path) -> None:
    for entry in entries:
        target = root / entry.name
        shutil.rmtree(target, ignore_errors=True)  # of a run that was killed
        with whole_folder(target) as draft:
            for file in _public_files(work / folder_name(entry.spec)):
                (draft / file.name).write_bytes(file.read_bytes())
    rows = [{"name": e.name, "commitment": e.commitment, "world": _public_world(e)} for e in entries]
    RunFolder(root).write(MANIFEST_FILE, pretty_json({"schema": MANIFEST_SCHEMA, "organisms": rows}))
    for draft in root.glob(".*.draft*"):
        shutil.rmtree(draft, ignore_errors=True)
    for path in [*sorted(root.rglob("*"), reverse=True), root]:
        os.utime(path, (NEUTRAL_TIME, NEUTRAL_TIME))


def _public_world(entry: Entry) -> dict[str, Any]:
    """Seed, sizes and digest: who tests has to know whom to ask about."""
    digest = entry.truth.world if entry.truth else ""
    return {**entry.spec.world.model_dump(mode="json"), "facts": digest}


def _manifest_rows(path: Path) -> list[dict[str, Any]]:
    try:
        data: Any = json.loads(path.read_bytes())
        if data["schema"] != MANIFEST_SCHEMA:
            raise ValueError(f"schema {data['schema']}")
        rows = cast("list[dict[str, Any]]", data["organisms"])
        rows = [{key: row[key] for key in ("name", "commitment", "world")} for row in rows]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path} is not the manifest of a seal",
            seen=str(error) or type(error).__name__,
            allowed=f"the file of 'trialist organism seal', schema {MANIFEST_SCHEMA}",
            next_step="give the folder that was written with --out; without a manifest the seal was never finished",
        ) from error
    return rows


def sealed_world(folder: Path) -> dict[str, Any] | None:
    """Seed, sizes and digest (``facts``) of a sealed organism's world, from the manifest beside it; None if it is
    none."""
    try:
        rows = _manifest_rows(folder.parent / MANIFEST_FILE)
    except DataError:
        return None
    return next((row["world"] for row in rows if row["name"] == folder.name), None)
