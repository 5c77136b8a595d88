"""A line is a request or says what is wrong with it, whatever stands in it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trialist.bulk.lines import Asked, Unusable, encode, outcome, parse
from trialist.models.protocol import Choose, Failure, Reply

GOOD = b'{"context": "a", "continuations": [" b", " c"]}'
TAKEN = Reply(logprobs=(-1.5, -0.1), num_tokens=(1, 2), num_bytes=(2, 2), greedy=(False, True))


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
def test_a_good_line(end: bytes) -> None:
    assert parse(3, GOOD + end) == Asked(3, None, Choose("a", (" b", " c")))


@pytest.mark.parametrize("value", ["x", "", 0, -7, 10**30])
def test_an_id_is_given_back(value: str | int) -> None:
    line = json.dumps({"id": value, "context": "", "continuations": ["a", "b"]}).encode()
    asked = parse(1, line)
    assert json.loads(encode(asked, TAKEN))["id"] == value
    bad = parse(1, json.dumps({"id": value, "context": 5, "continuations": ["a"]}).encode())
    assert json.loads(encode(bad, outcome(bad, None)))["id"] == value


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b"\n", "an empty line"),
        (b"[1,", "not JSON, character 3"),
        (b"5", "a number, 5"),
        (b"[]", "a list; allowed: one JSON object"),
        (b"\xff", "not UTF-8 at byte 0"),
        (b"[" * 100_000, "nested too deep"),
        (b'{"context": ' + b"1" * 5000 + b"}", "Exceeds the limit"),
        (b'{"context": "a"}', "no key 'continuations'; allowed: context, continuations, id"),
        (b'{"continuations": ["a"]}', "no key 'context'"),
        (
            b'{"contxt": "a", "continuations": ["a"]}',
            "unknown key 'contxt'; allowed: context, continuations, id; ",
        ),
        (b'{"context": "a", "context": "b", "continuations": ["a"]}', "the key 'context' comes twice"),
        (b'{"context": null, "continuations": ["a"]}', "context is null; allowed: a text"),
        (b'{"context": ["a"], "continuations": ["a"]}', "context is a list; allowed: a text"),
        (b'{"context": "a", "continuations": "b"}', "continuations is a text, 'b'; allowed: a list of texts"),
        (b'{"context": "a", "continuations": []}', "an empty list; allowed: one text or more"),
        (b'{"context": "a", "continuations": ["b", 5]}', "continuations[1] is a number, 5; allowed: a text"),
        (b'{"context": "a", "continuations": ["b", "\\ud800"]}', "continuations[1] has half a character at 0"),
        (b'{"context": "a", "continuations": ["b"], "id": true}', "id is true; allowed: a text or a whole number"),
        (b'{"context": "a", "continuations": ["b"], "id": 1.5}', "id is a number, 1.5"),
        (b'{"context": "a", "continuations": ["b"], "id": null}', "id is null"),
    ],
)
def test_a_bad_line_says_what_was_seen_and_what_is_allowed(line: bytes, says: str) -> None:
    found = parse(7, line)
    assert isinstance(found, Unusable)
    assert says in found.reason
    assert json.loads(encode(found, outcome(found, None))) == {"line": 7, "error": found.reason}


@given(st.binary() | st.recursive(st.none() | st.floats() | st.text(), st.lists).map(lambda x: json.dumps(x).encode()))
def test_nothing_raises_and_a_row_is_one_line_of_plain_ascii(line: bytes) -> None:
    found = parse(1, line)
    row = encode(found, outcome(found, None))
    assert row.isascii()
    assert row.count(b"\n") == 1
    assert b"\x1b" not in row
    assert json.loads(row)["line"] == 1


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1))
def test_floats_read_back_as_they_were(values: list[float]) -> None:
    asked = Asked(1, None, Choose("", ("a",) * len(values)))
    ones = (1,) * len(values)
    row = json.loads(encode(asked, Reply(logprobs=tuple(values), num_tokens=ones, num_bytes=ones)))
    assert [value.hex() for value in row["logprobs"]] == [value.hex() for value in values]
    assert row["greedy"] is None, "the model doesn't say"


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        (None, "no reply"),
        (Failure("too long"), "too long"),
        (Reply(logprobs=(-1.0,), num_tokens=(1,), num_bytes=(1,)), "1 log-probabilities for 2 continuations"),
        (Reply(logprobs=(-1.0, float("-inf")), num_tokens=(1, 1), num_bytes=(1, 1)), "-inf"),
        (Reply(logprobs=(-1.0, float("nan")), num_tokens=(1, 1), num_bytes=(1, 1)), "nan"),
    ],
)
def test_a_reply_that_is_no_score_says_why(reply: Reply | Failure | None, says: str) -> None:
    asked = parse(1, GOOD)
    found = outcome(asked, reply)
    assert isinstance(found, Failure)
    assert says in found.reason
    assert outcome(asked, TAKEN) == TAKEN
