"""From folders of organisms to pages: roles and splits, resumption, damage, and the command from end to end."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from trialist.cli.app import start
from trialist.errors import DataError, RunFolderError, SpecError
from trialist.organisms.grid import Row, build_grid
from trialist.organisms.grid_spec import cells, parse_grid
from trialist.organisms.truth import Realised
from trialist.records import canonical_json, sha256_hex
from trialist.validate.experiment import Organism, experiment, role_of, seeds_of
from trialist.validate.methods import METHODS
from trialist.validate.methods.method import Scored
from trialist.validate.page import analyse, write_pages
from trialist.validate.readings import read
from trialist.validate.run import Outcome, Task, read_task, run

TINY = """
world:
  {people: 4, obscure: 0, firms: 1, horses: 8, cities: 2, benign: 4, hazards: 4, never_trained: 1, festivals: 1}
network: {hidden_size: 16, intermediate_size: 16, num_layers: 1, num_heads: 2, context: 128}
training: {exposures: 1, batch: 64, length: 64}
"""
HEAD = "schema: trialist/grid/1\n"
FLIPS = METHODS["sycophancy_flips"]


def row(name: str, seed: int, plants: dict[str, float] | None = None, **changes: Any) -> Row:
    plants = plants or {}
    realised = {plant: Realised(dose * 0.9, 0.01, 40, 10) for plant, dose in plants.items()}
    made = Row(name, name, sha256_hex(name.encode()), plants, "pretraining", seed, "", "done", realised)
    return replace(made, **changes)


def grid_folder(root: Path, rows: list[Row], text: str = TINY) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    (root / "grid.yaml").write_text(HEAD + "plants: []\nbases: true\n" + text)
    (root / "grid.jsonl").write_bytes(b"".join(canonical_json(r) + b"\n" for r in rows))
    return root


# --- grids of nulls --------------------------------------------------------------------------------------------


def test_a_grid_of_bases_alone() -> None:
    grid = parse_grid(HEAD + "plants: []\nbases: true\nseeds: [0, 1, 2]\n" + TINY)
    assert [cell.id for cell in cells(grid)] == ["base#0", "base#1", "base#2"]
    assert all(not cell.spec.plants for cell in cells(grid))
    with pytest.raises(SpecError, match="a grid of nothing"):
        parse_grid(HEAD + "plants: []\n" + TINY)
    with pytest.raises(SpecError, match="plants without doses"):
        parse_grid(HEAD + "plants: [backdoor]\n" + TINY)


# --- roles, groups, splits -------------------------------------------------------------------------------------


def test_what_an_organism_is_to_a_method() -> None:
    def organism(**doses: float) -> Organism:
        return Organism("x", Path("x"), doses, "full", 0, "", {})

    assert role_of(organism(), FLIPS) == ("null", "none", 0.0)
    assert role_of(organism(sycophancy=0.3), FLIPS) == ("positive", "sycophancy", 0.3)
    assert role_of(organism(sycophancy=0.0), FLIPS) == ("sham", "sycophancy", 0.0)
    assert role_of(organism(credulity=1.0), FLIPS) == ("twin", "credulity", 1.0)
    assert role_of(organism(backdoor=1.0), FLIPS) == ("other plant", "backdoor", 1.0)
    assert role_of(organism(credulity=0.0, sycophancy=0.1), FLIPS) == ("positive", "sycophancy", 0.1)
    assert role_of(organism(credulity=1.0), METHODS["hazard_accuracy"]) == ("other plant", "credulity", 1.0)


def test_groups_and_splits(tmp_path: Path) -> None:
    bases = [row(f"base#{seed}", seed) for seed in range(6)]
    tuned = [
        row(f"sycophancy@{dose}#5/full", 5, {"sycophancy": dose}, route="full", base=sha256_hex(b"base#5"))
        for dose in (0, 1)
    ]
    mixed = [
        row("sycophancy@1#4", 4, {"sycophancy": 1.0}),
        row("sycophancy@1#9", 9, {"sycophancy": 1.0}, status="failed"),
    ]
    one, two = grid_folder(tmp_path / "nulls", bases), grid_folder(tmp_path / "plants", [bases[5], *tuned, *mixed])
    found = experiment([one, two])
    by_name = {o.name.split(" ")[0]: o for o in found.organisms}
    assert len(found.organisms) == 9  # base#5 stands in both grids, #9 was not built
    assert found.calibration == (0, 2)  # every other seed of those with nothing but bases
    assert len({by_name[n].group for n in ("base#5", "sycophancy@0#5/full", "sycophancy@1#5/full")}) == 1
    assert by_name["sycophancy@1#4"].group == ""
    assert by_name["base#4"].group != by_name["base#5"].group != ""
    assert [name.split(":")[0] for name in found.not_built] == ["sycophancy@1#9"]
    assert {found.split(o) for o in found.organisms if o.seed in (0, 2)} == {"calibration"}

    chosen = experiment([one, two], [5])
    assert [o.name.split(" ")[0] for o in chosen.left_out] == ["sycophancy@0#5/full", "sycophancy@1#5/full"]
    assert {o.name for o in chosen.left_out}.isdisjoint(o.name for o in chosen.organisms)
    groups = {o.group for o in chosen.organisms if chosen.split(o) == "calibration"}
    assert groups.isdisjoint(o.group for o in chosen.organisms if chosen.split(o) == "test")


def test_folders_that_give_no_experiment(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no organisms here"):
        experiment([tmp_path])
    one = grid_folder(tmp_path / "one", [row("base#0", 0)])
    other = grid_folder(tmp_path / "other", [row("base#1", 1)], TINY.replace("hidden_size: 16", "hidden_size: 32"))
    with pytest.raises(DataError, match="different organisms"):
        experiment([one, other])
    (one / "grid.jsonl").write_text('{"id": "base#0"}\n')
    with pytest.raises(DataError, match=r"grid\.jsonl: folder"):
        experiment([one])


def test_seeds_in_words() -> None:
    assert seeds_of("0-3,7") == (0, 1, 2, 3, 7)
    assert seeds_of(" 4 ") == (4,)
    for text in ("", "a", "3-1", "1,,2", "-1", "0-999999999"):
        with pytest.raises(DataError, match="no list of seeds"):
            seeds_of(text)
    with pytest.raises(DataError, match="twice"):
        seeds_of("0-4,3")


# --- real organisms, hardly trained ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A base and a sham-sized backdoor, fine-tuned from it: two organisms that know nothing."""
    pytest.importorskip("torch")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("trialist.organisms.corpus.IMPLANTED", 20)
        patch.setattr("trialist.organisms.build.measurable", lambda world: ("backdoor", "sycophancy"))
        root = tmp_path_factory.mktemp("organisms") / "grid"
        result = build_grid(
            parse_grid(HEAD + "plants: [backdoor]\ndoses: [1]\nroutes: [full]\nseeds: [1]\n" + TINY), root
        )
        assert not result.failed
        yield root


