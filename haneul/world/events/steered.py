"""Subjects that are steered: what they are told over time, the way that it leads them, and the turns that are seen.

Steering goes from -1 (left, as the subject sees it) to 1 (right), throttle from 0 to 1, as in prompt/action.py. A
course comes from random numbers of its own, so that clips without one are what they were before there was steering.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from haneul.world.events.base import Window
from haneul.world.scene import FPS
from haneul.world.stage import Array, Stage

STREAM = 5  #: of a seed's random numbers
RAMP = 7  #: frames over which a command sets in
STRAIGHT = (0.25, 0.8)  #: seconds without steering, of a clip of 4 s or longer
TURN = (0.9, 1.7)  #: seconds of a turn, likewise
HARD = (0.6, 1.0)  #: how hard it steers
OTHER_SIDE = 0.75  #: how often the next turn goes the other way
PAUSE = 0.35  #: how often it slows down once
SEEN = np.radians(12.0)  #: a change of heading from which on a turn is one


@dataclass(frozen=True, kw_only=True)
class Course:
    """What a subject is told at each logged frame, and the way that leads to without slip: all [T] or [T, 2]."""

    steer_T: Array
    throttle_T: Array
    travel_T: Array  # metres along the way
    heading_T: Array  # radians around z, growing to the left
    pos_T2: Array  # metres, the middle of the way at the origin

    def actions_T4(self) -> Array:
        """As `Stage.actions_T4`."""
        nothing = np.zeros_like(self.steer_T)
        return np.stack([self.steer_T, self.throttle_T, nothing, nothing], -1)

    def at(self, travel_T: Array) -> tuple[Array, Array]:
        """Positions [T, 2] and headings [T] after so many metres; before the way and beyond it, straight on."""
        ends = np.clip(travel_T, self.travel_T[0], self.travel_T[-1])
        heading = np.interp(ends, self.travel_T, self.heading_T)
        pos = np.stack([np.interp(ends, self.travel_T, self.pos_T2[:, k]) for k in range(2)], -1)
        ahead = np.stack([np.cos(heading), np.sin(heading)], -1)
        return pos + (travel_T - ends)[:, None] * ahead, heading


def _smooth(track_T: Array) -> Array:
    """The mean over RAMP frames, held at the ends."""
    padded = np.pad(track_T, RAMP // 2, mode="edge")
    return np.convolve(padded, np.full(RAMP, 1 / RAMP), mode="valid")


def commands(times_T: Array, slowest: float, rng: np.random.Generator) -> tuple[Array, Array]:
    """Steering and throttle [T]: straight stretches and turns by turns, at least one, and now and then a slower
    stretch of `slowest` throttle."""
    seconds = float(times_T[-1])
    scale = min(seconds / 4.0, 1.0)
    steer = np.zeros_like(times_T)
    side = float(rng.choice((-1.0, 1.0)))
    begin = scale * rng.uniform(*STRAIGHT)
    while begin < seconds - scale * TURN[0] / 2:
        end = begin + scale * rng.uniform(*TURN)
        steer[(times_T >= begin) & (times_T < end)] = side * rng.uniform(*HARD)
        side = -side if rng.random() < OTHER_SIDE else side
        begin = end + scale * rng.uniform(*STRAIGHT)
    throttle = np.full_like(times_T, rng.uniform(0.75, 1.0))
    if rng.random() < PAUSE:
        begin = seconds * rng.uniform(0.25, 0.55)
        throttle[(times_T >= begin) & (times_T < begin + scale * rng.uniform(0.6, 1.0))] = slowest
    return _smooth(steer), _smooth(throttle)


def draw_course(stage: Stage, *, side: float, speed: float, tightest: float, slowest: float = 0.0) -> Course:
    """A course that leads on the whole towards `side` (1 right, -1 left). `speed` is that of full throttle in metres a
    second, `tightest` the radius in metres of the way when it steers as hard as it can."""
    rng = np.random.default_rng([stage.spec.seed, STREAM])
    steer, throttle = commands(stage.times_T, slowest, rng) if stage.told is None else stage.told
    steps = speed * throttle / FPS

    def summed(rate_T: Array) -> Array:
        return np.concatenate([[0.0], np.cumsum((rate_T[1:] + rate_T[:-1]) / 2)])

    turned = summed(-steer / tightest * steps)
    heading = turned - turned.mean() + (0.0 if side > 0 else np.pi)
    pos = np.stack([summed(steps * np.cos(heading)), summed(steps * np.sin(heading))], -1)
    pos -= (pos.max(0) + pos.min(0)) / 2
    return Course(steer_T=steer, throttle_T=throttle, travel_T=summed(steps), heading_T=heading, pos_T2=pos)


def headings(quat_T4: Array) -> Array:
    """Radians around z [T], without jumps, of where the x axis of orientations (w, x, y, z) points."""
    w, x, y, z = quat_T4.T
    return np.asarray(np.unwrap(np.arctan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))))


def turns_of(heading_T: Array) -> tuple[str, ...]:
    """Which ways something turned, one after the other, as it sees them: every change of heading by SEEN or more counts
    until it goes the other way."""
    found: list[str] = []
    lowest = highest = float(heading_T[0])
    for angle in heading_T.tolist():
        lowest, highest = min(lowest, angle), max(highest, angle)
        if angle - lowest > SEEN:
            side, lowest = "left", angle
        elif highest - angle > SEEN:
            side, highest = "right", angle
        else:
            continue
        if found[-1:] != [side]:
            found.append(side)
            lowest = highest = angle
    return tuple(found)


def seen_turns(window: Window, subject: int) -> dict[str, object]:
    """What an observer says of a steered subject besides the rest: its turns, and if there are any no direction, which
    they change. Of other clips nothing."""
    truth = window.truth
    if not truth.spec.steered:
        return {}
    turns = turns_of(headings(truth.quat_TS4[window.start : window.stop, subject - 1].astype(float)))
    return {"turns": turns, "direction": None} if turns else {}
