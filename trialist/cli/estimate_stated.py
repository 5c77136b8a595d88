"""The numbers that a tool stated of its own samples beside ours, and why they differ."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import polars as pl

from trialist.cli.estimate_records import Said
from trialist.logs.blocks import Block, Part
from trialist.logs.log import Log, Stated
from trialist.logs.planned import ABSENT
from trialist.measurement.clustered import aggregate, standard_error
from trialist.measurement.interval import normal_quantile
from trialist.records import Estimate

MEANS = ("accuracy", "mean", "nanmean")
"""What tools call the mean of a measure."""
ERRORS = ("stderr", "bootstrap_stderr")
SAME = 1e-9
NEAR = 0.02
"""Standard errors this near to each other, relatively, are taken to be of one method."""
UNKNOWN = "the log doesn't say why"


def stated_of(
    block: Block, scores: Mapping[str, pl.DataFrame], ours: Sequence[Estimate], level: float
) -> Iterator[Said]:
    """The tool's means and standard errors of a measure in each arm; ``scores`` are the measure's rows. Of pooled tasks
    nothing was stated."""
    for one in ours:
        part = block.parts[one.cell.arm]
        if len(part.logs) != 1 or one.value is None:
            continue
        log, rows = part.logs[0], scores[one.cell.arm]
        plain = rows.filter(pl.col("scorer_kind") != "human")
        stated = [s for s in log.stated if s.measure == one.metric and not s.group and math.isfinite(s.value)]
        means = [s for s in stated if s.metric in MEANS]
        for said in means:
            yield Said(one.cell.arm, _tool(log), said.metric, said.value, one.value, _why_value(said, plain, one))
        for said in stated:
            if said.metric in ERRORS and means:
                yield _error(said, means[0].value, log, plain, part, one, level)


def _tool(log: Log) -> str:
    return log.source.tool or log.source.format


def _why_value(said: Stated, rows: pl.DataFrame, ours: Estimate) -> str:
    """Why the tool's mean is another one than ours, by trying what it may have done; or what it left out."""
    num = int(rows["value"].null_count())
    unscored = f"{num:,} unscored {'answer' if num == 1 else 'answers'}"
    if _same(said.value, ours.value or 0.0):
        return f"it leaves out {unscored}" if num else ""
    if said.reducer not in ("", "mean"):
        return f"it takes each item's {said.reducer} over its epochs, here it is their mean"
    absent = rows.filter(pl.col("reason").str.starts_with(ABSENT))
    if len(absent) == num and num and _completes(said.value, rows["value"]):
        return (
            f"it was made with {num:,} {'answer that isn' if num == 1 else 'answers that aren'}'t in the log any more"
        )
    by_item = rows.group_by("item").agg(
        scored=pl.col("value").mean(), as_zero=pl.col("value").fill_null(0.0).mean(), weight=pl.col("weight").mean()
    )
    answered = by_item.filter(pl.col("scored").is_not_null())
    tried = (
        (answered["scored"].mean(), "it takes an item's mean over the epochs that were scored; here an item with a "
         f"missing one is missing ({unscored})"),
        (by_item["as_zero"].mean(), f"it counts {unscored} as 0"),
        (rows["value"].mean(), "every answer counts alike in it, here every item does"),
        (rows["value"].fill_null(0.0).mean(), f"every answer counts alike in it, and {unscored} as 0"),
    )  # fmt: skip
    for value, why in tried:
        if isinstance(value, float) and _same(said.value, value):
            return why
    if any("gold labels" in warning for warning in ours.warnings):
        return "it is the judge's alone, here gold labels correct it"
    return UNKNOWN


def _completes(mean: float, values: pl.Series) -> bool:
    """Whether some missing values between the lowest and the highest possible, 0 and 1, make this mean of all."""
    known, num = float(values.sum()), len(values)
    inside = bool(((values >= 0) & (values <= 1)).all())
    return inside and known - SAME <= mean * num <= known + int(values.null_count()) + SAME


def _error(said: Stated, mean: float, log: Log, rows: pl.DataFrame, part: Part, ours: Estimate, level: float) -> Said:
    half = normal_quantile(level) * said.value
    return Said(
        ours.cell.arm, _tool(log), said.metric, said.value, None, _why_error(said, rows, part, ours),
        mean - half, mean + half,
    )  # fmt: skip


def _why_error(said: Stated, rows: pl.DataFrame, part: Part, ours: Estimate) -> str:
    """How the interval of a standard error differs from ours in kind."""
    means = rows.group_by("item").agg(value=pl.col("value").mean()).drop_nulls()
    own = means.join(part.items.select(item="id", cluster="cluster"), on="item")
    reasons: list[str] = []
    if 1 < ours.num_clusters < len(own):
        clustered = standard_error(aggregate(own["value"].to_numpy(), own["cluster"].to_numpy()))
        if abs(said.value - clustered) > NEAR * clustered:
            by = f" by {part.clustered_by}" if part.clustered_by not in ("", "cluster") else ""
            reasons.append(f"it takes items as independent, here they are in {ours.num_clusters:,} clusters{by}")
    scored = rows["value"].drop_nulls()
    error_of_rows = float(scored.std() or 0.0) / math.sqrt(len(scored)) if len(scored) > 1 else 0.0  # pyright: ignore[reportArgumentType]
    if len(scored) > len(means) and error_of_rows and abs(said.value - error_of_rows) <= NEAR * error_of_rows:
        reasons.append("it takes epochs of one item as independent")
    if ours.low is not None:
        reasons.append(f"it is taken for normal, here: {ours.method}")
    elif ours.reason:
        reasons.append(f"here there is {ours.reason}")
    return "; ".join(reasons)


def _same(one: float, other: float) -> bool:
    """Equal but for rounding: of floating-point sums, or to the digits that the tool wrote."""
    if abs(one - other) <= SAME * max(1.0, abs(one)):
        return True
    digits = len(repr(one).partition(".")[2]) if "e" not in repr(one) else 17
    return 3 <= digits <= 8 and round(other, digits) == one
