"""Rides: what is told is what happens, the camera follows, nothing stands in the way, and the same seed is the same."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from haneul.errors import InputError
from haneul.world.events.steered import headings
from haneul.world.produce import Plan, render_clip
from haneul.world.rides import (
    CAMERA,
    HELD,
    RIDERS,
    SHOWN,
    STOPPED,
    felt,
    halted,
    kept_apart,
    keys,
    kind_of,
    ride_spec,
    simulate_ride,
    way_of,
)
from haneul.world.scene import FPS, GEOM_OBJECT, GEOM_POS, GEOM_SIZE, ClipSpec, Truth, held_out

SECONDS = 4.0
FRAMES = round(SECONDS * FPS) + 1


def ride(kind: str, steer: float, go: float = 1.0, seed: int = 3) -> Truth:
    held = (np.full(FRAMES, steer), np.full(FRAMES, go))
    return simulate_ride(ride_spec(seed, SECONDS, kind=kind), held)


def turned(truth: Truth) -> float:
    """Radians to the left, from the first frame to the last."""
    heading = way_of(truth)[1]
    return float(heading[-1] - heading[0])


@pytest.mark.parametrize("kind", list(RIDERS))
def test_a_rider_goes_where_it_is_told(kind: str) -> None:
    left, straight, right = (turned(ride(kind, steer)) for steer in (-1.0, 0.0, 1.0))
    assert left > 0.8
    assert right < -0.8
    assert abs(straight) < 0.1


@pytest.mark.parametrize("kind", ["car", "robot", CAMERA])
def test_a_rider_without_a_key_stands(kind: str) -> None:
    way = way_of(ride(kind, 0.0, go=0.0))[0]
    assert np.linalg.norm(way[-1] - way[0]) < 0.1
    way = way_of(ride(kind, 0.0, go=1.0))[0]
    assert np.linalg.norm(way[-1] - way[0]) > 2.0


@pytest.mark.parametrize("kind", SHOWN)
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


def test_the_camera_walks_at_eye_height_and_nothing_is_shown_before_it() -> None:
    truth = ride(CAMERA, 1.0)
    assert kind_of(truth.spec) == CAMERA
    assert not (truth.geoms_TNG[..., GEOM_OBJECT] > 0).any()
    assert all(camera.origin[2] == pytest.approx(RIDERS[CAMERA].height) for camera in truth.cameras)
    way, heading = way_of(truth)
    went = np.linalg.norm(np.diff(way, axis=0), axis=1).sum()
    assert went == pytest.approx(1.8 * SECONDS, rel=0.02)
    assert heading[-1] - heading[0] == pytest.approx(-1.2 * SECONDS, rel=0.02)
    standing = ride(CAMERA, 1.0, go=0.0)
    assert turned(standing) == pytest.approx(-1.2 * SECONDS, rel=0.02), "it turns where it stands"
    scenery = truth.geoms_TNG[0]
    for row in scenery:
        assert np.hypot(*(way - row[GEOM_POS][:2]).T).min() > RIDERS[CAMERA].clear


def test_a_camera_is_rendered_as_other_rides_are() -> None:
    plan = Plan(clips=2, seconds=1.0, sizes=((112, 64),), rides=True, riders=(CAMERA, "car"), stops=0.5)
    clip = render_clip(plan.spec_of(plan.seed_of(0)), (112, 64), ride=True)
    assert clip.video_THW3.shape == (13, 64, 112, 3)
    assert not clip.ids_THW.any()
    assert [kind_of(plan.spec_of(plan.seed_of(n))) for n in range(4)] == [CAMERA, "car"] * 2


def test_what_is_open_is_never_the_camera() -> None:
    assert {kind_of(ride_spec(seed, SECONDS)) for seed in range(30)} == set(SHOWN)


def test_stops_are_long_enough_to_come_to_rest() -> None:
    times, found = np.arange(10 * FPS + 1) / FPS, []
    for seed in range(200):
        go = halted(np.ones_like(times), times, np.random.default_rng(seed))
        edges = np.flatnonzero(np.diff(np.concatenate([[1.0], go, [1.0]])))
        spans = (edges[1::2] - edges[::2]) / FPS
        assert 1 <= len(spans) <= 2
        assert spans.min() >= STOPPED[0] - 2 / FPS
        found.append((len(spans), go[0]))
    assert 0.2 < np.mean([begin == 0 for _, begin in found]) < 0.6, "now and then at the start"
    assert 60 < sum(many == 2 for many, _ in found) < 140


def test_stops_change_nothing_but_the_key() -> None:
    """Rides that were planned before there were stops are the same to the byte; with them only the going differs."""
    plain, halting = ride_spec(21, SECONDS, kind="car"), ride_spec(21, SECONDS, kind="car", stops=1.0)
    assert halting == replace(plain, stops=True)
    a, b = simulate_ride(plain), simulate_ride(halting)
    assert np.array_equal(a.controls_TK[:, 6], b.controls_TK[:, 6])
    assert (b.controls_TK[:, 7] <= a.controls_TK[:, 7]).all()
    assert b.controls_TK[:, 7].sum() < a.controls_TK[:, 7].sum()
    shares = np.mean([ride_spec(seed, SECONDS, stops=0.25).stops for seed in range(400)])
    assert 0.18 < shares < 0.32


@pytest.mark.parametrize(
    ("kind", "setting", "color", "geoms", "pos", "origin"),
    [
        ("car", "cyberpunk city", "purple", 33, (2.647, 0.886, 0.390), (-0.926, 1.124, 1.670)),
        ("robot", "cyberpunk city", "purple", 36, (1.112, -0.265, 0.890), (-1.916, 0.385, 1.895)),
        ("bird", "snowy field", "orange", 190, (1.665, -0.489, 2.141), (-1.054, 0.207, 2.970)),
        (None, "desert", "pink", 218, (2.647, 0.886, 0.390), (-0.926, 1.124, 1.670)),
    ],
)  # fmt: skip
def test_rides_of_before_are_the_same(
    kind: str | None, setting: str, color: str, geoms: int, pos: tuple[float, ...], origin: tuple[float, ...]
) -> None:
    """What seed 5 gave before there were a camera and stops."""
    truth = simulate_ride(ride_spec(5, 2.0, kind=kind))
    assert (truth.spec.setting, truth.spec.subjects[0].color) == (setting, color)
    assert truth.geoms_TNG.shape[1] == geoms
    assert truth.pos_TS3[-1, 0] == pytest.approx(pos, abs=2e-3)
    assert truth.cameras[-1].origin == pytest.approx(origin, abs=2e-3)
    assert truth.controls_TK[:, 6:8].sum(0).tolist() == [16.0, 49.0]


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
    walks = [ride_spec(seed, SECONDS, kind=CAMERA, only_held_out=True) for seed in range(40)]
    apart = {(spec.setting, spec.time) for spec in walks}
    assert all(kept_apart(spec) for spec in walks)
    assert len(apart) > 1
    assert not apart & {(s.setting, s.time) for s in (ride_spec(n, SECONDS, kind=CAMERA) for n in range(200))}


def test_only_rides_have_stops() -> None:
    with pytest.raises(InputError, match="only rides have riders and stops"):
        Plan(clips=8, stops=0.5)
    with pytest.raises(InputError, match="from 0 to 1"):
        Plan(clips=8, rides=True, stops=1.5)


def test_rides_are_steered_anyway() -> None:
    with pytest.raises(InputError, match="steered anyway"):
        Plan(clips=8, rides=True, steered=0.5)
