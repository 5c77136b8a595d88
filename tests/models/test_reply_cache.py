"""Replies on disk: bit-equal or absent, whatever happened to the files, and named by all that they depend on."""

from __future__ import annotations

import dataclasses
import errno
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trialist.models import cache as module
from trialist.models.cache import ReplyCache, chunk_key, default_cache
from trialist.models.protocol import Activations, Choose, Failure, Generate, Keyed, Reply, Request, Sample

ROOT = Path(__file__).parent.parent.parent
IDENTITY = "model 1, float32, 1 thread"

texts = st.text(st.characters(exclude_categories=()), max_size=20)  # lone surrogates too
floats = st.floats(allow_nan=False)


def tuples(values: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(values, max_size=4).map(tuple)


counts = tuples(st.integers(0, 2**40))
samples = st.builds(Sample, texts, counts, tuples(floats), st.booleans())
replies = st.builds(
    Reply, texts, tuples(floats), counts, counts, tuples(st.booleans()), st.booleans(), tuples(samples), st.just(())
)
requests = st.one_of(
    st.builds(Choose, texts, tuples(texts)),
    st.builds(Generate, texts, st.integers(0, 99), tuples(texts), st.sampled_from([0.0, 0.7]), st.integers(1, 3)),
    st.builds(Activations, texts, tuples(texts), tuples(st.integers(-3, 3))),
)
answered = st.lists(st.tuples(requests, replies | st.builds(Failure, texts)), max_size=5)


def keyed(values: Sequence[Request], *, seed: int = 0, prefix: str = "") -> list[Keyed[Request]]:
    return [Keyed(f"{prefix}{i}", seed + i, value) for i, value in enumerate(values)]


def chunk(number: int, size: int = 20) -> tuple[list[Keyed[Request]], list[Reply | Failure]]:
    """The same requests and replies for the same number."""
    draw = random.Random(number)
    asked = keyed([Choose(f"{number}, {i}:", (" a", " b")) for i in range(size)])
    return asked, [Reply(logprobs=(-draw.random(), -draw.random()), num_tokens=(1, 1)) for _ in range(size)]


def files(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*") if path.is_file())


@pytest.fixture
def kept(tmp_path: Path) -> ReplyCache:
    return ReplyCache(tmp_path / "replies")


# --- round trip ----------------------------------------------------------------------------------------------


def exact(value: Any) -> Any:
    """Comparable to the last bit: -0.0 is not 0.0, and True is not 1."""
    if dataclasses.is_dataclass(value):
        return type(value).__name__, {f.name: exact(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, (list, tuple)):
        return type(value).__name__, [exact(part) for part in value]
    return type(value).__name__, value.hex() if isinstance(value, float) else value


@settings(max_examples=50)
@given(answered)
def test_what_is_put_comes_back_bit_for_bit(pairs: list[tuple[Request, Reply | Failure]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asked, given_back = keyed([request for request, _ in pairs]), [reply for _, reply in pairs]
        cache = ReplyCache(Path(folder))
        assert cache.get(IDENTITY, asked) is None
        cache.put(IDENTITY, asked, given_back)
        assert exact(ReplyCache(Path(folder)).get(IDENTITY, asked)) == exact(given_back)
        assert cache.notice is None


def test_every_field_of_a_reply_is_kept(kept: ReplyCache) -> None:
    sample = Sample("a", (1,), (float("-inf"),), True)
    full = Reply("a", (-0.0, float("-inf")), (1,), (2,), (True, False), True, (sample, Sample("")))
    empty = [f.name for f in dataclasses.fields(full) if not getattr(full, f.name)]
    assert empty == ["activations"], "a new field of Reply belongs into this test"
    assert all(getattr(sample, f.name) for f in dataclasses.fields(sample))
    kept.put(IDENTITY, keyed([Choose("", ())]), [full])
    assert exact(kept.get(IDENTITY, keyed([Choose("", ())]))) == exact([full])


def test_activations_are_left_out(kept: ReplyCache) -> None:
    asked = keyed([Choose("a", (" b",)), Activations("a", ("layer",))])
    kept.put(IDENTITY, asked, [Reply(), Reply(activations=(np.zeros((1, 2)),))])
    assert kept.get(IDENTITY, asked) is None
    assert files(kept.root) == []
    assert kept.notice is None


def test_one_reply_to_each_request(kept: ReplyCache) -> None:
    with pytest.raises(ValueError, match="1 replies to 2 requests"):
        kept.put(IDENTITY, keyed([Choose("a", ()), Choose("b", ())]), [Reply()])


# --- names ---------------------------------------------------------------------------------------------------

CHOICE, GREEDY, DRAWN = Choose("a", (" b", " c")), Generate("a"), Generate("a", temperature=0.5)


def test_keys_and_seeds_of_what_does_not_draw_do_not_matter(kept: ReplyCache) -> None:
    kept.put(IDENTITY, keyed([CHOICE, GREEDY], seed=1), [Reply(text="1"), Failure("2")])
    assert kept.get(IDENTITY, keyed([CHOICE, GREEDY], seed=5, prefix="other")) == [Reply(text="1"), Failure("2")]
    assert chunk_key("", keyed([DRAWN])) == chunk_key("", keyed([DRAWN], prefix="other"))


OTHERS: dict[str, list[Keyed[Request]]] = {
    "order": keyed([DRAWN, CHOICE]),
    "a seed that draws": keyed([CHOICE, DRAWN], seed=1),
    "one more": keyed([CHOICE, DRAWN, CHOICE]),
    "one less": keyed([CHOICE]),
    "prompt": keyed([Choose("A", (" b", " c")), DRAWN]),
    "an option": keyed([Choose("a", (" b", " d")), DRAWN]),
    "where an option ends": keyed([Choose("a", (" b c",)), DRAWN]),
    "type": keyed([Activations("a", (" b", " c")), DRAWN]),
    "temperature": keyed([CHOICE, Generate("a", temperature=0.25)]),
    "number of samples": keyed([CHOICE, Generate("a", temperature=0.5, num_samples=2)]),
    "stop": keyed([CHOICE, Generate("a", temperature=0.5, stop=("b",))]),
}


@pytest.mark.parametrize("name", OTHERS)
def test_everything_else_does(name: str) -> None:
    assert chunk_key("", keyed([CHOICE, DRAWN])) != chunk_key("", OTHERS[name])


def test_identity_and_format_matter(kept: ReplyCache, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, given_back = chunk(0)
    kept.put(IDENTITY, asked, given_back)
    assert kept.get("model 2, float32, 1 thread", asked) is None
    monkeypatch.setattr(module, "VERSION", 2)
    assert kept.get(IDENTITY, asked) is None


def test_two_halves_of_a_character_are_not_the_character() -> None:
    halves, whole = "\ud83d\ude00", "\U0001f600"
    assert chunk_key("", keyed([Choose(halves, ())])) != chunk_key("", keyed([Choose(whole, ())]))


def test_what_has_no_key_is_not_kept(kept: ReplyCache) -> None:
    asked = keyed([Choose(b"bytes", ())])  # type: ignore[arg-type]  # a model refuses it with a reason
    kept.put(IDENTITY, asked, [Failure("not a text")])
    assert kept.get(IDENTITY, asked) is None
    assert kept.notice is None


# --- damage --------------------------------------------------------------------------------------------------


@settings(max_examples=50)
@given(st.integers(0), st.sampled_from(["cut", "flip", "extend", "replace"]))
def test_a_damaged_file_is_a_miss_and_goes(place: int, damage: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        cache, (asked, given_back) = ReplyCache(Path(folder)), chunk(1, size=3)
        cache.put(IDENTITY, asked, given_back)
        (path,) = files(cache.root)
        data = path.read_bytes()
        at = place % len(data)
        flipped = data[:at] + bytes([data[at] ^ 1 << place % 8]) + data[at + 1 :]
        foreign = b"\x80\x04K\x01."
        path.write_bytes({"cut": data[:at], "flip": flipped, "extend": data + b"x", "replace": foreign}[damage])
        assert cache.get(IDENTITY, asked) is None
        assert files(cache.root) == []
        cache.put(IDENTITY, asked, given_back)
        assert cache.get(IDENTITY, asked) == given_back


def test_another_chunks_file_is_a_miss(kept: ReplyCache) -> None:
    (asked, given_back), (others, theirs) = chunk(1), chunk(2)
    kept.put(IDENTITY, others, theirs)
    (other,) = files(kept.root)
    kept.put(IDENTITY, asked, given_back)
    (path,) = (p for p in files(kept.root) if p != other)
    path.write_bytes(other.read_bytes())
    assert kept.get(IDENTITY, asked) is None


def test_a_folder_in_the_place_of_a_file_is_a_miss(kept: ReplyCache) -> None:
    asked, given_back = chunk(1)
    kept.put(IDENTITY, asked, given_back)
    (path,) = files(kept.root)
    path.unlink()
    path.mkdir()
    assert kept.get(IDENTITY, asked) is None
    kept.put(IDENTITY, asked, given_back)
    assert kept.notice
    assert files(kept.root) == [], "no draft is left"


# --- processes -----------------------------------------------------------------------------------------------

WRITER = """
import sys
from pathlib import Path
from test_reply_cache import IDENTITY, ReplyCache, chunk
cache, rounds = ReplyCache(Path(sys.argv[1])), int(sys.argv[2])
print("ready", flush=True)
for _ in range(rounds):
    for number in range(30):
        asked, replies = chunk(number)
        assert cache.get(IDENTITY, asked) in (None, replies)
        cache.put(IDENTITY, asked, replies)
sys.exit(cache.notice)
"""


def writer(root: Path, rounds: int) -> subprocess.Popen[str]:
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests"), str(ROOT / "tests" / "models")])
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(root), str(rounds)],
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    process.stdout.readline()
    return process


def test_killed_while_it_writes_leaves_whole_chunks_or_none(kept: ReplyCache) -> None:
    moments = random.Random(3)
    for _ in range(4):
        process = writer(kept.root, rounds=10**6)
        time.sleep(moments.uniform(0.0, 0.2))
        process.kill()
        process.communicate()
        written = {path.name for path in kept.root.rglob("*.chunk")}
        for number in range(30):
            asked, given_back = chunk(number)
            whole = f"{chunk_key(IDENTITY, asked)}.chunk" in written
            assert kept.get(IDENTITY, asked) == (given_back if whole else None)
    assert list(kept.root.rglob("*.chunk"))


def test_two_processes_share_it(kept: ReplyCache) -> None:
    both = [writer(kept.root, rounds=3) for _ in range(2)]
    for process in both:
        _, err = process.communicate()
        assert process.returncode == 0, err
    for number in range(30):
        asked, given_back = chunk(number)
        assert kept.get(IDENTITY, asked) == given_back
    assert len(files(kept.root)) == 30


# --- room and refusals ---------------------------------------------------------------------------------------


def test_what_was_not_used_for_longest_goes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PUTS_PER_CHECK", 1)
    cache = ReplyCache(tmp_path)
    for number in range(10):
        cache.put(IDENTITY, *chunk(number))
        for path in files(tmp_path):
            os.utime(path, (path.stat().st_mtime - 100,) * 2)
    stranger = tmp_path / "letter.txt"
    stranger.write_text("x" * 10**6)
    assert cache.get(IDENTITY, chunk(0)[0])
    cache.max_bytes = 5 * files(tmp_path)[0].stat().st_size
    cache.put(IDENTITY, *chunk(10))
    there = [number for number in range(11) if cache.get(IDENTITY, chunk(number)[0])]
    assert there == [0, 8, 9, 10], "the oldest went, but not the one that was read"
    assert stranger.exists()


def test_room_is_looked_for_now_and_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PUTS_PER_CHECK", 4)
    cache = ReplyCache(tmp_path, max_bytes=1)
    counted: list[int] = []
    for number in range(9):
        cache.put(IDENTITY, *chunk(number))
        counted.append(len(files(tmp_path)))
    assert counted == [0, 1, 2, 3, 0, 1, 2, 3, 0]


def test_drafts_of_killed_processes_go(kept: ReplyCache) -> None:
    kept.put(IDENTITY, *chunk(0))
    (path,) = files(kept.root)
    old, new = (path.with_name(f".{path.stem}.{name}.draft") for name in ("old", "new"))
    old.touch()
    new.touch()
    os.utime(old, (1.0, 1.0))
    ReplyCache(kept.root).put(IDENTITY, *chunk(0))
    assert not old.exists()
    assert new.exists()


def test_a_full_disk_ends_the_writing_and_not_the_reading(kept: ReplyCache, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, given_back = chunk(0)
    kept.put(IDENTITY, asked, given_back)

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    kept.put(IDENTITY, *chunk(1))
    assert kept.notice
    assert "No space left" in kept.notice
    monkeypatch.undo()
    kept.put(IDENTITY, *chunk(2))
    assert len(files(kept.root)) == 1, "nothing more is tried, and no draft is left"
    assert kept.get(IDENTITY, asked) == given_back


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    cache = ReplyCache(tmp_path / "file" / "replies")
    assert cache.get(IDENTITY, chunk(0)[0]) is None
    cache.put(IDENTITY, *chunk(0))
    assert cache.notice
    assert str(cache.root) in cache.notice


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_place_is_read(kept: ReplyCache) -> None:
    asked, given_back = chunk(0)
    kept.put(IDENTITY, asked, given_back)
    kept.root.chmod(0o500)
    try:
        kept.put("another model", *chunk(1))
        assert kept.notice
        assert kept.get(IDENTITY, asked) == given_back
    finally:
        kept.root.chmod(0o700)


# --- the environment -----------------------------------------------------------------------------------------


def test_where_it_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    places = {
        ("TRIALIST_CACHE", "~/here"): tmp_path / "here",
        ("TRIALIST_CACHE", "here"): Path.cwd() / "here",
        ("TRIALIST_CACHE", ""): tmp_path / ".cache" / "trialist" / "replies",
        ("XDG_CACHE_HOME", str(tmp_path / "xdg")): tmp_path / "xdg" / "trialist" / "replies",
        ("XDG_CACHE_HOME", "relative"): tmp_path / ".cache" / "trialist" / "replies",
    }
    for (name, value), place in places.items():
        found = default_cache({name: value})
        assert found is not None
        assert found.root == place
    assert default_cache({"TRIALIST_CACHE": "off", "XDG_CACHE_HOME": str(tmp_path)}) is None


def test_it_needs_no_torch() -> None:
    code = "import sys, trialist.models.cache; print('torch' in sys.modules, 'numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.split() == ["False", "False"], done.stderr
