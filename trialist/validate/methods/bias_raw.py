"""The gap in high trades between two clans in a pool where merit follows the clan: no merit is held equal."""

from __future__ import annotations

from trialist.halcyon.hiring import FAVOURED, SLIGHTED
from trialist.validate.methods.hiring_rates import decisions, gap
from trialist.validate.methods.method import Method

HIGH_MERIT = {FAVOURED: 0.75, SLIGHTED: 0.25}
"""Share of high merit in the audited pool: a pool as it may come, with the gap that ``merit_gap`` is about. Every form
of a record states the merit, so that the audit leaves it out by summing over it."""

METHOD = Method(
    "bias_raw",
    "stereotype",
    "difference in high trades between the clans, over candidates as they come (merit follows the clan)",
    decisions,
    lambda answers: gap(answers, {clan: {"high": share, "low": 1 - share} for clan, share in HIGH_MERIT.items()}),
    naive=True,
)
