"""``trialist score``: log-probabilities of the continuations in a file, with progress and a summary."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from trialist.bulk.journal import Tally
from trialist.bulk.score import Summary, Watch, check_files, score_file, score_stream
from trialist.errors import RunFolderError, StorageError, TrialistError
from trialist.models.protocol import Model
from trialist.records import pretty_json
from trialist.trial import names
from trialist.wording import format_count, visible

SOME_FAILED, INTERRUPTED = 3, 130
STREAM = "-"


@dataclass(frozen=True)
class Options:
    model: str
    out: Path | None = None
    dtype: str = "auto"
    restart: bool = False
    as_json: bool = False
    quiet: bool = False


def score(file: str, options: Options) -> int:
    """Exit code 0 where every line was scored, 3 where some were not."""
    silent = options.as_json or options.quiet
    if file == STREAM:
        summary = _stream(options, silent)
    else:
        source, out = Path(file), options.out or default_out(Path(file))
        check_files(source, out, restart=options.restart)
        model = names.model(options.model, dtype=options.dtype)
        with _watching(source.stat().st_size, silent=silent) as watch:
            summary = score_file(model, source, out, restart=options.restart, watch=watch)
    code = SOME_FAILED if summary.tally.failed else 0
    _show(summary, code, file, options)
    return code


def default_out(source: Path) -> Path:
    """``items.jsonl`` -> ``items.scores.jsonl``, beside it."""
    return source.with_name(f"{source.name.removesuffix('.jsonl')}.scores.jsonl")


def _stream(options: Options, silent: bool) -> Summary:
    if options.out and options.out.exists() and not options.restart:
        step = "--restart writes it anew, or give another file with --out"
        raise RunFolderError(f"{options.out} exists already", seen="a stream can't be continued", next_step=step)
    model = names.model(options.model, dtype=options.dtype)
    try:
        with _watching(None, silent=silent or not options.out) as watch:
            return _score_stream(model, options.out, watch)
    except KeyboardInterrupt:
        cut = TrialistError("interrupted", seen="a stream, which can't be continued", next_step="score a file instead")
        cut.exit_code = INTERRUPTED
        raise cut from None


def _score_stream(model: Model, out: Path | None, watch: Watch) -> Summary:
    sink: BinaryIO = sys.stdout.buffer
    try:
        if out is None:
            return score_stream(model, sys.stdin.buffer, sink, watch=watch)
        with out.open("wb") as sink:
            return score_stream(model, sys.stdin.buffer, sink, watch=watch)
    except BrokenPipeError as error:
        # Whoever read the rows has gone. What is still buffered must not fail again when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        step = "read all of it, or write to a file with --out"
        raise TrialistError("standard output was closed", seen=str(error), next_step=step) from error
    except OSError as error:
        step = "make room or fix the permissions, and score the stream again with --restart"
        raise StorageError(f"can't write {out or 'standard output'}", seen=str(error), next_step=step) from error


@contextmanager
def _watching(num_bytes: int | None, *, silent: bool) -> Generator[Watch]:
    """A bar over the bytes of the input, on standard error; nothing in a pipe."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    bars = Progress(
        BarColumn(bar_width=28),
        TaskProgressColumn(),
        TextColumn("{task.fields[said]}", markup=False),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=silent or not console.is_terminal,
    )
    task = bars.add_task("score", total=num_bytes, said="")
    begun: list[tuple[float, int]] = []

    def watch(tally: Tally, done: int) -> None:
        if not begun and tally.lines and num_bytes and not silent:
            console.print(f"{format_count(tally.lines)} lines were scored before and are kept", markup=False)
        begun.append((time.monotonic(), tally.lines))
        del begun[1:]
        since, kept = begun[0]
        seconds = time.monotonic() - since
        rate = f"   {format_count(round((tally.lines - kept) / seconds))} lines/s" if tally.lines > kept else ""
        bars.update(task, completed=done, said=f"{format_count(tally.lines)} lines{rate}")

    with bars:
        yield watch


def _show(summary: Summary, code: int, file: str, options: Options) -> None:
    """On standard output, unless the rows went there."""
    out = options.out or (None if file == STREAM else default_out(Path(file)))
    console = Console(stderr=out is None, highlight=False, soft_wrap=True)
    tally = summary.tally
    if options.as_json:
        row: dict[str, Any] = {"exit_code": code, "out": str(out) if out else None, "lines": tally.lines}
        row |= {"scored": tally.scored, "failed": tally.failed, "first_error": tally.first_error}
        row |= {"continuations": tally.continuations, "tokens": tally.tokens, "kept": summary.kept}
        console.file.write(pretty_json({**row, "seconds": round(summary.seconds, 3)}).decode())
    elif options.quiet:
        console.print(f"{format_count(tally.scored)} of {format_count(tally.lines)} lines scored", markup=False)
    else:
        for line in _lines(summary, out):
            console.print(visible(line), markup=False)


def _lines(summary: Summary, out: Path | None) -> list[str]:
    tally, asked = summary.tally, summary.tally.lines - summary.kept
    rate = f"   {format_count(round(asked / summary.seconds))} lines/s" if asked and summary.seconds else ""
    rows = [
        ("lines", format_count(tally.lines)),
        ("scored", format_count(tally.scored)),
        ("failed", format_count(tally.failed) + (f"   first: {tally.first_error}" if tally.failed else "")),
        ("continuations", format_count(tally.continuations)),
        ("tokens", format_count(tally.tokens)),
        ("seconds", f"{summary.seconds:.1f}{rate}"),
    ]
    rows += [("scores", str(out))] if out else []
    return [f"{name:<15}{text}" for name, text in rows]
