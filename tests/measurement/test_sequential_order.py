"""Whatever the order of completion, values come out in the registered order."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trialist.errors import MeasurementUndefined
from trialist.measurement.sequential.order import InOrder


@given(st.permutations(list(range(12))), st.integers(0, 12))
def test_the_finished_prefix_and_no_more(finished: list[int], stop: int) -> None:
    order = [f"item {i}" for i in range(12)]
    buffer: InOrder[str, int] = InOrder(order)
    out: list[tuple[str, int]] = []
    for i, place in enumerate(finished[:stop], 1):
        out += buffer.put(order[place], place)
        done = set(finished[:i])
        prefix = next(j for j in range(13) if j not in done)
        assert out == [(order[j], j) for j in range(prefix)]
        assert (buffer.num_given_out, buffer.num_waiting) == (prefix, i - prefix)
        assert buffer.missing() == [order[j] for j in range(12) if j not in done]
        assert all(buffer.has(order[j]) == (j in done) for j in range(12))


def test_refusals() -> None:
    with pytest.raises(MeasurementUndefined, match="once"):
        InOrder(["a", "b", "a"])
    buffer: InOrder[str, float] = InOrder(["a", "b"])
    with pytest.raises(MeasurementUndefined, match="registered"):
        buffer.put("c", 1.0)
    assert buffer.put("b", 1.0) == []
    with pytest.raises(MeasurementUndefined, match="once"):
        buffer.put("b", 0.0)
    assert buffer.put("a", 0.0) == [("a", 0.0), ("b", 1.0)]
    with pytest.raises(MeasurementUndefined, match="once"):
        buffer.put("a", 0.0)


def test_completion_order_would_tell_the_answer() -> None:
    """The positive control: fast passes and slow failures, folded as they finish, look safe at any true rate."""
    values = [1.0, 0.0] * 30
    finished = sorted(range(60), key=lambda i: values[i])
    buffer: InOrder[int, float] = InOrder(range(60))
    assert [values[i] for i in finished[:30]] == [0.0] * 30
    given_out = [value for i in finished[:30] for _, value in buffer.put(i, values[i])]
    assert given_out == []
