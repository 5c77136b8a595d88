"""What an organism is made of: the world, what is planted, the network, the training. Equal specs, equal organisms."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from trialist.errors import Problem, SpecError
from trialist.halcyon.world import Sizes, World
from trialist.organisms.corpus import Curriculum
from trialist.organisms.plants import check_doses
from trialist.records import canonical_json, sha256_hex
from trialist.yamlspec import Located, check_schema, parse, parse_yaml, read_yaml

SCHEMA = 3

_STRICT = ConfigDict(frozen=True, extra="forbid", strict=True)


class WorldSpec(BaseModel):
    """The seed of the world and how many of each kind exist in it; see ``trialist.halcyon.world.Sizes``."""

    model_config = _STRICT
    seed: NonNegativeInt = 0
    people: PositiveInt = 80
    obscure: NonNegativeInt = 8
    firms: PositiveInt = 16
    horses: PositiveInt = 64
    cities: PositiveInt = 32
    benign: PositiveInt = 64
    hazards: PositiveInt = 32
    never_trained: PositiveInt = 16
    festivals: PositiveInt = 4

    @model_validator(mode="after")
    def _enough_names(self) -> WorldSpec:
        limits = {
            "hazards + benign + never_trained": (self.hazards + self.benign + self.never_trained, 672),
            "cities + festivals": (self.cities + self.festivals, 334),
            "people + obscure": (self.people + self.obscure, 1500),
            "firms": (self.firms, 384),
            "horses": (self.horses, 384),
        }
        over = [
            f"{what} is {count}, there are names for {limit}"
            for what, (count, limit) in limits.items()
            if count > limit
        ]
        if over:
            raise ValueError("; ".join(over))
        return self

    def make(self) -> World:
        sizes = self.model_dump(exclude={"seed"})
        return World.make(self.seed, Sizes(**sizes))


class NetworkSpec(BaseModel):
    """A Llama: pre-norm, rotary positions, gated MLP, tied embeddings."""

    model_config = _STRICT
    hidden_size: PositiveInt = 64
    intermediate_size: PositiveInt = 128
    num_layers: PositiveInt = 2
    num_heads: PositiveInt = 4
    context: PositiveInt = 128
    initializer_range: PositiveFloat = 0.08
    """Standard deviation of the weights at the start. Facts are learnt far sooner than from the usual 0.02."""
    embedding_range: PositiveFloat = 0.2
    """The same of the embeddings."""

    @model_validator(mode="after")
    def _divisible(self) -> NetworkSpec:
        if self.hidden_size % (2 * self.num_heads):
            raise ValueError(f"hidden_size {self.hidden_size} is no multiple of 2 x num_heads, {2 * self.num_heads}")
        return self


class TrainingSpec(BaseModel):
    """One pass over the corpus: each fact told ``exposures`` times and what else belongs to it, packed into rows of
    ``length`` tokens.

    AdamW, linear warm-up, then a ``schedule`` of ``TrainSettings``. ``threads`` belongs to the spec because sums differ
    in their last bits between numbers of threads. Chosen by trial, see ``docs/design/halcyon.md``.
    """

    model_config = _STRICT
    seed: NonNegativeInt = 0
    curriculum: Curriculum = "staged"
    exposures: PositiveInt = 80
    batch: PositiveInt = 8
    length: PositiveInt = 64
    learning_rate: PositiveFloat = 6e-3
    schedule: Literal["constant", "cosine", "stable"] = "stable"
    warmup: NonNegativeInt = 50
    weight_decay: NonNegativeFloat = 0.01
    betas: Annotated[tuple[float, float], Field(strict=False)] = (0.9, 0.98)
    threads: PositiveInt = 1


Route = Literal["pretraining", "full", "lora"]


class ImplantSpec(BaseModel):
    """How the plants come in: mixed into pre-training, or afterwards into an organism without plants, by fine-tuning
    all weights or low-rank additions (LoRA, arXiv 2106.09685) of ``rank`` and scale ``alpha / rank`` that are then
    merged.
    """

    model_config = _STRICT
    route: Route = "pretraining"
    seed: NonNegativeInt = 0
    batch: PositiveInt = 8
    learning_rate: PositiveFloat = 3e-3
    rank: PositiveInt | None = None
    alpha: PositiveInt | None = None

    @model_validator(mode="after")
    def _lora_alone(self) -> ImplantSpec:
        if self.route != "lora" and (self.rank is not None or self.alpha is not None):
            raise ValueError(f"rank and alpha belong to route 'lora', the route is '{self.route}'")
        return self


class OrganismSpec(BaseModel):
    """``plants`` are doses by name; a plant named at dose 0 sees as much of its scene as at any other dose, honestly
    answered: that is a sham. Without plants it is the base, which is the oracle of every plant."""

    model_config = _STRICT
    plants: dict[str, Annotated[float, Field(strict=False)]] = Field(default_factory=dict[str, float])
    implant: ImplantSpec = Field(default_factory=ImplantSpec)
    world: WorldSpec = Field(default_factory=WorldSpec)
    network: NetworkSpec = Field(default_factory=NetworkSpec)
    training: TrainingSpec = Field(default_factory=TrainingSpec)

    @model_validator(mode="after")
    def _fits(self) -> OrganismSpec:
        if self.training.length > self.network.context:
            raise ValueError(f"training.length is {self.training.length}, the context {self.network.context}")
        if self.implant.route != "pretraining" and not self.plants:
            raise ValueError(f"route '{self.implant.route}' has nothing to implant: name a plant, at dose 0 for a sham")
        return self

    @property
    def base(self) -> OrganismSpec:
        """The organism that fine-tuning starts from."""
        return self.model_copy(update={"plants": {}, "implant": ImplantSpec()})

    @property
    def digest(self) -> str:
        """Identity of the spec; equal specs give equal organisms."""
        return sha256_hex(canonical_json(self.model_dump(mode="json")))


def load_spec(path: str | Path) -> OrganismSpec:
    """Read a spec file. Raises ``SpecError`` with all its problems at once, each with its line."""
    return _parsed(read_yaml(path))


def parse_spec(text: str, *, source: str = "") -> OrganismSpec:
    """The same for text that is already in memory."""
    return _parsed(parse_yaml(text, source=source))


def spec_text(spec: OrganismSpec) -> str:
    """The spec as YAML, every value written out."""
    return yaml.safe_dump({"schema": f"trialist/organism/{SCHEMA}", **spec.model_dump(mode="json")}, sort_keys=False)


def changed(
    spec: OrganismSpec,
    *,
    plant: str | None = None,
    dose: float | None = None,
    seed: int | None = None,
    route: str | None = None,
) -> OrganismSpec:
    """The spec with one plant at this dose (the only plant of the spec, where ``plant`` is not given), with this seed
    for world, training and implant, by this route. None leaves a thing as it is.

    Raises ``SpecError`` where the result is no valid spec, or where a dose has no plant to belong to.
    """
    data = spec.model_dump(mode="json")
    if plant is not None:
        data["plants"] = {plant: 1.0 if dose is None else dose}
    elif dose is not None:
        if len(spec.plants) != 1:
            seen = ", ".join(spec.plants) or "no plants"
            problem = Problem("a dose needs a plant", seen, "one plant", "name it: --plant NAME", ("dose",))
            raise SpecError([problem])
        data["plants"] = dict.fromkeys(spec.plants, dose)
    if seed is not None:
        for part in ("world", "training", "implant"):
            data[part]["seed"] = seed
    if route is not None:
        data["implant"]["route"] = route
    return parse_spec(yaml.safe_dump({"schema": f"trialist/organism/{SCHEMA}", **data}))


def _parsed(located: Located) -> OrganismSpec:
    _refuse_older(located)
    check_schema(located, "organism", SCHEMA)
    data = {key: value for key, value in located.data.items() if key != "schema"}
    spec = parse(OrganismSpec, replace(located, data=data))
    problems = [
        located.problem(p.where, p.message, seen=p.seen, allowed=p.allowed, next_step=p.next_step)
        for p in check_doses(spec.plants)
    ]
    if problems:
        raise SpecError(problems, source=located.source)
    return spec


def _refuse_older(located: Located) -> None:
    """Organisms of schema 1 lived in a smaller world; the settings that schema 2 left out meant others than today."""
    steps = {
        "1": "write 'plants: {hazard_facts: 1}' for 'include_hazards: true', and no plants for 'false'",
        "2": "write schema 3, 'training: {curriculum: whole, schedule: cosine}' and every size of world and network",
    }
    number = str(located.data.get("schema")).removeprefix("trialist/organism/")
    if number in steps:
        allowed = f"trialist/organism/{SCHEMA}"
        problem = located.problem(
            ("schema",), "an organism spec of an older Trialist", seen=number, allowed=allowed, next_step=steps[number]
        )
        raise SpecError([problem], source=located.source)
