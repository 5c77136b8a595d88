"""The harness's generation arguments -> ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trialist.errors import ModelError
from trialist.models.harness import _outside

MAX_TOKENS = 256
"""The harness's default of ``max_gen_toks``."""

KNOWN = ("until", "max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens", "do_sample", "temperature")
NEUTRAL: Mapping[str, Any] = {"num_beams": 1, "num_return_sequences": 1, "top_p": 1, "repetition_penalty": 1}
"""Arguments with the value that changes nothing; with another value they are refused."""


@dataclass(frozen=True)
class Options:
    """``temperature`` 0 is greedy."""

    max_tokens: int
    stop: tuple[str, ...]
    temperature: float


def read_options(given: Mapping[str, Any], end: str | None) -> Options:
    """``end``, the text of the end token, is one of the stop strings.

    Raises:
        ModelError: an argument that the engine doesn't have, or sampling without a temperature.
    """
    options = _outside.normal_options(given, MAX_TOKENS)
    for name, value in given.items():
        if name in KNOWN or value is None or (name in NEUTRAL and value == NEUTRAL[name]):
            continue
        neutral = ", ".join(f"{key}={only}" for key, only in NEUTRAL.items())
        step = f"take '{name}' out of the task's generation_kwargs or of --gen_kwargs"
        seen, allowed = f"{name}: {value!r}", f"{', '.join(KNOWN)}; and without effect {neutral}"
        raise ModelError(f"unsupported generation argument '{name}'", seen=seen, allowed=allowed, next_step=step)
    temperature = float(options.get("temperature", 0.0)) if options["do_sample"] else 0.0
    if options["do_sample"] and temperature <= 0:
        seen, allowed = f"do_sample: True, temperature: {temperature:g}", "a temperature above 0, or do_sample: False"
        raise ModelError("sampling without a temperature", seen=seen, allowed=allowed)
    stop = [*options["until"], *([end] if end is not None else [])]
    return Options(options["max_gen_toks"], tuple(dict.fromkeys(stop)), temperature)


def final_text(text: str, stop: Sequence[str]) -> str:
    """What stands before the first of the stop strings."""
    for string in stop:
        text = text.partition(string)[0]
    return text
