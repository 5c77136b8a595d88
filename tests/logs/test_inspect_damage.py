"""Logs that are cut off, half written, damaged, of another schema, with strange samples: nothing is lost in silence."""

from __future__ import annotations

import json
import math
import random
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import inspect_made as made
import polars as pl
import pytest
import zstandard
from polars.testing import assert_frame_equal
from test_inspect_log import cells, counts, read

from trialist.errors import DataError
from trialist.logs import inspect_log
from trialist.logs.inspect_zip import open_archive
from trialist.logs.log import Log

pytestmark = pytest.mark.filterwarnings("ignore")


def values(log: Log) -> dict[tuple[str, str, int], float]:
    rows = log.scores.filter(pl.col("value").is_not_null()).select("measure", "item", "epoch", "value").rows()
    return {row[:3]: row[3] for row in rows}


def members(path: Path) -> dict[str, bytes]:
    archive = open_archive(path)
    found = {name: archive.read(name) for name in archive.members}
    archive.close()
    return found


def write_zip(path: Path, contents: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as file:
        for name, data in contents.items():
            file.writestr(name, data)
    return path


def read_or_refuse(path: Path, *, full: bool) -> Log | None:
    """The one thing a damaged file may raise is a DataError that names the file."""
    try:
        return read(path, full=full)
    except DataError as error:
        if str(path) not in str(error):
            raise
        return None


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("name", ["several", "several-json", "reducers"])
def test_a_log_cut_off_anywhere(name: str, full: bool, tmp_path: Path) -> None:
    """What is left has its values, the rest is missing by name, and a loss says that something is."""
    whole = made.stored(name)
    data, all_of_it = whole.read_bytes(), read(whole, full=full)
    known, planned = values(all_of_it), set(all_of_it.answers.select("item", "epoch").rows())
    path = tmp_path / f"cut{whole.suffix}"
    seen: list[int] = []
    some = random.Random(0).sample(range(len(data)), 24)
    offsets = sorted({*range(0, 200, 40), *some, len(data) - 30, len(data) - 1})
    for offset in offsets:
        path.write_bytes(data[:offset])
        log = read_or_refuse(path, full=full)
        if log is None:
            continue
        found = values(log)
        assert found.items() <= known.items()
        assert log.losses
        if log.source.model:
            assert set(log.answers.select("item", "epoch").rows()) == planned
        seen.append(len(found))
    assert seen == sorted(seen)
    assert len(seen) > 15
    # The zip has every member before its directory; the JSON ends with reductions that aren't read.
    assert seen[-1] == len(known)


@pytest.mark.parametrize("name", ["several", "reducers"])
def test_damaged_bytes_are_noticed(name: str, tmp_path: Path) -> None:
    whole = made.stored(name)
    data, known = whole.read_bytes(), values(read(whole))
    planned = len(read(whole).answers)
    path = tmp_path / "damaged.eval"
    chance = random.Random(1)
    for _ in range(60):
        damaged = bytearray(data)
        for at in chance.sample(range(len(data)), chance.choice([1, 5])):
            damaged[at] ^= 1 << chance.randrange(8)
        path.write_bytes(damaged)
        for full in (False, True):
            log = read_or_refuse(path, full=full)
            if log is None:
                continue
            assert values(log).items() <= known.items()
            assert len(values(log)) == len(known) or log.losses
            assert not log.source.model or len(log.answers) >= planned


def test_a_run_that_goes_on(tmp_path: Path) -> None:
    path = made.half_written(tmp_path)
    assert not {"header.json", "summaries.json"} & set(members(path))
    for full in (False, True):
        log = read(path, full=full)
        assert log.source.status == "started"
        assert log.source.num_samples == 9
        assert counts(log, "match") == {"": 8, "not in the log": 1}
        assert log.answers.filter(pl.col("status") == "missing")["item"].to_list() == ["9"]
        assert log.stated == ()
        assert any("'started'" in note for note in log.notes)
        assert log.losses == ()


def test_a_sample_is_read_where_its_summary_is_lost_and_the_other_way_round(tmp_path: Path) -> None:
    contents = members(made.stored("several"))
    whole = read(made.stored("several"), full=False)
    rows = json.loads(contents["summaries.json"])
    fewer = {**contents, "summaries.json": json.dumps(rows[:9]).encode()}
    assert_frame_equal(read(write_zip(tmp_path / "a.eval", fewer), full=False).scores, whole.scores)
    broken = {**contents, "summaries.json": contents["summaries.json"][:5000]}
    log = read(write_zip(tmp_path / "b.eval", broken), full=False)
    assert_frame_equal(log.scores, whole.scores)
    assert log.losses[0].sample == "summaries.json"
    without = {name: data for name, data in contents.items() if name != "samples/4_epoch_1.json"}
    without["samples/5_epoch_1.json"] = b'{"id": 5, "epoch"'
    log = read(write_zip(tmp_path / "c.eval", without))
    assert_frame_equal(log.scores, whole.scores)
    assert {loss.sample for loss in log.losses} == {"4 (epoch 1)", "5 (epoch 1)"}


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_other_packings(method: int, tmp_path: Path) -> None:
    path = write_zip(tmp_path / "other.eval", members(made.stored("several")), method)
    assert_frame_equal(read(path).scores, read(made.stored("several")).scores)


def test_frames_streamed_sizes_and_replaced_members(tmp_path: Path) -> None:
    """Members of several zstd frames, sizes after the data, a directory that is missing, one name twice."""
    data = b"".join(
        _streamed(name, content) for name, content in (*members(made.stored("several")).items(), _again("2", 0.25))
    )
    path = tmp_path / "streamed.eval"
    path.write_bytes(data)
    log = read(path)
    assert values(log) == {**values(read(made.stored("several"))), ("shade", "2", 1): 0.25}
    assert [loss.sample for loss in log.losses] == ["", "2 (epoch 1)"]


def _again(name: str, value: float) -> tuple[str, bytes]:
    member = f"samples/{name}_epoch_1.json"
    sample = json.loads(members(made.stored("several"))[member])
    sample["scores"]["shade"]["value"] = value
    return member, json.dumps(sample).encode()


def _streamed(name: str, content: bytes) -> bytes:
    half = len(content) // 2
    packed = b"".join(zstandard.ZstdCompressor().compress(part) for part in (content[:half], content[half:]))
    head = struct.pack("<4s5H3I2H", b"PK\x03\x04", 20, 8, 93, 0, 0, 0, 0, 0, len(name), 0)
    return (
        head
        + name.encode()
        + packed
        + struct.pack("<4s3I", b"PK\x07\x08", zlib.crc32(content), len(packed), len(content))
    )


def changed(tmp_path: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """The JSON log with a change of its plain values."""
    log = json.loads(made.stored("several-json").read_bytes())
    change(log)
    path = tmp_path / "changed.json"
    path.write_text(json.dumps(log))
    return path


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    path = changed(tmp_path, lambda log: log.update(version=3))
    with pytest.raises(DataError, match="schema 3") as caught:
        inspect_log.read(path)
    assert "schemas 1 and 2" in str(caught.value)


def test_duplicate_absent_and_confusing_ids(tmp_path: Path) -> None:
    def confuse(log: dict[str, Any]) -> None:
        samples = log["samples"]
        samples.append({**samples[1], "scores": {"match": {"value": "I"}}})  # item 2 once more, wrong this time
        samples.append({**samples[2], "id": "3"})  # "3" beside 3
        samples.append({key: value for key, value in samples[3].items() if key != "id"})
        samples.append("no sample")
        samples.append({**samples[4], "epoch": "one"})

    path = changed(tmp_path, confuse)
    log = read(path)
    assert cells(log, "match")["2", 1] == (0.0, "")
    assert cells(log, "match")["3", 1] == cells(log, "match")["3 (text)", 1]
    assert len(log.items) == 22
    assert [(loss.sample, loss.what) for loss in log.losses] == [
        ("number 24 of samples", "has no id"),
        ("number 25 of samples", "is no sample"),
        ("number 26 of samples", "has no epoch"),
        ("2 (epoch 1)", "stands twice: the later record counts, as in Inspect"),
        ("3 (text)", "its id looks like that of item 3, one a number and one a text"),
    ]
    assert {loss.path for loss in log.losses} == {str(path)}


def test_values_that_are_no_numbers(tmp_path: Path) -> None:
    strange: list[Any] = [
        math.nan,
        math.inf,
        10**400,
        None,
        "maybe",
        [],
        {},
        {"a": math.nan, "b": None, "c": 1},
        [1, 0.5],
    ]

    def put(log: dict[str, Any]) -> None:
        for sample, value in zip(log["samples"], strange, strict=False):
            sample["scores"]["match"] = {"value": value}
            sample["metadata"]["half"] = "\ud800"

    found = read(changed(tmp_path, put))
    match = cells(found, "match")
    reasons = ["unscored", "not finite", "not finite", "no value", "not a number", "no value", "no value"]
    assert [match[str(i), 1] for i in range(1, 8)] == [(None, reason) for reason in reasons]
    assert match["8", 1] == match["9", 1] == (None, "score of another shape")
    parts = {name: cells(found, f"match/{name}")["8", 1] for name in "abc"}
    assert parts == {"a": (None, "unscored"), "b": (None, "no value"), "c": (1.0, "")}
    assert (cells(found, "match/0")["9", 1], cells(found, "match/1")["9", 1]) == ((1.0, ""), (0.5, ""))
    assert cells(found, "match/0")["10", 1] == (None, "score of another shape")


def test_one_item_asked_in_two_ways(tmp_path: Path) -> None:
    def change(log: dict[str, Any]) -> None:
        log["eval"]["config"]["epochs"] = 2
        log["samples"].append({**log["samples"][0], "epoch": 2, "input": "Something else?"})

    log = read(changed(tmp_path, change))
    assert [loss.what for loss in log.losses] == ["asks something else than the same item in another record"]
    assert counts(log, "match") == {"": 22, "not in the log": 20}


def test_ids_that_the_log_does_not_list(tmp_path: Path) -> None:
    def change(log: dict[str, Any]) -> None:
        del log["eval"]["dataset"]["sample_ids"]
        del log["samples"][4:]

    log = read(changed(tmp_path, change))
    assert (log.source.num_samples, len(log.answers)) == (21, 4)
    assert log.losses[0].what == "17 of 21 samples are missing; their ids aren't known"


def test_a_log_without_samples_keeps_what_it_states(tmp_path: Path) -> None:
    def change(log: dict[str, Any]) -> None:
        log["eval"]["config"]["log_samples"] = False
        del log["samples"]
        log["results"]["scores"] = log["results"]["scores"][:1]

    log = read(changed(tmp_path, change))
    assert (len(log.items), len(log.stated)) == (21, 2)
    assert counts(log, "match") == {"samples not logged": 21}
    assert log.scores["measure"].unique().to_list() == ["match"]  # the results have no other scorer


def test_the_first_schema(tmp_path: Path) -> None:
    def change(log: dict[str, Any]) -> None:
        log["version"] = 1
        score = log["results"].pop("scores")[0]
        log["results"] |= {"scorer": {"name": "match"}, "metrics": score["metrics"]}
        for sample in log["samples"]:
            sample["score"] = sample.pop("scores")["match"]

    log = read(changed(tmp_path, change))
    assert (
        values(log).items()
        == {k: v for k, v in values(read(made.stored("several"))).items() if k[0] == "match"}.items()
    )
    assert [(s.measure, s.metric) for s in log.stated] == [("match", "accuracy"), ("match", "stderr")]


def test_what_is_no_log(tmp_path: Path) -> None:
    for name, data in (
        ("a.eval", b""),
        ("b.eval", b"nothing of the kind"),
        ("c.json", b'{"a": 1}'),
        ("d.json", b"[1]"),
    ):
        (tmp_path / name).write_bytes(data)
    write_zip(tmp_path / "e.eval", {"header.json": b"{}"})
    (tmp_path / "f.json").write_text("[" * 100_000)
    for path in (*sorted(tmp_path.iterdir()), tmp_path / "absent.eval", tmp_path):
        with pytest.raises(DataError):
            inspect_log.read(path)


def test_early_stops_and_ids_that_stand_twice(tmp_path: Path) -> None:
    def change(log: dict[str, Any]) -> None:
        log["eval"]["dataset"]["sample_ids"].append("21")
        log["results"]["early_stopping"] = {"manager": "some", "early_stops": [{"id": 21, "epoch": 1}], "metadata": {}}
        del log["samples"][19:]

    log = read(changed(tmp_path, change))
    assert counts(log, "match") == {"": 19, "not in the log": 1, "stopped early": 1}
    assert cells(log, "match")["21", 1] == (None, "stopped early")
    assert log.losses[0].what == "1 of 22 ids of the data set stand there twice"
