"""Shared fixtures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import real
from hypothesis import settings
from tiny_models import write_model

from trialist.interventions.protocol import Subject

# A busy machine makes an example slow, not wrong. Under CI the examples are the same every time.
settings.register_profile("patient", settings.get_profile(settings.get_current_profile_name()), deadline=None)
settings.load_profile("patient")


@pytest.fixture(scope="session", autouse=True)
def no_kept_replies() -> Iterator[None]:
    """What the user's cache holds neither helps nor hinders a test; processes that tests start inherit this."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRIALIST_CACHE", "off")
        yield


@pytest.fixture
def subject(tmp_path: Path) -> Subject:
    """A tiny random model to edit or attack."""
    pytest.importorskip("torch")
    from trialist.models.local import LocalModel

    return Subject(LocalModel.load(write_model(tmp_path / "model", scale=0.1)))


@pytest.fixture(scope="session")
def data_root() -> Path:
    return real.data_root()
