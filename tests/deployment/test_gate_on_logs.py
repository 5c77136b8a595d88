"""Policies about logs: bounds as of every claim, what isn't named, what isn't measured."""

from __future__ import annotations

from typing import Any

import pytest
from answered_logs import Row, arms, item, log

from trialist.deployment.log_policy import Judged, on_logs
from trialist.deployment.policy import Policy
from trialist.errors import MeasurementUndefined, SpecError
from trialist.logs.arms import Arms
from trialist.logs.facets import Facets
from trialist.logs.log import Log
from trialist.measurement.proportions import lower_bound, upper_bound


def made(right: int, of: int, *, model: str = "a", missing: int = 0, **more: Any) -> Log:
    """``right`` of ``of`` answers right, the last ``missing`` of them without a score."""
    rows: list[Row] = [(item(i), "x", None if i >= of - missing else float(i < right)) for i in range(of)]
    statuses = {f"q{i}": ("error", "timed out") for i in range(of - missing, of)}
    return log(rows, model=model, statuses=statuses, **more)  # pyright: ignore[reportArgumentType]


def judged(logs: Arms, *claims: dict[str, Any], **more: Any) -> Judged:
    return on_logs(Policy.model_validate({"schema": "trialist/policy/1", "claims": list(claims), **more}), logs)


def verdicts(found: Judged) -> list[str]:
    return [result.verdict for result in found.decision.results]


def test_one_claim_in_two_lines_rests_on_the_exact_bound():
    bound = lower_bound(80, 100, 0.95)
    for threshold, verdict in (
        (bound - 1e-9, "PASS"),
        (bound + 1e-9, "UNDECIDED"),
        (upper_bound(80, 100, 0.95), "FAIL"),
    ):
        found = judged(arms(made(80, 100)), {"above": threshold})
        assert verdicts(found) == [verdict]
    assert found.decision.verdict == "HOLD"
    blocked = judged(arms(made(80, 100)), {"task": "capitals", "metric": "match", "above": 0.9, "on_fail": "block"})
    assert blocked.decision.verdict == "BLOCK"
    (estimate,) = blocked.estimates
    assert (estimate.purpose, estimate.lower, estimate.upper) == ("claim", bound, upper_bound(80, 100, 0.95))


def test_missing_answers_stand_at_their_worst():
    whole = judged(arms(made(100, 100)), {"above": 0.7})
    assert verdicts(whole) == ["PASS"]
    lacking = judged(arms(made(100, 100, missing=25)), {"above": 0.7})
    assert verdicts(lacking) == ["UNDECIDED"]
    assert "25 of 100 are missing" in lacking.decision.results[0].reason
    # A log that stopped halfway was to have more answers: those are missing as well.
    stopped = judged(arms(made(80, 100, num_samples=130, status="cancelled")), {"above": 0.7})
    assert verdicts(stopped) == ["UNDECIDED"]
    assert "30 of 130 are missing" in stopped.decision.results[0].reason


def test_a_judge_alone_carries_no_claim():
    found = judged(arms(made(100, 100, scorer_kind="judge")), {"above": 0.1})
    assert verdicts(found) == ["UNDECIDED"]
    assert "judge" in found.decision.results[0].reason


def test_differences_are_paired_by_item():
    logs = arms(made(60, 100, model="old"), made(90, 100, model="new"))
    found = judged(logs, {"versus": "old", "above": 0.1}, {"arm": "old", "versus": "new", "above": 0})
    assert verdicts(found) == ["PASS", "FAIL"]
    assert found.decision.results[0].claim.cell.arm == "new"
    assert found.estimates[0].value == pytest.approx(0.3)
    both = judged(logs, {"arm": "new", "versus": "old", "above": 0.1}, {"arm": "new", "versus": "old", "below": 0.5})
    assert verdicts(both) == ["PASS", "PASS"]
    # Other contents under the same ids are other questions.
    moved = made(90, 100, model="new")
    moved = Log(**{**vars(moved), "items": moved.items.with_columns(content_hash=moved.items["id"] + "!")})
    unpaired = judged(arms(made(60, 100, model="old"), moved), {"arm": "new", "versus": "old", "above": 0.1})
    assert verdicts(unpaired) == ["UNDECIDED"]
    assert any("asked differently" in note for note in unpaired.notes)


