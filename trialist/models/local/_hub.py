"""The one door to torch and transformers for models: typed here, so that strict types hold everywhere else.

Importing this module without them raises ``MissingExtra``. Nothing here reaches the network.
"""

from __future__ import annotations

import contextlib
import inspect
import platform
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from trialist.errors import MissingExtra

try:
    import tokenizers
    import torch
    import transformers
    from safetensors import SafetensorError as SafetensorError
    from safetensors import safe_open

    from trialist.models.local.quiet import quiet
except ModuleNotFoundError as error:
    raise MissingExtra((error.name or "torch").partition(".")[0], "local") from error

Network = torch.nn.Module
"""A transformers causal language model."""

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
FIXED = {"local_files_only": True, "trust_remote_code": False}


def read_config(folder: Path) -> Any:
    with quiet():
        return cast(Any, transformers.AutoConfig).from_pretrained(folder, **FIXED)


def has_causal_model(config: Any) -> bool:
    return type(config) in cast(Any, transformers).MODEL_FOR_CAUSAL_LM_MAPPING


def read_tokenizer(folder: Path) -> Any:
    """The tokenizer exactly as ``tokenizer.json`` has it; the classes of ``AutoTokenizer`` may rebuild parts of it."""
    with quiet():
        return cast(Any, transformers.PreTrainedTokenizerFast).from_pretrained(folder, **FIXED)


def read_network(folder: Path, config: Any, dtype: str) -> tuple[Network, Mapping[str, Any]]:
    """The network in evaluation mode and what its loading found. Attention is the eager one: it is right for every
    architecture (soft caps, sinks and windows included)."""
    options = {"config": config, "dtype": DTYPES[dtype], "attn_implementation": "eager", "use_safetensors": True}
    with quiet():
        auto: Any = transformers.AutoModelForCausalLM
        network, found = auto.from_pretrained(folder, output_loading_info=True, **options, **FIXED)
    return cast(Network, network.eval()), found


def is_transformers(network: Network) -> bool:
    """Is it a model class of transformers, whose parts can be found by name?"""
    return isinstance(network, cast(Any, transformers).PreTrainedModel)


def config_of(network: Network) -> Any:
    return cast(Any, network).config


@contextlib.contextmanager
def attention(config: Any, name: str) -> Generator[None]:
    """Inside, the layers call the attention function of this name; afterwards the one from before."""
    before = config._attn_implementation
    try:
        config._attn_implementation = name
        yield
    finally:
        config._attn_implementation = before


def register_attention(name: str, function: Callable[..., Any], mask: Callable[..., Any]) -> None:
    """Make an attention function and the maker of its mask known to transformers, for this process."""
    cast(Any, transformers).AttentionInterface.register(name, function)
    cast(Any, transformers).AttentionMaskInterface.register(name, mask)


def stop_ids(network: Network, tokenizer: Any) -> frozenset[int]:
    """The tokens that end a text: those of the generation settings and the tokenizer's."""
    settings: Any = getattr(network, "generation_config", None)
    named: Any = getattr(settings, "eos_token_id", None)
    ids = cast("list[Any]", list(named) if isinstance(named, (list, tuple)) else [named])  # pyright: ignore[reportUnknownArgumentType]
    return frozenset(int(i) for i in [*ids, tokenizer.eos_token_id] if i is not None)


def tensor_names(file: Path) -> Sequence[str]:
    """Reads the header of a safetensors file; raises where the file is damaged."""
    with safe_open(file, framework="pt") as opened:  # pyright: ignore[reportUnknownVariableType]
        return list(cast(Any, opened).keys())


def num_embeddings(network: Network) -> int:
    return int(cast(Any, network).get_input_embeddings().weight.shape[0])


def output_head(network: Network) -> torch.nn.Module | None:
    """What turns hidden states into logits, where the network says so."""
    return cast(Any, network).get_output_embeddings() if is_transformers(network) else None


def widths(network: Network) -> tuple[int, int]:
    """Width of the hidden states and of the feed-forward layers (four times that where the configuration has none)."""
    config = config_of(network).get_text_config()
    width = int(config.hidden_size)
    named = (getattr(config, name, None) for name in ("intermediate_size", "ffn_dim", "n_inner"))
    return width, next((int(value) for value in named if value), 4 * width)


