"""The life of a robot in the city: it walks, stops, picks up a box, pushes one, looks at a sign."""

from __future__ import annotations

import math

import mujoco
import numpy as np

from haneul.world.events.base import NO_TRUCK, EventRule, Observation, Role, Window
from haneul.world.events.humanoid import Pose, draw, ease, facing, phase_for_rest, solve, walk_then_rest
from haneul.world.events.steered import draw_course, seen_turns
from haneul.world.scenery import GLOWS, glowing_sign
from haneul.world.stage import TIMESTEP, Actuate, Array, Look, Shot, Stage, quaternion, rotation

Z = (0.0, 0.0, 1.0)
ROBOT_TIGHTEST = 0.9  # metres, radius of its tightest turn
UPRIGHT = Shot(azimuth=math.radians(14), elevation=(math.radians(4), math.radians(10)), height=(0.50, 0.59), width=1.72)


def _actions(stage: Stage, speed_T: Array, grasp_T: Array | float = 0.0) -> None:
    zero = np.zeros_like(stage.times_T)
    stage.actions_T4 = np.stack([zero, np.clip(speed_T / 1.3, 0, 1), zero, zero + grasp_T], -1)


def _pace(stage: Stage, way: float) -> float:
    return min(max(way / stage.spec.seconds, 0.55), 1.3)


def build_walk(stage: Stage) -> None:
    side, t = stage.heading, stage.times_T
    speed = _pace(stage, stage.uniform(3.6, 4.2)) if stage.told is None else 1.1
    if stage.spec.steered:
        _walk_course(stage, side, speed)
        return
    travel = speed * t
    start = np.array([-side * speed * stage.spec.seconds / 2, 0.0, 0.0])
    pose = Pose(travel_T=travel, start=start, heading=facing(side), cycle=0.75 + 0.4 * speed, phase=stage.uniform(0, 1))
    draw(stage, solve(pose))
    _actions(stage, np.full_like(t, speed))
    stage.shot = UPRIGHT


def _walk_course(stage: Stage, side: float, speed: float) -> None:
    """A walk that is steered; it slows down but does not halt in the middle of a step."""
    course = draw_course(stage, side=side, speed=1.15 * speed, tightest=ROBOT_TIGHTEST, slowest=0.45)
    pose = Pose(travel_T=course.travel_T, start=np.zeros(3), heading=0.0, course=course, cycle=0.75 + 0.4 * speed,
                phase=stage.uniform(0, 1))  # fmt: skip
    draw(stage, solve(pose))
    actions = course.actions_T4()
    actions[:, 1] *= min(1.15 * speed / 1.3, 1.0)
    stage.actions_T4 = actions
    stage.shot = UPRIGHT


def build_stop(stage: Stage) -> None:
    side, t = stage.sign(), stage.times_T
    stop = stage.spec.seconds * stage.uniform(0.38, 0.52)
    speed = min(max(stage.uniform(1.9, 2.4) / stop, 0.55), 1.3)
    travel = walk_then_rest(t, speed, stop)
    cycle = 0.75 + 0.4 * speed
    start = np.array([-side * travel[-1] / 2, 0.0, 0.0])
    # having stopped, it looks about
    glance = 0.5 * np.sin(2.0 * np.maximum(t - stop - 0.7, 0)) * ease((t - stop - 0.7) / 0.5)
    pose = Pose(travel_T=travel, start=start, heading=facing(side), cycle=cycle,
                phase=phase_for_rest(float(travel[-1]), cycle), look_T=glance, twist_T=0.25 * glance)  # fmt: skip
    draw(stage, solve(pose))
    _actions(stage, np.gradient(travel, t[1]))
    stage.shot = UPRIGHT


def _follow(stage: Stage, times: Array, path: Array, release: float | None) -> None:
    """Drive the mocap body along `path`; from `release` seconds on the box is welded to it."""
    seconds = np.arange(round(stage.spec.seconds / TIMESTEP) + 2) * TIMESTEP
    fine = np.stack([np.interp(seconds, times, path[:, k]) for k in range(3)], -1)

    def actuate(model: mujoco.MjModel, data: mujoco.MjData) -> Actuate:
        last = len(fine) - 1

        def act(time: float) -> None:
            data.mocap_pos[0] = fine[min(round(time / TIMESTEP) + 1, last)]
            if release is not None:
                data.eq_active[0] = time >= release

        return act

    stage.actuate = actuate


