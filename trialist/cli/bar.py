"""A progress bar on standard error, where that is a terminal, for what takes longer than a moment."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from trialist.wording import visible

SHOWN_AFTER_SECONDS = 2.0


@contextmanager
def bar(what: str, *, silent: bool = False) -> Generator[Callable[[int, int], None]]:
    """Draw ``what`` while the block runs; the function that it gives takes how much is done, and of how much."""
    console = Console(stderr=True, highlight=False)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(bar_width=28), MofNCompleteColumn())
    off = silent or not console.is_terminal
    bars = Progress(*columns, TimeRemainingColumn(), console=console, transient=True, disable=off)
    task, started = bars.add_task(visible(what)[:40], total=None), time.monotonic()

    def advance(done: int, total: int) -> None:
        if time.monotonic() - started >= SHOWN_AFTER_SECONDS:
            bars.start()
        bars.update(task, completed=done, total=total)

    try:
        yield advance
    finally:
        bars.stop()
