"""Clips, cut and put together: the frames stay what they are, and the result is signed."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import pytest

from haneul import assemble as table
from haneul.assemble import Cut, assemble
from haneul.backbones.native import Native
from haneul.engine import Result, generate
from haneul.errors import InputError
from haneul.trust import credentials
from haneul.video.io import read_video, write_mp4


@pytest.fixture(scope="module")
def native(weights: Path) -> Native:
    return Native(weights)


@pytest.fixture(scope="module")
def clips(native: Native, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two made here, of 17 frames, and a foreign one of 12 at 12 a second."""
    folder = tmp_path_factory.mktemp("clips")
    made = [
        generate(
            "a ball", output=folder / f"{n}.mp4", seconds=0.7, size=(64, 64), seed=n, steps=1, backbone=native
        ).path
        for n in (1, 2)
    ]
    foreign = folder / "foreign.mp4"
    write_mp4(
        np.linspace(0, 255, 12).astype(np.uint8)[:, None, None, None] * np.ones((1, 64, 64, 3), np.uint8),
        foreign,
        fps=12,
    )
    return [*made, foreign]


def put(native: Native, tmp_path: Path, *cuts: Cut, size: tuple[int, int] | None = None) -> tuple[Result, np.ndarray]:
    made = assemble(cuts, output=tmp_path / "out.mp4", size=size, backbone=native)
    return made, read_video(made.path).frames.astype(int)


def encoding(frames: np.ndarray, tmp_path: Path) -> float:
    """What encoding these frames once more changes, of 255; a mark that is added as well changes half as much again."""
    path = tmp_path / f"{zlib.crc32(frames.tobytes())}.mp4"
    write_mp4(frames.astype(np.uint8), path, fps=24)
    return float(abs(read_video(path).frames.astype(int) - frames).mean())


def test_a_trimmed_clip_holds_its_frames_and_its_mark(native: Native, clips: list[Path], tmp_path: Path) -> None:
    made, frames = put(native, tmp_path, Cut(path=clips[0], start=0.25, end=0.5))
    whole = read_video(clips[0]).frames.astype(int)
    assert len(frames) == made.report["frames"] == 6
    near = [[abs(frame - other).mean() for other in whole] for frame in frames]
    assert abs(frames - whole[6:12]).mean() < 1.5 * encoding(whole[6:12], tmp_path)
    assert np.argmin(near[0]) in (5, 6, 7)
    verdict = credentials.verify(made.path)
    assert verdict.here
    assert (verdict.mode, [i.title for i in verdict.ingredients]) == ("assemble", ["1.mp4"])
    assert verdict.bindings == credentials.verify(clips[0]).bindings


def test_joined_and_dissolved(native: Native, clips: list[Path], tmp_path: Path) -> None:
    a, b = (read_video(path).frames.astype(int) for path in clips[:2])
    made, frames = put(native, tmp_path, Cut(path=clips[0]), Cut(path=clips[1], dissolve=True))
    crossing = 17 // 2
    assert len(frames) == 34 - crossing
    alone = 17 - crossing
    assert abs(frames[:alone] - a[:alone]).mean() < 1.5 * encoding(a, tmp_path)
    assert abs(frames[-alone:] - b[-alone:]).mean() < 1.5 * encoding(b, tmp_path)
    middle = 17 - crossing + crossing // 2
    assert abs(frames[middle] - (a[middle] + b[middle - 17 + crossing]) / 2).mean() < 8
    assert len(credentials.verify(made.path).bindings) == 2


def test_a_foreign_clip_is_looked_at_brought_to_the_rate_and_marked(
    native: Native, clips: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[Path] = []
    given = table.screen.given
    monkeypatch.setattr(table.screen, "given", lambda s, paths, f: looked.extend(paths) or given(s, paths, f))
    made, frames = put(native, tmp_path, Cut(path=clips[2]), Cut(path=clips[0]))
    assert looked == [clips[2]]
    assert len(frames) == 24 + 17
    brightness = frames[:24].mean((1, 2, 3))
    assert (np.diff(brightness[::2]) > 10).all()
    assert abs(np.diff(brightness)[::2]).max() < 6  # every frame is shown twice
    values = credentials.verify(made.path).bindings
    assert len(set(values)) == 2


def test_another_size(native: Native, clips: list[Path], tmp_path: Path) -> None:
    made, frames = put(native, tmp_path, Cut(path=clips[0]), size=(96, 64))
    assert frames.shape[1:3] == (64, 96)
    assert credentials.verify(made.path).bindings != credentials.verify(clips[0]).bindings


@pytest.mark.parametrize(("start", "end"), [(0.5, 0.5), (0.6, 0.2), (0, 9), (3, None)])
def test_what_is_no_part(native: Native, clips: list[Path], tmp_path: Path, start: float, end: float | None) -> None:
    with pytest.raises(InputError, match="no part"):
        put(native, tmp_path, Cut(path=clips[0], start=start, end=end))
    with pytest.raises(InputError, match="1 to 200"):
        assemble([], output=tmp_path / "none.mp4", backbone=native)
