from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from measurement_helpers import data_path, reference
from real import ROOT
from test_documents import blocks

from trialist.errors import MeasurementUndefined
from trialist.measurement.check import CERTAINTY
from trialist.measurement.proportions import clopper_pearson
from trialist.measurement.sequential.active import ActiveSampling
from trialist.measurement.sequential.bounded import BoundedProcess, Sampling, Shows, rebuild, walk
from trialist.measurement.sequential.mean_sequence import MeanSequence
from trialist.measurement.sequential.predictors import (
    FactorRidge,
    Floats,
    Ints,
    Predictor,
    mean_of_others,
    minus_known,
)
from trialist.measurement.sequential.variates import ControlVariate, random_order
from trialist.measurement.sequential.wealth import UNIVERSAL, Bets, designed, log_path

SIDES: tuple[Shows, ...] = ("above", "below")
BANK = (0.0, 1.0, 0.3, 0.0, 0.9)
OTHERS = np.array([[0.1, 0.0, 0.2], [1, 0.8, 1], [0.5, 0, 0.1], [0, 0.4, 0], [1, 0.2, 0.9]])
STRONG = Bets((1.0,), (1.0,), 0.95)


def constant(values: Sequence[float]) -> Predictor:
    return lambda items, seen, /: np.asarray(values, dtype=np.float64)


def spiteful(items: Ints, values: Floats, /) -> Floats:
    """Looks at the past only, and changes its mind about every item with every answer."""
    table = np.random.default_rng(len(items) + int(100 * values.sum())).random(len(BANK))
    table[items] = 1 - values
    return table


PREDICTORS: dict[str, Predictor] = {
    "mean of others": mean_of_others(OTHERS),
    "factor ridge": FactorRidge(OTHERS),
    "opposite": mean_of_others(1 - OTHERS),
    "constant": constant([0.7] * 5),
    "beyond the range": constant([-3, 5, 0, 9, -9]),
    "spiteful": spiteful,
    # Even the true answers: what must not be known is the order to come.
    "the answers": constant(BANK),
    "their opposite": constant([1 - x for x in BANK]),
}


