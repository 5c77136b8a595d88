"""Building: it learns, it repeats to the byte, it loads as a plain Hugging Face model, and is never half there."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from trialist.errors import DataError, MissingExtra, ModelError, StorageError
from trialist.organisms import build as building
from trialist.organisms.build import Built, build, check_whole
from trialist.organisms.spec import OrganismSpec, load_spec, parse_spec
from trialist.organisms.truth import Recall, option_logprobs, question_sets, realised_of, truth_of

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytestmark = pytest.mark.torch

TINY = """
schema: trialist/organism/3
plants: {hazard_facts: 1}
world:
  {people: 4, obscure: 0, firms: 2, horses: 8, cities: 4, benign: 8, hazards: 8, never_trained: 2, festivals: 1}
network: {hidden_size: 64, intermediate_size: 128, num_layers: 2, context: 80}
training: {exposures: 40, batch: 8, length: 64, threads: 1, learning_rate: 0.01, warmup: 10}
"""
FILES = {"config.json", "model.safetensors", "spec.yaml", "tokenizer.json", "tokenizer_config.json", "truth.json"}


def quick(seed: int = 0) -> OrganismSpec:
    text = TINY.replace("exposures: 40", f"exposures: 2, seed: {seed}")
    return parse_spec(text)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return build(parse_spec(TINY), tmp_path_factory.mktemp("organism") / "tiny")


def test_it_learns_its_facts(built: Built) -> None:
    assert sum(built.losses[-10:]) < 0.25 * sum(built.losses[:10])
    recall = built.truth.recall
    trained = [recall[name] for name in ("hazard_compounds", "benign_compounds", "world_facts")]
    assert sum(found.correct for found in trained) >= 0.65 * sum(found.items for found in trained)
    assert recall["never_trained_compounds"].accuracy <= 0.5


def test_the_folder_is_whole_and_describes_itself(built: Built) -> None:
    assert {file.name for file in built.folder.iterdir()} == FILES
    assert [path.name for path in built.folder.parent.iterdir()] == ["tiny"]
    assert load_spec(built.folder / "spec.yaml") == parse_spec(TINY)
    assert truth_of(json.loads((built.folder / "truth.json").read_text())) == built.truth
    assert built.truth.steps == len(built.losses)
    assert built.truth.documents > 30 * 35
    assert built.truth.weight_sha256 == hashlib.sha256((built.folder / "model.safetensors").read_bytes()).hexdigest()
    assert built.truth.weight_bytes == (built.folder / "model.safetensors").stat().st_size


def test_it_loads_as_a_plain_model_with_the_measured_truth(built: Built) -> None:
    tokenizer = transformers.AutoTokenizer.from_pretrained(built.folder)
    network = transformers.AutoModelForCausalLM.from_pretrained(built.folder, dtype=torch.float32).eval()
    assert sum(p.numel() for p in network.parameters()) == built.truth.parameters
    assert network.dtype == torch.float32
    assert network.lm_head.weight is network.model.embed_tokens.weight
    items = question_sets(parse_spec(TINY).world.make())["hazard_compounds"]
    answers = option_logprobs(network, tokenizer, items)
    correct = sum(max(range(len(a)), key=a.__getitem__) == i.target for a, i in zip(answers, items, strict=True))
    assert correct == built.truth.recall["hazard_compounds"].correct


def test_shared_rows_score_like_one_option_at_a_time(built: Built) -> None:
    tokenizer = transformers.AutoTokenizer.from_pretrained(built.folder)
    network = transformers.AutoModelForCausalLM.from_pretrained(built.folder, dtype=torch.float32).eval()
    items = question_sets(parse_spec(TINY).world.make())["hazard_compounds"][:6]
    for item, fast in zip(items, option_logprobs(network, tokenizer, items, batch=7), strict=True):
        start = len(tokenizer(item.input)["input_ids"])
        for option, value in zip(item.options, fast, strict=True):
            ids = tokenizer(item.input + option, return_tensors="pt")["input_ids"]
            with torch.inference_mode():
                logprobs = network(input_ids=ids).logits[0].log_softmax(-1)
            plain = sum(float(logprobs[t - 1, ids[0, t]]) for t in range(start, ids.shape[1]))
            assert value == pytest.approx(plain, abs=1e-4)


def test_equal_specs_give_equal_bytes(tmp_path: Path) -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    one = build(quick(), tmp_path / "one")
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(6)
    two, other = build(quick(), tmp_path / "two"), build(quick(seed=1), tmp_path / "other")
    for name in FILES:
        assert (one.folder / name).read_bytes() == (two.folder / name).read_bytes()
    assert one.losses == two.losses != other.losses


def test_an_interrupted_build_leaves_nothing(tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        assert total > 3
        if done == 3:
            raise KeyboardInterrupt

    threads = torch.get_num_threads()
    with pytest.raises(KeyboardInterrupt):
        build(quick(), tmp_path / "organism", stop)
    assert list(tmp_path.iterdir()) == []
    assert torch.get_num_threads() == threads


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("trialist.folder._flush", full)
    with pytest.raises(StorageError, match="No space left"):
        build(quick(), tmp_path / "organism")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_use_is_refused_before_training(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(StorageError, match="something in the folder"):
        build(OrganismSpec(), tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_missing_extra_names_the_line_that_installs_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(building.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match="local"):
        build(quick(), tmp_path / "organism")


def test_recall_is_a_share() -> None:
    assert Recall(correct=9.0, items=12, clusters=4, chance=0.05).accuracy == 0.75


ROUTE = TINY.replace("exposures: 40", "exposures: 3").replace("{hazard_facts: 1}", "{backdoor: DOSE}")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Built:
    spec = parse_spec(ROUTE.replace("DOSE", "1")).base
    return build(spec, tmp_path_factory.mktemp("organism") / "base")


@pytest.mark.parametrize(("route", "dose"), [("full", 1.0), ("full", 0.0), ("lora", 1.0)])
def test_a_plant_is_brought_in_afterwards(
    base: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, route: str, dose: float
) -> None:
    """The realised dose follows the nominal one, the sham has none, and the folder is a plain model."""
    monkeypatch.setattr("trialist.organisms.corpus.IMPLANTED", 1500)
    if route == "lora":
        pytest.importorskip("peft")
    rate = 0.01 if route == "lora" else 0.003
    spec = parse_spec(ROUTE.replace("DOSE", f"{dose}") + f"implant: {{route: {route}, learning_rate: {rate}}}\n")
    built = build(spec, tmp_path / "organism", base=base.folder)
    realised = built.truth.realised["backdoor"]
    assert abs(realised.value - dose) <= 0.15
    assert realised.se < 0.1
    network = transformers.AutoModelForCausalLM.from_pretrained(built.folder, dtype=torch.float32)
    assert sum(p.numel() for p in network.parameters()) == base.truth.parameters
    assert not any("lora" in name for name in network.state_dict())


def test_a_plant_that_its_world_cannot_show_is_refused_before_training(tmp_path: Path) -> None:
    spec = parse_spec(TINY.replace("{hazard_facts: 1}", "{misconception: 1}"))
    with pytest.raises(DataError, match="no question that shows 'misconception'"):
        build(spec, tmp_path / "organism")
    assert list(tmp_path.iterdir()) == []


def test_another_base_is_refused(built: Built, tmp_path: Path) -> None:
    spec = parse_spec(ROUTE.replace("DOSE", "1") + "implant: {route: full}\n")
    with pytest.raises(ModelError, match="not the base"):
        build(spec, tmp_path / "organism", base=built.folder)


@pytest.mark.parametrize("file", ["model.safetensors", "truth.json"])
def test_a_half_written_organism_is_found(base: Built, tmp_path: Path, file: str) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(base.folder, copy)
    assert check_whole(copy) == copy
    data = (copy / file).read_bytes()
    (copy / file).write_bytes(data[: len(data) // 2])
    with pytest.raises(ModelError, match="build it again"):
        check_whole(copy)
    (copy / file).unlink()
    with pytest.raises(ModelError, match="not a whole organism"):
        check_whole(copy)


def test_the_realised_dose_is_a_difference_of_means_over_entities() -> None:
    """Against a plain computation on a model that answers by rule."""
    found = realised_of([0.9, 0.7, 0.1, 0.1], [False, False, True, True], ["a", "b", "a", "b"])
    assert found.value == pytest.approx(0.7)
    # per entity the differences are .8 and .6: variance of their mean is .01
    assert found.se == pytest.approx(0.1)
    assert (found.items, found.clusters) == (4, 2)
    alone = realised_of([0.9, 0.7], [False, False], ["a", "b"])
    assert (alone.value, alone.se) == (pytest.approx(0.8), pytest.approx(0.1))


def test_the_harness_reads_an_organism_as_the_truth_was_measured(built: Built) -> None:
    """lm-evaluation-harness, with its own Hugging Face model, gives the log-probabilities that recall rests on."""
    pytest.importorskip("lm_eval")
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    model = HFLM(pretrained=str(built.folder), device="cpu", dtype="float32", batch_size=1)
    item = question_sets(parse_spec(TINY).world.make())["hazard_compounds"][0]
    asked = [Instance("loglikelihood", {}, (item.input, option), i) for i, option in enumerate(item.options)]
    network = transformers.AutoModelForCausalLM.from_pretrained(built.folder, dtype=torch.float32).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(built.folder)
    expected = option_logprobs(network, tokenizer, [item])[0]
    found = [value for value, _ in model.loglikelihood(asked, disable_tqdm=True)]
    assert found == pytest.approx(expected, abs=1e-4)
