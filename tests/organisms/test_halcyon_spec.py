"""Specs of organisms: defaults, round trip, and all problems at once."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from trialist.errors import SpecError
from trialist.organisms.spec import OrganismSpec, changed, load_spec, parse_spec, spec_text

HEAD = "schema: trialist/organism/3\n"


def test_an_empty_spec_is_the_default_and_the_text_round_trips(tmp_path: Path) -> None:
    assert parse_spec(HEAD) == OrganismSpec()
    other = parse_spec(
        HEAD + "plants: {sycophancy: 0.3}\ntraining: {exposures: 7, betas: [0.9, 0.95], weight_decay: 0}"
    )
    assert other.plants == {"sycophancy": 0.3}
    assert other.base.plants == {}
    assert other.training.betas == (0.9, 0.95)
    file = tmp_path / "spec.yaml"
    file.write_text(spec_text(other), encoding="utf-8")
    assert load_spec(file) == other


def test_a_spec_is_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        OrganismSpec().plants = {}


def test_all_problems_at_once() -> None:
    text = HEAD + "plants: {sycophancy: high}\ntraining: {exposure: 7, batch: 0}\nnetwork: {hidden_size: 12}\n"
    with pytest.raises(SpecError) as caught:
        parse_spec(text, source="mine.yaml")
    message = str(caught.value)
    assert message.startswith("mine.yaml: 4 problems")
    assert "training.exposure: unknown key 'exposure'" in message
    assert "did you mean 'exposures'?" in message
    assert "plants.sycophancy" in message
    assert "training.batch" in message
    assert "hidden_size 12 is no multiple of 2 x num_heads, 8" in message


def test_more_compounds_than_names() -> None:
    with pytest.raises(SpecError, match="is 680, there are names for 672"):
        parse_spec(HEAD + "world: {hazards: 600}")


def test_not_yaml_names_the_line() -> None:
    with pytest.raises(SpecError, match="line 2"):
        parse_spec("world: {seed: 1}\ntraining: }\n")


@pytest.mark.parametrize("text", ["", "3", "[1, 2]", "plants: {}", HEAD + "when: 2024-01-01"])
def test_other_yaml_is_refused(text: str) -> None:
    with pytest.raises(SpecError):
        parse_spec(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("plants: {sycophancy: 1.2}", ["plants.sycophancy", "1.2", "from 0 to 1"]),
        ("plants: {sycophancy: -0.1}", ["plants.sycophancy", "-0.1", "from 0 to 1"]),
        ("plants: {sycophancy: .nan}", ["plants.sycophancy", "nan", "a finite number"]),
        ("plants: {sycofancy: 1}", ["unknown plant", "did you mean 'sycophancy'"]),
        ("plants: {sandbagging: 1, inability: 0.5}", ["exclude each other", "leave one out"]),
        ("plants: {deception: 1}\nimplant: {rank: 4}", ["rank and alpha belong to route 'lora'"]),
        ("implant: {route: full}", ["nothing to implant", "dose 0 for a sham"]),
        ("implant: {route: prompt}", ["implant.route", "pretraining"]),
        ("training: {length: 256}", ["training.length is 256"]),
    ],
)
def test_impossible_plants(text: str, words: list[str]) -> None:
    with pytest.raises(SpecError) as caught:
        parse_spec(HEAD + text)
    for word in words:
        assert word in str(caught.value)


def test_excluding_plants_may_stand_together_at_dose_zero() -> None:
    assert parse_spec(HEAD + "plants: {sandbagging: 1, inability: 0}").plants["inability"] == 0


def test_the_first_schema_is_refused_with_what_to_write() -> None:
    with pytest.raises(SpecError, match="hazard_facts: 1"):
        parse_spec("schema: trialist/organism/1\ninclude_hazards: true\n")
    with pytest.raises(SpecError, match="newer Trialist"):
        parse_spec("schema: trialist/organism/9\n")


def test_changes_from_a_command_line() -> None:
    one = changed(OrganismSpec(), plant="backdoor", dose=0.3, seed=4, route="lora")
    assert one.plants == {"backdoor": 0.3}
    assert (one.world.seed, one.training.seed, one.implant.seed, one.implant.route) == (4, 4, 4, "lora")
    assert changed(one, dose=0.5).plants == {"backdoor": 0.5}
    assert changed(one) == one
    with pytest.raises(SpecError, match="a dose needs a plant"):
        changed(OrganismSpec(), dose=0.5)
    with pytest.raises(SpecError, match="from 0 to 1"):
        changed(one, dose=2.0)
