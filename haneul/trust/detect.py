"""Finds and reads watermarks in frames of unknown origin: scaled, cropped, mirrored, re-encoded.

Frames become one field in which the pattern stands out: what is smooth is taken out, every place is weighed by its own
contrast, the frames are averaged, and every frequency is weighed by its own power. For each scale that the frames may
have been brought to, the field is laid on the torus of `carriers` and compared with every set's sync layer at every
place at once (by Fourier transform). The best places are refined and their payload is decoded; a mark is read only
where the check of CHECK_BITS bits in it holds.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from haneul.trust import carriers as ca
from haneul.trust import codes

Frame = NDArray[np.uint8]  # [H, W, 3]
Field = NDArray[np.float32]
Spectrum = NDArray[np.complex64]  # of `rfft2`, [SIDE, SIDE // 2 + 1]

_WORKING = 640  #: longest side in pixels of the pictures that are looked at
_SMALLEST, _LARGEST = 0.5, 1.6  #: scales that are tried, against a whole picture of this size
_STEP = 0.012
_LOCAL = 0.3  #: of the longest wavelength: over what contrast is measured
_FEWEST_UNITS = 16  #: across a picture that is looked at
_PROMISING = 5.0  #: sync z above which a place is refined
FEWEST = 6.0  #: sync z below which nothing is decoded
CERTAIN = 9.0  #: sync z above which a mark is told even where it can't be read
MOST_PLACES = 6  #: that are decoded in one search
KEEP = 8  #: messages that are tried at each
#: Bits that a wrong message has to meet by chance: the check, and the set that its number chooses.
CHECKED = ca.CHECK_BITS + int(math.log2(ca.SETS))
TRIES = 10 * 2 * MOST_PLACES * KEEP  #: messages that are tried in one file at most
HYPOTHESES = 1e9  #: scales, sides, sets and places that are compared in one file, at most
_UNLIKELY = 1e-8
LEAST = 1e-12  #: no chance is told to be less: the normal law was not tested so far out
_SHAPE = (ca.SIDE, ca.SIDE)


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a sync layer was found."""

    z: float  #: standard deviations of the comparison above its mean
    set: int
    unit: tuple[float, float]  #: working pixels that a unit has, down and across
    shift: tuple[int, int]  #: of the frame's corner on the torus, in units
    flipped: bool


@dataclass(frozen=True, kw_only=True, eq=False)
class Found:
    """A mark. `number` is None where there is one that can't be read."""

    number: int | None
    place: Place
    bits: float | None  #: share of the coded bits that were right
    false_alarm: float  #: bound on the chance that frames without a mark give this

    @property
    def z(self) -> float:
        return self.place.z


def tail(z: float) -> float:
    """The chance that a normal variable is above z."""
    return math.erfc(z / math.sqrt(2)) / 2


# ---------------------------------------------------------------------------------------------- frames to one field


def working(frame: Frame) -> Field:
    """Brightness at the working size, [h, w]."""
    luma = Image.fromarray(frame).convert("L")
    scale = max(luma.size) / _WORKING
    if scale > 1:
        size = (round(luma.width / scale), round(luma.height / scale))
        return np.asarray(_as_float(luma).resize(size, Image.Resampling.BOX, reducing_gap=None))
    return np.asarray(luma, np.float32)


def _as_float(picture: Image.Image) -> Image.Image:
    return picture.convert("F")


def _smooth(x: Field, radius: float) -> Field:
    """What is left of a picture without details finer than `radius`."""
    h, w = x.shape
    coarse = (max(2, round(w / radius)), max(2, round(h / radius)))
    small = Image.fromarray(x).resize(coarse, Image.Resampling.HAMMING)
    return np.asarray(small.resize((w, h), Image.Resampling.BICUBIC))


def field_of(frames: Sequence[Frame]) -> Field:
    """The mean of the frames' contrast, each place by its own, [h, w] at the working size."""
    total: Field | None = None
    for frame in frames:
        y = working(frame)
        unit = ca.loose_unit_of(y.shape[1], y.shape[0])
        radius = max(1.5, _LOCAL * ca.LONGEST * unit)
        rest = y - _smooth(y, radius)
        power = np.maximum(_smooth(rest * rest, radius), 0)
        rest = np.clip(rest / (np.sqrt(power) + 1.0), -2, 2)
        total = rest if total is None else total + rest
    if total is None:
        raise ValueError("no frames")
    return total / np.float32(len(frames))


