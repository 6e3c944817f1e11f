"""Public face of the renderer: a table of geoms, an environment and a camera in, a picture out.

    frame = render_frame(geoms_NG, environment, camera, style="photo", time=0.5, width=112, height=64)

The work is done by scalar functions (tracer, surfaces, backdrop, styles) that numba compiles for the CPU, once per
machine and installation (disk cache), and for CUDA in `render_cuda`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, cast

import numba
import numpy as np
from numpy.typing import NDArray

from haneul.errors import WorldError
from haneul.world import scalar as s
from haneul.world.light import FAR
from haneul.world.scene import FPS, GEOM_OBJECT, GEOM_RADIUS, GEOM_WIDTH, Camera, Environment, Truth
from haneul.world.styles import REACH, style_pixel
from haneul.world.surfaces import SURFACES
from haneul.world.tracer import first_pass, second_pass
from haneul.world.vocabulary import SETTINGS, STYLES

__all__ = ["SURFACES", "Frame", "Renderer", "render_frame"]

Quality = Literal["fast", "fine"]
Device = Literal["cpu", "cuda"]
Crop = tuple[int, int, int, int]
_SAMPLES = {"fast": 3, "fine": 7}  # samples of a pixel on an edge besides its centre
_STREETS = ("neon street", "cyberpunk city")
#: Mean colour of each floor, for the light that it throws back onto things.
_FLOORS = {
    "art gallery": (0.42, 0.24, 0.11), "neon street": (0.05, 0.05, 0.07), "desert": (0.78, 0.50, 0.24),
    "sea": (0.03, 0.14, 0.20), "snowy field": (0.82, 0.87, 0.94), "forest": (0.12, 0.24, 0.04),
    "tiled plaza": (0.50, 0.49, 0.46), "outer space": (0.0, 0.0, 0.0), "brick courtyard": (0.42, 0.22, 0.14),
    "cyberpunk city": (0.05, 0.04, 0.08),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Frame:
    """One rendered picture. H, W are those of the crop where one was asked for."""

    rgb: NDArray[np.uint8]  # [H, W, 3] display values
    ids: NDArray[np.uint8]  # [H, W] GEOM_OBJECT at the pixel's centre, 0 for scenery, floor and sky
    depth: NDArray[np.float32]  # [H, W] metres along the ray, infinity for the sky


def _compiled(digest: str) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """The two cached CPU loops. `digest` is a closure variable so that a change of any source recompiles them."""

    @numba.njit(cache=True, fastmath=True, error_model="numpy", nogil=True)
    def trace(
        G: s.Array, P: s.Array, bounds: s.Array, x0: int, y0: int,
        color: s.Array, depth: s.Array, key: s.Keys, out: s.Array,
    ) -> int:  # fmt: skip
        rows, cols, N = key.shape[0], key.shape[1], G.shape[0]
        for row in range(rows):
            for col in range(cols):
                first_pass(G, N, P, bounds, x0 + col, y0 + row, row, col, color, depth, key)
        for row in range(rows):
            for col in range(cols):
                second_pass(G, N, P, bounds, x0 + col, y0 + row, row, col, color, depth, key, out)
        return len(digest)

    @numba.njit(cache=True, fastmath=True, error_model="numpy", nogil=True)
    def finish(
        image: s.Array, key: s.Keys, x0: int, y0: int, top: int, left: int, style: int,
        height: float, width: float, time: float, rgb: NDArray[np.uint8],
    ) -> int:  # fmt: skip
        for row in range(rgb.shape[0]):
            for col in range(rgb.shape[1]):
                r, g, b = style_pixel(image, key, row + top, col + left, x0 + col, y0 + row, style, height, width, time)
                rgb[row, col, 0] = int(min(max(r, 0.0), 1.0) * 255.0 + 0.5)
                rgb[row, col, 1] = int(min(max(g, 0.0), 1.0) * 255.0 + 0.5)
                rgb[row, col, 2] = int(min(max(b, 0.0), 1.0) * 255.0 + 0.5)
        return len(digest)

    return cast(Callable[..., Any], trace), cast(Callable[..., Any], finish)


_trace, _finish = _compiled(s.source_digest())


def detail_of(richness: float) -> float:
    """Contrast of texture: nearly none at low richness, all at 1."""
    return 0.05 + 0.95 * math.pow(min(max(richness, 0.0), 1.0), 1.5)


def _parameters(
    environment: Environment, camera: Camera, time: float, width: int, height: int, quality: Quality
) -> s.Array:
    """The parameter vector that the scalar functions read, float64 [P_LENGTH]."""
    e, P = environment, np.zeros(s.P_LENGTH)
    P[s.P_WIDTH], P[s.P_HEIGHT], P[s.P_FOCAL] = width, height, camera.focal
    P[s.P_PIXEL] = 2.0 / (height * camera.focal)
    for slot, vector in (
        (s.P_ORIGIN, camera.origin), (s.P_FORWARD, camera.forward), (s.P_RIGHT, camera.right), (s.P_UP, camera.up),
        (s.P_SUN, e.sun), (s.P_SUN_RGB, e.sun_rgb), (s.P_TOP, e.sky_top), (s.P_HORIZON, e.sky_horizon),
        (s.P_AMBIENT, e.ambient),
    ):  # fmt: skip
        P[slot : slot + 3] = vector
    P[s.P_FOG], P[s.P_DETAIL], P[s.P_SEED] = e.fog, detail_of(e.richness), e.seed
    P[s.P_SNOW], P[s.P_WIND], P[s.P_TIME] = e.snow, e.wind, time
    P[s.P_SETTING] = SETTINGS.index(e.setting)
    P[s.P_NIGHT] = 1.0 if e.time == "night" else 0.35 if e.time == "sunset" else 0.0
    if e.setting in _STREETS:
        P[s.P_NIGHT] = max(P[s.P_NIGHT], 0.5)
    lights = np.asarray(e.lights, dtype=np.float64)[:4]
    P[s.P_LIGHT_COUNT] = len(lights)
    P[s.P_LIGHTS : s.P_LIGHTS + lights.size] = lights.ravel()
    P[s.P_SOFTNESS] = 0.25 if e.setting == "art gallery" or e.time == "foggy morning" else 0.09
    P[s.P_GLOW] = (0.25 + 0.75 * P[s.P_NIGHT] + min(20.0 * e.fog, 0.3)) * (len(lights) > 0)
    lit = np.asarray(e.ambient, float) * 0.5 + np.asarray(e.sun_rgb, float) * 0.35 * max(float(e.sun[2]), 0.0)
    P[s.P_BOUNCE : s.P_BOUNCE + 3] = np.array(_FLOORS[e.setting]) * lit
    P[s.P_SAMPLES] = _SAMPLES[quality]
    return P


def screen_bounds(geoms: s.Array, camera: Camera) -> s.Array:
    """Box of each bounding sphere on the screen (u0, u1, v0, v1), conservative, float64 [N, 4]."""
    v = geoms[:, 1:4] - camera.origin
    z = v @ camera.forward
    radius = geoms[:, GEOM_RADIUS] * 1.001
    bounds = np.empty((len(geoms), 4))
    for k, axis in enumerate((camera.right, camera.up)):
        x = v @ axis
        flat = np.sqrt(x * x + z * z)
        angle, spread = np.arctan2(x, z), np.arcsin(np.minimum(radius / np.maximum(flat, 1e-9), 1.0))
        low, high = angle - spread, angle + spread
        wide = (low < -1.5) | (high > 1.5) | (flat <= radius)
        bounds[:, 2 * k] = np.where(wide, -np.inf, np.tan(np.where(wide, 0.0, low)) * camera.focal)
        bounds[:, 2 * k + 1] = np.where(wide, np.inf, np.tan(np.where(wide, 0.0, high)) * camera.focal)
    bounds[z < -radius] = (1.0, -1.0, 1.0, -1.0)  # behind the camera
    return np.clip(bounds, -1e6, 1e6)  # finite: the compiled code assumes no infinities


@dataclass(frozen=True, kw_only=True)
class ClipTables:
    """What the compiled passes read of a clip, frame by frame: T frames, N geoms."""

    geoms_TNG: s.Array
    parameters_TP: s.Array
    bounds_TN4: s.Array
    times_T: s.Array  # seconds
    style: int  # index into STYLES


def clip_tables(truth: Truth, size: tuple[int, int], *, stride: int, quality: Quality = "fast") -> ClipTables:
    """The tables of every `stride`-th frame of a simulation, drawn at `size` (width, height)."""
    frames = range(0, len(truth.cameras), stride)
    geoms = np.ascontiguousarray(truth.geoms_TNG[::stride], dtype=np.float64)
    cameras = [truth.cameras[i] for i in frames]
    times = np.array([i / FPS for i in frames])
    rows = [
        _parameters(truth.environment, camera, time, *size, quality)
        for camera, time in zip(cameras, times.tolist(), strict=True)
    ]
    bounds = [screen_bounds(g, camera) for g, camera in zip(geoms, cameras, strict=True)]
    return ClipTables(
        geoms_TNG=geoms, parameters_TP=np.stack(rows), bounds_TN4=np.stack(bounds), times_T=times,
        style=STYLES.index(truth.spec.style),
    )  # fmt: skip


def objects_of(geoms_NG: NDArray[Any]) -> NDArray[np.uint8]:
    """The subject's number of what a key of the passes names, key // 128: sky and floor come first."""
    return np.concatenate([np.zeros(2), geoms_NG[:, GEOM_OBJECT]]).astype(np.uint8)


