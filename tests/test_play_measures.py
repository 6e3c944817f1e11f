"""How well a world plays is measured right: shifts that were made are found, a live model's rides are judged."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray

from haneul import cli
from haneul.backbones.live import Live
from haneul.evals.play import HOLDS, in_time, long_ride, pan, simulated, stir, summed
from haneul.world.rides import ride_spec


def sliding(pixels: float, frames: int = 8) -> NDArray[np.uint8]:
    """uint8 [T, 64, 112, 3]: a ground of soft shapes that moves right by so many pixels a frame."""
    x = np.arange(112)[None, None] - pixels * np.arange(frames)[:, None, None]
    y = np.arange(64)[None, :, None]
    grey = 128 + 50 * np.sin(x / 5.0 + y / 9.0) + 40 * np.sin(x / 2.3 - y / 4.0)
    return np.repeat(grey[..., None], 3, -1).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("pixels", [-7.0, -2.5, 0.0, 1.0, 6.5])
def test_a_pan_is_found(pixels: float) -> None:
    assert pan(sliding(pixels)) == pytest.approx(12 * pixels, abs=3)


def test_what_stands_does_not_stir() -> None:
    assert stir(sliding(0.0)) == 0
    assert stir(sliding(2.0)) > 5


def test_the_simulation_obeys() -> None:
    spec = ride_spec(10_001, 2.0, kind="robot", only_held_out=True)
    left, right = (pan(simulated(spec, steer, 1.0)[9:]) for steer in (-1.0, 1.0))
    assert left > 40
    assert right < -40


def test_shares_are_of_those_that_can() -> None:
    good = {"left": 50.0, "right": -50.0, "ahead": 0.0, "going": 4.0, "standing": 0.5, "stops": 1.0}
    bird = good | {"standing": 3.9, "stops": 0.0}  # it cannot stand
    lost = good | {"left": -3.0}
    found = summed([good, bird, lost])
    assert found["steers"] == pytest.approx(2 / 3)
    assert found["stops"] == 1
    assert found["pan_right"] == -50
    assert "stops" not in summed([bird])


def test_the_camera_is_measured_as_riders_are() -> None:
    """In the simulation: what moves against the keys, and the ground that stands while no key is held."""
    spec = ride_spec(10_003, 2.0, kind="camera", only_held_out=True)
    left, right, ahead, stand = (simulated(spec, *keys)[9:] for keys in HOLDS)
    assert pan(left) > 40
    assert pan(right) < -40
    assert stir(stand) < 0.6 * stir(ahead)


def test_a_minute_and_its_time_are_measured(weights: Path) -> None:
    live = Live(weights)
    lasting = long_ride(live, lambda _: None, scenes=1, seconds=11.0)
    assert set(lasting["median"]) == {"colour", "contrast", "sharpness", "motion"}
    timed = in_time(live, lambda _: None, seconds=1.0)
    assert 1 < timed["fps"] <= 1.2 * live.fps
    assert 0 < timed["delay_median"] <= timed["delay_p95"]


def test_a_folder_of_weights_is_measured(weights: Path, tmp_path: Path) -> None:
    out = tmp_path / "play.json"
    done = CliRunner().invoke(
        cli.main, ["eval", "play", "obedience", "--weights", str(weights), "--scenes", "1", "--out", str(out)]
    )
    assert done.exit_code == 0, done.output
    found = json.loads(out.read_text())
    assert found["obedience"]["scenes"] == 1
    assert found["obedience"]["simulation"]["steers"] == 1
    assert found["obedience"]["simulation"]["riders"]["car"]["steers"] == 1
    done = CliRunner().invoke(cli.main, ["eval", "play", "colour", "--weights", str(weights), "--out", str(out)])
    assert done.exit_code != 0
    assert "there are: obedience, minute, time" in done.output