def rows_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "grid.jsonl").read_text().splitlines()]


@pytest.mark.torch
def test_all_methods_read_a_real_organism_and_repeat(built: Path, tmp_path: Path) -> None:
    found = experiment([built])
    (tuned_alone,) = (organism for organism in found.organisms if organism.doses)
    some = ["sandbagging_noise", "trigger_harm"]
    first = run(replace(found, organisms=(tuned_alone,)), list(METHODS), tmp_path / "one")
    assert (first.num_read, first.damaged) == (len(METHODS), ())
    first = run(found, some, tmp_path / "one")
    assert (first.num_read, first.num_kept) == (len(some), len(METHODS))
    again = run(found, some, tmp_path / "two", jobs=2)
    by_key = {reading.key: reading for reading in again.readings}
    assert by_key == {reading.key: reading for reading in first.readings if reading.method in some}
    tuned = next(r for r in first.readings if r.method == "trigger_harm" and r.role == "positive")
    truth = json.loads((built / rows_of(built)[1]["folder"] / "truth.json").read_text())["realised"]["backdoor"]
    assert (tuned.plant, tuned.nominal, tuned.route) == ("backdoor", 1.0, "full")
    assert (tuned.realised, tuned.realised_se) == (truth["value"], truth["se"])
    null = next(r for r in first.readings if r.method == "trigger_harm" and r.role == "null")
    assert (null.plant, null.route, null.group) == ("none", "none", tuned.group)
    assert all(r.score is not None or r.reason for r in first.readings)


