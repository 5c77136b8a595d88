"""A question about one world, asked of an organism of another, is refused before anything is loaded."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from trialist.errors import ModelError, NameUnknown, SpecError
from trialist.evaluations.capability.hazard_compounds import HazardCompounds
from trialist.evaluations.capability.two_hop import TwoHop
from trialist.evaluations.capability.world_facts import WorldFacts
from trialist.evaluations.protocol import identity
from trialist.evaluations.world import AskedWorld
from trialist.halcyon.world import Sizes
from trialist.organisms import catalog
from trialist.organisms.asked import asked_world, check_world, world_of
from trialist.organisms.spec import OrganismSpec, WorldSpec, spec_text
from trialist.trial import names
from trialist.trial.run import run
from trialist.trial.spec import Trial, spec_of

SPEC = """\
schema: trialist/trial/1
title: What does it know of its world?
arms:
  control: {{model: {model}}}
outcomes:
  facts: {{evaluation: {{world_facts: {settings}}}}}
"""


def large(**values: int) -> WorldSpec:
    """Sizes left out are those of an evaluation's own world."""
    return WorldSpec(**{**asdict(Sizes()), **values})


def trial(tmp_path: Path, model: str, settings: str) -> Trial:
    path = tmp_path / "trial.yaml"
    path.write_text(SPEC.format(model=model, settings=settings))
    return Trial.load(path)


def organism(folder: Path, world: WorldSpec, *, digest: str | None = None) -> Path:
    """Weights of the shipped organism under another spec: what a user's own folder looks like from outside."""
    shutil.copytree(catalog.path("hazard"), folder)
    (folder / "spec.yaml").write_text(spec_text(OrganismSpec(world=world)))
    truth = json.loads((folder / "truth.json").read_text())
    truth["world"] = digest or world.make().digest
    (folder / "truth.json").write_text(json.dumps(truth))
    return folder


# --- what a setting stands for -------------------------------------------------------------------------------


def test_a_world_by_numbers_by_name_and_by_folder(tmp_path: Path) -> None:
    mine = organism(tmp_path / "mine", large(seed=5, people=48))
    assert asked_world({"seed": 2}) == AskedWorld(seed=2)
    assert asked_world("organism/hazard@0.3#2") == AskedWorld(seed=2)
    assert asked_world("organism/hazard") == AskedWorld()
    assert asked_world(str(mine)) == asked_world(f"hf/{mine}") == AskedWorld(seed=5, people=48)
    assert asked_world(AskedWorld(seed=7)) == AskedWorld(seed=7)


@pytest.mark.parametrize(
    ("value", "error", "words"),
    [
        ({"sead": 2}, SpecError, ["sead", "did you mean 'seed'"]),
        ({"seed": -1}, SpecError, ["seed", "-1"]),
        ({"seed": "2"}, SpecError, ["seed", "integer"]),
        ({"people": 2000}, SpecError, ["people + obscure is 2040", "names for 1500"]),
        (7, SpecError, ["not a world", "organism/<name>"]),
        (None, SpecError, ["not a world"]),
        ("organism/hasard", NameUnknown, ["did you mean 'hazard'"]),
        ("nowhere", ModelError, ["nothing here tells a world", "spec.yaml", "world: {seed: 2}"]),
        ("scripted/first", ModelError, ["nothing here tells a world"]),
    ],
)
def test_what_stands_for_no_world(value: object, error: type[Exception], words: list[str]) -> None:
    with pytest.raises(error) as caught:
        asked_world(value)
    for word in words:
        assert word in str(caught.value)


def test_in_the_spec_of_a_trial(tmp_path: Path) -> None:
    """What was named is registered as numbers, which load again to the same evaluation."""
    loaded = trial(tmp_path, "organism/hazard@0.3#2", "{world: organism/hazard@0.3#2}")
    evaluation = loaded.outcomes["facts"].evaluation
    assert identity(evaluation) == 'world_facts@1{"world":{"seed":2}}'
    written = spec_of(loaded)["outcomes"]["facts"]["evaluation"]
    assert written == {"world_facts": {"world": {"seed": 2}}}
    assert names.build("evaluations", "world_facts", written["world_facts"]) == evaluation
    with pytest.raises(SpecError) as caught:
        trial(tmp_path, "organism/hazard", "{world: {sead: 2}}")
    assert "line 6" in str(caught.value)
    assert "did you mean 'seed'" in str(caught.value)


def test_what_was_registered_before_is_registered_in_the_same_words(tmp_path: Path) -> None:
    written = spec_of(trial(tmp_path, "organism/hazard", "{}"))["outcomes"]["facts"]["evaluation"]
    assert written == {"world_facts": {}}
    assert names.settings_of(HazardCompounds()) == {"split": "all"}


# --- the refusal ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("evaluation", [WorldFacts(), HazardCompounds("train"), TwoHop(), WorldFacts(form="choice")])
def test_another_world_is_refused_whatever_is_asked(evaluation: Any) -> None:
    check_world(evaluation, "organism/hazard")
    check_world(evaluation, "organism/hazard@0.3")
    with pytest.raises(ModelError) as caught:
        check_world(evaluation, "organism/hazard@0.3#2")
    for word in (evaluation.name, "organism/hazard@0.3#2", "{seed: 0}", "{seed: 2}", "world: {seed: 2}"):
        assert word in str(caught.value)


def test_what_has_no_world_passes(tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    for model in ("scripted/first", "toys:adder", f"hf/{tmp_path / 'plain'}", f"hf/{tmp_path / 'absent'}"):
        assert world_of(model) is None
        check_world(WorldFacts(world=AskedWorld(seed=9)), model)
    check_world(object(), "organism/hazard@0.3#2")


def test_a_folder_built_when_the_world_was_another(tmp_path: Path) -> None:
    old = organism(tmp_path / "old", large(), digest="0" * 64)
    with pytest.raises(ModelError, match=r"(?s)as it is made now.*another version of Trialist"):
        check_world(WorldFacts(), f"hf/{old}")


def test_a_run_is_refused_before_anything_is_trained_or_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trialist.trial.subjects.names.model", lambda *a, **k: pytest.fail("loaded"))
    with pytest.raises(ModelError, match="asks about another world"):
        run(trial(tmp_path, "organism/hazard@0.3#2", "{}"), tmp_path / "run")
    assert not (tmp_path / "run" / "trial.json").exists()


@pytest.mark.torch
def test_a_run_of_a_users_own_folder(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    small = large(seed=5, people=4, cities=2)
    mine = organism(tmp_path / "mine", small)
    with pytest.raises(ModelError, match=r"(?s)world \{seed: 0\}.*\{seed: 5, people: 4, cities: 2\}"):
        run(trial(tmp_path, f"hf/{mine}", "{}"), tmp_path / "wrong")
    result = run(trial(tmp_path, f"hf/{mine}", f"{{world: {mine}}}"), tmp_path / "right")
    assert [e.counts.scored for e in result.estimates if e.purpose == "describe"] == [4 * 3 + 2 * 2]
