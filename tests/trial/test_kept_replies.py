"""Kept replies save passes of the network and change no byte of a trial."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from test_kill import fingerprint
from tiny_models import write_model

from trialist.cli.doctor import examine
from trialist.trial import names
from trialist.trial.run import run
from trialist.trial.spec import Trial

pytestmark = pytest.mark.torch
pytest.importorskip("torch")

SPEC = """
schema: trialist/trial/1
title: Do kept replies change anything?
arms:
  control: {model: organism/hazard}
  rmu:
    model: organism/hazard
    edits: [{rmu: {forget: halcyon/hazards, retain: halcyon/retain, layer: 1, steps: 2, length: 64}}]
threats:
  relearn: {relearning: {corpus: halcyon/hazards/train, steps: [0, 1], length: 64}}
outcomes:
  hazards: {evaluation: {hazard_compounds: {split: held-out}}, role: primary, want: lower, under: [relearn]}
design: {chunk: 90, threads: 1}
"""


@pytest.fixture
def num_passes(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """How often the engine was asked since the last time this was called."""
    from trialist.models.local.backend import Backend

    asked, passes = [0], Backend.passes

    def counted(backend: Backend, *arguments: object) -> object:
        asked[0] += 1
        return passes(backend, *arguments)  # type: ignore[arg-type]

    def taken() -> int:
        count, asked[0] = asked[0], 0
        return count

    monkeypatch.setattr(Backend, "passes", counted)
    return taken


def test_a_trial_has_the_same_bytes_with_kept_replies_and_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, num_passes: Callable[[], int]
) -> None:
    (tmp_path / "trial.yaml").write_text(SPEC)
    trial, kept = Trial.load(tmp_path / "trial.yaml"), tmp_path / "kept"

    def bytes_of(name: str) -> object:
        return fingerprint(run(trial, tmp_path / name / "run").folder)

    off = bytes_of("off")
    whole = num_passes()
    assert whole > 0
    assert not kept.exists()
    monkeypatch.setenv("TRIALIST_CACHE", str(kept))
    assert bytes_of("cold") == off
    assert num_passes() == whole
    chunks = sorted(kept.rglob("*.chunk"))
    assert len(chunks) == whole
    assert bytes_of("warm") == off
    assert num_passes() == 0
    for path in chunks[::2]:
        path.unlink()
    assert bytes_of("half") == off
    assert num_passes() == len(chunks[::2])


def test_another_precision_or_another_model_is_no_hit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, num_passes: Callable[[], int]
) -> None:
    from trialist.models.protocol import Choose, Generate, Keyed

    monkeypatch.setenv("TRIALIST_CACHE", str(tmp_path / "kept"))
    first, second = (f"hf/{write_model(tmp_path / str(seed), seed=seed)}" for seed in (0, 1))
    asked = [Keyed("a", 0, Choose("The thing", (" is", " the"))), Keyed("b", 0, Generate("The", temperature=1.0))]
    seen = dict[tuple[str, str], object]()
    for name, dtype, computed in [
        (first, "float32", 1),
        (first, "float32", 0),
        (first, "bfloat16", 1),
        (second, "float32", 1),
        (second, "float32", 0),
    ]:
        replies = {reply.key: reply.value for reply in names.model(name, dtype=dtype).answer(asked)}
        assert num_passes() == computed, (name, dtype)
        assert seen.setdefault((name, dtype), replies) == replies
    assert len({str(replies) for replies in seen.values()}) == 3
    again = [asked[0], Keyed("b", 1, asked[1].value)]
    assert len(list(names.model(first).answer(again))) == 2  # type: ignore[arg-type]
    assert num_passes() == 1, "another seed draws anew"


def test_the_doctor_says_where_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def said() -> str:
        return next(row["found"] for row in examine() if row["part"] == "kept replies")

    assert said().startswith("off")
    monkeypatch.setenv("TRIALIST_CACHE", str(tmp_path / "kept"))
    assert said() == f"{tmp_path / 'kept'}: 0.0 of at most 2,048 MiB"
    chunk = tmp_path / "kept" / ("a" * 16) / "ab" / f"{'ab' * 32}.chunk"
    chunk.parent.mkdir(parents=True)
    chunk.write_bytes(bytes(3 << 20))
    assert "3.0 of at most" in said()
