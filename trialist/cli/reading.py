"""Progress of reading files: a bar on the terminal once it takes longer than a moment."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from trialist.logs.collect import Progress

SHOWN_AFTER_SECONDS = 2.0


@contextmanager
def reading(*, silent: bool) -> Generator[Progress]:
    """The function that takes the number of files read and to read."""
    console = Console(stderr=True, highlight=False)
    bars = Bars(
        TextColumn("reading"), BarColumn(bar_width=28), MofNCompleteColumn(), TimeRemainingColumn(), console=console,
        transient=True, disable=silent or not console.is_terminal,
    )  # fmt: skip
    task, started = bars.add_task("", total=None), time.monotonic()

    def progress(done: int, total: int) -> None:
        if time.monotonic() - started >= SHOWN_AFTER_SECONDS:
            bars.start()
        bars.update(task, completed=done, total=total)

    try:
        yield progress
    finally:
        bars.stop()
