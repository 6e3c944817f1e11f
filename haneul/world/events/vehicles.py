"""Machines on wheels and on four legs, driven by motors and by contact with the ground."""

from __future__ import annotations

import math

import mujoco
import numpy as np

from haneul.world.events.base import EventRule, Observation, Role, Window
from haneul.world.events.steered import Course, draw_course, seen_turns
from haneul.world.stage import Actuate, Array, Look, Shot, Stage, quaternion, rotation

Z = (0.0, 0.0, 1.0)
TYRE = Look(rgb=(0.03, 0.03, 0.03), surface="rubber", subject=1)
GLASS = Look(rgb=(0.10, 0.13, 0.17), surface="glass", subject=1)
STEEL = Look(rgb=(0.55, 0.55, 0.58), surface="metal", subject=1)
LAMP = Look(rgb=(1.0, 0.95, 0.7), surface="neon", emission=1.0, subject=1)
TAIL = Look(rgb=(0.9, 0.02, 0.02), surface="neon", emission=1.0, subject=1)
DARK = Look(rgb=(0.12, 0.12, 0.14), surface="plastic", subject=1)
NO_CONTACT = 'contype="0" conaffinity="0"'
WHEEL = 0.27  # radius, metres
AXLE, TRACK = 0.66, 0.44  # metres from the car's middle to an axle, and to a wheel on it
FASTEST = 2.4  # metres a second, of full throttle
WHEELS = ((AXLE, TRACK), (AXLE, -TRACK), (-AXLE, TRACK), (-AXLE, -TRACK))  # forward, to the left
LOCK = 0.72  # radians that the front wheels turn at most


def build_car(stage: Stage) -> None:
    side = stage.heading
    seconds = stage.spec.seconds
    speed = min(max(stage.uniform(3.6, 4.4) / seconds, 0.7), FASTEST)
    course: Course | None = None
    if stage.spec.steered:
        speed = min(1.4 * speed, FASTEST) if stage.told is None else FASTEST
        course = draw_course(stage, side=side, speed=speed, tightest=2 * AXLE / math.tan(LOCK))
    parts = [
        stage.geom("hull", "box", (1.05, 0.46, 0.20), stage.subject_look(1, "plastic"), density=300.0),
        stage.geom("cabin", "box", (0.56, 0.41, 0.19), GLASS, pos=(-0.12, 0, 0.37), density=50.0),
        stage.geom("roof", "box", (0.48, 0.42, 0.035), stage.subject_look(1, "plastic"), pos=(-0.12, 0, 0.58),
                   density=50.0),
        stage.geom("lamp", "box", (0.03, 0.38, 0.06), LAMP,
                   pos=(1.04, 0, 0.03), density=1.0, attrs=NO_CONTACT),
        stage.geom("tail", "box", (0.03, 0.38, 0.05), TAIL,
                   pos=(-1.04, 0, 0.03), density=1.0, attrs=NO_CONTACT),
    ]  # fmt: skip
    lying = quaternion(rotation((1, 0, 0), math.pi / 2))
    for k, (x, y) in enumerate(WHEELS):
        wheel = stage.geom(f"wheel {k}", "cylinder", (WHEEL, 0.10), TYRE, quat=lying, density=500.0,
                           attrs='friction="1.2 .005 .0005"')  # fmt: skip
        hub = ""
        if y * side < 0 or stage.spec.camera.startswith("orbit") or course:
            spoke = math.copysign(0.09, y)
            hub = stage.geom(f"hub {k}", "box", (0.19, 0.02, 0.055), STEEL, pos=(0, spoke, 0), density=1.0,
                             attrs=NO_CONTACT)  # fmt: skip
        joint = f'<joint name="axle {k}" type="hinge" axis="0 1 0" damping="0.1"/>'
        if course and x > 0:
            joint = f'<joint name="turn {k}" type="hinge" axis="0 0 1" damping="2" armature=".05"/>{joint}'
        parts.append(f'<body pos="{x} {y} -0.12">{joint}{wheel}{hub}</body>')
        stage.actuators.append(f'<velocity joint="axle {k}" kv="60"/>')
    stage.shot = Shot(azimuth=math.radians(9), elevation=(math.radians(5), math.radians(12)), width=1.98,
                      height=(0.30, 0.40))  # fmt: skip
    if course:
        _steer(stage, "".join(parts), course, speed)
        return
    facing = quaternion(rotation(Z, 0.0 if side > 0 else math.pi))
    start = -side * speed * seconds / 2
    stage.body(1, "".join(parts), (start, 0, WHEEL + 0.12), quat=facing, velocity=(side * speed, 0, 0, 0, 0, 0))

    def actuate(model: mujoco.MjModel, data: mujoco.MjData) -> Actuate:
        data.qvel[6:10] = speed / WHEEL
        data.ctrl[:] = speed / WHEEL
        return lambda time: None

    stage.actuate = actuate
    stage.actions_T4 = np.tile([0.0, speed / FASTEST, 0.0, 0.0], (len(stage.times_T), 1))


