"""What the harness says of one sample by one metric -> a number a sample, where there is one.

Most metrics are a number a sample and their mean. Others are computed over all samples together from what each sample
gives. Where that is a mean of something (a log-likelihood, a weighted rate, a Brier score) the something is the score;
where it isn't (F1, MCC, BLEU, chrF, TER, all-correct) there is no score a sample, and the harness's number is all.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from trialist.records import ValueKind

AGGREGATIONS: Mapping[str, str] = {
    "acc": "mean", "acc_norm": "mean", "acc_bytes": "mean", "acc_mutual_info": "mean", "exact_match": "mean",
    "acc_all": "acc_all", "perplexity": "perplexity", "word_perplexity": "weighted_perplexity",
    "byte_perplexity": "weighted_perplexity", "bits_per_byte": "bits_per_byte", "brier_score": "brier_score",
    "f1": "f1", "mcc": "matthews_corrcoef", "bleu": "bleu", "chrf": "chrf", "chrf++": "chrf++", "ter": "ter",
    "bypass": "bypass",
}  # fmt: skip
"""How lm_eval 0.4.13 aggregates a metric that its task says nothing of (``lm_eval/api/metrics.py``)."""

RENAMED: Mapping[str, str] = {
    "perplexity": "loglikelihood",
    "word_perplexity": "loglikelihood_per_word",
    "byte_perplexity": "loglikelihood_per_byte",
}
"""What a sample gives isn't the metric: the measure has the name of what it is."""


@dataclass(frozen=True)
class Number:
    """A score of one sample; ``value`` None with the ``reason``."""

    value: float | None
    weight: float = 1.0
    reason: str = ""


@dataclass(frozen=True)
class Measure:
    """``name`` in the scores; ``kind`` where it is known whatever the values."""

    name: str
    metric: str
    aggregation: str
    kind: ValueKind | None = None


def measure_of(metric: str, filter_name: str, aggregation: str) -> Measure:
    """The measure of a metric after a filter: "acc", or "exact_match[strict-match]" where a filter has a name."""
    shown = RENAMED.get(metric, metric) if aggregation in ("perplexity", "weighted_perplexity") else metric
    name = shown if filter_name == "none" else f"{shown}[{filter_name}]"
    real = aggregation in ("perplexity", "weighted_perplexity", "bits_per_byte", "brier_score")
    return Measure(name, metric, aggregation, "real" if real else None)


def number_of(value: Any, measure: Measure, logprobs: Sequence[float]) -> Number | None:
    """The score of a sample, None where what it gives is no number.

    perplexity: log-likelihood l. weighted_perplexity: l/n, weight n (words or bytes), whose weighted mean is
    -log(perplexity). bits_per_byte: -l/(n log 2), weight n. brier_score: sum over options of (p - [option is right])^2,
    p the softmax of ``logprobs``. Any other metric: its own number.
    """
    pair = cast("list[Any]", value) if isinstance(value, list) and len(cast("list[Any]", value)) == 2 else None
    if measure.aggregation in ("weighted_perplexity", "bits_per_byte"):
        return _rate(pair, bits=measure.aggregation == "bits_per_byte")
    if measure.aggregation == "brier_score" and pair is not None:
        return _brier(pair[0], logprobs)
    if value is None:
        return Number(None, reason="the harness gave no score")
    if not isinstance(value, (int, float)):
        return None
    return _finite(value)


def _finite(value: float, weight: float = 1.0) -> Number:
    try:
        value = float(value)
    except OverflowError:
        return Number(None, weight, "the harness's score is too large to be a number")
    if not math.isfinite(value):
        return Number(None, weight, f"the harness's score is {value}")
    return Number(value, weight)


def _rate(pair: list[Any] | None, *, bits: bool) -> Number | None:
    if pair is None or not all(isinstance(part, (int, float)) for part in pair):
        return None
    total, size = float(pair[0]), float(pair[1])
    if size <= 0:
        return Number(None, reason="a text of no length")
    return _finite(-total / size / math.log(2) if bits else total / size, size)


def _brier(gold: Any, logprobs: Sequence[float]) -> Number | None:
    if not isinstance(gold, int) or not 0 <= gold < len(logprobs):
        return None
    top = max(logprobs)
    if not math.isfinite(top):
        return Number(None, reason=f"the highest log-probability is {top}")
    masses = [math.exp(logprob - top) for logprob in logprobs]
    return _finite(sum((mass / sum(masses) - (i == gold)) ** 2 for i, mass in enumerate(masses)))
