"""Photographed faces in pictures, by dlib's detector (Boost licence): King, "Max-Margin Object Detection", 2015.

It is made for upright faces that look at the camera; profiles, turned and hidden ones it does not see, nor very small
ones (docs/log.md has what was measured).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE: Final = 960  #: pixels of the longer side at which is looked
SURE: Final = 0.0  #: the detector's own score


@lru_cache(maxsize=1)
def _detector() -> Any:
    import dlib

    return dlib.get_frontal_face_detector()


def count_faces(frames: Sequence[NDArray[np.uint8]]) -> int:
    """The most faces in any one of some frames uint8 [H, W, 3]."""
    return max((len(_detector().run(_sized(frame), 0, SURE)[0]) for frame in frames), default=0)


def _sized(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    h, w = frame.shape[:2]
    scale = SIDE / max(h, w)
    size = (max(1, round(w * scale)), max(1, round(h * scale)))
    return np.array(Image.fromarray(frame).resize(size, Image.Resampling.BILINEAR))
