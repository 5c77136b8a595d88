"""What is installed here, and the line that installs what isn't."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import platform

import trialist
from trialist.models.cache import default_cache
from trialist.trial.registration import threads_here

_CORE = ("numpy", "scipy", "polars", "pydantic", "PyYAML", "typer", "rich", "filelock", "vl-convert-python")
_EXTRAS = {"local": ("torch", "transformers", "tokenizers", "safetensors"), "lm-eval": ("lm_eval",)}

MIB = 1024**2


def examine() -> list[dict[str, str]]:
    """One row a part: name, what was found, and the next step where something is missing."""
    rows = [_row("trialist", trialist.__version__), _row("python", platform.python_version())]
    rows += [_package(name, "pip install -c constraints.txt -e .") for name in _CORE]
    for extra, packages in _EXTRAS.items():
        rows += [_package(name, f'pip install -c constraints.txt -e ".[{extra}]"') for name in packages]
    rows.append(_row("device", _device()))
    rows.append(_row("threads", str(threads_here())))
    rows.append(_row("kept replies", _kept_replies()))
    return rows


def _row(part: str, found: str, next_step: str = "") -> dict[str, str]:
    return {"part": part, "found": found, "next": next_step}


def _package(name: str, install: str) -> dict[str, str]:
    try:
        return _row(name, importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        return _row(name, "missing", install)


def _device() -> str:
    if importlib.util.find_spec("torch") is None:
        return "unknown: torch is missing"
    import torch

    if torch.cuda.is_available():
        return f"cuda ({torch.cuda.get_device_name(0)}); this version computes on the CPU"
    return "cpu"


def _kept_replies() -> str:
    cache = default_cache()
    if cache is None:
        return "off: TRIALIST_CACHE says so, or there is no home folder"
    return f"{cache.root}: {cache.num_bytes() / MIB:,.1f} of at most {cache.max_bytes / MIB:,.0f} MiB"
