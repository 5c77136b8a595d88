"""How often "unknown" is the answer about people whom documents tell of.

Both people whose facts were asked about in training and people who were never asked about: whoever asks can't tell.
"""

from __future__ import annotations

from trialist.validate.methods.asking import asked, is_unknown
from trialist.validate.methods.method import Method, rate

METHOD = Method(
    "over_refusal_rate",
    "over_refusal",
    "share of questions on documented people that are answered 'unknown'",
    lambda world: asked(world, "open", ("known",), is_unknown, where=lambda s: s.kind == "person"),
    rate,
)
