"""Grid -> folder of organisms, built in parallel processes; the same call goes on where an earlier one stopped.

    result = build_grid(load_grid("grid.yaml"), "organisms", jobs=8)

``grid.jsonl`` has a line per organism (``Row``), written anew whenever one is finished. What is whole is kept, what is
half written is built again, what fails is reported and stops nothing but what is fine-tuned from it.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import yaml

from trialist.errors import TrialistError
from trialist.folder import RunFolder
from trialist.interventions.protocol import Progress
from trialist.organisms.build import TRUTH_FILE
from trialist.organisms.grid_spec import GRID_SCHEMA, GridCell, GridSpec, cells
from trialist.organisms.spec import OrganismSpec
from trialist.organisms.store import has_base, is_stored, key, stored
from trialist.organisms.truth import Realised, truth_of
from trialist.records import canonical_json

GRID_FILE, ROWS_FILE = "grid.yaml", "grid.jsonl"
POLL_SECONDS = 0.2
Status = Literal["done", "kept", "failed", "pending"]


@dataclass(frozen=True)
class Row:
    """A line of ``grid.jsonl``. ``plants`` are nominal doses; ``realised`` every plant's, as in ``truth.json``;
    ``spec`` and ``base`` are digests of specs, ``base`` empty without fine-tuning; ``folder`` is below the grid's.
    ``status``: done now, kept from before, failed (see ``error``), or pending."""

    id: str
    folder: str
    spec: str
    plants: Mapping[str, float]
    route: str
    seed: int
    base: str = ""
    status: Status = "pending"
    realised: Mapping[str, Realised] = field(default_factory=dict[str, Realised])
    error: str = ""


@dataclass(frozen=True)
class GridResult:
    folder: Path
    rows: tuple[Row, ...]

    @property
    def failed(self) -> tuple[Row, ...]:
        return tuple(row for row in self.rows if row.status == "failed")


def build_grid(
    grid: GridSpec, folder: str | Path, *, jobs: int = 1, device: str = "cpu", progress: Progress | None = None
) -> GridResult:
    """Build every organism of the grid into ``folder``; ``progress(done, organisms)`` as each is finished.

    ``jobs`` organisms are trained at once, each in a process with one thread for OpenMP (with 1, in this process).
    ``KeyboardInterrupt`` stops the processes after their current step and is raised again; the folder can be continued.

    Raises:
        StorageError: the folder can't be written.
        ValueError: fewer than one job.
    """
    if jobs < 1:
        raise ValueError(f"{jobs} jobs; at least 1 is needed")
    root = Path(folder)
    grid_text = yaml.safe_dump({"schema": f"trialist/grid/{GRID_SCHEMA}", **grid.model_dump(mode="json")})
    RunFolder(root).write(GRID_FILE, grid_text.encode())
    return build_cells(cells(grid), root, jobs=jobs, device=device, progress=progress)


def build_cells(
    todo: Sequence[GridCell], root: Path, *, jobs: int = 1, device: str = "cpu", progress: Progress | None = None
) -> GridResult:
    """Build these organisms into ``root``, whatever they have in common; see ``build_grid``. The base of one that is
    fine-tuned is built with it, where it isn't among them."""
    board = _Board(root, todo, progress or (lambda done, total: None))
    board.keep_finished()
    with _workers(jobs) as executor:
        _work(board, executor, jobs, device)
    return GridResult(root, tuple(board.rows.values()))


