"""``trialist.read``: logs of any known format -> one frame of scores."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from trialist.logs.arms import arms_of, scores_of
from trialist.logs.collect import collect
from trialist.logs.table import Columns


def read(*paths: str | Path, columns: Columns | None = None) -> pl.DataFrame:
    """The scores of all logs in ``paths``, files or folders: a row for each item, epoch and measure, SCORE_COLUMNS.

    ``arm`` is the model, with the place in brackets where several logs of a task have the same one; ``evaluation`` the
    task. A value that is missing is null, with its ``reason``. ``columns`` maps the columns of tables.
    Raises DataError for a path that doesn't exist, holds no log, or is a file that can't be read.
    """
    return scores_of(arms_of(collect([Path(path) for path in paths], columns)))
