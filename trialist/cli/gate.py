"""``trialist gate``: a finished run checked again, or logs judged by a policy; for people and for CI servers."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer

from trialist.cli.output import EXIT, print_json
from trialist.errors import DataError, SpecError, TrialistError
from trialist.records import Decision, Estimate

POLICIES = (".yaml", ".yml")
REGISTRATION = "trial.json"


@dataclass(frozen=True)
class Found:
    """A decision, what it is of, and what a reader must know about it."""

    decision: Decision
    notes: tuple[str, ...]
    about: Mapping[str, str] = field(default_factory=dict[str, str])
    estimates: tuple[Estimate, ...] = ()
    file: str = ""
    lines: Mapping[str, int] = field(default_factory=dict[str, int])


def command(
    paths: Annotated[
        list[Path], typer.Argument(metavar="[POLICY.yaml] RUN...", help="A finished run folder, or logs and a policy.")
    ],
    cluster: Annotated[str | None, typer.Option(help="Of logs: a key of the items' metadata, or item.")] = None,
    junit: Annotated[Path | None, typer.Option(help="Write a JUnit XML file.")] = None,
    github: Annotated[
        bool | None, typer.Option("--github/--no-github", help="Print annotations. Default: in GitHub Actions.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")] = False,
) -> int:
    """Decide by a policy. Exit code 0 PROMOTE, 3 HOLD, 4 BLOCK.

    A finished run folder is checked offline: hashes, then scores, estimates and verdict from the stored answers; with a
    policy it is judged by that one. Logs of any tool are judged by the policy, which comes first.
    """
    policy, runs = split(paths)
    if len(runs) == 1 and (runs[0] / REGISTRATION).exists():
        found = _of_run(runs[0], policy)
    else:
        found = _of_logs(policy, runs, cluster, as_json)
    if junit is not None:
        from trialist.deployment.junit import junit as xml
        from trialist.folder import storage_error

        try:
            junit.write_bytes(xml(found.decision, found.about))
        except OSError as error:
            raise storage_error(error, junit) from error
    wanted = os.environ.get("GITHUB_ACTIONS") == "true" if github is None else github
    _print(found, as_json=as_json, annotated=wanted)
    return EXIT[found.decision.verdict]


def split(paths: Sequence[Path]) -> tuple[Path | None, list[Path]]:
    """The policy, if the first path is one, and the runs. Raises DataError where no run is left."""
    first, *rest = paths
    policy = first if first.suffix.lower() in POLICIES and not first.is_dir() else None
    runs = rest if policy else list(paths)
    if not runs:
        raise DataError("nothing to judge", seen=str(first), allowed="a policy and runs, or a finished run folder",
                        next_step=f"trialist gate {first} RUN")  # fmt: skip
    return policy, runs


def _of_run(run: Path, policy: Path | None) -> Found:
    from trialist.trial.review import review

    about = {"run": str(run)}
    if policy is None:
        found = review(run, None)
        return Found(found.decision, found.notes, about)
    found = review(run, policy)
    return Found(found.decision, found.notes, {**about, **_identity(policy)}, file=str(policy), lines=_lines(policy))


def _of_logs(policy: Path | None, runs: Sequence[Path], cluster: str | None, silent: bool) -> Found:
    from trialist.cli.bar import bar
    from trialist.deployment.log_policy import on_logs
    from trialist.deployment.policy import Policy
    from trialist.logs.arms import arms_of
    from trialist.logs.collect import collect
    from trialist.logs.facets import Facets

    if policy is None:
        raise DataError(
            "logs are judged by a policy, and none is given", seen=", ".join(str(run) for run in runs[:3]),
            allowed="trialist gate POLICY.yaml RUN..., or one finished run folder", next_step="docs/logs/gate.md",
        )  # fmt: skip
    chosen = Policy.load(policy)
    with bar("reading", silent=silent) as progress:
        collection = collect(runs, progress=progress)
    try:
        found = on_logs(chosen, arms_of(collection), Facets(cluster))
    except SpecError as error:
        raise _placed(error, policy) from error
    identity = _identity(policy)
    said = (
        f"policy {policy}, sha256 {identity['policy sha256'][:12]}: no trial registered it before the answers; its "
        "version history shows when it was written"
    )
    losses = [f"lost: {loss.sentence}" for loss in collection.losses]
    more = [f"{len(losses) - 5} more losses"] if len(losses) > 5 else []
    about = {**identity, "logs": ", ".join(str(run) for run in runs)}
    notes = (*found.notes, *collection.notes, *losses[:5], *more, said)
    return Found(found.decision, notes, about, found.estimates, str(policy), _lines(policy))


def _identity(policy: Path) -> dict[str, str]:
    from trialist import __version__
    from trialist.records import sha256_hex

    return {"policy": str(policy), "policy sha256": sha256_hex(policy.read_bytes()), "trialist": __version__}


def _lines(policy: Path) -> dict[str, int]:
    """The line of each claim, by the claim's name."""
    from trialist.deployment.policy import Policy
    from trialist.yamlspec import read_yaml

    located = read_yaml(policy)
    return {claim.name: located.line_of(("claims", i)) for i, claim in enumerate(Policy.load(policy).claims)}


def _placed(error: SpecError, policy: Path) -> TrialistError:
    from trialist.yamlspec import read_yaml

    located = read_yaml(policy)
    return SpecError([located.placed(problem) for problem in error.problems], source=str(policy))


def _print(found: Found, *, as_json: bool, annotated: bool) -> None:
    from trialist.cli.results import show_decision
    from trialist.deployment.annotations import Written, annotations

    lines = list(annotations(found.decision, Written(found.file, found.lines))) if annotated else []
    if as_json:
        row: dict[str, Any] = {"verdict": found.decision.verdict, "reason": found.decision.reason}
        row |= {"claims": found.decision.results, "notes": found.notes, **_told(found)}
        print_json({"exit_code": EXIT[found.decision.verdict], **row})
        for line in lines:
            typer.echo(line, err=True)
        return
    # Texts of a log could read as commands to the server: it is told to read none until the token comes.
    token = secrets.token_hex(16)
    if annotated:
        print(f"::stop-commands::{token}", flush=True)
    show_decision(found.decision, notes=found.notes)
    if annotated:
        print("\n".join([f"::{token}::", *lines]), flush=True)


def _told(found: Found) -> dict[str, Any]:
    return {"about": found.about, "estimates": found.estimates} if found.estimates else {"about": found.about}
