"""What the watermark looks like before it is laid on a picture: noise on a torus, drawn from a secret key.

The torus has SIDE x SIDE units. Each video shows a window of it whose place (the shift) follows from the video's
identifier; a crop is only a smaller window. Two layers of +1 and -1 lie on its points ("chips"), filtered to a band of
wavelengths:

- the sync layer, by which a detector finds scale and place: one of SETS, chosen by the identifier;
- the payload layer: every point belongs to one of the 256 coded bits, by a permutation that the set chooses.

Because shift and set differ from video to video, and the coded bits too, the mean over many videos tends to zero.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from haneul.trust import codes

Field = NDArray[np.float32]  # [SIDE, SIDE]
SIDE = 160  #: units around the torus
SETS = 16
ID_BITS = 48
CHECK_BITS = 24
SHORTEST, LONGEST = 2.5, 8.75  #: wavelengths of the band in units
SYNC_SHARE = 0.25  #: of the pattern's energy
_ACROSS = 120  #: units that the geometric mean of a picture's sides holds
_FINEST = 2.0  #: pixels that a unit has at least


def unit_of(width: int, height: int) -> float:
    """Pixels that a unit has in a picture of this size when it is marked."""
    return max(_FINEST, loose_unit_of(width, height))


def loose_unit_of(width: int, height: int) -> float:
    """The same without the lower bound: what a picture that was scaled down has."""
    return float(np.sqrt(width * height)) / _ACROSS


def _stream(key: bytes, what: str, count: int) -> NDArray[np.uint8]:
    """`count` bytes that nobody can foresee without the key; the same on every machine and for ever."""
    seed = hmac.digest(key, what.encode(), "sha256")
    return np.frombuffer(hashlib.shake_256(seed).digest(count), np.uint8)


def _signs(key: bytes, what: str) -> Field:
    bits = np.unpackbits(_stream(key, what, SIDE * SIDE // 8))
    return (1 - 2 * bits.astype(np.float32)).reshape(SIDE, SIDE)


@functools.cache
def band() -> Field:
    """Weight of each frequency of `rfft2`, [SIDE, SIDE // 2 + 1]: 1 within the band, with soft edges."""
    fy, fx = np.fft.fftfreq(SIDE)[:, None], np.fft.rfftfreq(SIDE)[None]
    f = np.hypot(fy, fx)
    low, high = 1 / LONGEST, 1 / SHORTEST
    rise = np.clip((f - 0.75 * low) / (0.25 * low), 0, 1)
    fall = np.clip((1.1 * high - f) / (0.1 * high), 0, 1)
    weight: Field = (rise * fall).astype(np.float32)
    return weight


def filtered(field: Field) -> Field:
    """The field within the band, of mean square 1."""
    inside = np.fft.irfft2(np.fft.rfft2(field) * band(), s=(SIDE, SIDE)).astype(np.float32)
    unit: Field = inside / np.sqrt(np.mean(inside**2))
    return unit


@dataclass(frozen=True, kw_only=True)
class Mark:
    """What one video carries: `number` is its identifier, of ID_BITS bits."""

    key: bytes
    number: int

    @property
    def set(self) -> int:
        return int(_stream(self.key, f"set {self.number}", 1)[0]) % SETS

    @property
    def shift(self) -> tuple[float, float]:
        """Where on the torus the picture's top left corner lies, in units (down, right)."""
        down, right = np.frombuffer(_stream(self.key, f"shift {self.number}", 4).tobytes(), "<u2")
        return float(down) / 2**16 * SIDE, float(right) / 2**16 * SIDE

    def coded(self) -> codes.Bits:
        return codes.encode(message(self.key, self.number))


def message(key: bytes, number: int) -> codes.Bits:
    """The identifier's bits and CHECK_BITS that only who has the key can compute."""
    check = int.from_bytes(_stream(key, f"check {number}", CHECK_BITS // 8).tobytes(), "big")
    value = (number << CHECK_BITS) | check
    total = ID_BITS + CHECK_BITS
    return np.array([(value >> (total - 1 - i)) & 1 for i in range(total)], np.uint8)


def number_in(key: bytes, bits: codes.Bits, chosen: int) -> int | None:
    """The identifier in decoded bits, if its check holds and it chooses the set in which it was found."""
    value = int("".join(map(str, bits.tolist())), 2)
    number = value >> CHECK_BITS
    held = np.array_equal(message(key, number), bits) and Mark(key=key, number=number).set == chosen
    return number if held else None


class Carriers:
    """The layers of one key. They take a moment to make and are kept (see `carriers_of`)."""

    def __init__(self, key: bytes) -> None:
        self.key = key
        #: chips of the sync layers, [SETS, SIDE, SIDE]
        self.sync = np.stack([_signs(key, f"sync {number}") for number in range(SETS)])

    @functools.cache  # noqa: B019 - an object of this kind lives as long as the process
    def payload(self, chosen: int) -> tuple[Field, NDArray[np.intp]]:
        """Signs of the payload's chips and the coded bit that each belongs to, both [SIDE, SIDE]."""
        words = np.frombuffer(_stream(self.key, f"order {chosen}", 8 * SIDE * SIDE).tobytes(), "<u8")
        place = np.argsort(words, kind="stable") % codes.LENGTH
        return _signs(self.key, f"payload {chosen}"), place.reshape(SIDE, SIDE)

    def pattern(self, mark: Mark) -> Field:
        """The whole torus of a mark, of mean square 1."""
        signs, place = self.payload(mark.set)
        bits = 1 - 2 * mark.coded().astype(np.float32)
        layers = np.sqrt(SYNC_SHARE) * self.sync[mark.set] + np.sqrt(1 - SYNC_SHARE) * signs * bits[place]
        return filtered(layers)

    def window(self, mark: Mark, width: int, height: int) -> Field:
        """The mark's pattern at a picture's size, [height, width], of mean square about 1."""
        unit = unit_of(width, height)
        down, right = mark.shift
        across, along = width / unit, height / unit
        edge = 4  # units around the window, for the interpolation
        rows = (np.arange(int(np.ceil(along)) + 2 * edge + 1) + int(down) - edge) % SIDE
        columns = (np.arange(int(np.ceil(across)) + 2 * edge + 1) + int(right) - edge) % SIDE
        part = Image.fromarray(self.pattern(mark)[np.ix_(rows, columns)])
        left, top = right % 1 + edge, down % 1 + edge
        box = (left, top, left + across, top + along)
        return np.asarray(part.resize((width, height), Image.Resampling.BICUBIC, box=box), np.float32)


@functools.lru_cache(maxsize=4)
def carriers_of(key: bytes) -> Carriers:
    return Carriers(key)
