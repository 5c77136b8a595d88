"""The one door to lm-evaluation-harness, and to the tokenizers that it would use: typed here, so that strict types hold
everywhere else.

Importing this module without the harness raises ``MissingExtra``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, cast

from trialist.errors import MissingExtra, ModelError

try:
    from lm_eval import utils as _utils  # pyright: ignore[reportMissingTypeStubs]
    from lm_eval.__main__ import cli_evaluate as _cli_evaluate  # pyright: ignore[reportMissingTypeStubs]
    from lm_eval.api import model as _api_model  # pyright: ignore[reportMissingTypeStubs]
    from lm_eval.api import registry as _registry  # pyright: ignore[reportMissingTypeStubs]
    from lm_eval.models import utils as _model_utils  # pyright: ignore[reportMissingTypeStubs]
    from tqdm import tqdm as _tqdm  # pyright: ignore[reportMissingModuleSource]
except ModuleNotFoundError as error:
    raise MissingExtra((error.name or "lm_eval").partition(".")[0], "lm-eval") from error

LM: Any = _api_model.LM
"""The harness's abstract model."""

model_registry: Any = _registry.model_registry
cli_evaluate: Callable[[], None] = _cli_evaluate
"""The harness's command line. It reads ``sys.argv``."""

Window = tuple[list[int], list[int]]
"""Tokens of a context, and the tokens that follow it."""


class Instance(Protocol):
    """One request of the harness: (context, continuation), (text,) or (context, generation arguments)."""

    @property
    def args(self) -> tuple[Any, ...]: ...


class Bar(Protocol):
    """A progress bar; ``n`` is how far it stands."""

    n: int

    def update(self, n: int) -> object: ...
    def close(self) -> None: ...


def bar(total: int, what: str, *, silent: bool) -> Bar:
    return cast(Bar, _tqdm(total=total, desc=what, disable=silent))


def normal_options(options: Mapping[str, Any], max_tokens: int) -> dict[str, Any]:
    """Generation arguments with the harness's names: until, max_gen_toks, do_sample, temperature, and what else was
    given. Without ``do_sample`` a temperature above 0 means sampling; with ``do_sample`` false it becomes 0."""
    return dict(cast(Any, _model_utils).normalize_gen_kwargs(dict(options), max_tokens))


def rolling_windows(tokens: Sequence[int], prefix: int, max_length: int) -> Iterator[Window]:
    """Windows that predict each token of a text once, with the longest context that fits in the last of them."""
    utils: Any = _utils
    windows = utils.get_rolling_token_windows(list(tokens), prefix_token=prefix, max_seq_len=max_length, context_len=1)
    return map(utils.make_disjoint_window, windows)


def read_tokenizer(folder: Path, *, add_bos: bool | None) -> Any:
    """The tokenizer that the harness's Hugging Face model would have: the class that the folder's settings name."""
    from transformers import AutoTokenizer

    options: dict[str, Any] = {} if add_bos is None else {"add_bos_token": add_bos}
    fixed = {"local_files_only": True, "trust_remote_code": False, "use_fast": True}
    try:
        return cast(Any, AutoTokenizer).from_pretrained(folder, **fixed, **options)
    except Exception as error:
        seen = f"{folder}: {str(error).strip().partition(chr(10))[0][:300]}"
        step = "AutoTokenizer.from_pretrained(folder) has to work, since the harness reads it so"
        raise ModelError(
            "the tokenizer can't be loaded", seen=seen, allowed="a whole folder", next_step=step
        ) from error


def has_cuda() -> bool:
    import torch

    return torch.cuda.is_available()


def global_seed() -> int:
    """The seed that the harness gave torch (``--seed``), or torch's own where it gave none."""
    import torch

    return torch.initial_seed()
