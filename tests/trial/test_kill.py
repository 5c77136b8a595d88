"""kill -9 at any moment loses at most a chunk, and the final bytes are those of an undisturbed run.

Real processes are killed at random moments, and at chosen ones just before and just after a file reaches the disk.
"""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from trialist.folder import EVIDENCE, MANIFEST

HERE = Path(__file__).parent.parent

SPEC = """
schema: trialist/trial/1
title: Is it killed?
seed: 3
arms:
  control: {model: "toys:good"}
  poor: {model: "toys:poor"}
outcomes:
  sums: {evaluation: {"toys:Sums": {count: 60}}, metric: accuracy, role: primary, want: lower}
  few sums: {evaluation: {"toys:Sums": {count: 7}}, metric: accuracy}
design: {chunk: 6, threads: 1, stopping: STOPPING}
policy:
  schema: trialist/policy/1
  title: May it pass?
  claims:
    - {name: low, arm: poor, outcome: sums, side: below, threshold: 0.25, positive: control, on_fail: block}
"""

# A process that kills itself at the n-th time a file is to be flushed to the disk: before it, or right after.
SUICIDE = """
import os, signal, sys
moment, count, real = sys.argv.pop(1), int(sys.argv.pop(1)), os.fsync
def fsync(handle):
    global count
    count -= 1
    if count == 0 and moment == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    real(handle)
    if count == 0 and moment == "after":
        os.kill(os.getpid(), signal.SIGKILL)
os.fsync = fsync
from trialist.cli import main
main()
"""


def environment(seconds: float = 0.0) -> dict[str, str]:
    path = os.pathsep.join([str(HERE), str(HERE.parent)])
    return {**os.environ, "PYTHONPATH": path, "TOY_SECONDS": str(seconds), "OMP_NUM_THREADS": "1"}


def fingerprint(root: Path) -> dict[str, str]:
    files = [root / MANIFEST]
    for name in EVIDENCE:
        files += (
            [root / name] if (root / name).is_file() else sorted(p for p in (root / name).rglob("*") if p.is_file())
        )
    return {str(f.relative_to(root)): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


def finish(spec: Path, out: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "trialist", "run", str(spec), "--out", str(out), "--quiet"],
        env=environment(),
        capture_output=True,
        text=True,
    )
    assert done.returncode in (0, 3, 4), done.stderr


@pytest.fixture(scope="module")
def undisturbed(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, str]]:
    """The spec and the bytes of its calm run: of every item, or of the rounds until the claim is decided."""
    place = tmp_path_factory.mktemp("undisturbed")
    spec = place / "trial.yaml"
    spec.write_text(SPEC.replace("STOPPING", request.param))
    finish(spec, place / "runs" / "one")
    return spec, fingerprint(place / "runs" / "one")


@pytest.mark.parametrize("undisturbed", ["fixed", "sequential"], indirect=True)
def test_killed_at_random_moments(undisturbed: tuple[Path, dict[str, str]], tmp_path: Path) -> None:
    spec, expected = undisturbed
    out = tmp_path / "runs" / "one"
    moments, kills, late = random.Random(5), 0, 0
    command = [sys.executable, "-m", "trialist", "run", str(spec), "--out", str(out), "--quiet"]
    while not (out / MANIFEST).exists():
        parts = len(list((out / "answers").glob("part-*"))) if (out / "answers").exists() else 0
        process = subprocess.Popen(command, env=environment(0.01), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        late += (out / "answers" / "answers.parquet").exists()
        _wait_for_progress(process, out, parts)
        # Once all is answered, the kill may fall into importing, scoring, estimating, or writing the report; a slow
        # machine gets more time from round to round, so that the run ends on any.
        time.sleep(moments.uniform(0.0, 1.0 + 0.5 * late if late else 0.25))
        process.kill()
        process.wait()
        kills += 1
        now = len(list((out / "answers").glob("part-*"))) if (out / "answers").exists() else 0
        assert now >= parts or (out / "answers" / "answers.parquet").exists(), "a finished chunk was lost"
        assert kills < 60
    assert kills >= 5
    finish(spec, out)
    assert fingerprint(out) == expected


def _wait_for_progress(process: subprocess.Popen[bytes], out: Path, parts: int) -> None:
    """Until a new chunk is on the disk or the process is over, so that every round gets somewhere."""
    while process.poll() is None:
        if len(list((out / "answers").glob("part-*"))) > parts or (out / "answers" / "answers.parquet").exists():
            return
        time.sleep(0.005)


@pytest.mark.parametrize(
    ("undisturbed", "moment"),
    [("fixed", "before"), ("fixed", "after"), ("sequential", "after")],
    indirect=["undisturbed"],
)
def test_killed_at_every_kind_of_write(undisturbed: tuple[Path, dict[str, str]], tmp_path: Path, moment: str) -> None:
    spec, expected = undisturbed
    out = tmp_path / "runs" / "one"
    killed = 0
    for count in (1, 2, 4, 5, 9, 12, 13, 14, 15):
        command = [sys.executable, "-c", SUICIDE, moment, str(count), "run", str(spec), "--out", str(out), "--quiet"]
        done = subprocess.run(command, env=environment(), capture_output=True, text=True)
        killed += done.returncode == -signal.SIGKILL
        if (out / MANIFEST).exists():
            break
    assert killed >= 5
    finish(spec, out)
    assert fingerprint(out) == expected
