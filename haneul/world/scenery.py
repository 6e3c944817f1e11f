"""What stands around the event in each setting.

Scenery is placed after the simulation and the camera, behind everything that moves and sized by the camera's
distance, so it can neither hide a subject nor be run into. Low richness keeps the few large shapes that make a
place recognisable; more comes with richness.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from haneul.world.framing import Framing
from haneul.world.scene import GEOM_POS, GEOM_RADIUS
from haneul.world.stage import Look, Stage, rotation
from haneul.world.vocabulary import COLORS

WALLS = ((0.74, 0.72, 0.68), (0.52, 0.20, 0.17), (0.24, 0.37, 0.41), (0.66, 0.56, 0.40), (0.30, 0.30, 0.34))
GLOWS = ("pink", "cyan", "purple", "orange", "green")
Z = (0.0, 0.0, 1.0)


@dataclass(frozen=True, kw_only=True)
class Ground:
    """Where scenery may stand: `unit` is the camera's usual distance, `back` the y behind all that moves."""

    x: float
    back: float
    look_z: float
    unit: float
    tilt: float  # camera's elevation in the middle of the clip

    def raised(self, y: float, share: float) -> float:
        """World height that appears `share` half frame heights above the picture's middle at depth `y`."""
        depth = self.unit + y
        return self.look_z + depth * math.tan(math.atan(share / 2.2) - self.tilt) + self.unit * math.sin(self.tilt)


