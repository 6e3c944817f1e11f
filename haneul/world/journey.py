"""Where somebody is who plays: a place in a country, and what stands before the camera there."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from haneul.world.country import Country, Thing
from haneul.world.framing import Path, place
from haneul.world.rides import RIDERS, turned
from haneul.world.scene import GEOM_WIDTH, Camera
from haneul.world.sight import sight

SEEN = 22.0  #: metres to which things are looked for
_FINE = 2  # logged frames to a step


class Journey:
    """A way through the country of `setting` and `seed`, as `kind` (rides.RIDERS) goes it. Not for several threads."""

    def __init__(self, kind: str, setting: str, seed: int) -> None:
        self.rider, self.setting, self.country = RIDERS[kind], setting, Country(setting, seed)
        self.x = self.y = 0.0
        self.heading = self._azimuth = 0.0  #: radians, 0 along x, to the left
        self.things: list[Thing] = []  #: that stand around, nearer than SEEN
        self._look_around()

    def go(self, step: tuple[float, float, float]) -> NDArray[np.float32]:
        """Take a step, metres ahead and to the left and radians to the left; what is seen then, as `sight.sight`.
        Things are not gone through: whoever goes against one is led around it."""
        last = self.camera()
        ahead, left, turn = step
        c, s = math.cos(self.heading), math.sin(self.heading)
        self.x, self.y = self.x + c * ahead - s * left, self.y + s * ahead + c * left
        before, self.heading = self.heading, self.heading + turn
        for k in range(1, _FINE + 1):
            self._azimuth = turned(self._azimuth, before + turn * k / _FINE, self.rider.lag)
        for thing in self.things:  # as they stood before the step, which is short
            self._around(thing)
        self._look_around()
        geoms = [np.zeros((0, GEOM_WIDTH), np.float32), *(thing.rows for thing in self.things)]
        return sight(np.concatenate(geoms), self.camera(), self.setting, last)

    def _look_around(self) -> None:
        """All but what would have stood where the way began."""
        low, high = (self.x - SEEN, self.y - SEEN), (self.x + SEEN, self.y + SEEN)
        self.things = [
            thing for thing in self.country.within(low, high)
            if math.hypot(thing.x, thing.y) > self.rider.clear + thing.near
            and math.hypot(thing.x - self.x, thing.y - self.y) < SEEN
        ]  # fmt: skip

    def near(self) -> list[tuple[float, float, float]]:
        """What stands around, as the rider has it: metres ahead, to the left, and how far it reaches."""
        c, s = math.cos(self.heading), math.sin(self.heading)
        found = ((thing.x - self.x, thing.y - self.y, thing.near) for thing in self.things)
        return [(c * x + s * y, c * y - s * x, reach) for x, y, reach in found]

    def _around(self, thing: Thing) -> None:
        """Out of a thing's way, to the nearest place beside it."""
        dx, dy = self.x - thing.x, self.y - thing.y
        away, least = math.hypot(dx, dy), self.rider.clear + thing.near
        if away < least:
            k = least / max(away, 1e-6)
            self.x, self.y = thing.x + k * dx, thing.y + k * dy

    def camera(self) -> Camera:
        """Behind the rider, or where it is, as in a ride (rides.follow)."""
        still = np.zeros(1)
        path = Path(
            azimuth_T=still + self._azimuth - math.pi / 2, elevation_T=still + math.radians(self.rider.tilt),
            scale_T=still + 1, lateral_T=still, axis=0.0,
        )  # fmt: skip
        target: NDArray[Any] = np.array([self.x, self.y, self.rider.height + self.rider.above])
        view, _ = place(path, target, self.rider.distance)
        return view.cameras()[0]
