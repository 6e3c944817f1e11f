"""`haneul world show`: a prompt's animatic by simulation, signed as what it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import haneul
from haneul import cli
from haneul.errors import HaneulError, InputError, OutputError, WorldError
from haneul.video.io import read_video
from haneul.world.produce import show, stage_prompt

TINY: dict[str, Any] = {"size": (96, 64), "seconds": 0.5}


def test_a_signed_video_that_is_no_models(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    warnings = show(
        "a red ball bounces in a shimmering desert at sunset",
        tmp_path / "x.mp4",
        **TINY,
        progress=lambda *now: told.append(now),
    )
    video = read_video(tmp_path / "x.mp4")
    assert video.frames.shape == (12, 64, 96, 3)
    assert video.fps == 24
    assert warnings == ["the world does not know 'shimmering'"]
    assert told == [(n, 12) for n in range(1, 13)]
    verdict = haneul.verify(tmp_path / "x.mp4")
    assert (verdict.state, verdict.mode, verdict.model) == ("trusted", "world render", "haneul-world")
    assert verdict.ai_generated is False
    assert verdict.weights_sha256 is None
    assert [p.name for p in tmp_path.iterdir()] == ["x.mp4"]


def test_the_seed_draws_what_the_prompt_leaves_open(tmp_path: Path) -> None:
    def frames(seed: int) -> np.ndarray[Any, Any]:
        show("a bird", tmp_path / "x.mp4", **TINY, seed=seed, overwrite=True)
        return read_video(tmp_path / "x.mp4").frames

    first = frames(0)
    assert np.array_equal(first, frames(0))
    assert not np.array_equal(first, frames(1))


def test_what_was_said_is_in_the_scene() -> None:
    said: dict[str, object] = {"setting": "desert", "event": "bounce", "color": "green", "time": "night", "count": 5}
    spec = stage_prompt(said, seed=0, seconds=0.5).spec
    assert (spec.setting, spec.event, spec.time, spec.subjects[0].color) == ("desert", "bounce", "night", "green")


@pytest.mark.parametrize(
    ("prompt", "change", "error", "words"),
    [
        ("", {}, InputError, "the prompt is empty"),
        ("quantum sadness", {}, WorldError, "says nothing that the world knows; name a setting .*desert"),
        ("a car in outer space", {}, WorldError, "'car' has settings neon street"),
        ("a red ball", {"size": (95, 64)}, InputError, "95x64"),
        ("a red ball", {"size": (4000, 64)}, InputError, "4000x64"),
        ("a red ball", {"seconds": 0.1}, InputError, "0.1 s"),
        ("a red ball", {"seconds": float("nan")}, InputError, "nan s"),
        ("a red ball", {"seed": -1}, InputError, "seed -1"),
    ],
)
def test_what_cannot_be(
    prompt: str, change: dict[str, Any], error: type[HaneulError], words: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=words):
        show(prompt, tmp_path / "x.mp4", **(TINY | change))
    assert list(tmp_path.iterdir()) == []


def test_the_old_file_is_kept(tmp_path: Path) -> None:
    (tmp_path / "x.mp4").write_text("mine")
    with pytest.raises(OutputError, match="exists already"):
        show("a red ball", tmp_path / "x.mp4", **TINY)
    assert (tmp_path / "x.mp4").read_text() == "mine"


def test_interruption_leaves_nothing(tmp_path: Path) -> None:
    def stop(done: int, _: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        show("a red ball", tmp_path / "x.mp4", **TINY, progress=stop)
    assert list(tmp_path.iterdir()) == []


def test_the_command(tmp_path: Path) -> None:
    target = str(tmp_path / "x.mp4")
    command = [
        "world",
        "show",
        "빨간 자동차가 반짝이는 눈밭을 달린다",
        "-o",
        target,
        "--size",
        "96x64",
        "--seconds",
        "0.5",
    ]
    result = CliRunner().invoke(cli.main, command)
    assert result.exit_code == 0, result.stderr
    assert result.stdout == f"{target}\n"
    assert "warning: the world does not know '반짝이는'" in result.stderr
    assert haneul.verify(target).here
    result = CliRunner().invoke(cli.main, ["world", "show", "a car in outer space", "-o", target, "--overwrite"])
    assert result.exit_code == WorldError.exit_code
    assert result.stderr.count("\n") == 1
