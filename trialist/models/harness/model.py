"""``TrialistLM``: a local model as lm-evaluation-harness knows one.

Log-likelihoods are those of the harness's Hugging Face model to float tolerance, and texts under greedy decoding are
its texts: tokens, boundary, begin token and cutting are the same (see ``tokens``), and the engine gets these tokens.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from trialist.errors import ModelError
from trialist.models.harness import _outside
from trialist.models.harness.chat import apply_template, template
from trialist.models.harness.generation import MAX_TOKENS, Options, final_text, new_tokens, read_options
from trialist.models.harness.settings import logger, read_settings
from trialist.models.harness.tokens import Pair, Tokens
from trialist.models.local import LocalModel
from trialist.models.local.drafts import Draft
from trialist.models.local.scoring import Scored
from trialist.records import seed_of

DEFAULT_LENGTH = 2048
"""The context of a model that names none, as the harness takes it."""

NO_LIMIT = 10**18
"""Tokenizers say so where they have none."""

AT_ONCE = 4096
"""How many requests go to the engine together. After each such group the harness's cache holds its answers."""

T = TypeVar("T")


class TrialistLM(_outside.LM):
    """A folder with a causal language model, for tasks of lm-evaluation-harness.

    ``pretrained`` is the folder; ``settings`` are ``dtype`` (float32, bfloat16, float16, auto; default float32),
    ``device``, ``max_length``, ``add_bos_token``, ``prefix_token_id``. ``batch_size`` is ignored: batches are packed
    automatically.

    Raises:
        ModelError: an unknown setting, or a folder that can't be loaded.
    """

    def __init__(self, pretrained: str | Path, **settings: Any) -> None:
        super().__init__()  # pyright: ignore[reportUnknownMemberType]
        self.settings = read_settings(pretrained, settings)
        folder, add_bos = self.settings.pretrained, self.settings.add_bos_token
        self.model = LocalModel.load(folder, dtype=self.settings.dtype, device=self.settings.device)
        self.tokenizer: Any = _outside.read_tokenizer(folder, add_bos=add_bos)
        self._tokens = Tokens.of(self.tokenizer, prefix=self.settings.prefix_token_id, add_bos=add_bos)
        self.max_length = _max_length(self.settings.max_length, self.model.max_length, self.tokenizer)

    @property
    def eot_token_id(self) -> int | None:
        return self.tokenizer.eos_token_id

    @property
    def prefix_token_id(self) -> int | None:
        return self._tokens.prefix

    @property
    def max_gen_toks(self) -> int:
        return MAX_TOKENS

    @property
    def tokenizer_name(self) -> str:
        return str(self.tokenizer.name_or_path).replace("/", "__")

    def chat_template(self, chat_template: bool | str = False) -> str | None:
        """The folder's template, for the harness's log and caches."""
        return template(self.tokenizer, chat_template)

    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        """The conversation as one prompt. Without ``add_generation_prompt`` its last message is left open."""
        return apply_template(self.tokenizer, chat_history, add_generation_prompt)

    def get_model_info(self) -> dict[str, Any]:
        """What the results file says about the model."""
        return {"model_digest": self.model.digest, "model_dtype": self.model.dtype}

    def loglikelihood(
        self, requests: Sequence[_outside.Instance], disable_tqdm: bool = False
    ) -> list[tuple[float, bool]]:
        """log P(continuation | context), natural log, and whether greedy decoding gives the continuation."""
        found: list[tuple[float, bool]] = []
        bar = _outside.bar(len(requests), "Running loglikelihood requests", silent=disable_tqdm)
        for group in _groups([request.args for request in requests]):
            scored = self._score(self._tokens.pairs(group), partial(_show, bar, len(found), len(group)))
            for asked, value in zip(group, scored, strict=True):
                answer = (value.logprob, value.greedy)
                self.cache_hook.add_partial("loglikelihood", asked, answer)
                found.append(answer)
        bar.close()
        return found

    def loglikelihood_rolling(self, requests: Sequence[_outside.Instance], disable_tqdm: bool = False) -> list[float]:
        """log P(text), natural log: the sum over windows that predict each token once. 0 for an empty text."""
        found: list[float] = []
        bar = _outside.bar(len(requests), "Running loglikelihood_rolling requests", silent=disable_tqdm)
        for group in _groups([str(request.args[0]) for request in requests]):
            windows = self._windows(group)
            pairs = [pair for text in group for pair in windows[text]]
            scored = iter(self._score(pairs, partial(_show, bar, len(found), len(group))))
            for text in group:
                total = math.fsum(next(scored).logprob for _ in windows[text])
                self.cache_hook.add_partial("loglikelihood_rolling", (text,), total)
                found.append(total)
        bar.close()
        return found

    def generate_until(self, requests: Sequence[_outside.Instance], disable_tqdm: bool = False) -> list[str]:
        """The continuation of each context, cut before the first stop string. Sampling depends on the harness's seed
        for torch and on the place of the request.

        Raises:
            ModelError: a generation argument that the engine doesn't have, or one that leaves no room for a prompt.
        """
        found: list[str] = []
        bar = _outside.bar(len(requests), "Running generate_until requests", silent=disable_tqdm)
        end = None if self.eot_token_id is None else str(self.tokenizer.decode(self.eot_token_id))
        for group in _groups([request.args for request in requests]):
            options = [read_options(given, end) for _, given in group]
            drafts = self._drafts([context for context, _ in group], options, len(found))
            progress = partial(_show, bar, len(found), len(group))
            generated = new_tokens(self.model, drafts, self.tokenizer.decode, progress)
            for asked, option, ids in zip(group, options, generated, strict=True):
                text = final_text(self._text(ids), option.stop)
                self.cache_hook.add_partial("generate_until", asked, text)
                found.append(text)
        bar.close()
        return found

    def _score(self, pairs: Sequence[Pair], progress: Callable[[int, int], None]) -> list[Scored]:
        length = self.max_length
        too_long = next((pair for pair in pairs if len(pair.targets) > length), None)
        if too_long is not None:
            seen, allowed = f"{len(too_long.targets)} tokens", f"{length} tokens, the context"
            raise ModelError("a continuation longer than the context", seen=seen, allowed=allowed)
        _say_cut(sum(pair.is_cut(length) for pair in pairs), len(pairs), f"{length} tokens")
        scored = self.model.score([pair.continuation(length) for pair in pairs], progress)
        if not all(math.isfinite(value.logprob) for value in scored):
            step = "use dtype=float32, or check the weights"
            raise ModelError("the model gives log-probabilities that are not finite", next_step=step)
        return scored

    def _windows(self, texts: Sequence[str]) -> dict[str, list[Pair]]:
        prefix = self._tokens.needed_prefix()
        known = self._tokens.encode(texts)
        return {
            text: [Pair(*window) for window in _outside.rolling_windows(ids, prefix, self.max_length)]
            for text, ids in known.items()
        }

    def _drafts(self, contexts: Sequence[str], options: Sequence[Options], start: int) -> list[Draft]:
        """What is longer than ``max_length`` with its continuation loses tokens on the left, the begin token first."""
        known = self._tokens.encode_prompts(contexts)
        seed, length = _outside.global_seed(), self.max_length
        drafts: list[Draft] = []
        for i, (context, option) in enumerate(zip(contexts, options, strict=True), start):
            room = length - option.max_tokens
            if room < 1:
                seen, allowed = f"max_gen_toks leaves {room} tokens of {length}", "at least one for the prompt"
                raise ModelError("no room for a prompt", seen=seen, allowed=allowed, next_step="lower max_gen_toks")
            ids = tuple(known[context][-room:]) or (self._tokens.needed_prefix(),)
            drafts.append(Draft(ids, option.max_tokens, option.stop, option.temperature, seed=seed_of(seed, i)))
        cut = sum(len(known[c]) > length - o.max_tokens for c, o in zip(contexts, options, strict=True))
        _say_cut(cut, len(drafts), f"{length} tokens with what is to be generated")
        return drafts

    def _text(self, ids: Sequence[int]) -> str:
        """Generated tokens as the harness decodes them: alone, without special tokens."""
        return str(self.tokenizer.decode(list(ids), skip_special_tokens=True))


def _max_length(asked: int | None, own: int | None, tokenizer: Any) -> int:
    if own is None:
        named = int(tokenizer.model_max_length)
        return asked or (named if named < NO_LIMIT else DEFAULT_LENGTH)
    if asked is not None and asked > own:
        raise ModelError("max_length is longer than the model's context", seen=str(asked), allowed=f"1 to {own}")
    return asked or own


def _groups(asked: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(asked), AT_ONCE):
        yield asked[start : start + AT_ONCE]


def _show(bar: _outside.Bar, start: int, count: int, done: int, total: int) -> None:
    """The bar counts requests; the engine may count something else."""
    bar.update(start + count * done // max(total, 1) - bar.n)


def _say_cut(num_cut: int, num: int, length: str) -> None:
    if num_cut:
        logger.warning("%d of %d requests are longer than %s and lose their beginning", num_cut, num, length)
