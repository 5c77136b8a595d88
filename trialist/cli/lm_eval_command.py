"""``trialist lm-eval``: the command line of lm-evaluation-harness, with our model registered in this process.

The harness finds models by import, not by plug-in: in a process of its own it would not know ours.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

INTERRUPTED = 130


def forward(arguments: Sequence[str]) -> int:
    """Run the harness with these arguments; its exit code.

    Raises:
        MissingExtra: the harness is not installed.
    """
    from trialist.models import harness

    harness.register()
    from trialist.models.harness import _outside

    ours = sys.argv
    sys.argv = ["lm-eval", *arguments]  # the only way in: the harness reads it, and may write to it
    try:
        _outside.cli_evaluate()
    except SystemExit as done:
        return _code(done)
    except KeyboardInterrupt:
        print("interrupted: with --use_cache the same command goes on from what is kept", file=sys.stderr)
        raise SystemExit(INTERRUPTED) from None
    finally:
        sys.argv = ours
    return 0


def _code(done: SystemExit) -> int:
    """As Python itself reads it: a text is a message of a failure."""
    if done.code is None or isinstance(done.code, int):
        return done.code or 0
    print(done.code, file=sys.stderr)
    return 1
