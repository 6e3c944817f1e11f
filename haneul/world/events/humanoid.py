"""A humanoid robot as a kinematic figure: planted feet, two-link inverse kinematics for legs and arms.

All tracks are float [T, ...] over the logged frames. The figure's own axes are x forward, y to its left, z up.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from haneul.world.events.steered import Course
from haneul.world.stage import Array, Look, Stage, rotation, turns

THIGH, SHIN, ANKLE = 0.43, 0.43, 0.09
UPPER_ARM, FOREARM = 0.30, 0.29
HIP_SIDE, SHOULDER_SIDE = 0.11, 0.29
HIP_HEIGHT = 0.915
STANCE = 0.6  # share of a cycle that a foot is on the ground
Y, Z = (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)


def ease(u: Array) -> Array:
    """Smooth step from 0 to 1."""
    u = np.clip(u, 0.0, 1.0)
    return np.asarray(u * u * (3 - 2 * u))


def two_link(start: Array, end: Array, first: float, second: float, pole: Array) -> tuple[Array, Array]:
    """Middle joint and reachable end [T, 3] of a two-link limb from `start` towards `end`, bent towards `pole`."""
    line = end - start
    distance = np.linalg.norm(line, axis=-1, keepdims=True)
    direction = line / np.maximum(distance, 1e-6)
    reach = np.clip(distance, abs(first - second) + 0.02, (first + second) * 0.999)
    along = (first**2 - second**2 + reach**2) / (2 * reach)
    height = np.sqrt(np.maximum(first**2 - along**2, 0.0))
    bend = pole - (pole * direction).sum(-1, keepdims=True) * direction
    bend /= np.maximum(np.linalg.norm(bend, axis=-1, keepdims=True), 1e-6)
    return start + direction * along + bend * height, start + direction * reach


def aligned(direction: Array, side: Array) -> Array:
    """Rotations [T, 3, 3] whose local z is `direction`; local y stays near `side`."""
    z = direction / np.maximum(np.linalg.norm(direction, axis=-1, keepdims=True), 1e-9)
    x = np.cross(side, z)
    x /= np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), 1e-9)
    return np.stack([x, np.cross(z, x), z], -1)


@dataclass(kw_only=True)
class Pose:
    """What the figure is asked to do, for each frame."""

    travel_T: Array  # metres walked along its heading
    start: Array  # [3] where it is at travel 0, on the ground
    heading: float  # angle of its forward axis around z
    course: Course | None = None  # where it walks instead of straight on from `start` with `heading`
    cycle: float = 1.0  # metres of two steps
    phase: float = 0.0  # of the left foot at travel 0
    crouch_T: Array = field(default_factory=lambda: np.zeros(1))  # metres that the hips sink
    lean_T: Array = field(default_factory=lambda: np.zeros(1))  # radians that the torso leans forward
    twist_T: Array = field(default_factory=lambda: np.zeros(1))  # radians that the torso turns to its left
    look_T: Array = field(default_factory=lambda: np.zeros(1))  # radians that the head turns to its left, further
    hands_T23: Array | None = None  # where the hands (left, right) should be in the world, and
    grip_T: Array = field(default_factory=lambda: np.zeros(1))  # 0 arms swing .. 1 hands are there


@dataclass(frozen=True, kw_only=True)
class Figure:
    """Solved joints, all [T, 3] in the world but `frame` and `torso` [T, 3, 3]."""

    hips: Array
    frame: Array
    torso: Array
    neck: Array
    legs: tuple[tuple[Array, Array, Array, Array], ...]  # hip, knee, ankle, foot pitch [T]
    arms: tuple[tuple[Array, Array, Array], ...]  # shoulder, elbow, hand
    head_turn: Array
    feet: tuple[Array, ...]  # frames [T, 3, 3] in which the feet pitch, left and right


def _foot(travel: Array, cycle: float, phase: float) -> tuple[Array, Array, Array]:
    """Position along the way, height and pitch [T] of one foot: it does not slide while it is down."""
    count = travel / cycle + phase
    whole = np.floor(count)
    part = count - whole
    u = np.clip((part - STANCE) / (1 - STANCE), 0, 1)
    along = (whole + STANCE / 2 + ease(u) - phase) * cycle
    height = 0.11 * np.sin(np.pi * u)
    pitch = np.where(u > 0, 0.5 * np.sin(2 * np.pi * u), 0.0)
    return along, height, pitch


def solve(pose: Pose) -> Figure:
    """Joints of the figure for each frame."""
    frames = len(pose.travel_T)

    def full(track: Array) -> Array:
        return np.broadcast_to(track, (frames,))

    def way(travel: Array) -> tuple[Array, Array]:
        """Points [T, 3] on the ground after so many metres, and the figure's axes there, [3, 3] or [T, 3, 3]."""
        if pose.course is None:
            axes = rotation(Z, pose.heading)
            return pose.start + np.outer(travel, axes[:, 0]), axes
        pos, heading = pose.course.at(travel)
        return pose.start + np.pad(pos, ((0, 0), (0, 1))), turns(Z, heading)

    up = np.array(Z)
    beat = 4 * np.pi * (pose.travel_T / pose.cycle + pose.phase)
    moving = np.clip(np.gradient(pose.travel_T) * 24 / 0.4, 0, 1)
    height = HIP_HEIGHT - full(pose.crouch_T) - moving * (0.02 + 0.015 * np.cos(beat))
    back = -0.30 * full(pose.crouch_T)
    middle, base = way(pose.travel_T + back)
    left = base[..., 1]
    hips = middle + np.outer(height, up)
    legs, feet = [], []
    for side, shift in ((1, 0.0), (-1, 0.5)):
        along, lift, pitch = _foot(pose.travel_T, pose.cycle, pose.phase + shift)
        hip = hips + side * HIP_SIDE * left
        planted, foot = way(along)
        ankle = planted + side * HIP_SIDE * foot[..., 1] + np.outer(ANKLE + lift, up)
        knee, ankle = two_link(hip, ankle, THIGH, SHIN, np.broadcast_to(base[..., 0], (frames, 3)))
        legs.append((hip, knee, ankle, pitch))
        feet.append(np.broadcast_to(foot, (frames, 3, 3)))
    torso = base @ turns(Z, full(pose.twist_T)) @ turns(Y, full(pose.lean_T) + 0.06 * moving)
    swing = 0.55 * moving * np.sin(beat / 2 + 0.6)
    arms = []
    for k, side in enumerate((1, -1)):
        shoulder = hips + torso @ np.array([0.0, side * SHOULDER_SIDE, 0.50])
        angle = -side * swing
        elbow_bend = 0.35 + 0.25 * moving
        down = torso @ np.array([0.0, side * 0.10, -1.0])
        ahead = torso[:, :, 0]
        elbow = shoulder + UPPER_ARM * (np.cos(angle)[:, None] * down + np.sin(angle)[:, None] * ahead)
        bent = (angle + elbow_bend)[:, None]
        hand = elbow + FOREARM * (np.cos(bent) * down + np.sin(bent) * ahead)
        if pose.hands_T23 is not None:
            grip = full(pose.grip_T)[:, None]
            wanted = (1 - grip) * hand + grip * pose.hands_T23[:, k]
            pole = -0.6 * ahead + side * 0.5 * torso[:, :, 1] - 0.4 * up
            elbow, hand = two_link(shoulder, wanted, UPPER_ARM, FOREARM, pole)
        arms.append((shoulder, elbow, hand))
    head_turn = base @ turns(Z, full(pose.twist_T) + full(pose.look_T)) @ turns(Y, 0.45 * full(pose.lean_T))
    return Figure(
        hips=hips, frame=np.array(np.broadcast_to(base, (frames, 3, 3))), torso=torso,
        neck=hips + torso @ np.array([0.02, 0.0, 0.60]),
        legs=tuple(legs),
        arms=tuple(arms), head_turn=head_turn, feet=tuple(feet),
    )  # fmt: skip


