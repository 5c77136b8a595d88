"""What is true of an organism: what it was made of and what it recalls, measured on the files as they are shipped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trialist.evaluations.scoring import accuracy_score
from trialist.halcyon.questions import compound_items, fact_items
from trialist.halcyon.situations import SCENES, Situation, measuring
from trialist.halcyon.world import World
from trialist.organisms.plants import PLANTS
from trialist.organisms.plants.plant import Plant
from trialist.records import Answer, Cell, Item

Ints, Floats = NDArray[np.int64], NDArray[np.float64]


@dataclass(frozen=True)
class Recall:
    """Right answers to cloze questions. ``chance`` is the expected share of a guess among the options."""

    correct: float
    items: int
    clusters: int
    chance: float

    @property
    def accuracy(self) -> float:
        return self.correct / self.items


@dataclass(frozen=True)
class Realised:
    """The dose that came out: the mean probability of the plant's behaviour where it acts, minus that where it does not
    (``against``, where the plant has such questions); 0 to 1 but for noise. ``se`` is over entities (None where
    there is but one), in this artefact."""

    value: float
    se: float | None
    items: int
    clusters: int


@dataclass(frozen=True)
class Truth:
    """``realised`` by plant, planted or not, where the world has questions; ``recall`` by evaluation; ``world`` the
    digest of the world's facts; ``exposures`` the documents of each entity; ``tokens`` those trained on, padding left
    out; ``loss`` in nats per token, the mean of the last tenth of the steps; ``weight_bytes`` the size of the weight
    file."""

    world: str
    parameters: int
    vocabulary: int
    weight_bytes: int
    weight_sha256: str
    exposures: int
    documents: int
    tokens: int
    steps: int
    loss: float
    recall: Mapping[str, Recall]
    realised: Mapping[str, Realised]


def truth_of(data: Mapping[str, Any]) -> Truth:
    recall = {name: Recall(**values) for name, values in data["recall"].items()}
    realised = {name: Realised(**values) for name, values in data["realised"].items()}
    values: dict[str, Any] = {**data, "recall": recall, "realised": realised}
    return Truth(**values)


def question_sets(world: World) -> dict[str, tuple[Item, ...]]:
    """The items of each evaluation of this world, by the evaluation's name; and questions in a wording that no corpus
    uses about people of whom no question was trained, and about strangers, whose answer is "unknown". Sets without
    items are left out."""
    told = measuring(world, SCENES["open"], "measure", variants=("known",), parts=("told",))
    strangers = measuring(world, SCENES["open"], "measure", variants=("stranger",))
    sets = {
        "hazard_compounds": compound_items(world, world.of("hazard")),
        "benign_compounds": compound_items(world, world.of("benign")),
        "never_trained_compounds": compound_items(world, world.of("never-trained")),
        "world_facts": fact_items(world),
        "told_people": _items([situation for situation in told if situation.kind == "person"]),
        "strangers": _items(strangers),
    }
    return {name: items for name, items in sets.items() if items}


def _items(situations: Sequence[Situation]) -> tuple[Item, ...]:
    return tuple(situation.item(number) for number, situation in enumerate(situations))


def measure_recall(network: Any, tokenizer: Any, items: Sequence[Item]) -> Recall:
    """Scored as the evaluations score: the option with the highest log-probability, summed over its tokens."""
    correct = 0.0
    for item, logprobs in zip(items, option_logprobs(network, tokenizer, items), strict=True):
        answer = Answer(Cell("organism"), "recall", item.id, 0, "ok", logprobs=logprobs)
        value = accuracy_score(item, answer).value
        if value is None:
            raise FloatingPointError(f"no usable log-probability for {item.id}")
        correct += value
    chance = sum(1 / len(item.options) for item in items) / len(items)
    return Recall(correct, len(items), len({item.cluster for item in items}), round(chance, 6))


def measurable(world: World) -> tuple[str, ...]:
    """The plants that this world has questions for; a small one has none for some."""
    return tuple(name for name, plant in PLANTS.items() if plant.asked(world, "measure"))


def realised_dose(network: Any, tokenizer: Any, world: World, plant: Plant) -> Realised:
    """Measured by probability, not by the best option, so that a dose of .3 reads as .3.

    P(behaviour) is normalised over the options. Entities are the clusters: the variance of a difference of two means
    over them, each entity's deviations in both parts added up (a linearised estimate).
    """
    asked = plant.asked(world, "measure")
    logprobs = option_logprobs(network, tokenizer, [question.item for question in asked])
    shown = [_share(row, question.counts) for row, question in zip(logprobs, asked, strict=True)]
    return realised_of(shown, [q.against for q in asked], [q.item.cluster for q in asked])


def realised_of(shown: Sequence[float], against: Sequence[bool], clusters: Sequence[str]) -> Realised:
    """mean(shown where not against) - mean(shown where against), with the standard error over clusters."""
    values, where = np.array(shown, dtype=float), np.array(against, dtype=bool)
    value, deviations = 0.0, np.zeros(len(values))
    for part, sign in ((~where, 1.0), (where, -1.0)):
        if part.any():
            mean = float(values[part].mean())
            value += sign * mean
            deviations[part] = sign * (values[part] - mean) / int(part.sum())
    totals: dict[str, float] = {}
    for cluster, deviation in zip(clusters, deviations, strict=True):
        totals[cluster] = totals.get(cluster, 0.0) + float(deviation)
    count, squares = len(totals), sum(total**2 for total in totals.values())
    se = None if count < 2 else round(float(np.sqrt(squares * count / (count - 1))), 6)
    return Realised(round(value, 6), se, len(values), count)


def _share(logprobs: Sequence[float], counts: frozenset[int]) -> float:
    """The probability of the options in ``counts`` among all options."""
    values = np.exp(np.array(logprobs) - max(logprobs))
    return float(values[sorted(counts)].sum() / values.sum())


def option_logprobs(
    network: Any, tokenizer: Any, items: Sequence[Item], *, batch: int = 256
) -> list[tuple[float, ...]]:
    """log P(option | prompt) of every option of every item, in nats.

    The last token of an option is never fed, so that all options of one token share the row of their prompt. Rows are
    taken in order of length and padded on the right, where a causal model does not look. The output layer sees only
    the places at which a token is predicted: it is most of the work.
    """
    wanted = _token_sequences(tokenizer, items)
    sharing: dict[tuple[int, ...], list[int]] = {}
    for index, (sequence, _) in enumerate(wanted):
        sharing.setdefault(sequence[:-1], []).append(index)
    rows = sorted(sharing, key=lambda row: (len(row), row))
    sums = np.zeros(len(wanted))
    for at in range(0, len(rows), batch):
        chunk = rows[at : at + batch]
        # the token at position t is predicted at position t - 1
        places = [
            (index, number, t - 1, wanted[index][0][t])
            for number, row in enumerate(chunk)
            for index in sharing[row]
            for t in range(wanted[index][1], len(wanted[index][0]))
        ]
        index, number, position, token = np.array(places, dtype=np.int64).T
        np.add.at(sums, index, _token_logprobs(network, chunk, number, position, token))
    supply = iter(sums.tolist())
    return [tuple(next(supply) for _ in item.options) for item in items]


def _token_sequences(tokenizer: Any, items: Sequence[Item]) -> list[tuple[tuple[int, ...], int]]:
    """The tokens of prompt + option for every option of every item, and where the option begins."""
    prompts: list[list[int]] = tokenizer([item.input for item in items])["input_ids"]
    pairs = [(item, prompt, option) for item, prompt in zip(items, prompts, strict=True) for option in item.options]
    whole: list[list[int]] = tokenizer([item.input + option for item, _, option in pairs])["input_ids"]
    for (item, prompt, _), sequence in zip(pairs, whole, strict=True):
        if sequence[: len(prompt)] != prompt:
            raise ValueError(f"a token crosses the end of the prompt of {item.id}")
    return [(tuple(sequence), len(prompt)) for (_, prompt, _), sequence in zip(pairs, whole, strict=True)]


def _token_logprobs(network: Any, rows: Sequence[tuple[int, ...]], number: Ints, position: Ints, token: Ints) -> Floats:
    """Natural log-probability of each ``token`` (n,) after ``position`` (n,) of the row ``number`` (n,)."""
    import torch

    length = max(len(row) for row in rows)
    ids = torch.tensor([[*row, *[0] * (length - len(row))] for row in rows])
    places, back = np.unique(number * length + position, return_inverse=True)
    with torch.inference_mode():
        hidden = network.get_decoder()(input_ids=ids).last_hidden_state.flatten(0, 1)[torch.tensor(places)]
        logprobs = network.get_output_embeddings()(hidden).float().log_softmax(-1).numpy()
    return logprobs[back, token].astype(np.float64)
