"""A trial as a typed value, the same from Python and from YAML.

    Trial(title, arms={name: Arm(model, [edits])}, outcomes={name: Outcome(evaluation, metric)}, threats={...})

In YAML a plug-in is its name, or its name with settings: ``evaluation: world_facts``, ``- rmu: {layer: 1}``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from pydantic import ConfigDict, Field, PlainValidator, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from trialist.deployment.policy import Policy
from trialist.errors import Problem, SpecError
from trialist.evaluations.protocol import Evaluation
from trialist.interventions.protocol import Intervention, Threat
from trialist.measurement.metrics import Metric
from trialist.trial import names
from trialist.trial.crosscheck import Parts, misfits, parts_of_plain
from trialist.yamlspec import check_schema, problems_of, read_yaml

SCHEMA = 1

ArmRole = Literal["control", "candidate", "sham", "oracle"]
OutcomeRole = Literal["primary", "secondary", "side effect", "null"]
Want = Literal["lower", "higher", "none"]

_CONFIG = ConfigDict(extra="forbid", arbitrary_types_allowed=True, strict=False)


def _plugin(kind: names.Kind, protocol: type[Any]) -> PlainValidator:
    def resolve(value: Any) -> Any:
        if isinstance(value, str):
            return names.build(kind, value, {})
        if isinstance(value, Mapping):
            named = cast("Mapping[str, Any]", value)
            settings = next(iter(named.values()), "") if len(named) == 1 else ""
            if settings is None or isinstance(settings, Mapping):
                return names.build(kind, next(iter(named)), cast("Mapping[str, Any]", settings or {}))
        elif isinstance(value, protocol) and dataclasses.is_dataclass(cast(object, value)):
            return cast(object, value)
        listed = ", ".join(names.available(kind))
        raise SpecError(
            [
                Problem(
                    f"not one of our {kind}",
                    repr(cast(object, value)),
                    f"a name, or a name with its settings: {listed}",
                )
            ]
        )

    return PlainValidator(resolve)


@dataclass(frozen=True, config=_CONFIG)
class Arm:
    """A model with its edits, applied left to right. Without a model it takes the one given by ``--model``."""

    model: str | None = None
    edits: tuple[Annotated[Intervention, _plugin("interventions", Intervention)], ...] = ()
    role: ArmRole | None = None
    replicates: Annotated[int, Field(ge=1)] = 1


@dataclass(frozen=True, config=_CONFIG)
class Outcome:
    """A measured quantity. ``under`` names the threats it is measured under; ``by`` splits it by the items' stratum."""

    evaluation: Annotated[Evaluation, _plugin("evaluations", Evaluation)]
    metric: str = "accuracy"
    role: OutcomeRole = "secondary"
    want: Want = "none"
    margin: Annotated[float, Field(gt=0)] | None = None
    under: tuple[str, ...] = ()
    by: Literal["", "stratum"] = ""

    @property
    def measured(self) -> Metric:
        """The metric that ``metric`` names."""
        return next(metric for metric in self.evaluation.metrics if metric.name == self.metric)


@dataclass(frozen=True, config=_CONFIG)
class Design:
    """``chunk`` items are answered at a time; ``threads`` is set at registration from the machine if not given.

    ``stopping: sequential`` asks a chunk of everything, looks at the claims, and goes on until all are decided or all
    items have been asked; a chunk then ends with a whole cluster. ``fixed`` asks everything, whatever it shows.
    """

    level: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    stopping: Literal["fixed", "sequential"] = "fixed"
    chunk: Annotated[int, Field(ge=1)] = 256
    threads: Annotated[int, Field(ge=1)] | None = None


