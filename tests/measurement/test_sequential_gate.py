"""The two-sided gate, its certificate, and what its replay finds."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_documents import blocks

from trialist.errors import MeasurementUndefined
from trialist.measurement.check import CERTAINTY
from trialist.measurement.proportions import clopper_pearson
from trialist.measurement.sequential.certificate import Certificate
from trialist.measurement.sequential.design import RateDesign, rate_design
from trialist.measurement.sequential.discordant import DiscordantProcess
from trialist.measurement.sequential.gate import Gate, rate_gate, verify
from trialist.measurement.sequential.operating import boundaries, operating
from trialist.measurement.sequential.rate import RateProcess

DESIGN = rate_design(0.1, cap=120)


def run(gate: Gate, values: list[float | None]) -> Gate:
    for value in values:
        if gate.verdict is None:
            _ = gate.update_missing() if value is None else gate.update(value)
    return gate


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from([0.0] * 12 + [1.0]), min_size=120, max_size=120), st.floats(0.01, 0.3))
def test_gate_stops_at_the_boundaries(values: list[float], p0: float) -> None:
    design = rate_design(p0, alpha=0.1, beta=0.1, cap=120)
    bounds = boundaries(design)
    gate = run(rate_gate(design), [*values])
    for n in range(1, gate.num_seen):
        assert bounds.pass_at[n] < sum(values[:n]) < bounds.fail_at[n]
    k = sum(values[: gate.num_seen])
    expected = (
        "FAIL" if k >= bounds.fail_at[gate.num_seen] else "PASS" if k <= bounds.pass_at[gate.num_seen] else "UNDECIDED"
    )
    assert gate.verdict == expected
    assert gate.num_seen == 120 or gate.verdict != "UNDECIDED"


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from([0.0, 1.0]), max_size=60), st.floats(0.05, 0.95))
def test_evidence_is_never_on_both_sides(values: list[float], p0: float) -> None:
    """log f is concave in the rate: it can't exceed its value at p0 on both sides of it."""
    below, above = RateProcess(p0, shows="below"), RateProcess(p0, shows="above")
    for value in values:
        below.update(value)
        above.update(value)
        assert min(below.log_e, above.log_e) <= 1e-7


def test_verdicts() -> None:
    assert run(rate_gate(DESIGN), [0.0] * 120).verdict == "PASS"
    assert run(rate_gate(DESIGN), [1.0] * 120).verdict == "FAIL"
    undecided = run(rate_gate(DESIGN), ([0.0] * 9 + [1.0]) * 12)
    assert (undecided.verdict, undecided.num_seen) == ("UNDECIDED", 120)
    with pytest.raises(MeasurementUndefined, match="decided"):
        undecided.update(0.0)
    with pytest.raises(MeasurementUndefined, match="decided"):
        undecided.update_missing()
    assert undecided.num_seen == 120


def test_missing_is_the_worst_for_each_side() -> None:
    gate, failing, passing = rate_gate(DESIGN), rate_gate(DESIGN), rate_gate(DESIGN)
    for g, values in ((gate, [0.0, None, 0.0]), (failing, [0.0, 1.0, 0.0]), (passing, [0.0] * 3)):
        run(g, [*values])
        g.close()
    assert gate.certificate().log_e_pass == failing.certificate().log_e_pass
    assert gate.certificate().log_e_fail == passing.certificate().log_e_fail
    assert gate.certificate().num_missing == 1
    assert run(rate_gate(DESIGN), [None] * 120).verdict == "UNDECIDED"
    paired = Gate(
        DiscordantProcess("better"), DiscordantProcess("worse"), alpha=0.05, beta=0.05, cap=200, missing=(-1, 1)
    )
    assert run(paired, [None] * 200).verdict == "UNDECIDED"


def certified(values: list[float | None], order: list[str]) -> tuple[Certificate, Gate]:
    gate = rate_gate(DESIGN)
    gate.register(order)
    run(gate, values)
    gate.close()
    return gate.certificate(), gate


@pytest.mark.parametrize("values", [[0.0] * 60, [0.0, None] * 30, [1.0] * 20, [0.0, 0.25, 1.0]])
def test_certificate_is_checked_from_the_values(values: list[float | None]) -> None:
    order = [f"item {i}" for i in range(60)]
    certificate, gate = certified(values, order)
    again = Certificate.from_json(json.loads(json.dumps(certificate.to_json())))
    assert again == certificate
    assert again.rule.digest == rate_gate(DESIGN).rule.digest == again.rule_sha256
    assert verify(again, gate.values, order=order) == ()


def test_what_was_changed_is_found() -> None:
    order = [f"item {i}" for i in range(60)]
    certificate, gate = certified([0.0] * 60, order)
    values = list(gate.values)
    assert certificate.verdict == "PASS"

    def found(changed: Certificate, stored: list[Any] = values, **options: Any) -> str:
        return "; ".join(verify(changed, stored, **options))

    assert "digest" in found(certificate, [1.0, *values[1:]])
    assert "values give UNDECIDED" in found(certificate, [1.0, *values[1:]])
    assert "certified" in found(certificate, values[:-1])
    assert "before the last" in found(certificate, [*values, 0.0])
    assert "order" in found(certificate, order=order[::-1])
    assert "certificate says FAIL" in found(replace(certificate, verdict="FAIL"))
    assert "log_e_pass" in found(replace(certificate, log_e_pass=9.0))
    assert "missing" in found(replace(certificate, num_missing=2))
    lenient = replace(certificate.rule, alpha=0.4)
    assert "rule" in found(replace(certificate, rule=lenient))
    assert "before the last" in found(replace(certificate, rule=lenient, rule_sha256=lenient.digest))


