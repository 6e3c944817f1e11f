"""Adds a pattern to frames so that nobody sees it: more where the picture is busy, a single step where it is flat."""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

Frame = NDArray[np.uint8]  # [H, W, 3]

FLAT, BUSY = 0.95, 3.4  #: strength (root mean square, in steps of 256) in flat and in busy places
_FULL = 5.0  #: mean difference of neighbours in a place that is busy
LOUDEST = 1.95  #: strength over a whole frame: 42.3 dB
_FIXED = 50  #: the pattern is kept in 50ths, so that 2.5 fits into 8 bits


def fixed(pattern_HW: NDArray[np.float32]) -> NDArray[np.int8]:
    """A pattern of mean square 1 as `imprint` takes it: cut at 2.5, once for each of the three colours, [H, 3W]."""
    steps = np.round(np.clip(pattern_HW, -2.5, 2.5) * _FIXED).astype(np.int8)
    return np.repeat(steps, 3, axis=1)


def block_of(unit: float) -> int:
    """Side in pixels of the blocks whose activity is measured."""
    return int(np.clip(2 * round(unit), 4, 16))


def imprint(frame: Frame, pattern_HW: NDArray[np.int8], block: int) -> Frame:
    """The frame with the pattern added to its brightness; a new array."""
    frame = np.ascontiguousarray(frame)
    activity: NDArray[np.float32] = _activity(frame, block)
    out = np.empty_like(frame)
    lines = (len(frame), -1)
    _add(frame.reshape(lines), pattern_HW, strength_of(activity) / np.float32(_FIXED), block, out.reshape(lines))
    return out


def strength_of(activity: NDArray[np.float32]) -> NDArray[np.float32]:
    """How strong the pattern may be in each block: what the block and its neighbours hide, for an edge next to a flat
    area hides little."""
    around = np.pad(activity, 1, mode="edge")
    h, w = activity.shape
    near = [around[y : y + h, x : x + w] for y in range(3) for x in range(3)]
    calm = (np.minimum.reduce(near) + activity) / 2
    strength = FLAT + (BUSY - FLAT) * np.minimum(calm / _FULL, 1)
    loud = float(np.sqrt(np.mean(strength**2)))
    quieter: NDArray[np.float32] = (strength * min(1.0, LOUDEST / loud)).astype(np.float32)
    return quieter


@numba.njit(cache=True, nogil=True)
def _activity(frame: Frame, block: int) -> NDArray[np.float32]:
    """Mean absolute difference of green values two pixels apart, of a sample of pixels, in each block."""
    H, W, _ = frame.shape
    rows, columns = (H + block - 1) // block, (W + block - 1) // block
    out = np.zeros((rows, columns), np.float32)
    for r in range(rows):
        for c in range(columns):
            total, count = np.int32(0), 0
            for y in range(r * block, min(r * block + block, H - 2), max(2, block // 4)):
                for x in range(c * block, min(c * block + block, W - 2), 2):
                    here = np.int32(frame[y, x, 1])
                    total += abs(np.int32(frame[y, x + 2, 1]) - here) + abs(np.int32(frame[y + 2, x, 1]) - here)
                    count += 2
            if count:
                out[r, c] = total / count
            elif c:
                out[r, c] = out[r, c - 1]
            elif r:
                out[r, c] = out[r - 1, c]
    return out


@numba.njit(cache=True, nogil=True, fastmath=True)
def _across(strength: NDArray[np.float32], block: int, out: NDArray[np.float32]) -> None:
    """One row of blocks' strengths, interpolated between their middles; three values for each pixel."""
    last = len(strength) - 1
    for i in range(len(out)):
        at = (np.float32(i // 3) + np.float32(0.5)) / np.float32(block) - np.float32(0.5)
        c = min(max(int(at), 0), last)
        right = min(max(at - np.float32(c), np.float32(0)), np.float32(1))
        out[i] = strength[c] + right * (strength[min(c + 1, last)] - strength[c])


@numba.njit(cache=True, nogil=True, fastmath=True)
def _add(
    frame: NDArray[np.uint8], pattern: NDArray[np.int8], strength: NDArray[np.float32], block: int,
    out: NDArray[np.uint8],
) -> None:  # fmt: skip
    """out = frame + pattern * strength, rounded, all [H, 3W]; the strength interpolated between the blocks' middles.

    The innermost loop is plain and of one kind of number, because that is what becomes vector instructions.
    """
    H, W = frame.shape
    last = len(strength) - 1
    upper, lower = np.empty(W, np.float32), np.empty(W, np.float32)
    drawn = -1
    for y in range(H):
        at = (y + 0.5) / block - 0.5
        r = min(max(int(at), 0), last)
        down = np.float32(min(max(at - r, 0.0), 1.0))
        if r != drawn:
            _across(strength[r], block, upper)
            _across(strength[min(r + 1, last)], block, lower)
            drawn = r
        source, shape, target = frame[y], pattern[y], out[y]
        for i in range(W):
            step = np.float32(shape[i]) * (upper[i] + down * (lower[i] - upper[i]))
            value = np.float32(source[i]) + np.floor(step + np.float32(0.5))
            target[i] = np.uint8(np.int32(min(max(value, np.float32(0)), np.float32(255))))
