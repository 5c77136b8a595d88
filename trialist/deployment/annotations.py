"""A decision -> workflow commands of GitHub Actions, which show it beside the lines of the policy.

``::error file=policy.yaml,line=4,title=FAIL%3A acc::upper bound .55``. The runner reads commands from the output, line
by line: a message's line ends are sent as ``%0A``, and in properties ``:`` and ``,`` as well are sent by their codes
(docs.github.com, "Workflow commands for GitHub Actions"; actions/toolkit, ``packages/core/src/command.ts``).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from trialist.records import Decision, Ruling, Verdict
from trialist.wording import visible

Level = Literal["error", "warning", "notice"]

_LEVEL: dict[Verdict, Level] = {"FAIL": "error", "UNDECIDED": "warning", "PASS": "notice"}
_WHOLE: dict[Ruling, Level] = {"BLOCK": "error", "HOLD": "error", "PROMOTE": "notice"}
_ORDER: tuple[Verdict, ...] = ("FAIL", "UNDECIDED", "PASS")


@dataclass(frozen=True)
class Written:
    """Where a policy stands: its file, and the line of each claim by its name."""

    file: str = ""
    lines: Mapping[str, int] | None = None

    def of(self, name: str) -> dict[str, str | int]:
        line = (self.lines or {}).get(name)
        place: dict[str, str | int] = {"file": self.file} if self.file else {}
        return {**place, "line": line} if self.file and line is not None else place


def annotations(decision: Decision, written: Written | None = None) -> Iterator[str]:
    """One line each: the verdict, then the claims, failing ones first, as GitHub shows only ten of a kind and step.

    FAIL is an error, UNDECIDED a warning, PASS a notice. The verdict is an error unless it is PROMOTE: what is held is
    not released."""
    place = written or Written()
    whole = {"file": place.file} if place.file else {}
    yield command(_WHOLE[decision.verdict], decision.reason, **whole, title=decision.verdict)
    for result in sorted(decision.results, key=lambda r: _ORDER.index(r.verdict)):
        title = f"{result.verdict}: {result.claim.name}"
        yield command(_LEVEL[result.verdict], result.reason, **place.of(result.claim.name), title=title)


def command(level: Level, message: str, **properties: str | int) -> str:
    """One workflow command. Whatever the texts hold, it is one line and one command."""
    given = ",".join(f"{key}={_property(str(value))}" for key, value in properties.items())
    return f"::{level}{' ' if given else ''}{given}::{_escaped(message)}"


def _escaped(text: str) -> str:
    clean = visible(text, keep_newlines=True)
    return clean.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _escaped(text).replace(":", "%3A").replace(",", "%2C")