def _steer(stage: Stage, parts: str, course: Course, speed: float) -> None:
    """Puts a car on stage that is driven along a course: its front wheels turn, and every wheel rolls as fast as its
    own circle asks for (Ackermann's geometry); whether it keeps to the course is up to tyres and ground."""
    stage.actuators += [f'<position joint="turn {k}" kp="400" kv="20"/>' for k in range(2)]
    middle, rear = course.pos_T2[0], course.heading_T[0]
    ahead = np.array([math.cos(rear), math.sin(rear)])
    start = middle + AXLE * ahead  # a course is the rear axle's
    bend_T = -course.steer_T * math.tan(LOCK) / (2 * AXLE)  # of the rear axle's way, 1 / metres, to the left
    pace_T = speed * course.throttle_T
    angles_TW = np.stack([np.arctan2((x + AXLE) * bend_T, 1 - y * bend_T) for x, y in WHEELS], -1)
    spins_TW = np.stack([pace_T * np.hypot((x + AXLE) * bend_T, 1 - y * bend_T) for x, y in WHEELS], -1) / WHEEL
    velocity = (*(pace_T[0] * ahead), 0, 0, 0, 0)
    stage.body(1, parts, (*start, WHEEL + 0.12), quat=quaternion(rotation(Z, float(rear))), velocity=velocity)

    def actuate(model: mujoco.MjModel, data: mujoco.MjData) -> Actuate:
        for k, spin in enumerate(spins_TW[0]):
            data.qvel[model.joint(f"axle {k}").dofadr[0]] = spin

        def act(time: float) -> None:
            tracks = np.concatenate([spins_TW, angles_TW[:, :2]], 1)
            data.ctrl[:] = [np.interp(time, stage.times_T, track) for track in tracks.T]

        return act

    stage.actuate = actuate
    actions = course.actions_T4()
    actions[:, 1] *= speed / FASTEST
    stage.actions_T4 = actions


def observe_drive(window: Window) -> Observation:
    if window.still or window.travelled(1) < 0.15:
        return {"outcome": None}
    moved = window.truth.vel_TS6[window.start, 0, :2]
    outcome = "starts" if float(np.linalg.norm(moved)) < 0.1 else "drives"
    return {"outcome": outcome, "direction": window.side(1), **seen_turns(window, 1)}


HIP, KNEE, STRIDE = 0.26, 0.26, 1.9  # metres, metres, steps per second


