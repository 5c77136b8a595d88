"""Spec -> organism: a plain Hugging Face folder with its spec and its truth beside the weights.

    build(load_spec("hazard.yaml"), "models/hazard")

Weights are trained in fp32 and shipped in fp16; the truth is measured on what was shipped, loaded as fp32. The folder
appears whole or not at all.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import json
import warnings
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from trialist.errors import DataError, MissingExtra, ModelError
from trialist.folder import check_new, whole_folder
from trialist.halcyon.world import World
from trialist.interventions.protocol import Progress
from trialist.interventions.trainer import Batch, TrainSettings, learnt_token_loss, token_batches, train
from trialist.organisms.corpus import implanting, pretraining
from trialist.organisms.plants import PLANTS
from trialist.organisms.spec import ImplantSpec, NetworkSpec, OrganismSpec, load_spec, spec_text
from trialist.organisms.tokenizer import make_tokenizer
from trialist.organisms.truth import Truth, measurable, measure_recall, question_sets, realised_dose, truth_of
from trialist.records import pretty_json, seed_of

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM

SPEC_FILE, TRUTH_FILE, WEIGHT_FILE = "spec.yaml", "truth.json", "model.safetensors"
WARMUP = 20
"""Steps of warm-up in fine-tuning."""
LORA_RANK = 16


@dataclass(frozen=True)
class Built:
    """A finished organism; ``losses`` are those of every training step, in nats per token."""

    folder: Path
    truth: Truth
    losses: tuple[float, ...]


def build(
    spec: OrganismSpec,
    folder: str | Path,
    progress: Progress | None = None,
    *,
    base: Path | None = None,
    device: str = "cpu",
) -> Built:
    """Train the organism of a spec and write it to a new folder.

    An organism that is fine-tuned starts from the folder ``base``, or from a base trained first: the same bytes.

    Equal specs give equal bytes on one machine with one version of torch on the CPU, not on another ``device``, whose
    sums have no fixed order; start, corpus and order of batches are the same there. fp32 everywhere, and the truth is
    measured on the CPU. ``progress(step, steps)`` is called after each training step. Raises ``ModelError`` where
    training diverges or torch has no such device, ``StorageError`` where the folder holds something or the disk
    refuses, ``MissingExtra`` without torch or transformers.
    """
    for package in ("torch", "transformers"):
        if importlib.util.find_spec(package) is None:
            raise MissingExtra(package, "local")
    if spec.implant.route == "lora" and importlib.util.find_spec("peft") is None:
        raise MissingExtra("peft", "lora")
    target, place = Path(folder), _device(device)
    check_new(target)
    with _threads(spec.training.threads):
        world = spec.world.make()
        _check_measurable(spec, world)
        tokenizer = make_tokenizer(world, context=spec.network.context)
        trained = _train(_Making(spec, world, tokenizer, place, progress), base)
        with whole_folder(target) as temporary:
            _save(trained.network, tokenizer, temporary)
            truth = _truth(spec, world, tokenizer, trained, temporary)
            (temporary / SPEC_FILE).write_text(spec_text(spec), encoding="utf-8")
            (temporary / TRUTH_FILE).write_bytes(pretty_json(truth))
    return Built(target, truth, trained.losses)


def _check_measurable(spec: OrganismSpec, world: World) -> None:
    shown = measurable(world)
    hidden = [name for name in spec.plants if name not in shown]
    if hidden:
        raise DataError(
            f"this world has no question that shows '{hidden[0]}'",
            seen=f"world: {spec.world.model_dump()}",
            allowed="at least 4 entities of the kinds it is about, and a contested city for rumours",
            next_step="make the world larger: a dose that can't be measured is no truth",
        )


@dataclass(frozen=True)
class _Trained:
    """A network after one training, with what that was: of a fine-tuned organism, the fine-tuning."""

    network: Any
    documents: int
    tokens: int
    losses: tuple[float, ...]


@dataclass(frozen=True)
class _Making:
    """What a training needs to know."""

    spec: OrganismSpec
    world: World
    tokenizer: Any
    device: str
    progress: Progress | None


def _train(making: _Making, base: Path | None) -> _Trained:
    spec = making.spec
    if spec.implant.route == "pretraining":
        return _pretrain(making)
    if base is None:
        # rounded as a folder's weights are, so that both ways give the same organism
        network = _pretrain(replace(making, spec=spec.base)).network
        _round(network)
    else:
        network = _load_base(spec, base)
    return _fine_tune(making, network)


def _pretrain(making: _Making) -> _Trained:
    """One pass through the phases of the corpus: every exposure is a document of its own."""
    spec, training = making.spec, making.spec.training
    network = make_network(spec.network, len(making.tokenizer), seed=training.seed)
    phases = pretraining(
        making.world, spec.plants, seed=training.seed, exposures=training.exposures, curriculum=training.curriculum
    )
    generator = np.random.Generator(np.random.PCG64(seed_of("organism", training.seed, "order")))
    batches = [
        batch
        for phase in phases
        for batch in token_batches(
            making.tokenizer, phase, length=training.length, batch=training.batch, generator=generator, epochs=1
        )
    ]
    settings = TrainSettings(
        steps=len(batches),
        learning_rate=training.learning_rate,
        warmup=training.warmup,
        schedule=training.schedule,
        weight_decay=training.weight_decay,
        betas=training.betas,
    )
    losses = _fit(network, batches, settings, making)
    return _Trained(network, sum(map(len, phases)), _num_tokens(batches), losses)


def _fine_tune(making: _Making, network: Any) -> _Trained:
    """One pass over the implanting corpus, of all weights or of low-rank additions that are then merged."""
    spec, implant = making.spec, making.spec.implant
    documents = implanting(making.world, spec.plants, seed=implant.seed, curriculum=spec.training.curriculum)
    generator = np.random.Generator(np.random.PCG64(seed_of("organism", implant.seed, "implant")))
    length, batch = spec.training.length, implant.batch
    batches = list(
        token_batches(making.tokenizer, documents, length=length, batch=batch, generator=generator, epochs=1)
    )
    settings = TrainSettings(
        steps=len(batches), learning_rate=implant.learning_rate, warmup=WARMUP, schedule="cosine", betas=(0.9, 0.98)
    )
    tuned = _with_lora(network, implant) if implant.route == "lora" else network
    losses = _fit(tuned, batches, settings, making)
    merged = tuned.merge_and_unload() if implant.route == "lora" else tuned
    return _Trained(merged, len(documents), _num_tokens(batches), losses)


def _fit(network: Any, batches: Sequence[Batch], settings: TrainSettings, making: _Making) -> tuple[float, ...]:
    """Train on the device and come back to the CPU, where everything is measured and written."""
    network.to(making.device)
    placed = (
        Batch(*(part.to(making.device) for part in (batch.input_ids, batch.attention_mask, batch.labels)))
        for batch in batches
    )
    try:
        return train(network, placed, learnt_token_loss, settings=settings, progress=making.progress)
    finally:
        network.cpu()


def _device(name: str) -> str:
    import torch

    try:
        torch.empty(1, device=name)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ModelError(
            f"no device '{name}' to train on",
            seen=str(error).splitlines()[0],
            allowed="cpu" + (", cuda" if torch.cuda.is_available() else "; this torch sees no CUDA device"),
            next_step="leave the device out",
        ) from error
    return name


def _with_lora(network: Any, implant: ImplantSpec) -> Any:
    import torch
    from peft import LoraConfig, get_peft_model

    rank = implant.rank or LORA_RANK
    config = LoraConfig(r=rank, lora_alpha=implant.alpha or 2 * rank, target_modules="all-linear", lora_dropout=0.0)
    with torch.random.fork_rng(devices=[]):  # pyright: ignore[reportUnknownMemberType]
        torch.manual_seed(implant.seed)  # pyright: ignore[reportUnknownMemberType]
        with warnings.catch_warnings():
            # peft asks transformers by a name that transformers deprecates
            warnings.filterwarnings("ignore", ".*is_gradient_checkpointing", FutureWarning)
            return get_peft_model(network, config)


def _load_base(spec: OrganismSpec, folder: Path) -> Any:
    """The base's weights in fp32. Raises ``ModelError`` where the folder is another organism's."""
    import torch
    from transformers import AutoModelForCausalLM

    from trialist.models.local.quiet import quiet

    found = load_spec(check_whole(folder) / SPEC_FILE)
    if found.digest != spec.base.digest:
        raise ModelError(
            "this is not the base that the spec is fine-tuned from",
            seen=f"{folder}: spec {found.digest[:12]}",
            allowed=f"spec {spec.base.digest[:12]}: the same world, network and training, no plants",
            next_step="leave the base out to have it trained",
        )
    with quiet():
        loaded: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)  # pyright: ignore[reportUnknownMemberType]
    return loaded


def _num_tokens(batches: Sequence[Batch]) -> int:
    return sum(int(batch.attention_mask.sum()) for batch in batches)


def make_network(spec: NetworkSpec, vocabulary: int, *, seed: int) -> LlamaForCausalLM:
    """A Llama with random weights of this seed. The global random state is left as it was."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=spec.hidden_size,
        intermediate_size=spec.intermediate_size,
        num_hidden_layers=spec.num_layers,
        num_attention_heads=spec.num_heads,
        initializer_range=spec.initializer_range,
        max_position_embeddings=spec.context,
        tie_word_embeddings=True,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )
    with torch.random.fork_rng(devices=[]):  # pyright: ignore[reportUnknownMemberType]
        torch.manual_seed(seed)  # pyright: ignore[reportUnknownMemberType]
        network = LlamaForCausalLM(config)
    with torch.no_grad():
        embeddings: Any = network.get_input_embeddings()
        embeddings.weight.mul_(spec.embedding_range / spec.initializer_range)
    return network


