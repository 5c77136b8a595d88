"""Methods x organisms -> readings, in parallel processes; the same call goes on where an earlier one stopped.

``readings.jsonl`` grows by one organism at a time. What stands there is not read again.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from trialist.errors import MeasurementUndefined, ModelError, RunFolderError
from trialist.folder import RunFolder, storage_error
from trialist.interventions.protocol import Progress
from trialist.organisms.catalog import truth_at
from trialist.organisms.truth import Realised
from trialist.validate.experiment import Experiment, Organism, reading_of
from trialist.validate.methods import METHODS
from trialist.validate.methods.method import Scored, undefined
from trialist.validate.reading import load, one_thread, read_organism
from trialist.validate.readings import Reading, Split, append, read

READINGS_FILE, EXPERIMENT_FILE = "readings.jsonl", "experiment.json"
SCHEMA = "trialist/validation/1"
POLL_SECONDS = 0.5


@dataclass(frozen=True)
class Task:
    """One organism, and the methods that have not read it yet."""

    organism: Organism
    split: Split
    methods: tuple[str, ...]


@dataclass(frozen=True)
class Outcome:
    """``damaged`` readings have no score, as the organism could not be loaded; they are not written to the file, so
    that a repaired organism is read the next time."""

    readings: tuple[Reading, ...]
    damaged: bool = False


@dataclass(frozen=True)
class Run:
    """``readings`` of all methods that stand in the folder, ``damaged`` organisms by name."""

    readings: tuple[Reading, ...]
    damaged: tuple[str, ...]
    num_read: int
    num_kept: int


def run(
    found: Experiment, methods: Sequence[str], out: Path, *, jobs: int = 1, progress: Progress | None = None
) -> Run:
    """Read every organism with every method that has not read it yet; ``progress(done, organisms)``.

    With several ``jobs`` each is a process with one thread. ``KeyboardInterrupt`` stops after the organisms at hand;
    what was finished is kept.

    Raises:
        RunFolderError: ``out`` is in use, or holds readings with other calibration seeds: thresholds that are chosen
            again after a look at the results are not frozen.
        DataError: a bad line in ``readings.jsonl``; a half-written last one is dropped and read again.
        StorageError: the disk refuses.
        ValueError: fewer than one job.
    """
    if jobs < 1:
        raise ValueError(f"{jobs} jobs; at least 1 is needed")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise storage_error(error, out) from error
    lock = FileLock(out / ".lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        step = "wait for it to end, or give another folder with --out"
        raise RunFolderError(f"{out} is in use", seen="another process holds its lock", next_step=step) from None
    try:
        return _run(found, methods, out, (jobs, progress or (lambda done, total: None)))
    finally:
        lock.release()


def _run(found: Experiment, methods: Sequence[str], out: Path, how: tuple[int, Progress]) -> Run:
    _register(found, out)
    jobs, progress = how
    path = out / READINGS_FILE
    before = read(path).readings if path.exists() else ()
    known = {(reading.organism, reading.method) for reading in before}
    tasks = list(_tasks(found, methods, known))
    total = len(found.organisms)
    done = total - len(tasks)
    progress(done, total)
    lost: list[Reading] = []
    for outcome in _outcomes(tasks, jobs):
        if outcome.damaged:
            lost += outcome.readings
        else:
            append(path, outcome.readings)
        done += 1
        progress(done, total)
    after = read(path).readings if path.exists() else ()
    damaged = tuple(dict.fromkeys(reading.organism for reading in lost))
    return Run((*after, *lost), damaged, len(after) - len(before), len(before))


def _tasks(found: Experiment, methods: Sequence[str], known: set[tuple[str, str]]) -> Iterator[Task]:
    for organism in found.organisms:
        missing = tuple(name for name in methods if (organism.name, name) not in known)
        if missing:
            yield Task(organism, found.split(organism), missing)


def registered(out: Path) -> tuple[int, ...] | None:
    """The calibration seeds that an earlier run wrote to this folder."""
    if not (out / EXPERIMENT_FILE).exists():
        return None
    return tuple(RunFolder(out).read_json(EXPERIMENT_FILE)["calibration"])


def _register(found: Experiment, out: Path) -> None:
    """The calibration seeds are written before anything is read."""
    before = registered(out)
    if before is not None and before != found.calibration:
        raise RunFolderError(
            "the readings here have other calibration seeds",
            seen=_short(found.calibration),
            allowed=_short(before),
            next_step="leave --calibration out to go on, or give another folder with --out",
        )
    if before is None:
        RunFolder(out).write_json(EXPERIMENT_FILE, {"schema": SCHEMA, "calibration": list(found.calibration)})


def _short(seeds: Sequence[int]) -> str:
    shown = ", ".join(map(str, seeds[:6]))
    return f"{len(seeds)} seeds: {shown}{', ...' if len(seeds) > 6 else ''}" if seeds else "none"


# --- one organism ----------------------------------------------------------------------------------------------


def read_task(task: Task) -> Outcome:
    """All readings of one organism. A folder that isn't whole, or a network without finite answers, is unmeasured."""
    organism = task.organism
    with one_thread():
        try:
            loaded = load(organism.folder)
            realised = truth_at(organism.folder).realised
        except ModelError as error:
            problem = error.problems[0]
            reason = f"{problem.message}: {problem.seen.replace(str(organism.folder), organism.folder.name)}"
            lost = dict.fromkeys(task.methods, undefined(reason))
            return Outcome(_readings(task, lost, organism.realised), damaged=True)
        try:
            scores = read_organism(loaded, [METHODS[name] for name in task.methods])
        except MeasurementUndefined as error:
            scores = dict.fromkeys(task.methods, undefined(error.problems[0].message))
    return Outcome(_readings(task, scores, realised))


def _readings(task: Task, scores: Mapping[str, Scored], truth: Mapping[str, Realised]) -> tuple[Reading, ...]:
    return tuple(
        reading_of(task.organism, METHODS[name], scored, split=task.split, realised=truth)
        for name, scored in scores.items()
    )


# --- processes -------------------------------------------------------------------------------------------------


def _outcomes(tasks: Sequence[Task], jobs: int) -> Iterator[Outcome]:
    """In the order in which they are finished."""
    if jobs == 1 or len(tasks) < 2:
        yield from map(read_task, tasks)
        return
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), _start_worker) as executor:
        waiting: set[Future[Outcome]] = {executor.submit(read_task, task) for task in tasks}
        try:
            while waiting:
                # a system may hand Ctrl-C to another thread than this one: waiting without an end would not notice
                finished, waiting = wait(waiting, timeout=POLL_SECONDS, return_when=FIRST_COMPLETED)
                for future in finished:
                    yield future.result()
        except BrokenExecutor as error:
            raise ModelError(
                "a process that read organisms has died",
                seen=str(error),
                next_step="run the same command again: what is read is kept; with fewer --jobs if memory was short",
            ) from error
        except BaseException:
            executor.shutdown(wait=True, cancel_futures=True)
            raise


def _start_worker() -> None:
    """Before torch is imported. The parent alone hears Ctrl-C."""
    os.environ["OMP_NUM_THREADS"] = "1"
    signal.signal(signal.SIGINT, signal.SIG_IGN)
