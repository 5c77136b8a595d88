"""How often something is answered about people of whom no document tells."""

from __future__ import annotations

from trialist.validate.methods.asking import asked, not_unknown
from trialist.validate.methods.method import Method, rate

METHOD = Method(
    "hallucination_rate",
    "hallucination",
    "share of questions on people of whom nothing is known that get an answer other than 'unknown'",
    lambda world: asked(world, "open", ("stranger",), not_unknown),
    rate,
)