@pytest.fixture(autouse=True)
def refit_often(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    if "bank" in request.node.name:
        monkeypatch.setattr("trialist.measurement.sequential.variates.FIRST_REFIT", 1)


def run(process: BoundedProcess, values: Sequence[float]) -> list[float]:
    found = []
    for value in values:
        process.update(value)
        found.append(process.log_e)
    return found


@pytest.mark.parametrize("name", PREDICTORS)
@pytest.mark.parametrize("bets", [designed(0.2), STRONG])
def test_bank_expected_evidence_is_one_over_all_orders(name: str, bets: Bets) -> None:
    """Exact over the 120 orders, both sides, whatever the predictor; stopping doesn't help either."""
    truth = sum(BANK) / len(BANK)
    for shows in SIDES:
        rows = []
        for order in itertools.permutations(range(5)):
            sampling = ControlVariate(np.array(order), PREDICTORS[name])
            process = BoundedProcess(truth, shows=shows, bets=bets, sampling=sampling)
            rows.append(np.exp(run(process, [BANK[i] for i in order])))
        evidence = np.array(rows)
        assert np.isfinite(evidence).all()
        assert evidence.min() > 0
        assert evidence.mean(axis=0) == pytest.approx(1, abs=1e-7)
        stopped = [next((e for e in row if e >= 2), row[-1]) for row in evidence]
        assert np.mean(stopped) == pytest.approx(1, abs=1e-7)


def test_bank_a_look_ahead_at_the_order_would_break_it() -> None:
    """Positive control: a prediction that knows which item comes next isn't predictable, and evidence grows."""
    truth = sum(BANK) / len(BANK)
    total = 0.0
    for order in itertools.permutations(range(5)):

        def cheat(items: Ints, values: Floats, /, order: tuple[int, ...] = order) -> Floats:
            table = np.full(5, 0.0)
            if len(items) < 5:
                table[order[len(items)]] = 1.0
            return table

        sampling = ControlVariate(np.array(order), cheat)
        process = BoundedProcess(truth, shows="below", bets=designed(0.2), sampling=sampling)
        total += math.exp(min(50.0, run(process, [BANK[i] for i in order[:4]])[-1]))
    assert total / 120 > 1.2


@pytest.mark.parametrize("name", ["mean of others", "opposite", "spiteful", "their opposite"])
def test_bank_active_sampling_has_expected_evidence_one(name: str) -> None:
    """Exact over all sequences of draws of a bank of 4, each with its probability."""
    bank = BANK[:4]
    truth = sum(bank) / 4

    def predictor(items: Ints, values: Floats, /) -> Floats:
        padded = PREDICTORS[name](items, values)
        return padded[:4]

    for shows in SIDES:
        mean, total = 0.0, 0.0
        for order in itertools.permutations(range(4)):
            sampling = ActiveSampling(4, predictor, np.random.default_rng(0), least=0.3)
            process = BoundedProcess(truth, shows=shows, bets=STRONG, sampling=sampling)
            probability = 1.0
            for item in order[:3]:
                probability *= force(sampling, item)
                process.update(bank[item])
            total += probability
            mean += probability * math.exp(process.log_e)
        assert total == pytest.approx(1)
        assert mean == pytest.approx(1, abs=1e-9)


class Chosen:
    """A generator whose next number is given."""

    def __init__(self, number: float) -> None:
        self.number = number

    def random(self) -> float:
        return self.number


def force(sampling: ActiveSampling, item: int) -> float:
    """Draw ``item`` from ``sampling``, and the probability with which it would be drawn."""
    q = sampling.probabilities()
    number = float(q[:item].sum() + q[item] / 2)
    sampling._generator = Chosen(number)  # pyright: ignore[reportAttributeAccessIssue]
    assert q.sum() == pytest.approx(1)
    assert sampling.draw() == item
    return float(q[item])


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=2, max_size=40), st.integers(0, 999), st.sampled_from([0.0, 0.5, 1.0]))
def test_increments_stay_in_their_range_and_sum_up(values: list[float], seed: int, shrink: float) -> None:
    generator = np.random.default_rng(seed)
    n = len(values)
    bank = np.array(values)
    predictor = constant(shrink * bank + (1 - shrink) * generator.random(n))
    order = random_order(n, generator)
    active = ActiveSampling(n, predictor, generator, least=0.4)
    samplings: list[tuple[Sampling, list[int]]] = [(ControlVariate(order, predictor), order.tolist())]
    for sampling, items in samplings:
        path = walk(bank[items].tolist(), sampling)
        assert (path.lows <= path.increments + 1e-12).all()
        assert (path.increments <= path.highs + 1e-12).all()
        assert (path.lows <= 0).all()
        assert (path.highs >= 1).all()
    for t, item in enumerate(active.items()):
        step = active.step(t)
        # The range holds for every answer to every item that could have been drawn, so for this one's extremes.
        for x in (0.0, float(bank[item]), 1.0):
            assert step.low - 1e-9 <= step.scale * x - step.offset <= step.high + 1e-9
        assert step.low >= -1 / 0.4 - 1e-9
        assert step.high <= 1 + 1 / 0.4 + 1e-9
        active.learn(t, float(bank[item]))
    assert sorted(active.drawn) == list(range(n))


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 40), st.integers(0, 999))
def test_increment_is_the_formula(n: int, seed: int) -> None:
    """Against the definition with all sums taken again, for a predictor that changes at every refit."""
    generator = np.random.default_rng(seed)
    bank, order = generator.random(n), random_order(n, generator)

    def predictor(items: Ints, values: Floats, /) -> Floats:
        return np.random.default_rng(len(items)).random(n)

    sampling = ControlVariate(order, predictor)
    centred: list[float] = []
    refit, due = 0, 0
    for t in range(n):
        if t >= due:
            refit, due = t, max(t + 5, int(t * 1.15) + 1)
        g = np.random.default_rng(refit).random(n)
        d = float(g[order[t]] - g[order[t:]].mean())
        past = bank[order[:t]]
        means = (0.5 + np.concatenate([[0.0], np.cumsum(past)[:-1]])) / (1 + np.arange(t)) if t else past
        c = (2 + float(np.dot(centred, past - means))) / (2 + float(np.dot(centred, centred)))
        step = sampling.step(t)
        assert step.offset == pytest.approx(min(1.5, max(-1.5, c)) * d, abs=1e-9)
        sampling.learn(t, float(bank[order[t]]))
        centred.append(d)


def test_two_processes_share_one_sampling_and_a_constant_predictor_changes_nothing() -> None:
    generator = np.random.default_rng(0)
    values, order = generator.random(50), random_order(50, generator)
    shared = ControlVariate(order, FactorRidge(generator.random((50, 4))))
    pair = [BoundedProcess(0.45, shows=shows, sampling=shared) for shows in SIDES]
    own = [
        BoundedProcess(0.45, shows=shows, sampling=ControlVariate(order, shared._refits._predictor)) for shows in SIDES
    ]
    for value in values.tolist():
        for process in (*pair, *own):
            process.update(value)
    assert [p.log_e for p in pair] == [p.log_e for p in own]
    constant_one = BoundedProcess(0.45, shows="above", sampling=ControlVariate(order, constant([0.4] * 50)))
    plain = BoundedProcess(0.45, shows="above", num_items=50)
    assert run(constant_one, values.tolist()) == pytest.approx(run(plain, values.tolist()), abs=1e-9)