def dress(stage: Stage, shown: NDArray[np.float32], framing: Framing, rng: np.random.Generator) -> None:
    """Add the setting's scenery to `stage`. `shown` [T, G, GEOM_WIDTH] are the geoms that nothing may hide."""
    if not stage.scenery.build:
        return
    unit = float(np.median(framing.distance_T))
    look = framing.look_T3[len(framing.look_T3) // 2]
    back = float((shown[..., GEOM_POS][..., 1] + shown[..., GEOM_RADIUS]).max()) if shown.size else float(look[1])
    camera = framing.cameras[len(framing.cameras) // 2]
    ground = Ground(
        x=float(look[0]), back=back + 0.3 + stage.scenery.clear, look_z=float(look[2]), unit=unit,
        tilt=-math.asin(float(np.clip(camera.forward[2], -0.6, 0.6))),
    )  # fmt: skip
    _PLACES[stage.spec.setting](stage, ground, rng)


def _count(low: int, high: int, richness: float, rng: np.random.Generator) -> int:
    """A number that grows with richness, with a little chance in it."""
    return int(np.clip(round(low + (high - low) * richness + rng.uniform(-0.6, 0.6)), low, high))


def hang_works(stage: Stage, wall_y: float, xs: list[float], z: float, half: float, rng: np.random.Generator) -> None:
    """Framed works on a wall that faces the camera, each in another manner as far as they last."""
    manners = rng.permutation(6)
    for k, x in enumerate(xs):
        seed = (manners[k % 6] + rng.uniform(0.05, 0.95)) / 6
        size = (half * rng.uniform(0.9, 1.15), 0.05, half * rng.uniform(0.8, 1.0))
        stage.fixture("work", "box", (x, wall_y - 0.04, z), size, Look(rgb=(1, 1, 1), surface="painting", seed=seed))


def _gallery(stage: Stage, g: Ground, rng: np.random.Generator) -> None:
    wall = Look(rgb=WALLS[int(rng.integers(len(WALLS)))], surface="plaster", seed=rng.uniform())
    y = g.back + 0.35 * g.unit
    top = max(3.0, g.raised(y, 1.6))
    room_walls(stage, g.x, y, 2.6 * g.unit, top, 2.5 * g.unit, wall)
    half = 0.19 * (g.unit + y) / 1.4
    z = max(g.raised(y, 0.5), half + 0.35)
    count = _count(2, 4, stage.spec.richness, rng)
    gap = 3.1 * half
    xs = [g.x + gap * (k - (count - 1) / 2) + rng.uniform(-0.1, 0.1) * gap for k in range(count)]
    hang_works(stage, y, xs, z, half, rng)


def room_walls(stage: Stage, x: float, y: float, half: float, top: float, depth: float, wall: Look) -> None:
    """Back wall at `y` and two side walls `half` away from `x`, reaching `depth` towards the camera."""
    stage.fixture("wall", "box", (x, y + 0.15, top / 2), (half + 0.3, 0.15, top / 2), wall)
    for side in (-1, 1):
        stage.fixture("wall", "box", (x + side * (half + 0.15), y - depth, top / 2), (0.15, depth, top / 2), wall)


def _courtyard(stage: Stage, g: Ground, rng: np.random.Generator) -> None:
    wall = Look(rgb=(0.46, 0.18, 0.11), surface="brick", seed=rng.uniform())
    y = g.back + 0.45 * g.unit
    top = max(1.6, g.raised(y, rng.uniform(0.45, 0.75)))
    stage.fixture("wall", "box", (g.x, y + 0.15, top / 2), (5 * g.unit, 0.15, top / 2), wall)
    if stage.spec.richness > 0.4:
        side = rng.choice((-1, 1))
        stage.fixture("wall", "box", (g.x + side * 2.2 * g.unit, y - 1.5 * g.unit, top / 2),
                      (0.15, 1.5 * g.unit, top / 2), wall)  # fmt: skip


def glowing_sign(stage: Stage, pos: tuple[float, float, float], size: tuple[float, float], color: str,
                 rng: np.random.Generator, power: float = 3.0) -> None:  # fmt: skip
    """A lit panel [half width, half height] that faces the camera and lights what is before it."""
    rgb = COLORS[color]
    look = Look(rgb=rgb, surface="sign", emission=0.95, seed=rng.uniform())
    stage.fixture("sign", "box", pos, (size[0], 0.05, size[1]), look)
    stage.light((pos[0], pos[1] - 0.6 * size[0] - 0.5, pos[2]), rgb, power)


def _street(stage: Stage, g: Ground, rng: np.random.Generator) -> None:
    y = g.back + 1.0 * g.unit
    count = _count(3, 6, stage.spec.richness, rng)
    width = 5.2 * g.unit / count
    for k in range(count):
        height = g.raised(y, rng.uniform(0.75, 1.3)) / 2
        x = g.x + width * (k - (count - 1) / 2)
        tone = rng.uniform(0.05, 0.14)
        look = Look(rgb=(tone, tone * 0.95, tone * 1.15), surface="building", seed=rng.uniform())
        deep = rng.uniform(0.0, 0.2) * g.unit
        stage.fixture("building", "box", (x, y + g.unit + deep, height), (width * 0.49, g.unit, height), look)
    _signs(stage, g, y, _count(1, 3, stage.spec.richness, rng), rng)


def _signs(stage: Stage, g: Ground, y: float, count: int, rng: np.random.Generator) -> None:
    if stage.scenery.sign is not None:
        return
    colors = rng.permutation(GLOWS)
    slots = rng.permutation([-0.95, 0.0, 0.95] if count != 2 else [-0.75, 0.75])[:count]
    for color, slot in zip(colors, slots, strict=False):
        share = 0.23 * (g.unit + y)
        size = (share * rng.uniform(0.35, 0.6), share * rng.uniform(0.6, 0.9))
        if rng.uniform() < 0.5:
            size = (size[1], size[0])
        z = g.raised(y, rng.uniform(0.35, 0.6))
        glowing_sign(stage, (g.x + slot * g.unit, y - 0.06, max(z, size[1] + 0.2)), size, str(color), rng)


def _city(stage: Stage, g: Ground, rng: np.random.Generator) -> None:
    y = g.back + 1.3 * g.unit
    count = _count(4, 8, stage.spec.richness, rng)
    width = 6.0 * g.unit / count
    for k in range(count):
        height = g.raised(y, rng.uniform(0.9, 2.2)) / 2
        x = g.x + width * (k - (count - 1) / 2) + rng.uniform(-0.08, 0.08) * width
        tone = rng.uniform(0.03, 0.10)
        look = Look(rgb=(tone, tone * 1.1, tone * 1.5), surface="building", seed=rng.uniform())
        half = width * rng.uniform(0.30, 0.44)
        stage.fixture("tower", "box", (x, y + half + rng.uniform(0, 0.5) * g.unit, height), (half, half, height), look)
    _signs(stage, g, y - 0.1 * g.unit, _count(1, 3, stage.spec.richness, rng), rng)


def _spots(g: Ground, count: int, near: float, far: float, rng: np.random.Generator) -> list[tuple[float, float]]:
    """Places behind the event, spread evenly from left to right; a single one stands aside."""
    if count == 1:
        aside = rng.choice((-1, 1)) * rng.uniform(0.45, 0.8)
        return [(g.x + aside * g.unit, g.back + g.unit * rng.uniform(near, far))]
    spread = 3.4 * g.unit
    return [
        (
            g.x + spread * ((k + rng.uniform(0.25, 0.75)) / count - 0.5),
            g.back + g.unit * rng.uniform(near, far),
        )
        for k in range(count)
    ]


def _desert(stage: Stage, g: Ground, rng: np.random.Generator) -> None:
    count = _count(0, 4, stage.spec.richness, rng)
    look = Look(rgb=(0.09, 0.26, 0.08), surface="foliage", seed=rng.uniform())
    for x, y in _spots(g, max(count, 1), 0.5, 1.6, rng)[:count]:
        cactus(stage, x, y, g.unit * rng.uniform(0.32, 0.45), look, rng)


def cactus(stage: Stage, x: float, y: float, tall: float, look: Look, rng: np.random.Generator) -> None:
    """A trunk of height 2 * `tall` with two arms."""
    thick = 0.17 * tall
    stage.fixture("cactus", "capsule", (x, y, tall), (thick, tall), look)
    for side, share in ((-1, rng.uniform(0.8, 1.1)), (1, rng.uniform(1.0, 1.3))):
        arm = x + side * 2.6 * thick
        stage.fixture("cactus", "capsule", (arm, y, share * tall + 0.25 * tall), (0.65 * thick, 0.28 * tall), look)
        stage.fixture("cactus", "capsule", ((x + arm) / 2, y, share * tall), (0.6 * thick, 1.3 * thick), look,
                      rot=rotation((0, 1, 0), math.pi / 2))  # fmt: skip


def _forest(stage: Stage, g: Ground, rng: np.random.Generator) -> None:
    for x, y in _spots(g, _count(3, 8, stage.spec.richness, rng), 0.45, 1.7, rng):
        tall = g.unit * rng.uniform(0.28, 0.42)
        tree(stage, x, y, tall, (0.06, rng.uniform(0.2, 0.3), 0.05), rng)


def tree(stage: Stage, x: float, y: float, tall: float, rgb: tuple[float, float, float],
         rng: np.random.Generator) -> None:  # fmt: skip
    """A thick trunk of height 2 * `tall` with a round crown."""
    bark = Look(rgb=(0.20, 0.12, 0.07), surface="bark", seed=rng.uniform())
    crown = Look(rgb=rgb, surface="foliage", seed=rng.uniform())
    stage.fixture("trunk", "cylinder", (x, y, tall), (0.16 * tall, tall), bark)
    wide = tall * rng.uniform(0.8, 1.0)
    stage.fixture("crown", "ellipsoid", (x, y, 2.3 * tall), (wide, wide, tall * rng.uniform(0.85, 1.05)), crown)


def _snowfield(stage: Stage, g: Ground, rng: np.random.Generator) -> None:
    bark, needles = fir_looks(rng)
    count = _count(0, 5, stage.spec.richness, rng) + (0 if stage.spec.subjects else 2)
    for x, y in _spots(g, max(count, 1), 0.6, 1.8, rng)[:count]:
        fir(stage, x, y, g.unit * rng.uniform(0.30, 0.42), bark, needles)


def fir_looks(rng: np.random.Generator) -> tuple[Look, Look]:
    """Of a fir's bark and needles."""
    bark = Look(rgb=(0.20, 0.13, 0.09), surface="bark", seed=rng.uniform())
    return bark, Look(rgb=(0.08, 0.20, 0.13), surface="snow-capped", seed=rng.uniform())


def fir(stage: Stage, x: float, y: float, tall: float, bark: Look, needles: Look) -> None:
    """A fir of height 2.5 * `tall`."""
    stage.fixture("trunk", "cylinder", (x, y, 0.3 * tall), (0.10 * tall, 0.3 * tall), bark)
    for level, (z, wide) in enumerate(((0.8, 0.62), (1.45, 0.46), (2.0, 0.28))):
        size = (wide * tall, wide * tall, (0.55 - 0.05 * level) * tall)
        stage.fixture("fir", "ellipsoid", (x, y, z * tall), size, needles)


def _plaza(stage: Stage, g: Ground, rng: np.random.Generator) -> None:
    if stage.spec.richness < 0.2 + 0.3 * rng.uniform():
        return
    stone = Look(rgb=(0.55, 0.53, 0.50), surface="plaster", seed=rng.uniform())
    water = Look(rgb=(0.10, 0.30, 0.38), surface="glass")
    x, y = g.x + rng.choice((-1, 1)) * g.unit * rng.uniform(0.3, 0.8), g.back + 1.2 * g.unit
    wide = 0.42 * g.unit
    stage.fixture("basin", "cylinder", (x, y, 0.06 * g.unit), (wide, 0.06 * g.unit), stone)
    stage.fixture("water", "cylinder", (x, y, 0.062 * g.unit), (wide * 0.9, 0.06 * g.unit), water)
    stage.fixture("column", "cylinder", (x, y, 0.2 * g.unit), (0.06 * g.unit, 0.2 * g.unit), stone)
    stage.fixture("bowl", "ellipsoid", (x, y, 0.4 * g.unit), (0.17 * g.unit, 0.17 * g.unit, 0.05 * g.unit), stone)


def _sea(stage: Stage, g: Ground, rng: np.random.Generator) -> None:
    if stage.spec.richness < 0.5:
        return
    rock = Look(rgb=(0.16, 0.15, 0.14), surface="marble", seed=rng.uniform())
    x = g.x + rng.choice((-1, 1)) * g.unit * rng.uniform(0.8, 1.6)
    size = (0.5 * g.unit, 0.3 * g.unit, 0.22 * g.unit)
    stage.fixture("rock", "ellipsoid", (x, g.back + 2.4 * g.unit, 0.0), size, rock)


def _space(stage: Stage, g: Ground, rng: np.random.Generator) -> None:
    for k in range(_count(1, 2, stage.spec.richness, rng)):
        tone = COLORS[str(rng.choice(("red", "blue", "orange", "purple", "cyan", "white")))]
        rgb = (0.25 + 0.5 * tone[0], 0.25 + 0.5 * tone[1], 0.25 + 0.5 * tone[2])
        side = rng.choice((-1, 1))
        away = g.unit * rng.uniform(5.0, 7.0)
        radius = away * rng.uniform(0.36, 0.5) / (1 + 3 * k)  # cut by the picture's border: a planet
        pos = (g.x + side * away * rng.uniform(0.62, 0.8), g.back + away, g.look_z + away * rng.uniform(-0.45, 0.4))
        stage.fixture("planet", "sphere", pos, (radius,), Look(rgb=rgb, surface="marble", seed=rng.uniform()))


_PLACES = {
    "art gallery": _gallery,
    "neon street": _street,
    "desert": _desert,
    "sea": _sea,
    "snowy field": _snowfield,
    "forest": _forest,
    "tiled plaza": _plaza,
    "outer space": _space,
    "brick courtyard": _courtyard,
    "cyberpunk city": _city,
}