def draw(stage: Stage, figure: Figure, index: int = 1) -> None:
    """Put the figure on stage as subject `index`: 16 puppets."""
    paint = stage.subject_look(index, "plastic")
    steel = Look(rgb=(0.30, 0.31, 0.34), surface="metal", subject=index)
    dark = Look(rgb=(0.06, 0.06, 0.07), surface="rubber", subject=index)
    glow = Look(rgb=(0.25, 1.0, 1.0), surface="neon", emission=1.0, subject=index)
    side = figure.frame[:, :, 1]

    def limb(a: Array, b: Array, radius: float, look: Look, length: float) -> None:
        stage.puppet("capsule", (radius, length / 2), look, (a + b) / 2, aligned(b - a, side))

    stage.puppet("box", (0.13, 0.17, 0.09), steel, figure.hips + np.array([0, 0, 0.02]), figure.torso)
    chest = figure.hips + figure.torso @ np.array([0.0, 0.0, 0.33])
    stage.puppet("box", (0.15, 0.21, 0.22), paint, chest, figure.torso)
    head = figure.neck + figure.head_turn @ np.array([0.03, 0.0, 0.13])
    stage.puppet("sphere", (0.175,), paint, head, figure.head_turn)
    visor = head + figure.head_turn @ np.array([0.115, 0.0, 0.02])
    stage.puppet("box", (0.07, 0.115, 0.045), glow, visor, figure.head_turn)
    for (hip, knee, ankle, pitch), frame in zip(figure.legs, figure.feet, strict=True):
        limb(hip, knee, 0.085, steel, THIGH)
        limb(knee, ankle, 0.08, paint, SHIN)
        foot = frame @ turns(Y, pitch)
        stage.puppet("box", (0.15, 0.075, 0.045), dark, ankle + foot @ np.array([0.05, 0.0, -0.045]), foot)
    for shoulder, elbow, hand in figure.arms:
        limb(shoulder, elbow, 0.07, paint, UPPER_ARM)
        limb(elbow, hand, 0.06, steel, FOREARM)
        stage.puppet("sphere", (0.075,), dark, hand, figure.frame)
    stage.roots[index] = (figure.hips, figure.torso)


def phase_for_rest(travel: float, cycle: float) -> float:
    """Left foot's phase at travel 0 so that after `travel` metres both feet are on the ground."""
    return (0.05 - travel / cycle) % 1.0


def walk_then_rest(time: Array, speed: float, stop: float, brake: float = 0.5) -> Array:
    """Metres walked [T] at `speed` until `stop` seconds, then braking evenly for `brake` seconds."""
    u = np.clip(time - stop, 0, brake)
    return np.minimum(time, stop) * speed + speed * (u - u * u / (2 * brake))


def facing(side: float) -> float:
    """Heading towards the viewer's right (side 1) or left (-1)."""
    return 0.0 if side > 0 else math.pi
