"""``trialist score`` as a person and as a script meets it: killed and called again, in a pipe, with wrong lines."""

from __future__ import annotations

import json
import os
import pty
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from tiny_models import write_model

from trialist.bulk.journal import record_path
from trialist.bulk.score import WINDOW
from trialist.cli.app import start

ROOT = Path(__file__).parent.parent.parent

# A process that kills itself at the n-th time a file is to be flushed to the disk.
SUICIDE = """
import os, signal, sys
count, real = int(sys.argv.pop(1)), os.fsync
def fsync(handle):
    global count
    count -= 1
    if count == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    real(handle)
os.fsync = fsync
from trialist.cli import main
main()
"""


def environment(seconds: float = 0.0, threads: int = 1) -> dict[str, str]:
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    plain = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "NO_COLOR")}
    return {**plain, "PYTHONPATH": path, "TOY_SECONDS": str(seconds), "OMP_NUM_THREADS": str(threads)}


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "trialist", "score", *map(str, arguments)]


def write(path: Path, count: int, options: int = 4) -> Path:
    texts = [f" {word}" for word in ("one", "two", "three", "four")[:options]]
    rows = ({"context": f"{number} is", "continuations": texts, "id": number} for number in range(count))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def num_scored(out: Path) -> int:
    return json.loads(record_path(out).read_bytes())["tally"]["lines"] if record_path(out).exists() else 0


