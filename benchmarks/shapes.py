"""Random models and workloads of the scoring benchmark, and the operations that nobody can avoid on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import transformers

from trialist.models.local.text import Continuation
from trialist.models.local.tree import make_tree

VOCABULARY = 8000


@dataclass(frozen=True)
class Workload:
    """``items`` questions after a common header, each with ``options`` continuations; lengths in tokens."""

    name: str
    items: int
    header: int
    question: int
    option: int
    options: int
    at_least: float

    def continuations(self, vocabulary: int) -> list[Continuation]:
        draw = np.random.default_rng(0)
        header = draw.integers(0, vocabulary, self.header).tolist()
        made: list[Continuation] = []
        for _ in range(self.items):
            context = [*header, *draw.integers(0, vocabulary, self.question).tolist()]
            for _ in range(self.options):
                targets = tuple(draw.integers(0, vocabulary, self.option).tolist())
                made.append(Continuation((*context, *targets[:-1]), len(context) - 1, targets))
        return made


WORKLOADS = (
    Workload("ten-shot, 4 multi-token choices (HellaSwag-like)", 40, 900, 60, 20, 4, 20),
    Workload("five-shot letters (MMLU-like)", 100, 500, 90, 1, 4, 5.5),
    Workload("zero-shot, 3 short choices (BBQ-like)", 96, 1, 60, 4, 3, 2.7),
    Workload("six-shot, 8 choices (TruthfulQA MC-like)", 40, 200, 20, 12, 8, 12),
)
"""``at_least``: how many times faster than the peer each must be."""

SIZES: dict[str, dict[str, int]] = {
    "tiny": {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128},
    "34m": {"hidden_size": 512, "num_hidden_layers": 8, "num_attention_heads": 8, "intermediate_size": 1408},
    "1b": {"hidden_size": 2048, "num_hidden_layers": 16, "num_attention_heads": 32, "intermediate_size": 8192},
    "8b": {"hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32, "intermediate_size": 14336},
}


def random_network(size: str, *, device: str, dtype: torch.dtype, vocabulary: int = VOCABULARY) -> Any:
    """A Llama-shaped network with random weights; key heads are a quarter of the heads from a billion parameters on."""
    shape = SIZES[size]
    key_heads = shape["num_attention_heads"] // (4 if shape["hidden_size"] > 1024 else 1)
    config = transformers.LlamaConfig(
        vocab_size=vocabulary, num_key_value_heads=key_heads, max_position_embeddings=4096, **shape
    )
    torch.manual_seed(0)
    with torch.device(device):
        made = transformers.AutoModelForCausalLM.from_config(config, dtype=dtype, attn_implementation="eager")
    return made.eval()


def operations(network: Any, continuations: Sequence[Continuation]) -> float:
    """Floating-point operations of a perfect run: each token of the tree once through all weights but the embeddings,
    its attention to its ancestors, and the logits that are read, each position once.

        2 x tokens x weights  +  4 x pairs x layers x heads x head width  +  2 x positions x width x vocabulary
    """
    config = network.config.get_text_config()
    tree = make_tree(c.row for c in continuations)
    outside = {id(network.get_input_embeddings().weight), id(network.get_output_embeddings().weight)}
    weights = sum(p.numel() for p in network.parameters() if id(p) not in outside)
    lengths, shared = tree.lengths, tree.shared
    pairs = int(((lengths * (lengths + 1) - shared * (shared + 1)) // 2).sum())
    heads = config.num_attention_heads * (
        getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    )
    positions = len({c.row[: c.first + 1 + k] for c in continuations for k in range(len(c.targets))})
    head = 2.0 * positions * config.hidden_size * config.vocab_size
    return 2.0 * tree.num_tokens * weights + 4.0 * pairs * config.num_hidden_layers * heads + head
