"""When a trial with ``stopping: sequential`` has asked enough, and the account of it.

Everything is asked in rounds, a chunk of every evaluation in every cell each; after a round the claims are estimated
with bounds that hold at every look (``measurement.anytime``) and judged by the gate. A look is a pure function of the
answers, so a resumed run looks again and comes to the same end, and so does who re-derives it from the run folder.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from trialist.errors import RunFolderError
from trialist.evaluations.protocol import identity
from trialist.records import Claim, Decision, Stopping
from trialist.trial.deciding import decide_run
from trialist.trial.estimating import Tables, claim_estimates
from trialist.trial.spec import Trial

FILE = "stopping.json"


@dataclass(frozen=True)
class Rounds:
    """The rounds of a registered plan: ``ends`` are the items of each evaluation asked by the end of each of its
    rounds, ``order`` their ids, ``answers`` the answers asked for by the end of each round over all cells."""

    ends: Mapping[str, tuple[int, ...]]
    order: Mapping[str, Sequence[str]]
    answers: tuple[int, ...]

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Rounds:
        plan = document["plan"]
        keys = list(plan["evaluations"])
        stops: dict[str, set[int]] = {key: set() for key in keys}
        for row in plan["chunks"]:
            stops[keys[row[-3]]].add(row[-1])
        ends = {key: tuple(sorted(found)) for key, found in stops.items()}
        sizes = [0] * max(map(len, ends.values()), default=0)
        for row in plan["chunks"]:
            sizes[ends[keys[row[-3]]].index(row[-1])] += row[-1] - row[-2]
        totals = [sum(sizes[: number + 1]) for number in range(len(sizes))]
        return cls(ends, plan["order"], tuple(totals))

    @property
    def num(self) -> int:
        return len(self.answers)

    def num_items(self, key: str, num_run: int) -> int:
        """Items of an evaluation that are asked in the first ``num_run`` rounds."""
        return self.ends[key][min(num_run, len(self.ends[key])) - 1] if num_run else 0

    def num_run(self, num_answers: int) -> int:
        """How many rounds gave this many answers.

        Raises:
            RunFolderError: they aren't those of whole rounds.
        """
        if num_answers not in self.answers:
            raise RunFolderError(
                "the answers of this run folder are not those of whole rounds",
                seen=f"{num_answers} answers",
                allowed=", ".join(map(str, self.answers[:12])),
                next_step="restore the folder, or run again into a new one with --out",
            )
        return self.answers.index(num_answers) + 1

    def until(self, table: pl.DataFrame, num_run: int) -> pl.DataFrame:
        """The rows of answers or scores of the first ``num_run`` rounds."""
        asked = [
            (pl.col("evaluation") == key) & pl.col("item").is_in(list(self.order[key][: self.num_items(key, num_run)]))
            for key in self.ends
        ]
        return table.filter(pl.any_horizontal(asked))


def decided_at(trial: Trial, claims: Sequence[Claim], tables: Tables) -> Decision:
    """One look: the claims and nothing else, on the answers so far."""
    return decide_run(trial, claims, claim_estimates(trial, tuple(claims), tables))


def is_settled(trial: Trial, rounds: Rounds, decision: Decision, num_run: int) -> bool:
    """No claim is undecided that more answers could decide: each is PASS or FAIL, or all its items have been asked."""
    return not any(
        result.verdict == "UNDECIDED" and num_run < _rounds_of(trial, rounds, result.claim)
        for result in decision.results
    )


def account(trial: Trial, claims: Sequence[Claim], rounds: Rounds, tables: Tables) -> Stopping:
    """All looks again, from the answers that are there.

    Raises:
        RunFolderError: by its own looks the run should have stopped earlier, or gone on.
    """
    num_run = rounds.num_run(len(tables.answers))
    verdicts: list[dict[str, str]] = []
    for number in range(1, num_run + 1):
        seen = Tables(tables.items, rounds.until(tables.answers, number), rounds.until(tables.scores, number))
        decision = decided_at(trial, claims, seen)
        verdicts.append({result.claim.name: result.verdict for result in decision.results})
        ended = is_settled(trial, rounds, decision, number) or number == rounds.num
        if ended != (number == num_run):
            raise RunFolderError(
                "this run did not stop where its looks say",
                seen=f"{num_run} of {rounds.num} rounds were asked",
                allowed=f"{number} rounds" if ended else "more rounds",
                next_step="was it made by another version of trialist? trial.json names it",
            )
    return Stopping(
        num_rounds=rounds.num,
        num_run=num_run,
        num_asked=rounds.answers[num_run - 1],
        num_registered=rounds.answers[-1],
        items={key: rounds.num_items(key, num_run) for key in rounds.ends},
        decided={claim.name: _since(claim.name, verdicts) for claim in claims},
    )


def _since(name: str, verdicts: Sequence[Mapping[str, str]]) -> int | None:
    """The round after which a claim had the verdict that it kept; None for one that has none."""
    last = verdicts[-1][name]
    if last == "UNDECIDED":
        return None
    others = [number for number, found in enumerate(verdicts, start=1) if found[name] != last]
    return max(others, default=0) + 1


def _rounds_of(trial: Trial, rounds: Rounds, claim: Claim) -> int:
    """In how many rounds something is asked that this claim rests on; 0 for what the trial doesn't measure."""
    outcome = trial.outcomes.get(claim.outcome)
    if outcome is None or (claim.cell.threat and claim.cell.threat not in outcome.under):
        return 0
    return len(rounds.ends[identity(outcome.evaluation)])
