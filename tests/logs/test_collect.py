"""Paths to logs: what is read, what is lost, and which logs are one arm."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from logs_made import harness, keep, made

import trialist
from trialist.errors import DataError, MeasurementUndefined, NameUnknown
from trialist.logs.arms import Arms, arms_of, compared, scores_of
from trialist.logs.collect import collect
from trialist.records import SCORE_COLUMNS


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return Path()


def table(path: str, rows: int = 4) -> Path:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    pl.DataFrame({"item": [f"q{i}" for i in range(rows)], "score": [1, 0] * (rows // 2)}).write_csv(path)
    return Path(path)


def run(folder: str, values: list[float], **options: str) -> None:
    harness(Path(folder), "org/tiny", {"sums": [({"question": str(i)}, x) for i, x in enumerate(values)]}, **options)


# --- what is read ----------------------------------------------------------------------------------------


def test_folders_are_searched_and_every_file_is_read_once(place: Path) -> None:
    table("logs/a.csv")
    table("logs/deep/er/b.csv")
    table("logs/.hidden/c.csv")
    table("logs/.d.csv")
    run("logs/lm", [1, 0, 1])
    keep(place / "logs/kept", made([1, 0], model="k"), made([1, 0], model="k", task="facts"))
    Path("logs/notes.txt").write_text("nothing")
    found = collect([Path("logs/deep"), Path("logs")])
    seen = {(one.log.source.model, one.log.source.task, str(one.run)) for one in found.found}
    assert seen == {
        ("b", "table", "logs/deep"), ("a", "table", "logs"), ("org/tiny", "sums", "logs"), ("k", "sums", "logs"),
        ("k", "facts", "logs"),
    }  # fmt: skip
    assert len(found.found) == 5  # results and samples of the harness are one log
    assert found.notes == ("1 file (notes.txt) in no known format, not read",)


def test_a_file_in_a_folder_that_cannot_be_read_is_counted(place: Path) -> None:
    table("logs/a.csv")
    Path("logs/b.csv").write_text("item,score\nq1,maybe\n")
    Path("logs/c.eval").write_bytes(b"PK\x03\x04 half a file")
    found = collect([Path("logs")])
    assert [one.log.source.model for one in found.found] == ["a"]
    assert {loss.path: loss.what.partition(":")[2] != "" for loss in found.losses} == {
        "logs/b.csv": True, "logs/c.eval": True,
    }  # fmt: skip
    for path in ("logs/b.csv", "logs/c.eval"):
        with pytest.raises(DataError, match=Path(path).name):
            collect([Path(path)])


def test_nothing_to_read_is_an_error_that_names_the_formats(place: Path) -> None:
    Path("empty").mkdir()
    Path("texts").mkdir()
    Path("texts/a.md").write_text("a")
    Path("broken").mkdir()
    Path("broken/x.eval").write_bytes(b"no zip")
    for path, seen in (("empty", "an empty folder"), ("texts", "1 file (a.md)"), ("texts/a.md", "1 file (a.md)")):
        with pytest.raises(DataError, match="nothing here is a log") as error:
            collect([Path(path)])
        for text in (seen, "Inspect", "lm-evaluation-harness", "Every Eval Ever", ".parquet"):
            assert text in str(error.value)
    with pytest.raises(DataError, match="no log in it could be read") as error:
        collect([Path("broken")])
    assert "check broken/x.eval" in str(error.value)
    with pytest.raises(DataError, match="no such file"):
        collect([Path("absent")])
    with pytest.raises(DataError, match="told apart"):
        collect([table("a.csv"), Path("./a.csv")])


def test_progress_goes_from_nothing_to_all(place: Path) -> None:
    for name in "abc":
        table(f"logs/{name}.csv")
    seen: list[tuple[int, int]] = []
    collect([Path("logs")], progress=lambda done, total: seen.append((done, total)))
    assert seen == [(0, 3), (1, 3), (2, 3), (3, 3)]


def test_read_is_one_frame_of_scores(place: Path) -> None:
    table("logs/a.csv")
    keep(place / "logs/kept", made([1, None], model="k"))
    found = trialist.read("logs", table("more.csv"))
    assert {name: str(kind) for name, kind in found.schema.items()} == SCORE_COLUMNS
    assert dict(found["arm"].value_counts().iter_rows()) == {"a": 4, "k": 2, "more": 4}
    assert found.filter(pl.col("value").is_null())["reason"].to_list() == ["error"]
    assert set(found.filter(pl.col("arm") == "k")["evaluation"]) == {"sums"}


# --- arms ------------------------------------------------------------------------------------------------


def arms(*paths: str) -> Arms:
    return arms_of(collect([Path(path) for path in paths]))


def test_logs_of_one_model_are_one_arm_unless_a_task_comes_twice(place: Path) -> None:
    keep(place / "a", made([1, 0], task="sums"), made([1, 0], task="facts"))
    keep(place / "b", made([1, 0], task="sums"))
    assert list(arms("a").logs) == ["m"]
    found = arms("a", "b")
    assert {arm: len(group) for arm, group in found.logs.items()} == {"m (a)": 2, "m (b)": 1}
    assert found.notes == ("2 logs of sums by m: told apart by where they lie",)
    assert set(scores_of(found)["arm"]) == {"m (a)", "m (b)"}


def test_below_one_path_folders_tell_apart_then_files(place: Path) -> None:
    keep(place / "logs/first", made([1, 0]))
    keep(place / "logs/second", made([1, 0]))
    assert list(arms("logs").logs) == ["m (first)", "m (second)"]
    for date in ("2026-01-01T00-00-00.1", "2026-01-02T00-00-00.1"):
        run("lm", [1, 0], date=date)
    assert list(arms("lm").logs) == [f"org/tiny (results_2026-01-0{day}T00-00-00.1)" for day in (1, 2)]
    keep(place / "twice", made([1, 0]), made([1, 0]))
    with pytest.raises(DataError, match="several logs of one task by one model"):
        arms("twice")


@pytest.fixture
def two(place: Path) -> Arms:
    keep(place / "a", made([1, 0], model="small"), made([1, 0], model="small", task="facts"))
    keep(place / "b", made([1, 0], model="large"), made([1, 0], model="small"))
    keep(place / "c", made([1, 0], model="large", task="facts"), made([1, 0], model="huge"))
    return arms("a", "b", "c")


def test_an_arm_is_meant_by_its_name_its_model_or_its_path(two: Arms) -> None:
    assert set(two.logs) == {"small (a)", "small (b)", "large", "huge"}
    assert compared(two, "small (a)", "large")[1] == ("small (a)", "large")
    assert compared(two, "a", "huge")[1] == ("small (a)", "huge")
    found, names = compared(two, "./a", "c")
    assert names == ("small (a)", "c")
    assert {one.log.source.task for one in found.logs["c"]} == {"facts", "sums"}
    assert [one.log.source.task for one in found.logs["large"]] == ["sums"]  # what the path didn't take
    assert "huge" not in found.logs
    assert any("c holds 2 models (large, huge): mixed" in note for note in found.notes)
    assert sum(len(group) for group in found.logs.values()) == sum(len(group) for group in two.logs.values())


def test_names_that_mean_nothing_or_too_much(two: Arms) -> None:
    with pytest.raises(NameUnknown, match="unknown arm 'larg'") as unknown:
        compared(two, "larg", "huge")
    assert "did you mean 'large'?" in str(unknown.value)
    assert "small (a)" in str(unknown.value)
    with pytest.raises(DataError, match="'small' is several arms") as several:
        compared(two, "small", "huge")
    assert '--compare "small (a)" OTHER' in str(several.value)
    with pytest.raises(DataError, match="b holds several logs of sums"):
        compared(two, "b", "huge")
    with pytest.raises(MeasurementUndefined, match="compared with itself"):
        compared(two, "a", "small (a)")
