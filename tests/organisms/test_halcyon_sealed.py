"""Sealed organisms: nothing outside tells what they are, nothing can be changed unseen, and a killed run goes on."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from trialist.errors import DataError, ModelError, SpecError, StorageError
from trialist.evaluations.capability.world_facts import WorldFacts
from trialist.organisms import build as building
from trialist.organisms import sealed, store
from trialist.organisms.asked import asked_world, check_world
from trialist.organisms.grid_spec import GridSpec, parse_grid
from trialist.organisms.seal_key import Entry, Lottery, draw
from trialist.organisms.sealed import seal, unseal
from trialist.records import canonical_json, sha256_hex

TINY = """
world:
  {people: 4, obscure: 0, firms: 1, horses: 8, cities: 2, benign: 4, hazards: 4, never_trained: 1, festivals: 1}
network: {hidden_size: 16, intermediate_size: 16, num_layers: 1, num_heads: 2, context: 80}
training: {exposures: 1, batch: 64, length: 64}
"""
GRID = "schema: trialist/grid/1\nplants: [backdoor]\ndoses: [0.3, 1]\nseeds: [1]\nroutes: [pretraining, full]\n" + TINY


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    quicken(monkeypatch)


def quicken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Little is learnt here, so that few documents and one plant's measurement are enough."""
    monkeypatch.setattr("trialist.organisms.corpus.IMPLANTED", 50)
    monkeypatch.setattr("trialist.organisms.build.measurable", lambda world: ("backdoor",))


def population(text: str = GRID) -> GridSpec:
    return parse_grid(text)


# --- drawing -------------------------------------------------------------------------------------------------


def test_every_cell_is_drawn_as_often() -> None:
    grid = population(GRID.replace("[backdoor]", "[backdoor, sycophancy, lock]").replace("seeds: [1]", "seeds: [1, 2]"))
    entries = draw(Lottery(grid, 4000, null=0.25, seed=3))
    assert [e.name for e in entries[:2]] == ["sealed-0001", "sealed-0002"]
    kinds = Counter((next(iter(e.spec.plants.items()), None), e.spec.implant.route) for e in entries)
    assert len(kinds) == 1 + 3 * 2 * 2
    assert abs(kinds.pop((None, "pretraining")) - 1000) < 140  # 5 standard deviations
    assert all(abs(count - 250) < 80 for count in kinds.values())
    assert Counter(e.spec.world.seed for e in entries).keys() == {1, 2}
    for secret in ([e.spec.training.seed for e in entries], [e.nonce for e in entries]):
        assert len(set(secret)) == len(entries), "a known seed or nonce opens the seal"
    assert all(len(bytes.fromhex(e.nonce)) == 32 for e in entries)


def test_draws_are_the_systems_unless_a_seed_is_given() -> None:
    lottery = Lottery(population(), 3)
    assert draw(lottery) != draw(lottery)
    assert draw(replace(lottery, seed=1)) == draw(replace(lottery, seed=1)) != draw(replace(lottery, seed=2))
    assert {len(e.spec.plants) for e in draw(replace(lottery, null=0, count=20))} == {1}
    assert {len(e.spec.plants) for e in draw(replace(lottery, null=1, count=20))} == {0}


@pytest.mark.parametrize(("change", "word"), [({"count": 0}, "at least 1"), ({"null": 1.2}, "from 0 to 1")])
def test_lotteries_that_are_none(change: dict[str, Any], word: str) -> None:
    with pytest.raises(SpecError, match=word):
        replace(Lottery(population(), 3), **change)
    with pytest.raises(SpecError, match="from 0 to 1"):
        Lottery(population(), 3, null=float("nan"))


