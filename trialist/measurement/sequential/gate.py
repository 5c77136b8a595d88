"""PASS, FAIL or UNDECIDED from two e-processes, at any time, with a certificate that anybody can check afterwards.

After every value: FAIL if e_fail >= 1/beta, PASS if e_pass >= 1/alpha, UNDECIDED at the cap, else go on. Ville's
inequality gives P(PASS) <= alpha whenever the null of the pass process ("unsafe") holds and P(FAIL) <= beta whenever
that of the fail process does, at every cap and for every way of stopping before it.

A missing answer enters each process at its worst: as an event for the process that wants to pass, as none for the
one that wants to fail. Both seen streams then lie on the null's side of the true ones.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol, cast

from trialist.errors import MeasurementUndefined
from trialist.measurement.interval import check_share
from trialist.measurement.sequential.bounded import rebuild
from trialist.measurement.sequential.certificate import Certificate, GateRule, Key, digest
from trialist.measurement.sequential.design import RateDesign
from trialist.measurement.sequential.discordant import DiscordantProcess
from trialist.measurement.sequential.protocol import EProcess
from trialist.measurement.sequential.rate import Beta, RateProcess
from trialist.records import Verdict

SAME_E = 1e-6
"""Log e-values computed on two machines agree to this; a process promises 1e-8."""


class Described(EProcess, Protocol):
    """An e-process that can say what rebuilds it."""

    @property
    def settings(self) -> Mapping[str, str | float]: ...


class Gate:
    """Feeds both processes and stops. Give it values in an order fixed before the data.

    ``missing`` are the values that a missing answer has for the pass and for the fail process: (1, 0) where 1 is the
    event that the gate is against, (-1, 1) for differences whose gain is to be shown.
    Raises MeasurementUndefined for processes that have seen values, a cap below 1, alpha or beta outside (0, 1), and
    for values after the verdict.
    """

    def __init__(
        self,
        pass_process: EProcess,
        fail_process: EProcess,
        *,
        alpha: float,
        beta: float,
        cap: int,
        missing: tuple[float, float] = (1.0, 0.0),
    ) -> None:
        check_share("alpha", alpha)
        check_share("beta", beta)
        if cap < 1:
            raise MeasurementUndefined("a gate needs a cap of values", seen=str(cap), allowed="1, 2, ...")
        if pass_process is fail_process or pass_process.num_seen or fail_process.num_seen:
            raise MeasurementUndefined("a gate needs two processes that have seen no value")
        worst = (float(missing[0]), float(missing[1]))
        self.rule = GateRule(alpha, beta, cap, worst, _settings(pass_process), _settings(fail_process))
        self._pass, self._fail = pass_process, fail_process
        self._values: list[float | None] = []
        self._order: tuple[Key, ...] = ()
        self._verdict: Verdict | None = None

    @property
    def verdict(self) -> Verdict | None:
        """None while values are wanted."""
        return self._verdict

    @property
    def num_seen(self) -> int:
        return len(self._values)

    @property
    def values(self) -> tuple[float | None, ...]:
        """What was seen, in order; None for a missing answer. Kept for ``verify``."""
        return tuple(self._values)

    def register(self, order: Iterable[Key]) -> None:
        """Fix the keys of the values to come, in order. Once, before the first value."""
        if self._order or self._values:
            raise MeasurementUndefined("the order is registered once, before the first value")
        self._order = tuple(order)

    def update(self, value: float) -> Verdict | None:
        """Take the next value; the verdict, or None to go on."""
        return self._take(float(value), (value, value))

    def update_missing(self) -> Verdict | None:
        """Take the next value as missing."""
        return self._take(None, self.rule.missing)

    def close(self) -> Verdict:
        """No more values will come: UNDECIDED unless decided."""
        self._verdict = self._verdict or "UNDECIDED"
        return self._verdict

    def certificate(self) -> Certificate:
        """Raises MeasurementUndefined before there is a verdict."""
        if self._verdict is None:
            raise MeasurementUndefined(
                "a gate without a verdict has no certificate",
                seen=f"{self.num_seen} of at most {self.rule.cap} values",
                next_step="go on, or close() the gate",
            )
        return Certificate(
            rule=self.rule,
            rule_sha256=self.rule.digest,
            order_sha256=digest(self._order) if self._order else "",
            values_sha256=digest(self._values),
            num_registered=len(self._order),
            num_seen=self.num_seen,
            num_missing=self._values.count(None),
            verdict=self._verdict,
            log_e_pass=self._pass.log_e,
            log_e_fail=self._fail.log_e,
        )

    def _take(self, value: float | None, seen: tuple[float, float]) -> Verdict | None:
        if self._verdict is not None:
            raise MeasurementUndefined(
                "the gate has decided", seen=self._verdict, next_step="a new gate for new values"
            )
        if self._order and self.num_seen >= len(self._order):
            raise MeasurementUndefined("a value beyond the registered order", seen=f"{len(self._order)} registered")
        if not self._pass.num_seen == self._fail.num_seen == self.num_seen:
            raise MeasurementUndefined("a process has seen other values than the gate", next_step="start a new gate")
        self._pass.update(seen[0])
        self._fail.update(seen[1])
        self._values.append(value)
        if self._fail.log_e >= math.log(1 / self.rule.beta):
            self._verdict = "FAIL"
        elif self._pass.log_e >= math.log(1 / self.rule.alpha):
            self._verdict = "PASS"
        elif self.num_seen >= self.rule.cap:
            self._verdict = "UNDECIDED"
        return self._verdict


def rate_gate(design: RateDesign) -> Gate:
    """The gate of a ``RateDesign``; a value of 1 is the event that must be rarer than p0."""
    return Gate(design.pass_process(), design.fail_process(), alpha=design.alpha, beta=design.beta, cap=design.cap)


def verify(
    certificate: Certificate,
    values: Sequence[float | None],
    *,
    order: Sequence[Key] | None = None,
    processes: tuple[EProcess, EProcess] | None = None,
) -> tuple[str, ...]:
    """What in ``certificate`` doesn't follow from the stored ``values`` (None: missing); empty if all of it does.

    Replays the rule from its settings. ``order`` is compared with the registered one if given. ``processes``: fresh
    ones for kinds that this module can't build. The verdict must fall at the last value, not before and not later.
    A certificate isn't signed: that the rule came before the data is shown by a digest published before them.
    """
    values = [None if value is None else float(value) for value in values]
    problems = [
        text
        for holds, text in (
            (certificate.rule.digest == certificate.rule_sha256, "the rule isn't the one of its digest"),
            (digest(values) == certificate.values_sha256, "the values aren't those of the digest"),
            (order is None or digest(order) == certificate.order_sha256, "the order isn't the registered one"),
            (len(values) == certificate.num_seen, f"{len(values)} values, {certificate.num_seen} certified"),
            (values.count(None) == certificate.num_missing, "another number of missing values"),
        )
        if not holds
    ]
    gate = _rebuilt(certificate.rule, processes)
    for value in values:
        if gate.verdict is not None:
            return (*problems, f"the rule decides {gate.verdict} after {gate.num_seen} values, before the last")
        gate.update_missing() if value is None else gate.update(value)
    gate.close()
    found = gate.certificate()
    if found.verdict != certificate.verdict:
        problems.append(f"the values give {found.verdict}, the certificate says {certificate.verdict}")
    for name in ("log_e_pass", "log_e_fail"):
        ours, theirs = getattr(found, name), getattr(certificate, name)
        if not (ours == theirs or abs(ours - theirs) <= SAME_E * max(1.0, abs(ours))):
            problems.append(f"{name} is {ours:.9g}, the certificate says {theirs:.9g}")
    return tuple(problems)


def _rebuilt(rule: GateRule, processes: tuple[EProcess, EProcess] | None) -> Gate:
    passing, failing = processes or (_build(rule.pass_process), _build(rule.fail_process))
    gate = Gate(passing, failing, alpha=rule.alpha, beta=rule.beta, cap=rule.cap, missing=rule.missing)
    if gate.rule != rule:
        raise MeasurementUndefined("processes of other settings than the certificate's", seen=str(gate.rule))
    return gate


def _build(settings: Mapping[str, Any]) -> EProcess:
    kind, prior = settings.get("kind"), Beta(settings.get("a", 1.0), settings.get("b", 1.0))
    if kind == "rate":
        return RateProcess(settings["p0"], shows=settings["shows"], prior=prior)
    if kind == "discordant":
        return DiscordantProcess(settings["shows"], prior=prior)
    if kind == "bounded" and "sampling" not in settings:
        return rebuild(settings)
    raise MeasurementUndefined(
        "a process that can't be rebuilt from its settings",
        seen=str(kind),
        allowed="rate, discordant, bounded without a sampling",
        next_step="give verify() two fresh processes",
    )


def _settings(process: EProcess) -> dict[str, str | float]:
    """The settings of a process, or the name of its class where it doesn't say."""
    if hasattr(process, "settings"):
        return dict(cast(Described, process).settings)
    return {"kind": f"{type(process).__module__}.{type(process).__qualname__}"}
