"""The watermark's place in the pipeline: after the last change to the frames, before they are encoded.

An invisible watermark lets a file be recognised after its metadata was stripped. None is implemented so far, and that
is said openly: the stage runs, its name goes into the signed manifest, and `none` is what stands there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Watermark(Protocol):
    """Marks frames with a payload (the identifier that leads back to the manifest)."""

    name: str  #: recorded in the manifest; "none" if frames carry no mark

    def embed(self, frames: Iterable[NDArray[np.uint8]], payload: bytes = b"") -> Iterator[NDArray[np.uint8]]:
        """Frames uint8 [H, W, 3] in, marked frames of the same shape out, one at a time."""
        ...


class NoWatermark:
    """Passes frames through untouched and says so by its name."""

    name = "none"

    def embed(self, frames: Iterable[NDArray[np.uint8]], payload: bytes = b"") -> Iterator[NDArray[np.uint8]]:
        yield from frames