def test_a_commitment_binds_everything_and_hides_it() -> None:
    (one,) = draw(Lottery(population(), 1, seed=0))
    assert one.commitment == Entry(one.name, one.nonce, one.spec).commitment
    others = [
        replace(one, name="sealed-02"),
        replace(one, nonce="00" * 32),
        replace(one, spec=one.spec.model_copy(update={"plants": {"backdoor": 0.31}})),
        replace(one, files={"model.safetensors": "0"}),
    ]
    assert len({one.commitment, *(other.commitment for other in others)}) == 5
    told = {"files": None, "name": one.name, "spec": one.spec.model_dump(mode="json"), "truth": None}
    assert one.commitment == sha256_hex(bytes.fromhex(one.nonce) + canonical_json(told)), "as the page says"


# --- sealing -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``out`` and ``key.json``: five organisms of both routes and without plants."""
    pytest.importorskip("torch")
    root = tmp_path_factory.mktemp("seal")
    steps: list[tuple[int, int]] = []
    with pytest.MonkeyPatch.context() as patch:
        quicken(patch)
        seal(LOTTERY, root / "out", key=root / "key.json", progress=lambda done, total: steps.append((done, total)))
    assert steps == [(i, 5) for i in range(6)], "bases aren't counted: their number would tell the routes"
    return root


LOTTERY = Lottery(population(), 5, seed=2)


@pytest.fixture
def copy(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path / "copy")
    return tmp_path / "copy"


@pytest.mark.torch
def test_nothing_outside_tells_what_they_are(made: Path) -> None:
    specs = [entry.spec for entry in draw(LOTTERY)]
    assert {(len(s.plants), s.implant.route) for s in specs} == {(0, "pretraining"), (1, "pretraining"), (1, "full")}
    folders = sorted(p for p in (made / "out").iterdir() if p.is_dir())
    assert [p.name for p in folders] == [f"sealed-0{i}" for i in range(1, 6)]
    assert [p.name for p in (made / "out").iterdir() if not p.is_dir()] == ["manifest.json"]
    names = {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}
    assert all({file.name for file in folder.iterdir()} == names for folder in folders)
    for name in names:
        contents = {(folder / name).read_bytes() for folder in folders}
        assert len(contents) == (5 if name == "model.safetensors" else 1)
        assert len({len(content) for content in contents}) == 1
    assert {path.stat().st_mtime for path in (made / "out").rglob("*")} == {sealed.NEUTRAL_TIME}
    told = [p for p in (made / "out").rglob("*") if p.is_file() and p.name != "tokenizer.json"]
    text = b"".join(path.read_bytes() for path in told)
    for secret in ("backdoor", "dose", "implant", "route", "plants", *(e.nonce for e in draw(LOTTERY))):
        assert secret.encode() not in text
    assert str(specs[0].training.seed).encode() not in text
    assert sorted(p.name for p in made.iterdir()) == [".key.json.lock", "key.json", "out"]
    assert stat.S_IMODE((made / "key.json").stat().st_mode) == 0o600


@pytest.mark.torch
def test_unsealed_they_are_what_was_drawn(made: Path) -> None:
    opened = unseal(made / "out", made / "key.json")
    assert [(o.name, o.spec) for o in opened] == [(e.name, e.spec) for e in draw(LOTTERY)]
    assert all(set(o.truth.realised) == {"backdoor"} for o in opened)


@pytest.mark.torch
def test_a_sealed_organism_is_a_model_of_a_known_world(made: Path) -> None:
    from trialist.models.protocol import Choose, Keyed, Reply
    from trialist.trial import names

    name = f"hf/{made / 'out' / 'sealed-01'}"
    world = asked_world(name)
    assert (world.seed, world.people) == (1, 4)
    check_world(WorldFacts(world=world), name)
    with pytest.raises(ModelError, match="another world"):
        check_world(WorldFacts(), name)
    item = WorldFacts(world=world).items()[0]
    (reply,) = names.model(name).answer([Keyed(item.id, 0, Choose(item.input, item.options))])
    assert isinstance(reply.value, Reply)


