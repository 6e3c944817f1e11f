"""Known works: what is listed is found again when it is made, however it was encoded, and nothing else is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray
from PIL import Image

from haneul import cli, screen
from haneul.backbones.base import Progress, Request
from haneul.backbones.native import Native
from haneul.config import Settings
from haneul.engine import generate
from haneul.errors import InputError, RefusedError
from haneul.screen.works import add
from haneul.video.io import read_video, write_mp4
from haneul.video.picture import write_picture

Frames = list[NDArray[np.uint8]]


@pytest.fixture
def film() -> Frames:
    """Two seconds in which one smooth picture turns into another."""
    small = np.random.default_rng(3).integers(0, 255, (2, 12, 16, 3), dtype=np.uint8)
    first, last = (
        np.asarray(Image.fromarray(p).resize((320, 192), Image.Resampling.BICUBIC)).astype(float) for p in small
    )
    return [(first + (last - first) * t / 23).astype(np.uint8) for t in range(24)]


@pytest.fixture
def settings(tmp_path: Path, film: Frames) -> Settings:
    """With a list on which the film is, and a picture."""
    write_mp4(film, tmp_path / "a film.mp4", fps=12)
    other = np.random.default_rng(8).integers(0, 255, (9, 12, 3), dtype=np.uint8)
    picture = np.asarray(Image.fromarray(other).resize((320, 192), Image.Resampling.BICUBIC))
    write_picture(picture, tmp_path / "a painting.png")
    listed = list(add([tmp_path], tmp_path / "works.txt"))
    assert [name for name, _ in listed] == ["a film.mp4", "a painting.png"]
    assert all(count for _, count in listed)
    return Settings(data=tmp_path / "data", cache=tmp_path / "cache", known_works=tmp_path / "works.txt")


def test_a_near_copy_is_named(settings: Settings, film: Frames, tmp_path: Path) -> None:
    write_mp4([np.ascontiguousarray(f[:, ::-1]) for f in film], tmp_path / "again.mp4", fps=12, crf=34)
    again = list(read_video(tmp_path / "again.mp4").frames)
    warning = "the result looks like a near copy of a known work: a film.mp4 (near-copy)"
    assert screen.made(settings, again) == [warning]
    noted = [json.loads(line) for line in (settings.data / "audit" / "log.jsonl").read_text().splitlines()][-1]
    assert noted["found"][0]["of"] == "a film.mp4"
    assert screen.made(settings, [255 - frame for frame in film]) == []
    assert screen.made(replace(settings, known_works=None), again) == []


def test_the_policy_decides(settings: Settings, film: Frames, tmp_path: Path) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text('[categories.near-copy]\naction = "refuse"\n')
    with pytest.raises(RefusedError, match=r"near copy of a known work: a film\.mp4; make it again") as refusal:
        screen.made(replace(settings, policy=policy), film)
    assert refusal.value.code == "near-copy"
    policy.write_text('[categories.near-copy]\naction = "allow"\n')
    assert screen.made(replace(settings, policy=policy), film) == []


def test_a_list_that_cannot_be_read(settings: Settings, film: Frames) -> None:
    assert settings.known_works is not None
    settings.known_works.write_text("no hash\n")
    with pytest.raises(InputError, match="line 1"):
        screen.made(settings, film)
    settings.known_works.unlink()
    with pytest.raises(InputError, match="cannot be read"):
        screen.made(settings, film)


class Memorised(Native):
    """A model that gives back a film which it learned by heart."""

    film: Frames

    def generate(self, request: Request, progress: Progress | None = None) -> Iterator[NDArray[np.uint8]]:
        for frame, _ in zip(self.film, super().generate(request, progress), strict=False):
            yield np.asarray(Image.fromarray(frame).resize(request.size))


def test_the_engine_tells_what_was_learned_by_heart(weights: Path, film: Frames, home: Path, tmp_path: Path) -> None:
    """By the command line and the settings file."""
    model = Memorised(weights)
    model.film = film

    def made(name: str) -> list[str]:
        return generate(
            "a red ball", seconds=0.5, size=(256, 192), seed=1, steps=1, output=tmp_path / name, backbone=model
        ).warnings

    assert not any("near-copy" in warning for warning in made("first.mp4"))
    write_mp4(film, tmp_path / "film.mp4", fps=12)
    done = CliRunner().invoke(cli.main, ["works", str(tmp_path / "film.mp4"), "-o", str(home / "works.txt")])
    assert done.exit_code == 0, done.output
    assert done.output.startswith("film.mp4: ")
    (home / "config.toml").write_text('[screen]\nknown_works = "works.txt"\n')
    assert "the result looks like a near copy of a known work: film.mp4 (near-copy)" in made("again.mp4")
