"""A spec's errors come all at once, each with its line, the values allowed and the next step."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import TypeAdapter

from trialist.errors import NameUnknown, SpecError
from trialist.trial import names
from trialist.trial.spec import Trial, spec_of

EXAMPLES = Path(__file__).parent.parent.parent / "examples"

BAD = """\
schema: trialist/trial/1
title: Everything is wrong
seed: soon
arms:
  control: {model: organism/hazard, colour: blue}
  rmu:
    model: organism/hazard
    edits:
      - rmu: {forget: halcyon/hazards, retain: halcyon/retain, layers: 2}
      - rmv: {}
outcomes:
  sums: {evaluation: {"toys:Sums": {count: many}}, metric: accuracy}
  poems: {evaluation: {"toys:Sums": {}}, metric: acuracy, role: main}
thraets: {}
"""


def problems(text: str, tmp_path: Path) -> str:
    path = tmp_path / "trial.yaml"
    path.write_text(text)
    with pytest.raises(SpecError) as caught:
        Trial.load(path)
    return str(caught.value)


def test_all_errors_at_once_with_their_lines(tmp_path: Path) -> None:
    text = problems(BAD, tmp_path)
    for line, word in [
        (3, "seed"),
        (5, "colour"),
        (9, "layers"),
        (10, "rmv"),
        (12, "count"),
        (13, "role"),
        (14, "thraets"),
    ]:
        assert any(f"line {line}:" in row and word in row for row in text.splitlines()), (line, word, text)
    assert "did you mean 'layer'?" in text
    assert "did you mean 'rmu'?" in text
    assert "did you mean 'threats'?" in text


def test_parts_that_do_not_fit_together(tmp_path: Path) -> None:
    text = problems(
        """\
schema: trialist/trial/1
title: x
arms: {control: {model: "toys:good"}}
outcomes:
  sums: {evaluation: "toys:Sums", metric: acuracy, under: [relern]}
policy:
  schema: trialist/policy/1
  claims:
    - {name: a, arm: rmu, outcome: sums, side: below, threshold: 1}
""",
        tmp_path,
    )
    assert "line 5" in text
    assert "did you mean 'accuracy'?" in text
    assert "unknown threat" in text
    assert "unknown arm" in text


def test_what_does_not_fit_is_shown_beside_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text(
        "schema: trialist/policy/1\nclaims:\n  - {name: a, arm: rmu, side: beneath}\n"
    )
    text = problems(
        """\
schema: trialist/trial/1
title: x
arms: {control: {model: "toys:good", colour: red}}
threats: {relearn: {relearnin: {}}}
outcomes:
  sums: {evaluation: "toys:Sums", metric: acuracy, under: [relern]}
policy: policy.yaml
""",
        tmp_path,
    )
    for words in (
        "line 3: arms.control.colour",
        "line 4: threats.relearn",
        "line 6: outcomes.sums.metric",
        "line 6: outcomes.sums.under",
        "line 3: policy.yaml.claims.0",
    ):
        assert words in text, (words, text)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "empty"),
        ("- a\n- b\n", "mapping"),
        ("title: [\n", "line"),
        ("title: x\narms: {}\n", "schema: trialist/trial/1"),
        ("schema: trialist/trial/9\ntitle: x\n", "trialist/trial/1"),
        ("title: x\ntitle: y\n", "line 2"),
        ("schema: trialist/trial/1\ntitle: x\narms: {}\noutcomes: {}\n", "at least one"),
    ],
)
def test_files_that_are_no_spec(text: str, says: str, tmp_path: Path) -> None:
    assert says in problems(text, tmp_path)


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"none\.yaml"):
        Trial.load(tmp_path / "none.yaml")


@pytest.mark.parametrize("name", ["first_trial.yaml", "bbq.yaml", "stop_when_decided.yaml"])
def test_examples_load_and_write_the_spec_that_replays_them(name: str) -> None:
    trial = Trial.load(EXAMPLES / name)
    assert spec_of(TypeAdapter(Trial).validate_python(spec_of(trial))) == spec_of(trial)


def test_names_are_found_without_a_registry() -> None:
    assert {"hazard_compounds", "world_facts", "bbq"} <= names.available("evaluations").keys()
    assert "rmu" in names.available("interventions")
    assert "relearning" in names.available("threats")
    for kind in ("evaluations", "interventions", "threats"):
        for name in names.available(kind):
            assert names.plugin_class(kind, name).__name__.lower() == name.replace("_", "")
    with pytest.raises(NameUnknown, match=r"(?s)hazard_compound.*did you mean 'hazard_compounds'"):
        names.plugin_class("evaluations", "hazard_compound")
