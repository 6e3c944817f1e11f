"""What an event is: who takes part, how it is staged, and how its outcome is read off the finished log."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from haneul.world.scene import FPS, Camera, Truth
from haneul.world.stage import Array, Stage
from haneul.world.vocabulary import CAMERAS, MATERIALS

ALL_MATERIALS = tuple(MATERIALS)
NO_TRUCK = tuple(c for c in CAMERAS if not c.startswith("truck"))
MOVED = 0.05  # share of the look distance that something must move to be called moving that way


@dataclass(frozen=True, kw_only=True)
class Role:
    """A part in an event: the kinds and materials that can play it (no materials: `Subject.material` is None)."""

    kinds: tuple[str, ...]
    materials: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Window:
    """Frames [start, stop) of a finished simulation, as an observer sees them."""

    truth: Truth
    start: int
    stop: int

    @property
    def still(self) -> bool:
        return self.stop - self.start == 1

    @property
    def last(self) -> int:
        return self.stop - 1

    @property
    def seconds(self) -> float:
        return (self.stop - self.start - 1) / FPS

    @property
    def camera(self) -> Camera:
        """The camera in the middle of the window."""
        return self.truth.cameras[(self.start + self.last) // 2]

    def pos(self, subject: int) -> Array:
        """Positions [W, 3] of a subject (1-based)."""
        return self.truth.pos_TS3[self.start : self.stop, subject - 1].astype(float)

    def parts(self, subject: int) -> tuple[Array, Array]:
        """Positions [W, P, 3] and orientations [W, P, 4] of a subject made of several bodies."""
        pos: Any = self.truth.extra["parts_pos"]
        quat: Any = self.truth.extra["parts_quat"]
        return pos[subject][self.start : self.stop], quat[subject][self.start : self.stop]

    def travelled(self, subject: int) -> float:
        """Greatest distance in metres from where the subject was when the window began."""
        pos = self.pos(subject)
        return float(np.linalg.norm(pos - pos[0], axis=1).max())

    def side(self, subject: int) -> str | None:
        """Towards which side of the picture the subject moved, as seen by the window's middle camera."""
        pos = self.pos(subject)
        camera = self.camera
        offset = pos[[0, -1]] - camera.origin
        screen = (offset @ camera.right) / np.maximum(offset @ camera.forward, 0.05)
        if abs(screen[1] - screen[0]) < MOVED:
            return None
        return "right" if screen[1] > screen[0] else "left"

    def touches(self, a: str, b: str) -> list[float]:
        """Moments (seconds of the clip) within the window at which something named a... touched something b..."""
        first, last = self.start / FPS, self.last / FPS
        return [
            t for t, x, y, _f, _p in self.truth.contacts
            if first < t <= last and ((x.startswith(a) and y.startswith(b)) or (x.startswith(b) and y.startswith(a)))
        ]  # fmt: skip

    def visible_works(self, works: tuple[tuple[str, Array], ...]) -> tuple[str, ...]:
        """Manners of the works whose centre is in a 16:9 picture at some moment of the window, in order of entry."""
        seen: dict[int, float] = {}
        for frame in range(self.start, self.stop):
            camera = self.truth.cameras[frame]
            for k, (_manner, pos) in enumerate(works):
                offset = pos - camera.origin
                depth = float(offset @ camera.forward)
                x = float(offset @ camera.right) / max(depth, 0.01) * camera.focal
                y = float(offset @ camera.up) / max(depth, 0.01) * camera.focal
                if depth > 0 and abs(x) < 1.6 and abs(y) < 0.95 and k not in seen:
                    seen[k] = frame + x * 1e-3
        return tuple(works[k][0] for k in sorted(seen, key=lambda k: seen[k]))


#: What an observer returns: values of Facts' fields.
Observation = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class EventRule:
    """One event. `build` fills the stage; `observe` states what a window shows."""

    build: Callable[[Stage], None]
    observe: Callable[[Window], Observation]
    cast: tuple[Role, ...] = ()
    cameras: tuple[str, ...] = CAMERAS
    directed: bool = False
    related: bool = False
    follows: bool = False  # a trucking camera goes the subject's way
    steerable: bool = False  # its subject can be steered


def tilted(quat_PQ: Array, start_PQ: Array) -> Array:
    """Angles in degrees [P] between orientations and the ones at the start of the clip."""
    dot = np.abs((quat_PQ * start_PQ).sum(-1)).clip(0, 1)
    return np.asarray(np.degrees(2 * np.arccos(dot)))
