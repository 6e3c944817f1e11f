"""Scalar building blocks of the ray tracer: one source, compiled by numba for the CPU and for CUDA.

Every function decorated with `scalar` takes and returns plain numbers (arrays only to read from), so the same Python
source compiles with `numba.njit` here and, through `cuda_twin`, with `numba.cuda.jit(device=True)`.

All patterns are anchored in the coordinates that they are given and take `foot`, the width of a pixel in those
coordinates: what is finer than a pixel fades to its mean, so that small pictures neither alias nor flicker.
"""

from __future__ import annotations

import functools
import hashlib
import math
from collections.abc import Callable
from pathlib import Path
from types import FunctionType
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Keys = NDArray[np.int64]
_F = TypeVar("_F", bound=Callable[..., Any])


def scalar(function: _F) -> _F:
    """Compile for the CPU. error_model: division by zero gives infinity as in C, without a branch at every division."""
    compiled = numba.njit(fastmath=True, error_model="numpy", nogil=True)(function)
    return cast(_F, compiled)


# Slots of the parameter vector that describes one picture to every function (float64 [P_LENGTH]).
P_WIDTH, P_HEIGHT, P_FOCAL, P_PIXEL = 0, 1, 2, 3  # P_PIXEL: angle that a pixel covers, radians
P_ORIGIN, P_FORWARD, P_RIGHT, P_UP = 4, 7, 10, 13
P_SUN, P_SUN_RGB, P_TOP, P_HORIZON, P_AMBIENT = 16, 19, 22, 25, 28
P_FOG, P_DETAIL, P_SEED, P_SNOW, P_WIND, P_TIME, P_SETTING = 31, 32, 33, 34, 35, 36, 37
P_NIGHT, P_LIGHT_COUNT, P_LIGHTS = 38, 39, 40  # 4 lights of 7 numbers: position, colour, power
P_SOFTNESS, P_GLOW, P_BOUNCE, P_SAMPLES = 68, 69, 70, 73  # tangent of the sun's size; halo; floor's mean colour
P_LENGTH = 74


@functools.cache
def cuda_twin(function: Any) -> Any:
    """The CUDA device function made from the same source as `function`, and from everything that it calls."""
    from numba import cuda

    python = function.py_func
    names = dict(python.__globals__)
    for name in python.__code__.co_names:
        if hasattr(names.get(name), "py_func"):
            names[name] = cuda_twin(names[name])
    twin = FunctionType(python.__code__, names, python.__name__, python.__defaults__)
    return cuda.jit(device=True, fastmath=True)(twin)  # type: ignore[no-untyped-call]


def source_digest() -> str:
    """Hash of this package's renderer sources.

    numba's disk cache watches only the file of the cached function, not the files of what it calls; the cached entry
    points carry this digest as a closure variable, which is part of numba's cache key.
    """
    digest = hashlib.sha256(numba.__version__.encode())
    for name in ("scalar", "surfaces", "paintings", "backdrop", "solids", "light", "tracer", "styles", "render"):
        path = Path(__file__).with_name(f"{name}.py")
        digest.update(path.read_bytes() if path.exists() else b"")
    return digest.hexdigest()


@scalar
def clamp01(x: float) -> float:
    return min(max(x, 0.0), 1.0)


@scalar
def smooth(a: float, b: float, x: float) -> float:
    """Hermite step from 0 at a to 1 at b."""
    t = min(max((x - a) / (b - a), 0.0), 1.0)
    return t * t * (3.0 - 2.0 * t)


@scalar
def cell(x: float) -> int:
    """Floor as an integer on every target (CUDA's math.floor returns a float)."""
    return int(math.floor(x))  # noqa: RUF046


@scalar
def fract(x: float) -> float:
    return x - math.floor(x)


