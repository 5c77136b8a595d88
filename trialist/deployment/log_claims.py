"""Claims about logs -> what each is about: task, measure and arm, found where the policy leaves them out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from trialist.deployment.policy import Policy, PolicyClaim
from trialist.errors import Problem, SpecError, did_you_mean
from trialist.logs.arms import Arms, compared
from trialist.logs.blocks import Block, blocks_of
from trialist.logs.facets import Facets

_Names = tuple[str, str]
TRIAL_ONLY = ("outcome", "threat", "dose", "null")


@dataclass
class Logs:
    """The logs as claims ask for them: blocks of all arms, and of each pair that is compared."""

    arms: Arms
    facets: Facets
    plain: Sequence[Block]
    pairs: dict[_Names, tuple[_Names, Sequence[Block]]] = field(default_factory=lambda: {})

    @property
    def tasks(self) -> list[str]:
        return [block.task for block in self.plain]

    def pair(self, arm: str, other: str) -> tuple[tuple[str, str], Sequence[Block]]:
        if (arm, other) not in self.pairs:
            arms, names = compared(self.arms, arm, other)
            self.pairs[arm, other] = names, blocks_of(arms, names, self.facets)
        return self.pairs[arm, other]


@dataclass(frozen=True)
class Asked:
    """One claim of the policy with everything named."""

    entry: PolicyClaim
    task: str
    measure: str
    arm: str

    @property
    def outcome(self) -> str:
        return f"{self.task}: {self.measure}" if self.task else self.measure


def asked_of(policy: Policy, logs: Logs) -> list[Asked]:
    """What each claim is about.

    Raises SpecError for a claim that needs a trial, and for one that leaves open which task, metric or arm it is about.
    """
    problems = list(_not_of_logs(policy))
    asked: list[Asked] = []
    for index, entry in enumerate(policy.claims):
        found = _named(entry, logs)
        if isinstance(found, Problem):
            problems.append(found.at(("claims", index)))
        else:
            asked.append(found)
    if problems:
        raise SpecError(problems)
    return asked


def _not_of_logs(policy: Policy) -> Iterator[Problem]:
    if policy.tries is not None:
        yield Problem(
            "tries are counted by the ledger of trials, and logs have none", f"{list(policy.tries)}",
            next_step="leave out 'tries', or set the confidence of each claim", where=("tries",),
        )  # fmt: skip
    for index, entry in enumerate(policy.claims):
        for key in TRIAL_ONLY:
            if getattr(entry, key):
                step = "name 'task' and 'metric'" if key == "outcome" else f"leave out '{key}'"
                allowed = "task, metric, arm, versus, positive"
                yield Problem(f"'{key}' is for claims about a trial", f"{getattr(entry, key)}", allowed, step,
                              ("claims", index, key))  # fmt: skip


def _named(entry: PolicyClaim, logs: Logs) -> Asked | Problem:
    """The claim with its task, metric and arm; where it names none, the only one there is."""
    task = _one("task", entry.task, logs.tasks)
    if isinstance(task, Problem):
        return task
    blocks = [block for block in logs.plain if block.task == task]
    measure = _one("metric", entry.metric, [name for block in blocks for name in block.measures])
    if isinstance(measure, Problem):
        return measure
    others = [entry.versus, *([arm_of(logs, entry.versus)] if entry.versus else [])]
    arms = list(dict.fromkeys(arm for block in blocks for arm in block.parts if arm not in others))
    arm = _one("arm", entry.arm, arms)
    return arm if isinstance(arm, Problem) else Asked(entry, task, measure, arm)


def _one(key: str, given: str, there: Sequence[str]) -> str | Problem:
    names = list(dict.fromkeys(there))
    if given or len(names) == 1:
        return given or names[0]
    if not names:
        return ""
    shown = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
    return Problem(f"which {key}? there are {len(names)}", "none named", shown, f"add '{key}: ...'", (key,))


def arm_of(logs: Logs, name: str) -> str:
    """The arm that a name means: an arm, a model that is one arm, or a path whose logs are one arm."""
    if name in logs.arms.logs:
        return name
    for fits in (_is_model, _is_path):
        found = [
            arm
            for arm, group in logs.arms.logs.items()
            if all(fits(name, one.log.source.model, one.run) for one in group)
        ]
        if len(found) == 1:
            return found[0]
    return name


def _is_model(name: str, model: str, _: Path) -> bool:
    return model == name


def _is_path(name: str, _: str, run: Path) -> bool:
    return Path(name) == run or Path(name).resolve() == run.resolve()


def not_measured(asked: Sequence[Asked], logs: Logs) -> Iterator[str]:
    """Names in the policy that are nothing in the logs: most often a wrong spelling."""
    measures = list(dict.fromkeys(name for block in logs.plain for name in block.measures))
    known: Mapping[str, Sequence[str]] = {"task": logs.tasks, "metric": measures, "arm": list(logs.arms.logs)}
    for one in asked:
        entry = one.entry
        given = [("task", one.task), ("metric", one.measure)]
        given += [("arm", arm_of(logs, name)) for name in (one.arm, entry.versus, entry.positive) if name]
        for key, name in given:
            if name not in known[key]:
                near = did_you_mean(name, known[key], f"there are: {', '.join(known[key][:8])}")
                yield f"no {key} '{name}' in these logs; {near}"
