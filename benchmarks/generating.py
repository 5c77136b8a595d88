"""Eight samples for each of 64 prompts, against transformers' ``generate`` with the same settings."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch
import transformers

from trialist.models.local.backend import make_backend
from trialist.models.local.drafts import Draft

PROMPTS, SAMPLES, PROMPT_TOKENS, HEADER_TOKENS, NEW_TOKENS = 64, 8, 128, 0, 32
REPEATS = 3


def generation_rows(network: Any, share: float) -> list[dict[str, Any]]:
    """Temperature 1, no end token, so that both sides make the same number of tokens; best of several, in turn."""
    prompts = max(2, round(PROMPTS * share))
    draw = np.random.default_rng(0)
    contexts = draw.integers(3, network.config.vocab_size, (prompts, PROMPT_TOKENS))
    ours, peer = list[float](), list[float]()
    backend = make_backend(network)
    twin = type(network)._from_config(network.config, attn_implementation="sdpa", dtype=network.dtype).eval()
    twin = twin.to(network.device)
    twin.load_state_dict(network.state_dict(), assign=True)
    for _ in range(REPEATS):
        ours.append(_ours(backend, contexts))
        peer.append(_theirs(twin, contexts))
    name = f"generation: {SAMPLES} samples x {prompts} prompts of {PROMPT_TOKENS}"
    note = f"{NEW_TOKENS} tokens each; {prompts * SAMPLES * NEW_TOKENS / min(ours):,.0f} tokens/s; at least 3x"
    ratio = min(peer) / min(ours)
    return [{"name": name, "ours": min(ours), "peer": min(peer), "ratio": ratio, "limit_share": None, "note": note}]


def _ours(backend: Any, contexts: np.ndarray) -> float:
    drafts = [Draft(tuple(row.tolist()), NEW_TOKENS, (), 1.0, SAMPLES, seed) for seed, row in enumerate(contexts)]
    if backend.engine is not None:
        backend.engine.store.clear()
    started = time.perf_counter()
    replies = list(backend.generate(drafts, frozenset(), lambda ids: ""))
    seconds = time.perf_counter() - started
    assert all(len(sample.tokens) == NEW_TOKENS for _, reply in replies for sample in reply.samples)
    return seconds


def _theirs(network: Any, contexts: np.ndarray) -> float:
    ids = torch.from_numpy(contexts).to(network.device)
    settings = transformers.GenerationConfig(
        do_sample=True,
        temperature=1.0,
        top_k=0,
        top_p=1.0,
        num_return_sequences=SAMPLES,
        max_new_tokens=NEW_TOKENS,
        min_new_tokens=NEW_TOKENS,
        pad_token_id=0,
        output_scores=False,
    )
    torch.manual_seed(0)
    started = time.perf_counter()
    found = network.generate(ids, attention_mask=torch.ones_like(ids), generation_config=settings)
    seconds = time.perf_counter() - started
    assert found.shape == (len(contexts) * SAMPLES, PROMPT_TOKENS + NEW_TOKENS)
    return seconds
