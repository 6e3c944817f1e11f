"""The weights that ship: they load, make a signed video through the public door, and follow a prompt's setting."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import haneul
from haneul.backbones.live import Live
from haneul.backbones.native import Native
from haneul.config import Settings
from haneul.evals.play import pan, played, ride_of
from haneul.video.io import probe
from haneul.world.rides import ride_spec


@pytest.fixture(scope="module")
def nano() -> Native:
    return Native()


def test_the_bundled_model_makes_a_signed_video(nano: Native, tmp_path: Path) -> None:
    settings = Settings(data=tmp_path / "data", cache=tmp_path / "cache")
    out = tmp_path / "sea.mp4"
    result = haneul.generate(
        "파란 바다에 물결이 친다", output=out, seconds=0.5, steps=3, seed=1, backbone=nano, settings=settings
    )
    assert result.warnings == []
    info = probe(out)
    assert (info.width, info.height, round(info.fps)) == (896, 512, 24)
    verdict = haneul.verify(out, settings=settings)
    assert verdict.exit_code == 0
    assert "haneul-nano" in verdict.text()


def test_the_setting_follows_the_prompt(nano: Native) -> None:
    """Snow at noon is bright, space is dark, the sea is bluer than the desert: over three seeds each."""
    prompts = [
        "a ball on a snowy field at noon",
        "a ball in outer space",
        "waves on the sea at noon",
        "a desert at noon",
    ]
    videos = nano.base_videos(prompts * 3, seeds=list(range(12)), size=(896, 512), steps=12)
    mean = videos.astype(float).mean((1, 2, 3)).reshape(3, 4, 3).mean(0)
    snow, space, sea, desert = mean
    assert snow.mean() > space.mean() + 60
    assert sea[2] - sea[0] > desert[2] - desert[0] + 20
    assert np.isfinite(mean).all()


def test_the_bundled_world_is_steered_and_lasts() -> None:
    """Held-out combinations: the country moves right while the car steers left and left while it steers right; and
    after half a minute of both there is as much light, and as much to see, as at the start."""
    live = Live()
    for number in (0, 3):
        spec = ride_spec(10_000 + number, 10.0, kind="car", only_held_out=True)
        left, right = (played(live, spec, steer, 1.0, seconds=4.0)[18:] for steer in (-1.0, 1.0))
        assert pan(left) > 1 > -1 > pan(right)
    ride = ride_of(live, spec)
    frames = [ride.picture(ride.next(float(t // 24 % 3 - 1), 1.0)).astype(float) for t in range(30 * live.fps)]
    first, last = np.stack(frames[12:60]), np.stack(frames[-48:])
    assert abs(last.mean() - first.mean()) < 25
    assert 0.6 < last.std() / first.std() < 1.7
