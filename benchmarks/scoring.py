"""Log-likelihood scoring against lm-evaluation-harness and against the machine's limit, and generation against
transformers; same weights, same threads, in one run.

    python benchmarks/scoring.py [--json] [--only SCORING,GENERATION,OVERHEAD,BF16] [--items SHARE] [--threads 2]
    python benchmarks/scoring.py --device cuda --model FOLDER       (or --random 1b, 8b): bf16, with MFU

``limit``: seconds that the operations nobody can avoid (``shapes.operations``) take at the rate of a matrix product of
2048 x 2048 measured in the same run; ``share`` is that over our time. Times are the best of several, ours and the
peer's in turn, so that a neighbour's load falls on neither alone. The peer gets its better setting, batch 16 or auto.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import platform
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from generating import generation_rows
from overhead import overhead_rows
from shapes import SIZES, WORKLOADS, Workload, operations, random_network

from trialist.models.local.backend import Backend, make_backend
from trialist.models.local.text import Continuation

REPEATS = 5
PARTS = ("scoring", "generation", "overhead", "bf16")
PEAK = {"H100": 989e12, "H200": 989e12, "A100": 312e12}
"""Dense bf16 operations a second that the maker states."""


@dataclass(frozen=True)
class Row:
    """Seconds (``ours``, ``peer``), their ratio, and the share of the limit; None where there is none."""

    name: str
    ours: float
    peer: float | None
    ratio: float | None
    limit_share: float | None
    note: str = ""


def scoring_rows(network: Any, share: float, device: str, batches: Sequence[int | str]) -> list[Row]:
    backend = make_backend(network)
    assert backend.engine is not None, backend.reason
    peers = {batch: harness(network, batch) for batch in batches}
    return [told(scoring_row(backend, peers, w, share, device)) for w in WORKLOADS]


def told(row: Row) -> Row:
    """Said at once, since the whole takes minutes."""
    print(f"{row.name}: {row.ours:.3f} s against {row.peer:.3f} s", file=sys.stderr)
    return row


def scoring_row(backend: Backend, peers: Mapping[int | str, Any], workload: Workload, share: float, device: str) -> Row:
    network = backend.network
    asked = shortened(workload, share).continuations(network.config.vocab_size)
    rates, ours, theirs = [matrix_rate(device)], list[float](), list[float]()
    for turn in range(REPEATS):
        backend.engine.store.clear()
        seconds, mine = timed(lambda: run_ours(backend, asked), device)
        ours.append(seconds)
        rates.append(matrix_rate(device))
        for batch, peer in peers.items():
            if turn < (2 if batch == 16 else 1):  # auto tries batches on dummy texts first, which takes long
                seconds, found = timed(lambda peer=peer: run_theirs(peer, asked), device)
                theirs.append(seconds)
    worst = max(abs(a - b[0]) for a, b in zip(mine, found, strict=True))
    limit = operations(network, asked) / max(rates)
    best = min(theirs)
    note = f"largest difference {worst:.1e}; {max(rates) / 1e9:,.0f} GFLOP/s; at least {workload.at_least:g}x"
    if device == "cuda":
        peak = next((value for name, value in PEAK.items() if name in torch.cuda.get_device_name()), None)
        note += f"; MFU {operations(network, asked) / min(ours) / peak:.0%}" if peak else ""
    return Row(workload.name, min(ours), best, best / min(ours), limit / min(ours), note)


def shortened(workload: Workload, share: float) -> Workload:
    return Workload(**{**asdict(workload), "items": max(2, round(workload.items * share))})


def run_ours(backend: Backend, asked: Sequence[Continuation]) -> list[float]:
    scores = list(backend.passes(asked))[-1]
    return [scores.scored(k).logprob for k in range(len(asked))]


def run_theirs(peer: Any, asked: Sequence[Continuation]) -> list[tuple[float, bool]]:
    requests = [(("", str(k)), list(c.row[: c.first + 1]), list(c.targets)) for k, c in enumerate(asked)]
    return peer._loglikelihood_tokens(requests, disable_tqdm=True)


def harness(network: Any, batch: int | str) -> Any:
    """The harness's model with the same weights, and the attention that it uses by default."""
    from lm_eval.models.huggingface import HFLM
    from overhead import word_tokenizer

    twin = type(network)._from_config(network.config, attn_implementation="sdpa", dtype=network.dtype).eval()
    twin = twin.to(network.device)
    twin.load_state_dict(network.state_dict(), assign=True)
    return HFLM(pretrained=twin, tokenizer=word_tokenizer(network.config.vocab_size), batch_size=batch)


