"""A checked folder -> network and tokenizer, or a ``ModelError``; nothing is ever filled in at random.

Whatever a library raises on a user's folder becomes a ``ModelError`` with the first line of what it said.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from trialist.errors import ModelError
from trialist.models.local import _hub
from trialist.models.local.folder import ModelFolder

COPY_AGAIN = "copy the folder again, or save the model again"


def load_network(folder: ModelFolder, dtype: str, device: str) -> _hub.Network:
    """The network in evaluation mode on its device; every tensor comes from the folder."""
    if dtype not in _hub.DTYPES:
        raise ModelError(f"unknown dtype '{dtype}'", seen=dtype, allowed=", ".join([*_hub.DTYPES, "auto"]))
    where = _device(device)
    config = _load_config(folder)
    for name in folder.weights:
        _check_weight_file(folder.path / name)
    try:
        network, found = _hub.read_network(folder.path, config, dtype)
    except Exception as error:
        raise _unreadable("the model can't be loaded", folder.path, error) from error
    _check_found(found, folder.path)
    network = network.to(where)
    if not _hub.is_causal(network):
        seen = f"{type(network).__name__}: a later token changes earlier logits"
        raise ModelError("not a causal language model", seen=seen, allowed="a decoder", next_step="use another model")
    return network


def load_tokenizer(folder: ModelFolder) -> Any:
    try:
        return _hub.read_tokenizer(folder.path)
    except Exception as error:
        raise _unreadable("the tokenizer can't be loaded", folder.path / "tokenizer.json", error) from error


def context_length(config: Any) -> int | None:
    """How many tokens the configuration allows; None where it names no limit."""
    text = config.get_text_config()
    names = ("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len", "max_sequence_length")
    values: list[Any] = [getattr(text, name, None) for name in names]
    return next((int(value) for value in values if isinstance(value, int) and value > 0), None)


def _load_config(folder: ModelFolder) -> Any:
    try:
        config = _hub.read_config(folder.path)
    except Exception as error:
        raise _unreadable("config.json names no architecture that transformers knows", folder.path, error) from error
    if not _hub.has_causal_model(config):
        seen = f"model_type {config.model_type}, architectures {folder.config.get('architectures')}"
        allowed = "an architecture with a causal language model (…ForCausalLM)"
        raise ModelError("the architecture has no causal language model", seen=seen, allowed=allowed)
    return config


def _device(device: str) -> str:
    try:
        _hub.check_device(device)
    except Exception as error:
        seen, step = f"{device}: {_first_line(error)}", "use device cpu"
        raise ModelError("the device can't be used", seen=seen, allowed=_hub.devices(), next_step=step) from error
    return device


def _check_weight_file(file: Path) -> None:
    try:
        _hub.tensor_names(file)
    except Exception as error:
        raise _unreadable(f"{file.name} is damaged or cut short", file, error) from error


def _check_found(found: Mapping[str, Iterable[Any]], path: Path) -> None:
    """Missing tensors would be random, unexpected ones unused: either is another model than the folder's."""
    words = {"missing_keys": "missing", "unexpected_keys": "unexpected", "mismatched_keys": "of another shape"}
    parts = [f"{word}: {_few(found[key])}" for key, word in words.items() if found.get(key)]
    parts += [str(message) for message in found.get("error_msgs", ())]
    if parts:
        raise ModelError(
            "the weights are not those of the configured architecture",
            seen=f"{path}: " + "; ".join(parts),
            allowed="exactly the tensors of the architecture in config.json",
            next_step=COPY_AGAIN,
        )


def _few(names: Iterable[Any]) -> str:
    ordered = sorted(str(name) for name in names)
    return ", ".join(ordered[:3]) + (f" and {len(ordered) - 3} more" if len(ordered) > 3 else "")


def _unreadable(message: str, path: Path, error: Exception) -> ModelError:
    return ModelError(message, seen=f"{path}: {_first_line(error)}", allowed="a whole folder", next_step=COPY_AGAIN)


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]