def build_quadruped(stage: Stage) -> None:
    """A dog robot on position-driven joints; diagonal legs step together (a trot)."""
    side = stage.heading
    paint = stage.subject_look(1, "plastic")
    glow = Look(rgb=(0.3, 1.0, 0.95), surface="neon", emission=1.0, subject=1)
    parts = [
        stage.geom("trunk", "box", (0.42, 0.15, 0.13), paint, density=400.0),
        stage.geom("head", "box", (0.14, 0.12, 0.12), paint, pos=(0.50, 0, 0.20), density=150.0),
        stage.geom("eye", "box", (0.015, 0.09, 0.035), glow, pos=(0.64, 0, 0.22), density=1.0, attrs=NO_CONTACT),
        stage.geom("rear", "capsule", (0.035, 0.10), DARK, pos=(-0.48, 0, 0.18), quat=(0.92, 0, -0.38, 0),
                   density=50.0, attrs=NO_CONTACT),
    ]  # fmt: skip
    for k, (x, y) in enumerate(((0.32, 0.19), (0.32, -0.19), (-0.32, 0.19), (-0.32, -0.19))):
        thigh = stage.geom(f"thigh {k}", "capsule", (0.065, HIP / 2), DARK, pos=(0, 0, -HIP / 2), density=400.0,
                           attrs=NO_CONTACT)  # fmt: skip
        shin = stage.geom(f"shin {k}", "capsule", (0.055, KNEE / 2), paint, pos=(0, 0, -KNEE / 2), density=400.0,
                          attrs='friction="1.4 .005 .0005"')  # fmt: skip
        hinge = 'type="hinge" axis="0 1 0" damping="3" armature=".02"'
        parts.append(
            f'<body pos="{x} {y} -0.04"><joint name="hip {k}" {hinge}/>{thigh}'
            f'<body pos="0 0 {-HIP}"><joint name="knee {k}" {hinge}/>{shin}</body></body>'
        )
        stage.actuators += [f'<position joint="hip {k}" kp="420"/>', f'<position joint="knee {k}" kp="420"/>']
    speed = min(max(2.2 / stage.spec.seconds, 0.35), 0.65)
    stance = 0.44  # height of the hips over the feet
    facing = quaternion(rotation(Z, 0.0 if side > 0 else math.pi))
    start = -side * speed * stage.spec.seconds / 2
    stage.body(1, "".join(parts), (start, 0, stance + 0.04 + 0.055), quat=facing,
               velocity=(side * speed, 0, 0, 0, 0, 0))  # fmt: skip
    phase = np.array([0.0, 0.5, 0.5, 0.0]) + stage.uniform(0, 1)

    def actuate(model: mujoco.MjModel, data: mujoco.MjData) -> Actuate:
        steps = np.arange(round(stage.spec.seconds / stage.timestep) + 2)
        angles = trot_angles(steps[:, None] * stage.timestep, phase, speed, stance)
        data.qpos[7:15] = angles[0]

        def act(time: float) -> None:
            data.ctrl[:] = angles[round(time / stage.timestep)]

        return act

    stage.actuate = actuate
    stage.actions_T4 = np.tile([0.0, speed, 0.0, 0.0], (len(stage.times_T), 1))
    stage.shot = Shot(azimuth=math.radians(12), elevation=(math.radians(5), math.radians(13)), width=1.72)


def trot_angles(time_K1: Array, phase_4: Array, speed: float, stance: float) -> Array:
    """Hip and knee angles [K, 8] that carry each foot back at `speed` on the ground and forward through the air."""
    cycle = (STRIDE * time_K1 + phase_4) % 1.0
    reach = 0.5 * speed / STRIDE * 0.5
    ground = cycle < 0.5
    u = np.where(ground, cycle * 2, (cycle - 0.5) * 2)
    x = np.where(ground, reach * (1 - 2 * u), reach * (-np.cos(np.pi * u)))
    z = -stance + np.where(ground, 0.0, 0.11 * np.sin(np.pi * u))
    length = np.minimum(np.hypot(x, z), HIP + KNEE - 1e-3)
    knee = np.pi - np.arccos((HIP**2 + KNEE**2 - length**2) / (2 * HIP * KNEE))
    lean = np.arctan2(-x, -z)  # positive hip angle swings the leg back
    hip = lean - np.arccos((HIP**2 + length**2 - KNEE**2) / (2 * HIP * length))
    return np.stack([hip, knee], -1).reshape(len(time_K1), 8)


def observe_quadruped(window: Window) -> Observation:
    if window.still:
        return {"outcome": None}
    if window.travelled(1) < 0.12:
        return {"outcome": "moves its legs"}
    return {"outcome": "walks", "direction": window.side(1)}


RULES = {
    "car": EventRule(build=build_car, observe=observe_drive, cast=(Role(kinds=("car",)),), directed=True, follows=True,
                     steerable=True),
    "quadruped": EventRule(build=build_quadruped, observe=observe_quadruped, cast=(Role(kinds=("dog robot",)),),
                           directed=True, follows=True),
}  # fmt: skip
