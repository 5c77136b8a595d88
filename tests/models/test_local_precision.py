"""``dtype="auto"``: the processor has to have the instructions, and the model has to bear them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tiny_models import write_model

from trialist.errors import ModelError
from trialist.models.local import LocalModel, precision
from trialist.models.local.precision import MEAN_NATS, MOST_NATS, is_close

pytestmark = pytest.mark.torch

OTHER = "Features\t: fp asimd bf16"
HAS, HAS_NOT = "flags\t\t: fpu avx512f {} sse4_2", "flags\t\t: fpu avx512f sse4_2"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_model(tmp_path / "model", scale=0.1)


def processor(monkeypatch: pytest.MonkeyPatch, folder: Path, *lines: str) -> None:
    (folder / "cpuinfo").write_text("".join(f"processor\t: {i}\n{line}\n\n" for i, line in enumerate(lines)))
    monkeypatch.setattr(precision, "CPUINFO", folder / "cpuinfo")


@pytest.mark.parametrize("name", ["avx512_bf16", "amx_bf16"])
def test_bfloat16_where_the_processor_has_it(
    name: str, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    processor(monkeypatch, tmp_path, HAS.format(name), HAS.format(name))
    auto, asked, exact = (LocalModel.load(model, dtype=dtype) for dtype in ("auto", "bfloat16", "float32"))
    assert auto.dtype == "bfloat16"
    assert auto.digest == asked.digest != exact.digest, "the same network as if it had been asked for"


@pytest.mark.parametrize("lines", [(HAS_NOT,), (HAS.format("avx512_bf16"), HAS_NOT), (OTHER,), ()])
def test_float32_elsewhere(
    lines: tuple[str, ...], model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    processor(monkeypatch, tmp_path, *lines)
    auto = LocalModel.load(model, dtype="auto")
    assert (auto.dtype, auto.digest) == ("float32", LocalModel.load(model).digest)
    monkeypatch.setattr(precision, "CPUINFO", tmp_path / "none")
    assert LocalModel.load(model, dtype="auto").dtype == "float32"


def test_float32_where_the_model_does_not_bear_less(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    processor(monkeypatch, tmp_path, HAS.format("amx_bf16"))
    rough = write_model(tmp_path / "rough", scale=1.5)
    auto = LocalModel.load(rough, dtype="auto")
    assert (auto.dtype, auto.digest) == ("float32", LocalModel.load(rough).digest)


def test_short_contexts_are_checked_within_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    processor(monkeypatch, tmp_path, HAS.format("amx_bf16"))
    short = write_model(tmp_path / "short", scale=0.1, max_position_embeddings=8)
    assert LocalModel.load(short, dtype="auto").dtype == "bfloat16"


def test_a_cuda_device_computes_in_bfloat16(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from trialist.models.local.folder import check_folder
    from trialist.models.local.loading import load_network

    def elsewhere(folder: Any, dtype: str, device: str) -> Any:
        assert device == "cuda:1"
        return load_network(folder, dtype, "cpu")

    processor(monkeypatch, tmp_path, HAS_NOT)
    monkeypatch.setattr(precision, "load_network", elsewhere)
    assert precision.load_auto(check_folder(model), "cuda:1", None).dtype == "bfloat16"


def test_both_tolerances_count() -> None:
    exact = [-1.0] * 100
    assert is_close(exact, exact)
    assert is_close([-1.0 - MEAN_NATS / 2] * 100, exact)
    assert not is_close([-1.0 - 2 * MEAN_NATS] * 100, exact)
    assert not is_close([-1.0 - 2 * MOST_NATS, *exact[1:]], exact)
    assert not is_close([float("nan"), *exact[1:]], exact)
    assert not is_close([float("-inf"), *exact[1:]], exact)
    assert not is_close([], []), "nothing was compared"


def test_a_dtype_that_is_unknown_names_those_that_are(model: Path) -> None:
    with pytest.raises(ModelError, match="unknown dtype") as caught:
        LocalModel.load(model, dtype="int3")
    assert caught.value.problems[0].allowed == "float32, bfloat16, float16, auto"
