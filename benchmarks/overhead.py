"""What the engine costs beside network and tokenizer, per request, and whether memory grows with their number."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from shapes import VOCABULARY

WORDS = 60
NAMES = [f" {a}{b}{c}" for a in "bdfgklmnprst" for b in "aeiou" for c in ("nd", "rt", "lm", "x", "sk", "pt")]
"""Invented words, one token each."""
REQUESTS = 100_000


def overhead_rows(share: float) -> list[dict[str, Any]]:
    """Two-option requests on distinct contexts of about 60 tokens, on a network of one thin layer."""
    model = thin_model()
    few, many = max(100, round(REQUESTS * share / 10)), max(200, round(REQUESTS * share))
    list(model.answer(requests(256)))
    before = _run(model, few)
    after = _run(model, many)
    row = {"peer": None, "ratio": None, "limit_share": None}
    name = f"overhead, ms a request of {WORDS} tokens, {many:,} requests"
    note = (
        f"network {after.network:.1f} s, tokenizer {after.tokenizer:.1f} s of {after.whole:.1f} s; at most .1 ms; "
        f"texts encoded a request {after.encoded / many:.2f} (context and two options: 3)"
    )
    grown = f"{before.peak >> 20} MB after {few:,} requests"
    return [
        {"name": name, "ours": 1000 * after.rest / many, "note": note, **row},
        {"name": "peak memory, MB", "ours": after.peak / 2**20, "note": grown, **row},
    ]


class Clock:
    """Seconds inside the network and inside the tokenizer."""

    def __init__(self) -> None:
        self.network = self.tokenizer = self.making = self.whole = 0.0
        self.encoded = 0
        self.peak = 0

    @property
    def rest(self) -> float:
        return self.whole - self.network - self.tokenizer - self.making

    def waiting(self, made: Iterator[Any]) -> Iterator[Any]:
        """The same requests; the time that making them takes isn't the engine's."""
        while True:
            started = time.perf_counter()
            request = next(made, None)
            self.making += time.perf_counter() - started
            if request is None:
                return
            yield request


def _run(model: Any, count: int) -> Clock:
    from trialist.models.local.forward import Forward

    clock = Clock()
    with watched(Forward, "hidden", clock, "network"), watched(Forward, "read", clock, "network"):
        encode = model.encoder.backend.encode
        proxy = _Encoder(model.encoder.backend, encode, clock)
        object.__setattr__(model.encoder, "backend", proxy)
        started = time.perf_counter()
        for reply in model.answer(clock.waiting(requests(count))):
            assert reply.value.logprobs, reply.value
        clock.whole = time.perf_counter() - started
        object.__setattr__(model.encoder, "backend", proxy.inner)
    clock.peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
    return clock


class _Encoder:
    """A tokenizer whose calls are timed."""

    def __init__(self, inner: Any, encode: Callable[..., Any], clock: Clock) -> None:
        self.inner, self._encode, self._clock = inner, encode, clock

    def encode(self, *arguments: Any, **options: Any) -> Any:
        started = time.perf_counter()
        found = self._encode(*arguments, **options)
        self._clock.tokenizer += time.perf_counter() - started
        self._clock.encoded += 1
        return found

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


@contextmanager
def watched(owner: Any, name: str, clock: Clock, kind: str) -> Iterator[None]:
    inner = getattr(owner, name)

    def timed(*arguments: Any, **options: Any) -> Any:
        started = time.perf_counter()
        found = inner(*arguments, **options)
        setattr(clock, kind, getattr(clock, kind) + time.perf_counter() - started)
        return found

    setattr(owner, name, timed)
    try:
        yield
    finally:
        setattr(owner, name, inner)


def requests(count: int) -> Iterator[Any]:
    from trialist.models.protocol import Choose, Keyed

    draw = np.random.default_rng(0)
    for i in range(count):
        words = "".join([NAMES[k] for k in draw.integers(0, len(NAMES), WORDS).tolist()])
        yield Keyed(str(i), i, Choose(words, (NAMES[i % 100], NAMES[i % 99] + NAMES[7])))


def thin_model() -> Any:
    import torch
    import transformers

    from trialist.models.local.model import LocalModel
    from trialist.models.local.text import make_encoder

    config = transformers.LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=16, num_hidden_layers=1, num_attention_heads=1, intermediate_size=16
    )
    torch.manual_seed(0)
    network = transformers.AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
    tokenizer = byte_tokenizer()
    encoder = make_encoder(tokenizer, VOCABULARY)
    return LocalModel(network, tokenizer, "float32", {"tokenizer.json": b""}, encoder, 2048)


def word_tokenizer(vocabulary: int) -> Any:
    """One token a word: w0, w1, ..."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = {f"w{k}": k + 3 for k in range(vocabulary - 3)}
    backend = Tokenizer(models.WordLevel({"<s>": 0, "</s>": 1, "<unk>": 2, **words}, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<s>", eos_token="</s>", unk_token="<unk>")


def byte_tokenizer() -> Any:
    """Byte-level pieces with the split pattern of GPT-2, as most models have; each of ``NAMES`` is one token."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=2000, initial_alphabet=alphabet, show_progress=False)
    backend.train_from_iterator(["".join(NAMES)] * 4, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=backend)
