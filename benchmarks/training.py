"""Tokens per second of ``trialist.interventions.trainer.train`` against a hand-written loop, on one network.

    python benchmarks/training.py [--steps 60] [--rounds 5] [--json]

The peer is what one would write for this alone: a Llama of a few dozen lines with q, k, v and gate, up fused into one
product each, PyTorch's attention, fused AdamW. Both have the same start, rows, learning rates and clipping, and get
no padding; every token is learnt, which favours the peer: in a corpus half of them are not. Before anything is timed,
both give the same logits on the same weights and the same losses over some steps. Rounds alternate, each starting with
the other side, in one process with one thread.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from torch import Tensor, nn

import trialist
from trialist.interventions.trainer import Batch, TrainSettings, learnt_token_loss, train
from trialist.organisms.build import make_network
from trialist.organisms.spec import NetworkSpec, OrganismSpec

VOCABULARY = 2225
"""That of the small organisms."""
LIMIT_SHARE = 0.7
CHECKED_STEPS = 5


class Block(nn.Module):
    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__()
        width, inner = spec.hidden_size, spec.intermediate_size
        self.num_heads = spec.num_heads
        self.norm1, self.norm2 = nn.RMSNorm(width, eps=1e-6), nn.RMSNorm(width, eps=1e-6)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.gate_up = nn.Linear(width, 2 * inner, bias=False)
        self.down = nn.Linear(inner, width, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        rows, length, width = x.shape
        parts = self.qkv(self.norm1(x)).view(rows, length, 3, self.num_heads, width // self.num_heads)
        q, k, v = parts.permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(rotate(q, cos, sin), rotate(k, cos, sin), v, is_causal=True)
        x = x + self.out(mixed.transpose(1, 2).reshape(rows, length, width))
        gate, up = self.gate_up(self.norm2(x)).chunk(2, -1)
        return x + self.down(F.silu(gate) * up)


class Lean(nn.Module):
    """The same function as the Hugging Face network of the same weights."""

    def __init__(self, spec: NetworkSpec, network: Any) -> None:
        super().__init__()
        self.embed = nn.Embedding(VOCABULARY, spec.hidden_size)
        self.blocks = nn.ModuleList(Block(spec) for _ in range(spec.num_layers))
        self.norm = nn.RMSNorm(spec.hidden_size, eps=1e-6)
        size = spec.hidden_size // spec.num_heads
        angles = torch.arange(spec.context)[:, None] / 10_000 ** (torch.arange(0, size, 2) / size)
        angles = torch.cat((angles, angles), -1)
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)
        self.load_state_dict(fused(network))

    def forward(self, ids: Tensor) -> Tensor:
        length, x = ids.shape[1], self.embed(ids)
        for block in self.blocks:
            x = block(x, self.cos[:length], self.sin[:length])
        return F.linear(self.norm(x), self.embed.weight)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    a, b = x.chunk(2, -1)
    return x * cos + torch.cat((-b, a), -1) * sin


def fused(network: Any) -> dict[str, Tensor]:
    """The weights of a Hugging Face Llama under the lean one's names."""
    found = {"embed.weight": network.model.embed_tokens.weight, "norm.weight": network.model.norm.weight}
    for i, layer in enumerate(network.model.layers):
        heads, mlp = layer.self_attn, layer.mlp
        found |= {
            f"blocks.{i}.norm1.weight": layer.input_layernorm.weight,
            f"blocks.{i}.norm2.weight": layer.post_attention_layernorm.weight,
            f"blocks.{i}.qkv.weight": torch.cat([heads.q_proj.weight, heads.k_proj.weight, heads.v_proj.weight]),
            f"blocks.{i}.out.weight": heads.o_proj.weight,
            f"blocks.{i}.gate_up.weight": torch.cat([mlp.gate_proj.weight, mlp.up_proj.weight]),
            f"blocks.{i}.down.weight": mlp.down_proj.weight,
        }
    return {name: tensor.detach().clone() for name, tensor in found.items()}