# ------------------------------------------------------------------------------------------------------- searching


class Detector:
    """Looks for the marks of one key."""

    def __init__(self, key: bytes) -> None:
        self.key = key
        self.carriers = ca.carriers_of(key)
        self.band = ca.band()
        self.sync: Spectrum = (np.fft.rfft2(self.carriers.sync).conj() * self.band).astype(np.complex64)

    def spectrum(self, field: Field, unit: tuple[float, float], *, flipped: bool = False) -> Spectrum:
        """The whitened spectrum of a field laid on the torus."""
        h, w = field.shape
        rows, columns = int(h / unit[0]), int(w / unit[1])
        box = (0, 0, columns * unit[1], rows * unit[0])
        grid = np.asarray(Image.fromarray(field).resize((columns, rows), Image.Resampling.BICUBIC, box=box))
        grid = grid[:, ::-1] if flipped else grid
        torus = np.zeros((-(-rows // ca.SIDE) * ca.SIDE, -(-columns // ca.SIDE) * ca.SIDE), np.float32)
        torus[:rows, :columns] = grid
        torus = torus.reshape(-1, ca.SIDE, torus.shape[1] // ca.SIDE, ca.SIDE).sum((0, 2))
        X = np.fft.rfft2(torus)
        power = X.real**2 + X.imag**2
        smooth = np.fft.rfft2(np.fft.irfft2(power, s=_SHAPE) * _near()).real
        whitened: Spectrum = (X * (self.band / np.sqrt(np.maximum(smooth, 0) + 1e-9))).astype(np.complex64)
        return whitened

    def surface(self, X: Spectrum, sets: slice | list[int] = slice(None)) -> Field:
        """How well each set's sync layer fits at each place, in standard deviations, [sets, SIDE * SIDE]."""
        c = np.fft.irfft2(X * self.sync[sets], s=_SHAPE).reshape(-1, ca.SIDE * ca.SIDE)
        power = np.einsum("kn,kn->k", c, c)[:, None] / c.shape[1]
        z: Field = c / np.sqrt(np.maximum(power, 1e-24))
        return z

    def places(self, field: Field, scales: Sequence[float]) -> list[Place]:
        """The best places over all scales and both ways round, the best first, each only once."""
        h, w = field.shape
        base = ca.loose_unit_of(w, h)
        found: list[Place] = []
        for scale in scales:
            unit = (base * scale, base * scale)
            if min(h, w) / unit[0] < _FEWEST_UNITS:
                continue
            for flipped in (False, True):
                surface = self.surface(self.spectrum(field, unit, flipped=flipped))
                where = surface.argmax(1)
                for chosen, top in enumerate(where.tolist()):
                    z = float(surface[chosen, top])
                    if z > _PROMISING:
                        found.append(Place(z=z, set=chosen, unit=unit, shift=_shift(top), flipped=flipped))
        best: list[Place] = []
        for place in sorted(found, key=lambda p: -p.z):
            if all((place.set, place.flipped) != (other.set, other.flipped) for other in best):
                best.append(place)
        return best[:MOST_PLACES]

    def refined(self, field: Field, place: Place) -> Place:
        """The place with the scale improved, down and across apart."""
        best = place
        for step in (0.004, 0.0015):
            for dy, dx in ((1, 1), (-1, -1), (1, -1), (-1, 1)):
                while True:
                    unit = (best.unit[0] * (1 + dy * step), best.unit[1] * (1 + dx * step))
                    surface = self.surface(self.spectrum(field, unit, flipped=place.flipped), [place.set])[0]
                    top = int(surface.argmax())
                    z = float(surface[top])
                    if z <= best.z:
                        break
                    best = replace(best, z=z, unit=unit, shift=_shift(top))
        return best

    def soft(self, field: Field, place: Place) -> NDArray[np.float32]:
        """Soft values of the coded bits at a place."""
        X = self.spectrum(field, place.unit, flipped=place.flipped) * self.band
        chips = np.roll(np.fft.irfft2(X, s=_SHAPE), place.shift, (0, 1))
        signs, order = self.carriers.payload(place.set)
        values = np.bincount(order.ravel(), (chips * signs).ravel(), codes.LENGTH)
        return (values / max(float(np.sqrt(np.mean(values**2))), 1e-12)).astype(np.float32)

    def search(self, field: Field, *, known: Sequence[int] = (), thorough: bool = True) -> list[Found]:
        """The marks in a field, the surest first.

        `known` are numbers that may be expected: one of them is recognised where the payload is too weak to be decoded
        from nothing. Without `thorough` only pictures that show the whole frame are looked for.
        """
        marks: list[Found] = []
        for scales in _passes(field)[: 2 if thorough else 1]:
            places = [self.refined(field, place) for place in self.places(field, scales)]
            marks = self.read(field, [place for place in places if place.z >= FEWEST], known)
            if any(mark.number is not None for mark in marks):
                break
        return marks

    def read(self, field: Field, places: Sequence[Place], known: Sequence[int] = ()) -> list[Found]:
        """What the marks at these places say, the surest first; a mark that says nothing only where it is CERTAIN and
        the only one."""
        if not places:
            return []
        soft = np.stack([self.soft(field, place) for place in places])
        words = codes.decode(soft, ca.ID_BITS + ca.CHECK_BITS, keep=KEEP)
        found: dict[int | None, Found] = {}
        for place, values, tries in zip(places, soft, words, strict=True):
            numbers = (ca.number_in(self.key, bits, place.set) for bits in tries)
            number = next((n for n in numbers if n is not None), None)
            false_alarm = TRIES * 2.0**-CHECKED * min(1.0, HYPOTHESES * tail(place.z))
            if number is None:
                number, false_alarm = self.nearest(values, place, known)
            if number is None:
                false_alarm = HYPOTHESES * tail(place.z)
                if place.z < CERTAIN:
                    continue
            bits = None
            if number is not None:
                bits = float(np.mean((values < 0) == ca.Mark(key=self.key, number=number).coded()))
            if number not in found or found[number].z < place.z:
                found[number] = Found(
                    number=number, place=place, bits=bits, false_alarm=min(1.0, max(LEAST, false_alarm))
                )
        if len(found) > 1:
            found.pop(None, None)
        return sorted(found.values(), key=lambda mark: -mark.z)

    def nearest(self, soft: NDArray[np.float32], place: Place, known: Sequence[int]) -> tuple[int | None, float]:
        """The known number whose coded bits fit best, if by chance that happens less than once in a hundred million
        searches; and a bound on that chance."""
        fitting = [n for n in known if ca.Mark(key=self.key, number=n).set == place.set]
        if not fitting:
            return None, 1.0
        coded = np.stack([ca.Mark(key=self.key, number=n).coded() for n in fitting])
        fit = (1 - 2 * coded.astype(np.float32)) @ soft / np.sqrt(codes.LENGTH)
        best = int(fit.argmax())
        chance = MOST_PLACES * len(fitting) * tail(float(fit[best]))
        return (fitting[best], chance) if chance < _UNLIKELY else (None, 1.0)


@functools.lru_cache(maxsize=4)
def detector_of(key: bytes) -> Detector:
    return Detector(key)


@functools.cache
def _near() -> Field:
    """A window over the torus around its corner: what it leaves of an autocorrelation is that of a smooth spectrum."""
    far = np.minimum(np.arange(ca.SIDE), ca.SIDE - np.arange(ca.SIDE))
    window = np.exp(-0.5 * (far / (ca.SIDE / 18)) ** 2)
    outer: Field = np.outer(window, window).astype(np.float32)
    return outer


def _shift(top: int) -> tuple[int, int]:
    """The frame's place on the torus, from that of the greatest value: the layer lies at minus the frame's corner."""
    down, right = divmod(top, ca.SIDE)
    return -down % ca.SIDE, -right % ca.SIDE


def _passes(field: Field) -> list[list[float]]:
    """Scales by how likely they are: the whole picture as it was made or scaled; then all others."""
    h, w = field.shape
    least = ca.unit_of(w, h) / ca.loose_unit_of(w, h)  # above 1 for pictures that are small as they were made
    whole = [1.0] if least == 1 else [1.0, least]
    first, last = np.log(_SMALLEST), np.log(_LARGEST * least)
    return [whole, np.exp(np.linspace(first, last, 1 + math.ceil((last - first) / _STEP))).tolist()]
