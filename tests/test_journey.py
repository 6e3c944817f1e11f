"""A country without an end: the same place is the same again, what is seen is what stands there, nothing is gone
through, and how riders go is learned from what they did."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from haneul.model import live
from haneul.model.framecode import FrameCode
from haneul.model.going import Going
from haneul.model.live import LiveConfig, by_place
from haneul.train.live import learn_going
from haneul.train.rides import read_rides, told_of
from haneul.world.country import Country
from haneul.world.journey import SEEN, Journey
from haneul.world.rides import RIDERS, ride_spec, simulate_ride, way_of
from haneul.world.scene import FPS, GEOM_OBJECT
from haneul.world.sight import CHANNELS, COLUMNS, POINTS, ROWS, sight


def test_a_place_is_the_same_when_somebody_comes_back() -> None:
    here, there = ((-9.0, -9.0), (9.0, 9.0)), ((300.0, -500.0), (320.0, -480.0))
    country = Country("desert", 5)
    first = {(t.x, t.y): t.rows.tobytes() for t in country.within(*here)}
    for k in range(60):  # more cells than are remembered
        list(country.within((100.0 * k, 0.0), (100.0 * k + 60.0, 60.0)))
    assert {(t.x, t.y): t.rows.tobytes() for t in country.within(*here)} == first
    assert {(t.x, t.y) for t in Country("desert", 5).within(*there)} == {(t.x, t.y) for t in country.within(*there)}
    assert {(t.x, t.y) for t in Country("desert", 6).within(*here)} != set(first)
    assert 5 < len(first) < 25
    assert not list(Country("sea", 5).within(*here))


def test_what_is_seen_is_what_stands_there() -> None:
    """Distances of a thing ahead against the sum on paper; sky above, ground below with its pattern."""
    journey = Journey("car", "tiled plaza", 1)
    things = [t for t in journey.things if abs(math.atan2(t.y, t.x)) < 0.3 and 4 < math.hypot(t.x, t.y) < 14]
    assert things, "choose a seed where something stands ahead"
    found = journey.go((0.0, 0.0, 0.0))
    assert found.shape == (ROWS, COLUMNS, CHANNELS)
    camera = journey.camera()
    thing = min(things, key=lambda t: math.hypot(t.x, t.y))
    middle = thing.rows[0][1:4] - camera.origin
    depth = float(middle @ camera.forward)
    column = int((float(middle @ camera.right) * camera.focal / depth * ROWS + COLUMNS) / 2)
    row = int((ROWS - float(middle @ camera.up) * camera.focal / depth * ROWS) / 2)
    nearness, sky, solid, height = found[row, column, :4]
    assert (sky, solid) == (0, 1)
    away = 4 / nearness - 4
    assert np.linalg.norm(middle) - thing.near - 0.2 < away < np.linalg.norm(middle)
    assert 0 < height * 3 < 2.6
    assert found[0, :, 1].mean() > 0.5, "sky above"
    below = found[-1]
    assert (below[:, 1:4] == 0).all()
    assert np.square(below[:, 4:6]).sum(-1) == pytest.approx(np.square(below[:, 6:8]).sum(-1), rel=1e-4)


def test_a_point_is_told_where_it_was() -> None:
    """Turning left, all moves right in the picture, so it was further left; going ahead, what is on the left was nearer
    to the middle. By turning alone the far sky moves as far as the focal length says."""
    journey = Journey("car", "sea", 0)
    assert (np.abs(journey.go((0.0, 0.0, 0.0))[..., 8:]) < 1e-3).all(), "nobody moved"
    ahead = journey.go((0.3, 0.0, 0.0))
    assert ahead[-1, 2, 8] > 0 > ahead[-1, -3, 8]
    assert ahead[-1, 28, 9] < 0
    before = journey.camera()
    turned = journey.go((0.0, 0.0, 0.2))
    angle = math.acos(float(np.clip(before.forward @ journey.camera().forward, -1, 1)))
    focal = before.focal * ROWS / 2 * 7 / COLUMNS
    assert turned[0, 28, 8] == pytest.approx(-math.tan(angle) * focal, rel=0.15)


def test_what_comes_nearer_grows() -> None:
    journey = Journey("bird", "tiled plaza", 2)
    shares = [float(journey.go((0.25, 0.0, 0.0))[..., 2].mean()) for _ in range(8)]
    assert shares[0] != shares[-1]
    assert journey.x == pytest.approx(2.0, abs=0.6)


def test_nothing_is_gone_through() -> None:
    journey, rng = Journey("car", "cyberpunk city", 3), np.random.default_rng(0)
    went = 0.0
    for _ in range(400):
        before = journey.x, journey.y
        journey.go((0.3, 0.0, float(rng.normal(0, 0.08))))
        went += math.hypot(journey.x - before[0], journey.y - before[1])
        near = min((math.hypot(t.x - journey.x, t.y - journey.y) - t.near for t in journey.things), default=SEEN)
        assert near > RIDERS["car"].clear - 0.5
    assert went > 40, "and it is led around things, not stopped by them"


@pytest.mark.parametrize("kind", ["car", "camera"])
def test_steps_turn_the_way_that_rides_do(kind: str) -> None:
    """A ride's own steps, taken in a journey, lead where the ride went, and the camera looks where its camera did."""
    spec = ride_spec(4, 4.0, kind=kind)
    truth = simulate_ride(spec)
    told = told_of(spec)
    seen, steps = told["sight"], told["steps"]
    journey = Journey(kind, "sea", 0)  # nothing stands in the way
    for step in steps.tolist():
        journey.go(tuple(step))
    way = way_of(truth)[0]
    went = math.hypot(*(way[-1] - way[0]))
    assert math.hypot(journey.x, journey.y) == pytest.approx(went, rel=0.03)
    a, b = truth.cameras[0].forward[:2].astype(float), truth.cameras[-1].forward[:2].astype(float)
    turn = math.atan2(a[0] * b[1] - a[1] * b[0], float(a @ b))
    ahead = journey.camera().forward[:2]
    assert math.atan2(ahead[1], ahead[0]) == pytest.approx(turn, abs=0.03)
    scenery = truth.geoms_TNG[0][truth.geoms_TNG[0, :, GEOM_OBJECT] == 0]
    again = sight(scenery, truth.cameras[48], spec.setting, truth.cameras[46])
    np.testing.assert_allclose(seen[24].float().numpy(), again, atol=2e-3)
    assert len(seen) == len(steps) == 4 * FPS // 2 + 1


