"""Set-ups of the simulated world on which a model is asked what happens next, with the truth of each.

A model is given the first frame of a set-up, or its first half second, and its caption. The camera stands still and is
known, so places in the picture become metres.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from haneul.errors import WorldError
from haneul.evals.clips import SEED, SIZE, word
from haneul.evals.physics import CHROMATIC
from haneul.world.events import observe
from haneul.world.physics import simulate
from haneul.world.produce import STRIDE, draw
from haneul.world.sample import sample_spec
from haneul.world.scene import (
    CALM,
    FPS,
    GEOM_OBJECT,
    GEOM_POS,
    GEOM_RADIUS,
    GEOM_SIZE,
    GEOM_TYPE,
    Camera,
    ClipSpec,
    Truth,
)
from haneul.world.stage import Look, geom_row
from haneul.world.vocabulary import COLORS

Array = NDArray[np.float64]
Frames = NDArray[np.uint8]  # [T, H, W, 3]

RATE: Final = FPS / STRIDE  #: frames a second of what is looked at
HALF: Final = 0.5  #: seconds that are given where one frame says too little
APART: Final = 0.55  #: between the hues of two things that are told apart by colour, in unit chroma
GREY: Final = Look(rgb=(0.35, 0.35, 0.36), surface="plaster")


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A kind of set-up. `fixed` pins attributes of the specification, `given` are the seconds that a model sees (0: one
    frame), `fits` says which draws are good, `alter` may put more before the camera."""

    fixed: dict[str, Any]
    given: float = 0.0
    fits: Callable[[Truth], bool] = lambda truth: True
    alter: Callable[[Truth], Truth] = lambda truth: truth
    moves: bool = True  # whether anything should


@dataclass(frozen=True, kw_only=True, eq=False)
class Case:
    """One set-up: what is told and given, what the world shows, uint8 [T, H, W, 3] at RATE, and its truth."""

    scene: str
    truth: Truth
    caption: str
    given: float
    video: Frames
    ids: NDArray[np.uint8]  # [T, H, W] visible subjects
    start: Frames  # the first half second at FPS

    @property
    def spec(self) -> ClipSpec:
        return self.truth.spec

    @property
    def camera(self) -> Camera:
        return self.truth.cameras[0]

    @property
    def moments(self) -> Array:
        """Seconds of the frames."""
        return np.arange(len(self.video)) / RATE

    def begin(self, fps: float) -> Frames:
        """What a model of this frame rate is given."""
        count = max(1, round(self.given * fps) + 1) if self.given else 1
        index = [min(round(i * FPS / fps), len(self.start) - 1) for i in range(count)]
        return self.start[index]

    def geom(self, subject: int) -> int:
        """The geom that stands for a subject: its largest ball, else its largest solid."""
        table = self.truth.geoms_TNG[0]
        own = np.flatnonzero(table[:, GEOM_OBJECT] == subject)
        return int(max(own, key=lambda n: (table[n, GEOM_TYPE] == 0, table[n, GEOM_RADIUS])))

    def way(self, subject: int) -> Array:
        """True positions [T, 3] of a subject in metres."""
        return np.asarray(self.truth.geoms_TNG[::STRIDE, self.geom(subject), GEOM_POS], float)

    def radius(self, subject: int) -> float:
        """Metres."""
        return float(self.truth.geoms_TNG[0, self.geom(subject), GEOM_SIZE.start])

    def mass(self, subject: int) -> float:
        masses: dict[int, float] = self.truth.extra["mass"]  # type: ignore[assignment]
        return masses[subject]

    def pixels(self, places: Array) -> Array:
        """Where places [..., 3] in metres lie in the picture, [..., 2] (x, y down) in pixels."""
        c = self.camera
        offset = np.asarray(places, float) - c.origin
        scale = c.focal * SIZE[1] / 2 / (offset @ c.forward)
        x, y = (offset @ c.right) * scale + SIZE[0] / 2 - 0.5, SIZE[1] / 2 - 0.5 - (offset @ c.up) * scale
        return np.stack([x, y], -1)

    def metres(self, pixels_N2: Array, through: Array) -> Array:
        """The places [N, 3] of pixels in the upright plane through a point that faces the stage (what moves from side
        to side and up and down stays in it)."""
        c = self.camera
        x, y = pixels_N2[:, 0] + 0.5 - SIZE[0] / 2, SIZE[1] / 2 - 0.5 - pixels_N2[:, 1]
        ray = np.outer(x, c.right) + np.outer(y, c.up) + c.forward * (c.focal * SIZE[1] / 2)
        far = (through[1] - c.origin[1]) / ray[:, 1]
        return np.asarray(c.origin + ray * far[:, None], float)

    @cached_property
    def second(self) -> Frames:
        """Another physical run of the same set-up."""
        return film(SCENES[self.scene].alter(simulate(self.spec, jolt=1)))[0]


