"""The harness's generation arguments -> ours; drafts -> the tokens that its own Hugging Face model would stop at."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from trialist.errors import ModelError
from trialist.models.harness import _outside
from trialist.models.local import LocalModel, _hub
from trialist.models.local.drafts import Decode, Draft

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


def new_tokens(
    model: LocalModel, drafts: Sequence[Draft], decode: Decode, progress: Callable[[int, int], None]
) -> list[Sequence[int]]:
    """The tokens of each draft's first sample, up to where a stop string stands in ``decode`` of them.

    The engine looks for stop strings in the text that continues the prompt, the harness in the new tokens decoded
    alone, which lose their leading space with some tokenizers. A draft that the engine stopped too early for it is
    generated again without stop strings: its draws are its own, so its tokens begin the same.
    """
    ends = _hub.stop_ids(model.network, model.tokenizer)
    found = [reply.samples[0].tokens for reply in model.generate(drafts, progress)]
    early = [
        i
        for i, (draft, ids) in enumerate(zip(drafts, found, strict=True))
        if len(ids) < draft.max_tokens and ids[-1] not in ends and not _stops(decode(ids), draft.stop)
    ]
    whole = model.generate([replace(drafts[i], stop=()) for i in early])
    for i, reply in zip(early, whole, strict=True):
        ids = reply.samples[0].tokens
        starts = (ids[:length] for length in range(1, len(ids)))
        found[i] = next((start for start in starts if _stops(decode(start), drafts[i].stop)), ids)
    return [*found]


def _stops(text: str, stop: Sequence[str]) -> bool:
    return any(string in text for string in stop)
