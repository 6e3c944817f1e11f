"""Simple solids that fall, roll, collide, stand and pile up."""

from __future__ import annotations

import itertools
import math

import numpy as np

from haneul.world.events.base import ALL_MATERIALS, NO_TRUCK, EventRule, Observation, Role, Window
from haneul.world.scene import FPS
from haneul.world.stage import RESTITUTION, Array, Look, Shot, Stage, quaternion, rotation
from haneul.world.vocabulary import SHAPES

GREY = Look(rgb=(0.40, 0.40, 0.42), surface="plaster")
BOARD = Look(rgb=(0.42, 0.26, 0.13), surface="wood")
FLAT_TOP = ("box", "cylinder")  # these stand upright and carry another solid
X, Y, Z = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)
LYING = quaternion(rotation(X, math.pi / 2))  # a cylinder's axis along y


def size_of(shape: str, radius: float) -> tuple[float, ...]:
    """Half sizes of a solid about as large as a ball of `radius`."""
    return {
        "ball": (radius,),
        "box": (0.88 * radius,) * 3,
        "cylinder": (0.82 * radius, 0.95 * radius),
        "capsule": (0.55 * radius, 0.85 * radius),
    }[shape]


def standing_height(shape: str, size: tuple[float, ...]) -> float:
    """Height of the centre of a solid that rests on the ground; a capsule lies on its side."""
    return size[0] if shape in ("ball", "capsule") else size[-1]


def resting_pose(shape: str, turn: float) -> Array:
    """Quaternion of a solid at rest, turned by `turn` radians around the vertical."""
    upright = rotation(Y, math.pi / 2) if shape == "capsule" else np.eye(3)
    return quaternion(rotation(Z, turn) @ upright)


# --- bounce -----------------------------------------------------------------------------------------------------------


def build_bounce(stage: Stage) -> None:
    radius = stage.uniform(0.30, 0.38)
    height = radius + stage.uniform(1.15, 1.45)
    drift = stage.sign() * stage.uniform(0.05, 0.28)
    spin = stage.uniform(-3, 3)
    stage.solid(1, (radius,), (-drift * 1.6, 0, height), velocity=(drift, 0, 0, 0, spin, 0))
    stage.extra["radius"] = radius