@pytest.mark.torch
def test_the_same_seed_seals_the_same_and_a_finished_seal_is_left_alone(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {p: p.read_bytes() for p in made.rglob("*") if p.is_file()}
    monkeypatch.setattr(store, "build", lambda *a, **k: pytest.fail("built again"))
    seal(LOTTERY, made / "out", key=made / "key.json")
    assert {p: p.read_bytes() for p in made.rglob("*") if p.is_file()} == before
    monkeypatch.undo()
    quicken(monkeypatch)
    two = replace(LOTTERY, count=1)
    seal(two, tmp_path / "out", key=tmp_path / "key.json")
    assert unseal(tmp_path / "out", tmp_path / "key.json")[0].spec == draw(LOTTERY)[0].spec
    weights = "out/sealed-01/model.safetensors"
    assert (tmp_path / weights).read_bytes() == (made / weights).read_bytes()


# --- what was changed ----------------------------------------------------------------------------------------


def change_key(copy: Path, change: Callable[[dict[str, Any]], object], *, file: str = "key.json") -> None:
    data = json.loads((copy / file).read_text())
    change(data)
    (copy / file).write_text(json.dumps(data))


@pytest.mark.torch
@pytest.mark.parametrize(
    "change",
    [
        lambda row: row["spec"].update(plants={"backdoor": 0.5}),
        lambda row: row["spec"]["training"].update(seed=1),
        lambda row: row["truth"]["realised"]["backdoor"].update(value=0.9),
        lambda row: row["truth"].update(weight_sha256="0" * 64),
        lambda row: row["files"].update({"model.safetensors": "0" * 64}),
        lambda row: row.update(nonce="00" * 32),
    ],
)
def test_a_changed_key_is_seen(copy: Path, change: Callable[[dict[str, Any]], object]) -> None:
    change_key(copy, lambda data: change(data["organisms"][2]))
    with pytest.raises(ModelError, match="'sealed-03' is not what was committed to"):
        unseal(copy / "out", copy / "key.json")


@pytest.mark.torch
@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "config.json"])
def test_a_changed_or_missing_file_is_seen(copy: Path, name: str) -> None:
    file = copy / "out" / "sealed-02" / name
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    with pytest.raises(ModelError, match=f"'sealed-02' is not the organism that was sealed: {name} differs"):
        unseal(copy / "out", copy / "key.json")
    file.unlink()
    with pytest.raises(ModelError, match=r"'sealed-02'.*differs"):
        unseal(copy / "out", copy / "key.json")


@pytest.mark.torch
def test_two_swapped_organisms_are_seen(copy: Path) -> None:
    out = copy / "out"
    (out / "sealed-01").rename(out / "other")
    (out / "sealed-02").rename(out / "sealed-01")
    (out / "other").rename(out / "sealed-02")
    with pytest.raises(ModelError, match="'sealed-01'"):
        unseal(out, copy / "key.json")


@pytest.mark.torch
def test_a_changed_manifest_is_seen(copy: Path) -> None:
    change_key(copy, lambda data: data["organisms"][0]["world"].update(seed=2), file="out/manifest.json")
    with pytest.raises(ModelError, match="another world of 'sealed-01'"):
        unseal(copy / "out", copy / "key.json")
    change_key(copy, lambda data: data["organisms"].pop(), file="out/manifest.json")
    with pytest.raises(DataError, match=r"(?s)belongs to another seal.*5 organisms.*4 organisms"):
        unseal(copy / "out", copy / "key.json")


