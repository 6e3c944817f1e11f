"""Many solids that touch: a row of dominoes, a tower of boxes, a heap."""

from __future__ import annotations

import math

import numpy as np

from haneul.world.events.base import ALL_MATERIALS, NO_TRUCK, EventRule, Observation, Role, Window, tilted
from haneul.world.events.solids import size_of
from haneul.world.stage import Array, Shot, Stage, quaternion, rotation

Z = (0.0, 0.0, 1.0)
COARSE = 1.0 / 240.0  # physics step in seconds where many boxes touch: half the time, bounces are soft there


# --- dominoes and tower -----------------------------------------------------------------------------------------------


def build_dominoes(stage: Stage) -> None:
    side = stage.heading
    count = int(stage.rng.integers(5, 9))
    stage.timestep = COARSE
    half, spacing = stage.uniform(0.58, 0.68), stage.uniform(0.66, 0.76)
    for k in range(count):
        x = side * spacing * (k - (count - 1) / 2)
        push = (side * 0.55 * half, 0, 0, 0, side * 0.55, 0) if k == 0 else None  # just enough to tip over
        stage.solid(1, (0.07, 0.34, half), (x, 0, half), part=k + 1, velocity=push, shape="box",
                    restitution=0.25, friction=0.5)  # fmt: skip
    stage.frame_only.append((np.array([side * (spacing * (count - 1) / 2 + 2 * half), 0.0, 0.1]), 0.1))
    stage.shot = Shot(azimuth=math.radians(24), elevation=(math.radians(7), math.radians(16)), width=1.62)
    stage.extra["count"] = count


def observe_dominoes(window: Window) -> Observation:
    count = int(window.truth.extra["count"])  # type: ignore[call-overload]
    tilt = tilted_parts(window, 1)
    fallen = int((tilt[-1] > 30).sum())
    facts: Observation = {"outcome": None, "count": count, "fallen": fallen}
    if not window.still:
        if np.abs(tilt[-1] - tilt[0]).max() > 12:
            facts["outcome"] = "topple"
        elif fallen == 0:
            facts["outcome"] = "stand"
    return facts


def tilted_parts(window: Window, subject: int) -> Array:
    """Degrees [W, P] by which a subject's parts have turned since the clip began."""
    _pos, quat = window.parts(subject)
    all_quat: dict[int, Array] = window.truth.extra["parts_quat"]  # type: ignore[assignment]
    return np.asarray(tilted(quat, all_quat[subject][0]))


def build_tower(stage: Stage) -> None:
    side = stage.heading
    count = int(stage.rng.integers(3, 6))
    stage.timestep = COARSE
    half = stage.uniform(0.20, 0.24) if count > 3 else stage.uniform(0.23, 0.28)
    for k in range(count):
        turn = quaternion(rotation(Z, stage.uniform(-0.12, 0.12)))
        stage.solid(2, (half,) * 3, (side * 0.55, 0, half * (2 * k + 1)), part=k + 1, quat=turn, shape="box",
                    restitution=0.2, friction=0.8)  # fmt: skip
    radius = stage.uniform(0.42, 0.48)
    speed = side * stage.uniform(2.6, 3.4)
    start = -side * stage.uniform(1.5, 1.8)
    stage.solid(1, (radius,), (start, stage.uniform(-0.06, 0.06), radius), rolling=0.03, restitution=0.3,
                velocity=(speed, 0, 0, 0, speed / radius, 0))  # fmt: skip
    stage.shot = Shot(height=(0.48, 0.58), width=1.6)
    stage.extra["count"] = count


def observe_tower(window: Window) -> Observation:
    count = int(window.truth.extra["count"])  # type: ignore[call-overload]
    facts: Observation = {"outcome": None, "count": count}
    if window.still:
        return facts
    pos, _quat = window.parts(2)
    tilt = tilted_parts(window, 2)
    shift = np.linalg.norm(pos[-1] - pos[0], axis=1).max()
    if np.abs(tilt[-1] - tilt[0]).max() > 35 and (pos[0, :, 2] - pos[-1, :, 2]).max() > 0.2:
        facts["outcome"] = "knocks over"
    elif shift > 0.06 and window.touches("subject 1", "subject 2"):
        facts["outcome"] = "shakes"
    elif shift < 0.02 and window.travelled(1) > 0.2 and not window.touches("subject 1", "subject 2"):
        gap = np.abs(window.pos(1)[:, 0] - pos[:, 0, 0])
        facts["outcome"] = "rolls towards" if gap[-1] < gap[0] else None
    return facts


def build_pile(stage: Stage) -> None:
    shape = stage.spec.subjects[0].kind
    count = int(stage.rng.integers(4, 8))
    radius = stage.uniform(0.30, 0.34) if count < 6 else stage.uniform(0.26, 0.30)
    size = size_of(shape, radius)
    spread, turn = 1.95 * radius, stage.uniform(0, 2 * math.pi)
    for k in range(count):  # three to a level, drifting inwards as they fall; none overlap at the start
        angle = turn + 2 * math.pi * k / 3 + 0.5 * (k // 3)
        outward = np.array([math.cos(angle), math.sin(angle), 0.0])
        where = spread * outward + np.array([0, 0, 0.75 + 3.4 * radius * (k // 3) + 0.12 * (k % 3)])
        quat = stage.rng.normal(size=4)
        velocity = (*(-stage.uniform(0.5, 0.8) * outward[:2]), 0.0, *stage.rng.uniform(-1, 1, 3))
        stage.solid(1, size, where, part=k + 1, quat=quat / np.linalg.norm(quat), velocity=velocity,
                    restitution=0.12, rolling=0.0 if shape == "box" else 0.09, friction=1.0)  # fmt: skip
    stage.shot = Shot(height=(0.46, 0.56), ceiling=2.0)
    stage.extra["count"] = count


def observe_pile(window: Window) -> Observation:
    count = int(window.truth.extra["count"])  # type: ignore[call-overload]
    return {"outcome": None if window.still else "heap", "count": count}


RULES = {
    "dominoes": EventRule(
        build=build_dominoes, observe=observe_dominoes, cast=(Role(kinds=("dominoes",), materials=ALL_MATERIALS),),
        cameras=NO_TRUCK,
    ),
    "tower": EventRule(
        build=build_tower, observe=observe_tower, cameras=NO_TRUCK,
        cast=(Role(kinds=("ball",), materials=("metal", "marble", "rubber")),
              Role(kinds=("stack",), materials=("wood", "plastic"))),
    ),
    "pile": EventRule(
        build=build_pile, observe=observe_pile,
        cast=(Role(kinds=("ball", "box", "capsule"), materials=ALL_MATERIALS),),  # cylinders rock on their own
    ),
}  # fmt: skip
