"""Water, air and weather: floating things, a fish, a bird, waves, leaves and snow."""

from __future__ import annotations

import math

import mujoco
import numpy as np

from haneul.world.events.base import NO_TRUCK, EventRule, Observation, Role, Window
from haneul.world.events.solids import size_of
from haneul.world.events.steered import draw_course, seen_turns
from haneul.world.stage import Actuate, Look, Rig, Shot, Stage, rotation, turns
from haneul.world.vocabulary import SHAPES

X, Y, Z = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)
G = 9.81
BANK = 0.5  # radians that a bird leans into the tightest turn
EYE = Look(rgb=(0.01, 0.01, 0.01), surface="plastic", subject=1)


# --- float ------------------------------------------------------------------------------------------------------------


def build_float(stage: Stage) -> None:
    shape = stage.spec.subjects[0].kind
    radius = stage.uniform(0.42, 0.55)
    size = size_of(shape, radius)
    quat = np.array([1.0, *stage.rng.uniform(-0.35, 0.35, 3)])
    drop = stage.uniform(0.75, 1.0)
    name = stage.solid(1, size, (0, 0, drop), quat=quat / np.linalg.norm(quat),
                       velocity=(stage.uniform(-0.12, 0.12), 0, 0, *stage.rng.uniform(-0.8, 0.8, 3)))  # fmt: skip
    swell, pace, phase = stage.uniform(0.07, 0.11), stage.uniform(2.4, 3.0), stage.uniform(0, 6.28)

    def actuate(model: mujoco.MjModel, data: mujoco.MjData) -> Actuate:
        body = model.body(name).id
        mass = float(model.body_mass[body])
        half = float(model.geom_rbound[model.body_geomadr[body]]) * 0.72
        lift = 2.4 * G * mass  # buoyancy when wholly under water: the thing rides with 42% of its height submerged
        inertia, axes = model.dof_M0[3:6].copy(), data.xmat[body].reshape(3, 3)
        force, velocity = data.qfrc_applied, data.qvel  # of a free joint: linear in world, angular in body axes

        def act(time: float) -> None:
            level = swell * math.sin(pace * time + phase)
            under = min(max((level + half - data.qpos[2]) / (2 * half), 0.0), 1.0)
            drag = 3.6 * mass * under
            rise = swell * pace * math.cos(pace * time + phase)
            force[0], force[1] = -drag * velocity[0], -drag * velocity[1]
            force[2] = lift * under - drag * (velocity[2] - rise)
            rock = 1.8 * math.sin(0.83 * pace * time + phase)  # rad/s^2 by the waves' slope
            force[3:6] = under * inertia * (rock * (axes[0] + 0.8 * axes[1]) - 1.8 * velocity[3:6])

        return act

    stage.actuate = actuate
    stage.shot = Shot(height=(0.36, 0.46), elevation=(math.radians(7), math.radians(16)), ceiling=1.0)


def observe_float(window: Window) -> Observation:
    if window.still:
        return {"outcome": None}
    z = window.pos(1)[:, 2]
    splashes = z[0] > 0.5 and z.min() < 0.3
    return {"outcome": "splashes" if splashes else "bobs"}


# --- fish -------------------------------------------------------------------------------------------------------------


