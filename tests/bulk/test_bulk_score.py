"""Windows of lines to a file that goes on where it was left, and refuses what isn't its own."""

from __future__ import annotations

import io
import json
import math
import resource
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from hypothesis import given, settings
from hypothesis import strategies as st

from trialist.bulk import score as module
from trialist.bulk.journal import Tally, record_path
from trialist.bulk.score import score_file, score_stream
from trialist.errors import DataError, ModelError, RunFolderError, StorageError
from trialist.models import scripted
from trialist.models.protocol import Choose, Failure, Keyed, Reply, Request
from trialist.models.scripted import Scripted
from trialist.records import seed_of

WINDOW = 8


@pytest.fixture(autouse=True)
def short_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WINDOW", WINDOW)
    monkeypatch.setattr(module, "WATCH_SECONDS", math.inf)


def digits() -> Scripted:
    """Log-probabilities that depend on the texts; fails where the context says so."""

    def respond(request: Keyed[Request]) -> Reply | Failure:
        assert isinstance(request.value, Choose)
        prompt, options = request.value.prompt, request.value.options
        if "fail" in prompt:
            return Failure("it would not")
        values = tuple(-math.log1p(seed_of(prompt, option)) for option in options)
        return Reply(logprobs=values, num_tokens=(2,) * len(options), num_bytes=tuple(len(o) for o in options))

    return scripted.from_function("digits", respond)


def line(number: int, **more: Any) -> str:
    return json.dumps({"context": f"{number} is", "continuations": [" odd", " even"], **more})


def write(path: Path, lines: Iterable[str]) -> Path:
    path.write_text("".join(f"{text}\n" for text in lines))
    return path


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(text) for text in path.read_text().splitlines()]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write(tmp_path / "in.jsonl", (line(number) for number in range(30)))


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "new" / "out.jsonl"


# --- what is written -----------------------------------------------------------------------------------------


def test_a_row_for_each_line_in_order(tmp_path: Path, out: Path) -> None:
    lines = [line(0, id="first"), "", line(2), '{"context": "fail", "continuations": ["a"]}', line(4, id=5)]
    summary = score_file(digits(), write(tmp_path / "in", [*lines, *map(line, range(5, 20))]), out)
    found = rows(out)
    assert [row["line"] for row in found] == list(range(1, 21))
    assert [row.get("id") for row in found[:5]] == ["first", None, None, None, 5]
    assert found[3] == {"line": 4, "error": "it would not"}
    direct = digits().respond(Keyed("", 0, Choose("2 is", (" odd", " even"))))
    assert isinstance(direct, Reply)
    assert found[2] == {
        "line": 3, "logprobs": list(direct.logprobs), "num_tokens": [2, 2], "num_bytes": [4, 5], "greedy": None
    }  # fmt: skip
    reason = found[1]["error"]
    assert summary.tally == Tally(20, 37, 18, 2, 72, first_error=f"line 2: {reason}")
    assert summary.kept == 0


@pytest.mark.parametrize("count", [1, WINDOW - 1, WINDOW, WINDOW + 1, 3 * WINDOW])
@pytest.mark.parametrize("end", ["", "\n"])
def test_any_length_and_end(tmp_path: Path, out: Path, count: int, end: str) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text("\n".join(line(number) for number in range(count)) + end)
    score_file(digits(), path, out)
    assert [row["line"] for row in rows(out)] == list(range(1, count + 1))
    sink = io.BytesIO()
    assert score_stream(digits(), io.BytesIO(path.read_bytes()), sink).tally.scored == count
    assert sink.getvalue() == out.read_bytes()


def test_a_mark_before_the_text_is_no_part_of_it(tmp_path: Path, out: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + line(0).encode() + b"\n" + b"\xef\xbb\xbf" + line(1).encode())
    assert score_file(digits(), path, out).tally.scored == 1
    assert "error" in rows(out)[1]


