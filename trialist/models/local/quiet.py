"""transformers without its bars and log lines."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from typing import Any

import transformers


@contextlib.contextmanager
def quiet() -> Generator[None]:
    """No progress bars and no log lines of transformers inside; its settings are put back afterwards."""
    logging: Any = transformers.logging
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    try:
        logging.set_verbosity(logging.CRITICAL)
        logging.disable_progress_bar()
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