def build_fish(stage: Stage) -> None:
    """Leaps on ballistic arcs; below the water it turns upwards again along a mirrored arc."""
    side = stage.heading
    t = stage.times_T
    rise = stage.uniform(3.6, 4.2)  # metres per second out of the water
    air = 2 * rise / G
    dive = stage.uniform(0.42, 0.5)
    forward = side * min(2.3 / stage.spec.seconds, 0.75)
    offset = stage.uniform(0.0, 0.12)
    clock = (t + offset) % (air + dive)
    leaping = clock < air
    depth = 0.42
    u = np.clip((clock - air) / dive, 0, 1)
    z = np.where(leaping, rise * clock - G * clock**2 / 2, -depth * np.sin(np.pi * u))
    slope = np.where(leaping, rise - G * clock, -rise * np.cos(np.pi * u))
    x = forward * (t - stage.spec.seconds / 2)
    pos = np.stack([x, np.zeros_like(t), z], -1)
    pitch = np.arctan2(slope, 2.4)
    frame = turns(Y, -pitch * side) @ np.diag([side, side, 1.0])
    beat = 0.55 * np.sin(2 * np.pi * 3.2 * t)
    skin = stage.subject_look(1, "plastic")
    pale = Look(rgb=tuple(0.4 + 0.55 * c for c in skin.rgb), surface="plastic", subject=1)  # type: ignore[arg-type]
    size = stage.uniform(0.52, 0.60)

    rig = Rig(stage=stage, pos_T3=pos, frame_T33=frame)
    wag, tip = turns(Z, beat * 0.5), turns(Z, beat)
    rig.attach("ellipsoid", (size, 0.30 * size, 0.46 * size), (0, 0, 0), skin)
    stem = np.array([-0.75, 0, 0])
    rig.attach(
        "ellipsoid", (0.42 * size, 0.13 * size, 0.20 * size), size * (stem + wag @ np.array([-0.35, 0, 0])), skin, wag
    )
    fin = stem + wag @ np.array([-0.62, 0, 0])
    for turn in (-0.6, 0.6):
        blade = tip @ rotation(Y, turn)
        where = size * (fin + blade @ np.array([-0.26, 0, 0]))
        rig.attach("ellipsoid", (0.36 * size, 0.05 * size, 0.14 * size), where, pale, blade)
    rig.attach(
        "ellipsoid", (0.30 * size, 0.04 * size, 0.22 * size), (-0.05 * size, 0, 0.48 * size), pale, rotation(Y, 0.5)
    )
    for y in (-0.2, 0.2):
        rig.attach("sphere", (0.085 * size,), (0.68 * size, y * size, 0.12 * size), EYE)
    stage.roots[1] = (pos, frame)
    stage.actions_T4 = np.stack([np.zeros_like(t), np.full_like(t, abs(forward)), leaping * 1.0, np.zeros_like(t)], -1)
    stage.extra["air"] = air
    stage.frame_only.append((np.array([0, 0, 0.1]), 0.1))
    stage.shot = Shot(height=(0.34, 0.42), elevation=(math.radians(4), math.radians(10)), width=1.6)


def observe_fish(window: Window) -> Observation:
    if window.still:
        return {"outcome": None}
    above = window.pos(1)[:, 2].max() > 0.25
    return {"outcome": "jumps" if above else "swims"}


# --- bird -------------------------------------------------------------------------------------------------------------


def build_bird(stage: Stage) -> None:
    """Flies across on beating wings: two panels a side, the outer one lagging behind."""
    side = stage.heading
    t = stage.times_T
    speed = side * min(max(3.4 / stage.spec.seconds, 0.5), 1.8)
    beats = stage.uniform(1.5, 1.9)
    phase = 2 * np.pi * beats * t + stage.uniform(0, 6.28)
    height = stage.uniform(1.9, 2.3)
    pos = np.stack([speed * (t - stage.spec.seconds / 2), np.zeros_like(t), height - 0.07 * np.sin(phase)], -1)
    frame = np.tile(np.diag([side, side, 1.0]), (len(t), 1, 1))
    stage.actions_T4 = np.tile([0.0, abs(speed) / 2, 0.0, 0.0], (len(t), 1))
    if stage.spec.steered:
        pace = 1.2 * abs(speed) if stage.told is None else 2.0
        course = draw_course(stage, side=side, speed=pace, tightest=1.2, slowest=0.5)
        pos[:, :2] = course.pos_T2
        frame = turns(Z, course.heading_T) @ turns(X, BANK * course.steer_T)  # the inner wing is down
        stage.actions_T4 = course.actions_T4()
        stage.actions_T4[:, 1] *= pace / 2
    inner, outer = 0.52 * np.sin(phase) + 0.08, 0.5 * np.sin(phase - 0.9)
    body = stage.subject_look(1, "plastic")
    wing = Look(rgb=tuple(0.75 * c for c in body.rgb), surface="cloth", subject=1)  # type: ignore[arg-type]
    beak = Look(rgb=(0.95, 0.55, 0.05), surface="plastic", subject=1)

    rig = Rig(stage=stage, pos_T3=pos, frame_T33=frame)
    rig.attach("ellipsoid", (0.46, 0.17, 0.17), (0, 0, 0), body)
    rig.attach("sphere", (0.15,), (0.47, 0, 0.12), body)
    rig.attach("ellipsoid", (0.13, 0.04, 0.04), (0.66, 0, 0.10), beak)
    rig.attach("ellipsoid", (0.28, 0.13, 0.03), (-0.60, 0, 0.03), wing, rotation(Y, 0.12))
    for y in (-0.11, 0.11):
        rig.attach("sphere", (0.032,), (0.54, y, 0.17), EYE)
    for hand in (-1, 1):
        root = turns(X, hand * inner)
        far = root @ turns(X, hand * outer)
        shoulder, reach = np.array([0.06, hand * 0.10, 0.08]), root @ np.array([0.0, hand * 0.62, 0.0])
        rig.attach("ellipsoid", (0.26, 0.36, 0.035), shoulder + reach / 2, wing, root)
        rig.attach(
            "ellipsoid", (0.20, 0.34, 0.028), shoulder + reach + far @ np.array([-0.05, hand * 0.26, 0]), wing, far
        )
    stage.roots[1] = (pos, frame)
    stage.shot = Shot(azimuth=math.radians(14), elevation=(math.radians(-3), math.radians(9)), width=1.75,
                      height=(0.34, 0.44))  # fmt: skip


