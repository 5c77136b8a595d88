"""Conversations -> prompts, with the tokenizer's chat template."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from trialist.errors import ModelError
from trialist.models.harness.settings import logger

Message = dict[str, str]


def template(tokenizer: Any, asked: bool | str) -> str | None:
    """The template's text; None where none is wanted.

    Raises:
        ModelError: the tokenizer has no template, or one is asked for by its name.
    """
    if asked is False:
        return None
    if isinstance(asked, str):
        # The harness never says a name when a conversation is to be written: it would be logged and not used.
        step = "--apply_chat_template without a name"
        raise ModelError("chat templates can't be chosen by name", seen=asked, allowed="the default", next_step=step)
    return str(_with_template(tokenizer).get_chat_template())


def apply_template(tokenizer: Any, history: Sequence[Message], add_generation_prompt: bool) -> str:
    """The conversation as text. A template that refuses a system message gets the conversation without it, as in the
    harness's own model, and the log says so."""
    from jinja2 import TemplateError

    options = {"add_generation_prompt": add_generation_prompt, "continue_final_message": not add_generation_prompt}
    write = _with_template(tokenizer).apply_chat_template
    try:
        return write(list(history), tokenize=False, **options)
    except TemplateError as error:
        rest = [message for message in history if message["role"] != "system"]
        if len(rest) == len(history):
            raise
        logger.warning("the chat template refuses the system message, which is left out: %s", error)
        return write(rest, tokenize=False, **options)


def _with_template(tokenizer: Any) -> Any:
    if tokenizer.chat_template is None:
        seen, step = "no chat_template in the tokenizer's files", "run without --apply_chat_template"
        raise ModelError("the model has no chat template", seen=seen, next_step=step)
    return tokenizer
