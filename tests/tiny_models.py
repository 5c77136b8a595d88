"""Tiny random models for tests: a byte-level tokenizer and networks of a few thousand weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from trialist.interventions.protocol import Context, Progress

MERGES = (("t", "h"), ("th", "e"), ("Ġ", "the"), ("i", "s"), ("Ġ", "is"), ("a", "n"), ("a", "b"), ("Ġ", "b"))
"""A few merges, so that tokens straddle boundaries and one text has tokens of several lengths."""

SIZES: dict[str, Any] = {"vocab_size": 272, "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4}
LENGTH = {"max_position_embeddings": 128}
ENDS = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2}
GATED = {**SIZES, **LENGTH, **ENDS, "intermediate_size": 48, "num_key_value_heads": 2}
GPT2 = {"vocab_size": 272, "n_embd": 32, "n_layer": 3, "n_head": 4, "n_positions": 128, **ENDS}
OPT = {"ffn_dim": 48, "word_embed_proj_dim": 32}

OSS = ["sliding_attention", "full_attention", "sliding_attention"]

CONFIGS: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("LlamaConfig", GATED),
    "gpt2": ("GPT2Config", GPT2),
    "gpt_neox": ("GPTNeoXConfig", {**SIZES, **LENGTH, **ENDS, "intermediate_size": 48}),
    "opt": ("OPTConfig", {**SIZES, **LENGTH, **ENDS, **OPT}),
    "gemma2": ("Gemma2Config", {**GATED, "head_dim": 8, "sliding_window": 8, "query_pre_attn_scalar": 8}),
    "qwen2": ("Qwen2Config", GATED),
    "mistral": ("MistralConfig", {**GATED, "sliding_window": 8}),
    "gemma3": ("Gemma3TextConfig", {**GATED, "head_dim": 8, "sliding_window": 8, "query_pre_attn_scalar": 8}),
    "qwen3": ("Qwen3Config", {**GATED, "head_dim": 8}),
    "mixtral": ("MixtralConfig", {**GATED, "num_local_experts": 4, "sliding_window": None}),
    "olmo2": ("Olmo2Config", GATED),
    "gpt_oss": (
        "GptOssConfig",
        {**GATED, "head_dim": 8, "sliding_window": 8, "num_local_experts": 4, "layer_types": OSS},
    ),
}
"""Architecture -> (configuration class, fields). The windows are shorter than the test's texts."""


def byte_tokenizer(*, adds_bos: bool = False) -> Any:
    """Byte-level BPE: every text has tokens and comes back unchanged. Special tokens <s>, </s>, <pad>."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    vocab = {"<s>": 0, "</s>": 1, "<pad>": 2}
    for symbol in [*sorted(pre_tokenizers.ByteLevel.alphabet()), *("".join(merge) for merge in MERGES)]:
        vocab[symbol] = len(vocab)
    backend = Tokenizer(models.BPE(vocab=vocab, merges=list(MERGES)))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens(["<s>", "</s>", "<pad>"])
    if adds_bos:
        backend.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    special = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"}
    return PreTrainedTokenizerFast(tokenizer_object=backend, **special)


def network(kind: str = "llama", *, seed: int = 0, scale: float = 0.35, **fields: Any) -> Any:
    """A random network; ``scale`` spreads its weights, so that logits differ clearly."""
    import torch
    import transformers

    name, defaults = CONFIGS[kind]
    config = getattr(transformers, name)(**{**defaults, **fields})
    made = transformers.AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in made.parameters():
            if parameter.ndim > 1:
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * scale)
    return made


def context(seed: int = 0, progress: Progress = lambda done, total: None) -> Context:
    """What an edit or attack gets: seeded randomness, and nobody watching."""
    return Context(np.random.default_rng(seed), progress)


def write_model(folder: Path, kind: str = "llama", *, adds_bos: bool = False, seed: int = 0, **fields: Any) -> Path:
    """A Hugging Face folder of a tiny model."""
    network(kind, seed=seed, **fields).save_pretrained(folder)
    byte_tokenizer(adds_bos=adds_bos).save_pretrained(folder)
    return folder