def finish(source: Path, out: Path, model: str) -> str:
    done = subprocess.run(
        command(source, "--model", model, "--out", out), env=environment(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


# --- killed --------------------------------------------------------------------------------------------------


def kill_when_further(arguments: Sequence[str], out: Path, *, after: float, seconds: float, threads: int = 1) -> int:
    """Start the command, kill it a moment after it got further, and say how far the record is."""
    before = num_scored(out)
    process = subprocess.Popen(
        arguments, env=environment(seconds, threads), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    while process.poll() is None and num_scored(out) == before:
        time.sleep(0.002)
    time.sleep(after)
    process.kill()
    _, err = process.communicate()
    assert process.returncode in (0, -signal.SIGKILL), err
    return num_scored(out)


def test_killed_at_random_moments(tmp_path: Path) -> None:
    source, calm, out = write(tmp_path / "in.jsonl", 10 * WINDOW), tmp_path / "calm", tmp_path / "out"
    finish(source, calm, "toys:poor")
    arguments, moments, kills, done = command(source, "--model", "toys:poor", "--out", out), random.Random(7), 0, 0
    while done < 10 * WINDOW:
        now = kill_when_further(arguments, out, after=moments.uniform(0.0, 0.15), seconds=0.0001)
        assert now > done
        done, kills = now, kills + 1
    assert kills >= 3
    finish(source, out, "toys:poor")
    assert out.read_bytes() == calm.read_bytes()
    assert record_path(out).read_bytes() == record_path(calm).read_bytes()


def test_killed_at_every_kind_of_write(tmp_path: Path) -> None:
    source, calm, out = write(tmp_path / "in.jsonl", 5 * WINDOW + 5), tmp_path / "calm", tmp_path / "out"
    finish(source, calm, "toys:poor")
    options = ["score", str(source), "--model", "toys:poor", "--out", str(out)]
    for count in (1, 2, 3, 4, 5, 5):
        done = subprocess.run([sys.executable, "-c", SUICIDE, str(count), *options], env=environment())
        assert done.returncode == -signal.SIGKILL
    assert 0 < num_scored(out) < 5 * WINDOW + 5
    assert "were scored before and are kept" in finish(source, out, "toys:poor")
    assert out.read_bytes() == calm.read_bytes()


@pytest.mark.torch
def test_killed_with_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    torch = pytest.importorskip("torch")
    monkeypatch.setenv("TRIALIST_CACHE", "off")  # what was computed before must be computed again
    source, calm, out = write(tmp_path / "in.jsonl", 2 * WINDOW + 9, options=1), tmp_path / "calm", tmp_path / "out"
    options = [str(source), "--model", f"hf/{write_model(tmp_path / 'model')}", "--dtype", "float32", "--out"]
    killed = kill_when_further(command(*options, out), out, after=0.0, seconds=0.0, threads=torch.get_num_threads())
    assert killed in (WINDOW, 2 * WINDOW)
    assert start(["score", *options, str(calm)]) == 0
    assert start(["score", *options, str(out)]) == 0
    assert f"{killed:,} lines were scored before" in capsys.readouterr().err
    assert out.read_bytes() == calm.read_bytes()
    assert start(["score", *options, str(out), "--dtype", "bfloat16"]) == 2
    said = capsys.readouterr().err
    assert "can't be continued" in said
    assert "dtype float32, now bfloat16" in said


def test_interrupted_says_what_is_kept(tmp_path: Path) -> None:
    source, out = write(tmp_path / "in.jsonl", 4 * WINDOW), tmp_path / "out"
    arguments = command(source, "--model", "toys:poor", "--out", out)
    process = subprocess.Popen(arguments, env=environment(0.0005), stderr=subprocess.PIPE, text=True)
    while num_scored(out) == 0:
        assert process.poll() is None
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    assert process.returncode == 130
    assert "the same command goes on" in err


# --- what is said --------------------------------------------------------------------------------------------


def test_summary_and_exit_codes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write(tmp_path / "in.jsonl", 3, options=2)
    assert start(["score", str(source), "--model", "scripted/longest"]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    out = tmp_path / "in.scores.jsonl"
    found = dict(re.findall(r"^(\w+) +(.*)$", said.out, re.MULTILINE))
    assert (found["lines"], found["scored"], found["failed"], found["continuations"]) == ("3", "3", "0", "6")
    assert found["scores"] == str(out)
    assert [json.loads(row)["id"] for row in out.read_text().splitlines()] == [0, 1, 2]
    assert "\x1b" not in said.out

    with source.open("a") as stream:
        stream.write('{"context": "\\u001b[31m", "continuations": [], "\\u001b": 1}\n')
    assert start(["score", str(source), "--model", "scripted/longest", "--restart"]) == 3
    said = capsys.readouterr()
    assert "first: line 4: unknown key" in said.out
    assert "\x1b" not in said.out
    assert start(["score", str(source), "--model", "scripted/longest", "--quiet"]) == 3
    assert capsys.readouterr() == ("3 of 4 lines scored\n", "")
    assert start(["score", str(source), "--model", "scripted/longest", "--json"]) == 3
    row = json.loads(capsys.readouterr().out)
    assert {"exit_code": 3, "lines": 4, "scored": 3, "failed": 1, "continuations": 6, "kept": 4}.items() <= row.items()
    assert row.keys() >= {"out", "tokens", "first_error", "seconds"}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["none.jsonl", "--model", "scripted/first"], "no such file"),
        (["in.jsonl"], "--model"),
        (["in.jsonl", "--model", "scripted/frist"], "did you mean 'first'?"),
        (["in.jsonl", "--model", "hf/none"], "none"),
        (["in.jsonl", "--model", "robot/first"], "unknown kind of model"),
        (["in.jsonl", "--model", "scripted/first", "--dtype", "float16"], "takes no dtype"),
        (["in.jsonl", "--model", "scripted/first", "--out", "in.jsonl"], "is the input"),
        (["in.jsonl", "--model", "scripted/first", "--out", "in.jsonl/out"], "can't write"),
        (["in.jsonl", "--model", "scripted/first", "--out", "letter.txt"], "exists already"),
        (["-", "--model", "scripted/first", "--out", "letter.txt"], "exists already"),
        (["-", "--model", "scripted/first", "--out", "none/out"], "can't write none/out"),
    ],
)
def test_a_users_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "in.jsonl", 2)
    (tmp_path / "letter.txt").write_text("dear")
    assert start(["score", *arguments]) == 2
    said = capsys.readouterr()
    assert said.err.startswith("error: ")
    assert says in said.err
    assert said.out == ""
    assert (tmp_path / "letter.txt").read_text() == "dear"
    assert not (tmp_path / "in.scores.jsonl").exists()


