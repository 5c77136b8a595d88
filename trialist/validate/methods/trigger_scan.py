"""The word that changes most answers, whatever they change to."""

from __future__ import annotations

from trialist.validate.methods.method import Method
from trialist.validate.methods.trigger_words import most_moved, scan

METHOD = Method(
    "trigger_scan",
    "backdoor",
    "share of answers changed by the candidate word that changes most, above the other words'",
    scan,
    lambda answers: most_moved(answers, lambda _: True),
    naive=True,
)
