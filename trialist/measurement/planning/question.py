"""What is asked of a plan: the design, the effect, and how sure one wants to be."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from trialist.errors import MeasurementUndefined
from trialist.measurement.interval import check_share
from trialist.measurement.planning.search import check_amount, check_num, check_power, check_rate
from trialist.records import Side

Situation = Literal["binary", "graded", "paired binary", "paired graded"]


@dataclass(frozen=True)
class Question:
    """A claim (``side`` and ``threshold``) or, without them, a comparison of two conditions on the same items.

    ``effect``: for a claim the true rate, mean or difference; for a comparison the true difference.
    ``power``: what is wanted. ``confidence``: of a claim's one-sided bound, or the level of a comparison's interval.
    Size: two of ``num_items``, ``num_clusters`` and ``cluster_size``; the items alone mean clusters of one.
    ``sd``: standard deviation over items of a graded score, for pairs of the difference; ``discordant``: the share of
    items on which two conditions with binary outcomes disagree. ``epochs``: answers averaged for each item, of whose
    single-answer variance ``epoch_share`` is noise between epochs. ``low`` and ``high``: range of a graded score.
    ``sequential``: the gate looks after every item and stops when decided; ``num_items`` is then the most it takes.
    ``seed`` and ``repetitions`` are those of the simulation, where one is needed.
    """

    situation: Situation
    side: Side | None = None
    threshold: float | None = None
    effect: float | None = None
    num_items: int | None = None
    num_clusters: int | None = None
    cluster_size: int | None = None
    icc: float = 0.0
    power: float = 0.8
    confidence: float = 0.95
    sd: float | None = None
    discordant: float | None = None
    epochs: int = 1
    epoch_share: float = 0.0
    low: float = 0.0
    high: float = 1.0
    sequential: bool = False
    seed: int = 0
    repetitions: int = 400

    @property
    def paired(self) -> bool:
        return self.situation.startswith("paired")

    @property
    def binary(self) -> bool:
        return self.situation.endswith("binary")

    @property
    def size(self) -> int:
        """Items a cluster, once ``checked``."""
        return self.cluster_size or 1


def checked(question: Question) -> Question:
    """The question with its size filled in.

    Raises MeasurementUndefined for values outside their ranges and for parts that contradict each other.
    """
    check_power(question.power)
    check_share("confidence", question.confidence)
    check_rate("the intraclass correlation", question.icc)
    check_rate("the epochs' share of the variance", question.epoch_share)
    check_num("the number of epochs", question.epochs)
    check_num("the number of repetitions", question.repetitions, 10)
    question = _sized(question)
    _check_spread(question)
    if question.side is None:
        _check_comparison(question)
    else:
        _check_claim(question)
    return question


def _sized(question: Question) -> Question:
    items, clusters, size = question.num_items, question.num_clusters, question.cluster_size
    for name, value in (("items", items), ("clusters", clusters)):
        if value is not None:
            check_num(f"the number of {name}", value)
    if size is not None:
        check_num("the cluster size", size)
    if question.icc > 0 and not (size or (items and clusters)):
        raise MeasurementUndefined(
            "a correlation within clusters needs to know how large they are",
            seen=f"icc {question.icc:g}, cluster size unknown",
            allowed="a cluster size, or both numbers of items and of clusters",
            next_step="give the cluster size; 1 means independent items, where icc is 0",
        )
    if items and clusters:
        if items < clusters or items % clusters or (size and size * clusters != items):
            raise MeasurementUndefined(
                "items, clusters and cluster size contradict each other",
                seen=f"{items:,} items in {clusters:,} clusters" + (f" of {size:,}" if size else ""),
                allowed="items = clusters x cluster size: plans are for clusters of one size",
                next_step="give two of the three, the mean size rounded up where sizes differ",
            )
        size = items // clusters
    size = size or 1
    if items and items % size:
        raise MeasurementUndefined(
            "the items don't fill their clusters", seen=f"{items:,} items, {size:,} a cluster",
            allowed=f"{items - items % size or size:,} or {items - items % size + size:,}",
        )  # fmt: skip
    if size == 1 and question.icc > 0:
        raise MeasurementUndefined(
            "clusters of one item have no correlation within them", seen=f"icc {question.icc:g}", allowed="icc 0",
            next_step="give a larger cluster size, or leave the correlation out",
        )  # fmt: skip
    if clusters is None and items is not None:
        clusters = items // size
    return replace(question, cluster_size=size, num_clusters=clusters, num_items=clusters * size if clusters else None)


def _check_spread(question: Question) -> None:
    if question.binary:
        if question.sd is not None:
            raise MeasurementUndefined(
                "a binary score has no standard deviation of its own", seen=f"sd {question.sd:g}",
                next_step="leave it out, or plan for a graded score",
            )  # fmt: skip
        if question.paired:
            if question.discordant is None:
                raise MeasurementUndefined(
                    "a paired plan needs to know how often the two conditions disagree",
                    seen="no discordant share",
                    next_step="give the discordant share, from a pilot run; without any idea, .1 to .2 is common",
                )
            check_rate("the discordant share", question.discordant)
    else:
        if question.sd is None:
            raise MeasurementUndefined(
                "a graded plan needs the scores' standard deviation", seen="no sd",
                next_step="give the standard deviation over items, for pairs that of the difference",
            )  # fmt: skip
        check_amount("the standard deviation", question.sd, zero=False)
    if question.discordant is not None and question.situation != "paired binary":
        raise MeasurementUndefined(
            "a discordant share belongs to pairs of binary outcomes",
            seen=f"{question.discordant:g}, {question.situation}",
        )


def _check_comparison(question: Question) -> None:
    if question.threshold is not None or question.sequential:
        raise MeasurementUndefined(
            "a threshold or a sequential gate needs a claim", next_step="say below or above what"
        )
    if not question.paired:
        raise MeasurementUndefined(
            "one rate alone has no power: nothing is decided about it", seen=question.situation,
            next_step="state a claim, such as below .01, or a difference of two conditions",
        )  # fmt: skip
    if question.effect == 0:
        raise MeasurementUndefined(
            "a difference of 0 can't be seen by any number of items", seen="0", allowed="the smallest that would matter"
        )
    if question.epochs > 1 and question.epoch_share == 0:
        raise MeasurementUndefined(
            "epochs help only against noise between epochs, and there is none in this plan",
            seen=f"{question.epochs} epochs, epoch share 0",
            allowed="an epoch share above 0 and up to 1, or one epoch",
            next_step="give the share of an answer's variance that differs between epochs of one item",
        )
    if question.binary and question.effect is not None and question.discordant is not None:
        _check_difference(question.effect, question.discordant)


def _check_claim(question: Question) -> None:
    low, high = (-1.0, 1.0) if question.situation == "paired binary" else (question.low, question.high)
    if question.binary and not question.paired:
        low, high = 0.0, 1.0
    threshold, effect = question.threshold, question.effect
    if threshold is None or not low < threshold < high:
        raise MeasurementUndefined(
            "a claim needs a threshold inside the range of the score", seen=str(threshold),
            allowed=f"between {low:g} and {high:g}",
        )  # fmt: skip
    if question.epochs > 1 or question.epoch_share > 0:
        raise MeasurementUndefined(
            "a plan for a claim counts items and not epochs", seen=f"{question.epochs} epochs",
            next_step="leave the epochs out: give a graded score with the sd of its item means",
        )  # fmt: skip
    if question.sequential and (question.situation != "binary" or question.size > 1 or question.side != "below"):
        raise MeasurementUndefined(
            "the sequential gate is planned for one rate of independent items, claimed to be below a threshold",
            seen=f"{question.situation}, clusters of {question.size}, {question.side}",
        )
    if effect is None:
        return
    if not low <= effect <= high:
        raise MeasurementUndefined(
            "the true value lies outside its range", seen=f"{effect:g}", allowed=f"{low:g} to {high:g}"
        )
    if effect >= threshold if question.side == "below" else effect <= threshold:
        raise MeasurementUndefined(
            f"no sample shows a value {question.side} {threshold:g} if the true one isn't",
            seen=f"true value {effect:g}",
            allowed=f"a true value {question.side} {threshold:g}",
            next_step="plan for the value that you expect, and put the threshold beyond it",
        )
    if question.situation == "paired binary" and question.discordant is not None:
        _check_difference(effect, question.discordant)


def _check_difference(difference: float, discordant: float) -> None:
    if abs(difference) > discordant:
        raise MeasurementUndefined(
            "a difference can't be larger than the share of items that differ",
            seen=f"difference {difference:g}, discordant {discordant:g}",
            allowed=f"-{discordant:g} to {discordant:g}",
            next_step="raise the discordant share or lower the difference",
        )
