"""Inspect's numbers from our scores, to the last digit."""

from __future__ import annotations

import logging
import math
from dataclasses import replace
from pathlib import Path

import inspect_made as made
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from inspect_ai.log import ProvenanceData, invalidate_samples, read_eval_log, write_eval_log
from inspect_ai.scorer import Score, value_to_float
from inspect_ai.scorer._reducer import create_reducers  # Inspect resolves the names in logs by this
from test_inspect_log import read

from trialist.errors import MeasurementUndefined
from trialist.logs.inspect_reduced import METRICS, pass_at_k, stated_again
from trialist.logs.inspect_scores import MEAN_OF_GROUPS, NOT_A_NUMBER, number
from trialist.logs.log import Stated

pytestmark = pytest.mark.filterwarnings("ignore")

NAMES = [
    "options",
    "several",
    "several-json",
    "mean",
    "reducers",
    "no-reducer",
    "troubles",
    "agents",
    "stopped",
    "scored-errors",
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("full", [False, True])
def test_every_accuracy_and_mean_of_every_log(name: str, full: bool) -> None:
    log = read(made.stored(name), full=full)
    checked = [s for s in log.stated if s.metric.removesuffix(MEAN_OF_GROUPS) in METRICS]
    assert len(checked) >= len({(s.measure, s.reducer) for s in log.stated})
    for stated in checked:
        again = stated_again(log, stated)
        assert again == stated.value or (math.isnan(again) and math.isnan(stated.value)), stated


def test_what_inspect_states_is_read_whole() -> None:
    """Every number of every reducer, key and group of the log that has most of them."""
    path = made.stored("reducers")
    theirs = read_eval_log(str(path), header_only=True).results
    assert theirs is not None
    ours = read(path, full=False).stated
    assert [s.value for s in ours] == [m.value for score in theirs.scores for m in score.metrics.values()]
    assert {s.reducer for s in ours} == set(made.REDUCERS)
    assert {s.group for s in ours if s.metric == "accuracy"} == {"", "all", "k0", "k1", "k2"}
    assert {s.measure for s in ours} == {"match", "shade", "parts/tone", "parts/length", "by_kind"}
    assert len({replace(s, value=0.0) for s in ours}) == len(ours)


def test_what_cannot_be_computed_again_is_refused(tmp_path: Path) -> None:
    log = read(made.stored("mean"))
    other_metric, other_reducer = Stated("match", "stderr", 0.1), Stated("match", "accuracy", 0.1, reducer="collect")
    for stated, said in ((other_metric, "accuracy, mean"), (other_reducer, "pass_at_k")):
        with pytest.raises(MeasurementUndefined) as caught:
            stated_again(log, stated)
        assert said in str(caught.value)
    theirs = read_eval_log(str(made.stored("mean")))
    assert theirs.samples
    path = tmp_path / "invalid.eval"
    write_eval_log(invalidate_samples(theirs, [theirs.samples[0].uuid or ""], ProvenanceData(author="a")), str(path))
    with pytest.raises(MeasurementUndefined, match="match"):
        stated_again(read(path), log.stated[0])


texts = st.one_of(
    st.sampled_from(["C", "I", "P", "N", "c", "yes", "YES", "True", "no", "FALSE"]),
    st.sampled_from(["nan", "inf", "1_0", " 2 ", "", "1e3"]),
    st.text(max_size=4), st.floats().map(str), st.integers().map(str),
)  # fmt: skip


@settings(max_examples=300)
@given(st.one_of(texts, st.integers(), st.booleans(), st.floats(allow_nan=False, allow_infinity=False)))
@example(10**400)
def test_a_value_is_the_number_that_inspect_makes_of_it(value: str | int | float | bool) -> None:
    """Except that what Inspect calls 0 with a warning has no value here."""
    logging.disable(logging.WARNING)
    try:
        found, reason = number(value, {})
        if reason == "not finite":
            with pytest.raises(OverflowError):
                value_to_float()(value)
            return
        assert (0.0 if reason == NOT_A_NUMBER else found) == value_to_float()(value)
        assert (found is None) == (reason != "")
    finally:
        logging.disable(logging.NOTSET)


@settings(max_examples=60)
@given(st.integers(1, 40), st.data())
def test_pass_at_k_is_inspects(n: int, data: st.DataObject) -> None:
    c, k = data.draw(st.integers(0, n)), data.draw(st.integers(1, n))
    (reducer,) = create_reducers(f"pass_at_{k}")
    theirs = reducer([Score(value=1.0)] * c + [Score(value=0.0)] * (n - c)).value
    assert pass_at_k(n, c, k) == theirs
    assert pass_at_k(n, c, k) == pytest.approx(1 - math.comb(n - c, k) / math.comb(n, k), abs=1e-12)


def test_the_table_of_the_page_is_that_of_the_log() -> None:
    page = (Path(__file__).parents[2] / "docs/logs/inspect.md").read_text(encoding="utf-8")
    rows = [
        line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("| `") and " | 21 | " in line
    ]
    log = read(made.stored("several"))
    theirs = read_eval_log(str(made.stored("several")), header_only=True).results
    assert theirs
    for name, *numbers in rows:
        measure = name.strip("`")
        values = log.scores.filter(log.scores["measure"] == measure)["value"]
        (score,) = (s for s in theirs.scores if measure in (s.name, f"{s.scorer}/{s.name}"))
        stated = next(s for s in log.stated if s.measure == measure)
        counts = [str(len(values)), str(values.count()), str(values.null_count())]
        assert numbers == [*counts, f"{score.scored_samples}, {score.unscored_samples}", str(stated.value)]
    assert len(rows) == 5
