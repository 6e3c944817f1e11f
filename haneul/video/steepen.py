"""Soft edges become steps.

The model's shapes are soft: where an edge may be here or there, its best guess is a ramp, and eight times as large the
ramp is wide. Yet everything in the world has an edge. A shock filter (Osher & Rudin, SIAM J. Numer. Anal. 27, 1990)
makes steps of ramps without the overshoot of sharpening: nothing leaves the range of its neighbourhood, flat parts stay
flat, shapes keep their form, and what is a step already stays one. It works at half the size and adds what it changes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

import numpy as np
from numpy.typing import NDArray

from haneul.video.compiled import compiled

Plane = NDArray[np.float32]

STEPS: Final = 10  #: each of at most .4 pixels of the half size
SIGMA: Final = 1.5  #: pixels of the half size; what is finer is not an edge
CONTRAST: Final = 100 / 127.5  #: over 1/255: the second derivative at which a ramp is filtered by .7 of the most
STRIDE: Final = 0.4
FAINT: Final = 0.02  #: pull that is none

RADIUS: Final = int(3 * SIGMA + 0.5)
_bell = np.exp(-(np.arange(-RADIUS, RADIUS + 1) ** 2) / (2 * SIGMA**2))
BELL: Final = (_bell / _bell.sum()).astype(np.float32)


def steepened(frame_HW3: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The frame, of even sides from 16 pixels on, with steep edges; a new array.

    By Alvarez & Mazorra (SIAM J. Numer. Anal. 31, 1994) the edges are found in a smoothed picture, and by Weickert
    (DAGM 2003, "Coherence-enhancing shock filters") across the main direction of the structure tensor, one for all
    channels: a pixel on the hollow side of an edge goes towards the least of its four neighbours, on the other towards
    the greatest.
    """
    frame_HW3 = np.ascontiguousarray(frame_HW3)
    before = _halved(frame_HW3)
    now, then = before.copy(), before.copy()
    pull = _pull(before, BELL)
    for _ in range(STEPS):
        _move(now, then, pull)
        now, then = then, now
    now -= before
    return _added(frame_HW3, now)


def all_steepened(frames: Iterable[NDArray[np.uint8]], threads: int) -> Iterator[NDArray[np.uint8]]:
    """Frames as they come, each `steepened`, in so many threads while the next ones are made."""
    waiting: deque[Future[NDArray[np.uint8]]] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="steepen") as pool:
        for frame in frames:
            waiting.append(pool.submit(steepened, frame))
            if len(waiting) > threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


