"""The renderer: what it draws, that it is steady, and that both devices draw the same."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from haneul.errors import WorldError
from haneul.world.backdrop import make_environment
from haneul.world.physics import simulate
from haneul.world.produce import draw
from haneul.world.render import SURFACES, Renderer, render_frame
from haneul.world.sample import sample_spec
from haneul.world.scene import GEOM_WIDTH, Camera, Environment, Truth
from haneul.world.vocabulary import COLORS, MATERIALS, SETTINGS, STYLES, TIMELESS, TIMES, WORKS


def geom(
    kind: int,
    position: tuple[float, float, float],
    size: tuple[float, ...],
    color: str = "red",
    surface: str = "plastic",
    *,
    thing: int = 0,
    seed: float = 0.3,
) -> NDArray[np.float32]:
    row = np.zeros(GEOM_WIDTH, np.float32)
    row[0], row[1:4], row[4:13] = kind, position, np.eye(3).ravel()
    row[13 : 13 + len(size)] = size
    row[16:19], row[19], row[21], row[22] = COLORS[color], SURFACES.index(surface), thing, seed
    row[23] = {0: size[0], 1: float(np.linalg.norm(size)), 4: max(size)}.get(kind, sum(size))
    return row


def camera(distance: float = 4.2) -> Camera:
    origin, look = np.array([0.8, -distance, 1.5]), np.array([0.0, 0.0, 0.5])
    forward = (look - origin) / np.linalg.norm(look - origin)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    axes = [np.asarray(v, np.float32) for v in (origin, forward, right, np.cross(right, forward))]
    return Camera(origin=axes[0], forward=axes[1], right=axes[2], up=axes[3], focal=2.5)


def world(setting: str = "tiled plaza", time: str | None = "noon", richness: float = 0.3) -> Environment:
    return make_environment(setting, None if setting in TIMELESS else time, richness, 0.4)


THINGS = np.stack(
    [
        geom(0, (-0.9, 0.0, 0.45), (0.45,), "red", "rubber", thing=1),
        geom(1, (0.2, 0.2, 0.4), (0.4, 0.4, 0.4), "blue", "wood", thing=2),
        geom(2, (1.2, -0.2, 0.4), (0.3, 0.4), "yellow", "metal", thing=3),
        geom(3, (0.2, -0.9, 0.2), (0.15, 0.2), "pink", "marble", thing=4),
        geom(4, (-1.6, 1.2, 0.5), (0.3, 0.2, 0.5), "green", "foliage", thing=5),
        geom(1, (1.4, 1.6, 0.9), (0.4, 0.03, 0.4), "white", "painting", seed=0.4),
    ]
)


def test_vocabulary_materials_come_first() -> None:
    assert set(SURFACES[: len(MATERIALS)]) == set(MATERIALS)


def test_ids_depth_and_colour_of_a_ball() -> None:
    ball = geom(0, (0.0, 0.0, 0.5), (0.5,), "red", "rubber", thing=7)[None]
    frame = render_frame(ball, world(), camera(), width=112, height=64)
    seen = frame.ids == 7
    assert 0.03 < seen.mean() < 0.3
    assert set(np.unique(frame.ids)) == {0, 7}
    mean = frame.rgb[seen].mean(0)
    assert mean[0] > 1.8 * mean[1]
    assert mean[0] > 1.8 * mean[2]
    middle = frame.depth[frame.ids == 7].min()
    assert middle == pytest.approx(np.linalg.norm(camera().origin - [0, 0, 0.5]) - 0.5, abs=0.02)
    assert np.isinf(frame.depth[0]).all()
    assert np.isfinite(frame.depth[-1]).all()


def test_same_input_gives_same_bytes_and_time_moves_the_sea() -> None:
    a, b, later = (
        render_frame(THINGS, world("sea"), camera(), width=56, height=32, time=t).rgb for t in (0.5, 0.5, 1.2)
    )
    assert a.tobytes() == b.tobytes() != later.tobytes()


@pytest.mark.parametrize("style", STYLES)
def test_crop_equals_the_window_of_the_whole(style: str) -> None:
    environment = dataclasses.replace(world("snowy field", "sunset", 0.8), snow=0.6)
    whole = render_frame(THINGS, environment, camera(), style=style, width=112, height=64, time=0.7)
    for x, y, w, h in ((37, 21, 30, 19), (0, 0, 20, 11), (90, 50, 22, 14)):
        part = render_frame(
            THINGS, environment, camera(), style=style, width=112, height=64, time=0.7, crop=(x, y, w, h)
        )
        window = (slice(y, y + h), slice(x, x + w))
        assert (part.rgb == whole.rgb[window]).all()
        assert (part.ids == whole.ids[window]).all()
        assert (part.depth == whole.depth[window]).all()


@pytest.mark.parametrize("style", STYLES)
def test_two_resolutions_show_one_picture(style: str) -> None:
    environment = world("brick courtyard", "noon")
    small = render_frame(THINGS, environment, camera(), style=style, width=56, height=32).rgb.astype(float)
    large = render_frame(THINGS, environment, camera(), style=style, width=224, height=128).rgb.astype(float)
    shrunk = large.reshape(32, 4, 56, 4, 3).mean((1, 3))
    error = np.abs(small - shrunk).mean()
    assert error < (6.0 if style in ("photo", "cyberpunk", "film noir") else 18.0), error


def test_styles_are_unlike_each_other() -> None:
    pictures = [render_frame(THINGS, world(), camera(), style=s, width=56, height=32).rgb.astype(float) for s in STYLES]
    for i in range(len(STYLES)):
        for j in range(i):
            assert np.abs(pictures[i] - pictures[j]).mean() > 6.0, (STYLES[i], STYLES[j])


def test_settings_and_times_are_unlike_each_other() -> None:
    means = {}
    for setting in SETTINGS:
        for time in (None,) if setting in TIMELESS else TIMES:
            rgb = render_frame(THINGS[:0], world(setting, time), camera(), width=28, height=16).rgb.astype(float)
            means[setting, time] = np.concatenate([rgb[:5].mean((0, 1)), rgb[8:].mean((0, 1))])
    keys = list(means)
    for i, a in enumerate(keys):
        for b in keys[:i]:
            assert np.abs(means[a] - means[b]).max() > 5.0, (a, b)


def test_richness_is_contrast() -> None:
    def roughness(richness: float) -> float:
        rgb = render_frame(THINGS[:0], world("brick courtyard", "noon", richness), camera(), width=112, height=64).rgb
        return float(np.abs(np.diff(rgb[34:].astype(float), axis=1)).mean())

    assert roughness(1.0) > 1.5 * roughness(0.2)


def test_each_work_has_a_manner_of_its_own() -> None:
    pictures = []
    for manner in range(len(WORKS)):
        work = geom(1, (0.0, 0.0, 0.6), (0.7, 0.03, 0.6), "white", "painting", seed=(manner + 0.4) / 6)[None]
        frame = render_frame(work, world("art gallery"), camera(3.0), width=56, height=32)
        pictures.append(frame.rgb[8:22, 20:36].astype(float))
    for i in range(len(WORKS)):
        for j in range(i):
            assert np.abs(pictures[i] - pictures[j]).mean() > 8.0, (WORKS[i], WORKS[j])


@pytest.mark.parametrize("surface", SURFACES)
def test_every_surface_draws_on_every_shape(surface: str) -> None:
    sizes = {0: (0.4,), 1: (0.4, 0.1, 0.4), 2: (0.3, 0.4), 3: (0.2, 0.2), 4: (0.4, 0.3, 0.2)}
    for kind, size in sizes.items():
        shape = geom(kind, (0.0, 0.0, 0.5), size, "cyan", surface, thing=1)[None]
        frame = render_frame(shape, world("cyberpunk city", "night", 0.9), camera(), width=28, height=16)
        assert (frame.ids == 1).any(), (surface, kind)
        assert frame.rgb[frame.ids == 1].max() > 15, (surface, kind)


def test_a_ball_throws_a_shadow_away_from_the_sun() -> None:
    ball, environment = geom(0, (0.0, 0.0, 0.5), (0.5,), thing=1)[None], world("snowy field", "noon", 0.0)
    bare = render_frame(ball[:0], environment, camera(), width=112, height=64).rgb.astype(float).mean(2)
    frame = render_frame(ball, environment, camera(), width=112, height=64)
    darker = (bare - frame.rgb.astype(float).mean(2) > 25) & (frame.ids == 0)
    assert darker.sum() > 15


def test_bad_input_is_refused_with_the_value() -> None:
    with pytest.raises(WorldError, match="crayon"):
        render_frame(THINGS, world(), camera(), style="crayon", width=8, height=8)
    with pytest.raises(WorldError, match="crop"):
        render_frame(THINGS, world(), camera(), width=8, height=8, crop=(4, 4, 8, 8))
    with pytest.raises(WorldError, match=r"\(6, 3\)"):
        render_frame(THINGS[:, :3], world(), camera(), width=8, height=8)
    with pytest.raises(WorldError, match="midnight"):
        make_environment("desert", "midnight", 0.3, 0.1)
    with pytest.raises(WorldError, match="tpu"):
        Renderer("tpu")  # type: ignore[arg-type]


def two_frames() -> Truth:
    """The first two frames of a simulated clip."""
    truth = simulate(sample_spec(9, seconds=0.5))
    return dataclasses.replace(truth, geoms_TNG=truth.geoms_TNG[:2], cameras=truth.cameras[:2])


_SIMULATED = """
import sys
import numpy as np
from tests.test_world_render import THINGS, camera, two_frames, world
from haneul.world.render import Renderer, clip_tables, objects_of
from haneul.world.render_cuda import ClipCanvas
out = {}
for k, (setting, style) in enumerate((("neon street", "photo"), ("forest", "pencil sketch"))):
    frame = Renderer("cuda").render(THINGS, world(setting, "night"), camera(), style=style, width=14, height=8)
    out[f"rgb{k}"], out[f"ids{k}"] = frame.rgb, frame.ids
