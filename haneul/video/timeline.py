"""Clips on a time line: brought to one frame rate and one size, cut, and joined to what a model made between them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import av
import numpy as np
from numpy.typing import NDArray

from haneul.video.io import Frame, Video

FADE = 6  #: frames over which a given clip and what was made pass into each other
FEATHER = 0.04  #: of the picture's width, over which the border of a box is soft


def fit(frame: Frame, size: tuple[int, int]) -> Frame:
    """Cut the middle to the wanted aspect and scale (Lanczos) to `size` (width, height)."""
    W, H = size
    h, w = frame.shape[:2]
    if (w, h) == (W, H):
        return frame
    cut_w = min(w, round(h * W / H))
    cut_h = min(h, round(w * H / W))
    y, x = (h - cut_h) // 2, (w - cut_w) // 2
    part = np.ascontiguousarray(frame[y : y + cut_h, x : x + cut_w])
    picture = av.VideoFrame.from_ndarray(part, format="rgb24")
    scaled: Frame = np.asarray(
        picture.reformat(width=W, height=H, format="rgb24", interpolation="LANCZOS").to_ndarray(), np.uint8
    )
    return scaled


def at_rate(video: Video, fps: float) -> NDArray[np.uint8]:
    """The frames [T, H, W, 3] that stand at the moments of another frame rate; its length stays, to half a frame."""
    count = max(1, round(len(video.frames) * fps / video.fps))
    index = ((np.arange(count) + 0.5) * video.fps / fps).astype(int).clip(0, len(video.frames) - 1)
    return video.frames if np.array_equal(index, np.arange(len(video.frames))) else video.frames[index]


def mix(a: Frame, b: Frame, share: float | NDArray[np.float32]) -> Frame:
    """`share` of b and the rest of a; one number, or one for each pixel [H, W, 1]."""
    mixed: Frame = (a + (b.astype(np.float32) - a) * share).round().clip(0, 255).astype(np.uint8)
    return mixed


def splice(
    before: NDArray[np.uint8], made: Iterable[Frame], after: NDArray[np.uint8], *, lead: int, new: int, tail: int
) -> Iterator[Frame]:
    """`before`, then what was made, then `after`, all of one size.

    The first `lead` frames that were made show the last ones of `before` again, the next `new` are new, and the `tail`
    after them show the first ones of `after`. Where both are there, FADE frames pass into each other. With an empty
    `before` or `after` its frames that were made are left out.
    """
    enter, leave = min(FADE, lead, len(before)), min(FADE, tail, len(after))
    yield from before[: len(before) - enter]
    for i, frame in enumerate(made):
        if i < lead:
            if i >= lead - enter:
                yield mix(before[len(before) - lead + i], frame, (i - lead + enter + 1) / (enter + 1))
        elif i < lead + new:
            yield frame
        elif i < lead + new + leave:
            k = i - lead - new
            yield mix(frame, after[k], (k + 1) / (leave + 1))
        else:
            break
    yield from after[leave:]


def inside(box: tuple[float, float, float, float], size: tuple[int, int]) -> NDArray[np.float32]:
    """[H, W, 1]: 1 inside the box (left, top, right, bottom as shares of the picture), 0 outside, softly bordered."""
    w, h = size
    soft = max(1.0, FEATHER * w)
    x, y = np.arange(w) + 0.5, np.arange(h) + 0.5
    left, top, right, bottom = box[0] * w, box[1] * h, box[2] * w, box[3] * h
    # Towards the picture's own border there is nothing to pass into.
    across = np.minimum(np.where(left > 0, x - left, np.inf), np.where(right < w, right - x, np.inf))
    down = np.minimum(np.where(top > 0, y - top, np.inf), np.where(bottom < h, bottom - y, np.inf))
    depth = np.minimum(down[:, None], across[None])
    mask: NDArray[np.float32] = np.clip(depth / soft + 0.5, 0, 1)[..., None].astype(np.float32)
    return mask