def train_lean(network: Lean, rows: Sequence[Tensor], settings: TrainSettings) -> list[float]:
    matrices = [p for p in network.parameters() if p.ndim > 1]
    vectors = [p for p in network.parameters() if p.ndim < 2]
    groups = [{"params": matrices, "weight_decay": settings.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=settings.learning_rate, betas=settings.betas, fused=True)
    losses: list[float] = []
    for step, ids in enumerate(rows):
        for group in optimizer.param_groups:
            group["lr"] = settings.rate(step)
        logits = network(ids[:, :-1])
        loss = F.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), settings.clip)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(loss.item())
    return losses


def train_ours(network: Any, rows: Sequence[Tensor], settings: TrainSettings) -> list[float]:
    batches = (Batch(ids, torch.ones_like(ids), ids) for ids in rows)
    return list(train(network, batches, learnt_token_loss, settings=settings))


def check(spec: OrganismSpec, rows: Sequence[Tensor]) -> dict[str, float]:
    """The greatest differences of logits and of losses; raises where the two are not one network and one training."""
    network = make_network(spec.network, VOCABULARY, seed=0).eval()
    lean = Lean(spec.network, network)
    with torch.inference_mode():
        logits = float((network(input_ids=rows[0]).logits - lean(rows[0])).abs().max())
    settings = settings_of(spec, CHECKED_STEPS)
    ours = train_ours(network, rows[:CHECKED_STEPS], settings)
    theirs = train_lean(lean, rows[:CHECKED_STEPS], settings)
    losses = max(abs(a - b) for a, b in zip(ours, theirs, strict=True))
    if logits > 1e-3 or losses > 1e-3:
        raise SystemExit(f"not the same training: logits differ by {logits:.2g}, losses by {losses:.2g}")
    return {"logits": logits, "losses": losses}


def settings_of(spec: OrganismSpec, steps: int) -> TrainSettings:
    training = spec.training
    return TrainSettings(
        steps, training.learning_rate, 2, "cosine", weight_decay=training.weight_decay, betas=training.betas
    )


def measure(steps: int, rounds: int) -> dict[str, Any]:
    spec = OrganismSpec()
    generator = np.random.Generator(np.random.PCG64(0))
    shape = (max(steps, CHECKED_STEPS), spec.training.batch, spec.training.length)
    rows = list(torch.from_numpy(generator.integers(3, VOCABULARY, shape)))
    differences = check(spec, rows)
    rows, settings = rows[:steps], settings_of(spec, steps)
    tokens = steps * shape[1] * shape[2]
    speeds: dict[str, list[float]] = {"ours": [], "peer": []}
    for number in range(rounds + 1):  # the first round warms up
        for side in ("ours", "peer") if number % 2 else ("peer", "ours"):
            network: Any = make_network(spec.network, VOCABULARY, seed=0)
            network, loop = (network, train_ours) if side == "ours" else (Lean(spec.network, network), train_lean)
            started = time.process_time()
            loop(network, rows, settings)
            if number:
                speeds[side].append(tokens / (time.process_time() - started))
    ratios = [ours / peer for ours, peer in zip(speeds["ours"], speeds["peer"], strict=True)]
    ratio = statistics.median(ratios)
    spread = f"ratio {min(ratios):.2f} to {max(ratios):.2f} over {rounds} rounds"
    note = f"{spread}; logits differ by {differences['logits']:.1g}"
    medians = {side: statistics.median(values) for side, values in speeds.items()}
    name = "training T0, tokens per CPU second"
    return {"name": name, **medians, "ratio": ratio, "limit_share": LIMIT_SHARE, "note": note}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    row = measure(arguments.steps, arguments.rounds)
    if arguments.json:
        versions = {"python": platform.python_version(), "torch": torch.__version__, "trialist": trialist.__version__}
        print(json.dumps({"rows": [row], "machine": platform.machine(), "versions": versions}))
        return
    print(f"{row['name']}: ours {row['ours']:,.0f}, hand-written {row['peer']:,.0f}")
    print(f"ratio {row['ratio']:.2f} (at least {row['limit_share']}); {row['note']}")


if __name__ == "__main__":
    main()
