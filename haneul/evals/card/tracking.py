"""Where things are in a clip of a known set-up.

What a thing and the place behind it look like is learned from the set-up's render; where the thing is, is read from the
clip alone. A pixel belongs to the thing, to the place, or to neither, whichever is likeliest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from haneul.evals.card.staged import Array, Case, Frames
from haneul.evals.physics import around

SOFT: Final = 0.05  #: of the range of a channel: how far colours may be off without being others
NEITHER: Final = 0.5  #: density of what is neither thing nor place, over the cube of colours
REACH: Final = 0.85  #: of the diameter: how far from its middle a thing's pixels are looked for
LEAST: Final = 0.35  #: of its pixels that must be there for a thing to be seen
AGREES: Final = 0.6  #: of the pixels of thing and found thing together that are both
FAR: Final = 0.12  #: what a diameter's distance from the last place costs, in shares of the pixels


def _boxes(weight: Array, side: int) -> Array:
    """Sums of the weight in squares of an odd side around every pixel."""
    half = side // 2
    padded = np.pad(weight, half + 1)
    total = padded.cumsum(0).cumsum(1)
    H, W = weight.shape
    return np.asarray(
        total[side : side + H, side : side + W] - total[:H, side : side + W] - total[side : side + H, :W]
        + total[:H, :W]
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Track:
    """A thing's middle [T, 2] (x, y down) in pixels and how many pixels of it are seen [T]; NaN where it is not."""

    centre_T2: Array
    area_T: Array

    @property
    def seen_T(self) -> NDArray[np.bool_]:
        return np.asarray(np.isfinite(self.centre_T2[:, 0]))


def density(x: Array, mean: Array, cov: Array) -> Array:
    """Logarithm of a Gaussian's density at colours [..., 3]."""
    distance = (((x - mean) @ np.linalg.inv(np.linalg.cholesky(cov)).T) ** 2).sum(-1)
    return np.asarray(-0.5 * (distance + np.log(np.linalg.det(cov)) + 3 * np.log(2 * np.pi)))


class Sight:
    """Finds the subjects of one set-up in any clip of it."""

    def __init__(self, case: Case) -> None:
        self.case = case
        x = case.video.astype(float) / 255
        bare = case.ids == 0
        counted = bare.sum(0)
        free = np.where(bare[..., None], x, np.nan)
        free[:, counted == 0] = 0.0
        plate = np.where(counted[..., None] > 0, np.nanmedian(free, 0), np.nan)
        spread = np.nanvar(free, 0)
        if np.isnan(plate).any():  # what was never uncovered is taken to look like what lies around
            plate = np.where(np.isnan(plate), np.nanmean(plate, (0, 1)), plate)
        self.plate, self.spread = plate, spread + SOFT**2
        self.looks: dict[int, tuple[Array, Array]] = {}
        for k in range(1, len(case.spec.subjects) + 1):
            own = x[self._inside(k)]
            if len(own) >= 8:
                self.looks[k] = own.mean(0), np.cov(own.T) + SOFT**2 * np.eye(3)

    def _inside(self, subject: int) -> NDArray[np.bool_]:
        """Pixels [T, H, W] that are well within the subject's main geom."""
        case = self.case
        own = case.ids == subject
        inner = own.copy()
        for axis, step in ((1, 1), (1, -1), (2, 1), (2, -1)):
            inner &= np.roll(own, step, axis)
        middle = case.pixels(case.way(subject))
        reach = 0.9 * self.diameter(subject) / 2
        rows, columns = np.mgrid[: own.shape[1], : own.shape[2]]
        near = (rows - middle[:, 1, None, None]) ** 2 + (columns - middle[:, 0, None, None]) ** 2 <= reach**2
        return np.asarray(inner & near if len(case.truth.geoms_TNG) and self._single(subject) else inner)

    def _single(self, subject: int) -> bool:
        """Whether one geom stands for the subject; stacks and rows are many."""
        parts: dict[int, Any] = self.case.truth.extra["parts_pos"]  # type: ignore[assignment]
        return subject not in parts

    def diameter(self, subject: int) -> float:
        """Of the subject's main geom in the first frame, in pixels."""
        case = self.case
        place = case.way(subject)[0]
        across = place + case.camera.right * case.radius(subject)
        return 2 * float(np.linalg.norm(case.pixels(across) - case.pixels(place)))

    def weights(self, video: Frames, subject: int) -> Array:
        """How likely each pixel [T, H, W] of a clip belongs to a subject, 0 to 1."""
        x = video.astype(float) / 255
        place = -0.5 * (((x - self.plate) ** 2 / self.spread) + np.log(2 * np.pi * self.spread)).sum(-1)
        others = [density(x, *look) for k, look in self.looks.items() if k != subject]
        rest = np.logaddexp(place, np.log(NEITHER))
        for other in others:
            rest = np.logaddexp(rest, other)
        odds = density(x, *self.looks[subject]) - rest
        return np.asarray(1 / (1 + np.exp(-odds.clip(-50, 50))))

    def track(self, weight: Array, subject: int) -> Track:
        """Follow one solid through the weights [T, H, W] of a clip, from where it begins."""
        wide = self.diameter(subject)
        full = float((self.case.ids[0] == subject).sum()) or np.pi * wide**2 / 4
        size = min(full, np.pi * wide**2 / 4 * 1.6)
        side = max(3, int(wide) // 2 * 2 + 1)
        rows, columns = np.mgrid[: weight.shape[1], : weight.shape[2]]
        x, y = self.case.pixels(self.case.way(subject)[0])
        centre, area = np.full((len(weight), 2), np.nan), np.full(len(weight), np.nan)
        for t, w in enumerate(weight):
            away = np.hypot(rows - y, columns - x) / wide
            best = np.unravel_index(int((_boxes(w, side) / size - FAR * away).argmax()), w.shape)
            cy, cx, total = float(best[0]), float(best[1]), 0.0
            for _ in range(4):
                cy, cx, total = around(w, cy, cx, REACH * wide)
            if total >= LEAST * size:
                centre[t], area[t] = (cx, cy), total
                x, y = cx, cy
        return Track(centre_T2=centre, area_T=area)

    def agrees(self) -> bool:
        """Whether every subject is told from the rest on the render itself, whose truth is known."""
        for k in range(1, len(self.case.spec.subjects) + 1):
            if k not in self.looks:
                return False
            found, right = self.weights(self.case.video, k) > 0.5, self.case.ids == k
            if float((found & right).sum()) < AGREES * float((found | right).sum()):
                return False
        return True