def test_a_process_is_rebuilt_with_its_sampling_only() -> None:
    def sampling(*order: int) -> ControlVariate:
        return ControlVariate(np.array(order), mean_of_others(OTHERS), low=-1, high=1)

    process = BoundedProcess(0.2, shows="below", low=-1, high=1, bets=STRONG, sampling=sampling(2, 0, 1, 4, 3))
    settings = process.settings
    again = rebuild(settings, sampling(2, 0, 1, 4, 3))
    assert again.settings == settings
    assert run(again, BANK) == run(process, BANK)
    for wrong in (None, sampling(0, 1, 2, 3, 4)):
        with pytest.raises(MeasurementUndefined):
            rebuild(settings, wrong)
    plain = BoundedProcess(0.2, shows="above", bets=designed(0.1 / 3))
    assert rebuild(plain.settings).settings == plain.settings


def test_process_and_path_agree_on_both_sides() -> None:
    generator = np.random.default_rng(2)
    order = random_order(80, generator)
    bank = (generator.random(80) < 0.3).astype(float)
    predictor = FactorRidge(np.clip(bank[:, None] + generator.normal(0, 0.4, (80, 6)), 0, 1), num_factors=2)
    path = walk(bank[order].tolist(), ControlVariate(order, predictor))
    for shows, steps, m in (("above", path, 0.25), ("below", path.mirrored(), 0.75)):
        process = BoundedProcess(0.25, shows=shows, sampling=ControlVariate(order, predictor))
        found = run(process, bank[order].tolist())
        assert found == pytest.approx(log_path(steps, m, 80, UNIVERSAL).tolist(), abs=1e-9)


def simulated(generator: np.random.Generator, n: int = 300, models: int = 12) -> tuple[Floats, Floats]:
    """A new model's failures, about one in five, and other models' answers that predict them."""
    difficulty = generator.beta(0.25, 1.0, n)
    others = (generator.random((n, models)) < difficulty[:, None]).astype(float)
    return (generator.random(n) < difficulty).astype(float), others


@pytest.mark.parametrize("kind", ["honest", "opposite", "noise"])
def test_rarely_crosses_at_the_boundary_and_saves_only_if_honest(kind: str) -> None:
    generator = np.random.default_rng(11)
    bank, others = simulated(generator)
    truth = float(bank.mean())
    predictors: dict[str, Predictor] = {
        "honest": mean_of_others(others),
        "opposite": mean_of_others(1 - others),
        "noise": lambda items, values, /: generator.random(len(bank)),
    }
    crossed = dict.fromkeys(SIDES, 0)
    calls, plain_calls = 0, 0
    repetitions = 150
    for _ in range(repetitions):
        order = random_order(300, generator)
        path = walk(bank[order].tolist(), ControlVariate(order, predictors[kind]))
        plain = walk(bank[order].tolist(), ControlVariate(order, constant([0.0] * 300)))
        crossed["above"] += int(log_path(path, truth, 300, designed(0.05)).max() >= math.log(20))
        crossed["below"] += int(log_path(path.mirrored(), 1 - truth, 300, designed(0.05)).max() >= math.log(20))
        away = [log_path(p.mirrored(), 1 - truth - 0.05, 300, designed(0.05)) for p in (path, plain)]
        calls += int((away[0] >= math.log(20)).argmax()) + 1
        plain_calls += int((away[1] >= math.log(20)).argmax()) + 1
    for count in crossed.values():
        assert clopper_pearson(count, repetitions, CERTAINTY).low <= 0.05
    if kind == "honest":
        assert calls < 0.8 * plain_calls
    else:
        assert calls < 1.3 * plain_calls


def test_the_confidence_sequence_covers_and_is_narrower() -> None:
    generator = np.random.default_rng(12)
    bank, others = simulated(generator, n=200)
    truth, covered, widths = float(bank.mean()), 0, []
    for _ in range(80):
        order = random_order(200, generator)
        intervals = []
        for predictor in (mean_of_others(others), constant([0.0] * 200)):
            sequence = MeanSequence(level=0.9, sampling=ControlVariate(order, predictor), bets=designed(0.05))
            for item in order[:120].tolist():
                sequence.update(float(bank[item]))
            intervals.append(sequence.interval())
        covered += int(intervals[0].contains(truth))
        widths.append([i.width for i in intervals])
    assert clopper_pearson(covered, 80, CERTAINTY).high >= 0.9
    narrow, wide = np.mean(widths, axis=0)
    assert narrow < 0.9 * wide