def film(truth: Truth) -> tuple[Frames, NDArray[np.uint8]]:
    """Pictures and ids of a simulation."""
    drawn = list(draw(truth, SIZE, stride=STRIDE, quality="fast"))
    return np.stack([rgb for rgb, _ in drawn]), np.stack([ids for _, ids in drawn])


def hue(color: str) -> Array:
    """Unit vector in RGB, free of grey."""
    rgb = np.array(COLORS[color]) ** (1 / 2.2)
    return np.asarray((rgb - rgb.mean()) / np.linalg.norm(rgb - rgb.mean()))


def told_apart(spec: ClipSpec) -> bool:
    """Whether the subjects' colours are no greys and differ enough."""
    colors = [s.color for s in spec.subjects]
    if any(c not in CHROMATIC for c in colors):
        return False
    return all(float(np.linalg.norm(hue(a) - hue(b))) > APART for i, a in enumerate(colors) for b in colors[:i])


def _meet(truth: Truth) -> bool:
    """Whether the two meet in the middle of the clip, with time before and after."""
    return any(1.0 <= t <= 2.6 and {a, b} == {"subject 1", "subject 2"} for t, a, b, *_ in truth.contacts)


def _behind(truth: Truth) -> Truth:
    """The same with a pillar before the middle of the way, as wide as the ball."""
    ball = truth.geoms_TNG[0, truth.geoms_TNG[0, :, GEOM_OBJECT] == 1][0]
    radius = float(ball[GEOM_SIZE.start])
    middle = truth.pos_TS3[len(truth.pos_TS3) // 2, 0].astype(float)
    camera = truth.cameras[0]
    toward = camera.origin - middle
    place = middle + toward * (1.7 * radius / abs(float(toward[1])))
    tall, wide = 1.3 * radius, 1.05 * radius
    row = geom_row("box", (place[0], place[1], tall), (wide, 0.08, tall), GREY)
    table = np.concatenate([truth.geoms_TNG, np.repeat(row[None, None], len(truth.geoms_TNG), 0)], 1)
    return replace(truth, geoms_TNG=table)


SCENES: Final[dict[str, Scene]] = {
    "falling": Scene(fixed={"event": "bounce"}),
    "colliding": Scene(fixed={"event": "collide", "kind2": "ball"}, given=HALF, fits=_meet),
    "rolling": Scene(fixed={"event": "ramp", "kind": "ball"}),
    "swinging": Scene(fixed={"event": "pendulum"}, given=HALF),
    "floating": Scene(fixed={"event": "float", "kind": "ball"}, given=HALF),
    "toppling": Scene(fixed={"event": "dominoes"}, given=HALF),
    "knocking": Scene(fixed={"event": "tower"}, given=HALF),
    "stacked": Scene(fixed={"event": "relation", "relation": "on top of", "kind2": "box"}, moves=False),
    "apart": Scene(fixed={"event": "relation", "relation": "left of"}, moves=False),
    "hidden": Scene(fixed={"event": "roll", "kind": "ball"}, given=HALF, alter=_behind),
}


def cases(name: str, first_seed: int = SEED * 1000) -> Iterator[Case]:
    """Set-ups of a scene without end, the same ones every time."""
    scene = SCENES[name]
    seed = first_seed
    while True:
        seed += 1
        color = CHROMATIC[seed % len(CHROMATIC)]
        try:
            spec = sample_spec(
                seed, richness=CALM, allow_held_out=True, camera="static", style="photo", color=color, **scene.fixed
            )
        except WorldError:
            continue
        if spec.time == "night" or not told_apart(spec):
            continue
        truth = scene.alter(simulate(spec))
        if not scene.fits(truth):
            continue
        video, ids = film(truth)
        half = math.ceil(HALF * FPS) + 1
        short = replace(truth, cameras=truth.cameras[:half], geoms_TNG=truth.geoms_TNG[:half])
        start = np.stack([rgb for rgb, _ in draw(short, SIZE, stride=1, quality="fast")])
        caption = word(observe(truth, 0, len(truth.cameras)), seed).text
        yield Case(scene=name, truth=truth, caption=caption, given=scene.given, video=video, ids=ids, start=start)
