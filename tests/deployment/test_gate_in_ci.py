"""What CI servers get of a decision: annotations that nothing breaks out of, XML that parses."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trialist.deployment.annotations import Written, annotations, command
from trialist.deployment.junit import junit
from trialist.records import Cell, Claim, ClaimResult, Decision, Verdict
from trialist.wording import visible

HOSTILE = "100%, done: ok\r\n::stop-commands::x\n##[error]no\x1b[31m\ud800\uffff</failure>&\"'\x00\u202e"


def result(name: str, verdict: Verdict, reason: str = "why") -> ClaimResult:
    return ClaimResult(Claim(name, "mmlu/acc", Cell("a"), "above", 0.6, 0.95), verdict, reason)


def decoded(line: str) -> tuple[str, dict[str, str], str]:
    """As the runner reads a command: level, properties, message."""
    match = re.fullmatch(r"::(\w+) ?([^:]*?)::(.*)", line)
    assert match is not None
    pairs = dict(pair.split("=", 1) for pair in match[2].split(",")) if match[2] else {}
    codes = {"%0D": "\r", "%0A": "\n", "%3A": ":", "%2C": ","}

    def plain(text: str) -> str:
        return re.sub("%0D|%0A|%3A|%2C|%25", lambda m: codes.get(m[0], "%"), text)

    return match[1], {key: plain(value) for key, value in pairs.items()}, plain(match[3])


@given(st.text(), st.text())
def test_an_annotation_is_one_line_and_says_what_it_was_given(title: str, message: str):
    line = command("error", message, file="p.yaml", line=3, title=title)
    assert len(line.splitlines()) == 1
    shown = visible(title, keep_newlines=True)
    assert decoded(line) == (
        "error", {"file": "p.yaml", "line": "3", "title": shown}, visible(message, keep_newlines=True)
    )  # fmt: skip


def test_failing_claims_come_first_and_stand_at_their_lines():
    results = (result("good", "PASS"), result(HOSTILE, "UNDECIDED", HOSTILE), result("bad", "FAIL"))
    decision = Decision("HOLD", "Held: bad", results)
    lines = [decoded(line) for line in annotations(decision, Written("p.yaml", {"bad": 7, "good": 4}))]
    assert [(level, found["title"].split(":")[0]) for level, found, _ in lines] == [
        ("error", "HOLD"), ("error", "FAIL"), ("warning", "UNDECIDED"), ("notice", "PASS"),
    ]  # fmt: skip
    assert [found.get("line") for _, found, _ in lines] == [None, "7", None, "4"]
    assert "::stop-commands::" in lines[2][2]
    assert next(annotations(Decision("PROMOTE", "ok", ()))).startswith("::notice title=PROMOTE::")


@given(st.text(), st.text(), st.sampled_from(["PASS", "FAIL", "UNDECIDED"]))
def test_the_xml_parses_and_only_a_pass_reads_as_passed(name: str, reason: str, verdict: Verdict):
    decision = Decision("HOLD", reason, (result(name, verdict, reason), result("other", "PASS")))
    suite = ET.fromstring(junit(decision, {"policy": name})).find("testsuite")
    assert suite is not None
    cases = suite.findall("testcase")
    shown = visible(name, keep_newlines=True).replace("\ufffe", "\ufffd").replace("\uffff", "\ufffd")
    assert [case.get("name") for case in cases] == [shown, "other"]
    failures = suite.findall("testcase/failure")
    assert [f.get("type") for f in failures] == ([] if verdict == "PASS" else [verdict])
    assert suite.get("failures") == str(len(failures))
    assert suite.get("tests") == "2"
    assert suite.findall(".//skipped") == []


@pytest.mark.parametrize("text", [HOSTILE])
def test_hostile_text_stays_text_in_xml(text: str):
    found = ET.fromstring(junit(Decision("BLOCK", text, (result(text, "FAIL", text),))))
    assert [child.tag for child in found.iter()] == [
        "testsuites", "testsuite", "testcase", "failure", "system-out",
    ]  # fmt: skip


def test_a_policy_without_claims_is_a_failing_case():
    found = ET.fromstring(junit(Decision("HOLD", "nothing was shown", ())))
    assert (found.get("tests"), found.get("failures")) == ("1", "1")
    assert found.find(".//failure") is not None