def key_value_bytes(network: Network) -> int:
    """Bytes of the keys and values of one token in all layers."""
    config = config_of(network).get_text_config()
    heads = int(config.num_attention_heads)
    width = int(getattr(config, "head_dim", None) or config.hidden_size // heads)
    key_heads = int(getattr(config, "num_key_value_heads", None) or heads)
    return 2 * int(config.num_hidden_layers) * key_heads * width * next(network.parameters()).element_size()


def surroundings(network: Network) -> str:
    """Device, threads and versions, on which tokens and the last bits of a number depend."""
    device = device_of(network)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else processor()
    libraries = ", ".join(f"{library.__name__} {library.__version__}" for library in (torch, transformers, tokenizers))
    return f"{device.type} {name}, {torch.get_num_threads()} threads, {libraries}"


def processor() -> str:
    """Its model as far as the system says, and the widest instructions that torch uses on it: machines that share a
    folder may differ in both."""
    names: list[str] = []
    with contextlib.suppress(OSError):  # no Linux
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        names = [
            line.partition(":")[2].strip() for line in lines if line.startswith(("model name", "cpu family", "model\t"))
        ]
    parts = [platform.machine(), *sorted(set(names)), torch.backends.cpu.get_cpu_capability()]
    return " ".join(parts)


def tensor(values: Any, device: torch.device | str = "cpu") -> torch.Tensor:
    """An array of numpy (or a list) as a tensor on the device."""
    made = torch.as_tensor(values)
    if torch.device(device).type != "cuda":
        return made.to(device)
    # From pinned memory the copy is queued; from any other it would wait for all that is queued before it.
    return made.pin_memory().to(device, non_blocking=True)


def dtype_name(network: Network) -> str:
    return str(next(network.parameters()).dtype).removeprefix("torch.")


def device_of(network: Network) -> torch.device:
    return next(network.parameters()).device


def logits_at(network: Network, rows: Sequence[Sequence[int]], positions: Sequence[int]) -> torch.Tensor:
    """Logits of shape (rows, positions, vocabulary) of a batch of rows, padded on the right.

    Under causal attention what stands to the right of a token can't change it, so the padding needs no more than its
    mask. Where the architecture can leave out the other positions' logits, it does.
    """
    length = max(len(row) for row in rows)
    ids = torch.tensor([[*row, *[0] * (length - len(row))] for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (length - len(row)) for row in rows])
    device, keep = device_of(network), torch.tensor(positions)
    inputs = {"input_ids": ids.to(device), "attention_mask": mask.to(device), "use_cache": False}
    with torch.inference_mode():
        if "logits_to_keep" in inspect.signature(network.forward).parameters:
            return network(**inputs, logits_to_keep=keep.to(device)).logits
        return network(**inputs).logits[:, keep]


def log_probabilities(logits: torch.Tensor, targets: Sequence[int]) -> list[tuple[float, bool]]:
    """log softmax(logits)[i, targets[i]] in fp32, natural log, for logits of shape (n, vocabulary); and whether the
    target is the most likely token, the first of equals."""
    with torch.inference_mode():
        wide = logits.float()
        index = torch.tensor(targets, device=wide.device)
        chosen = wide.gather(1, index[:, None])[:, 0] - wide.logsumexp(dim=1)
        values = cast("list[float]", chosen.tolist())  # pyright: ignore[reportUnknownMemberType]
        return list(zip(values, cast("list[bool]", (wide.argmax(1) == index).tolist()), strict=True))  # pyright: ignore[reportUnknownMemberType]


def next_logits(network: Network, ids: Sequence[Sequence[int]], past: Any) -> tuple[torch.Tensor, Any]:
    """Logits (rows, vocabulary) after equally long rows, and the cache to go on from.

    ``ids`` are whole rows, ``past`` what the last call returned. Where an architecture keeps no cache (None), the whole
    rows are read again.
    """
    device = device_of(network)
    caches = "past_key_values" in inspect.signature(network.forward).parameters
    fresh = [row[-1:] for row in ids] if past is not None else ids
    options = {"past_key_values": past, "use_cache": True} if caches else {"use_cache": False}
    with torch.inference_mode():
        output = network(input_ids=torch.tensor(fresh, device=device), **options)
    return output.logits[:, -1], getattr(output, "past_key_values", None) if caches else None


def greedy(logits: torch.Tensor) -> list[int | None]:
    """The most likely token of each row; None where a logit is not a number or infinite upwards."""
    sound = ~(logits.isnan() | logits.isposinf()).any(dim=-1)
    best = cast("list[int]", torch.where(sound, logits.argmax(dim=-1), -1).tolist())  # pyright: ignore[reportUnknownMemberType]
    return [token if token >= 0 else None for token in best]


def is_causal(network: Network) -> bool:
    """Does a token leave the logits before it alone? Encoders with a language-model head fail this."""
    last = num_embeddings(network) - 1
    first, second = (logits_at(network, [[0, 0, token]], [0, 1]) for token in (0, last))
    noise = 64 * torch.finfo(first.dtype).eps * torch.maximum(first.abs().max(), second.abs().max())
    return not bool((first - second).abs().max() > noise)


def tensors(network: Network) -> Iterator[tuple[str, str, tuple[int, ...], bytes]]:
    """Name, dtype, shape and bytes of each weight, in the order of the names."""
    for name, tensor in sorted(network.state_dict().items()):
        flat = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        yield name, str(tensor.dtype).removeprefix("torch."), tuple(tensor.shape), flat.numpy().tobytes()  # pyright: ignore[reportUnknownMemberType]


def write_network(network: Network, folder: Path) -> None:
    """config.json, generation_config.json and model.safetensors (in shards where it is large); tied weights once."""
    with quiet():
        cast(Any, network).save_pretrained(folder)


def check_device(device: str) -> None:
    """Raises where this machine has no such device."""
    torch.empty(1, device=torch.device(device))


def devices() -> str:
    return "cpu, cuda" if torch.cuda.is_available() else "cpu"


def out_of_memory(error: BaseException) -> bool:
    """Does the error say that memory ran out? On a processor torch raises a plain RuntimeError."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and "allocate memory" in str(error)


def free_memory() -> None:
    """Give back what torch holds in reserve."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