def test_no_more_than_a_window_is_in_memory(out: Path) -> None:
    """The rows of a window are written before the next is read."""
    sink, asked, read = io.BytesIO(), list[int](), 0

    class Source(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def __next__(self) -> bytes:
            nonlocal read
            assert sink.getvalue().count(b"\n") >= read - WINDOW
            read += 1
            if read > 5 * WINDOW:
                raise StopIteration
            return line(read).encode()

    class Counting(Scripted):
        def answer(self, requests: Iterable[Keyed[Request]]) -> Iterator[Keyed[Reply | Failure]]:
            asked.append(len(list(requests)))
            return iter(())

    score_stream(Counting("", digits().respond), Source(), sink)  # type: ignore[arg-type]
    assert asked == [WINDOW] * 5


# --- going on ------------------------------------------------------------------------------------------------


class Stop(Exception):
    """Stands for whatever ends a process."""


def until(lines: int) -> module.Watch:
    def watch(tally: Tally, num_bytes: int) -> None:
        if tally.lines >= lines:
            raise Stop

    return watch


def test_progress_moves_as_replies_arrive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WATCH_SECONDS", 0.0)
    lines = [*(line(number) for number in range(19)), "no JSON"]
    source, told = write(tmp_path / "in.jsonl", lines), list[tuple[int, int]]()
    size = source.stat().st_size
    score_file(digits(), source, tmp_path / "out.jsonl", watch=lambda tally, done: told.append((tally.lines, done)))
    assert told == sorted(told)
    assert {count for count, _ in told} >= {*range(18), 20}
    assert (told[0], told[-1]) == ((0, 0), (20, size))
    streamed = list[tuple[int, int]]()
    with source.open("rb") as stream:
        score_stream(digits(), stream, io.BytesIO(), watch=lambda tally, done: streamed.append((tally.lines, done)))
    assert streamed == told


@settings(max_examples=25)
@given(st.lists(st.integers(1, 30), max_size=3), st.binary(max_size=300))
def test_it_goes_on_with_the_bytes_of_an_undisturbed_run(
    tmp_path_factory: pytest.TempPathFactory, stops: list[int], rest: bytes
) -> None:
    folder = tmp_path_factory.mktemp("goes-on")
    source = write(folder / "in.jsonl", (line(number) for number in range(30)))
    calm, out = folder / "calm.jsonl", folder / "out.jsonl"
    score_file(digits(), source, calm)
    kept = 0
    for stop in stops:
        try:
            summary = score_file(digits(), source, out, watch=until(stop))
            assert summary.kept == kept
        except Stop:
            kept = max(kept, min(30, math.ceil(stop / WINDOW) * WINDOW))
        with out.open("ab") as stream:
            stream.write(rest)  # half a window that was being written
    assert score_file(digits(), source, out).kept == kept
    assert out.read_bytes() == calm.read_bytes()
    assert record_path(out).read_bytes() == record_path(calm).read_bytes()


def test_a_finished_file_is_not_asked_again(source: Path, out: Path) -> None:
    first = score_file(digits(), source, out)
    before = out.read_bytes()

    class Deaf(Scripted):
        def answer(self, requests: Iterable[Keyed[Request]]) -> Iterator[Keyed[Reply | Failure]]:
            raise AssertionError

    again = score_file(Deaf(digits().digest, digits().respond), source, out)
    assert again.tally == first.tally
    assert again.kept == 30
    assert out.read_bytes() == before


def test_restart_writes_it_anew(source: Path, out: Path) -> None:
    out.parent.mkdir()
    out.write_text("a letter\n" * 1000)
    with pytest.raises(RunFolderError, match="exists already"):
        score_file(digits(), source, out)
    score_file(digits(), source, out, restart=True)
    before = out.read_bytes()
    write(source, (line(number) for number in range(50, 60)))
    assert score_file(digits(), source, out, restart=True).kept == 0
    assert out.read_bytes() != before
    assert len(rows(out)) == 10


def _other_model(source: Path, out: Path) -> Scripted:
    return scripted.always(0)


def _changed_input(source: Path, out: Path) -> Scripted:
    write(source, (line(number) for number in [*range(9), 99, *range(10, 30)]))
    return digits()


def _shorter_input(source: Path, out: Path) -> Scripted:
    write(source, (line(number) for number in range(12)))
    return digits()


def _changed_output(source: Path, out: Path) -> Scripted:
    out.write_bytes(out.read_bytes().replace(b'"line": 3', b'"line": 4'))
    return digits()


def _no_output(source: Path, out: Path) -> Scripted:
    out.unlink()
    return digits()


def _broken_record(source: Path, out: Path) -> Scripted:
    record_path(out).write_text('{"schema": "trialist/scores/1"}')
    return digits()


def _newer_record(source: Path, out: Path) -> Scripted:
    record_path(out).write_text('{"schema": "trialist/scores/2"}')
    return digits()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (_other_model, r"model [0-9a-f]{64}, now [0-9a-f]{64}"),
        (_changed_input, "the input's first .* are others now"),
        (_shorter_input, "the input's first"),
        (_changed_output, "the output's first .* are others now"),
        (_no_output, "the output's first"),
        (_broken_record, "can't be read"),
        (_newer_record, "schema trialist/scores/2"),
    ],
)
def test_it_refuses_to_go_on_with_something_else(source: Path, out: Path, change: Any, says: str) -> None:
    with pytest.raises(Stop):
        score_file(digits(), source, out, watch=until(2 * WINDOW))
    model = change(source, out)
    before = out.read_bytes() if out.exists() else None
    with pytest.raises(RunFolderError, match=says) as error:
        score_file(model, source, out)
    assert "--restart" in str(error.value)
    assert (out.read_bytes() if out.exists() else None) == before, "nothing was touched"


