"""The watermark's place in the pipeline: after the last change to the frames, before they are encoded.

An invisible watermark lets a file be recognised after its metadata was stripped. Its payload is a number of 48 bits
that leads to a record in the registry. How it is drawn stands in carriers.py, how it is laid on frames in imprint.py,
how it is found in detect.py; docs/watermark.md has the design, its limits and its figures.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from haneul.trust import carriers as ca

#: The soft binding's name in the credentials. It is not on the C2PA's list of algorithms.
ALGORITHM = "org.haneul.watermark.1"
PAYLOAD = ca.ID_BITS // 8  #: bytes


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


class SpreadSpectrum:
    """A pattern drawn from a secret key and the payload, added to the brightness of every frame, the same in each."""

    name = ALGORITHM

    def __init__(self, key: bytes) -> None:
        self.key = key

    def embed(self, frames: Iterable[NDArray[np.uint8]], payload: bytes = b"") -> Iterator[NDArray[np.uint8]]:
        """As the protocol; the payload has PAYLOAD bytes, a big-endian number."""
        from haneul.trust import imprint  # numba is loaded only where frames are marked

        if len(payload) != PAYLOAD:
            raise ValueError(f"the payload has {len(payload)} bytes; {PAYLOAD} are needed")
        mark = ca.Mark(key=self.key, number=int.from_bytes(payload, "big"))
        pattern: NDArray[np.int8] | None = None
        for frame in frames:
            height, width = frame.shape[:2]
            if pattern is None or pattern.shape != (height, width):
                pattern = imprint.fixed(ca.carriers_of(self.key).window(mark, width, height))
                block = imprint.block_of(ca.unit_of(width, height))
            yield imprint.imprint(frame, pattern, block)
