"""Logits -> the next token of each row, from random numbers that belong to the row and not to the batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trialist.models.local import _hub
from trialist.models.local.drafts import Row
from trialist.records import seed_of

ROWS_AT_ONCE = 64
"""Rows whose cumulated probabilities exist at a time, in fp64."""


@dataclass(frozen=True)
class Picked:
    """``tokens[r]``: None where a logit of row r is not a number or infinite upwards. ``logprobs[r]``: natural, at
    temperature 1."""

    tokens: Sequence[int | None]
    logprobs: Sequence[float]


def pick(logits: Tensor, rows: Sequence[Row]) -> Picked:
    """``logits`` (rows, vocabulary), fp32. Greedy: the first of the most likely tokens. Otherwise the inverse of the
    cumulated softmax(logits / temperature) at the row's uniform number for this step."""
    with torch.inference_mode():
        sound = ~(logits.isnan() | logits.isposinf()).any(-1)
        tokens = logits.argmax(-1)
        drawn = [i for i, row in enumerate(rows) if row.draft.temperature > 0]
        for start in range(0, len(drawn), ROWS_AT_ONCE):
            part = drawn[start : start + ROWS_AT_ONCE]
            at = _hub.tensor(part, logits.device)
            tokens[at] = _drawn(logits[at], [rows[i] for i in part])
        chosen = logits.gather(1, tokens[:, None])[:, 0] - logits.logsumexp(-1)
        # one copy, bit for bit: each waits for the device
        both = torch.stack([torch.where(sound, tokens, -1).int(), chosen.view(torch.int32)]).cpu().numpy()
        return Picked([int(token) if token >= 0 else None for token in both[0]], both[1].view(np.float32).tolist())


def uniforms(rows: Sequence[Row]) -> NDArray[np.float64]:
    """A number in [0, 1) for each row: a function of its draft's seed, its sample's number and its count of tokens."""
    words = [seed_of(row.draft.seed, "sample", row.number, len(row.tokens)) for row in rows]
    return np.array([(word % (1 << 53)) / (1 << 53) for word in words])


def _drawn(logits: Tensor, rows: Sequence[Row]) -> Tensor:
    # within fp32, where 0 / 0 and -inf / inf would be no numbers
    least, most = torch.finfo(torch.float32).tiny, torch.finfo(torch.float32).max
    temperature = _hub.tensor([min(max(row.draft.temperature, least), most) for row in rows], logits.device)
    below = logits - logits.max(-1, keepdim=True).values
    cumulated = torch.softmax(below / temperature[:, None], -1).double().cumsum(-1)
    at = _hub.tensor(uniforms(rows), logits.device)[:, None] * cumulated[:, -1:]
    # right: a token of probability zero is never drawn, not even by a number of exactly zero
    return torch.searchsorted(cumulated, at, right=True)[:, 0].clamp_(max=logits.shape[1] - 1)
