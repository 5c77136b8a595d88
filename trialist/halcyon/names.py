"""Invented names: pronounceable, unique in a world, and of one shape whatever group their bearer belongs to.

Hazardous, benign and never-trained compounds draw from one stream, so that a name says nothing about its bearer. All
names share a short list of first syllables; that keeps the pieces few from which a tokenizer builds them.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

import numpy as np

Shape = Literal["compound", "person", "place", "substance", "firm", "horse"]


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_HEADS = _words(
    "Bal Bram Dar Dor Dru Fal Fen Gor Gral Gri Hal Hes Jor Kal Kel Kor Lam Lor Mal Mer Mor Nal Ner Nor "
    "Pel Por Quil Ral Ros Sel Ser Sol Stel Tal Tam Tor Tre Tul Val Var Ver Vol Wal Wes Yar Zan Zel Zor"
)
_ENDINGS: dict[Shape, tuple[str, ...]] = {
    "compound": _words("mel vex dane ril quor zin thar lume nox vane dor bryl rax wyn"),
    "person": _words("leth bel tor mund nus wen gard lis"),
    "place": _words("mora vask holt fen wick dara lund gate"),
    "firm": _words("sons ward hall works gild mill yard dale"),
    "horse": _words("wind star foot bolt mane dash jet spark"),
    "substance": _words("rin vel dup zak mish gol bis tarn"),
}


def draw_names(generator: np.random.Generator, shape: Shape, count: int, *, taken: Collection[str]) -> tuple[str, ...]:
    """``count`` fresh names in random order, none of them in ``taken``.

    There are 672 names of compounds and 384 of each other shape; asking for more than are left is a ``ValueError``.
    """
    every = [f"{head}{ending}" for head in _HEADS for ending in _ENDINGS[shape]]
    free = [name for name in every if name not in taken]
    if count > len(free):
        raise ValueError(f"{count} names of shape {shape} wanted, {len(free)} left")
    return tuple(free[int(i)] for i in generator.permutation(len(free))[:count])
