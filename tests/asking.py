"""Requests to tiny open checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from haneul.backbones.base import Request

PROMPT = "a red ball rolls down a hill"
SIDES = (32, 32)
Frames = NDArray[np.uint8]
Saved = Callable[[str], Path]


def asked(model: Any, frames: int, size: tuple[int, int], **more: Any) -> Request:
    """A request of few steps whose size and length the checkpoint has."""
    usual = {"steps": 2, "guidance": 3.0, "seed": 5, "prompt": PROMPT}
    return Request(**{**usual, "size": size, "seconds": frames / model.rules.fps, **more})


def frames_of(frames: Iterator[Frames]) -> Frames:
    return np.stack(list(frames))