def build_pick_up(stage: Stage) -> None:
    """Walks up, crouches, grasps the box from both sides and lifts it; the box is a body held by a weld."""
    side, t, seconds = stage.sign(), stage.times_T, stage.spec.seconds
    half = stage.uniform(0.20, 0.25)
    rhythm = min(seconds, 6.0) / 4.0
    stop, down, grasp, lifted = (rhythm * s for s in (0.55, 1.55, 1.75, 3.1))
    speed = 0.85 / rhythm
    travel = walk_then_rest(t, speed, stop, 0.4 * rhythm)
    crouch = 0.46 * (ease((t - stop) / (down - stop)) - ease((t - grasp) / (lifted - grasp)))
    held = ease((t - grasp - 0.1) / (lifted - grasp))
    forward = np.array([side, 0.0, 0.0])
    near = 0.42 + half
    start = -forward * (travel[-1] + near) / 2
    rest = start + forward * (travel[-1] + near) + np.array([0, 0, half])
    path = rest + np.outer(held, np.array([0, 0, 0.98 - half])) - np.outer(held, 0.12 * forward)
    left = np.array([0.0, side, 0.0])
    hands = np.stack([path + (half + 0.05) * left, path - (half + 0.05) * left], 1)
    pose = Pose(
        travel_T=travel, start=start, heading=facing(side), cycle=0.95, phase=phase_for_rest(float(travel[-1]), 0.95),
        crouch_T=crouch, lean_T=1.9 * crouch, hands_T23=hands, grip_T=ease((t - stop + 0.2) / (grasp - stop)),
    )  # fmt: skip
    draw(stage, solve(pose))
    stage.solid(2, (half,) * 3, rest, shape="box", restitution=0.2)
    stage.worldbody.append(f'<body name="grip" mocap="true" pos="{rest[0]} {rest[1]} {rest[2]}"/>')
    stage.equalities.append('<weld body1="grip" body2="subject 2" active="false" solref="0.01 1"/>')
    _follow(stage, t, path, grasp)
    _actions(stage, np.gradient(travel, t[1]), (t >= grasp) * 1.0)
    stage.extra["grasp"] = grasp
    stage.shot = Shot(azimuth=math.radians(18), elevation=(math.radians(5), math.radians(11)), height=(0.54, 0.6),
                      width=1.7)  # fmt: skip


def build_push(stage: Stage) -> None:
    """Walks bent forward behind a large box; its palms are driven bodies, the box slides by contact and friction."""
    side, t = stage.sign(), stage.times_T
    half = stage.uniform(0.34, 0.42)
    speed = _pace(stage, stage.uniform(2.0, 2.5))
    travel = speed * t
    forward = np.array([side, 0.0, 0.0])
    start = -forward * (speed * stage.spec.seconds / 2 + 0.35)
    arm = 0.62
    reach_z = min(1.5 * half + 0.18, 0.85)
    palms = start + np.outer(travel + arm, forward) + np.array([0, 0, reach_z])
    left = np.array([0.0, side, 0.0])
    hands = np.stack([palms + 0.2 * left, palms - 0.2 * left], 1)
    lean = np.full_like(t, 0.45)
    pose = Pose(
        travel_T=travel, start=start, heading=facing(side), cycle=0.7 + 0.4 * speed, phase=stage.uniform(0, 1),
        crouch_T=np.full_like(t, 0.07), lean_T=lean, hands_T23=hands, grip_T=np.ones_like(t),
    )  # fmt: skip
    draw(stage, solve(pose))
    gap = stage.uniform(0.12, 0.3) * speed
    where = start + forward * (arm + 0.07 + half + gap) + np.array([0, 0, half])
    stage.solid(2, (half,) * 3, where, shape="box", friction=0.35, restitution=0.2,
                quat=quaternion(rotation(Z, stage.uniform(-0.04, 0.04))))  # fmt: skip
    palm = stage.geom("palms", "box", (0.07, 0.3, 0.09), None, attrs='friction="0.9 .005 .0005"')
    stage.worldbody.append(f'<body name="subject 1" mocap="true" pos="{" ".join(map(str, palms[0]))}">{palm}</body>')
    _follow(stage, t, palms, None)
    _actions(stage, np.full_like(t, speed))
    stage.shot = Shot(azimuth=math.radians(12), elevation=(math.radians(5), math.radians(10)), height=(0.48, 0.56),
                      width=1.74)  # fmt: skip


