"""A model as a judge of stored answers: each prompt is asked once, and what was said is kept in a journal.

The judge is asked for log P(" yes") and log P(" no") after a prompt made from question, target and answer. A judge
errs: its scores alone carry no claim (``measurement.judged``), and an answer can try to talk to it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from trialist.errors import ModelError, Problem, SpecError
from trialist.evaluations.judge_journal import Verdict, append, opened
from trialist.evaluations.text_scorers import targets_of, why_unread
from trialist.models.protocol import Choose, Failure, Keyed, Model, Reply, Request
from trialist.records import Answer, Item, Score, ScorerKind, canonical_json, seed_of, sha256_hex

TEMPLATE = """\
Grade an answer to a question.

Question:
{question}

Right answer:
{target}

Answer to be graded, between the lines:
-----
{answer}
-----

Does the answer to be graded give the right answer? Say yes or no.
Verdict:"""
OPTIONS = (" yes", " no")
LEAST_MASS = 0.01
"""Least probability of " yes" and " no" together: below it the judge says something else, and that is no verdict."""
NAMES = ("question", "target", "answer")

Progress = Callable[[int, int], None]
"""Called with the number of different prompts judged and to judge."""


@dataclass(frozen=True)
class Judge:
    """Raises SpecError for a template without ``{answer}`` or with another name in braces, ModelError for a model that
    can't choose."""

    name: str
    model: Model
    template: str = TEMPLATE

    def __post_init__(self) -> None:
        if "choose" not in self.model.abilities:
            raise ModelError(
                f"{self.name} can't judge", seen=", ".join(sorted(self.model.abilities)) or "no ability",
                allowed="a model that gives log-probabilities of options",
            )  # fmt: skip
        used = re.findall(r"\{(\w+)\}", self.template)
        unknown = [name for name in used if name not in NAMES]
        if unknown or "answer" not in used:
            seen = f"{{{unknown[0]}}}" if unknown else "no {answer}"
            allowed = ", ".join(f"{{{name}}}" for name in NAMES)
            raise SpecError([Problem("a template that can't be filled in", seen, allowed, "docs/logs/rescore.md")])

    @property
    def version(self) -> str:
        """Changes with whatever could change a verdict: the model, the template, the rule."""
        return sha256_hex(canonical_json([self.model.digest, self.template, OPTIONS, LEAST_MASS]))[:12]

    def prompt(self, item: Item, answer: Answer) -> str:
        """The template filled in at once, so that braces in an answer stay text."""
        values = {"question": item.input, "target": " or ".join(targets_of(item)), "answer": answer.text}
        return re.sub(r"\{(question|target|answer)\}", lambda match: values[match[1]], self.template)

    def settled(self, item: Item, answer: Answer) -> tuple[float | None, str] | None:
        """What needs no judge: an answer that can't be read, an item without the target that the template asks for, and
        an empty answer where there is a right one. None: the judge is to be asked."""
        if reason := why_unread(answer):
            return None, reason
        if "{target}" not in self.template:
            return None
        if not any(target.strip() for target in targets_of(item)):
            return None, "the item has no target text"
        return None if answer.text.strip() else (0.0, "empty answer")


@dataclass(frozen=True)
class Judged:
    """The verdicts as a scorer for ``rescoring.rescore``."""

    judge: Judge
    verdicts: Mapping[str, Verdict]

    kind: ScorerKind = "judge"

    @property
    def name(self) -> str:
        return self.judge.name

    @property
    def version(self) -> str:
        return self.judge.version

    def score(self, item: Item, answer: Answer, measure: str) -> Score:
        settled = self.judge.settled(item, answer)
        if settled is None:
            verdict = self.verdicts[_key(self.judge.prompt(item, answer))]
            settled = (verdict.value, verdict.reason)
        return Score(measure, settled[0], "binary", self.name, self.version, self.kind, reason=settled[1])


def judged(
    judge: Judge, pairs: Iterable[tuple[Item, Answer]], journal: Path, progress: Progress | None = None
) -> Judged:
    """Ask the judge about every pair that needs it; equal prompts are asked once, and verdicts in ``journal`` are not
    asked for again. The journal grows with every verdict, so that a killed run goes on where it was.

    Raises RunFolderError where the journal is another judge's or in use, StorageError where it can't be written.
    """
    prompts = {
        _key(prompt): prompt
        for item, answer in pairs
        if judge.settled(item, answer) is None
        for prompt in [judge.prompt(item, answer)]
    }
    with opened(journal, judge.version) as (stream, known):
        verdicts = {key: verdict for key, verdict in known.items() if key in prompts}
        todo = [Keyed[Request](key, seed_of("judge", key), Choose(prompt, OPTIONS))
                for key, prompt in prompts.items() if key not in verdicts]  # fmt: skip
        done = len(verdicts)
        for reply in judge.model.answer(todo):
            verdict = verdict_of(reply.value)
            verdicts[reply.key] = verdict
            if not verdict.failed:
                append(stream, reply.key, verdict, journal)
            done += 1
            if progress is not None:
                progress(done, len(prompts))
    silent = Verdict(None, "the judge gave no reply", failed=True)
    return Judged(judge, {key: verdicts.get(key, silent) for key in prompts})


def verdict_of(reply: Reply | Failure) -> Verdict:
    """Yes if log P(" yes") > log P(" no"), no if it is below. No verdict: a failure, log-probabilities that aren't, a
    tie, or less than ``LEAST_MASS`` on both together."""
    if isinstance(reply, Failure):
        return Verdict(None, f"the judge failed: {reply.reason}", failed=True)
    if len(reply.logprobs) != len(OPTIONS) or any(math.isnan(x) or x == math.inf for x in reply.logprobs):
        return Verdict(None, f"the judge gave no log-probabilities of yes and no: {list(reply.logprobs)}")
    yes, no = reply.logprobs
    mass = math.exp(min(yes, 0.0)) + math.exp(min(no, 0.0))
    if mass < LEAST_MASS:
        return Verdict(None, f"the judge says neither yes nor no (less than {LEAST_MASS:g} on both)")
    if yes == no:
        return Verdict(None, "the judge finds yes and no equally probable")
    return Verdict(float(yes > no))


def _key(prompt: str) -> str:
    return sha256_hex(prompt.encode("utf-8", "surrogatepass"))[:32]
