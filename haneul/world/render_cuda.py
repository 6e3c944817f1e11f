"""The renderer's passes on a CUDA GPU: one thread per pixel, made from the same scalar functions as on the CPU.

Needs the package `numba-cuda` and a CUDA GPU, or its simulator (NUMBA_ENABLE_CUDASIM=1), which the tests use.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numba import cuda
from numpy.typing import NDArray

from haneul.errors import WorldError
from haneul.world.scalar import Array, Keys, cuda_twin
from haneul.world.styles import style_pixel
from haneul.world.tracer import first_pass, second_pass

_BLOCK = (8, 8)  # small blocks: neighbouring rays take the same branches


@functools.cache
def _kernels() -> tuple[Any, Any, Any]:
    if not cuda.is_available():  # type: ignore[no-untyped-call]
        raise WorldError("device 'cuda' was asked for, but no CUDA GPU is available; use device 'cpu'")
    first, second, styled = cuda_twin(first_pass), cuda_twin(second_pass), cuda_twin(style_pixel)

    @cuda.jit
    def trace(G, P, bounds, x0, y0, color, depth, key):  # type: ignore[no-untyped-def]
        col, row = cuda.grid(2)  # type: ignore[attr-defined]
        if row < key.shape[0] and col < key.shape[1]:
            first(G, G.shape[0], P, bounds, x0 + col, y0 + row, row, col, color, depth, key)

    @cuda.jit
    def refine(G, P, bounds, x0, y0, color, depth, key, out):  # type: ignore[no-untyped-def]
        col, row = cuda.grid(2)  # type: ignore[attr-defined]
        if row < key.shape[0] and col < key.shape[1]:
            second(G, G.shape[0], P, bounds, x0 + col, y0 + row, row, col, color, depth, key, out)

    @cuda.jit
    def finish(image, key, x0, y0, top, left, style, height, width, time, rgb):  # type: ignore[no-untyped-def]
        col, row = cuda.grid(2)  # type: ignore[attr-defined]
        if row < rgb.shape[0] and col < rgb.shape[1]:
            r, g, b = styled(image, key, row + top, col + left, x0 + col, y0 + row, style, height, width, time)
            rgb[row, col, 0] = int(min(max(r, 0.0), 1.0) * 255.0 + 0.5)
            rgb[row, col, 1] = int(min(max(g, 0.0), 1.0) * 255.0 + 0.5)
            rgb[row, col, 2] = int(min(max(b, 0.0), 1.0) * 255.0 + 0.5)

    return trace, refine, finish


def _grid(rows: int, cols: int) -> tuple[tuple[int, int], tuple[int, int]]:
    return (-(-cols // _BLOCK[0]), -(-rows // _BLOCK[1])), _BLOCK


def render_passes(
    geoms: Array, P: Array, bounds: Array, x0: int, y0: int, top: int, left: int,
    shape: tuple[int, float, float, float], color: Array, depth: Array, key: Keys, image: Array,
    rgb: NDArray[np.uint8],
) -> None:  # fmt: skip
    """All three passes; fills depth, key and rgb on the host. Raises WorldError without a GPU."""
    trace, refine, finish = _kernels()
    on = [cuda.to_device(a) for a in (geoms, P, bounds, color, depth, key, image, rgb)]
    scene, (color_, depth_, key_, image_, rgb_) = on[:3], on[3:]
    trace[_grid(*key.shape)](*scene, x0 - left, y0 - top, color_, depth_, key_)
    refine[_grid(*key.shape)](*scene, x0 - left, y0 - top, color_, depth_, key_, image_)
    finish[_grid(*rgb.shape[:2])](image_, key_, x0, y0, top, left, *shape, rgb_)
    for there, here in ((depth_, depth), (key_, key), (rgb_, rgb)):
        there.copy_to_host(here)