def count_rebounds(window: Window, subject: int, visible: float) -> int:
    """Touches within the window after which the subject is seen to rise by more than `visible` metres."""
    z = window.pos(subject)[:, 2]
    moments = window.touches(f"subject {subject}", "")
    count = 0
    for moment, end in itertools.pairwise([*moments, (window.last + 1) / FPS]):
        first = max(math.ceil(moment * FPS) - window.start - 1, 0)
        flight = z[first : max(math.ceil(end * FPS) - window.start, first + 1)]
        lowest = int(flight[: len(flight) // 2 + 1].argmin())
        count += bool(flight[lowest:].max() - flight[lowest] > visible)
    return count


def observe_bounce(window: Window) -> Observation:
    if window.still:
        return {"outcome": None}
    z = window.pos(1)[:, 2]
    bounces = count_rebounds(window, 1, 0.05)
    if bounces:
        return {"outcome": "bounces", "count": bounces}
    return {"outcome": "falls" if z[0] - z.min() > 0.15 else None}


# --- stairs -----------------------------------------------------------------------------------------------------------


def build_stairs(stage: Stage) -> None:
    side = stage.heading
    rise, run, steps = stage.uniform(0.24, 0.30), stage.uniform(0.52, 0.55), 4
    for k in range(steps):
        half = (steps - k) * rise / 2
        x = side * run * (k - (steps - 1) / 2)
        stage.fixture(f"stairs {k}", "box", (x, 0, half), (run / 2, 0.9, half), GREY, solid=True, focus=True)
    radius = stage.uniform(0.34, 0.39)
    x = -side * run * (steps - 1) / 2
    speed = side * stage.uniform(0.45, 0.6)
    top = steps * rise + radius + stage.uniform(0.25, 0.4)
    stop = side * (run * steps / 2 + 2 * radius + 0.45)
    stage.fixture("low wall", "box", (stop, 0, 0.3), (0.09, 0.9, 0.3), GREY, solid=True, focus=True)
    bounce = min(RESTITUTION[stage.spec.subjects[0].material or "plastic"], 0.8)
    stage.solid(1, (radius,), (x, 0, top), velocity=(speed, 0, 0, 0, 0, 0), rolling=0.03, restitution=bounce)
    stage.shot = Shot(width=1.68)
    stage.extra["radius"] = radius


def observe_stairs(window: Window) -> Observation:
    if window.still:
        return {"outcome": None}
    z = window.pos(1)[:, 2]
    bounces = count_rebounds(window, 1, 0.04)
    if bounces and z[0] - z[-1] > 0.25:
        return {"outcome": "bounces down"}
    return {"outcome": "bounces on" if bounces and window.pos(1)[0, 2] > 0.6 else None}


# --- collide ----------------------------------------------------------------------------------------------------------


def build_collide(stage: Stage) -> None:
    side = stage.heading
    first, second = (s.kind for s in stage.spec.subjects)
    radius, other = stage.uniform(0.30, 0.38), stage.uniform(0.30, 0.38)
    meet = stage.uniform(1.5, 2.3)  # seconds until they touch
    gap = stage.uniform(1.3, 1.7)
    share = stage.uniform(0.5, 0.65) if second == "ball" else 1.0
    speed = side * gap * share / meet
    x = -side * (gap * share + radius)
    stage.solid(1, size_of(first, radius), (x, 0, radius), rolling=0.004, friction=0.2,
                velocity=(speed, 0, 0, 0, speed / radius, 0))  # fmt: skip
    size = size_of(second, other)
    back = -side * gap * (1 - share) / meet
    where = (side * (gap * (1 - share) + size[0]), stage.uniform(-0.05, 0.05), standing_height(second, size))
    rolls = second == "ball"
    stage.solid(2, size, where, rolling=0.004 if rolls else 0.0, friction=0.2, stands=True,
                velocity=(back, 0, 0, 0, back / other if rolls else 0.0, 0))  # fmt: skip
    stage.shot = Shot(height=(0.30, 0.44), width=1.62)


def observe_collide(window: Window) -> Observation:
    if window.still:
        return {"outcome": None}
    if window.touches("subject 1", "subject 2"):
        return {"outcome": "collide"}
    gap = np.linalg.norm(window.pos(1) - window.pos(2), axis=1)
    return {"outcome": "approach" if gap[0] - gap[-1] > 0.15 else None}


# --- ramp and roll ----------------------------------------------------------------------------------------------------


def build_ramp(stage: Stage) -> None:
    side = stage.heading
    shape = stage.spec.subjects[0].kind
    stage.grip = 0.08 if shape == "box" else 0.3
    angle = math.radians(stage.uniform(7, 9) if shape != "box" else stage.uniform(11.5, 13))
    length, thick, half_width = stage.uniform(2.6, 2.9), 0.05, 0.5
    tilt = rotation(Y, side * angle)
    along, normal = tilt[:, 0] * side, tilt[:, 2]
    centre = np.array([0.0, 0.0, length / 2 * math.sin(angle) + 0.01])
    stage.fixture("ramp", "box", centre, (length / 2, half_width, thick), BOARD, rot=tilt, solid=True, focus=True)
    top = centre - along * length * 0.42
    stage.fixture("ramp leg", "box", (top[0], 0, top[2] / 2 - 0.04), (0.06, 0.42, top[2] / 2 - 0.02), BOARD)
    foot = centre + along * length / 2
    stage.fixture("kerb", "box", (foot[0] + side * 0.95, 0, 0.09), (0.07, 0.6, 0.09), BOARD, solid=True, focus=True)
    radius = stage.uniform(0.30, 0.36)
    size = {"ball": (radius,), "cylinder": (radius, 0.38), "box": (0.30, 0.30, 0.30)}[shape]
    lift = thick + (size[0] if shape != "box" else 0.30)
    start = centre - along * (length / 2 - 0.28) + normal * lift
    pose = LYING if shape == "cylinder" else quaternion(tilt)
    grip, rolling = (0.10, 0.0) if shape == "box" else (None, 0.004)
    stage.solid(1, size, start, quat=pose, friction=grip, rolling=rolling, restitution=0.3)
    stage.shot = Shot(azimuth=math.radians(18), elevation=(math.radians(6), math.radians(15)), width=1.66)


def observe_ramp(window: Window) -> Observation:
    z = window.pos(1)[:, 2]
    if window.still or z[0] - z[-1] < 0.06:
        return {"outcome": None}
    slides = window.truth.spec.subjects[0].kind == "box"
    return {"outcome": "slides down" if slides else "rolls down"}


def build_roll(stage: Stage) -> None:
    side = stage.heading
    shape = stage.spec.subjects[0].kind
    radius = stage.uniform(0.32, 0.38)
    seconds = stage.spec.seconds
    speed = min(max(stage.uniform(2.4, 2.9) / seconds, 0.35), 2.0)
    slant = stage.sign() * math.radians(stage.uniform(28, 40)) if shape == "cylinder" else stage.uniform(-0.2, 0.2)
    turn = rotation(Z, slant)
    velocity = turn @ np.array([side * speed, 0, 0])
    spin = turn @ np.array([0, side * speed / radius, 0])
    pose = turn @ rotation(X, math.pi / 2) if shape == "cylinder" else np.eye(3)
    start = -velocity * seconds / 2
    size = (radius,) if shape == "ball" else (radius, stage.uniform(0.40, 0.5))
    stage.solid(1, size, (start[0], start[1], radius), quat=quaternion(pose), rolling=0.0002,
                velocity=(*velocity, *(pose.T @ spin)))  # fmt: skip
    stage.shot = Shot(azimuth=math.radians(10), width=1.68)


def observe_roll(window: Window) -> Observation:
    if window.still or window.travelled(1) < 0.12:
        return {"outcome": None}
    return {"outcome": "rolls", "direction": window.side(1)}


# --- relation and pile ------------------------------------------------------------------------------------------------


def build_relation(stage: Stage) -> None:
    first, second = (s.kind for s in stage.spec.subjects)
    relation = stage.spec.relation
    size1 = size_of(first, stage.uniform(0.36, 0.44))
    size2 = size_of(second, stage.uniform(0.36, 0.44))
    z1, z2 = standing_height(first, size1), standing_height(second, size2)
    turn1, turn2 = (resting_pose(kind, stage.uniform(-0.6, 0.6)) for kind in (first, second))
    stage.shot = Shot(azimuth=math.radians(10), elevation=(math.radians(7), math.radians(13)), height=(0.36, 0.48))
    gap = stage.uniform(0.64, 0.78) if "capsule" in (first, second) else stage.uniform(0.54, 0.72)
    aside = stage.sign() * stage.uniform(0.33, 0.40)
    place = {
        "left of": ((-gap, 0, z1), (gap, stage.uniform(-0.15, 0.15), z2)),
        "right of": ((gap, 0, z1), (-gap, stage.uniform(-0.15, 0.15), z2)),
        "behind": ((aside, 0.9, z1), (-aside, -0.6, z2)),
        "in front of": ((aside, -0.6, z1), (-aside, 0.9, z2)),
        "on top of": ((0.013, 0.009, 2 * z2 + z1), (0, 0, z2)),  # off the axis: aligned contacts are degenerate
    }[relation or "left of"]
    if relation in ("behind", "in front of"):
        stage.shot = Shot(azimuth=math.radians(4), elevation=(math.radians(17), math.radians(23)), height=(0.44, 0.54))
    if relation == "on top of":
        stage.shot = Shot(height=(0.5, 0.58))
    stage.solid(1, size1, place[0], quat=turn1, rolling=0.0 if first in FLAT_TOP else 0.02, restitution=0.05,
                stands=True)  # fmt: skip
    stage.solid(2, size2, place[1], quat=turn2, rolling=0.0 if second in FLAT_TOP else 0.02, restitution=0.05,
                stands=True)  # fmt: skip


def seen_relation(window: Window) -> str | None:
    """How subject 1 lies to subject 2 as the window's middle camera sees it; None where it is neither."""
    camera = window.camera
    offset = window.pos(1)[-1] - window.pos(2)[-1]
    if offset[2] > 0.35 and float(np.hypot(offset[0], offset[1])) < 0.3:
        return "on top of"
    across = float(offset @ camera.right)
    flat = np.array([camera.forward[0], camera.forward[1], 0.0])
    away = float(offset @ flat / np.linalg.norm(flat))
    if abs(across) > 1.25 * abs(away):
        return "right of" if across > 0 else "left of"
    if abs(away) > 1.25 * abs(across):
        return "behind" if away > 0 else "in front of"
    return None


def observe_relation(window: Window) -> Observation:
    return {"outcome": None if window.still else "rests", "relation": seen_relation(window)}


# --- weightless -------------------------------------------------------------------------------------------------------


def build_drift(stage: Stage) -> None:
    shape = stage.spec.subjects[0].kind
    radius = stage.uniform(0.5, 0.65)
    speed = stage.heading * stage.uniform(0.25, 0.4) * 4 / max(stage.spec.seconds, 4)
    rise = stage.uniform(-0.08, 0.08)
    spin = stage.rng.normal(size=3)
    spin *= stage.uniform(0.6, 1.2) / np.linalg.norm(spin)
    quat = stage.rng.normal(size=4)
    size = size_of(shape, radius)
    half = stage.spec.seconds / 2
    stage.solid(1, size, (-speed * half, 0, 1 - rise * half), quat=quat / np.linalg.norm(quat),
                velocity=(speed, 0, rise, *spin))  # fmt: skip
    stage.shot = Shot(elevation=(math.radians(-6), math.radians(10)), height=(0.40, 0.55))


def observe_drift(window: Window) -> Observation:
    if window.still:
        return {"outcome": None}
    return {"outcome": "drifts", "direction": window.side(1)}


def build_space_collide(stage: Stage) -> None:
    side = stage.heading
    first, second = (s.kind for s in stage.spec.subjects)
    radius, other = stage.uniform(0.40, 0.48), stage.uniform(0.40, 0.48)
    meet, gap = stage.uniform(1.4, 2.2), stage.uniform(1.1, 1.5)
    share = stage.uniform(0.4, 0.6)
    speed, back = side * gap * share / meet, -side * gap * (1 - share) / meet
    for k, (kind, r, v, x) in enumerate(
        [(first, radius, speed, -(gap * share + radius)), (second, other, back, gap * (1 - share) + other)], 1
    ):
        quat = stage.rng.normal(size=4)
        spin = stage.rng.uniform(-0.6, 0.6, 3)
        stage.solid(k, size_of(kind, r), (side * x, 0, 1 + stage.uniform(-0.06, 0.06)),
                    quat=quat / np.linalg.norm(quat), velocity=(v, 0, 0, *spin), friction=0.2)  # fmt: skip
    stage.shot = Shot(elevation=(math.radians(-4), math.radians(10)), height=(0.34, 0.46), width=1.6)


BALL = Role(kinds=("ball",), materials=ALL_MATERIALS)
ANY = Role(kinds=SHAPES, materials=ALL_MATERIALS)

RULES = {
    "bounce": EventRule(build=build_bounce, observe=observe_bounce, cast=(BALL,)),
    "stairs": EventRule(build=build_stairs, observe=observe_stairs, cast=(BALL,), cameras=NO_TRUCK),
    "collide": EventRule(
        build=build_collide, observe=observe_collide, cameras=NO_TRUCK,
        cast=(BALL, Role(kinds=("ball", "box", "cylinder"), materials=ALL_MATERIALS)),
    ),
    "ramp": EventRule(
        build=build_ramp, observe=observe_ramp, cameras=NO_TRUCK,
        cast=(Role(kinds=("ball", "cylinder", "box"), materials=ALL_MATERIALS),),
    ),
    "roll": EventRule(
        build=build_roll, observe=observe_roll, directed=True, follows=True,
        cast=(Role(kinds=("ball", "cylinder"), materials=ALL_MATERIALS),),
    ),
    "relation": EventRule(build=build_relation, observe=observe_relation, cast=(ANY, ANY), related=True),
    "drift": EventRule(build=build_drift, observe=observe_drift, cast=(ANY,), cameras=NO_TRUCK),
    "space collide": EventRule(
        build=build_space_collide, observe=observe_collide, cameras=NO_TRUCK, cast=(ANY, ANY)
    ),
}  # fmt: skip