class Drawn:
    """An e-process of somebody else: a fixed bet on "rate < .5", without settings."""

    def __init__(self, stake: float) -> None:
        self.stake, self.log_e, self.max_log_e, self.num_seen = stake, 0.0, 0.0, 0

    def update(self, value: float) -> None:
        self.log_e += math.log1p(self.stake * (0.5 - value))
        self.max_log_e = max(self.max_log_e, self.log_e)
        self.num_seen += 1


def test_processes_of_another_kind() -> None:
    gate = Gate(Drawn(1.0), Drawn(-1.0), alpha=0.05, beta=0.05, cap=50)
    run(gate, [0.0] * 50)
    certificate = Certificate.from_json(gate.certificate().to_json())
    assert certificate.verdict == "PASS"
    with pytest.raises(MeasurementUndefined, match="rebuilt"):
        verify(certificate, gate.values)
    assert verify(certificate, gate.values, processes=(Drawn(1.0), Drawn(-1.0))) == ()
    assert verify(certificate, gate.values, processes=(Drawn(0.9), Drawn(-1.0)))
    with pytest.raises(MeasurementUndefined, match="other settings"):
        verify(certificate, gate.values, processes=(RateProcess(0.5), Drawn(-1.0)))


def test_a_paired_gate_is_rebuilt() -> None:
    gate = Gate(DiscordantProcess("better"), DiscordantProcess("worse"), alpha=0.05, beta=0.05, cap=90, missing=(-1, 1))
    run(gate, [1.0, 0.0, 1.0] * 30)
    assert gate.verdict == "PASS"
    assert verify(Certificate.from_json(gate.certificate().to_json()), gate.values) == ()


def test_refusals() -> None:
    used = RateProcess(0.1)
    used.update(0.0)
    for pair in ((used, RateProcess(0.1)), (same := RateProcess(0.1), same)):
        with pytest.raises(MeasurementUndefined, match="no value"):
            Gate(*pair, alpha=0.05, beta=0.05, cap=10)
    for options in (
        {"alpha": 0.0, "beta": 0.1, "cap": 5},
        {"alpha": 0.1, "beta": 1.0, "cap": 5},
        {"alpha": 0.1, "beta": 0.1, "cap": 0},
    ):
        with pytest.raises(MeasurementUndefined):
            Gate(RateProcess(0.1), RateProcess(0.1, shows="above"), **options)  # type: ignore[arg-type]
    gate = rate_gate(DESIGN)
    with pytest.raises(MeasurementUndefined, match="without a verdict"):
        gate.certificate()
    gate.register(["a", "b"])
    with pytest.raises(MeasurementUndefined, match="once"):
        gate.register(["a"])
    with pytest.raises(MeasurementUndefined):
        gate.update(2.0)
    run(gate, [0.0, 0.0])
    with pytest.raises(MeasurementUndefined, match="beyond"):
        gate.update(0.0)
    data = rate_gate(RateDesign(0.1, 0.05, 0.05, 1, DESIGN.pass_prior, DESIGN.fail_prior))
    data.update(0.0)
    good = data.certificate().to_json()
    for bad in (
        {**good, "schema": "x"},
        {k: v for k, v in good.items() if k != "verdict"},
        {**good, "rule": {}},
        {**good, "more": 1},
    ):
        with pytest.raises(MeasurementUndefined):
            Certificate.from_json(bad)


def test_a_refused_value_moves_neither_process() -> None:
    gate = rate_gate(DESIGN)
    with pytest.raises(MeasurementUndefined):
        gate.update(math.nan)
    gate.close()
    assert gate.certificate().log_e_pass == gate.certificate().log_e_fail == 0
    assert gate.num_seen == 0


def test_a_process_moved_from_outside_is_noticed() -> None:
    below = RateProcess(0.1)
    gate = Gate(below, RateProcess(0.1, shows="above"), alpha=0.05, beta=0.05, cap=10)
    below.update(0.0)
    with pytest.raises(MeasurementUndefined, match="other values"):
        gate.update(0.0)


def test_gate_at_the_boundary_rate_errs_no_more_than_allowed() -> None:
    """The gate itself, simulated at p0, against its exact probabilities."""
    generator = np.random.default_rng(8)
    verdicts = [
        run(rate_gate(DESIGN), [*(generator.random(120) < 0.1).astype(float).tolist()]).verdict for _ in range(300)
    ]
    exact = operating(boundaries(DESIGN), [0.1])
    for verdict, share in (("PASS", exact.passed[0]), ("FAIL", exact.failed[0]), ("UNDECIDED", exact.undecided[0])):
        assert clopper_pearson(verdicts.count(verdict), 300, CERTAINTY).contains(float(share))
    assert exact.passed[0] <= 0.05
    assert exact.failed[0] <= 0.05


def test_the_page(capsys: pytest.CaptureFixture[str]) -> None:
    codes = blocks("docs/measurement/sequential.md", "python")
    assert codes
    for code in codes:
        exec(code, {})  # noqa: S102 - our own page
        printed = capsys.readouterr().out.strip().splitlines()
        shown = [line.split("# ", 1)[1] for line in code.splitlines() if line.startswith("print(")]
        assert printed == shown