def bf16_rows(share: float) -> list[Row]:
    """fp32 over bf16, both ours, where the processor multiplies bf16 by itself."""
    flags = Path("/proc/cpuinfo").read_text() if sys.platform == "linux" else ""
    if not any(flag in flags for flag in ("avx512_bf16", "amx_bf16")):
        return [Row("bf16 on this processor", float("nan"), None, None, None, "not measured: no avx512_bf16")]
    rows: list[Row] = []
    wide, half = (random_network("34m", device="cpu", dtype=t) for t in (torch.float32, torch.bfloat16))
    pair = make_backend(wide), make_backend(half)
    for workload in WORKLOADS:
        asked = shortened(workload, share).continuations(wide.config.vocab_size)
        slow, fast = (min(timed(partial(run_ours, b, asked), "cpu")[0] for _ in range(REPEATS)) for b in pair)
        rows.append(Row(f"bf16: {workload.name}", fast, slow, slow / fast, None, "against our own fp32"))
    return rows


def matrix_rate(device: str, size: int = 2048) -> float:
    """Operations a second of a square matrix product: fp32 on a processor, bf16 on a GPU; the best of three."""
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    size = 8192 if device == "cuda" else size
    a, b = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    torch.mm(a, b)
    return max(2 * size**3 / timed(lambda: torch.mm(a, b), device)[0] for _ in range(3))


def timed(work: Callable[[], Any], device: str) -> tuple[float, Any]:
    started = time.perf_counter()
    result = work()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started, result


def main() -> None:
    arguments = parse()
    torch.set_num_threads(arguments.threads)
    wanted = arguments.only.lower().split(",") if arguments.only else PARTS
    batches = [int(batch) if batch.isdigit() else batch for batch in arguments.batches.split(",")]
    rows: list[Row] = []
    if "scoring" in wanted or "generation" in wanted:
        network = load(arguments)
        with torch.inference_mode():
            rows += scoring_rows(network, arguments.items, arguments.device, batches) if "scoring" in wanted else []
            rows += [Row(**row) for row in generation_rows(network, arguments.items)] if "generation" in wanted else []
    if arguments.device == "cpu":
        rows += [Row(**row) for row in overhead_rows(arguments.items)] if "overhead" in wanted else []
        rows += bf16_rows(arguments.items) if "bf16" in wanted else []
    show(rows, arguments)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--only", default="", help="parts, with commas: " + ", ".join(PARTS))
    parser.add_argument("--items", type=float, default=1.0, help="share of each workload's items")
    parser.add_argument("--batches", default="16,auto", help="batch sizes of the peer; the better one counts")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--model", help="a model folder; default: random weights")
    parser.add_argument("--random", choices=tuple(SIZES), default="34m")
    return parser.parse_args()


def load(arguments: argparse.Namespace) -> Any:
    dtype = torch.bfloat16 if arguments.device == "cuda" else torch.float32
    if arguments.model:
        from trialist.models.local import LocalModel

        name = str(dtype).removeprefix("torch.")
        return LocalModel.load(arguments.model, dtype=name, device=arguments.device).network
    return random_network(arguments.random, device=arguments.device, dtype=dtype)


def show(rows: Sequence[Row], arguments: argparse.Namespace) -> None:
    packages = ("trialist", "torch", "transformers", "lm_eval")
    versions = {"python": platform.python_version(), **{p: importlib.metadata.version(p) for p in packages}}
    machine = f"{platform.machine()}, {arguments.threads} threads"
    machine = torch.cuda.get_device_name() if arguments.device == "cuda" else machine
    if arguments.json:
        print(json.dumps({"rows": [asdict(row) for row in rows], "machine": machine, "versions": versions}))
        return
    print(f"{machine}; " + ", ".join(f"{name} {version}" for name, version in versions.items()))
    print(f"{'':<50}{'ours':>9}{'peer':>9}{'ratio':>8}{'share':>7}")
    for row in rows:
        peer = "" if row.peer is None else f"{row.peer:.3f}"
        ratio = "" if row.ratio is None else f"{row.ratio:.1f}x"
        share = "" if row.limit_share is None else f"{row.limit_share:.0%}"
        print(f"{row.name:<50}{row.ours:>9.3f}{peer:>9}{ratio:>8}{share:>7}  {row.note}")


if __name__ == "__main__":
    main()
