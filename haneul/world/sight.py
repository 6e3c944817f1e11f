"""What stands where, as a camera has it before it: distances and heights of a coarse picture, and no colour, light or
rider. It is what the live model is told of the country (model/live.py); how all that looks it must know by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numba
import numpy as np
from numpy.typing import NDArray

from haneul.world import scalar as s
from haneul.world.light import NOTHING
from haneul.world.render import screen_bounds
from haneul.world.scene import Camera
from haneul.world.tracer import camera_ray, primary
from haneul.world.vocabulary import SETTINGS

ROWS, COLUMNS = 32, 56
#: nearness 4 / (4 + metres), 0 of the sky; whether it is sky; whether a thing; its height, of 3 m; and of the ground
#: sines and cosines of where it is, x and y, with periods of 2 m, weaker as it blurs in the distance; and where the
#: point was in the picture before, right and down, in patches of POINTS x POINTS points
CHANNELS = 10
POINTS = 8
FARTHEST = 2.0  #: patches by which it is told to have moved at most


def _compiled(digest: str) -> Callable[..., Any]:
    """The cached CPU loop; `digest` as in render.py."""

    @numba.njit(cache=True, fastmath=True, error_model="numpy", nogil=True)
    def look(G: s.Array, P: s.Array, bounds: s.Array, B: s.Array, out: NDArray[np.float32]) -> int:
        for row in range(out.shape[0]):
            for col in range(out.shape[1]):
                u, v, d = camera_ray(P, col + 0.5, row + 0.5)
                t, i = primary(G, G.shape[0], P, bounds, u, v, d)
                for k in range(out.shape[2]):
                    out[row, col, k] = 0.0
                far = t if i != NOTHING else 1e4
                x, y, z = P[s.P_ORIGIN] + far * d[0], P[s.P_ORIGIN + 1] + far * d[1], P[s.P_ORIGIN + 2] + far * d[2]
                x, y, z = x - B[0], y - B[1], z - B[2]
                deep = max(x * B[3] + y * B[4] + z * B[5], 0.05) / P[s.P_FOCAL]
                right = (x * B[6] + y * B[7] + z * B[8]) / deep * (0.5 * ROWS) + 0.5 * COLUMNS
                down = 0.5 * ROWS - (x * B[9] + y * B[10] + z * B[11]) / deep * (0.5 * ROWS)
                out[row, col, 8] = min(max((right - col - 0.5) / POINTS, -FARTHEST), FARTHEST)
                out[row, col, 9] = min(max((down - row - 0.5) / POINTS, -FARTHEST), FARTHEST)
                if i == NOTHING:
                    out[row, col, 1] = 1.0
                    continue
                out[row, col, 0] = 4.0 / (4.0 + t)
                if i >= 0:
                    out[row, col, 2] = 1.0
                    out[row, col, 3] = min(max(P[s.P_ORIGIN + 2] + t * d[2], 0.0), 6.0) / 3.0
                    continue
                x, y = P[s.P_ORIGIN] + t * d[0], P[s.P_ORIGIN + 1] + t * d[1]
                keep = max(1.0 - t * P[s.P_PIXEL] / max(abs(d[2]), 0.02), 0.0)
                out[row, col, 4], out[row, col, 5] = keep * np.sin(np.pi * x), keep * np.cos(np.pi * x)
                out[row, col, 6], out[row, col, 7] = keep * np.sin(np.pi * y), keep * np.cos(np.pi * y)
        return len(digest)

    return cast(Callable[..., Any], look)


_look = _compiled(s.source_digest())


def sight(
    geoms_NG: NDArray[np.float32], camera: Camera, setting: str, before: Camera | None = None
) -> NDArray[np.float32]:
    """[ROWS, COLUMNS, CHANNELS] of geoms (scene.GEOM_*) that stand still, 7:4; `before` is the camera of the frame
    before, the same unless it moved."""
    P = np.zeros(s.P_LENGTH)
    P[s.P_WIDTH], P[s.P_HEIGHT], P[s.P_FOCAL] = COLUMNS, ROWS, camera.focal
    P[s.P_PIXEL], P[s.P_SETTING] = 2.0 / (ROWS * camera.focal), SETTINGS.index(setting)
    for slot, vector in (
        (s.P_ORIGIN, camera.origin), (s.P_FORWARD, camera.forward), (s.P_RIGHT, camera.right), (s.P_UP, camera.up),
    ):  # fmt: skip
        P[slot : slot + 3] = vector
    geoms = np.ascontiguousarray(geoms_NG, dtype=np.float64)
    out = np.empty((ROWS, COLUMNS, CHANNELS), np.float32)
    last = before or camera
    seen_from = np.concatenate([last.origin, last.forward, last.right, last.up]).astype(np.float64)
    _look(geoms, P, screen_bounds(geoms, camera), seen_from, out)
    return out
