"""PDQ, a perceptual hash of 256 bits: pictures that look alike have hashes that differ in few bits.

Lists of known bad pictures are exchanged as PDQ hashes, so it is followed to the letter: D. Davis and others, "PDQ &
TMK + PDQF - A Test Drive of Facebook's Perceptual Hashing Algorithms" (2019), sections 4 and 5. A tent filter (a box
filter, twice) brings the luminance to 64 x 64, of whose cosine transform the 16 x 16 lowest frequencies (without the
constant one) are held against their median.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from haneul.errors import InputError

SIDE: Final = 64
BITS: Final = 16  #: of each axis
NEAR: Final = 31  #: bits of 256 by which copies may differ (the paper's recommendation)
QUALITY: Final = 50  #: of 100; pictures with less to tell apart are not compared
LARGEST: Final = 512  #: pixels of the longer side; larger pictures are made smaller first


def pdq(picture: NDArray[np.uint8]) -> tuple[NDArray[np.bool_], int]:
    """The hash, bool [256], and the quality (0 to 100) of a picture uint8 [H, W, 3]."""
    h, w = picture.shape[:2]
    if max(h, w) > LARGEST:
        scale = LARGEST / max(h, w)
        small = Image.fromarray(picture).resize(
            (max(1, round(w * scale)), max(1, round(h * scale))), Image.Resampling.BOX
        )
        picture = np.asarray(small)
        h, w = picture.shape[:2]
    luma = picture.astype(np.float64) @ np.array([0.299, 0.587, 0.114])
    for _ in range(2):
        luma = _box(_box(luma, 1), 0)
    rows, columns = (((np.arange(SIDE) + 0.5) * n / SIDE).astype(int) for n in (h, w))
    small_luma = luma[np.ix_(rows, columns)]
    steps = sum(int(np.abs(np.trunc(np.diff(small_luma, axis=a) * 100 / 255)).sum()) for a in (0, 1))
    D = _cosines()
    waves = D @ small_luma @ D.T
    return (waves > np.sort(waves, axis=None)[BITS * BITS // 2 - 1]).ravel(), min(100, steps // 90)


def _box(x: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    """Means along an axis over a window of a 128th of it, cut at the ends."""
    n = x.shape[axis]
    window = (n + 2 * SIDE - 1) // (2 * SIDE)
    right = (window + 2) // 2 - 1
    left = window - 1 - right
    total = np.concatenate([np.zeros_like(x.take([0], axis)), np.cumsum(x, axis)], axis)
    last = np.minimum(np.arange(n) + right + 1, n)
    first = np.maximum(np.arange(n) - left, 0)
    shape = [1, 1]
    shape[axis] = n
    mean: NDArray[np.float64] = (total.take(last, axis) - total.take(first, axis)) / (last - first).reshape(shape)
    return mean


@lru_cache(maxsize=1)
def _cosines() -> NDArray[np.float64]:
    """Rows 1 to 16 of the cosine transform, [16, 64]."""
    wave, place = np.arange(1, BITS + 1)[:, None], np.arange(SIDE)[None]
    answer: NDArray[np.float64] = np.sqrt(2 / SIDE) * np.cos(np.pi / 2 / SIDE * wave * (2 * place + 1))
    return answer


def to_hex(bits: NDArray[np.bool_]) -> str:
    """64 hexadecimal digits, the last bit first, as lists of hashes have them."""
    return np.packbits(bits[::-1]).tobytes().hex()


def from_hex(text: str) -> NDArray[np.bool_]:
    """The bits of 64 hexadecimal digits. Raises ValueError."""
    raw = bytes.fromhex(text)
    if len(raw) != BITS * BITS // 8:
        raise ValueError(f"{len(raw)} bytes")
    return np.unpackbits(np.frombuffer(raw, np.uint8)).astype(bool)[::-1]


def read_list(path: Path) -> NDArray[np.bool_]:
    """The hashes of a file, bool [n, 256]. Raises InputError."""
    return np.array([bits for bits, _ in read_named(path)], bool).reshape(-1, BITS * BITS)


def read_named(path: Path) -> list[tuple[NDArray[np.bool_], str]]:
    """The hashes of a file and what is said about each: one of 64 hexadecimal digits a line, then, after a comma or
    blank, what it is of. Raises InputError."""
    rows = []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the list of hashes {path} cannot be read: {error}") from error
    for number, line in enumerate(lines, start=1):
        digits, _, name = line.strip().replace(",", " ", 1).partition(" ")
        if not digits or digits.startswith("#"):
            continue
        try:
            rows.append((from_hex(digits), name.strip()))
        except ValueError:
            raise InputError(f"line {number} of {path} is no PDQ hash; give 64 hexadecimal digits") from None
    return rows


def both_ways(frames: Sequence[NDArray[np.uint8]]) -> Iterator[NDArray[np.bool_]]:
    """The hash of every frame and of its mirror image, of those that have enough to tell apart."""
    for frame in frames:
        for picture in (frame, np.ascontiguousarray(frame[:, ::-1])):
            bits, quality = pdq(picture)
            if quality >= QUALITY:
                yield bits


def matches(frames: Sequence[NDArray[np.uint8]], known: NDArray[np.bool_]) -> bool:
    """Whether a frame, or its mirror image, is a copy of one on the list."""
    return len(known) > 0 and any(int((known ^ bits).sum(1).min()) <= NEAR for bits in both_ways(frames))
