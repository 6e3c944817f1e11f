"""Rides: what is told is what happens, the camera follows, nothing stands in the way, and the same seed is the same."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from haneul.errors import InputError
from haneul.world.events.steered import headings
from haneul.world.produce import Plan, render_clip
from haneul.world.rides import HELD, RIDERS, felt, keys, ride_spec, simulate_ride
from haneul.world.scene import FPS, GEOM_OBJECT, GEOM_POS, GEOM_SIZE, ClipSpec, Truth, held_out

SECONDS = 4.0
FRAMES = round(SECONDS * FPS) + 1


def ride(kind: str, steer: float, go: float = 1.0, seed: int = 3) -> Truth:
    held = (np.full(FRAMES, steer), np.full(FRAMES, go))
    return simulate_ride(ride_spec(seed, SECONDS, kind=kind), held)


def turned(truth: Truth) -> float:
    """Radians to the left, from the first frame to the last."""
    heading = headings(truth.quat_TS4[:, 0].astype(float))
    return float(heading[-1] - heading[0])


@pytest.mark.parametrize("kind", list(RIDERS))
def test_a_rider_goes_where_it_is_told(kind: str) -> None:
    left, straight, right = (turned(ride(kind, steer)) for steer in (-1.0, 0.0, 1.0))
    assert left > 0.8
    assert right < -0.8
    assert abs(straight) < 0.1


@pytest.mark.parametrize("kind", ["car", "robot"])
def test_a_rider_without_a_key_stands(kind: str) -> None:
    way = ride(kind, 0.0, go=0.0).pos_TS3[:, 0, :2]
    assert np.linalg.norm(way[-1] - way[0]) < 0.1
    way = ride(kind, 0.0, go=1.0).pos_TS3[:, 0, :2]
    assert np.linalg.norm(way[-1] - way[0]) > 2.0


@pytest.mark.parametrize("kind", list(RIDERS))
def test_the_camera_follows_from_behind(kind: str) -> None:
    truth = ride(kind, 1.0)
    heading = headings(truth.quat_TS4[:, 0].astype(float))
    for t in (0, FRAMES // 2, FRAMES - 1):
        camera, pos = truth.cameras[t], truth.pos_TS3[t, 0]
        assert np.linalg.norm(pos - camera.origin) == pytest.approx(RIDERS[kind].distance, rel=0.15)
        ahead = np.array([math.cos(heading[t]), math.sin(heading[t]), 0.0])
        assert float(camera.forward @ ahead) > 0.7
        offset = pos - camera.origin
        sideways = float(offset @ camera.right) / float(offset @ camera.forward)
        assert abs(sideways) < 0.05, "the rider is in the middle of the picture"


@pytest.mark.parametrize("seed", range(6))
def test_nothing_stands_in_the_way(seed: int) -> None:
    spec = ride_spec(seed, SECONDS)
    truth = simulate_ride(spec)
    scenery = truth.geoms_TNG[0][truth.geoms_TNG[0, :, GEOM_OBJECT] == 0]
    way = truth.pos_TS3[:, 0, :2]
    for row in scenery:
        away = np.hypot(*(way - row[GEOM_POS][:2]).T).min()
        assert away > min(RIDERS[spec.subjects[0].kind].clear, row[GEOM_SIZE][:2].max())


def test_a_seed_is_a_ride_and_its_keys_are_logged() -> None:
    spec = ride_spec(11, SECONDS)
    assert spec == ride_spec(11, SECONDS)
    a, b = render_clip(spec, (112, 64), ride=True), render_clip(spec, (112, 64), ride=True)
    assert a.video_THW3.tobytes() == b.video_THW3.tobytes()
    assert a.video_THW3.shape == (FRAMES // 2 + 1, 64, 112, 3)
    held = a.truth.controls_TK[:, 6:8]
    assert set(np.unique(held[:, 0])) <= {-1.0, 0.0, 1.0}
    assert set(np.unique(held[:, 1])) <= {0.0, 1.0}
    assert len(np.unique(held, axis=0)) > 1


def test_keys_are_held_and_felt_at_once_but_softly() -> None:
    times = np.arange(24 * 60) / FPS
    steer, go = keys(times, np.random.default_rng(0))
    for track in (steer, go):
        spans = np.diff(np.flatnonzero(np.diff(track, prepend=np.nan))) / FPS
        assert spans.min() >= HELD[0] - 2 / FPS
    step: NDArray[np.float64] = np.concatenate([np.zeros(20), np.ones(20)])
    effect = felt(step)
    assert effect[19] == 0, "nothing is felt before the key is held"
    assert 0 < effect[20] < effect[22] < 1
    assert effect[30] == pytest.approx(1)


def test_held_out_rides_are_kept_apart() -> None:
    plan = Plan(clips=8, seconds=SECONDS, sizes=((112, 64),), rides=True)
    assert not any(held_out(plan.spec_of(plan.seed_of(n))) for n in range(40))
    kept = Plan(clips=8, seconds=SECONDS, sizes=((112, 64),), rides=True, held_out=True)
    specs: list[ClipSpec] = [kept.spec_of(kept.seed_of(n)) for n in range(10)]
    assert all(held_out(spec) for spec in specs)


def test_rides_are_steered_anyway() -> None:
    with pytest.raises(InputError, match="steered anyway"):
        Plan(clips=8, rides=True, steered=0.5)