@pytest.mark.torch
@pytest.mark.parametrize("text", ["", "{}", "[]", '{"schema": "trialist/seal-key/2", "organisms": []}', "\xff"])
def test_files_that_are_no_key_or_manifest(copy: Path, text: str) -> None:
    kept = (copy / "key.json").read_bytes()
    (copy / "key.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(DataError, match="not the key of a seal"):
        unseal(copy / "out", copy / "key.json")
    (copy / "key.json").write_bytes(kept)
    (copy / "out" / "manifest.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(DataError, match="not the manifest of a seal"):
        unseal(copy / "out", copy / "key.json")


@pytest.mark.torch
def test_a_name_in_the_key_is_no_way_out_of_the_folder(copy: Path) -> None:
    change_key(copy, lambda data: data["organisms"][0].update(name="../../elsewhere"))
    with pytest.raises(DataError, match=r"elsewhere"):
        unseal(copy / "out", copy / "key.json")


# --- places, interruptions, failures -------------------------------------------------------------------------


def test_places_that_are_refused(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    lottery = Lottery(population(), 1)
    for key in (tmp_path / "out" / "key.json", tmp_path / "out", tmp_path / "out" / "deep" / "key.json"):
        with pytest.raises(SpecError, match="lies in the folder that is handed out"):
            seal(lottery, tmp_path / "out", key=key)
    (tmp_path / "link").symlink_to(tmp_path / "out")
    with pytest.raises(SpecError, match="handed out"):
        seal(lottery, tmp_path / "out", key=tmp_path / "link" / "key.json")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    with pytest.raises(StorageError, match="something in the folder"):
        seal(lottery, tmp_path / "full", key=tmp_path / "key.json")
    assert not (tmp_path / "key.json").exists()
    with pytest.raises(StorageError, match="is a folder"):
        seal(lottery, tmp_path / "out", key=tmp_path / "full")
    with pytest.raises(ValueError, match="at least 1"):
        seal(lottery, tmp_path / "out", key=tmp_path / "key.json", jobs=0)


def test_a_world_that_cannot_show_a_plant_is_refused_before_the_draw(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    grid = population(GRID.replace("horses: 8", "horses: 2").replace("[backdoor]", "[deception]"))
    with pytest.raises(DataError, match="no question that shows 'deception'"):
        seal(Lottery(grid, 1), tmp_path / "out", key=tmp_path / "key.json")
    assert not list(tmp_path.iterdir())


@pytest.mark.torch
@pytest.mark.parametrize(("change", "word"), [({"count": 2}, "count"), ({"null": 0.1}, "null"), ({"seed": 9}, "seed")])
def test_the_key_of_another_seal(made: Path, change: dict[str, Any], word: str) -> None:
    with pytest.raises(DataError, match=f"is another seal's: {word} differs"):
        seal(replace(LOTTERY, **change), made / "out", key=made / "key.json")
    with pytest.raises(DataError, match="is another seal's: folder differs"):
        seal(LOTTERY, made / "elsewhere", key=made / "key.json")
    grid = population(GRID.replace("[0.3, 1]", "[1]"))
    with pytest.raises(DataError, match="population differs"):
        seal(replace(LOTTERY, population=grid), made / "out", key=made / "key.json")


@pytest.mark.torch
def test_what_fails_is_named_without_telling_its_plant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    lottery, root = Lottery(population(), 3, seed=4), tmp_path / "out"
    draws, build, calls = draw(lottery), store.build, list[str]()

    def failing(spec: Any, *a: Any, **k: Any) -> Any:
        calls.append(spec.digest)
        if spec == draws[1].spec:
            raise ModelError(f"the {next(iter(spec.plants), 'base')} diverged")
        return build(spec, *a, **k)

    monkeypatch.setattr(store, "build", failing)
    with pytest.raises(ModelError) as caught:
        seal(lottery, root, key=tmp_path / "key.json")
    assert "seen     sealed-02" in str(caught.value)
    assert "backdoor" not in str(caught.value)
    assert not root.exists() or not list(root.iterdir()), "nothing is handed out in part"
    with pytest.raises(DataError, match="never finished"):
        unseal(root, tmp_path / "key.json")
    first = len(calls)
    monkeypatch.setattr(store, "build", lambda spec, *a, **k: (calls.append(spec.digest), build(spec, *a, **k)))
    seal(lottery, root, key=tmp_path / "key.json")
    assert calls[first:] == [draws[1].spec.digest], "what was built is kept"
    assert tuple(o.spec for o in unseal(root, tmp_path / "key.json")) == tuple(e.spec for e in draws)


@pytest.mark.torch
def test_killed_while_publishing_it_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    lottery, key = replace(LOTTERY, count=2, seed=None), tmp_path / "key.json"

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(sealed.RunFolder, "write", _once_then(sealed.RunFolder.write, "manifest.json", killed))
        seal(lottery, tmp_path / "out", key=key)
    drawn = [row["nonce"] for row in json.loads(key.read_text())["organisms"]]
    (tmp_path / "out" / "sealed-02" / "model.safetensors").write_bytes(b"half")
    monkeypatch.setattr(store, "build", lambda *a, **k: pytest.fail("built again"))
    seal(lottery, tmp_path / "out", key=key)
    assert [row["nonce"] for row in json.loads(key.read_text())["organisms"]] == drawn
    assert len(unseal(tmp_path / "out", key)) == 2
    (tmp_path / "out" / "notes.txt").write_text("a tester's")
    with pytest.raises(StorageError, match="other things"):
        seal(lottery, tmp_path / "out", key=key)


def _once_then(write: Callable[..., None], name: str, stop: Callable[..., None]) -> Callable[..., None]:
    return lambda self, file, data: stop() if file == name else write(self, file, data)


@pytest.mark.torch
def test_a_killed_command_goes_on_with_its_draws(tmp_path: Path) -> None:
    """Killed for good in another process while it trains; the draws are those of the key."""
    pytest.importorskip("torch")
    text = GRID.replace("exposures: 1,", "exposures: 40,").replace("batch: 64", "batch: 2").replace(", full", "")
    (tmp_path / "grid.yaml").write_text(text)
    command = [sys.executable, "-m", "trialist", "organism", "seal", str(tmp_path / "grid.yaml"), "--count", "2"]
    command += ["--out", str(tmp_path / "out"), "--key", str(tmp_path / "key.json")]
    env = {**os.environ, "PYTHONPATH": str(Path(building.__file__).parents[2])}
    process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while not list(tmp_path.glob(".key.json.work/.*.lock")):
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    drawn = (tmp_path / "key.json").read_bytes()
    assert not list(tmp_path.glob("out/*"))
    quick = json.loads(drawn)
    assert [row["truth"] for row in quick["organisms"]] == [None, None]
    lottery = Lottery(parse_grid(text), 2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sealed, "build_cells", _stopped)
        with pytest.raises(KeyboardInterrupt):
            seal(lottery, tmp_path / "out", key=tmp_path / "key.json")
    assert (tmp_path / "key.json").read_bytes() == drawn


def _stopped(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.torch
def test_three_routes_look_alike_from_outside(tmp_path: Path) -> None:
    """Also that files alone would be seen: the check is run on every seal."""
    pytest.importorskip("peft")
    grid = population(GRID.replace("[pretraining, full]", "[pretraining, full, {route: lora, rank: 2}]"))
    lottery = Lottery(grid, 3, null=0, seed=2)
    seal(lottery, tmp_path / "out", key=tmp_path / "key.json")
    assert [o.spec.implant.route for o in unseal(tmp_path / "out", tmp_path / "key.json")] == [
        "lora",
        "pretraining",
        "full",
    ]


@pytest.mark.torch
def test_an_organism_that_files_alone_would_tell_is_not_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    build = store.build

    def telling(spec: Any, folder: Path, *a: Any, **k: Any) -> Any:
        built = build(spec, folder, *a, **k)
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, "note": len(spec.plants)}))
        return built

    monkeypatch.setattr(store, "build", telling)
    with pytest.raises(ModelError, match="'sealed-02' can be told from 'sealed-01' by its files"):
        seal(replace(LOTTERY, count=2), tmp_path / "out", key=tmp_path / "key.json")
    assert not list(tmp_path.glob("out/*"))