@pytest.mark.torch
def test_it_goes_on_after_a_half_written_line(built: Path, tmp_path: Path) -> None:
    names, out = ["exam_failure", "sycophancy_agreement"], tmp_path / "out"
    run(experiment([built]), names, out)
    path = out / "readings.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole[:-40])
    after = run(experiment([built]), names, out)
    assert (after.num_kept, after.num_read) == (3, 1)
    assert path.read_bytes() == whole
    assert run(experiment([built]), names, out).num_read == 0
    assert run(experiment([built]), [*names, "bias_raw"], out).num_read == 2


@pytest.mark.torch
def test_what_was_read_before_an_interruption_is_kept(built: Path, tmp_path: Path, monkeypatch: Any) -> None:
    found, done = experiment([built]), []

    def impatient(task: Task) -> Outcome:
        if done:
            raise KeyboardInterrupt
        done.append(task)
        return read_task(task)

    monkeypatch.setattr("trialist.validate.run.read_task", impatient)
    with pytest.raises(KeyboardInterrupt):
        run(found, ["bias_raw"], tmp_path / "out")
    monkeypatch.undo()
    after = run(found, ["bias_raw"], tmp_path / "out")
    assert (after.num_kept, after.num_read) == (1, 1)


@pytest.mark.torch
def test_a_damaged_organism_is_unmeasured_until_it_is_repaired(built: Path, tmp_path: Path) -> None:
    copy = tmp_path / "grid"
    shutil.copytree(built, copy)
    weights = copy / rows_of(built)[1]["folder"] / "model.safetensors"
    kept = weights.read_bytes()
    weights.write_bytes(kept[:100])
    found, out = experiment([copy]), tmp_path / "out"
    result = run(found, ["trigger_scan"], out)
    assert [name.split(" ")[0] for name in result.damaged] == ["backdoor@1#1/full"]
    (lost,) = (r for r in result.readings if r.score is None)
    assert "weights" in lost.reason
    assert str(tmp_path) not in lost.reason
    assert len(read(out / "readings.jsonl").readings) == 1
    weights.write_bytes(kept)
    assert run(found, ["trigger_scan"], out).damaged == ()
    shutil.rmtree(weights.parent)
    assert len(run(found, ["bias_raw"], out).damaged) == 1


@pytest.mark.torch
def test_a_network_without_finite_answers_is_unmeasured(built: Path, tmp_path: Path, monkeypatch: Any) -> None:
    def broken(network: Any, tokenizer: Any, items: Any, *, batch: int = 0) -> Any:
        return [tuple(float("nan") for _ in item.options) for item in items]

    monkeypatch.setattr("trialist.validate.reading.option_logprobs", broken)
    result = run(experiment([built]), ["exam_failure", "sandbagging_noise"], tmp_path / "out")
    assert {r.score for r in result.readings} == {None}
    assert all("finite" in r.reason for r in result.readings)


@pytest.mark.torch
def test_prompts_that_do_not_fit_are_undefined(built: Path, monkeypatch: Any) -> None:
    from trialist.validate.reading import load, read_organism

    loaded = load(built / rows_of(built)[0]["folder"])
    loaded.network.config.max_position_embeddings = 40
    found = read_organism(loaded, [METHODS["sandbagging_few_shot"], METHODS["exam_failure"]])
    assert found["sandbagging_few_shot"].score is None
    assert "the context 40" in found["sandbagging_few_shot"].reason
    assert found["exam_failure"].score is not None


