"""A scene that directs another model: simulated here with real physics, and told frame by frame as a picture, as exact
depth, as edges, as outlines of its subjects, as their masks, or as the motion of every pixel.

    scene = "a red ball rolls down grey stairs in a desert"    # what the world's grammar can read
    tell = "depth"                                             # picture, depth, edges, objects, masks or motion
    hold = 0.4                                                 # how much of it stays, where it is noised
    seed = 0
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, fields
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from haneul.errors import InputError
from haneul.world.grammar import parse
from haneul.world.motion import colours, flow
from haneul.world.produce import stage_prompt
from haneul.world.render import render_frame
from haneul.world.scene import FPS, Truth

TELLS = ("picture", "depth", "objects", "masks", "motion", "edges")
#: Distances between which depth is told: as disparity, near bright and far dark, like the depth maps that control
#: models were trained on (Ranftl et al. 2020, arXiv:1907.01341). Percentiles of a clip, so that nothing flickers.
NEAR, FAR = 1.0, 99.0
#: Shades of the subjects in masks, the main one first; scenery is black.
MASKS = ((255, 255, 255), (230, 60, 60), (60, 200, 80), (70, 110, 240), (240, 200, 50), (200, 80, 220), (60, 210, 220))
#: A bend of the surface from pixel to pixel, as a share of its inverse distance, from which on it is an edge.
BEND = 0.005


@dataclass(frozen=True, kw_only=True)
class Guide:
    """What directs: a scene in words, and how it is told."""

    scene: str
    tell: str = "depth"
    hold: float = 0.4
    seed: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.scene, str) or not self.scene.strip():
            raise InputError('the guide has no scene; say what happens: scene = "a red ball rolls down stairs"')
        if self.tell not in TELLS:
            raise InputError(f"the guide tells {self.tell!r}; choose {', '.join(TELLS)}")
        if not isinstance(self.hold, int | float) or not 0 <= self.hold < 1:
            raise InputError(f"a hold of {self.hold!r} is out of range; choose 0 to below 1")
        if not isinstance(self.seed, int) or not 0 <= self.seed < 2**31:
            raise InputError(f"seed {self.seed!r} of the guide is out of range; choose 0 to 2^31 - 1")


def read(path: Path) -> Guide:
    """A guide from its file. Raises InputError for what is none, WorldError for a scene that the world cannot read."""
    try:
        table: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"there is no guide {path}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the guide {path} cannot be read: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"the guide {path.name} is not valid TOML: {error}") from error
    known = [field.name for field in fields(Guide)]
    for key in table:
        if key not in known:
            raise InputError(f"the guide {path.name} has an unknown key {key!r}; known are {', '.join(known)}")
    if "scene" not in table:
        raise InputError(f'the guide {path.name} has no scene; say what happens, such as "a ball rolls down stairs"')
    guide = Guide(**table)
    parse(guide.scene)
    return guide


def frames(guide: Guide, *, size: tuple[int, int], seconds: float, fps: float) -> NDArray[np.uint8]:
    """The scene as it is told, uint8 [T, H, W, 3] at `fps`. `size` is (width, height)."""
    truth = stage_prompt(parse(guide.scene).attributes, guide.seed, seconds)
    count = max(1, round(seconds * fps))
    at = [min(len(truth.cameras) - 1, round(i * FPS / fps)) for i in range(count)]
    drawn = list(islice(_draw(truth, at, size), count))
    if guide.tell == "picture":
        return np.stack([rgb for rgb, _, _ in drawn])
    if guide.tell == "objects":
        return np.stack([outlines(ids) for _, _, ids in drawn])
    if guide.tell == "edges":
        focal = [truth.cameras[i].focal for i in at]
        return np.stack([edges(depth, ids, f) for (_, depth, ids), f in zip(drawn, focal, strict=True)])
    if guide.tell == "masks":
        return np.stack([masks(ids) for _, _, ids in drawn])
    if guide.tell == "motion":
        return colours(np.stack([_motion(truth, at, k, *drawn[k][1:]) for k in range(count)]))
    return shades(np.stack([depth for _, depth, _ in drawn]))


def _draw(
    truth: Truth, at: list[int], size: tuple[int, int]
) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.uint8]]]:  # fmt: skip
    for i in at:
        frame = render_frame(
            truth.geoms_TNG[i], truth.environment, truth.cameras[i], style=truth.spec.style, time=i / FPS,
            width=size[0], height=size[1],
        )  # fmt: skip
        yield frame.rgb, frame.depth, frame.ids


def _motion(
    truth: Truth, at: list[int], k: int, depth: NDArray[np.float32], ids: NDArray[np.uint8]
) -> NDArray[np.float32]:  # fmt: skip
    """Motion from told frame `k` to the next one; of the last one, as far on as it was to it."""
    last = len(truth.cameras) - 1
    now, then = at[k], at[k + 1] if k + 1 < len(at) else min(last, 2 * at[k] - at[max(0, k - 1)])
    return flow(depth, ids, truth.geoms_TNG[now], truth.geoms_TNG[then], truth.cameras[now], truth.cameras[then])


def masks(ids_HW: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Where the subjects are: each in a colour of its own, the main one white, scenery and sky black."""
    palette = np.array([(0, 0, 0), *(MASKS[i % len(MASKS)] for i in range(255))], np.uint8)
    return palette[ids_HW]