def build_look(stage: Stage) -> None:
    """Stands beside a large glowing sign and turns to it."""
    side, t = stage.sign(), stage.times_T
    turn = stage.spec.seconds * stage.uniform(0.12, 0.25)
    place = np.array([-side * 0.75, 0.0, 0.0])
    size = (stage.uniform(0.62, 0.78), stage.uniform(0.45, 0.58))
    sign = np.array([side * 0.95, stage.uniform(0.75, 1.0), stage.uniform(1.25, 1.5)])
    bearing = math.atan2(sign[1] - place[1], (sign[0] - place[0]) * side) * side
    start = -side * stage.uniform(0.5, 0.9)  # first it looks away, towards the viewer
    progress = ease((t - turn) / 1.3)
    turned = start + (bearing - start) * progress
    nod = 0.05 * np.sin(2.1 * t)
    pose = Pose(
        travel_T=np.zeros_like(t), start=place, heading=facing(side), phase=0.05, twist_T=0.35 * turned,
        look_T=0.65 * turned + nod, lean_T=0.12 * progress + 0.02 * np.sin(1.7 * t),
        crouch_T=0.012 + 0.01 * np.sin(1.7 * t),
    )  # fmt: skip
    draw(stage, solve(pose))
    color = str(stage.rng.choice(GLOWS))
    glowing_sign(stage, (float(sign[0]), float(sign[1]), float(sign[2])), size, color, stage.rng)
    post = Look(rgb=(0.10, 0.10, 0.12), surface="metal")
    bottom = float(sign[2]) - size[1]
    stage.fixture("post", "cylinder", (sign[0], sign[1] + 0.08, bottom / 2), (0.06, bottom / 2), post)
    stage.frame_only.append((sign, size[0]))
    stage.scenery.sign = sign
    stage.extra["turned"] = np.abs(turned - bearing)
    stage.extra["sign color"] = color
    _actions(stage, np.zeros_like(t))
    stage.shot = Shot(azimuth=math.radians(8), elevation=(math.radians(3), math.radians(9)), height=(0.54, 0.6),
                      width=1.6)  # fmt: skip


# --- observers --------------------------------------------------------------------------------------------------------


def _speeds(window: Window) -> Array:
    velocity = window.truth.vel_TS6[window.start : window.stop, 0, :2].astype(float)
    return np.asarray(np.linalg.norm(velocity, axis=1))


def observe_walk(window: Window) -> Observation:
    if window.still:
        return {"outcome": None}
    if window.travelled(1) < 0.12:
        return {"outcome": "stands"}
    return {"outcome": "walks", "direction": window.side(1), **seen_turns(window, 1)}


def observe_stop(window: Window) -> Observation:
    if window.still:
        return {"outcome": None}
    speed = _speeds(window)
    if speed.max() < 0.1:
        return {"outcome": "stands"}
    if speed[-1] < 0.1 and window.travelled(1) > 0.15:
        return {"outcome": "walks and stops"}
    return {**observe_walk(window), "event": "robot walks"}  # the stop is not in this window


def observe_pick_up(window: Window) -> Observation:
    if window.still:
        return {"outcome": None}
    box = window.pos(2)[:, 2]
    if box[-1] - box[0] > 0.08:
        return {"outcome": "picks up"}
    grasp = float(window.truth.extra["grasp"])  # type: ignore[arg-type]
    return {"outcome": "reaches for" if window.last / 24 <= grasp + 0.5 else None}


def observe_push(window: Window) -> Observation:
    if window.still:
        return {"outcome": None}
    return {"outcome": "pushes" if window.travelled(2) > 0.08 else "reaches for"}


def observe_look(window: Window) -> Observation:
    if window.still:
        return {"outcome": None}
    off: Array = window.truth.extra["turned"]  # type: ignore[assignment]
    return {"outcome": "looks at" if off[window.last] < math.radians(25) else "stands"}


ROBOT = Role(kinds=("robot",))
CRATE = Role(kinds=("box",), materials=("wood", "plastic", "metal", "neon"))
RULES = {
    "robot walks": EventRule(
        build=build_walk, observe=observe_walk, cast=(ROBOT,), directed=True, follows=True, steerable=True
    ),
    "robot stops": EventRule(build=build_stop, observe=observe_stop, cast=(ROBOT,), cameras=NO_TRUCK),
    "robot picks up": EventRule(build=build_pick_up, observe=observe_pick_up, cast=(ROBOT, CRATE), cameras=NO_TRUCK),
    "robot pushes": EventRule(build=build_push, observe=observe_push, cast=(ROBOT, CRATE), cameras=NO_TRUCK),
    "robot looks": EventRule(build=build_look, observe=observe_look, cast=(ROBOT,), cameras=NO_TRUCK),
}