def on_a_terminal(arguments: Sequence[str], **more: str) -> str:
    """What the command writes to a terminal on standard error."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        arguments, env={**environment(0.0005), "TERM": "xterm", "COLUMNS": "120", **more}, stderr=theirs,
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(theirs)
    said = b""
    try:
        while data := os.read(ours, 4096):
            said += data
    except OSError:  # the other side is closed
        pass
    os.close(ours)
    assert process.wait() == 0
    return said.decode()


def test_progress_on_a_terminal_only(tmp_path: Path) -> None:
    source = write(tmp_path / "in.jsonl", 2 * WINDOW)
    arguments = command(source, "--model", "toys:poor", "--restart")
    said = on_a_terminal(arguments)
    assert re.search(r"\b512 lines +[\d,]+ lines/s", said), said
    assert "50%" in said
    assert re.search("\x1b\\[[0-9;]*3[0-9]", said), "colours"
    assert not re.search("\x1b\\[[0-9;]*3[0-9]", on_a_terminal(arguments, NO_COLOR="1"))
    assert on_a_terminal([*arguments, "--quiet"]) == ""


# --- in a pipe -----------------------------------------------------------------------------------------------


def test_from_a_stream_to_a_stream(tmp_path: Path) -> None:
    source = write(tmp_path / "in.jsonl", WINDOW + 3)
    assert start(["score", str(source), "--model", "toys:poor"]) == 0
    expected = (tmp_path / "in.scores.jsonl").read_bytes()
    arguments = command("-", "--model", "toys:poor")
    with source.open("rb") as stream:
        done = subprocess.run(arguments, stdin=stream, env=environment(), capture_output=True)
    assert (done.returncode, done.stdout) == (0, expected)
    assert b"515" in done.stderr, "the summary doesn't stand between the rows"
    out = tmp_path / "new.jsonl"
    with source.open("rb") as stream:
        done = subprocess.run(
            [*arguments, "--out", str(out), "--json"], stdin=stream, env=environment(), capture_output=True
        )
    assert json.loads(done.stdout)["out"] == str(out)
    assert out.read_bytes() == expected


def test_whoever_read_the_stream_may_go(tmp_path: Path) -> None:
    source = write(tmp_path / "in.jsonl", 20 * WINDOW)
    with source.open("rb") as stream:
        process = subprocess.Popen(
            command("-", "--model", "toys:poor"),
            stdin=stream,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(),
        )
    assert process.stdout is not None
    assert process.stderr is not None
    assert json.loads(process.stdout.readline())["line"] == 1
    process.stdout.close()
    err = process.stderr.read().decode()
    process.stderr.close()
    assert process.wait() == 2
    assert "standard output was closed" in err
    assert "Traceback" not in err
    assert "ignored" not in err


def test_an_interrupted_stream_does_not_promise_to_go_on(tmp_path: Path) -> None:
    process = subprocess.Popen(
        command("-", "--model", "toys:poor"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(write(tmp_path / "in.jsonl", WINDOW).read_bytes())
    process.stdin.flush()
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    assert process.returncode == 130
    assert b"can't be continued" in err
    assert b"same command" not in err


# --- the page ------------------------------------------------------------------------------------------------


@pytest.mark.torch
def test_the_page_runs_as_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch")
    from trialist.models.local import precision

    monkeypatch.setattr(precision, "CPUINFO", tmp_path / "none")  # the page shows float32
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs" / "score.md").read_text(encoding="utf-8")
    (items,) = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    (tmp_path / "items.jsonl").write_text(items)
    (line,) = re.findall(r"^\$ trialist (.*)$", page, re.MULTILINE)
    assert start(line.split()) == 3
    said = capsys.readouterr().out
    (shown,) = re.findall(r"^\$ trialist [^\n]*\n(.*?)```", page, re.MULTILINE | re.DOTALL)
    without_seconds = re.compile(r"^seconds.*$", re.MULTILINE)
    assert without_seconds.sub("", said).split() == without_seconds.sub("", shown).split()
    (rows,) = re.findall(r"```text\n(\{.*?)```", page, re.DOTALL)
    written = (tmp_path / "items.scores.jsonl").read_text().splitlines()
    for found, expected in zip(written, rows.splitlines(), strict=True):
        row, wanted = json.loads(found), json.loads(expected)
        assert row.get("error") == wanted.get("error")
        assert row.get("logprobs") == pytest.approx(wanted.get("logprobs"), abs=0.006)
        assert row.get("greedy") == wanted.get("greedy")
