"""Inspect logs made by the real package with scripted models: no network, no key."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import gc
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from inspect_ai import Epochs, Task
from inspect_ai import eval as evaluate
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.log import EvalLog
from inspect_ai.model import ChatMessageSystem, ChatMessageUser, ModelOutput, ModelUsage, get_model
from inspect_ai.scorer import (
    Score,
    accuracy,
    choice,
    grouped,
    includes,
    match,
    mean,
    model_graded_qa,
    scorer,
    stderr,
)
from inspect_ai.solver import generate, multiple_choice, solver, use_tools
from inspect_ai.tool import tool
from inspect_ai.util import time_limit

Reply = Callable[[str], str]
REDUCERS = ["mean", "median", "mode", "max", "pass_at_2", "pass_k_2", "at_least_2", "majority"]
WORDS = ("red", "green", "blue", "amber")


def outcome(text: str, tokens: int = 1) -> Any:
    """An output with a usage of its own: without it the mock model counts tokens with a file from the network."""
    usage = ModelUsage(input_tokens=tokens, output_tokens=tokens, total_tokens=2 * tokens)
    return ModelOutput.from_content("mockllm/model", text).model_copy(update={"usage": usage})


def scripted(reply: Reply, name: str = "mockllm/model", tokens: int = 1) -> Any:
    """A model that answers with ``reply`` of the last message."""

    def answer(messages: Sequence[Any], *_: Any) -> Any:
        return outcome(reply(messages[-1].text), tokens)

    return get_model(name, custom_outputs=answer, memoize=False)


def run(task: Any, place: Path, reply: Reply, **options: Any) -> EvalLog:
    """One evaluation; ``options`` are those of ``inspect_ai.eval``."""
    given: dict[str, Any] = {"display": "none", "fail_on_error": False, "log_realtime": False, **options}
    model = given.pop("model", None) or scripted(reply)
    place.mkdir(parents=True, exist_ok=True)
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        log = evaluate(task, model=model, log_dir=str(place), **given)[0]
        gc.collect()  # Inspect leaves streams open; their warnings are due here
    return log


@cache
def shelf() -> Path:
    """A folder of this process for logs that several tests read."""
    place = Path(tempfile.mkdtemp(prefix="trialist-logs-"))
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    return place


@cache
def stored(name: str) -> Path:
    """One of the logs below, made once."""
    makers: dict[str, Callable[[Path], EvalLog]] = {
        "options": options_log,
        "several": lambda place: several(place, seed=7),
        "several-json": lambda place: several(place, seed=7, log_format="json"),
        "mean": lambda place: by_epochs(place, None),
        "reducers": lambda place: by_epochs(place, REDUCERS),
        "no-reducer": lambda place: by_epochs(place, []),
        "troubles": troubles,
        "agents": agents,
        "scored-errors": lambda place: troubles(place, score_on_error=True),
        "stopped": lambda place: troubles(place, fail_on_error=True, max_samples=1),
    }
    return Path(makers[name](shelf() / name).location)


def numbered(text: str) -> int:
    """The number in "What is the colour of thing 12?"."""
    return int(next(word for word in text.replace("?", " ").split() if word.isdigit()))


def questions(count: int) -> list[Sample]:
    return [
        Sample(id=i, input=f"What is the colour of thing {i}?", target=WORDS[i % 4], metadata={"kind": f"k{i % 3}"})
        for i in range(1, count + 1)
    ]


def colour(right: Callable[[int], bool]) -> Reply:
    """Says the right colour of the things for which ``right`` holds."""

    def reply(text: str) -> str:
        number = numbered(text)
        return WORDS[number % 4] if right(number) else "no idea"

    return reply


def options_log(place: Path, **options: Any) -> EvalLog:
    """Multiple choice with 8 questions, two of them chats, one with two right letters."""
    listed = [
        Sample(
            id=f"q{i}",
            input=f"Which is number {i}?" if i < 7 else [
                ChatMessageSystem(content="Be brief."), ChatMessageUser(content=f"Which is number {i}?")
            ],
            choices=list(WORDS), target="ABCD"[i % 4] if i else ["A", "C"],
        )
        for i in range(9)
    ]  # fmt: skip
    task = Task(MemoryDataset(listed), solver=multiple_choice(multiple_correct=False), scorer=choice(), name="options")
    return run(task, place, lambda text: f"ANSWER: {'ABCD'[numbered(text.split('number')[1]) % 3]}", **options)


@scorer(metrics=[mean(), stderr()])
def shade() -> Any:
    """A score that is sometimes unscored, sometimes none at all."""

    async def score(state: Any, target: Any) -> Any:
        number = numbered(state.input_text)
        if number % 5 == 0:
            return Score.unscored(reason="scoring_failed", explanation="could not look")
        if number % 7 == 0:
            return None
        return Score(value=number / 7)

    return score


@scorer(metrics={"tone": [mean(), stderr()], "len*": [mean()]})
def parts() -> Any:
    async def score(state: Any, target: Any) -> Any:
        number = numbered(state.input_text)
        return Score(value={"tone": number / 3 if number % 4 else float("nan"), "length": len(state.output.completion)})

    return score


@scorer(
    metrics=[
        accuracy(),
        stderr(cluster="kind"),
        grouped(accuracy(), "kind"),
        grouped(mean(), "kind", all="groups", all_label="every"),
    ]
)
def by_kind() -> Any:
    async def score(state: Any, target: Any) -> Any:
        return Score(value="C" if state.output.completion == target.text else "I", answer=state.output.completion)

    return score


@scorer(metrics=[accuracy()])
def odd_values() -> Any:
    """Every kind of value that Inspect turns into a number."""
    values = ["C", "I", "P", "N", "yes", "TRUE", "no", "False", "0.25", "1e0", True, 3, 0.1, "maybe", " 7 ", "nan"]

    async def score(state: Any, target: Any) -> Any:
        return Score(value=values[numbered(state.input_text) % len(values)])

    return score


@scorer(metrics=[mean()])
def pair() -> Any:
    async def score(state: Any, target: Any) -> Any:
        return Score(value=[1, numbered(state.input_text)])

    return score


def several(place: Path, count: int = 21, epochs: Any = None, **options: Any) -> EvalLog:
    """Match, a graded score with holes, a dictionary, groups; with epochs if given."""
    grader = scripted(lambda text: "GRADE: C" if "[Submission]: no idea" not in text else "GRADE: X", "mockllm/grader")
    scorers = [match(), shade(), parts(), by_kind(), odd_values(), model_graded_qa(model=grader)]
    task = Task(MemoryDataset(questions(count)), solver=generate(), scorer=scorers, name="several", epochs=epochs)
    return run(task, place, colour(lambda n: n % 3 != 0), **options)


def changing() -> Reply:
    """Answers a question differently each time."""
    calls: dict[int, int] = {}

    def reply(text: str) -> str:
        number = numbered(text)
        calls[number] = calls.get(number, 0) + 1
        return WORDS[number % 4] if (number + calls[number] ** 2) % 3 else "no idea"

    return reply


def by_epochs(place: Path, reducers: Any, count: int = 7, epochs: int = 4, **options: Any) -> EvalLog:
    scorers = [match(), shade(), parts(), by_kind()]
    task = Task(
        MemoryDataset(questions(count)),
        solver=generate(),
        scorer=scorers,
        name="epochs",
        epochs=Epochs(epochs, reducers),
    )
    return run(task, place, changing(), **options)


@solver
def troubled() -> Any:
    """By number: an error, and a limit of each kind."""

    async def solve(state: Any, generate: Any) -> Any:
        number = numbered(state.input_text)
        if number % 6 == 1:
            raise RuntimeError(f"thing {number} broke")
        if number % 6 == 2:
            while True:  # tokens
                state = await generate(state)
                state.messages = state.messages[:1]
        if number % 6 == 3:
            while True:  # messages
                state.messages.append(ChatMessageUser(content="Once more."))
        if number == 4:
            with time_limit(0.05):  # its own: a limit of the run would also stop others on a busy machine
                await asyncio.sleep(60)
        return await generate(state)

    return solve


@scorer(metrics=[accuracy(), stderr()])
def careful() -> Any:
    """Declines where there is no answer."""

    async def score(state: Any, target: Any) -> Any:
        if not state.output.completion:
            return None
        return Score(value="C" if state.output.completion == target.text else "I")

    return score


def troubles(place: Path, count: int = 12, **options: Any) -> EvalLog:
    """Errors and limits of messages, tokens and time."""
    task = Task(MemoryDataset(questions(count)), solver=troubled(), scorer=[careful(), match()], name="troubles")
    limits = {"message_limit": 8, "token_limit": 20}
    return run(task, place, colour(lambda n: n % 2 == 0), **{**limits, **options})


@tool
def weigh() -> Any:
    async def execute(thing: int) -> str:
        """Weigh a thing.

        Args:
            thing: Its number.
        """
        return f"{thing} weighs {thing * 10}"

    return execute


def agents(place: Path, count: int = 4) -> EvalLog:
    """An agent that calls a tool and then says what it found."""

    def answer(messages: Sequence[Any], *_: Any) -> Any:
        last = messages[-1]
        if last.role == "tool":
            return outcome(last.text.split()[-1])
        called = ModelOutput.for_tool_call("mockllm/model", "weigh", {"thing": numbered(last.text)})
        return called.model_copy(update={"usage": ModelUsage(input_tokens=1, output_tokens=1, total_tokens=2)})

    listed = [
        Sample(id=f"w{i}", input=f"How heavy is thing {i}?", target=str(i * 10 + i // 3)) for i in range(1, count + 1)
    ]
    task = Task(MemoryDataset(listed), solver=[use_tools(weigh()), generate()], scorer=includes(), name="agents")
    model = get_model("mockllm/model", custom_outputs=answer, memoize=False)
    return run(task, place, str, model=model)


def half_written(place: Path, count: int = 9) -> Path:
    """A copy of a log as it stood while the run was at its last sample."""
    place.mkdir(parents=True, exist_ok=True)
    copy = place / "half.eval"

    def reply(text: str) -> str:
        if numbered(text) == count:
            shutil.copy(next((place / "run").glob("*.eval")), copy)
        return colour(lambda n: n % 2 == 0)(text)

    task = Task(MemoryDataset(questions(count)), solver=generate(), scorer=[match(), shade()], name="half")
    run(task, place / "run", reply, max_samples=1, log_buffer=1)
    return copy