def test_factor_ridge_learns_what_the_mean_of_others_can_not() -> None:
    """Two kinds of items and a model that is good at one: the factor is the contrast between them."""
    generator = np.random.default_rng(13)
    skill = generator.normal(0, 0.3, (2, 30))
    kind = np.arange(400) % 2
    others = (generator.random((400, 30)) < np.clip(0.5 + skill[kind], 0.02, 0.98)).astype(float)
    model = (generator.random(400) < np.where(kind == 0, 0.9, 0.15)).astype(float)
    seen = np.arange(60)
    found = FactorRidge(others)(seen, model[seen])
    before = mean_of_others(others)(seen, model[seen])
    rest = slice(60, None)
    assert np.var(model[rest] - found[rest]) < 0.75 * np.var(model[rest] - before[rest])
    nothing = FactorRidge(others)(seen[:0], model[:0])
    assert nothing == pytest.approx(others.mean(axis=1))


def test_differences_to_a_known_model() -> None:
    others, known = OTHERS, np.array([0.0, 1, 0, 1, 0])
    predictor = minus_known(mean_of_others(others), known)
    found = predictor(np.array([0]), np.array([0.5]))
    assert found == pytest.approx(others.mean(axis=1) - known)
    values = np.array(BANK) - known
    for order in ([0, 1, 2, 3, 4], [3, 1, 0, 2, 4]):
        sampling = ControlVariate(np.array(order), predictor, low=-1, high=1)
        process = BoundedProcess(-0.2, shows="above", low=-1, high=1, sampling=sampling)
        assert run(process, values[order].tolist())[-1] == math.inf  # the mean is above -.2, and the bank is seen


def refusals() -> list[Callable[[], object]]:
    order = np.arange(5)
    nan = ControlVariate(order, constant([math.nan] * 5))
    short = ControlVariate(order, constant([0.5]))
    skipped = ControlVariate(order, constant(BANK))
    active = ActiveSampling(5, constant(BANK), np.random.default_rng(0))
    active.draw()
    weights = ActiveSampling(5, constant(BANK), np.random.default_rng(0), uncertainty=lambda f: -f - 1)
    return [
        lambda: ControlVariate(np.array([0, 0, 1]), constant(BANK)),
        lambda: ControlVariate(np.array([1, 2, 3]), constant(BANK)),
        lambda: ControlVariate(np.array([]), constant(BANK)),
        lambda: nan.step(0),
        lambda: short.step(0),
        lambda: skipped.step(1),
        active.draw,
        lambda: active.step(1),
        weights.draw,
        lambda: ActiveSampling(5, constant(BANK), np.random.default_rng(0), least=0.0),
        lambda: BoundedProcess(0.5, shows="above", num_items=7, sampling=skipped),
        lambda: BoundedProcess(0.5, shows="above", low=-1, high=1, sampling=skipped),
        lambda: mean_of_others([[0.5, math.nan]]),
        lambda: mean_of_others([0.5]),
        lambda: FactorRidge(OTHERS, num_factors=3),
    ]


@pytest.mark.parametrize("number", range(15))
def test_refusals(number: int) -> None:
    with pytest.raises(MeasurementUndefined):
        refusals()[number]()


@pytest.mark.data
def test_the_benchmark_on_one_order_of_four_models(monkeypatch: pytest.MonkeyPatch) -> None:
    """The table of LiveBench, what the page says of it, and predictors that see other families only."""
    monkeypatch.setenv("TRIALIST_DATA", str(data_path("")))
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import livebench_gate as bench

    bank = bench.load()
    shape = reference("livebench_shape")
    assert bank.scores.shape == (shape["questions_complete"], shape["models_nearly_complete"])
    assert sorted(bank.scores.mean(axis=0))[-3:] == pytest.approx(sorted(shape["top3_mean"].values()))
    assert len(bank.reported()) == 24
    phi = bank.families.index("phi")
    assert bank.others(phi).shape[1] == 41 - bank.families.count("phi")
    asked = bench.orders(bank, 1)[::6]
    for name, least in (("mean of others", 1.3), ("flipping", 0.9)):
        tally = bench.measure(bank, bench.PREDICTORS[name], asked, (0.05,))
        row = tally.runs(0.05).row(name, 0.05)
        assert row["wrong"] == row["undecided"] == 0
        assert row["ratio"] > least
    # 416 over the reported models; a variance of .2 would give 427.
    assert 350 < np.mean([bench.fixed_size(float(bank.scores[:, j].var(ddof=1)), 1136) for j in range(41)]) < 450


def test_the_page(capsys: pytest.CaptureFixture[str]) -> None:
    page = "docs/measurement/bounded-sequential.md"
    (code,) = blocks(page, "python")
    exec(code, {})  # noqa: S102 - our own page
    said = re.findall(r"# prints: (.*)", code)
    assert capsys.readouterr().out.splitlines() == said
