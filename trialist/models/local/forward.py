"""Packed tokens -> hidden states -> log-probabilities: one pass of the network, and only the logits that are read.

The decoder gives hidden states of shape (1, tokens, width); the output head is applied to the positions that are read,
some at a time, so that no tensor (batch, length, vocabulary) ever exists. What an architecture does after its
output head (a soft cap, a scale) is read off its configuration; the self-check finds what isn't known here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from trialist.models.local import _hub
from trialist.models.local.attention import NAME, Meta
from trialist.models.local.packing import Reads
from trialist.models.local.tree import Ints

LOGITS_AT_ONCE, LOGITS_AT_ONCE_GPU = 1 << 22, 1 << 27
"""Logits that exist at a time: 16 MB in fp32, about what a processor's cache holds; on a GPU 512 MB, which is 1,000
positions of a vocabulary of 128,000: with some hundred, reading the head's weights would take longest."""
MIN_ROWS = 64
"""Positions whose logits are computed together at least: fewer would read the head's weights too often."""


@dataclass(frozen=True)
class Read:
    """For each read its log-probability in fp32, and whether the token was the most likely one; on the device."""

    logprobs: Tensor
    greedy: Tensor


class Forward:
    """The two halves of a network: ``hidden`` and ``read``."""

    def __init__(self, network: _hub.Network) -> None:
        self.network = network
        self.device = _hub.device_of(network)
        self._decoder: Callable[..., Any] = cast(Any, network).base_model
        self._head: Callable[[Tensor], Tensor] = cast(Any, network).get_output_embeddings()
        self._config: Any = _hub.config_of(network)
        self._after = _after_head(self._config.get_text_config())

    def hidden(self, ids: Ints, positions: Ints, meta: Meta) -> Tensor:
        """Hidden states (tokens, width) of tokens at their ``positions``, each in its own text."""
        tokens = _hub.tensor(ids, self.device)[None]
        with torch.inference_mode(), _hub.attention(self._config, NAME):
            output = self._decoder(
                input_ids=tokens, position_ids=_hub.tensor(positions, self.device)[None], use_cache=False, tree=meta
            )
        return output.last_hidden_state[0]

    def logits(self, hidden: Tensor) -> Tensor:
        """(n, width) -> (n, vocabulary) in fp32."""
        with torch.inference_mode():
            return self._after(self._head(hidden)).float()

    def logits_in_parts(self, hidden: Tensor) -> Iterator[tuple[int, Tensor]]:
        """(first row, logits of the rows from there on), some rows at a time."""
        rows = self._rows_at_once()
        for start in range(0, len(hidden), rows):
            yield start, self.logits(hidden[start : start + rows])

    def _rows_at_once(self) -> int:
        held = LOGITS_AT_ONCE if self.device.type == "cpu" else LOGITS_AT_ONCE_GPU
        return max(MIN_ROWS, held // int(cast(Any, self._head).weight.shape[0]))

    def read(self, hidden: Tensor, reads: Reads) -> Read:
        """Log-softmax at the reads' targets, natural log; a position's logits are computed once for all its targets."""
        with torch.inference_mode():
            order = np.argsort(reads.positions, kind="stable")
            positions, counts = np.unique(reads.positions, return_counts=True)
            parts = list(self._chunks(hidden, positions, reads.targets[order], counts))
            back = _hub.tensor(np.argsort(order), self.device)
            return Read(torch.cat([p.logprobs for p in parts])[back], torch.cat([p.greedy for p in parts])[back])

    def _chunks(self, hidden: Tensor, positions: Ints, targets: Ints, counts: Ints) -> Iterator[Read]:
        """``targets`` sorted by position, ``counts[i]`` of them at ``positions[i]``."""
        rows = self._rows_at_once()
        begins = np.concatenate([[0], np.cumsum(counts)])
        for start in range(0, len(positions), rows):
            stop = min(start + rows, len(positions))
            wanted = _hub.tensor(targets[begins[start] : begins[stop]], self.device)
            row = _hub.tensor(np.repeat(np.arange(stop - start), counts[start:stop]), self.device)
            yield _picked(self.logits(hidden[_hub.tensor(positions[start:stop], self.device)]), row, wanted)


def _picked(logits: Tensor, row: Tensor, targets: Tensor) -> Read:
    """Of (n, vocabulary) logits, which it overwrites, those of ``targets[k]`` in row ``row[k]``."""
    best, index = logits.max(-1)
    chosen = logits[row, targets]
    lse = best + logits.sub_(best[:, None]).exp_().sum(-1).log()
    return Read(chosen - lse[row], index[row] == targets)


def _after_head(config: Any) -> Callable[[Tensor], Tensor]:
    """What the configuration says of the logits after the output head."""
    cap: float | None = getattr(config, "final_logit_softcapping", None)
    times: float | None = getattr(config, "logit_scale", None)
    divided: float | None = getattr(config, "logits_scaling", None)

    def after(logits: Tensor) -> Tensor:
        logits = logits if times is None else logits * times
        logits = logits if divided is None else logits / divided
        return logits if cap is None else (logits / cap).tanh() * cap

    return after