canvas = ClipCanvas(2, 14, 8)
tables = clip_tables(two_frames(), (14, 8), stride=1)
rgb, key = (x.copy_to_host() for x in canvas.draw(tables))
out["clip"], out["clip_ids"] = rgb, objects_of(tables.geoms_TNG[0])[key // 128]
np.savez(sys.argv[1], **out)
"""


def test_cuda_source_draws_the_cpu_picture(tmp_path: Path) -> None:
    """The CUDA side, in numba's simulator: slow, hence tiny."""
    pytest.importorskip("numba_cuda")
    root = Path(__file__).resolve().parents[1]
    env = {**os.environ, "NUMBA_ENABLE_CUDASIM": "1", "PYTHONPATH": str(root)}
    done = subprocess.run(
        [sys.executable, "-c", _SIMULATED, str(tmp_path / "gpu.npz")],
        env=env, cwd=root, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    got = np.load(tmp_path / "gpu.npz")
    for k, (setting, style) in enumerate((("neon street", "photo"), ("forest", "pencil sketch"))):
        want = render_frame(THINGS, world(setting, "night"), camera(), style=style, width=14, height=8)
        assert (got[f"ids{k}"] == want.ids).all()
        assert np.abs(got[f"rgb{k}"].astype(int) - want.rgb).max() <= 2
    both = draw(two_frames(), (14, 8), stride=1, quality="fast")
    for (rgb, ids), seen, seen_ids in zip(both, got["clip"], got["clip_ids"], strict=True):
        assert (seen_ids == ids).all()
        assert np.abs(seen.astype(int) - rgb).max() <= 2