def test_the_model_expects_what_is_seen() -> None:
    assert (live.CHANNELS, live.POINTS) == (CHANNELS, POINTS)
    assert LiveConfig().grid == (ROWS // POINTS, COLUMNS // POINTS)


def test_a_sight_is_cut_as_latents_are() -> None:
    whole = torch.arange(2 * 16 * 24 * 2).float().view(2, 16, 24, 2)
    cut = by_place(whole)
    assert cut.shape == (2, 6, 128)
    assert cut[1, 4].view(8, 8, 2).equal(whole[1, 8:, 8:16])


def test_how_riders_go_is_learned(tmp_path_factory: pytest.TempPathFactory) -> None:
    """From rides by the keys alone: on others it tells left from right, and how far, within a tenth."""
    from haneul.world.produce import Plan, render_dataset

    folder = tmp_path_factory.mktemp("going")
    plan = Plan(clips=6, shard=6, seconds=4.0, sizes=((112, 64),), rides=True, riders=("car",))
    render_dataset(folder / "rides", plan, workers=1)
    code = FrameCode(8, (4, 7))
    rides = read_rides(folder / "rides", folder / "cache", code, lambda _: None, workers=1)
    assert {said["kind"] for said in rides.said} == {"car"}
    torch.manual_seed(0)
    going, said = Going(2, 1), []
    learn_going(going, rides, np.arange(5), ("car",), said.append, steps=250)
    assert len(said) == 1
    with torch.no_grad():
        told = going.along(rides.keys[5:, 1:], torch.ones(1, 1))[0].sum(0)
    went = rides.steps[5, 1:].sum(0)
    assert float(told[0]) == pytest.approx(float(went[0]), rel=0.15)
    assert float(told[2]) == pytest.approx(float(went[2]), abs=0.35)
