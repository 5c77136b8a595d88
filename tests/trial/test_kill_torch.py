"""The same with weights: killed while it unlearns, stores, attacks and answers, its bytes are an undisturbed run's."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
from test_kill import environment, fingerprint, finish

SPEC = """
schema: trialist/trial/1
title: Is it killed while it trains?
arms:
  control: {model: organism/hazard}
  rmu:
    model: organism/hazard
    edits: [{rmu: {forget: halcyon/hazards, retain: halcyon/retain, layer: 1, steps: 3, length: 64}}]
threats:
  relearn: {relearning: {corpus: halcyon/hazards/train, steps: [0, 1, 3], length: 64}}
outcomes:
  hazards: {evaluation: {hazard_compounds: {split: held-out}}, role: primary, want: lower, under: [relearn]}
design: {chunk: 60, threads: 1}
"""
SEQUENTIAL = (
    SPEC.replace("threads: 1", "threads: 1, stopping: sequential")
    + """
policy:
  schema: trialist/policy/1
  claims:
    - {name: open to the end, arm: rmu, outcome: hazards, side: above, threshold: 0.999, threat: relearn, dose: 3}
"""
)

MOMENTS = (
    "answers/part-000001.parquet",  # the untouched control is being asked
    "models/*",  # what RMU made is being stored
    "work/*rmu-0.relearn*",  # the attack's snapshots are being stored
    "answers/part-000016.parquet",  # an attacked model is being asked
)
IN_ROUNDS = (
    "work/*rmu-0.relearn*",
    "answers/part-000001.parquet",  # the second round has begun: what was trained in the first is loaded
)


@pytest.mark.torch
@pytest.mark.parametrize(("text", "moments"), [(SPEC, MOMENTS), (SEQUENTIAL, IN_ROUNDS)], ids=["fixed", "sequential"])
def test_killed_with_weights(tmp_path: Path, text: str, moments: tuple[str, ...]) -> None:
    pytest.importorskip("torch")
    spec = tmp_path / "trial.yaml"
    spec.write_text(text)
    calm, out = tmp_path / "calm" / "run", tmp_path / "killed" / "run"
    finish(spec, calm)
    command = [sys.executable, "-m", "trialist", "run", str(spec), "--out", str(out), "--quiet"]
    for moment in moments:
        process = subprocess.Popen(command, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        while process.poll() is None and not list(out.glob(moment)):
            time.sleep(0.002)
        assert process.poll() is None, f"over before {moment}: {process.stderr.read().decode()}"  # type: ignore[union-attr]
        process.kill()
        process.communicate()
    finish(spec, out)
    assert fingerprint(out) == fingerprint(calm)