@compiled(fastmath=True)
def _halved(frame_HW3: NDArray[np.uint8]) -> Plane:
    """Means of two by two pixels, [3, H/2, W/2]."""
    H, W, C = frame_HW3.shape
    out = np.empty((C, H // 2, W // 2), np.float32)
    for y in range(H // 2):
        for x in range(W // 2):
            for c in range(C):
                top = np.float32(frame_HW3[2 * y, 2 * x, c]) + np.float32(frame_HW3[2 * y, 2 * x + 1, c])
                low = np.float32(frame_HW3[2 * y + 1, 2 * x, c]) + np.float32(frame_HW3[2 * y + 1, 2 * x + 1, c])
                out[c, y, x] = (top + low) * np.float32(0.25)
    return out


@compiled(fastmath=True)
def _blur(x: Plane, bell: Plane, wide: Plane, out: Plane) -> None:
    """`x` [h, w] convolved with `bell` both ways into `out`; borders are repeated. `wide` is [h, w + len(bell) - 1]."""
    h, w = x.shape
    n = len(bell)
    r = n // 2
    for y in range(h):
        for i in range(w + 2 * r):
            wide[y, i] = 0
        for k in range(n):
            row = x[min(max(y + k - r, 0), h - 1)]
            for i in range(w):
                wide[y, r + i] += bell[k] * row[i]
        for i in range(r):
            wide[y, i] = wide[y, r]
            wide[y, r + w + i] = wide[y, r + w - 1]
        for i in range(w):
            out[y, i] = 0
        for k in range(n):
            for i in range(w):
                out[y, i] += bell[k] * wide[y, i + k]


@compiled(fastmath=True)
def _pull(x: Plane, bell: Plane) -> Plane:
    """Where each value [3, h, w] is to go: > 0 to the least of its neighbours, < 0 to the greatest, -1 to 1."""
    C, h, w = x.shape
    soft, pull = np.empty_like(x), np.zeros_like(x)
    wide = np.empty((h, w + len(bell) - 1), np.float32)
    tensor, smooth = np.zeros((3, h, w), np.float32), np.empty((3, h, w), np.float32)
    half, quarter, one = np.float32(0.5), np.float32(0.25), np.float32(1)
    for c in range(C):
        _blur(x[c], bell, wide, soft[c])
        for y in range(1, h - 1):
            up, mid, down = soft[c, y - 1], soft[c, y], soft[c, y + 1]
            for i in range(1, w - 1):
                gx, gy = (mid[i + 1] - mid[i - 1]) * half, (down[i] - up[i]) * half
                tensor[0, y, i] += gx * gx
                tensor[1, y, i] += gy * gy
                tensor[2, y, i] += gx * gy
    for k in range(3):
        _blur(tensor[k], bell, wide, smooth[k])
    for c in range(C):
        for y in range(1, h - 1):
            up, mid, down = soft[c, y - 1], soft[c, y], soft[c, y + 1]
            for i in range(1, w - 1):
                # half angles: cos^2, sin^2 and cos sin of the direction from those of twice the angle
                apart, twice = smooth[0, y, i] - smooth[1, y, i], 2 * smooth[2, y, i]
                size = np.sqrt(apart * apart + twice * twice) + np.float32(1e-6)
                xx, yy = mid[i + 1] - 2 * mid[i] + mid[i - 1], down[i] - 2 * mid[i] + up[i]
                xy = (down[i + 1] - down[i - 1] - up[i + 1] + up[i - 1]) * quarter
                bend = (xx * (one + apart / size) + yy * (one - apart / size)) * half + xy * twice / size
                value = np.float32(CONTRAST) * bend
                value = value / np.sqrt(one + value * value)
                pull[c, y, i] = np.float32(STRIDE) * value if abs(value) > np.float32(FAINT) else np.float32(0)
    return pull


@compiled(fastmath=True)
def _move(x: Plane, out: Plane, pull: Plane) -> None:
    """One step of the filter from `x` into `out`, which may differ from `x` only where there is a pull."""
    C, h, w = x.shape
    none = np.float32(0)
    for c in range(C):
        for y in range(1, h - 1):
            up, mid, down, to, by = x[c, y - 1], x[c, y], x[c, y + 1], out[c, y], pull[c, y]
            for i in range(1, w - 1):
                least = min(min(min(mid[i - 1], mid[i + 1]), min(up[i], down[i])), mid[i])
                most = max(max(max(mid[i - 1], mid[i + 1]), max(up[i], down[i])), mid[i])
                to[i] = mid[i] + max(by[i], none) * (least - mid[i]) + max(-by[i], none) * (most - mid[i])


@compiled(fastmath=True)
def _added(frame_HW3: NDArray[np.uint8], change_3hw: Plane) -> NDArray[np.uint8]:
    """The frame with the change, bilinearly twice as large, on top."""
    H, W, C = frame_HW3.shape
    out = np.empty_like(frame_HW3)
    near, far = np.float32(0.75), np.float32(0.25)
    column = np.empty((C, W // 2), np.float32)
    for y in range(H):
        a = y // 2
        b = min(max(a + (1 if y % 2 else -1), 0), H // 2 - 1)
        for c in range(C):
            for i in range(W // 2):
                column[c, i] = near * change_3hw[c, a, i] + far * change_3hw[c, b, i]
        for i in range(W // 2):
            left, right = max(i - 1, 0), min(i + 1, W // 2 - 1)
            for c in range(C):
                here = near * column[c, i] + np.float32(0.5)
                one = here + far * column[c, left] + np.float32(frame_HW3[y, 2 * i, c])
                two = here + far * column[c, right] + np.float32(frame_HW3[y, 2 * i + 1, c])
                out[y, 2 * i, c] = np.uint8(min(max(one, np.float32(0)), np.float32(255)))
                out[y, 2 * i + 1, c] = np.uint8(min(max(two, np.float32(0)), np.float32(255)))
    return out