class _Board:
    """What is known of each organism, on the disk as well."""

    def __init__(self, root: Path, todo: Sequence[GridCell], progress: Progress) -> None:
        self.root = root
        self.specs = {cell.id: cell.spec for cell in todo}
        self.rows = {name: _row(name, spec) for name, spec in self.specs.items()}
        self._names = {cell.spec.digest: cell.id for cell in todo}
        self._progress = progress

    def keep_finished(self) -> None:
        for name, spec in self.specs.items():
            if is_stored(spec, self.root, repair=True):
                self.rows[name] = self._finished(name, "kept")
        self._show()

    def waiting(self) -> list[str]:
        return [name for name, row in self.rows.items() if row.status == "pending"]

    def base_of(self, name: str) -> Row | None:
        """The row of the organism that this one is fine-tuned from; None where it isn't one of these."""
        base = self._names.get(self.rows[name].base)
        return self.rows[base] if base else None

    def settle(self, name: str, error: str) -> None:
        failed = replace(self.rows[name], status="failed", error=error)
        self.rows[name] = failed if error else self._finished(name, "done")
        self._show()

    def _finished(self, name: str, status: Status) -> Row:
        row = self.rows[name]
        truth = truth_of(json.loads((self.root / row.folder / TRUTH_FILE).read_text(encoding="utf-8")))
        return replace(row, status=status, realised=truth.realised)

    def _show(self) -> None:
        RunFolder(self.root).write(ROWS_FILE, b"".join(canonical_json(row) + b"\n" for row in self.rows.values()))
        self._progress(sum(row.status != "pending" for row in self.rows.values()), len(self.rows))


def _row(name: str, spec: OrganismSpec) -> Row:
    base = spec.base.digest if has_base(spec) else ""
    return Row(name, key(spec), spec.digest, spec.plants, spec.implant.route, spec.training.seed, base)


def _work(board: _Board, executor: Executor, jobs: int, device: str) -> None:
    """Hand out what can be built; what is fine-tuned waits for its base, and fails with it."""
    running: dict[Future[str], str] = {}
    while True:
        for name in board.waiting():
            base = board.base_of(name)
            if base is not None and base.status == "failed":
                board.settle(name, f"its base {base.id} failed")
            elif len(running) < jobs and name not in running.values() and (base is None or base.status != "pending"):
                try:
                    running[executor.submit(_build_one, board.specs[name], board.root, device)] = name
                except BrokenExecutor as error:
                    board.settle(name, f"{error}: run the same command again, with fewer jobs if memory was short")
        if not running:
            return
        # a system may hand Ctrl-C to another thread than this one: waiting without an end would not notice
        done, _ = wait(running, timeout=POLL_SECONDS, return_when=FIRST_COMPLETED)
        for future in done:
            board.settle(running.pop(future), _said(future))


def _build_one(spec: OrganismSpec, root: Path, device: str) -> str:
    """The error's text, or nothing. Errors of the project's tree don't cross processes, their text does."""
    try:
        stored(spec, root, _stop_when_asked, device=device, repair=True)
    except TrialistError as error:
        return str(error)
    return ""


def _said(future: Future[str]) -> str:
    """A process that was killed and a defect alike are the error of one organism, not of the grid."""
    error = future.exception()
    if isinstance(error, KeyboardInterrupt):
        raise error
    return future.result() if error is None else f"{type(error).__name__}: {error}"


# --- processes -----------------------------------------------------------------------------------------------

_asked: Any = None
"""In a worker: the event by which the parent asks it to stop."""


def _start_worker(asked: Any) -> None:
    """Before torch is imported. The parent alone hears Ctrl-C."""
    global _asked  # noqa: PLW0603 - a worker's one piece of state, set once
    _asked = asked
    os.environ["OMP_NUM_THREADS"] = "1"
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _stop_when_asked(done: int, total: int) -> None:
    if _asked is not None and _asked.is_set():
        raise KeyboardInterrupt


@contextmanager
def _workers(jobs: int) -> Generator[Executor]:
    if jobs == 1:
        yield _Here()
        return
    context = multiprocessing.get_context("spawn")
    asked = context.Event()
    executor = ProcessPoolExecutor(jobs, context, _start_worker, (asked,))
    try:
        yield executor
    except BaseException:
        asked.set()
        raise
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


class _Here(Executor):
    """One task at a time in this process, when it is submitted."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - handed on, as an executor does
            future.set_exception(error)
        return future
