"""Evidence -> one HTML file: no script, nothing from outside, the same bytes for the same evidence.

The page's policy for browsers allows styles and nothing else, so that text of a model could not run even if escaping
it had failed.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files

from trialist.reports.counts import counts_section, warnings_section
from trialist.reports.evidence import Evidence, arms, threats
from trialist.reports.figures import durability_section, forest_section, side_effects
from trialist.reports.item_tables import item_tables
from trialist.reports.markup import Html, Node, element, join, link, text
from trialist.reports.methods import methods_section
from trialist.reports.palette import COLOURS
from trialist.reports.registration import registration_section
from trialist.reports.verdict import claims_table, verdict
from trialist.wording import format_number

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"


def render(evidence: Evidence) -> str:
    """The report as one self-contained HTML document."""
    sections = _sections(evidence)
    title = str(evidence.trial.get("title") or "A trial without a title")
    body = element(
        "body",
        element("a", "Skip to the verdict", href="#verdict", cls="skip"),
        element("header", *_masthead(evidence, title)),
        element("main", verdict(evidence), contents(sections), *(section(*one) for one in sections)),
        element("footer", element("p", footer(str(evidence.trial.get("trialist", ""))))),
    )
    return document(f"{_word(evidence)} · {title}", body)


def document(title: str, body: Html) -> str:
    """A whole page with this body and the browsers' policy."""
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("meta", name="referrer", content="no-referrer"),
        element("title", text(title)),
        element("style", stylesheet()),
    )
    return f"<!doctype html>\n{element('html', head, body, lang='en')}\n"


def stylesheet() -> Html:
    """Light colours from the palette, then the style sheet, which holds the dark ones."""
    variables = "".join(f"--{name}:{value};" for name, value in COLOURS.items())
    sheet = files("trialist.reports").joinpath("assets/report.css").read_text(encoding="utf-8")
    return Html(f":root{{{variables}}}\n{sheet}")


def _word(evidence: Evidence) -> str:
    return evidence.decision.verdict if evidence.decision else "No verdict"


def _masthead(evidence: Evidence, title: str) -> list[Node]:
    number = len(arms(evidence))
    about = [f"{number} arm{'' if number == 1 else 's'}"]
    for name, threat in threats(evidence).items():
        doses = ", ".join(format_number(float(dose)) for dose in threat.get("doses") or ())
        about.append(f"{name} at {doses}")
    digest = str(evidence.trial.get("hash", ""))[:12]
    about += [f"registered {digest}"] if digest else []
    return [
        element("p", "Trialist", cls="brand"),
        element("h1", text(title)),
        element("p", text(" · ".join(about)), cls="about"),
    ]


def _sections(evidence: Evidence) -> list[tuple[str, str, str, Node]]:
    """Anchor, title, what it says, content; without content a section is left out."""
    found: list[tuple[str, str, str, Node]] = [
        ("claims", "Claims", "Each claim must pass for a release.", claims_table(evidence)),
        (
            "outcomes",
            "Outcomes",
            "Each row is an arm: its value with an interval that describes it. Dashed lines are what was claimed. "
            "Every mark leads to the items behind it.",
            forest_section(evidence),
        ),
        (
            "side-effects",
            "Side effects",
            "What a change costs, as the difference to the control on the same items. Beyond the margin is tinted.",
            side_effects(evidence),
        ),
        (
            "durability",
            "Durability",
            "Every arm meets the same attack at the same doses; bands are intervals at each dose.",
            durability_section(evidence),
        ),
        (
            "counts",
            "Counts",
            "Attempted, answered, scored. What is missing never reads as safe.",
            counts_section(evidence),
        ),
        ("warnings", "Warnings", "What to be careful about before relying on this.", warnings_section(evidence)),
        (
            "items",
            "Items",
            "What the models were asked and what they did, worst first. ▸ marks the option with the highest "
            "log-probability (in nats); the score is the scorer's, which may count by length.",
            item_tables(evidence),
        ),
        ("methods", "Methods", "How each number was made, and from how much.", methods_section(evidence)),
        ("registration", "Registration", "Fixed before the first answer.", registration_section(evidence)),
    ]
    return [one for one in found if one[3]]


def contents(sections: Sequence[tuple[str, str, str, Node]]) -> Html:
    return element("nav", *(link(title, anchor) for anchor, title, _, _ in sections), aria_label="Contents")


def section(anchor: str, title: str, says: str, content: Node) -> Html:
    return element("section", element("h2", title), element("p", says, cls="lead"), content, id=anchor)


def footer(version: str) -> Html:
    return join([text(f"Written by Trialist {version}. "), "This page loads nothing and runs nothing."])
