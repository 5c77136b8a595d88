"""Organisms by name and by grid: built once, kept, repaired, resumed, with errors that stay with their organism."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from filelock import FileLock

from trialist.errors import ModelError, NameUnknown, SpecError
from trialist.organisms import build as building
from trialist.organisms import catalog, named, store
from trialist.organisms.build import build
from trialist.organisms.grid import Row, build_grid
from trialist.organisms.grid_spec import GridSpec, cells, parse_grid
from trialist.organisms.spec import OrganismSpec, parse_spec
from trialist.organisms.store import key, organisms_folder, stored

TINY = """
world:
  {people: 4, obscure: 0, firms: 1, horses: 8, cities: 2, benign: 4, hazards: 4, never_trained: 1, festivals: 1}
network: {hidden_size: 16, intermediate_size: 16, num_layers: 1, num_heads: 2, context: 80}
training: {exposures: 1, batch: 64, length: 64}
"""
GRID = "schema: trialist/grid/1\nplants: [backdoor]\ndoses: [0, 1]\n" + TINY
PLAIN = "schema: trialist/organism/3\n" + TINY


def quicken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Little is learnt here, so that few documents and one plant's measurement are enough."""
    monkeypatch.setattr("trialist.organisms.corpus.IMPLANTED", 50)
    monkeypatch.setattr("trialist.organisms.build.measurable", lambda world: ("backdoor",))


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    quicken(monkeypatch)


def rows_of(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / "grid.jsonl").read_text().splitlines()]


# --- the folder by key ---------------------------------------------------------------------------------------


def test_where_organisms_are_kept(tmp_path: Path) -> None:
    assert organisms_folder({"TRIALIST_CACHE": str(tmp_path)}) == tmp_path / "organisms"
    assert organisms_folder({"XDG_CACHE_HOME": str(tmp_path)}) == tmp_path / "trialist" / "organisms"
    with pytest.raises(ModelError, match="set TRIALIST_CACHE"):
        organisms_folder({"TRIALIST_CACHE": "off"})


def test_the_key_covers_spec_and_code(monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = parse_spec(PLAIN), parse_spec(PLAIN + "plants: {backdoor: 0}")
    assert key(one) == key(parse_spec(PLAIN)) != key(two)
    before = key(one)
    monkeypatch.setattr(store, "recipe", lambda: "other code")
    assert key(one) != before


@pytest.mark.torch
def test_built_once_and_repaired_on_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    spec = parse_spec(PLAIN)
    left = tmp_path / f".{key(spec)}.draft.killed"
    left.mkdir()
    folder = stored(spec, tmp_path)
    assert not left.exists()
    weights = (folder / "model.safetensors").read_bytes()
    monkeypatch.setattr(store, "build", lambda *a, **k: pytest.fail("built twice"))
    assert stored(spec, tmp_path) == folder
    (folder / "model.safetensors").write_bytes(weights[:100])
    with pytest.raises(ModelError, match=r"model\.safetensors.*100 bytes"):
        stored(spec, tmp_path)
    monkeypatch.undo()
    assert stored(spec, tmp_path, repair=True) == folder
    assert (folder / "model.safetensors").read_bytes() == weights


@pytest.mark.torch
def test_two_who_ask_at_once_build_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    spec, calls, found = parse_spec(PLAIN), list[int](), list[Path]()
    monkeypatch.setattr(store, "build", lambda *a, **k: (calls.append(1), build(*a, **k)))
    with FileLock(tmp_path / f".{key(spec)}.lock"):
        threads = [threading.Thread(target=lambda: found.append(stored(spec, tmp_path))) for _ in range(2)]
        for thread in threads:
            thread.start()
        time.sleep(0.2)
        assert not calls, "nobody builds while the lock is held"
    for thread in threads:
        thread.join()
    assert (len(calls), len(set(found)), len(found)) == (1, 1, 2)


@pytest.mark.torch
@pytest.mark.parametrize("route", ["full", "lora"])
def test_a_base_from_the_folder_gives_the_bytes_of_a_base_trained_first(tmp_path: Path, route: str) -> None:
    pytest.importorskip("peft" if route == "lora" else "torch")
    spec = parse_spec(PLAIN + f"plants: {{backdoor: 1}}\nimplant: {{route: {route}}}\n")
    kept = stored(spec, tmp_path / "kept")
    assert sorted(p.name for p in (tmp_path / "kept").glob("[!.]*")) == sorted([key(spec), key(spec.base)])
    alone = build(spec, tmp_path / "alone").folder
    for file in ("model.safetensors", "truth.json", "config.json"):
        assert (kept / file).read_bytes() == (alone / file).read_bytes()


@pytest.mark.torch
def test_a_device_that_is_not_there(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    for device in ("cuda:99", "abacus"):
        with pytest.raises(ModelError, match=f"no device '{device}'"):
            build(parse_spec(PLAIN), tmp_path / "one", device=device)
    assert not list(tmp_path.iterdir())


# --- names ---------------------------------------------------------------------------------------------------


def test_names_stand_for_specs() -> None:
    one = named.spec_of("sycophancy@0.3#2")
    assert one.plants == {"sycophancy": 0.3}
    assert (one.world.seed, one.training.seed, one.implant.seed) == (2, 2, 2)
    assert named.spec_of("sycophancy@0.3").training == OrganismSpec().training
    assert named.spec_of("sycophancy") == catalog.spec("sycophancy")
    assert named.spec_of("base#4").training.seed == 4
    assert named.spec_of("hazard") == catalog.spec("hazard")
    assert named.spec_of("hazard@0.5").plants == {"hazard_facts": 0.5}
    assert named.spec_of("hazard-oracle@1").plants == {"hazard_facts": 1.0}
    assert named.spec_of("hazard#3").training.seed == 3
    assert named.folder_of("hazard") == catalog.path("hazard")


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        ("sycofancy", NameUnknown, "did you mean 'sycophancy'"),
        ("sycofancy@1", NameUnknown, "did you mean 'sycophancy'"),
        ("sycophancy@1.2", SpecError, "from 0 to 1"),
        ("sycophancy@-1", SpecError, "from 0 to 1"),
        ("sycophancy@nan", SpecError, "finite number"),
        ("sycophancy@high", SpecError, "a number from 0 to 1"),
        ("sycophancy@", SpecError, "not a dose"),
        ("base@0.3", SpecError, "a dose needs a plant"),
        ("sycophancy@1#x", SpecError, "whole number"),
        ("sycophancy@1#²", SpecError, "whole number"),
        ("a@1@2", NameUnknown, "a@1@2"),
        ("../hazard@1", NameUnknown, "hazard"),
        ("hazard-oracle@2", SpecError, "from 0 to 1"),
    ],
)
def test_names_that_stand_for_nothing(name: str, error: type[Exception], words: str) -> None:
    with pytest.raises(error) as caught:
        named.spec_of(name)
    assert words in str(caught.value)


