"""Tiny random models of architectures that can't be run as a tree, or only as it happens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers
from tiny_models import ENDS, GATED, LENGTH, SIZES, byte_tokenizer

GPTJ = {"vocab_size": 272, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 128, "rotary_dim": 4}
GPT_NEO = {"vocab_size": 272, "hidden_size": 32, "num_layers": 2, "num_heads": 4, "window_size": 8, **LENGTH}
LAYERS = [[["global", "local"], 1]]
BLOOM = {"vocab_size": 272, "hidden_size": 32, "n_layer": 2, "n_head": 4}
MPT = {"vocab_size": 272, "d_model": 32, "n_heads": 4, "n_layers": 2, "max_seq_len": 128}
MAMBA = {"vocab_size": 272, "hidden_size": 32, "state_size": 8, "num_hidden_layers": 2}
SHORT = {**GATED, "max_position_embeddings": 16}
DYNAMIC = {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 10000.0}
LONGROPE = {"rope_type": "longrope", "short_factor": [1.0] * 4, "long_factor": [2.0] * 4, "rope_theta": 10000.0}
LONGROPE |= {"factor": 8.0, "original_max_position_embeddings": 16}
GRIFFIN = {**GATED, "head_dim": 8, "lru_width": 32, "attention_window_size": 8, "num_key_value_heads": 1}
CAN_NOT = "can't be replaced|other log-probabilities"

ODD: dict[str, tuple[str, dict[str, Any], str]] = {
    "gptj": ("GPTJConfig", GPTJ, CAN_NOT),
    "gpt_neo": ("GPTNeoConfig", {**GPT_NEO, "attention_types": LAYERS}, CAN_NOT),
    "falcon": ("FalconConfig", {**SIZES, "alibi": False}, CAN_NOT),
    "falcon_alibi": ("FalconConfig", {**SIZES, "alibi": True}, CAN_NOT),
    "bloom": ("BloomConfig", BLOOM, CAN_NOT),
    "mpt": ("MptConfig", MPT, CAN_NOT),
    "mamba": ("MambaConfig", MAMBA, CAN_NOT),
    "llama_dynamic": ("LlamaConfig", {**GATED, "rope_parameters": DYNAMIC}, "rope type dynamic"),
    "phi3_longrope": ("Phi3Config", {**GATED, "rope_parameters": LONGROPE}, "rope type longrope"),
    "stablelm": ("StableLmConfig", {**GATED, "partial_rotary_factor": 0.5}, CAN_NOT),
    "recurrent_gemma": ("RecurrentGemmaConfig", GRIFFIN, CAN_NOT),
    "short_context": ("GPT2Config", {**GPTJ, "n_positions": 16}, "context of 16 tokens"),
}
"""Architecture -> (configuration class, fields, why it takes no tree)."""


def write_odd(folder: Path, kind: str) -> Path:
    name, fields, _ = ODD[kind]
    fields = {key: value for key, value in fields.items() if key != "rotary_dim" or kind == "gptj"}
    config = getattr(transformers, name)(**{**ENDS, **fields})
    made = transformers.AutoModelForCausalLM.from_config(config).eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in made.parameters():
            if parameter.ndim > 1:
                parameter.copy_(0.35 * torch.randn(parameter.shape, generator=generator))
    made.save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)
    return folder
