"""Adds a pattern to frames so that nobody sees it: more where the picture is busy, a single step where it is flat."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from haneul.video.compiled import compiled

Frame = NDArray[np.uint8]  # [H, W, 3]

FLAT, BUSY = 0.95, 3.4  #: strength (root mean square, in steps of 256) in flat and in busy places
_FULL = 5.0  #: mean difference of neighbours in a place that is busy
LOUDEST = 1.95  #: strength over a whole frame: 42.3 dB
_FIXED = 50  #: the pattern is kept in 50ths, so that 2.5 fits into 8 bits


def fixed(pattern_HW: NDArray[np.float32]) -> NDArray[np.int8]:
    """A pattern of mean square 1 as `imprint` takes it, [H, W]: cut at 2.5, in 50ths."""
    steps: NDArray[np.int8] = np.rint(np.clip(pattern_HW, -2.5, 2.5) * np.float32(_FIXED)).astype(np.int8)
    return steps


def block_of(unit: float) -> int:
    """Side in pixels of the blocks whose activity is measured, an even number."""
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


@compiled()
def _activity(frame: Frame, block: int) -> NDArray[np.float32]:
    """Mean absolute difference of green values two pixels apart, of a sample of pixels, in each block."""
    H, W, _ = frame.shape
    rows, columns = (H + block - 1) // block, (W + block - 1) // block
    out = np.zeros((rows, columns), np.float32)
    n = (W - 1) // 2  # every second pixel that has another one two further on
    here, below = np.empty(n + 1, np.int16), np.empty(n, np.int16)
    total = np.empty(n, np.int32)
    for r in range(rows):
        lines = 0
        for i in range(n):
            total[i] = 0
        for y in range(r * block, min(r * block + block, H - 2), max(2, block // 4)):
            upper, lower = frame[y], frame[y + 2]
            for i in range(n + 1):
                here[i] = upper[2 * i, 1]
            for i in range(n):
                below[i] = lower[2 * i, 1]
            for i in range(n):
                total[i] += abs(np.int16(here[i + 1] - here[i])) + abs(np.int16(below[i] - here[i]))
            lines += 1
        for c in range(columns):
            first = c * (block // 2)
            end = min(first + block // 2, n)
            if lines and end > first:
                whole = np.int32(0)
                for i in range(first, end):
                    whole += total[i]
                out[r, c] = whole / (2 * lines * (end - first))
            elif c:
                out[r, c] = out[r, c - 1]
            elif r:
                out[r, c] = out[r - 1, c]
    return out


@compiled(fastmath=True)
def _add(
    frame: NDArray[np.uint8], pattern: NDArray[np.int8], strength: NDArray[np.float32], block: int,
    out: NDArray[np.uint8],
) -> None:  # fmt: skip
    """out = frame + pattern * strength, rounded; frame and out [H, 3W], pattern [H, W]; the strength is interpolated
    between the blocks' middles.

    Each innermost loop is plain and of one width of numbers, because that is what becomes vector instructions: one
    loop that does it all takes three times as long.
    """
    H, W = pattern.shape
    last, end = len(strength) - 1, strength.shape[1] - 1
    upper, lower = np.empty(W, np.float32), np.empty(W, np.float32)
    step, steps = np.empty(W, np.int8), np.empty(3 * W, np.int8)
    drawn = -1
    for y in range(H):
        at = (y + 0.5) / block - 0.5
        r = min(max(int(at), 0), last)
        down = np.float32(min(max(at - r, 0.0), 1.0))
        if r != drawn:
            above, under = strength[r], strength[min(r + 1, last)]
            for i in range(W):
                across = (np.float32(i) + np.float32(0.5)) / np.float32(block) - np.float32(0.5)
                c = min(max(int(across), 0), end)
                d = min(c + 1, end)
                right = min(max(across - np.float32(c), np.float32(0)), np.float32(1))
                upper[i] = above[c] + right * (above[d] - above[c])
                lower[i] = under[c] + right * (under[d] - under[c])
            drawn = r
        source, shape, target = frame[y], pattern[y], out[y]
        for i in range(W):
            exact = np.float32(shape[i]) * (upper[i] + down * (lower[i] - upper[i]))
            step[i] = np.int8(np.int32(np.floor(exact + np.float32(0.5))))
        for i in range(W):
            steps[3 * i] = step[i]
            steps[3 * i + 1] = step[i]
            steps[3 * i + 2] = step[i]
        for i in range(3 * W):
            value = np.int16(np.int16(source[i]) + np.int16(steps[i]))
            target[i] = np.uint8(min(max(value, np.int16(0)), np.int16(255)))
