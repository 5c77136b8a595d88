"""Instances of lm-evaluation-harness -> its responses, computed by a local model.

``TrialistLM`` is a model as the harness knows it; ``register`` makes the harness find it by its name. Importing this
package needs neither the harness nor torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trialist.models.harness.model import TrialistLM

__all__ = ["NAME", "TrialistLM", "register"]

NAME = "trialist"
"""What ``--model`` of the harness's command line calls it."""


def register() -> None:
    """Let this process's harness find ``TrialistLM`` as ``trialist``. Twice is once.

    Raises:
        MissingExtra: the harness is not installed.
    """
    from trialist.models.harness import _outside

    if NAME not in _outside.model_registry:
        _outside.model_registry.register(NAME, target=f"{__name__}.model:TrialistLM")


def __getattr__(name: str) -> Any:
    if name != "TrialistLM":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from trialist.models.harness.model import TrialistLM

    return TrialistLM
