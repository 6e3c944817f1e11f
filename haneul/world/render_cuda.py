"""The renderer's passes on a CUDA GPU: one thread per pixel, made from the same scalar functions as on the CPU.

Needs the package `numba-cuda` and a CUDA GPU, or its simulator (NUMBA_ENABLE_CUDASIM=1), which the tests use.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numpy.typing import NDArray

if not hasattr(
    np, "row_stack"
):  # numba-cuda up to 0.30 asks for it when it is imported; numpy 2.5 has dropped the name
    np.row_stack = np.vstack
from numba import cuda

from haneul.errors import WorldError
from haneul.world.render import ClipTables
from haneul.world.scalar import Array, Keys, cuda_twin
from haneul.world.styles import style_pixel
from haneul.world.tracer import first_pass, second_pass

_BLOCK = (8, 8)  # small blocks: neighbouring rays take the same branches


def available() -> bool:
    """Whether there is a CUDA GPU that can draw."""
    return bool(cuda.is_available())  # type: ignore[no-untyped-call]


@functools.cache
def _kernels() -> tuple[Any, Any, Any]:
    """One thread for each pixel, one layer of the grid for each frame."""
    if not available():
        raise WorldError("device 'cuda' was asked for, but no CUDA GPU is available; use device 'cpu'")
    first, second, styled = cuda_twin(first_pass), cuda_twin(second_pass), cuda_twin(style_pixel)

    @cuda.jit(fastmath=True)  # type: ignore[no-untyped-call]
    def trace(G, P, bounds, x0, y0, color, depth, key):  # type: ignore[no-untyped-def]
        col, row, f = cuda.grid(3)  # type: ignore[attr-defined]
        if f < key.shape[0] and row < key.shape[1] and col < key.shape[2]:
            first(G[f], G.shape[1], P[f], bounds[f], x0 + col, y0 + row, row, col, color[f], depth[f], key[f])

    @cuda.jit(fastmath=True)  # type: ignore[no-untyped-call]
    def refine(G, P, bounds, x0, y0, color, depth, key, out):  # type: ignore[no-untyped-def]
        col, row, f = cuda.grid(3)  # type: ignore[attr-defined]
        if f < key.shape[0] and row < key.shape[1] and col < key.shape[2]:
            x, y = x0 + col, y0 + row
            second(G[f], G.shape[1], P[f], bounds[f], x, y, row, col, color[f], depth[f], key[f], out[f])

    @cuda.jit(fastmath=True)  # type: ignore[no-untyped-call]
    def finish(image, key, x0, y0, top, left, style, height, width, times, rgb):  # type: ignore[no-untyped-def]
        col, row, f = cuda.grid(3)  # type: ignore[attr-defined]
        if f < rgb.shape[0] and row < rgb.shape[1] and col < rgb.shape[2]:
            i, j = row + top, col + left
            r, g, b = styled(image[f], key[f], i, j, x0 + col, y0 + row, style, height, width, times[f])
            rgb[f, row, col, 0] = int(min(max(r, 0.0), 1.0) * 255.0 + 0.5)
            rgb[f, row, col, 1] = int(min(max(g, 0.0), 1.0) * 255.0 + 0.5)
            rgb[f, row, col, 2] = int(min(max(b, 0.0), 1.0) * 255.0 + 0.5)

    return trace, refine, finish


def _grid(frames: int, rows: int, cols: int) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    return (-(-cols // _BLOCK[0]), -(-rows // _BLOCK[1]), frames), (*_BLOCK, 1)


def render_passes(
    geoms: Array, P: Array, bounds: Array, x0: int, y0: int, top: int, left: int,
    shape: tuple[int, float, float, float], color: Array, depth: Array, key: Keys, image: Array,
    rgb: NDArray[np.uint8],
) -> None:  # fmt: skip
    """All three passes of one frame; fills depth, key and rgb on the host. Raises WorldError without a GPU."""
    trace, refine, finish = _kernels()
    on = [cuda.to_device(a[None]) for a in (geoms, P, bounds, color, depth, key, image, rgb)]
    scene, (color_, depth_, key_, image_, rgb_) = on[:3], on[3:]
    kind, height, width, time = shape
    times = cuda.to_device(np.array([time]))
    trace[_grid(1, *key.shape)](*scene, x0 - left, y0 - top, color_, depth_, key_)
    refine[_grid(1, *key.shape)](*scene, x0 - left, y0 - top, color_, depth_, key_, image_)
    finish[_grid(1, *rgb.shape[:2])](image_, key_, x0, y0, top, left, kind, height, width, times, rgb_)
    for there, here in ((depth_, depth), (key_, key), (rgb_, rgb)):
        here[...] = there.copy_to_host()[0]


class ClipCanvas:
    """Draws whole clips of one size in three launches, and leaves them on the GPU."""

    def __init__(self, frames: int, width: int, height: int) -> None:
        """Memory for clips of `frames` pictures of `width` x `height`. Raises WorldError without a GPU."""
        self.kernels = _kernels()
        self.shape = frames, height, width
        self.color, self.image = (cuda.device_array((*self.shape, 3), np.float64) for _ in range(2))
        self.depth = cuda.device_array(self.shape, np.float64)

    def draw(self, tables: ClipTables) -> tuple[Any, Any]:
        """Pictures uint8 [T, H, W, 3] and keys int64 [T, H, W] (see `render.objects_of`), new arrays on the device."""
        trace, refine, finish = self.kernels
        T, H, W = self.shape
        scene = [cuda.to_device(a) for a in (tables.geoms_TNG, tables.parameters_TP, tables.bounds_TN4)]
        times = cuda.to_device(tables.times_T)
        key, rgb = cuda.device_array(self.shape, np.int64), cuda.device_array((*self.shape, 3), np.uint8)
        trace[_grid(T, H, W)](*scene, 0, 0, self.color, self.depth, key)
        refine[_grid(T, H, W)](*scene, 0, 0, self.color, self.depth, key, self.image)
        finish[_grid(T, H, W)](self.image, key, 0, 0, 0, 0, tables.style, float(H), float(W), times, rgb)
        return rgb, key