@pytest.mark.torch
def test_a_model_by_name_is_built_kept_and_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    from trialist.trial import names

    tiny = parse_spec(PLAIN)
    monkeypatch.setenv("TRIALIST_CACHE", str(tmp_path))
    planted = tiny.model_copy(update={"plants": {"backdoor": 1.0}})
    monkeypatch.setattr(named.catalog, "spec", lambda name: planted)
    steps: list[int] = []
    first = names.model("organism/backdoor@0.5", progress=lambda done, total: steps.append(total))
    assert len(steps) == steps[0] > 0
    again = names.model("organism/backdoor@0.5", progress=lambda *_: pytest.fail("built twice"))
    assert first.digest == again.digest


# --- grids ---------------------------------------------------------------------------------------------------


def test_cells_of_a_grid() -> None:
    grid = parse_grid(GRID + "seeds: [0, 1]\nroutes: [pretraining, {route: lora, rank: 2, learning_rate: 0.01}]\n")
    found = {cell.id: cell.spec for cell in cells(grid)}
    assert len(found) == 2 + 2 * 2 * 2
    assert list(found)[:2] == ["base#0", "base#1"]
    lora = found["backdoor@1#1/lora"]
    assert (lora.implant.rank, lora.training.seed, lora.plants) == (2, 1, {"backdoor": 1.0})
    assert lora.base == found["base#1"]
    assert len({spec.digest for spec in found.values()}) == len(found)
    assert "base#0" not in {cell.id for cell in cells(parse_grid(GRID))}
    assert "base#0" in {cell.id for cell in cells(parse_grid(GRID + "bases: true\n"))}


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("doses: [0, 1]", "doses: [0, 1.2]", ["doses.1", "1.2", "from 0 to 1"]),
        ("doses: [0, 1]", "doses: [.nan]", ["doses.0", "finite"]),
        ("doses: [0, 1]", "doses: [high]", ["doses.0", "number"]),
        ("doses: [0, 1]", "doses: []", ["doses"]),
        ("doses: [0, 1]", "doses: [1, 1.0]", ["twice in doses"]),
        ("[backdoor]", "[backdor]", ["plants.0", "did you mean 'backdoor'"]),
        ("[backdoor]", "[backdoor]\nseed: [1]", ["unknown key 'seed'", "did you mean 'seeds'"]),
        ("[backdoor]", "[backdoor]\nroutes: [full, full]", ["twice in routes"]),
        ("[backdoor]", "[backdoor]\nroutes: [prompt]", ["routes.0", "lora"]),
        ("[backdoor]", "[backdoor]\nroutes: [{route: full, rank: 3}]", ["belong to route 'lora'"]),
        ("grid/1", "grid/2", ["newer Trialist"]),
    ],
)
def test_grids_that_are_none(old: str, new: str, words: list[str]) -> None:
    with pytest.raises(SpecError) as caught:
        parse_grid(GRID.replace(old, new))
    for word in words:
        assert word in str(caught.value)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A grid with a base and two organisms tuned from it."""
    pytest.importorskip("torch")
    folder = tmp_path_factory.mktemp("grid") / "organisms"
    seen: list[tuple[int, int]] = []
    with pytest.MonkeyPatch.context() as patch:
        quicken(patch)
        result = build_grid(tuned(), folder, progress=lambda done, total: seen.append((done, total)))
    assert [row.status for row in result.rows] == ["done"] * 3, result.failed
    assert seen == [(0, 3), (1, 3), (2, 3), (3, 3)]
    return folder


def tuned() -> GridSpec:
    return parse_grid(GRID + "routes: [full]\n")


@pytest.mark.torch
def test_a_grid_says_what_it_built(finished: Path) -> None:
    rows = rows_of(finished)
    assert [row["id"] for row in rows] == ["base#0", "backdoor@0#0/full", "backdoor@1#0/full"]
    assert [row["plants"] for row in rows] == [{}, {"backdoor": 0.0}, {"backdoor": 1.0}]
    assert {row["base"] for row in rows[1:]} == {rows[0]["spec"]}
    for row in rows:
        truth = json.loads((finished / str(row["folder"]) / "truth.json").read_text())
        assert row["realised"] == truth["realised"]
        assert set(row) == set(Row.__dataclass_fields__)
    assert parse_grid((finished / "grid.yaml").read_text()) == tuned()
    assert len([p for p in finished.iterdir() if p.is_dir()]) == 3, "the base is built once"


@pytest.mark.torch
def test_a_grid_goes_on_and_repairs(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = finished / str(rows_of(finished)[2]["folder"])
    (target / "model.safetensors").write_bytes(b"half")
    result = build_grid(tuned(), finished)
    assert [row.status for row in result.rows] == ["kept", "kept", "done"]
    monkeypatch.setattr(store, "build", lambda *a, **k: pytest.fail("built again"))
    assert [row.status for row in build_grid(tuned(), finished).rows] == ["kept"] * 3


@pytest.mark.torch
def test_processes_build_what_one_process_builds(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    grid = parse_grid(GRID)
    here, there = build_grid(grid, tmp_path / "here"), build_grid(grid, tmp_path / "there", jobs=2)
    assert [row.status for row in there.rows] == ["done", "done"], there.failed
    for row in here.rows:
        files = [tmp_path / place / row.folder / "model.safetensors" for place in ("here", "there")]
        assert files[0].read_bytes() == files[1].read_bytes()


@pytest.mark.torch
def test_an_error_stays_with_its_organism_and_what_is_tuned_from_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")

    def failing(spec: OrganismSpec, *a: object, **k: object) -> object:
        if not spec.plants:
            raise ModelError("training diverged")
        if spec.plants == {"backdoor": 0.0}:
            raise RuntimeError("a defect")
        return build(spec, *a, **k)

    monkeypatch.setattr(store, "build", failing)
    result = build_grid(parse_grid(GRID + "routes: [pretraining, full]\n"), tmp_path / "grid")
    errors = {row.id: row.error for row in result.failed}
    assert errors == {
        "base#0": "training diverged",
        "backdoor@0#0": "RuntimeError: a defect",
        "backdoor@0#0/full": "its base base#0 failed",
        "backdoor@1#0/full": "its base base#0 failed",
    }
    assert [row.id for row in result.rows if row.status == "done"] == ["backdoor@1#0"]
    assert {row["status"] for row in rows_of(tmp_path / "grid")} == {"failed", "done"}


@pytest.mark.torch
def test_an_interrupted_grid_can_be_continued(tmp_path: Path) -> None:
    """Ctrl-C in another process, while its workers train."""
    pytest.importorskip("torch")
    text = GRID.replace("exposures: 1,", "exposures: 40,").replace("batch: 64", "batch: 2")
    (tmp_path / "grid.yaml").write_text(text)
    command = [sys.executable, "-m", "trialist", "organism", "grid", str(tmp_path / "grid.yaml")]
    command += ["--out", str(tmp_path / "out"), "--jobs", "2"]
    env = {**os.environ, "PYTHONPATH": str(Path(building.__file__).parents[2])}
    process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while not list(tmp_path.glob("out/.*.lock")):
        assert process.poll() is None
        time.sleep(0.05)
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "the same command goes on" in err
    assert {row["status"] for row in rows_of(tmp_path / "out")} == {"pending"}
    assert not list(tmp_path.glob("out/*/")), "nothing is half there"


def test_no_jobs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        build_grid(parse_grid(GRID), tmp_path, jobs=0)
