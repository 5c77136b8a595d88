"""The report on logs: every item accounted for, worst disagreements first, hostile text harmless."""

from __future__ import annotations

import re
from collections.abc import Sequence

import polars as pl
import pytest
from answered_logs import Row as Made
from answered_logs import arms as arms_of_logs
from answered_logs import item, log
from hypothesis import given, settings
from hypothesis import strategies as st
from made_evidence import HOSTILE
from test_report_page import Page

from trialist.logs.blocks import Block, Part, blocks_of
from trialist.logs.log import Log, Loss
from trialist.measurement.estimand import Estimand, estimate
from trialist.measurement.metrics import Metric, mean_between
from trialist.records import Cell, Estimate
from trialist.reports.log_counts import counts_of
from trialist.reports.log_evidence import LogEvidence, Row, short_names
from trialist.reports.log_items import ALIKE, listing_of
from trialist.reports.log_page import render_logs
from trialist.reports.page import POLICY
from trialist.wording import visible

MODELS = ("org/model-a", "org/model-b")


def evidence_of(*logs: Log, compare: bool = True, losses: Sequence[Loss] = ()) -> LogEvidence:
    arms = arms_of_logs(*logs)
    names = (MODELS[0], MODELS[1]) if compare else None
    blocks = blocks_of(arms, names)
    rows = tuple(_row(block, measure) for block in blocks for measure in block.measures)
    return LogEvidence(blocks, tuple(arms.logs), rows, names, tuple(losses), ("a note",))


def _row(block: Block, measure: str) -> Row:
    values = pl.concat([part.scores.filter(pl.col("measure") == measure)["value"] for part in block.parts.values()])
    inside = bool(values.drop_nulls().is_between(0, 1).all())
    metric = mean_between(measure, 0.0, 1.0) if inside else mean_between(measure, float("-inf"), float("inf"))
    each = tuple(_estimate(part, metric, Cell(arm), block.task) for arm, part in block.parts.items())
    pair = block.pair
    difference = pair and _estimate(pair, metric, Cell(pair.first), block.task, Cell(pair.second))
    return Row(block.task, measure, each, difference, "better" if pair else "", measure == "judge")


def _estimate(part: Part | object, metric: Metric, cell: Cell, task: str, contrast: Cell | None = None) -> Estimate:
    return estimate(part.scores, part.items, Estimand(task, metric, cell, contrast))  # type: ignore[attr-defined]


def two(num: int = 30, task: str = "capitals") -> list[Log]:
    """Two models; item 3 is lost by the first one, hostile texts stand in questions, targets and answers."""
    logs: list[Log] = []
    for model, shift in zip(MODELS, (0, 1), strict=True):
        rows: list[Made] = []
        for i in range(num):
            hostile = HOSTILE[i % len(HOSTILE)]
            one = item(i, question=f"{hostile} {i}", target=f"{hostile} target")
            lost = i == 3 and shift == 0
            rows.append((one, f"{model} says {hostile}", None if lost else float((i + shift) % 3 > 0)))
        logs.append(log(rows, model=model, task=task, statuses={} if shift else {"q3": ("error", HOSTILE[0])}))
    return logs


@pytest.fixture(scope="module")
def evidence() -> LogEvidence:
    settings = {"template": HOSTILE[1], "num_fewshot": 5}
    first, second = two()
    first = Log(**{**vars(first), "source": type(first.source)(**{**vars(first.source), "settings": settings})})
    return evidence_of(first, second, losses=[Loss(HOSTILE[2], "q9", "cut off")])


@pytest.fixture(scope="module")
def document(evidence: LogEvidence) -> str:
    return render_logs(evidence, version="1.2")


def test_the_page_is_whole_and_loads_nothing(document: str, evidence: LogEvidence):
    page = Page(document)
    assert len(page.ids) == len(set(page.ids))
    assert {link.removeprefix("#") for link in page.links} <= set(page.ids)
    assert all(link.startswith("#") for link in page.links)
    assert not {"script", "img", "iframe", "link"} & set(page.tags)
    assert not [name for name in page.attributes if name.startswith("on")]
    assert POLICY.replace("'", "&#x27;") in document
    assert document == render_logs(evidence, version="1.2")


def test_hostile_text_is_only_read(document: str):
    page = Page(document)
    for hostile in HOSTILE:
        assert visible(hostile)[:200].split("\n")[0] in page.words
    for model in MODELS:
        assert page.words.count(f"{model} says") == 30