class Renderer:
    """Renders frames on one device. Stateless but for the compiled code; safe to share between threads."""

    def __init__(self, device: Device = "cpu") -> None:
        """device: 'cpu' or 'cuda'. Raises WorldError if CUDA is asked for and missing."""
        if device not in ("cpu", "cuda"):
            raise WorldError(f"unknown device {device!r}; choose 'cpu' or 'cuda'")
        self.device = device

    def render(
        self,
        geoms_NG: NDArray[np.float32],
        environment: Environment,
        camera: Camera,
        *,
        style: str = "photo",
        time: float = 0.0,
        width: int,
        height: int,
        quality: Quality = "fast",
        crop: Crop | None = None,
    ) -> Frame:
        """See `render_frame`."""
        if style not in STYLES:
            raise WorldError(f"unknown style {style!r}; choose one of {', '.join(STYLES)}")
        if geoms_NG.ndim != 2 or geoms_NG.shape[1] != GEOM_WIDTH:
            raise WorldError(f"geoms must have shape [N, {GEOM_WIDTH}], got {geoms_NG.shape}")
        if quality not in _SAMPLES:
            raise WorldError(f"unknown quality {quality!r}; choose 'fast' or 'fine'")
        x0, y0, w, h = crop or (0, 0, width, height)
        if min(w, h) < 1 or min(x0, y0) < 0 or x0 + w > width or y0 + h > height:
            raise WorldError(f"crop {crop} does not lie within the {width}x{height} frame")
        kind = STYLES.index(style)
        margin = 1 + math.ceil(REACH[kind] * height / 64.0)
        left, top = min(margin, x0), min(margin, y0)
        rows = min(y0 + h + margin, height) - (y0 - top)
        cols = min(x0 + w + margin, width) - (x0 - left)
        geoms = np.ascontiguousarray(geoms_NG, dtype=np.float64)
        P = _parameters(environment, camera, time, width, height, quality)
        bounds = screen_bounds(geoms, camera)
        color, image = np.empty((rows, cols, 3)), np.empty((rows, cols, 3))
        depth, key = np.empty((rows, cols)), np.empty((rows, cols), np.int64)
        rgb = np.empty((h, w, 3), np.uint8)
        shape = (kind, float(height), float(width), float(time))
        if self.device == "cuda":
            from haneul.world.render_cuda import render_passes

            render_passes(geoms, P, bounds, x0, y0, top, left, shape, color, depth, key, image, rgb)
        else:
            _trace(geoms, P, bounds, x0 - left, y0 - top, color, depth, key, image)
            _finish(image, key, x0, y0, top, left, *shape, rgb)
        window = (slice(top, top + h), slice(left, left + w))
        far = depth[window]
        return Frame(
            rgb=rgb,
            ids=objects_of(geoms)[key[window] // 128],
            depth=np.where(far >= FAR, np.inf, far).astype(np.float32),
        )


_CPU = Renderer("cpu")


def render_frame(
    geoms_NG: NDArray[np.float32],
    environment: Environment,
    camera: Camera,
    *,
    style: str = "photo",
    time: float = 0.0,
    width: int,
    height: int,
    quality: Quality = "fast",
    crop: Crop | None = None,
) -> Frame:
    """Render one picture on the CPU, on the calling thread.

    geoms_NG: scene.GEOM_* columns, float32 [N, GEOM_WIDTH]. style: one of vocabulary.STYLES. time: seconds, moves
    waves, clouds and snow. quality: 'fast' (4) or 'fine' (8 samples on edges). crop: (x0, y0, w, h) in pixels of
    the full frame; the result equals that window of the full picture. Same input, same bytes on one machine.
    Raises WorldError for names out of the vocabulary, wrong shapes and crops outside the frame.
    """
    return _CPU.render(
        geoms_NG, environment, camera, style=style, time=time, width=width, height=height, quality=quality, crop=crop
    )
