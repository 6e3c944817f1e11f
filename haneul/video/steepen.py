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
def _blur(x: Plane, bell: Plane, out: Plane) -> None:
    """`x` [h, w] convolved with `bell`, of eleven values, both ways into `out`; borders are repeated. All in one
    expression a pixel: a loop over the bell would store and load each sum eleven times."""
    h, w = x.shape
    b0, b1, b2, b3, b4, b5 = bell[5], bell[6], bell[7], bell[8], bell[9], bell[10]
    line = np.empty(w + 10, np.float32)
    for y in range(h):
        u1, u2, u3, u4, u5 = x[max(y - 1, 0)], x[max(y - 2, 0)], x[max(y - 3, 0)], x[max(y - 4, 0)], x[max(y - 5, 0)]
        d1, d2, d3 = x[min(y + 1, h - 1)], x[min(y + 2, h - 1)], x[min(y + 3, h - 1)]
        d4, d5, here = x[min(y + 4, h - 1)], x[min(y + 5, h - 1)], x[y]
        for i in range(w):
            near = b0 * here[i] + b1 * (u1[i] + d1[i]) + b2 * (u2[i] + d2[i])
            line[i + 5] = near + b3 * (u3[i] + d3[i]) + b4 * (u4[i] + d4[i]) + b5 * (u5[i] + d5[i])
        line[:5] = line[5]
        line[w + 5 :] = line[w + 4]
        row = out[y]
        for i in range(w):
            near = b0 * line[i + 5] + b1 * (line[i + 4] + line[i + 6]) + b2 * (line[i + 3] + line[i + 7])
            far = b4 * (line[i + 1] + line[i + 9]) + b5 * (line[i] + line[i + 10])
            row[i] = near + b3 * (line[i + 2] + line[i + 8]) + far


@compiled(fastmath=True)
def _pull(x: Plane, bell: Plane) -> Plane:
    """Where each value [3, h, w] is to go: > 0 to the least of its neighbours, < 0 to the greatest, -1 to 1."""
    C, h, w = x.shape
    soft, pull = np.empty_like(x), np.zeros_like(x)
    tensor, smooth = np.zeros((3, h, w), np.float32), np.empty((3, h, w), np.float32)
    half, quarter, one, two = np.float32(0.5), np.float32(0.25), np.float32(1), np.float32(2)
    for c in range(C):
        _blur(x[c], bell, soft[c])
        for y in range(1, h - 1):
            up, mid, down = soft[c, y - 1], soft[c, y], soft[c, y + 1]
            t0, t1, t2 = tensor[0, y], tensor[1, y], tensor[2, y]
            for i in range(1, w - 1):
                gx, gy = (mid[i + 1] - mid[i - 1]) * half, (down[i] - up[i]) * half
                t0[i] += gx * gx
                t1[i] += gy * gy
                t2[i] += gx * gy
    for k in range(3):
        _blur(tensor[k], bell, smooth[k])
    for y in range(h):  # cos and sin of twice the direction's angle, in place
        cos, sin, cross = smooth[0, y], smooth[1, y], smooth[2, y]
        for i in range(w):
            apart, twice = cos[i] - sin[i], two * cross[i]
            size = one / (np.sqrt(apart * apart + twice * twice) + np.float32(1e-6))
            cos[i], sin[i] = apart * size, twice * size
    line = np.empty(w, np.float32)
    for c in range(C):
        for y in range(1, h - 1):
            up, mid, down, cos, sin = soft[c, y - 1], soft[c, y], soft[c, y + 1], smooth[0, y], smooth[1, y]
            for i in range(1, w - 1):
                xx, yy = mid[i + 1] - two * mid[i] + mid[i - 1], down[i] - two * mid[i] + up[i]
                xy = (down[i + 1] - down[i - 1] - up[i + 1] + up[i - 1]) * quarter
                line[i] = np.float32(CONTRAST) * ((xx + yy + (xx - yy) * cos[i]) * half + xy * sin[i])
            row = pull[c, y]
            for i in range(1, w - 1):
                value = line[i] / np.sqrt(one + line[i] * line[i])
                row[i] = np.float32(STRIDE) * value * np.float32(abs(value) > np.float32(FAINT))
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
    h, w = H // 2, W // 2
    out = np.empty_like(frame_HW3)
    near, far = np.float32(0.75), np.float32(0.25)
    column, line = np.empty(w + 2, np.float32), np.empty(W * C, np.float32)
    for y in range(H):
        a = y // 2
        b = min(max(a + (1 if y % 2 else -1), 0), h - 1)
        for c in range(C):
            for i in range(w):
                column[i + 1] = near * change_3hw[c, a, i] + far * change_3hw[c, b, i]
            column[0], column[w + 1] = column[1], column[w]
            for i in range(w):
                here = near * column[i + 1] + np.float32(0.5)
                line[2 * C * i + c] = here + far * column[i]
                line[2 * C * i + C + c] = here + far * column[i + 2]
        before, row = frame_HW3[y].reshape(W * C), out[y].reshape(W * C)
        for i in range(W * C):
            value = line[i] + np.float32(before[i])
            row[i] = np.uint8(np.int32(min(max(value, np.float32(0)), np.float32(255))))
    return out