def test_every_answer_is_counted(evidence: LogEvidence, document: str):
    first, second = counts_of(evidence)
    assert (first.planned, first.answered, first.scored, first.missing) == (30, 29, 29, 1)
    assert first.reasons == ((HOSTILE[0], 1),)
    assert (second.planned, second.answered, second.scored, second.reasons) == (30, 30, 30, ())
    words = Page(document).words
    assert "1 of 60 scores are missing, in 1 of 2 rows." in words
    tally = re.search(r"model-a and model-b on 30 pairs: ([^.]*)\.", words)
    assert tally is not None
    assert tally[1] == "10 right and wrong, 9 wrong and right, 1 missing in one, 10 alike"


def stage(a: float | None, b: float | None) -> str:
    if (a, b) in ((1, 0), (0, 1)):
        return "right, wrong" if a else "wrong, right"
    return "alike" if a == b else "missing" if None in (a, b) else "differ"


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(*[st.sampled_from([None, 0.0, 1.0, 0.5, 0.2])] * 4), min_size=1, max_size=12))
def test_worst_disagreements_come_first(values: list[tuple[float | None, ...]]):
    """Against sorting by the words of the documentation, two epochs a model."""
    logs = [
        log({e: [(item(i), "x", row[2 * m + e]) for i, row in enumerate(values)] for e in (0, 1)}, model=model)
        for m, model in enumerate(MODELS)
    ]
    found = listing_of(evidence_of(*logs), evidence_of(*logs).blocks[0])
    assert sorted(one.ids[0] for one in found.ranked) == sorted(f"q{i}" for i in range(len(values)))

    def mean(pair: tuple[float | None, ...]) -> float | None:
        return None if None in pair else sum(pair) / 2  # type: ignore[arg-type]

    plain = {f"q{i}": (mean(row[:2]), mean(row[2:])) for i, row in enumerate(values)}
    assert {one.ids[0]: one.values for one in found.ranked} == plain
    shown = [plain[one.ids[0]] for one in found.ranked]
    stages = [stage(*pair) for pair in shown]
    order = ["right, wrong", "wrong, right", "differ", "missing", "alike"]
    assert stages == sorted(stages, key=order.index)
    apart = [abs(a - b) for a, b in shown if stage(a, b) == "differ"]  # type: ignore[operator]
    assert apart == sorted(apart, reverse=True)


def test_what_is_left_out_is_said():
    evidence = evidence_of(*two(100))
    words = Page(render_logs(evidence, version="1", most_items=12)).words
    assert "12 of 100 pairs" in words
    assert "88 are left out" in words
    assert words.count("org/model-a says") == 12


def test_one_arm_shows_its_worst_first():
    rows: list[Made] = [(item(i), "x", value) for i, value in enumerate((1.0, 0.0, None, 0.5))]
    evidence = evidence_of(log(rows), compare=False)
    found = listing_of(evidence, evidence.blocks[0])
    assert [one.ids[0] for one in found.ranked] == ["q2", "q1", "q3", "q0"]
    assert {one.group for one in found.ranked} == {ALIKE}
    assert "Differences" not in Page(render_logs(evidence, version="1")).words


def test_items_that_only_one_model_was_asked_are_no_pairs():
    a, b = two(20)
    shorter = Log(**{**vars(b), "items": b.items.head(15), "scores": b.scores.head(15), "answers": b.answers.head(15)})
    evidence = evidence_of(a, shorter)
    assert len(listing_of(evidence, evidence.blocks[0]).ranked) == 15
    assert any("without a partner" in note for block in evidence.blocks for note in block.notes)


def test_measures_beyond_the_unit_have_their_own_axis():
    logs = [
        log([(item(i), "x", 10.0 * i) for i in range(12)], model=model, task="long", measure="length")
        for model in MODELS
    ]
    page = render_logs(evidence_of(*logs, *two()), version="1")
    assert page.count("<figure>") == 4  # shares and lengths, values and differences


@pytest.mark.parametrize(
    ("names", "short"),
    [
        (["org/a", "org/b"], ["a", "b"]),
        (["x/a", "y/a"], ["x/a", "y/a"]),
        (["m (runs/old)", "m (runs/new)"], ["old", "new"]),
        (["m (a/log)", "m (b/log)", "n"], ["m (a/log)", "m (b/log)", "n"]),
        (["m (a/log)", "m (b/log)"], ["a/log", "b/log"]),
        (["o/large-model-name-7b", "o/large-model-name-70b"], ["…7b", "…70b"]),
        (["a"], ["a"]),
    ],
)  # fmt: skip
def test_short_names_stay_different(names: list[str], short: list[str]):
    assert short_names(names) == short
