"""Closeness to training footage: a memorised clip that is planted is found, and what was never seen is ordinary."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray

from haneul import cli
from haneul.backbones.native import BUNDLED
from haneul.data.shards import iterate
from haneul.errors import InputError
from haneul.evals.reader import Reader, load_reader
from haneul.evals.similar import Index, build_index, load_index, similar
from haneul.video.io import write_mp4


@pytest.fixture(scope="module")
def reader() -> Reader:
    return load_reader(BUNDLED / "reader.safetensors")


@pytest.fixture(scope="module")
def index(reader: Reader, shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("index") / "clips.npz"
    build_index(reader, shards, path)
    return path


def clip(shards: Path, number: int) -> NDArray[np.uint8]:
    videos = np.concatenate([shard.video_nTHW3 for _, shard in iterate(shards)])
    return videos[number]


def test_a_planted_copy_is_found(reader: Reader, index: Path, shards: Path, tmp_path: Path) -> None:
    """Encoded again, as a model that memorised it would give it back."""
    known = load_index(index)
    for number in (1, 6):
        path = tmp_path / f"{number}.mp4"
        write_mp4(list(clip(shards, number)), path, fps=12)
        found = similar(reader, known, path)
        assert found.nearest[0][0] == known.names[number]
        assert found.nearest[0][1] < 0.5 * found.nearest[1][1]
        assert found.closeness in ("near copy", "close")


def test_noise_is_like_nothing(reader: Reader, index: Path, tmp_path: Path) -> None:
    path = tmp_path / "noise.mp4"
    write_mp4(list(np.random.default_rng(0).integers(0, 255, (16, 64, 64, 3), dtype=np.uint8)), path, fps=12)
    assert similar(reader, load_index(index), path).closeness == "ordinary"


def test_what_distances_mean() -> None:
    """Near copies are those as near as copies are, and no nearer than one of a hundred others."""
    zero = np.zeros(1, np.float32)
    others, copies = np.linspace(1, 5, 401, dtype=np.float32), np.linspace(0, 2, 201, dtype=np.float32)
    found = Index(features=zero[None], names=["x"], mean=zero, scale=zero + 1, others=others, copies=copies)
    assert found.copy_distance == pytest.approx(1.04)
    assert found.close_distance == pytest.approx(1.2)
    assert found.caught == pytest.approx(105 / 201)


def test_what_cannot_be_used(reader: Reader, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="make one with"):
        load_index(tmp_path / "none.npz")
    (tmp_path / "bad.npz").write_bytes(b"bad")
    with pytest.raises(InputError, match="cannot be read"):
        load_index(tmp_path / "bad.npz")
    with pytest.raises(InputError, match="no shards"):
        build_index(reader, tmp_path, tmp_path / "x.npz")


def test_the_commands(home: Path, shards: Path, tmp_path: Path) -> None:
    run = CliRunner().invoke
    made = run(cli.main, ["eval", "index", str(shards)])
    assert made.exit_code == 0, made.output
    write_mp4(list(clip(shards, 2)), tmp_path / "x.mp4", fps=12)
    found = run(cli.main, ["similar", str(tmp_path / "x.mp4")])
    assert found.exit_code == 0, found.output
    assert "distance" in found.output
