"""What named layers put out at some positions: read in the same pass as the log-probabilities."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trialist.errors import did_you_mean
from trialist.models.local import _hub
from trialist.models.local.text import Refused
from trialist.models.local.tree import Ints
from trialist.models.protocol import Failure

Seen = tuple[NDArray[Any], ...] | Failure
"""What a probe saw, or why it saw nothing."""


@dataclass(frozen=True)
class Probe:
    """Outputs of the modules ``layers`` at ``positions`` (from the start) of the text ``row``."""

    row: tuple[int, ...]
    layers: tuple[str, ...]
    positions: tuple[int, ...]


def make_probe(network: _hub.Network, row: tuple[int, ...], layers: Sequence[str], positions: Sequence[int]) -> Probe:
    """Negative positions count from the end. Raises ``Refused`` for a module the network doesn't have, or a position
    outside the text."""
    names = {str(name) for name, _ in cast("Iterable[tuple[str, Any]]", network.named_modules())}
    for layer in layers:
        if not layer or layer not in names:
            raise Refused(f"no layer '{layer}' in this network; {did_you_mean(layer, names, 'see named_modules()')}")
        if network.get_submodule(layer) is _hub.output_head(network):
            raise Refused(f"layer '{layer}' is the output head, which is applied where log-probabilities are read only")
    for position in positions:
        if not -len(row) <= position < len(row):
            raise Refused(f"position {position} is outside the prompt's {len(row)} tokens")
    if not layers or not positions:
        raise Refused("activations are asked of no layer or no position")
    return Probe(row, tuple(layers), tuple(position % len(row) for position in positions))


def gather(outputs: Mapping[str, Any], path: Ints, probe: Probe, num_tokens: int) -> Seen:
    """One array (positions, width) a layer, in fp32; ``path`` says where the text's tokens stand in the outputs, of
    ``num_tokens`` in all. A ``Failure`` where a layer doesn't put out one vector for each of them."""
    at = path[np.array(probe.positions)]
    found: list[NDArray[Any]] = []
    for layer in probe.layers:
        output = outputs.get(layer)
        # some parts, such as experts, get the tokens of a batch of one as a plain list
        flat = output[0] if isinstance(output, Tensor) and output.ndim == 3 and len(output) == 1 else output
        if not isinstance(flat, Tensor) or flat.ndim != 2 or len(flat) != num_tokens:
            return Failure(f"layer '{layer}' puts out no vector for each token of the prompt")
        found.append(flat[_hub.tensor(at, flat.device)].float().cpu().numpy())
    return tuple(found)


def probe_plainly(network: _hub.Network, probe: Probe) -> Seen:
    """The plain twin: the text alone."""
    with outputs_of(network, probe.layers) as outputs:
        _hub.logits_at(network, [probe.row], [0])
    return gather(outputs, np.arange(len(probe.row)), probe, len(probe.row))


@contextlib.contextmanager
def outputs_of(network: _hub.Network, layers: Sequence[str]) -> Generator[dict[str, Any]]:
    """Inside, each named module's output (the first of several) lands in the dictionary."""
    found: dict[str, Any] = {}

    def keep(name: str) -> Callable[..., None]:
        def hook(module: torch.nn.Module, inputs: Any, output: Any) -> None:
            found[name] = output[0] if isinstance(output, tuple) and output else output

        return hook

    handles = [network.get_submodule(name).register_forward_hook(keep(name)) for name in dict.fromkeys(layers)]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()
