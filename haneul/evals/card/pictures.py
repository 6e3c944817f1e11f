"""Clips inside the page: animated WebP and still strips as data addresses."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import Final

import numpy as np
from PIL import Image

from haneul.evals.card.staged import RATE, Frames

QUALITY: Final = 62
GAP: Final = 4  #: pixels between clips that stand side by side


def _address(kind: str, data: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def beside(clips: Sequence[Frames]) -> Frames:
    """Clips of one size as one clip, left to right."""
    gap = np.full((*clips[0].shape[:2], GAP, 3), 255, np.uint8)
    parts = [part for clip in clips for part in (clip, gap)]
    return np.concatenate(parts[:-1], 2)


def animated(clip: Frames) -> str:
    """A clip that plays over and over, with a rest at its end."""
    pictures = [Image.fromarray(frame) for frame in clip]
    rests = [round(1000 / RATE)] * (len(clip) - 1) + [900]
    out = io.BytesIO()
    pictures[0].save(
        out, "WEBP", save_all=True, append_images=pictures[1:], duration=rests, loop=0, quality=QUALITY, method=4
    )
    return _address("webp", out.getvalue())


def strip(clip: Frames, count: int = 4) -> str:
    """Moments of a clip side by side, evenly from its start to its end."""
    index = np.linspace(0, len(clip) - 1, count).round().astype(int)
    return still(np.concatenate(list(clip[index]), 1))


def still(picture: Frames) -> str:
    """One picture [H, W, 3]."""
    out = io.BytesIO()
    Image.fromarray(picture).save(out, "WEBP", quality=80, method=4)
    return _address("webp", out.getvalue())