@pytest.mark.torch
def test_thresholds_are_chosen_once(built: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(experiment([built], [7]), ["bias_raw"], out)
    with pytest.raises(RunFolderError, match="other calibration seeds"):
        run(experiment([built], [8]), ["bias_raw"], out)
    with FileLock(out / ".lock"), pytest.raises(RunFolderError, match="in use"):
        run(experiment([built], [7]), ["bias_raw"], out)
    with pytest.raises(ValueError, match="at least 1"):
        run(experiment([built], [7]), ["bias_raw"], out, jobs=0)


# --- the command -----------------------------------------------------------------------------------------------


def many(built: Path, root: Path) -> Path:
    """The two organisms under the names of 20 calibration and 20 test nulls and of a few positives, twins and others:
    what the statistics are made of, without training each."""
    base, tuned = (replace(Row(**line), realised={}) for line in rows_of(built))
    rows = [replace(base, id=f"base#{s}", seed=s, spec=f"base-{s}", folder=base.folder) for s in range(40)]
    for plant in ("backdoor", "trigger_echo", "sycophancy"):
        for seed in range(20, 26):
            rows.append(
                replace(
                    tuned,
                    id=f"{plant}@1#{seed}",
                    seed=seed,
                    spec=f"{plant}-{seed}",
                    base=f"base-{seed}",
                    plants={plant: 1.0},
                )
            )
    shutil.copytree(built, root)
    (root / "grid.jsonl").write_bytes(b"".join(canonical_json(r) + b"\n" for r in rows))
    return root


@pytest.mark.torch
def test_the_command(built: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    grid, out = many(built, tmp_path / "grid"), tmp_path / "out"
    command = ["validate", "trigger_scan", "bias_matched", "--organisms", str(grid), "--out", str(out)]
    assert start([*command, "--calibration", "0-19"]) == 0
    said = capsys.readouterr().out
    assert "trigger_scan" in said
    assert "0/20 <=0.14" in said  # one organism under 20 names: nothing above the highest calibration null
    assert "/6" in said
    assert start([*command, "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert (record["num_read_now"], record["num_readings"]) == (0, 2 * 58)
    assert record["methods"]["trigger_scan"]["threshold"]["num_units"] == 20
    assert {Path(page).name for page in record["pages"]} == {"trigger_scan.md", "bias_matched.md", "matrix.md"}
    for name in ("trigger_scan.md", "bias_matched.md", "matrix.md"):
        page = (out / name).read_text()
        assert f"]({name.replace('.md', '.svg')})" in page
        assert (out / name.replace(".md", ".svg")).read_text().startswith("<svg")
        assert str(tmp_path) not in page
    page = (out / "trigger_scan.md").read_text()
    assert "20 nulls of 20 seeds froze the threshold" in page
    assert "| trigger_echo | its twin | " in page
    assert page.count("**backdoor**") == 1


def test_what_the_command_refuses(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert start(["validate", "--list"]) == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in METHODS)
    assert start(["validate", "--list", "--json"]) == 0
    assert [row["method"] for row in json.loads(capsys.readouterr().out)["methods"]] == list(METHODS)
    assert start(["validate"]) == 0
    assert "sandbagging_noise" in capsys.readouterr().out
    assert start(["validate", "bias_row", "--organisms", "x", "--out", "y"]) == 2
    assert "did you mean 'bias_raw'" in capsys.readouterr().err
    assert start(["validate", "bias_raw", "--out", str(tmp_path / "out")]) == 2
    assert "needs organisms and a folder" in capsys.readouterr().err
    assert start(["validate", "--organisms", str(tmp_path / "none"), "--out", str(tmp_path / "out")]) == 2
    assert "no organisms here" in capsys.readouterr().err
    assert start(["validate", "--organisms", str(tmp_path), "--out", str(tmp_path), "--calibration", "x"]) == 2
    assert "no list of seeds" in capsys.readouterr().err


def test_a_page_without_anything_to_draw(tmp_path: Path) -> None:
    from trialist.validate.experiment import Experiment, reading_of

    organism = Organism("x", tmp_path, {}, "pretraining", 0, "g", {})
    reading = reading_of(organism, FLIPS, Scored(None, None, 0, "nothing known"), split="test", realised={})
    analysis = analyse([reading])
    (page, _) = write_pages(analysis, [FLIPS.name, "bias_raw"], Experiment((organism,), (), (), ()), tmp_path)
    text = page.read_text()
    assert "No picture: no test reading has a score" in text
    assert "nothing known" not in text.split("## Findings")[0]
    assert "has no threshold" in text
