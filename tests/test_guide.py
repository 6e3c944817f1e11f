"""What a scene tells besides its picture: masks, and exact motion."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from haneul.world import guide, motion
from haneul.world.grammar import parse
from haneul.world.produce import stage_prompt
from haneul.world.render import render_frame
from haneul.world.scene import FPS, GEOM_OBJECT, Camera, Truth

SIZE = (128, 96)


def drawn(truth: Truth, at: int) -> tuple[np.ndarray, np.ndarray]:
    frame = render_frame(
        truth.geoms_TNG[at], truth.environment, truth.cameras[at], style=truth.spec.style, time=at / FPS,
        width=SIZE[0], height=SIZE[1],
    )  # fmt: skip
    return frame.depth, frame.ids


@pytest.fixture(scope="module")
def rolls() -> Truth:
    """A ball that rolls, seen by a camera that rests."""
    return stage_prompt(parse("a red ball rolls down grey stairs").attributes, 3, 1.0)


def test_subjects_are_where_their_motion_says(rolls: Truth) -> None:
    now, then = 4, 8
    camera = rolls.cameras[now]
    (depth, ids), (_, after) = drawn(rolls, now), drawn(rolls, then)
    flow = motion.flow(depth, ids, rolls.geoms_TNG[now], rolls.geoms_TNG[then], camera, camera)
    assert flow.shape == (*SIZE[::-1], 2)
    assert np.abs(flow[ids == 0]).max() < 1e-3  # scenery rests
    compared = 0
    for subject in np.unique(ids[ids > 0]):
        rows, columns = np.nonzero(ids == subject)
        goes = np.round(np.stack([columns, rows], -1) + flow[rows, columns]).astype(int)
        inside = ((goes >= 0) & (goes < SIZE)).all(-1)
        lands = after[goes[inside, 1], goes[inside, 0]] == subject
        if inside.sum() > 30:
            assert lands.mean() > 0.6  # what turned away is on the other side of it
            compared += 1
    assert compared
    rigid = rolls.geoms_TNG[now].copy()
    rigid[:, 1] += 0.5 * (rigid[:, GEOM_OBJECT] > 0)  # half a metre along x
    shifted = motion.flow(depth, ids, rolls.geoms_TNG[now], rigid, camera, camera)
    rows, columns = np.nonzero(ids > 0)
    u = (2 * (columns + 0.5) - SIZE[0]) / SIZE[1]
    v = (SIZE[1] - 2 * (rows + 0.5)) / SIZE[1]
    ray = camera.forward * camera.focal + u[:, None] * camera.right + v[:, None] * camera.up
    point = ray / np.linalg.norm(ray, axis=-1, keepdims=True) * depth[rows, columns, None] + np.array([0.5, 0, 0])
    x = camera.focal * (point @ camera.right) / (point @ camera.forward) * SIZE[1] / 2 + SIZE[0] / 2 - 0.5
    np.testing.assert_allclose(shifted[rows, columns, 0], x - columns, atol=1e-2)


def test_a_camera_that_moves_moves_all(rolls: Truth) -> None:
    depth, ids = drawn(rolls, 4)
    camera, geoms = rolls.cameras[4], rolls.geoms_TNG[4]
    aside: Camera = dataclasses.replace(camera, origin=camera.origin + 0.2 * camera.right)
    flow = motion.flow(depth, ids, geoms, geoms, camera, aside)
    seen = np.isfinite(depth)
    assert (flow[seen][:, 0] < 0).all()
    assert np.abs(flow[seen][:, 1]).max() < 1e-2
    near = depth < np.percentile(depth[seen], 20)
    assert flow[near][:, 0].mean() < flow[seen & ~near][:, 0].mean()  # what is near moves more
    assert np.abs(flow[~seen]).max(initial=0) < 1e-2  # the sky does not come nearer


def test_parts_of_a_subject_are_told_apart() -> None:
    size = np.array([1.0, 2.0, 3.0], np.float32)
    on = {0: (0, 0, 1), 1: (0.2, 2, 0.1), 2: (0, 1, 0.5), 3: (0, 0, 3), 4: (0, 2, 0)}
    for kind, point in on.items():
        assert motion._off(np.array([point], float), kind, size)[0] < 1e-6
        assert motion._off(np.array([point], float) * 1.3, kind, size)[0] > 0.2 or kind == 3


def test_motion_and_masks_as_pictures() -> None:
    flow = np.zeros((1, 1, 5, 2), np.float32)
    flow[0, 0, 1:] = [(4, 0), (-4, 0), (0, 4), (2, 0)]
    still, right, left, down, slow = motion.colours(flow)[0, 0].astype(int)
    assert (still == 255).all()
    assert len({tuple(c) for c in (right, left, down)}) == 3
    assert (np.abs(slow - (255 + right) / 2) <= 1).all()  # half as fast, half as much colour
    ids = np.array([[0, 1, 2]], np.uint8)
    assert guide.masks(ids)[0, :2].tolist() == [[0, 0, 0], [255, 255, 255]]
    assert 0 < guide.masks(ids)[0, 2].sum() < 765


@pytest.mark.parametrize("tell", ["masks", "motion"])
def test_a_scene_tells(tell: str) -> None:
    told = guide.frames(
        guide.Guide(scene="a red ball rolls down grey stairs", tell=tell), size=(64, 48), seconds=0.3, fps=10.0
    )
    assert (told.shape, told.dtype) == ((3, 48, 64, 3), np.uint8)
    assert told.std() > 1


def test_edges_are_where_a_scene_bends_and_ends(rolls: Truth) -> None:
    depth, ids = drawn(rolls, 4)
    edge = guide.edges(depth, ids, rolls.cameras[4].focal)
    assert (edge.shape, edge.dtype) == ((*SIZE[::-1], 3), np.uint8)
    assert set(np.unique(edge)) == {0, 255}
    ends = guide.outlines(ids) > 0
    assert (edge[ends] == 255).all()  # where subjects end
    assert ends.sum() < (edge > 0).sum() < 0.4 * edge.size  # and the steps of the stairs
    told = guide.frames(
        guide.Guide(scene="a red ball rolls down grey stairs", tell="edges", seed=3), size=SIZE, seconds=1.0, fps=FPS
    )
    assert np.array_equal(told[4], edge)