@scalar
def hash2(ix: int, iy: int) -> float:
    """Stable pseudo-random number in [0, 1) of two integers; 31-bit steps fit int64 on every target."""
    h = (ix * 374761393 + iy * 668265263 + 1013904223) & 0x7FFFFFFF
    h = ((h ^ (h >> 13)) * 1274126177) & 0x7FFFFFFF
    h = ((h ^ (h >> 15)) * 1103515245) & 0x7FFFFFFF
    return ((h >> 6) & 0xFFFFFF) * (1.0 / 16777216.0)


@scalar
def noise2(x: float, y: float) -> float:
    """Value noise in [-1, 1] with one cell per unit."""
    ix, iy = cell(x), cell(y)
    u, v = x - ix, y - iy
    u, v = u * u * (3.0 - 2.0 * u), v * v * (3.0 - 2.0 * v)
    a, b = hash2(ix, iy), hash2(ix + 1, iy)
    c, d = hash2(ix, iy + 1), hash2(ix + 1, iy + 1)
    low, high = a + (b - a) * u, c + (d - c) * u
    return 2.0 * (low + (high - low) * v) - 1.0


@scalar
def noise3(x: float, y: float, z: float) -> float:
    """Value noise in [-1, 1] in space."""
    fz = math.floor(z)
    w = z - fz
    w = w * w * (3.0 - 2.0 * w)
    a, b = noise2(x + fz * 17.0, y + fz * 59.0), noise2(x + fz * 17.0 + 17.0, y + fz * 59.0 + 59.0)
    return a + (b - a) * w


@scalar
def fade(cycles: float) -> float:
    """Contrast left of a pattern with so many cycles per pixel: all below 1/4, none above 3/4."""
    return min(max(1.5 - 2.0 * cycles, 0.0), 1.0)


@scalar
def fbm2(x: float, y: float, foot: float) -> float:
    """Three octaves of noise, zero mean, about [-1, 1]; octaves finer than `foot` are left out."""
    total = 0.57 * fade(foot) * noise2(x, y) if foot < 0.75 else 0.0
    if foot < 0.37:
        total += 0.29 * fade(2.03 * foot) * noise2(2.03 * x + 7.3, 2.03 * y + 3.1)
    if foot < 0.18:
        total += 0.14 * fade(4.1 * foot) * noise2(4.1 * x + 1.7, 4.1 * y + 9.2)
    return total


@scalar
def pulse(x: float, foot: float, duty: float) -> float:
    """Share of the interval of width `foot` around x that lies in the first `duty` of a period of length 1."""
    w = max(foot, 1e-4)
    a, b = x - 0.5 * w, x + 0.5 * w
    ia = math.floor(a) * duty + min(fract(a), duty)
    ib = math.floor(b) * duty + min(fract(b), duty)
    return (ib - ia) / w


@scalar
def checker(x: float, y: float, fx: float, fy: float) -> float:
    """Checkerboard of unit squares in [-1, 1], box filtered over fx by fy."""
    a = 2.0 * pulse(0.5 * x, 0.5 * fx, 0.5) - 1.0
    b = 2.0 * pulse(0.5 * y, 0.5 * fy, 0.5) - 1.0
    return a * b


@scalar
def hue(h: float) -> tuple[float, float, float]:
    """A saturated colour on the wheel, linear RGB in [0, 1]."""
    r = clamp01(abs(fract(h) * 6.0 - 3.0) - 1.0)
    g = clamp01(abs(fract(h + 2.0 / 3.0) * 6.0 - 3.0) - 1.0)
    b = clamp01(abs(fract(h + 1.0 / 3.0) * 6.0 - 3.0) - 1.0)
    return r, g, b


@scalar
def mix3(a: tuple[float, float, float], b: tuple[float, float, float], t: float) -> tuple[float, float, float]:
    return a[0] + (b[0] - a[0]) * t, a[1] + (b[1] - a[1]) * t, a[2] + (b[2] - a[2]) * t


@scalar
def scale3(a: tuple[float, float, float], s: float) -> tuple[float, float, float]:
    return a[0] * s, a[1] * s, a[2] * s


@scalar
def luma(r: float, g: float, b: float) -> float:
    return 0.30 * r + 0.59 * g + 0.11 * b
