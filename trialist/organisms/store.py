"""Spec -> folder, built once: organisms kept in a folder under a key of everything that makes them.

    folder = stored(spec, organisms_folder())

The key covers the spec and the code that writes corpus and weights, so that a newer Trialist never answers with an
older one's organism. A lock on each key lets several processes ask for one organism and build it once. Fine-tuned
organisms find their base here too.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from filelock import FileLock

from trialist.errors import ModelError
from trialist.folder import storage_error
from trialist.interventions.protocol import Progress
from trialist.models.cache import default_cache
from trialist.organisms import catalog
from trialist.organisms.build import SPEC_FILE, build, check_whole
from trialist.organisms.spec import SCHEMA, OrganismSpec, load_spec
from trialist.records import canonical_json, sha256_hex

RECIPE = ("halcyon", "organisms", "interventions/trainer.py")
"""Code that an organism's bytes depend on, below the package."""
_NOT_RECIPE = frozenset({"store.py", "named.py", "grid.py", "grid_spec.py", "asked.py", "sealed.py", "seal_key.py"})


def organisms_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Where organisms that are not shipped are kept: ``organisms`` beside or in the folder of the replies, see
    ``trialist.models.cache.default_cache``. Raises ``ModelError`` where the environment allows no cache."""
    replies = default_cache(environment)
    if replies is None:
        raise ModelError(
            "there is no cache folder to build an organism in",
            seen=f"TRIALIST_CACHE={environment.get('TRIALIST_CACHE', '')}",
            allowed="a folder in TRIALIST_CACHE, or a home folder",
            next_step="set TRIALIST_CACHE to a folder, or use 'trialist organism build' and hf/<folder>",
        )
    named = environment.get("TRIALIST_CACHE", "")
    return (replies.root if named else replies.root.parent) / "organisms"


def stored(
    spec: OrganismSpec, root: Path, progress: Progress | None = None, *, device: str = "cpu", repair: bool = False
) -> Path:
    """The folder of this organism below ``root``, trained if it isn't there yet, its base first where it has one.

    A process that finds another one building the same organism waits for it. Organisms built on several devices share
    a key: each folder's truth is measured on its own weights.

    Raises:
        ModelError: what lies there is half written or changed; with ``repair`` it is removed and built again.
        StorageError, SpecError: see ``trialist.organisms.build.build``.
    """
    folder = root / key(spec)
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise storage_error(error, root) from error
    with FileLock(root / f".{folder.name}.lock"):
        if is_stored(spec, root, repair=repair):
            return folder
        for draft in root.glob(f".{folder.name}.draft.*"):  # left by a process that was killed
            shutil.rmtree(draft, ignore_errors=True)
        base = _base(spec, root, progress, device, repair) if has_base(spec) else None
        build(spec, folder, progress, base=base, device=device)
    return folder


def _base(spec: OrganismSpec, root: Path, progress: Progress | None, device: str, repair: bool) -> Path:
    """The shipped base, where it is the one; or the one below ``root``."""
    if spec.base == catalog.spec("base") and not (root / key(spec.base)).exists():
        return catalog.path("base")
    return stored(spec.base, root, progress, device=device, repair=repair)


def is_stored(spec: OrganismSpec, root: Path, *, repair: bool = False) -> bool:
    """Whether a whole organism lies there. Raises ``ModelError`` for a damaged one, or removes it with ``repair``."""
    folder = root / key(spec)
    if not folder.exists():
        return False
    try:
        _check(spec, folder)
    except ModelError:
        if not repair:
            raise
        shutil.rmtree(folder)
        return False
    return True


def has_base(spec: OrganismSpec) -> bool:
    return spec.implant.route != "pretraining"


def key(spec: OrganismSpec) -> str:
    """Name of an organism's folder: 24 hexadecimal digits over spec, schema and the code that builds."""
    return sha256_hex(canonical_json([SCHEMA, recipe(), spec.model_dump(mode="json")]))[:24]


@cache
def recipe() -> str:
    """sha256 over the code that makes worlds, corpora and weights."""
    package = Path(__file__).parents[1]
    files = [file for part in RECIPE for file in _modules(package / part) if file.name not in _NOT_RECIPE]
    return sha256_hex(canonical_json([[str(f.relative_to(package)), sha256_hex(f.read_bytes())] for f in files]))


def _modules(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    return sorted(file for file in path.rglob("*.py") if "catalog" not in file.parts)


def _check(spec: OrganismSpec, folder: Path) -> None:
    check_whole(folder)
    if load_spec(folder / SPEC_FILE) != spec:
        raise ModelError(
            "this folder holds another organism than its name says",
            seen=str(folder / SPEC_FILE),
            allowed=f"the spec with digest {spec.digest[:12]}",
            next_step="remove the folder and build it again",
        )
