"""Rides: the world as somebody sees it who plays in it. A car, a robot or a bird is told what to do, as by keys that
are held and let go; the camera follows from behind, and the country around has no end within the clip. Or the camera is
told itself: a walk, seen from the height of eyes.

What the live model (model/live.py) learns from. The physics, the figures and the renderer are those of all clips.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from haneul.world.country import Country
from haneul.world.events.steered import headings
from haneul.world.framing import Framing, Path, place
from haneul.world.physics import run, staged, subject_tracks, truth_of
from haneul.world.scene import CALM, FPS, ClipSpec, Subject, Truth, held_out
from haneul.world.stage import Array, Stage
from haneul.world.vocabulary import COLORS, EVENTS, SETTINGS, TIMES, event_settings

STREAM = 7  #: of a seed's random numbers
RAMP = 5  #: logged frames over which a key's effect sets in
HELD = (0.25, 1.6)  #: seconds that a key is held, or not
STOPPED = (1.0, 2.5)  #: seconds of a stop
AT_START = 0.35  #: how often the first stop is where the ride begins
LAG = 0.30  #: seconds by which the camera's turn follows the subject's
REACH = 16.0  #: metres around a way where things stand
CLOSED = ("art gallery", "outer space")  #: settings without a ground that goes on


@dataclass(frozen=True, kw_only=True)
class Rider:
    """A kind that can be played, and how it is seen: from `distance` metres behind it, looking `above` its middle, and
    `tilt` degrees down."""

    event: str  # of the vocabulary, or WALK
    distance: float
    above: float
    slowest: float  # throttle where no key is held
    clear: float  # metres beside its way where nothing stands
    height: float  # of its middle above the ground, usually
    tilt: float = 15.0
    lag: float = LAG

    @property
    def settings(self) -> tuple[str, ...]:
        places = event_settings(self.event) if self.event in EVENTS else SETTINGS
        return tuple(s for s in places if s not in CLOSED)


CAMERA = "camera"  #: the rider that nobody sees
WALK = "walk"  #: what it does
PACE, SPIN = 1.8, 1.2  #: of a walk: metres and radians a second

RIDERS = {
    "car": Rider(event="car", distance=3.7, above=0.35, slowest=0.0, clear=1.2, height=0.39),
    "robot": Rider(event="robot walks", distance=3.2, above=0.2, slowest=0.0, clear=0.9, height=0.9),
    "bird": Rider(event="bird", distance=2.9, above=0.1, slowest=0.5, clear=1.1, height=2.1),
    CAMERA: Rider(event=WALK, distance=0.0, above=0.0, slowest=0.0, clear=1.2, height=1.6, tilt=8.0, lag=0.0),
}
SHOWN = ("car", "robot", "bird")  #: those that are in the picture; one of them is drawn where none is named


def ride_spec(
    seed: int, seconds: float, *, kind: str | None = None, only_held_out: bool = False, stops: float = 0.0
) -> ClipSpec:
    """What a seed draws: a rider, where it is, when, its colour. Held-out combinations are drawn alone, or never.
    `stops` is the share of rides with stops; their other keys are the same as without."""
    rng = np.random.default_rng([seed, STREAM])
    halts = stops > 0 and np.random.default_rng([seed, STREAM, 2]).random() < stops
    while True:
        rider = str(rng.choice(SHOWN)) if kind is None else kind
        if rider == CAMERA:
            spec = ClipSpec(
                seed=seed, setting=str(rng.choice(RIDERS[rider].settings)), event=WALK, time=str(rng.choice(TIMES)),
                camera="push in", seconds=seconds, richness=CALM, steered=True, stops=halts,
            )  # fmt: skip
            if kept_apart(spec) == only_held_out:
                return spec
            continue
        setting = str(rng.choice(RIDERS[rider].settings))
        color = str(rng.choice([c for c in COLORS if (setting, c) != ("snowy field", "white")]))
        spec = ClipSpec(
            seed=seed, setting=setting, event=RIDERS[rider].event, time=str(rng.choice(TIMES)),
            subjects=(Subject(kind=rider, color=color),), direction="right", seconds=seconds, richness=CALM,
            steered=True, stops=halts,
        )  # fmt: skip
        if kept_apart(spec) == only_held_out:
            return spec


def kind_of(spec: ClipSpec) -> str:
    """The rider of a ride."""
    return spec.subjects[0].kind if spec.subjects else CAMERA


def kept_apart(spec: ClipSpec) -> bool:
    """Whether a ride is kept from training, as `scene.held_out`; of the camera it is setting and time that count."""
    return held_out(spec if spec.subjects else replace(spec, event=f"{spec.event} at {spec.time}"))


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


def halted(go_T: Array, times_T: Array, rng: np.random.Generator) -> Array:
    """The going [T] with one stop or two, each of STOPPED seconds, among them now and then the ride's start."""
    go, seconds = go_T.copy(), float(times_T[-1])
    for number in range(int(rng.integers(1, 3))):
        long = rng.uniform(*STOPPED)
        begin = 0.0 if number == 0 and rng.random() < AT_START else rng.uniform(0.0, max(seconds - long, 0.0))
        go[(times_T >= begin) & (times_T <= begin + long)] = 0.0
    return go


