"""``trialist estimate`` as a person and as a script meets it: one screen, exit codes, what is wrong with a table."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from trialist.cli.app import start
from trialist.logs.table import ALIASES
from trialist.measurement import paired, proportions

Say = tuple[int, str, str]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")
    return tmp_path


@pytest.fixture
def say(folder: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    def run(*arguments: str) -> Say:
        code = start(["estimate", *arguments])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def write(path: str, values: Sequence[Any], **columns: Any) -> None:
    """A table of one answer an item; columns of one value are repeated."""
    n = len(values)
    more = {k: list(v) if isinstance(v, (list, np.ndarray)) else [v] * n for k, v in columns.items()}
    items = more.pop("item", [f"q{j:03d}" for j in range(n)])
    pl.DataFrame({"item": items, "score": list(values), **more}, strict=False).write_parquet(path)


def two_arms() -> None:
    write("base.parquet", [1] * 60 + [0] * 40, category=["bio", "law"] * 50)
    write("tuned.parquet", [1] * 75 + [0] * 25, category=["bio", "law"] * 50)


def words_of(text: str) -> str:
    return " ".join(text.split())


# --- what is on the screen -------------------------------------------------------------------------------


def test_arms_and_their_comparison(say: Any) -> None:
    two_arms()
    code, out, err = say("base.parquet", "tuned.parquet", "--compare", "tuned", "base")
    assert (code, err) == (0, "")
    one, two, both = proportions.wilson(60, 100), proportions.wilson(75, 100), paired.tango(15, 0, 100)
    lines = out.splitlines()
    assert re.split(r"\s{3,}", lines[0].strip()) == ["base", "tuned", "tuned minus base"]
    cells = [f".60 [{_(one.low)}, {_(one.high)}]", f".75 [{_(two.low)}, {_(two.high)}]"]
    cells += [f"+.15 [+{_(both.low)}, +{_(both.high)}]", "better, p <.001"]
    assert re.split(r"\s{3,}", lines[1].strip()) == ["score", *cells]
    assert "score: 100 items\n" in out
    assert "Tango score interval" in out
    assert "Wilson score interval (Wilson 1927)" in out
    assert "from bounds that hold at any sample size, each at 0.975" in out
    assert "\x1b" not in out


def _(value: float) -> str:
    return f"{value:.2f}".lstrip("0")


@pytest.mark.parametrize(
    ("second", "margin", "word"),
    [
        ([1] * 75 + [0] * 25, None, "worse"),
        ([1] * 60 + [0] * 40, ".1", "equivalent"),
        ([1] * 60 + [0] * 40, None, "can't tell"),
        ([1] * 60 + [0] * 40, ".001", "can't tell"),
        ([1] * 45 + [0] * 55, ".1", "better"),
    ],
)
def test_words(say: Any, second: list[int], margin: str | None, word: str) -> None:
    write("a.parquet", [1] * 60 + [0] * 40)
    write("b.parquet", second)
    options = ["--margin", margin] if margin else []
    code, out, _err = say("a.parquet", "b.parquet", "--compare", "a", "b", *options, "--json")
    assert code == 0
    (row,) = json.loads(out)["rows"]
    assert row["words"] == word
    assert row["bounds"]["confidence"] == 0.975
    assert word in say("a.parquet", "b.parquet", "--compare", "a", "b", *options)[1].splitlines()[1]


def test_strata_have_their_own_rows(say: Any) -> None:
    two_arms()
    out = say("base.parquet", "--by", "task,metric,stratum")[1].splitlines()
    assert [line.split()[0] for line in out[1:4]] == ["score", "bio", "law"]
    assert out[2].startswith("  bio")
    assert len(say("base.parquet")[1].splitlines()) < len(out)


def test_wide_tables_and_ranges(say: Any) -> None:
    pl.DataFrame({"id": range(30), "f1": [0.1, 0.7, 0.4] * 10, "stars": [1, 3, 5] * 10}).write_csv("w.csv")
    code, out, _err = say("w.csv", "--measure", "f1", "--measure", "stars")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()[1:3]] == ["f1", "stars"]
    assert "'f1' lies in [0, 1], which is taken as its range" in out
    assert "'stars' lies" not in out
    code, out, _err = say("w.csv", "--measure", "stars", "--claim", "above 2")
    assert (code, "UNDECIDED" in out, "finite bounds" in out) == (3, True, True)
    code, out, _err = say("w.csv", "--measure", "stars", "--claim", "above 2", "--range", "1", "5")
    assert (code, "PASS" in out) == (0, True)


def test_a_narrow_terminal_gets_a_row_for_each_arm(say: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from rich.console import Console

    from trialist.cli import estimate_screen

    two_arms()
    wide = say("base.parquet", "tuned.parquet", "--compare", "tuned", "base")[1].splitlines()[1]
    monkeypatch.setattr(estimate_screen, "plain_console", lambda: Console(width=50, highlight=False))
    out = say("base.parquet", "tuned.parquet", "--compare", "tuned", "base")[1]
    for cell in re.split(r"\s{3,}", wide.strip()):
        assert cell.partition(", p")[0] in out
    assert out.splitlines()[0].strip() == "score"
    assert out.splitlines()[1].startswith("  base")
    assert max(map(len, out.splitlines())) <= 50
    assert "…" not in out


def test_a_narrow_interval_is_not_printed_without_width(say: Any) -> None:
    write("big.parquet", [1, 0] * 50_000)
    assert re.search(r"\.50 \[\.497, \.503\]", say("big.parquet")[1])


@pytest.mark.parametrize("level", ["0.5", "0.999"])
def test_the_level_is_said_as_it_is(say: Any, level: str) -> None:
    two_arms()
    assert f"intervals at {100 * float(level):g}%" in say("base.parquet", "--level", level)[1]


# --- claims ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("claim", "code", "verdict"),
    [("above .4", 0, "PASS"), ("above .6", 3, "UNDECIDED"), ("above .8", 4, "FAIL"), ("below .8", 0, "PASS")],
)
def test_verdicts_and_exit_codes(say: Any, claim: str, code: int, verdict: str) -> None:
    two_arms()
    found, out, _err = say("base.parquet", "--claim", claim)
    assert found == code
    (line,) = [line for line in out.splitlines() if line.startswith(verdict)]
    bound = (
        proportions.upper_bound(60, 100) if verdict == "FAIL" or "below" in claim else proportions.lower_bound(60, 100)
    )
    assert line.rstrip().endswith(f"bound {_(bound)}")
    assert "one-sided exact bounds (Clopper & Pearson 1934)" in out
    record = json.loads(say("base.parquet", "--claim", claim, "--json")[1])
    assert record["exit_code"] == code
    assert record["rows"][0]["claims"][0]["verdict"] == verdict
    assert record["rows"][0]["claims"][0]["bounds"]["confidence"] == 0.95


def test_the_worst_verdict_is_the_exit_code(say: Any) -> None:
    two_arms()
    code, out, _err = say("base.parquet", "tuned.parquet", "--claim", "above .65")
    assert code == 3
    assert re.findall(r"^(\w+) +score, (\w+):", out, re.MULTILINE) == [("UNDECIDED", "base"), ("PASS", "tuned")]
    assert "2 claims, each with its confidence by itself" in out
    assert say("base.parquet", "tuned.parquet", "--claim", "above .69")[0] == 4


def test_a_claim_on_a_comparison_is_about_the_difference(say: Any) -> None:
    two_arms()
    arguments = ["base.parquet", "tuned.parquet", "--compare", "tuned", "base", "--claim", "above -.05"]
    code, out, _err = say(*arguments, "--confidence", "0.99")
    assert code == 0
    assert "PASS       score, tuned minus base: above -.05 at 0.99: lower bound" in out
    assert "claims, each" not in out


def test_clusters_of_unequal_size_may_be_declared_alike(say: Any) -> None:
    sizes = [40, *[2] * 30]
    write("arm.parquet", np.arange(100) % 5 == 0, cluster=np.repeat(np.arange(31), sizes))
    uppers = []
    for option in ("may matter", "unrelated"):
        out = say("arm.parquet", "--claim", "below .9", "--sizes", option, "--json")[1]
        uppers.append(json.loads(out)["rows"][0]["claims"][0]["bounds"]["upper"])
    assert uppers[1] < uppers[0]


def test_a_refused_claim_says_the_next_step(say: Any) -> None:
    write("judged.parquet", [0, 1] * 30, scorer_kind="judge")
    code, out, _err = say("judged.parquet", "--claim", "below .9")
    assert code == 3
    assert "a judge's alone" in out
    assert "next: label a random sample" in words_of(out)
    assert "scored by a judge, whose own error is not in this interval" in out


def test_gold_labels_beside_a_judge(say: Any) -> None:
    generator = np.random.default_rng(0)
    truth = generator.random(400) < 0.2
    judge = np.where(generator.random(400) < 0.1, ~truth, truth)
    gold = [int(truth[j]) if j in set(generator.choice(400, 120, replace=False)) else None for j in range(400)]
    rows = [{"item": f"q{j}", "score": int(judge[j]), "scored_by": "judge"} for j in range(400)]
    rows += [{"item": f"q{j}", "score": y, "scored_by": "human"} for j, y in enumerate(gold) if y is not None]
    pl.DataFrame(rows).write_csv("arm.csv")
    assert "two rows for one answer" in say("arm.csv")[2]
    code, out, _err = say("arm.csv", "--scorer-kind", "scored_by", "--population", "bank", "--claim", "below .4")
    assert code == 0
    assert "PPI++" in out
    assert "gold labels" in words_of(out)
    record = json.loads(say("arm.csv", "--scorer-kind", "scored_by", "--claim", "below .4", "--json")[1])
    (found,) = record["rows"][0]["estimates"]
    assert abs(found["value"] - truth.mean()) < abs(judge.mean() - truth.mean())
    assert found["low"] < truth.mean() < found["high"]


# --- odd tables ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "columns", "says"),
    [
        ([1], {}, ["score: 1 item", ".21, 1.00"]),
        ([1] * 50, {}, ["1.00 [.9", "all 50 items pass (value 1)"]),
        ([0] * 50, {}, [".00 [.00, .0", "all 50 items fail (value 0)"]),
        ([1, 0, 1], {"cluster": "c"}, ["no interval: 1 cluster", "an interval needs at least 5"]),
        ([None] * 4, {"reason": "lost"}, ["undefined", "none of the 4 attempted items could be scored"]),
        ([0.3] * 40, {}, [".30 [.", "all 40 items have the value 0.3", "betting"]),
        ([7.0] * 40, {}, ["7.00", "the values hardly vary", "low and high"]),
        ([1] * 90 + [None] * 10, {}, ["90 of 100 items scored", "it lies in [.90, 1.00]"]),
        ([2.0, 9.0] * 20 + [None], {}, ["40 of 41 items scored; what the missing could be is unknown"]),
        ([1, 0] * 20, {"weight": 0.0}, ["the scored items have no weight"]),
    ],
)
def test_degenerate_tables(say: Any, values: list[Any], columns: Mapping[str, Any], says: list[str]) -> None:
    write("arm.parquet", values, **columns)
    code, out, err = say("arm.parquet")
    assert (code, err) == (0, "")
    for text in says:
        assert text in out, out
    code, out, err = say("arm.parquet", "--json")
    assert (code, err) == (0, "")
    for found in json.loads(out)["rows"][0]["estimates"]:
        assert found["low"] is None or found["low"] < found["high"]
        assert found["low"] is not None or found["reason"]


def test_arms_without_a_common_item(say: Any) -> None:
    write("a.parquet", [1, 0] * 20)
    write("b.parquet", [1, 0] * 20, item=[f"z{j}" for j in range(40)])
    code, out, _err = say("a.parquet", "b.parquet", "--compare", "a", "b", "--claim", "above 0")
    assert code == 3
    assert "undefined" in out.splitlines()[1]
    assert "no items have been attempted" in out
    assert "40 items (q000, q001, q002, ...) of a without a partner: left out of the comparison" in out
    assert "40 items (z0, z1, z10, ...) of b without a partner" in out


def test_several_runs_have_to_be_asked_for(say: Any) -> None:
    write("arm.parquet", [1, 0] * 60, item=[f"q{j}" for j in range(20)] * 6, run=np.repeat(np.arange(6), 20))
    code, _out, err = say("arm.parquet")
    assert code == 2
    for text in ("arm 'arm' has several runs", "replicate 0, replicate 1", "--about method"):
        assert text in err
    code, out, _err = say("arm.parquet", "--about", "method")
    assert code == 0
    assert "120 answers of 6 runs" in out
    write("one.parquet", [1, 0] * 10, run=3)
    write("four.parquet", [1, 0, 0, 1] * 20, item=[f"q{j}" for j in range(20)] * 4, run=np.repeat(np.arange(4), 20))
    few = say("four.parquet", "--about", "method")[1]
    assert "4 runs of the method, its spread over items and runs needs at least 5" in few
    assert "more replicates of the arm" in words_of(few)
    assert ".50 [" in say("one.parquet")[1].splitlines()[1]
    assert (
        "1 run of the method, its spread over items and runs needs at least 2"
        in say("one.parquet", "--about", "method")[1]
    )


def test_missing_answers_may_count_as_failures(say: Any) -> None:
    write("arm.parquet", [1] * 90 + [None] * 10)
    out = say("arm.parquet", "--missing", "as low")[1]
    assert out.splitlines()[1].split()[1] == ".90"
    assert "10 of 100 answers are missing and count as 0" in out
    code, out, _err = say("arm.parquet", "--missing", "dropped", "--claim", "above .5")
    assert (code, "were dropped" in out) == (3, True)


def test_a_bank_asked_in_part(say: Any) -> None:
    write("arm.parquet", [1] * 60 + [0] * 40)
    out = say("arm.parquet", "--population", "bank", "--bank-size", "110")[1]
    assert "exact interval for the share of a finite bank" in out
    assert "was sampled" in say("arm.parquet", "--population", "bank")[1]
    assert "more items were asked" in say("arm.parquet", "--population", "bank", "--bank-size", "99")[2]
    assert "isn't a bank" in say("arm.parquet", "--bank-size", "200")[2]


# --- hostile text ----------------------------------------------------------------------------------------

HOSTILE = "\x1b[31mred\x1b]8;;x\x07\u202e[bold]x\n"


def test_hostile_text_can_only_be_read(say: Any) -> None:
    names = [HOSTILE, "calm"]
    n = 40
    write(
        "arm.parquet", [1, None] * n, item=[f"{HOSTILE}{j // 2}" for j in range(2 * n)], model=names * n,
        measure=HOSTILE, category=HOSTILE,
    )  # fmt: skip
    code, out, err = say(
        "arm.parquet", "--compare", HOSTILE, "calm", "--by", "task,metric,stratum", "--claim", "above 0"
    )
    assert (code, err) == (3, "")
    for text in ("\\x1b[31mred", "\\u202e[bold]x⏎"):
        assert text in out
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", out)
    write("bad.parquet", [1, 1], item=[HOSTILE] * 2)
    for arguments in (["bad.parquet"], ["arm.parquet", "--compare", HOSTILE, "x\x1b"], [f"{HOSTILE}.csv"]):
        code, out, err = say(*arguments)
        assert (code, out) == (2, "")
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", err)


# --- what is wrong ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["none.csv"], ["none.csv: no such file", "next "]),
        ([], ["'RUN...'", "next "]),
        (["base.parquet", "--compare", "base", "tunde"], ["unknown arm 'tunde'", "seen ", "allowed  base", "--arm"]),
        (["base.parquet", "--compare", "base", "base"], ["compared with itself", "seen ", "allowed ", "next "]),
        (["base.parquet", "--item", "itm"], ["no column 'itm'", "seen ", "did you mean 'item'?"]),
        (["base.parquet", "--value", "scroe"], ["no column 'scroe'", "did you mean 'score'?"]),
        (["base.parquet", "--measure", "f1"], ["no column 'f1'", "--measure"]),
        (["base.parquet", "--cluster", "x"], ["no column 'x'", "--cluster"]),
        (["base.parquet", "--epoch", "x"], ["no column 'x'", "--epoch"]),
        (["base.parquet", "--claim", "under .5"], ["can't be read", "seen     under .5", "below NUMBER"]),
        (["base.parquet", "--claim", ""], ["can't be read"]),
        (["base.parquet", "--claim", "below nan"], ["can't be read", "seen     below nan"]),
        (["base.parquet", "--claim", "above .5", "--confidence", "95"], ["confidence must lie", "95", "0 < x < 1"]),
        (["base.parquet", "--level", "1"], ["level must lie", "seen     1", "0 < x < 1"]),
        (["base.parquet", "--level", "nan"], ["level must lie", "nan"]),
        (["base.parquet", "--margin", ".1"], ["a margin without a comparison", "seen ", "allowed ", "--compare"]),
        (
            ["base.parquet", "tuned.parquet", "--compare", "base", "tuned", "--margin", "-1"],
            ["margin must be positive"],
        ),
        (["base.parquet", "tuned.parquet", "--compare", "base", "tuned", "--margin", "nan"], ["margin must be"]),
        (["base.parquet", "--range", "1", "0"], ["low < high", "--range"]),
        (["base.parquet", "--range", "0", "inf"], ["low < high"]),
        (
            ["base.parquet", "--range", ".2", "1"],
            ["outside the metric's range", "seen     [0.0, 1.0]", "allowed ", "next "],
        ),
        (["base.parquet", "--population", "banks"], ["unknown population 'banks'", "process", "did you mean 'bank'?"]),
        (["base.parquet", "--about", "arm"], ["unknown about 'arm'", "artefact, method"]),
        (["base.parquet", "--missing", "ignored"], ["unknown missing 'ignored'", "as high, as low, dropped, worst"]),
        (["base.parquet", "--sizes", "equal"], ["unknown sizes 'equal'", "may matter, unrelated"]),
        (["base.parquet", "--bank-size", "many"], ["--bank-size", "valid integer"]),
        (["plain.parquet", "--by", "task,metric,stratum"], ["no item has a stratum", "--stratum"]),
        (["weights.parquet"], ["a weight is not valid", "seen     -1", "allowed  0, or between"]),
        (["words.parquet"], ["aren't numbers", "seen     'C'", "allowed ", "next "]),
        (["base.parquet", "base.parquet"], ["told apart", "seen ", "allowed "]),
        (["base.parquet", "--missing", "as low", "--range", "0", "2"], []),
        (["holes.parquet", "--missing", "as low"], ["can't count as low", "seen ", "allowed ", "missing='worst'"]),
    ],
)
def test_a_users_error(say: Any, arguments: list[str], says: list[str]) -> None:
    two_arms()
    write("plain.parquet", [1, 0])
    write("weights.parquet", [1, 0], weight=[-1.0, 1.0])
    write("words.parquet", ["C", "I"])
    write("holes.parquet", [3.0, None])
    code, out, err = say(*arguments)
    if not says:
        assert code == 0
        return
    assert (code, out) == (2, "")
    assert err.startswith("error: ") or not arguments
    for text in says:
        assert text in err, err
    assert "Traceback" not in err


def test_json_holds_every_number_of_the_screen(say: Any) -> None:
    two_arms()
    arguments = [
        "base.parquet",
        "tuned.parquet",
        "--compare",
        "tuned",
        "base",
        "--by",
        "task,metric,stratum",
        "--claim",
        "above 0",
    ]
    code, out, _err = say(*arguments, "--json")
    record = json.loads(out)
    assert record["exit_code"] == code
    assert record["arms"] == ["base", "tuned"]
    assert [row["stratum"] for row in record["rows"]] == ["", "bio", "law"]
    for row in record["rows"]:
        assert len(row["estimates"]) == 2
        assert row["difference"]["p_value"] is not None
        assert row["words"] in ("better", "worse", "can't tell")
        assert row["claims"][0]["of"] == "tuned minus base"
    assert record["notes"]


# --- the page --------------------------------------------------------------------------------------------


def test_the_page_runs_as_written(say: Any) -> None:
    page = (Path(__file__).parents[2] / "docs/measurement/estimate.md").read_text(encoding="utf-8")
    for code in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        exec(code, {})  # noqa: S102 - our own page
    shown = re.findall(r"^\$ trialist estimate ([^\n]*)\n(.*?)```", page, re.MULTILINE | re.DOTALL)
    codes = []
    for line, screen in shown:
        code, out, err = say(*shlex.split(line))
        assert err == ""
        assert [row.rstrip() for row in out.splitlines()] == screen.splitlines()
        codes.append(code)
    assert codes == [3, 0, 0]


def test_the_page_names_every_option_and_column(say: Any) -> None:
    page = (Path(__file__).parents[2] / "docs/measurement/estimate.md").read_text(encoding="utf-8")
    offered = set(re.findall(r"--[a-z][a-z-]+", say("--help")[1])) - {"--help"}
    assert offered - set(re.findall(r"--[a-z][a-z-]+", page)) <= {"--level", "--confidence"}
    for role, names in ALIASES.items():
        if role not in ("measure", "reason"):
            assert f"| {', '.join(names)}" in page