def shades(depth_THW: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Depth in metres (infinity: the sky) as disparity, near bright, the sky black; one scale for the whole clip."""
    disparity = np.where(np.isfinite(depth_THW), 1 / np.maximum(depth_THW, 1e-3), 0.0)
    seen = disparity[disparity > 0]
    low, high = np.percentile(seen, [NEAR, FAR]) if seen.size else (0.0, 1.0)
    shade = np.where(disparity > 0, 0.08 + 0.92 * (disparity - low) / max(1e-9, high - low), 0.0)
    grey = (255 * shade.clip(0, 1)).round().astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=-1)


def edges(depth_HW: NDArray[np.float32], ids_HW: NDArray[np.uint8], focal: float) -> NDArray[np.uint8]:
    """Where subjects end, where the distance jumps, and where surfaces meet at an angle: white on black, uint8
    [H, W, 3]. `depth_HW`: metres along the ray, infinity for the sky; `focal`: the camera's, in half heights.

    1 / z is linear in the picture's coordinates on a plane in perspective, so its second difference is zero there and
    is not where planes meet or end. Nothing is blurred and nothing is guessed, as an edge detector does.
    """
    h, w = ids_HW.shape
    v, u = np.meshgrid((h - 1 - 2 * np.arange(h)) / h, (2 * np.arange(w) + 1 - w) / h, indexing="ij")
    inverse = np.sqrt(1 + (u**2 + v**2) / focal**2) / np.maximum(depth_HW.astype(np.float64), 1e-3)
    edge = outlines(ids_HW)[..., 0] > 0
    for axis in (0, 1):
        rows = np.moveaxis(inverse, axis, 0)
        near = np.maximum(np.maximum(rows[:-2], rows[2:]), rows[1:-1])
        bent = np.abs(rows[:-2] - 2 * rows[1:-1] + rows[2:]) > BEND * np.maximum(near, 1e-9)
        np.moveaxis(edge, axis, 0)[1:-1] |= bent
    return np.repeat(np.where(edge, np.uint8(255), np.uint8(0))[..., None], 3, axis=-1)


def outlines(ids_HW: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Where one subject ends and another or the scenery begins, white on black."""
    edge = np.zeros(ids_HW.shape, bool)
    edge[:, 1:] |= ids_HW[:, 1:] != ids_HW[:, :-1]
    edge[1:] |= ids_HW[1:] != ids_HW[:-1]
    grey = np.where(edge, np.uint8(255), np.uint8(0))
    return np.repeat(grey[..., None], 3, axis=-1)
