"""Decision -> JUnit XML, which CI servers show as tests.

A claim is a test case. FAIL and UNDECIDED are both failures, told apart by ``type``: a server counts skipped tests as
no harm, and what is undecided was not shown.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping

from trialist.records import ClaimResult, Decision
from trialist.wording import visible

_NO_XML = re.compile("[\ufffe\uffff]")


def junit(decision: Decision, properties: Mapping[str, str] | None = None) -> bytes:
    """A whole file (UTF-8). ``properties`` say what was judged by what, such as the policy's hash. No claim at all is
    one failing case: nothing was shown."""
    failures = sum(result.verdict != "PASS" for result in decision.results) if decision.results else 1
    counts = {"tests": str(len(decision.results) or 1), "failures": str(failures), "errors": "0", "skipped": "0"}
    root = ET.Element("testsuites", {"name": "trialist gate", **counts})
    suite = ET.SubElement(root, "testsuite", {"name": f"trialist gate: {decision.verdict}", **counts})
    if properties:
        listed = ET.SubElement(suite, "properties")
        for name, value in properties.items():
            ET.SubElement(listed, "property", {"name": _text(name), "value": _text(value)})
    for result in decision.results:
        _case(suite, result)
    if not decision.results:
        case = ET.SubElement(suite, "testcase", {"name": "policy", "classname": "policy"})
        ET.SubElement(case, "failure", {"type": decision.verdict, "message": _text(decision.reason)})
    ET.SubElement(suite, "system-out").text = _text(f"{decision.verdict}: {decision.reason}")
    ET.indent(root)
    return ET.tostring(root, encoding="utf-8", xml_declaration=True)


def _case(suite: ET.Element, result: ClaimResult) -> None:
    claim = result.claim
    case = ET.SubElement(suite, "testcase", {"name": _text(claim.name), "classname": _text(claim.outcome)})
    if result.verdict == "PASS":
        ET.SubElement(case, "system-out").text = _text(result.reason)
        return
    failure = ET.SubElement(case, "failure", {"type": result.verdict, "message": _text(result.reason)})
    failure.text = _text(f"{claim.name}: {result.reason} (if it fails: {claim.on_fail})")


def _text(value: str) -> str:
    """Any text as XML may hold it: control characters and lone surrogates are escapes that can be read."""
    return _NO_XML.sub("\ufffd", visible(value, keep_newlines=True))