def observe_bird(window: Window) -> Observation:
    if window.still:
        return {"outcome": None}
    return {"outcome": "flies", "direction": window.side(1), **seen_turns(window, 1)}


# --- scenes without a subject -----------------------------------------------------------------------------------------


def build_waves(stage: Stage) -> None:
    stage.shot = Shot(target=np.array([0.0, 0.0, 0.35]), distance=stage.uniform(4.5, 6.5),
                      elevation=(math.radians(7), math.radians(14)))  # fmt: skip


def observe_waves(window: Window) -> Observation:
    return {"outcome": None if window.still else "roll"}


def build_leaves(stage: Stage) -> None:
    """Large leaves that sail down, swaying from side to side; each starts again from above when it has landed."""
    t = stage.times_T
    colors = ((0.75, 0.22, 0.03), (0.85, 0.50, 0.04), (0.60, 0.08, 0.04), (0.80, 0.62, 0.08), (0.45, 0.22, 0.05))
    count = 14
    top, ground = 3.6, 0.03
    for k in range(count):
        speed, sway = stage.uniform(0.75, 1.15), stage.uniform(0.16, 0.34)
        pace, phase = stage.uniform(2.2, 3.4), stage.uniform(0, 6.28)
        fallen = (k + stage.uniform(0, 1)) / count * top + speed * t
        cycle = top + 0.4 * speed  # lies on the ground for a moment before the next one comes
        z = np.maximum(top - fallen % cycle, ground)
        flying = z > ground
        turn = np.floor(fallen / cycle)
        x = stage.uniform(-1.9, 1.9) + 0.9 * np.sin(3 * turn) + sway * np.sin(pace * z / speed + phase)
        y = stage.uniform(-0.9, 0.9) + 0.12 * np.cos(pace * z / speed + phase)
        roll = np.where(flying, 0.9 * np.cos(pace * z / speed + phase), 0.1)
        spin = 0.9 * z / speed + phase
        rot = np.array([rotation(Z, a) @ rotation(Y, b) for a, b in zip(spin, roll, strict=True)])
        look = Look(rgb=colors[int(stage.rng.integers(len(colors)))], surface="leaf", seed=stage.uniform(0, 0.99))
        size = stage.uniform(0.16, 0.23)
        stage.puppet("ellipsoid", (size, 0.58 * size, 0.012), look, np.stack([x, y, z], -1), rot)
    stage.wind = 0.6
    stage.shot = Shot(target=np.array([0.0, 0.0, 1.15]), distance=stage.uniform(3.4, 4.0),
                      elevation=(math.radians(5), math.radians(12)))  # fmt: skip
    stage.scenery.clear = 1.3


def build_snowfall(stage: Stage) -> None:
    stage.snow = stage.uniform(0.75, 1.0)
    stage.wind = stage.uniform(0.2, 0.6)
    stage.shot = Shot(target=np.array([0.0, 0.0, 1.0]), distance=stage.uniform(4.0, 5.0),
                      elevation=(math.radians(5), math.radians(12)))  # fmt: skip


def observe_falling(window: Window) -> Observation:
    return {"outcome": None if window.still else "fall"}


FLOATING = Role(kinds=SHAPES, materials=("plastic", "wood", "neon", "rubber"))
RULES = {
    "float": EventRule(build=build_float, observe=observe_float, cast=(FLOATING,)),
    "fish": EventRule(build=build_fish, observe=observe_fish, cast=(Role(kinds=("fish",)),), cameras=NO_TRUCK),
    "bird": EventRule(build=build_bird, observe=observe_bird, cast=(Role(kinds=("bird",)),), directed=True,
                      follows=True, steerable=True),
    "waves": EventRule(build=build_waves, observe=observe_waves),
    "leaves": EventRule(build=build_leaves, observe=observe_falling),
    "snowfall": EventRule(build=build_snowfall, observe=observe_falling),
}  # fmt: skip
