"""What each scorer of text counts, and what respondents that know nothing get from it."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trialist.errors import NameUnknown, SpecError
from trialist.evaluations.letters import letters
from trialist.evaluations.plain_text import bare, folded, found_at, numbers
from trialist.evaluations.text_scorers import text_scorer
from trialist.records import Answer, Cell, Item, Status

OPTIONS = ("Paris", "London", "New York", "York")
ALL = ("exact", "match", "match:begin", "match:whole", "includes", "letter", "number", r"pattern:(\w+)")


def value(name: str, text: str, target: str = "", *, right: int | None = None, status: Status = "ok") -> float | None:
    options = OPTIONS if right is not None else ()
    item = Item("i", "q", "i", options, right, target)
    return text_scorer(name).score(item, Answer(Cell("a"), "e", "i", 0, status, text), "m").value


@pytest.mark.parametrize(
    ("name", "target", "right", "wrong"),
    [
        ("exact", "Paris", ["Paris", " Paris\n"], ["paris", "Paris.", "It is Paris"]),
        ("match", "Paris", ["It is PARIS.", "**Paris**", "“paris”!", "Ｐａｒｉｓ"], ["Paris, France", "Comparis", "x"]),
        ("match", "5", ["5", "It is 5.", "(5)"], ["15", "1.5", ".5", "-5", "1/5", "5 or 6"]),
        ("match", "-5", ["-5.", "it is -5"], ["5", "3-5"]),
        ("includes", ".5", [".5", "it is .5!"], ["1.5", "5"]),
        ("match:begin", "yes", ["Yes, it is", "*yes*"], ["yesterday", "No, yes"]),
        ("match:whole", "New York", ["new  york.", "'New\nYork'"], ["New York City", "It is New York"]),
        ("includes", "1", ["1", "it is 1.", "10-1", "1, 2"], ["21", "1.5", "1,000", "-1", "11", "a1", "1/2"]),
        ("includes", "巴黎", ["答案是巴黎。"], ["北京"]),
        ("number", "1,234", ["1234", "so 1,234.0 kg", "$1,234", "7, then 1234"], ["1234 and 7", "x1234", "-1234"]),
        ("number:0.1", "2", ["2.1", "1.9"], ["2.11"]),
        ("number:1%", "-200", ["-202", "−198"], ["-203", "200"]),
        (r"pattern:#### (\S+)", "7", ["#### 3\n#### 7."], ["7", "#### 3"]),
        (r"pattern:\d+", "7", ["a 3 b 7"], ["7 and 3", "none"]),
    ],
)  # fmt: skip
def test_what_counts(name: str, target: str, right: list[str], wrong: list[str]):
    assert {text: value(name, text, target) for text in right} == dict.fromkeys(right, 1.0)
    assert {text: value(name, text, target) for text in wrong} == dict.fromkeys(wrong, 0.0)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("B", "B"), ("(b)", "B"), ("**B**", "B"), ("B. London", "B"), ("(B) London", "B"), ("ANSWER: B", "B"),
        ("answer: b", "B"),
        ("I think A.\nThe answer is B because", "B"), ("Answer: **(B)**", "B"), ("ANSWER: A\nANSWER: B", "B"),
        ("ANSWER: A, B", "AB"), ("Answer: A or (C)", "AC"), ("A cat", ""), ("the answer is a mystery", ""),
        ("", ""), ("ANSWER: $LETTER", ""), ("London", ""), ("answer: Apple", ""),
    ],
)  # fmt: skip
def test_letters(text: str, said: str):
    assert "".join(letters(text)) == said
    assert value("letter", text, right=1) == float(said == "B")


def test_the_target_of_options_is_the_right_one():
    assert value("match", "It is London", right=1) == 1
    assert value("includes", "It is New York", right=2) == 1
    assert value("includes", "It is New York", right=3) == 0  # York is named, and New York as well
    assert value("includes", "Paris, London, New York or York?", right=1) == 0


def test_several_right_texts():
    for target in ('["Paris", "Lutetia"]', "['Paris', 'Lutetia']"):
        assert value("match", "It is Lutetia.", target) == 1
        assert value("match", "It is London.", target) == 0
    assert value("number", "7", '["five", "7"]') == 1
    assert value("number", "7", '["five", "six"]') is None
    for target in ("[1, 2]", "['a', 2]", '["a"', "['a', __import__('os')]"):
        assert value("exact", target, target) == 1  # no list of texts: the text itself


def test_log_probabilities_are_no_text():
    item = Item("i", "q", "i", ("a", "bbbb"), 1)
    answer = Answer(Cell("a"), "e", "i", 0, "ok", logprobs=(-2.0, -4.0), num_tokens=(1, 4), num_bytes=(1, 4))
    found = {
        name: text_scorer(name).score(item, answer, "m").value for name in ("match", "likeliest", "likeliest:per_byte")
    }
    assert found == {"match": None, "likeliest": 0.0, "likeliest:per_byte": 1.0}


@pytest.mark.parametrize("name", ALL)
def test_respondents_that_know_nothing(name: str):
    target = "1" if name == "number" else "B"
    for text in ("", "  \n", "**", "...", '""'):
        assert value(name, text, target) == 0
    for nothing in ("", " "):
        assert value(name, "anything", nothing) is None
    for status in ("error", "missing", "truncated"):
        assert value(name, target, target, status=status) is None


@given(st.text(max_size=30), st.text(max_size=5))
def test_found_is_whole_words(text: str, target: str):
    text, target = folded(text), folded(target)
    for place in found_at(text, target):
        assert text[place : place + len(target)] == target
    # Beside spaces nothing goes on; folding is done once.
    assert bool(found_at(f"{text} {target} {text}", target)) == bool(target)
    assert bare(bare(text)) == bare(text)


@given(st.lists(st.decimals(allow_nan=False, allow_infinity=False, places=2, min_value=-(10**9), max_value=10**9)))
def test_numbers_are_read_as_written(values: list[Decimal]):
    assert numbers("; ".join(f"{v:,}" for v in values)) == values
    assert numbers(" and ".join(f"{v}kg" for v in values)) == values


def test_settings_that_make_no_sense():
    for name in ("number:x", "number:-1", "number:nan", "pattern:("):
        with pytest.raises(SpecError):
            text_scorer(name)
    with pytest.raises(SpecError):
        text_scorer("pattern:(a)", group=2)
    with pytest.raises(NameUnknown, match="matc"):
        text_scorer("matc")
