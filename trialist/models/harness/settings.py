"""``--model_args`` -> settings of the model, or one error for all that is wrong with them."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from trialist.errors import ModelError, Problem, did_you_mean
from trialist.models.harness import _outside

logger = logging.getLogger("lm_eval.trialist")
"""Below ``lm_eval``, so that what is said appears where the harness's own log does."""

IGNORED = ("batch_size", "max_batch_size")
"""Arguments that the harness always passes and that have no meaning here."""


@dataclass(frozen=True)
class Settings:
    """``pretrained`` is a folder. ``max_length``: a shorter context than the model's, in tokens. ``add_bos_token`` and
    ``prefix_token_id`` as the harness's Hugging Face model has them; None: the tokenizer's own."""

    pretrained: Path
    dtype: str = "float32"
    device: str = "cpu"
    max_length: int | None = None
    add_bos_token: bool | None = None
    prefix_token_id: int | None = None


NAMES = tuple(field.name for field in fields(Settings))


def read_settings(pretrained: str | Path, given: Mapping[str, Any]) -> Settings:
    """Raises ``ModelError`` for an unknown argument or a wrong value, each with what is allowed."""
    problems = [*_unknown(given), *_wrong(given)]
    if problems:
        first, *rest = problems
        text, seen, allowed, step = first.message, first.seen, first.allowed, first.next_step
        raise ModelError(text, seen=seen, allowed=allowed, next_step=step, also=rest)
    batch_size = given.get("batch_size")
    if batch_size not in (None, 1, "1"):  # 1 is the harness's default: nobody asked for it
        logger.warning("batch_size %s is ignored: batches are packed automatically", batch_size)
    known: dict[str, Any] = {name: value for name, value in given.items() if name in NAMES and value is not None}
    known["device"] = _device(given.get("device"))
    return Settings(Path(pretrained).expanduser(), **known)


def _unknown(given: Mapping[str, Any]) -> list[Problem]:
    allowed = [*NAMES, *IGNORED]
    return [
        Problem("unknown model argument", f"{name}={value}", ", ".join(allowed), did_you_mean(name, allowed))
        for name, value in given.items()
        if name not in allowed
    ]


def _wrong(given: Mapping[str, Any]) -> list[Problem]:
    checks = {
        "max_length": ("a whole number of tokens, at least 1", _is_int(given.get("max_length"), least=1)),
        "add_bos_token": ("True or False", isinstance(given.get("add_bos_token"), bool)),
        "prefix_token_id": ("the number of a token", _is_int(given.get("prefix_token_id"), least=0)),
    }
    return [
        Problem(f"wrong value of the model argument {name}", repr(given[name]), allowed)
        for name, (allowed, right) in checks.items()
        if given.get(name) is not None and not right
    ]


def _is_int(value: object, *, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _device(asked: Any) -> str:
    """The harness's command line asks for ``cuda:0`` unless told otherwise, so that its absence is no user's error."""
    if asked is None:
        return "cuda" if _outside.has_cuda() else "cpu"
    if str(asked).startswith("cuda") and not _outside.has_cuda():
        logger.warning("device %s: there is no CUDA device here, the model computes on the cpu", asked)
        return "cpu"
    return str(asked)
