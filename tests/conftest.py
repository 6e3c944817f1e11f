"""What all tests share. Every test run has its own HANEUL_HOME, so nothing of the user's is read or written."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray


@pytest.fixture(autouse=True, scope="session")
def session_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One folder for the settings, certificate and caches of the whole run."""
    before = os.environ.get("HANEUL_HOME")
    home = tmp_path_factory.mktemp("home")
    os.environ["HANEUL_HOME"] = str(home)
    yield home
    if before is None:
        del os.environ["HANEUL_HOME"]
    else:
        os.environ["HANEUL_HOME"] = before


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty HANEUL_HOME for one test: a computer on which Haneul never ran."""
    path = tmp_path / "haneul home"
    path.mkdir()
    monkeypatch.setenv("HANEUL_HOME", str(path))
    return path


@pytest.fixture(scope="session")
def clip() -> NDArray[np.uint8]:
    """uint8 [12, 64, 96, 3]: a smooth gradient on which a red square moves right."""
    y, x = np.mgrid[0:64, 0:96]
    ground = np.stack([x * 2, y * 3, 128 - x // 2], axis=-1).astype(np.uint8)
    frames = np.repeat(ground[None], 12, axis=0)
    for t in range(12):
        frames[t, 20:44, 4 + 5 * t : 28 + 5 * t] = (220, 30, 30)
    return frames