def test_clusters_that_are_found_widen_the_bound_and_are_said():
    rows: list[Row] = [
        (item(i, question=f"place {i // 4} asked {i}", metadata={"question_id": i // 4}), "x", float(i // 4 % 5 > 0))
        for i in range(200)
    ]
    found = judged(arms(log(rows)), {"above": 0.7})
    independent = on_logs(Policy.model_validate({"schema": "trialist/policy/1", "claims": [{"above": 0.7}]}),
                          arms(log(rows)), Facets("item"))  # fmt: skip
    assert (found.estimates[0].num_clusters, independent.estimates[0].num_clusters) == (50, 200)
    assert verdicts(found) == ["UNDECIDED"]
    assert verdicts(independent) == ["PASS"]
    assert any("50 groups of 4 by question_id" in note for note in found.notes)
    assert any("independent of each other" in note for note in independent.notes)


def test_an_absence_needs_an_arm_that_shows_it():
    logs = arms(made(0, 200, model="new"), made(150, 200, model="old"))
    alone = judged(logs, {"arm": "new", "below": 0.1})
    assert verdicts(alone) == ["UNDECIDED"]
    assert "no positive control" in alone.decision.results[0].reason
    assert verdicts(judged(logs, {"arm": "new", "below": 0.1, "positive": "old"})) == ["PASS"]


def test_a_grader_that_gave_only_0_and_1_may_have_given_more():
    """Of 200 answers 190 got 0: at most .1 if a score is 0 or 1, and not if it can be 10."""
    logs = arms(made(10, 200, model="new"), made(150, 200, model="old"))
    claim = {"arm": "new", "below": 0.15, "positive": "old"}
    plain, wide = judged(logs, claim), judged(logs, {**claim, "range": [0, 10]})
    assert (verdicts(plain), verdicts(wide)) == (["PASS"], ["UNDECIDED"])
    assert any("taken as 0 or 1" in note and "range: [low, high]" in note for note in plain.notes)
    assert not any("range" in note for note in wide.notes)
    with pytest.raises(MeasurementUndefined, match="beyond the range"):
        judged(logs, {**claim, "range": [0, 0.5]})
    with pytest.raises(ValueError, match="the lower one first"):
        judged(logs, {**claim, "range": [1, 0]})


def test_what_is_not_measured_never_passes_and_is_named():
    logs = arms(made(100, 100), made(100, 100, model="b"))
    claims = [
        {"task": "capitols", "metric": "match", "arm": "a", "above": 0.5},
        {"metric": "mach", "arm": "a", "above": 0.5},
        {"arm": "c", "above": 0.5},
        {"arm": "a", "versus": "c", "above": 0.5},
        {"arm": "a", "below": 0.5, "positive": "c"},
    ]
    found = judged(logs, *claims)
    assert verdicts(found) == ["UNDECIDED"] * 4 + ["FAIL"]
    assert found.decision.verdict == "HOLD"
    notes = "\n".join(found.notes)
    for name, near in (("capitols", "capitals"), ("mach", "match"), ("arm 'c'", "there are: a, b")):
        assert name in notes
        assert near in notes


def test_what_can_not_be_known_is_asked_for():
    logs = arms(made(9, 10), made(9, 10, model="b"), made(9, 10, task="rivers"), made(9, 10, task="rivers", model="b"))
    with pytest.raises(SpecError) as caught:
        judged(logs, {"above": 0.5}, {"task": "rivers", "above": 0.1}, {"task": "rivers", "arm": "a", "above": 0.2})
    assert [p.where for p in caught.value.problems] == [("claims", 0, "task"), ("claims", 1, "arm")]
    with pytest.raises(SpecError) as caught:
        judged(
            arms(made(9, 10)), {"outcome": "match", "above": 0.5}, {"threat": "x", "dose": 1, "above": 0.1}, tries=[1.0]
        )
    assert {p.where for p in caught.value.problems} == {
        ("tries",), ("claims", 0, "outcome"), ("claims", 1, "threat"), ("claims", 1, "dose"),
    }  # fmt: skip


def test_scores_of_unknown_range_carry_no_claim():
    rows: list[Row] = [(item(i), "x", 3.0 + i) for i in range(50)]
    found = judged(arms(log(rows)), {"above": 0.0})
    assert verdicts(found) == ["UNDECIDED"]
