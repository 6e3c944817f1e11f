"""The camera: placed after the simulation, so that what the caption speaks of is large and stays in the picture.

The distance is solved for: the subjects' outlines are projected in every fourth frame, and the camera goes as near as
the wanted height and the picture's borders allow. Moves have a constant visible speed over the whole clip.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from haneul.world.scene import FPS, GEOM_POS, GEOM_ROT, GEOM_SIZE, GEOM_TYPE, Camera
from haneul.world.stage import Array, Shot

FOCAL = 2.2  # 1 / tan(half the vertical field of view), 49 degrees
STEP = 4  # every fourth frame is looked at while solving
TOP = 0.93  # subjects stay within this share of the half frame height
LEAST_HEIGHT = 0.24  # subjects that would be smaller than this may cross the picture's border instead
ORBIT = (math.radians(12), math.radians(18))  # per second
ORBIT_MOST = math.radians(76)
PUSH = (0.11, 0.14)  # of the distance per second, as an exponent
PUSH_MOST = 0.62
CRANE = (math.radians(6.0), math.radians(7.5))
CRANE_MOST = math.radians(38)
TRUCK = (0.13, 0.18)  # of the distance per second
TRUCK_MOST = 0.8


@dataclass(frozen=True, kw_only=True)
class Path:
    """A camera move before its distance is known: angles and shares of the distance for each frame."""

    azimuth_T: Array
    elevation_T: Array
    scale_T: Array
    lateral_T: Array  # sideways shift of camera and target
    axis: float  # azimuth whose right vector the shift follows


@dataclass(frozen=True, kw_only=True)
class Framing:
    """The cameras of a clip with their distances from what they look at, float [T]."""

    cameras: tuple[Camera, ...]
    look_T3: Array
    distance_T: Array
    height: float  # median share of the frame's height that the subjects fill


def camera_path(move: str, shot: Shot, frames: int, rng: np.random.Generator) -> Path:
    """The course of `move` (vocabulary.CAMERAS) over `frames` frames."""
    t = (np.arange(frames) - (frames - 1) / 2) / FPS
    seconds = max(frames / FPS, 1.0)
    azimuth = rng.uniform(-shot.azimuth, shot.azimuth)
    elevation = rng.uniform(*shot.elevation)
    rates = {name: rng.uniform(*span) for name, span in (("o", ORBIT), ("p", PUSH), ("c", CRANE), ("t", TRUCK))}
    azimuth_T, elevation_T = np.full(frames, azimuth), np.full(frames, elevation)
    scale_T, lateral_T = np.ones(frames), np.zeros(frames)
    if move.startswith("orbit"):
        side = 1 if move.endswith("right") else -1
        azimuth_T = azimuth * 0.4 + side * min(rates["o"], ORBIT_MOST / seconds) * t
    elif move in ("push in", "pull back"):
        side = -1 if move == "push in" else 1
        scale_T = np.exp(side * min(rates["p"], PUSH_MOST / seconds) * t)
    elif move == "crane up":
        rise = min(rates["c"], CRANE_MOST / seconds)
        elevation_T = math.radians(3.5) + rise * (t - t[0])
    elif move.startswith("truck"):
        side = 1 if move.endswith("right") else -1
        lateral_T = side * min(rates["t"], TRUCK_MOST / seconds) * t
    return Path(azimuth_T=azimuth_T, elevation_T=elevation_T, scale_T=scale_T, lateral_T=lateral_T, axis=azimuth)


@dataclass(frozen=True, kw_only=True)
class View:
    """Camera axes and positions for each frame, float [T, 3]."""

    origin: Array
    forward: Array
    right: Array
    up: Array

    def cameras(self) -> tuple[Camera, ...]:
        """One camera for each frame."""
        axes = (v.astype(np.float32) for v in (self.origin, self.forward, self.right, self.up))
        return tuple(
            Camera(origin=origin, forward=forward, right=right, up=up, focal=FOCAL)
            for origin, forward, right, up in zip(*axes, strict=True)
        )


def place(path: Path, target: Array, distance: float, drift_T: Array | None = None) -> tuple[View, Array]:
    """Cameras of `path` at `distance` around `target` [3], and what they look at [T, 3]."""
    sin_a, cos_a = np.sin(path.azimuth_T), np.cos(path.azimuth_T)
    sin_e, cos_e = np.sin(path.elevation_T), np.cos(path.elevation_T)
    outward = np.stack([sin_a * cos_e, -cos_a * cos_e, sin_e], -1)
    side = np.array([math.cos(path.axis), math.sin(path.axis), 0.0])
    shift_T = path.lateral_T * distance if drift_T is None else drift_T
    look = target + shift_T[:, None] * side
    right = np.stack([cos_a, sin_a, np.zeros_like(sin_a)], -1)
    forward = -outward
    up = np.cross(right, forward)
    origin = look + outward * (distance * path.scale_T)[:, None]
    return View(origin=origin, forward=forward, right=right, up=up), look


def reach(geoms_TGC: Array, axis_T3: Array) -> Array:
    """How far each geom extends from its centre along an axis, metres [T, G] (support function of the solid)."""
    rot = geoms_TGC[..., GEOM_ROT].reshape(*geoms_TGC.shape[:2], 3, 3)
    local = np.abs(np.einsum("tgij,ti->tgj", rot, axis_T3))
    size = geoms_TGC[..., GEOM_SIZE]
    kind = geoms_TGC[..., GEOM_TYPE]
    along = local[..., 2]
    across = np.sqrt(np.clip(1 - along**2, 0, 1))
    choices = [
        size[..., 0],
        (local * size).sum(-1),
        along * size[..., 1] + across * size[..., 0],
        along * size[..., 1] + size[..., 0],
        np.sqrt(((local * size) ** 2).sum(-1)),
    ]
    return np.asarray(np.choose(kind.astype(int), choices))


@dataclass(frozen=True, kw_only=True)
class Outline:
    """Extent of the geoms in the picture, in half frame heights, each [T, G]."""

    left: Array
    right: Array
    bottom: Array
    top: Array


def project(geoms_TGC: Array, view: View) -> Outline:
    """Outlines of geoms as seen by the cameras (perspective at each geom's centre)."""
    offset = geoms_TGC[..., GEOM_POS] - view.origin[:, None]
    depth = np.maximum(np.einsum("tgi,ti->tg", offset, view.forward), 0.05) / FOCAL
    x = np.einsum("tgi,ti->tg", offset, view.right)
    y = np.einsum("tgi,ti->tg", offset, view.up)
    wide, high = reach(geoms_TGC, view.right), reach(geoms_TGC, view.up)
    return Outline(left=(x - wide) / depth, right=(x + wide) / depth, bottom=(y - high) / depth, top=(y + high) / depth)


def filled_height(outline: Outline, subject_G: NDArray[np.bool_]) -> Array:
    """Share of the frame's height between the lowest and the highest point of the subjects, [T]."""
    if not subject_G.any():
        return np.zeros(len(outline.top))
    return np.asarray((outline.top[:, subject_G].max(1) - outline.bottom[:, subject_G].min(1)) / 2)


def _overflow(outline: Outline, width: float) -> float:
    """By which factor the outlines exceed the allowed part of the picture; <= 1 fits."""
    wide = max(-outline.left.min(), outline.right.max()) / width
    high = max(-outline.bottom.min(), outline.top.max()) / TOP
    return float(max(wide, high))


def frame_clip(
    geoms_TGC: Array, subject_G: NDArray[np.bool_], move: str, shot: Shot, rng: np.random.Generator
) -> Framing:
    """Place the camera for a clip.

    `geoms_TGC` [T, G, GEOM_WIDTH] are the geoms that must be seen, `subject_G` marks those whose height counts.
    """
    frames = len(geoms_TGC)
    path = camera_path(move, shot, frames, rng)
    drift_T = None
    if shot.truck is not None:
        path = replace(path, axis=0.0)  # along the wall
        drift_T = shot.truck * (np.arange(frames) - (frames - 1) / 2) / FPS
    wanted = rng.uniform(*shot.height)
    if shot.target is not None and shot.distance is not None:
        target, distance = shot.target, shot.distance
    else:
        target, distance = _solve(geoms_TGC[::STEP].astype(float), subject_G, path, shot, wanted)
    view, look = place(path, target, distance, drift_T)
    outline = project(geoms_TGC.astype(float), view)
    height = float(np.median(filled_height(outline, subject_G))) if subject_G.any() else 0.0
    return Framing(cameras=view.cameras(), look_T3=look, distance_T=distance * path.scale_T, height=height)


def _solve(geoms: Array, subject_G: NDArray[np.bool_], path: Path, shot: Shot, wanted: float) -> tuple[Array, float]:
    """Target [3] and distance: as near as `wanted` height and the borders allow."""
    short = Path(
        azimuth_T=path.azimuth_T[::STEP], elevation_T=path.elevation_T[::STEP], scale_T=path.scale_T[::STEP],
        lateral_T=path.lateral_T[::STEP], axis=path.axis,
    )  # fmt: skip
    centre = geoms[..., GEOM_POS].reshape(-1, 3)
    target = (centre.min(0) + centre.max(0)) / 2 if shot.target is None else shot.target
    middle = len(short.azimuth_T) // 2
    distance = 2.0 + 2.5 * float(np.ptp(centre, axis=0).max() + geoms[..., GEOM_SIZE].max())
    measured = subject_G if subject_G.any() else np.ones_like(subject_G)
    for _ in range(7):  # each round divides the error by about ten
        view, _look = place(short, target, distance)
        outline = project(geoms, view)
        if shot.target is None:
            shift_x = (outline.left.min() + outline.right.max()) / 2
            shift_y = (outline.bottom.min() + outline.top.max()) / 2
            target = target + (distance / FOCAL) * (shift_x * view.right[middle] + shift_y * view.up[middle])
            outline = project(geoms, place(short, target, distance)[0])
        height = float(np.median(filled_height(outline, measured)))
        factor = max(_overflow(outline, shot.width), height / wanted)
        factor = min(factor, height / LEAST_HEIGHT)
        distance *= factor
    return target, distance
