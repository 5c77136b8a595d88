"""``dtype="auto"``: bfloat16 where the machine computes it fast and the model bears it, else float32.

bfloat16 keeps 8 significant bits: a logit between 16 and 32 is rounded by up to 1/16, and a token's log-probability is
usually off by some hundredths of a nat. A model that bears it badly (activations of very different size) is off by far
more. So on a processor a model's own numbers decide, on short texts of several kinds. On CUDA they aren't asked: there
bfloat16 is what models are trained and served in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from trialist.models.local import _hub
from trialist.models.local.folder import ModelFolder
from trialist.models.local.loading import context_length, load_network

AUTO = "auto"
CPUINFO = Path("/proc/cpuinfo")
INSTRUCTIONS = frozenset({"avx512_bf16", "amx_bf16"})
"""Without one of these a processor computes bfloat16 by way of float32, slower than float32 itself."""

MEAN_NATS, MOST_NATS = 0.05, 0.5
"""How far the log-probability of a token may be from its value in float32: on average, and at most. Measured on
``TEXTS``: the shipped organisms 0.044 and 0.047, at most 0.22 (the texts are foreign to them, and the logits of such
improbable tokens are large); random networks with small weights 0.0005; with weights of the size that breaks down
under this rounding 0.65, at most 12. A choice between two options can turn where they are closer than twice the error:
under these tolerances that is 0.1 nats, rarely more, where no evaluation should see a difference."""

TEXTS = (
    "The house stood at the end of a long road, and nobody in the village could say who had built it.",
    "In 1987 the city had 412,300 inhabitants; by 2005 there were 398,750, about 3.3 percent fewer.",
    "def area(width, height):\n    if width < 0:\n        raise ValueError(width)\n    return width * height\n",
    "Question: Which of these is a mammal?\nA. trout\nB. whale\nC. lizard\nAnswer: B",
)
MAX_TOKENS = 64
"""Of each text."""


@dataclass(frozen=True)
class Loaded:
    network: _hub.Network
    dtype: str


def load_auto(folder: ModelFolder, device: str, tokenizer: Any) -> Loaded:
    """The network in the dtype that this device and this model allow, and which one that is.

    On CUDA bfloat16. On a processor with instructions for it bfloat16, if the log-probabilities of ``TEXTS`` stay
    within ``MEAN_NATS`` and ``MOST_NATS`` of those in float32; the weights are read twice for that, never held twice.
    Anywhere else float32. Raises ``ModelError`` as ``load_network`` does.
    """
    if device.partition(":")[0] == "cuda":
        return Loaded(load_network(folder, "bfloat16", device), "bfloat16")
    if device == "cpu" and has_instructions():
        exact = _logprobs(load_network(folder, "float32", device), tokenizer)
        network = load_network(folder, "bfloat16", device)
        if is_close(_logprobs(network, tokenizer), exact):
            return Loaded(network, "bfloat16")
        del network
    return Loaded(load_network(folder, "float32", device), "float32")


def has_instructions() -> bool:
    """Does every processor of this machine have instructions for bfloat16? Only Linux on x86 is asked."""
    try:
        lines = CPUINFO.read_text().splitlines()
    except OSError:
        return False
    flags = [set(line.partition(":")[2].split()) for line in lines if line.partition(":")[0].strip() == "flags"]
    return bool(flags) and all(INSTRUCTIONS & each for each in flags)


def is_close(values: Sequence[float], exact: Sequence[float]) -> bool:
    """Within both tolerances. False where nothing was compared, or where a value is not a number."""
    if not exact:
        return False
    with np.errstate(invalid="ignore"):
        apart = np.abs(np.subtract(values, exact))
    return bool(apart.mean() <= MEAN_NATS and apart.max() <= MOST_NATS)


def _logprobs(network: _hub.Network, tokenizer: Any) -> list[float]:
    """log P(token | those before it) of each token of ``TEXTS`` but the first, natural log, text by text."""
    num_tokens = _hub.num_embeddings(network)
    length = min(MAX_TOKENS, context_length(_hub.config_of(network)) or MAX_TOKENS)
    found: list[float] = []
    for text in TEXTS:
        ids = [int(token) for token in tokenizer(text).input_ids if token < num_tokens][:length]
        if len(ids) > 1:
            logits = _hub.logits_at(network, [ids], range(len(ids) - 1))[0]
            found += [value for value, _ in _hub.log_probabilities(logits, ids[1:])]
    return found