@dataclass(frozen=True, config=_CONFIG)
class Trial:
    """Arms crossed with threats, outcomes measured in each cell, claims that decide. ``run`` runs or resumes it.

    Raises:
        SpecError: parts that don't fit together: an unknown metric, threat, arm or dose. All at once.
    """

    title: str
    arms: dict[str, Arm]
    outcomes: dict[str, Outcome]
    threats: dict[str, Annotated[Threat, _plugin("threats", Threat)]] = field(default_factory=dict[str, Threat])
    policy: Policy | None = None
    design: Design = field(default_factory=Design)
    seed: int = 0

    def __post_init__(self) -> None:
        problems = [*_empty(self), *misfits(_parts(self))]
        if problems:
            raise SpecError(problems)

    def role(self, arm: str) -> ArmRole:
        """The arm's role: as set, else its own name where that is a role, else candidate."""
        if self.arms[arm].role:
            return cast(ArmRole, self.arms[arm].role)
        return cast(ArmRole, arm) if arm in ("control", "sham", "oracle") else "candidate"

    @property
    def control(self) -> str | None:
        return next((arm for arm in self.arms if self.role(arm) == "control"), None)

    def control_replicate(self, replicate: int) -> int:
        """The control's replicate that is compared with this one: several are paired, one serves all."""
        return replicate if self.control and replicate < self.arms[self.control].replicates else 0

    @classmethod
    def load(cls, path: str | Path) -> Trial:
        """Read a trial from YAML. A policy may stand in the file or be the path of another, relative to it.

        Raises:
            SpecError: all problems at once, each with its line.
        """
        source = Path(path)
        located = read_yaml(source)
        check_schema(located, "trial", SCHEMA)
        data = {key: value for key, value in located.data.items() if key != "schema"}
        problems: list[Problem] = []
        if isinstance(data.get("policy"), str):
            data["policy"], problems = _policy_file(source.parent / data["policy"])
            design: Any = data.get("design")
            if problems and isinstance(design, dict):
                # A policy that can't be read is not a policy without claims.
                data["design"] = {k: v for k, v in cast("dict[str, Any]", design).items() if v != "sequential"}
        try:
            trial = TypeAdapter(cls).validate_python(data)
        except ValidationError as error:
            found = problems_of(error, located, cls)
            more = [located.placed(p) for p in misfits(parts_of_plain(data, _plain_metrics(data)))]
            sorted_problems = sorted(dict.fromkeys([*found, *more]), key=lambda problem: problem.line or 0)
            raise SpecError([*sorted_problems, *problems], source=str(source)) from error
        if problems:
            raise SpecError(problems, source=str(source))
        return trial

    def run(self, out: str | Path) -> Any:
        """Run, or resume, into the folder ``out``; see ``trialist.trial.run.run``."""
        from trialist.trial.run import run

        return run(self, Path(out))


def _policy_file(path: Path) -> tuple[Policy | None, list[Problem]]:
    """The policy, or its problems, so that they can be shown together with the trial's."""
    try:
        return Policy.load(path), []
    except SpecError as error:
        return None, [problem.at((path.name,)) for problem in error.problems]


def spec_of(trial: Trial) -> dict[str, Any]:
    """The trial as plain values: loading them again gives an equal trial."""
    arms = {
        name: {
            "model": arm.model,
            "edits": [{names.name_of(e, "interventions"): names.settings_of(e)} for e in arm.edits],
            "role": trial.role(name),
            "replicates": arm.replicates,
        }
        for name, arm in trial.arms.items()
    }
    outcomes = {
        name: {
            "evaluation": {names.name_of(o.evaluation, "evaluations"): names.settings_of(o.evaluation)},
            **{key: getattr(o, key) for key in ("metric", "role", "want", "margin", "by")},
            "under": list(o.under),
        }
        for name, o in trial.outcomes.items()
    }
    threats = {name: {names.name_of(t, "threats"): names.settings_of(t)} for name, t in trial.threats.items()}
    return {
        "title": trial.title,
        "seed": trial.seed,
        "arms": arms,
        "threats": threats,
        "outcomes": outcomes,
        "design": {f.name: getattr(trial.design, f.name) for f in dataclasses.fields(trial.design)},
        "policy": trial.policy.model_dump(mode="json", by_alias=True) if trial.policy else None,
    }


def _empty(trial: Trial) -> list[Problem]:
    parts = {"arms": trial.arms, "outcomes": trial.outcomes}
    return [
        Problem(f"a trial needs at least one of its {name}", where=(name,)) for name, part in parts.items() if not part
    ]


def _parts(trial: Trial) -> Parts:
    return Parts(
        arms=trial.arms,
        doses={name: threat.doses for name, threat in trial.threats.items()},
        under={name: outcome.under for name, outcome in trial.outcomes.items()},
        metric={name: outcome.metric for name, outcome in trial.outcomes.items()},
        metrics={name: _metric_names(outcome.evaluation) for name, outcome in trial.outcomes.items()},
        claims=trial.policy.model_dump()["claims"] if trial.policy else (),
        stopping=trial.design.stopping,
    )


def _plain_metrics(data: Mapping[str, Any]) -> dict[str, list[str] | None]:
    """The metrics of the outcomes whose evaluation can be built from a spec that is wrong elsewhere."""
    outcomes: Any = data.get("outcomes")
    found: dict[str, list[str] | None] = {}
    for name, row in cast("dict[str, Any]", outcomes).items() if isinstance(outcomes, dict) else ():
        try:
            evaluation = TypeAdapter(Outcome).validate_python({"evaluation": row["evaluation"]}).evaluation
        except (ValidationError, KeyError, TypeError):
            found[name] = None
        else:
            found[name] = _metric_names(evaluation)
    return found


def _metric_names(evaluation: Evaluation) -> list[str]:
    return [metric.name for metric in evaluation.metrics]
