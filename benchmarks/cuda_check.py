"""Does the engine give the same numbers on this GPU? Tiny random networks, the engine's FlexAttention against the twin.

    python benchmarks/cuda_check.py [--device cuda] [llama gemma2 ...]

For each architecture and dtype: the largest difference in log-probability between the engine and the plain twin in fp32
with the same weights, over packs with and without a trunk and over texts that the engine generates. In bf16 the limit
is twice what the twin itself loses in bf16. Exit code 1 where a difference is beyond its limit. It needs no GPU:
elsewhere the same functions run without a compiler.
"""

from __future__ import annotations

import argparse
import copy
import math
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import transformers

from trialist.models.local import _hub
from trialist.models.local.drafts import Draft
from trialist.models.local.engine import Engine
from trialist.models.local.flex import flex_meta
from trialist.models.local.generation import generate
from trialist.models.local.schedule import Sizes
from trialist.models.local.scoring import score
from trialist.models.local.text import Continuation
from trialist.models.protocol import Reply

WINDOW = 48
COMMON: dict[str, Any] = {
    "vocab_size": 512, "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
    "head_dim": 16, "intermediate_size": 96, "max_position_embeddings": 1024, "bos_token_id": 0, "eos_token_id": 1,
    "pad_token_id": 2,
}  # fmt: skip
GEMMA = {"sliding_window": WINDOW, "query_pre_attn_scalar": 16}
OSS = {
    "sliding_window": WINDOW,
    "layer_types": ["sliding_attention", "full_attention"],
    "num_local_experts": 2,  # both are used: a choice between them would flip with the last bit
    "num_experts_per_tok": 2,
    "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
}
ARCHITECTURES: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("LlamaConfig", {}),
    "qwen2": ("Qwen2Config", {}),
    "qwen3": ("Qwen3Config", {}),
    "mistral": ("MistralConfig", {"sliding_window": WINDOW}),
    "gemma2": ("Gemma2Config", GEMMA),
    "gemma3": ("Gemma3TextConfig", GEMMA),
    "gpt_oss": ("GptOssConfig", OSS),
}
ONE_PACK = Sizes(1 << 20, min_pairs=1 << 40)
TRUNKS = Sizes(300, min_trunk=32, min_pairs=1, block=100)
EXACT = 2e-5
"""Relative: two orders of summing in fp32."""


def make_network(kind: str, seed: int = 0) -> Any:
    """A random network in fp32 whose weights are numbers of bf16."""
    name, fields = ARCHITECTURES[kind]
    config = getattr(transformers, name)(**{**COMMON, **fields})
    network = transformers.AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim > 1:
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.15)
            parameter.copy_(parameter.bfloat16())
    return network


def texts(seed: int = 0) -> list[Continuation]:
    """A header, questions below it, answers below these: some 700 tokens as a tree."""
    draw = np.random.default_rng(seed)
    header, found = draw.integers(3, 512, 150).tolist(), list[Continuation]()
    for question in range(6):
        context = [*header, *draw.integers(3, 512, 20 + 7 * question).tolist()]
        for answer in range(3):
            targets = draw.integers(3, 512, 5 + 9 * answer).tolist()
            found.append(Continuation((*context, *targets[:-1]), len(context) - 1, tuple(targets)))
    return found


def by_engine(network: Any, asked: Sequence[Continuation]) -> tuple[list[Continuation], list[float]]:
    """The texts twice, in one pack and below trunks, and what the engine adds to some: all with its log-probability."""
    values: list[float] = []
    for sizes in (ONE_PACK, TRUNKS):
        engine = Engine(network, sizes, 1 << 30, make=flex_meta)
        results = list(engine.passes(asked))[-1]
        values += [results.scored(k).logprob for k in range(len(asked))]
    contexts = [continuation.row for continuation in asked[::3]]
    added = dict[int, Continuation]()
    for index, reply in generate(engine, [Draft(c, max_tokens=8) for c in contexts], frozenset(), lambda ids: ""):
        assert isinstance(reply, Reply), reply
        sample = reply.samples[0]
        row = (*contexts[index], *sample.tokens[:-1])
        added[index] = Continuation(row, len(contexts[index]) - 1, sample.tokens)
        values.append(math.fsum(sample.logprobs))
    return [*asked, *asked, *added.values()], values


def compare(network: Any, dtype: str) -> tuple[float, float]:
    """The largest difference, and what it may be."""
    same = copy.deepcopy(network).to(_hub.DTYPES[dtype])
    asked, found = by_engine(same, texts())
    wanted, rounded = (np.array([s.logprob for s in score(net, asked, 4096)]) for net in (network, same))
    noise = float(np.abs(rounded - wanted).max())
    limit = max(EXACT * max(1.0, float(np.abs(wanted).max())), 2 * noise)
    return float(np.abs(np.array(found) - wanted).max()), limit


def main(given: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("architectures", nargs="*", default=list(ARCHITECTURES), metavar="architecture")
    arguments = parser.parse_args(given)
    beyond = 0
    print(f"torch {torch.__version__}, transformers {transformers.__version__}, {arguments.device}")
    for kind in arguments.architectures:
        network = make_network(kind).to(arguments.device)
        for dtype in ("float32", "bfloat16"):
            worst, limit = compare(network, dtype)
            same = worst <= limit  # NaN is not
            beyond += not same
            print(f"{kind:<10} {dtype:<9} {worst:.2g} of {limit:.2g}: {'as the twin' if same else 'DIFFERS'}")
    return 1 if beyond else 0


if __name__ == "__main__":
    sys.exit(main())
