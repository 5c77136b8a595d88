"""What a model is to the rest: something that answers keyed requests, in any order, and never raises for one of them.

A request that can't be answered comes back as a ``Failure`` with its key; the others are still answered.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol, TypeVar

if TYPE_CHECKING:
    from numpy.typing import NDArray

Ability = Literal["choose", "generate", "activations", "weights", "repeatable"]
"""``repeatable``: the same request with the same seed gives the same reply, so asking again is no new draw."""

T = TypeVar("T")


@dataclass(frozen=True)
class Choose:
    """Ask for log P(option | prompt) of each option. The option is the exact continuation, leading space included."""

    prompt: str
    options: tuple[str, ...]


@dataclass(frozen=True)
class Generate:
    """Ask for ``num_samples`` continuations of at most ``max_tokens`` tokens, each cut before the first of the ``stop``
    strings. Temperature 0 is greedy; above it, tokens are drawn from softmax(logits / temperature), with the keyed
    request's seed."""

    prompt: str
    max_tokens: int = 32
    stop: tuple[str, ...] = ()
    temperature: float = 0.0
    num_samples: int = 1


@dataclass(frozen=True)
class Activations:
    """Ask for what the named ``layers`` (modules of the network, such as ``model.layers.3``) put out at ``positions``:
    tokens of the prompt, the begin token included; negative ones count from the end."""

    prompt: str
    layers: tuple[str, ...]
    positions: tuple[int, ...] = (-1,)


Request = Choose | Generate | Activations


@dataclass(frozen=True)
class Keyed(Generic[T]):
    key: str
    seed: int
    value: T


@dataclass(frozen=True)
class Sample:
    """One continuation. ``logprobs[i]`` is the natural log-probability of ``tokens[i]`` under the model at temperature
    1; an end token that was drawn is the last of them. ``truncated``: ``max_tokens`` ended it."""

    text: str
    tokens: tuple[int, ...] = ()
    logprobs: tuple[float, ...] = ()
    truncated: bool = False


@dataclass(frozen=True)
class Reply:
    """``logprobs``, ``num_tokens``, ``num_bytes`` and ``greedy`` belong to the options of a ``Choose``, in order
    (``greedy``: every token of the option was the most likely one). ``text`` and ``truncated`` belong to a ``Generate``
    and are those of its first sample; ``samples`` has all of them. ``activations`` has one array (positions, width) for
    each layer of an ``Activations``, in fp32."""

    text: str = ""
    logprobs: tuple[float, ...] = ()
    num_tokens: tuple[int, ...] = ()
    num_bytes: tuple[int, ...] = ()
    greedy: tuple[bool, ...] = ()
    truncated: bool = False
    samples: tuple[Sample, ...] = ()
    activations: tuple[NDArray[Any], ...] = ()


@dataclass(frozen=True)
class Failure:
    reason: str


class Model(Protocol):
    @property
    def digest(self) -> str:
        """Identity of what answers: weights, tokenizer, precision. Equal digests answer alike."""
        ...

    @property
    def abilities(self) -> frozenset[Ability]: ...

    def answer(self, requests: Iterable[Keyed[Request]]) -> Iterator[Keyed[Reply | Failure]]: ...