def test_lines_behind_the_scored_part_may_change_until_it_is_finished(source: Path, out: Path, tmp_path: Path) -> None:
    with pytest.raises(Stop):
        score_file(digits(), source, out, watch=until(2 * WINDOW))
    write(source, (line(number) for number in [*range(20), *range(70, 90)]))
    assert score_file(digits(), source, out).kept == 2 * WINDOW
    score_file(digits(), source, tmp_path / "calm.jsonl")
    assert out.read_bytes() == (tmp_path / "calm.jsonl").read_bytes()
    with source.open("a") as stream:
        stream.write(line(40) + "\n")
    with pytest.raises(RunFolderError, match="has more lines now"):
        score_file(digits(), source, out)


# --- refusals ------------------------------------------------------------------------------------------------


def test_an_input_that_cannot_be_read(tmp_path: Path, out: Path) -> None:
    (tmp_path / "empty").touch()
    for path, says in (("none", "no such file"), (".", "not a file"), ("empty", "has no lines")):
        with pytest.raises(DataError, match=says):
            score_file(digits(), tmp_path / path, out)
    with pytest.raises(DataError, match="the stream has no lines"):
        score_stream(digits(), io.BytesIO(), io.BytesIO())
    assert not out.exists()


def test_an_output_that_cannot_be_written(source: Path, out: Path, tmp_path: Path) -> None:
    for path, says in ((source, "is the input"), (tmp_path, "not a file")):
        with pytest.raises(RunFolderError, match=says):
            score_file(digits(), source, path, restart=True)
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="can't write"):
        score_file(digits(), source, tmp_path / "file" / "out.jsonl")


def test_a_disk_that_refuses_keeps_what_was_finished(source: Path, out: Path, tmp_path: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, limits[1]))
    try:
        with pytest.raises(StorageError, match="File too large"):
            score_file(digits(), source, out)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert 0 < score_file(digits(), source, out).kept < 30
    score_file(digits(), source, tmp_path / "calm.jsonl")
    assert out.read_bytes() == (tmp_path / "calm.jsonl").read_bytes()


def test_an_output_in_use(source: Path, out: Path) -> None:
    out.parent.mkdir()
    with FileLock(out.with_name(".out.jsonl.lock")), pytest.raises(RunFolderError, match="in use"):
        score_file(digits(), source, out)


def test_a_model_that_cannot_choose(source: Path, out: Path) -> None:
    mute = Scripted("mute", digits().respond, frozenset({"generate"}))
    with pytest.raises(ModelError, match="no log-probabilities"):
        score_file(mute, source, out)
