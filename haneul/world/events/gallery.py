"""The gallery itself: works on a wall, and a walk along them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from haneul.world.events.base import NO_TRUCK, EventRule, Observation, Window
from haneul.world.scenery import WALLS, room_walls
from haneul.world.stage import Array, Look, Shot, Stage
from haneul.world.vocabulary import WORKS

EYE_HEIGHT = 1.3
PACE = 0.62  # metres per second of the walk


def _hang(stage: Stage, xs: list[float], half: float) -> None:
    """Works side by side at eye height; neighbours are of different manners."""
    wall = Look(rgb=WALLS[int(stage.rng.integers(len(WALLS)))], surface="plaster", seed=stage.uniform(0, 0.99))
    reach = max(abs(x) for x in xs) + 7.0
    room_walls(stage, 0.0, 0.0, reach, 4.2, 6.0, wall)
    works: list[tuple[str, Array]] = []
    order: list[int] = []
    while len(order) < len(xs):
        deck = [int(k) for k in stage.rng.permutation(len(WORKS))]
        order += deck[1:] if order and order[-1] == deck[0] else deck
    for x, manner in zip(xs, order, strict=False):
        seed = (manner + stage.uniform(0.05, 0.95)) / len(WORKS)
        size = (half * stage.uniform(0.85, 1.12), 0.05, half * stage.uniform(0.9, 1.05))
        pos = np.array([x, -0.05, EYE_HEIGHT])
        stage.fixture("work", "box", pos, size, Look(rgb=(1, 1, 1), surface="painting", seed=seed))
        works.append((WORKS[manner], pos))
    stage.extra["works"] = tuple(works)
    stage.scenery.build = False


def build_paintings(stage: Stage) -> None:
    count = int(stage.rng.integers(1, 5))
    half = {1: 0.85, 2: 0.72, 3: 0.62, 4: 0.55}[count]
    gap = 2.75 * half
    _hang(stage, [gap * (k - (count - 1) / 2) for k in range(count)], half)
    width = gap * (count - 1) / 2 + half
    distance = max(2.2 * half / stage.uniform(0.46, 0.56), 2.2 * width / 1.5)
    stage.shot = Shot(target=np.array([0.0, 0.0, EYE_HEIGHT - 0.14]), distance=distance, azimuth=math.radians(12),
                      elevation=(math.radians(0), math.radians(5)))  # fmt: skip


def observe_paintings(window: Window) -> Observation:
    works: Any = window.truth.extra["works"]
    camera = window.camera
    seen = [
        (manner, float((pos - camera.origin) @ camera.right)) for manner, pos in works
        if _in_view(pos, window)
    ]  # fmt: skip
    names = tuple(manner for manner, _x in sorted(seen, key=lambda item: item[1]))
    return {"outcome": None if window.still else "hang", "count": len(names), "works": names}


def _in_view(pos: Array, window: Window) -> bool:
    offset = pos - window.camera.origin
    depth = float(offset @ window.camera.forward)
    x = float(offset @ window.camera.right) / max(depth, 0.01) * window.camera.focal
    y = float(offset @ window.camera.up) / max(depth, 0.01) * window.camera.focal
    return depth > 0 and abs(x) < 1.7 and abs(y) < 1.0


def build_tour(stage: Stage) -> None:
    """Works along the whole way that the camera walks, with some to spare at both ends."""
    half, gap = 0.62, 1.95
    way = PACE * stage.spec.seconds
    count = math.ceil((way + 6.0) / gap)
    _hang(stage, [gap * (k - (count - 1) / 2) for k in range(count)], half)
    side = 1.0 if stage.spec.camera == "truck right" else -1.0
    stage.shot = Shot(target=np.array([0.0, 0.0, EYE_HEIGHT - 0.14]), distance=stage.uniform(2.7, 3.1),
                      azimuth=math.radians(10), elevation=(math.radians(0), math.radians(3)),
                      truck=side * PACE)  # fmt: skip


def observe_tour(window: Window) -> Observation:
    works = window.visible_works(window.truth.extra["works"])  # type: ignore[arg-type]
    return {"outcome": None if window.still else "walks past", "works": works}


RULES = {
    "paintings": EventRule(build=build_paintings, observe=observe_paintings, cameras=NO_TRUCK),
    "gallery tour": EventRule(build=build_tour, observe=observe_tour, cameras=("truck left", "truck right")),
}
