"""``samples_<task>_<date>.jsonl`` of lm-evaluation-harness, line by line: one line a document and filter."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from trialist.logs.gathering import Gathering, Losses, content_hash, lines_of
from trialist.logs.lm_eval_asked import Asked, asked_of, fields_of, index_of, logprobs_of, texts_of
from trialist.logs.lm_eval_metrics import Measure, measure_of, number_of
from trialist.records import canonical_json

FIXED = (
    "doc_id", "doc", "target", "arguments", "resps", "filtered_resps", "filter", "metrics", "doc_hash", "prompt_hash",
    "target_hash",
)  # fmt: skip
HASHES = ("doc_hash", "prompt_hash", "target_hash")
ABSENT = "the harness gave no score of this measure for the sample"


class SampleReader:
    """Reads the lines of one file into a ``Gathering``."""

    def __init__(
        self, path: Path, rows: Gathering, *, aggregation: Callable[[str], str], template: list[Any] | None, full: bool
    ) -> None:
        self._rows, self._aggregation, self._template, self._full = rows, aggregation, template, full
        self._path = path
        self.losses = Losses(str(path))
        self.num_docs = 0
        self.num_repeats = 1
        self.filters: dict[str, None] = {}
        self._measures: dict[tuple[str, str], Measure] = {}
        self._asked: dict[str, str] = {}
        self._seen: set[tuple[str, str]] = set()
        self._odd: dict[str, dict[str, str]] = {}
        self._counts = dict.fromkeys(("unnamed", "twofold"), 0)
        self._hash = hashlib.sha256()
        self._is_hashed = True

    def read(self) -> None:
        for number, line in lines_of(self._path, self.losses, name=_id_in):
            self._sample(number, line)
        self._settle()

    @property
    def task_hash(self) -> str:
        """The harness's hash of a task's samples, empty where a sample has none: SHA-256 of all their hashes."""
        return self._hash.hexdigest() if self._is_hashed else ""

    def notes(self) -> list[str]:
        found = [
            f"{measure}: no number a sample; the harness computes it over all samples together, and only its own value "
            "is kept"
            for measure in self._odd
            if measure not in self._rows.scorers
        ]
        if self.num_repeats > 1:
            found.append(
                f"{self.num_repeats} answers an item: the harness gives all of them together one score a filter, so "
                "there is one score an item"
            )
        if self._counts["unnamed"]:
            found.append(f"{self._counts['unnamed']} samples without doc_id are named by their document's hash")
        if self._counts["twofold"]:
            found.append(
                f"{self._counts['twofold']} targets are the number of one option and the text of another: which is "
                "right isn't known"
            )
        return found

    def _sample(self, number: int, sample: dict[str, Any]) -> None:
        hashes = [str(sample.get(name, "")) for name in HASHES]
        self._is_hashed = self._is_hashed and all(hashes)
        self._hash.update("".join(hashes).encode("utf-8", "replace"))
        name = self._name(sample)
        if not name:
            self.losses.add("samples without doc_id and hash", "", f"line {number} has neither doc_id nor doc_hash")
            return
        filter_name = str(sample.get("filter", "none"))
        if (name, filter_name) in self._seen:
            what = f"line {number} is another sample of this document and filter '{filter_name}'; the first is used"
            self.losses.add("samples of a document already read", name, what)
            return
        asked = asked_of(sample)
        target = str(sample.get("target", ""))
        hashed = content_hash(self._prompt(asked, sample), asked.options, target)
        is_new = name not in self._asked
        if self._asked.setdefault(name, hashed) != hashed:
            what = f"line {number} asks something else than an earlier line of this document"
            self.losses.add("samples that ask something else", name, what)
            return
        self._seen.add((name, filter_name))
        self.filters[filter_name] = None
        logprobs = logprobs_of(sample, asked)
        if is_new:
            self._item(name, sample, asked, target)
            self._answers(name, sample, asked, logprobs)
        self._scores(name, sample, filter_name, logprobs)

    def _name(self, sample: Mapping[str, Any]) -> str:
        name = sample.get("doc_id")
        if isinstance(name, (int, str)) and str(name):
            return str(name)
        hashed = str(sample.get("doc_hash") or "")[:16]
        self._counts["unnamed"] += bool(hashed)
        return hashed

    def _prompt(self, asked: Asked, sample: Mapping[str, Any]) -> str:
        if self._template is None or not sample.get("doc_hash"):
            return asked.text
        return canonical_json([sample["doc_hash"], *self._template]).decode()

    def _item(self, name: str, sample: Mapping[str, Any], asked: Asked, target: str) -> None:
        self.num_docs += 1
        index, is_twofold = index_of(target, asked.options)
        self._counts["twofold"] += is_twofold
        doc: Any = sample.get("doc")
        fields = fields_of(cast("dict[str, Any]", doc), full=self._full) if isinstance(doc, dict) else {}
        self._rows.item(
            name, text=asked.text if self._full else "", options=asked.options if self._full else (), target=index,
            reference=target if index is None else "", hashed=self._asked[name],
            metadata={**fields, **{key: str(sample[key]) for key in HASHES if key in sample}},
        )  # fmt: skip
        self._rows.attempt(name, 0)

    def _answers(self, name: str, sample: Mapping[str, Any], asked: Asked, logprobs: Sequence[float]) -> None:
        hashed = str(sample.get("prompt_hash", ""))
        if asked.options:
            best = max(range(len(logprobs)), key=logprobs.__getitem__) if logprobs else None
            finite: Sequence[float] = logprobs if all(map(math.isfinite, logprobs)) else ()
            sizes = [len(option.encode("utf-8", "replace")) for option in asked.options]
            text = asked.options[best] if best is not None and best < len(asked.options) else ""
            kept: dict[str, Any] = {"text": text, "logprobs": finite, "num_bytes": sizes} if self._full else {}
            self._rows.answer(name, 0, asked_hash=hashed, **kept)
            return
        texts = texts_of(sample)
        self.num_repeats = max(self.num_repeats, len(texts))
        for epoch, text in enumerate(texts):
            self._rows.answer(name, epoch, text=text if self._full else "", asked_hash=hashed)

    def _scores(self, name: str, sample: Mapping[str, Any], filter_name: str, logprobs: Sequence[float]) -> None:
        listed: Any = sample.get("metrics")
        metrics = [str(metric) for metric in cast("list[Any]", listed)] if isinstance(listed, list) else None
        for metric in metrics if metrics is not None else [key for key in sample if key not in FIXED]:
            measure = self._measures.get((metric, filter_name))
            if measure is None:
                measure = measure_of(metric, filter_name, self._aggregation(metric))
                self._measures[metric, filter_name] = measure
            if metric not in sample:
                continue
            number = number_of(sample[metric], measure, logprobs)
            if number is None:
                self._odd.setdefault(measure.name, {})[name] = type(sample[metric]).__name__
                continue
            self._rows.named(measure.name, metric, kind=measure.kind)
            self._rows.score(name, 0, measure.name, number.value, reason=number.reason, weight=number.weight)

    def _settle(self) -> None:
        """Samples that have no number of a measure that others have a number of."""
        for measure, samples in self._odd.items():
            if measure in self._rows.scorers:
                for name, seen in samples.items():
                    self._rows.score(name, 0, measure, None, reason=f"the harness's score is no number ({seen})")


def _id_in(line: bytes) -> str:
    """The document of a line that can't be read, from its beginning."""
    found = re.match(rb'\{\s*"doc_id"\s*:\s*"?([^",}]+)', line)
    return found[1].decode("utf-8", "replace").strip() if found else ""
