"""Rides: the world as somebody sees it who plays in it. A car, a robot or a bird is told what to do, as by keys that
are held and let go; the camera follows from behind, and the country around has no end within the clip.

What the live model (model/live.py) learns from. The physics, the figures and the renderer are those of all clips.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from haneul.world.country import Country
from haneul.world.events.steered import headings
from haneul.world.framing import Framing, Path, place
from haneul.world.physics import staged, subject_tracks, truth_of
from haneul.world.scene import CALM, FPS, ClipSpec, Subject, Truth, held_out
from haneul.world.stage import Array, Stage
from haneul.world.vocabulary import COLORS, TIMES, event_settings

STREAM = 7  #: of a seed's random numbers
RAMP = 5  #: logged frames over which a key's effect sets in
HELD = (0.25, 1.6)  #: seconds that a key is held, or not
LAG = 0.30  #: seconds by which the camera's turn follows the subject's
REACH = 16.0  #: metres around a way where things stand
CLOSED = ("art gallery", "outer space")  #: settings without a ground that goes on


@dataclass(frozen=True, kw_only=True)
class Rider:
    """A kind that can be played, and how it is seen: from `distance` metres behind it, looking `above` its middle."""

    event: str
    distance: float
    above: float
    slowest: float  # throttle where no key is held
    clear: float  # metres beside its way where nothing stands
    height: float  # of its middle above the ground, usually

    @property
    def settings(self) -> tuple[str, ...]:
        return tuple(s for s in event_settings(self.event) if s not in CLOSED)


RIDERS = {
    "car": Rider(event="car", distance=3.7, above=0.35, slowest=0.0, clear=1.2, height=0.39),
    "robot": Rider(event="robot walks", distance=3.2, above=0.2, slowest=0.0, clear=0.9, height=0.9),
    "bird": Rider(event="bird", distance=2.9, above=0.1, slowest=0.5, clear=1.1, height=2.1),
}


def ride_spec(seed: int, seconds: float, *, kind: str | None = None, only_held_out: bool = False) -> ClipSpec:
    """What a seed draws: a rider, where it is, when, its colour. Held-out combinations are drawn alone, or never."""
    rng = np.random.default_rng([seed, STREAM])
    while True:
        rider = str(rng.choice(list(RIDERS))) if kind is None else kind
        setting = str(rng.choice(RIDERS[rider].settings))
        color = str(rng.choice([c for c in COLORS if (setting, c) != ("snowy field", "white")]))
        spec = ClipSpec(
            seed=seed, setting=setting, event=RIDERS[rider].event, time=str(rng.choice(TIMES)),
            subjects=(Subject(kind=rider, color=color),), direction="right", seconds=seconds, richness=CALM,
            steered=True,
        )  # fmt: skip
        if held_out(spec) == only_held_out:
            return spec


def keys(times_T: Array, rng: np.random.Generator) -> tuple[Array, Array]:
    """Steering (-1, 0 or 1) and going (0 or 1), [T], as keys are held by somebody who tries things."""
    tracks = []
    for values, chances, longer in (((-1.0, 0.0, 1.0), (0.32, 0.36, 0.32), 1.0), ((0.0, 1.0), (0.22, 0.78), 1.6)):
        track, end = np.zeros_like(times_T), 0.0
        while end < times_T[-1]:
            now = float(rng.choice(values, p=chances))
            begin, end = end, end + rng.uniform(*HELD) * longer
            track[(times_T >= begin) & (times_T <= end)] = now
        tracks.append(track)
    return tracks[0], tracks[1]


def felt(held_T: Array) -> Array:
    """What a key does [T]: the mean of the last RAMP frames, never of frames to come; it was held before the first."""
    padded = np.concatenate([np.full(RAMP - 1, held_T[0]), held_T])
    return np.convolve(padded, np.full(RAMP, 1 / RAMP), mode="valid")


def turned(azimuth: float, heading: float) -> float:
    """Where the camera looks a logged frame later, after a subject that goes there, radians."""
    return azimuth + (heading - azimuth) * (1 - math.exp(-1 / (FPS * LAG)))


def follow(pos_T3: Array, heading_T: Array, rider: Rider, tilt: float) -> Framing:
    """The camera behind a subject, turning after it."""
    azimuth = np.empty_like(heading_T)
    azimuth[0] = heading_T[0]
    for t in range(1, len(heading_T)):
        azimuth[t] = turned(float(azimuth[t - 1]), float(heading_T[t]))
    still = np.zeros_like(azimuth)
    path = Path(azimuth_T=azimuth - math.pi / 2, elevation_T=still + tilt, scale_T=still + 1, lateral_T=still, axis=0.0)
    view, look = place(path, pos_T3 + np.array([0.0, 0.0, rider.above]), rider.distance)
    return Framing(cameras=view.cameras(), look_T3=look, distance_T=still + rider.distance, height=0.3)


def simulate_ride(spec: ClipSpec, held: tuple[Array, Array] | None = None) -> Truth:
    """A ride, logged as every clip; its actions are the keys as they are held: steer -1, 0 or 1, throttle 0 or 1.

    `held` are the keys at every logged frame, [T] each; they are drawn where there are none.
    """
    rng = np.random.default_rng([spec.seed, STREAM, 1])
    rider = RIDERS[spec.subjects[0].kind]
    times = np.arange(round(spec.seconds * FPS) + 1) / FPS
    drawn = keys(times, rng)  # in any case: what stands around follows from the same numbers
    steer, go = drawn if held is None else held
    throttle = rider.slowest + (1 - rider.slowest) * felt(go)
    stage, model, log = staged(spec, told=(felt(steer), throttle))
    pos, quat, _ = subject_tracks(stage, log)
    framing = follow(pos[:, 0], headings(quat[:, 0]), rider, math.radians(rng.uniform(13, 17)))
    scatter(stage, pos[:, 0, :2], rider, Country(spec.setting, spec.seed))
    stage.actions_T4 = np.stack([steer, go, 0 * go, 0 * go], -1)
    return truth_of(stage, model, log, framing)


def scatter(stage: Stage, way_T2: Array, rider: Rider, country: Country) -> None:
    """Stand the country's things all around a way, and none on it."""
    low, high = way_T2.min(0) - REACH, way_T2.max(0) + REACH
    for thing in country.within(tuple(low), tuple(high)):
        if float(np.hypot(*(way_T2 - (thing.x, thing.y)).T).min()) > rider.clear + thing.near:
            stage.rows += list(thing.rows)