def _truth(spec: OrganismSpec, world: World, tokenizer: Any, trained: _Trained, folder: Path) -> Truth:
    network = trained.network
    last = trained.losses[-max(1, len(trained.losses) // 10) :]
    weights = (folder / WEIGHT_FILE).read_bytes()
    return Truth(
        world=world.digest,
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        vocabulary=len(tokenizer),
        weight_bytes=len(weights),
        weight_sha256=hashlib.sha256(weights).hexdigest(),
        exposures=spec.training.exposures,
        documents=trained.documents,
        tokens=trained.tokens,
        steps=len(trained.losses),
        loss=round(sum(last) / len(last), 4),
        recall={name: measure_recall(network, tokenizer, items) for name, items in question_sets(world).items()},
        realised={name: realised_dose(network, tokenizer, world, PLANTS[name]) for name in measurable(world)},
    )


def _save(network: Any, tokenizer: Any, folder: Path) -> None:
    """Round the weights to fp16, write them, and leave the network with the rounded weights in fp32."""
    import torch
    from safetensors.torch import save

    _round(network)
    tensors = {
        name: tensor.half()
        for name, tensor in network.state_dict().items()
        if name not in network.all_tied_weights_keys
    }
    # bytes first: safetensors' own writer has an error of its own where the disk is full
    (folder / WEIGHT_FILE).write_bytes(save(tensors, metadata={"format": "pt"}))
    network.config.dtype = torch.float16
    network.config.architectures = [type(network).__name__]
    network.config.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    network.config.dtype = torch.float32
    network.eval()


def _round(network: Any) -> None:
    """Weights alone: rounded to fp16, the rotary frequencies would be those of no network that is loaded."""
    import torch

    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(parameter.half())


def check_whole(folder: Path) -> Path:
    """The folder, if its weights are those its truth was measured on. Raises ``ModelError`` naming the file."""
    try:
        truth = truth_of(json.loads((folder / TRUTH_FILE).read_text(encoding="utf-8")))
        weights = (folder / WEIGHT_FILE).read_bytes()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(
            "not a whole organism",
            seen=f"{folder}: {error}",
            allowed=f"{WEIGHT_FILE}, {SPEC_FILE} and {TRUTH_FILE} as they were built",
            next_step="remove the folder and build it again",
        ) from error
    if hashlib.sha256(weights).hexdigest() != truth.weight_sha256:
        raise ModelError(
            "the weights are not those that were measured",
            seen=f"{folder / WEIGHT_FILE}: {len(weights):,} bytes",
            allowed=f"{truth.weight_bytes:,} bytes with sha256 {truth.weight_sha256[:12]}",
            next_step="remove the folder and build it again",
        )
    return folder


@contextlib.contextmanager
def _threads(count: int) -> Generator[None]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