def felt(held_T: Array) -> Array:
    """What a key does [T]: the mean of the last RAMP frames, never of frames to come; it was held before the first."""
    padded = np.concatenate([np.full(RAMP - 1, held_T[0]), held_T])
    return np.convolve(padded, np.full(RAMP, 1 / RAMP), mode="valid")


def turned(azimuth: float, heading: float, lag: float = LAG) -> float:
    """Where the camera looks a logged frame later, after a subject that goes there, radians."""
    return azimuth + (heading - azimuth) * (1 - math.exp(-1 / (FPS * lag))) if lag else heading


def follow(pos_T3: Array, heading_T: Array, rider: Rider, tilt: float) -> Framing:
    """The camera behind a subject, or where nobody is seen, turning after it."""
    azimuth = np.empty_like(heading_T)
    azimuth[0] = heading_T[0]
    for t in range(1, len(heading_T)):
        azimuth[t] = turned(float(azimuth[t - 1]), float(heading_T[t]), rider.lag)
    still = np.zeros_like(azimuth)
    path = Path(azimuth_T=azimuth - math.pi / 2, elevation_T=still + tilt, scale_T=still + 1, lateral_T=still, axis=0.0)
    view, look = place(path, pos_T3 + np.array([0.0, 0.0, rider.above]), rider.distance)
    away = rider.distance or 1.0  # metres; what is logged of a camera's speed is in units of it
    return Framing(cameras=view.cameras(), look_T3=look, distance_T=still + away, height=0.3)


def walk(steer_T: Array, go_T: Array, height: float) -> tuple[Array, Array]:
    """The way [T, 3] of a camera and where it heads [T]: it turns where it stands, too."""

    def summed(rate_T: Array) -> Array:
        return np.concatenate([[0.0], np.cumsum((rate_T[1:] + rate_T[:-1]) / 2)]) / FPS

    heading, pace = summed(-SPIN * steer_T), PACE * go_T
    return np.stack([summed(pace * np.cos(heading)), summed(pace * np.sin(heading)), 0 * pace + height], -1), heading


def way_of(truth: Truth) -> tuple[Array, Array]:
    """Where the rider of a ride is [T, 2], metres, and where it heads [T], radians."""
    if truth.spec.subjects:
        return truth.pos_TS3[:, 0, :2].astype(float), headings(truth.quat_TS4[:, 0].astype(float))
    origin, ahead = (np.array([getattr(c, name) for c in truth.cameras], float) for name in ("origin", "forward"))
    return origin[:, :2], np.unwrap(np.arctan2(ahead[:, 1], ahead[:, 0]))


def simulate_ride(spec: ClipSpec, held: tuple[Array, Array] | None = None) -> Truth:
    """A ride, logged as every clip; its actions are the keys as they are held: steer -1, 0 or 1, throttle 0 or 1.

    `held` are the keys at every logged frame, [T] each; they are drawn where there are none.
    """
    rng = np.random.default_rng([spec.seed, STREAM, 1])
    rider = RIDERS[kind_of(spec)]
    times = np.arange(round(spec.seconds * FPS) + 1) / FPS
    drawn = keys(times, rng)  # in any case: what stands around follows from the same numbers
    if spec.stops:
        drawn = drawn[0], halted(drawn[1], times, np.random.default_rng([spec.seed, STREAM, 3]))
    steer, go = drawn if held is None else held
    throttle = rider.slowest + (1 - rider.slowest) * felt(go)
    if spec.subjects:
        stage, model, log = staged(spec, told=(felt(steer), throttle))
        tracks = subject_tracks(stage, log)
        pos, heading = tracks[0][:, 0], headings(tracks[1][:, 0])
    else:
        stage = Stage(spec=spec, rng=np.random.default_rng([spec.seed, 1]), ground=False)
        model, log = run(stage)
        pos, heading = walk(felt(steer), throttle, rider.height)
    tilt = math.radians(rng.uniform(rider.tilt - 2, rider.tilt + 2))
    framing = follow(pos, heading, rider, tilt)
    scatter(stage, pos[:, :2], rider, Country(spec.setting, spec.seed))
    stage.actions_T4 = np.stack([steer, go, 0 * go, 0 * go], -1)
    return truth_of(stage, model, log, framing)


def scatter(stage: Stage, way_T2: Array, rider: Rider, country: Country) -> None:
    """Stand the country's things all around a way, and none on it."""
    low, high = way_T2.min(0) - REACH, way_T2.max(0) + REACH
    for thing in country.within(tuple(low), tuple(high)):
        if float(np.hypot(*(way_T2 - (thing.x, thing.y)).T).min()) > rider.clear + thing.near:
            stage.rows += list(thing.rows)
