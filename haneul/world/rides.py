"""Rides: the world as somebody sees it who plays in it. A car, a robot or a bird is told what to do, as by keys that
are held and let go; the camera follows from behind, and the country around has no end within the clip.

What the live model (model/live.py) learns from. The physics, the figures and the renderer are those of all clips.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from haneul.world.events.steered import headings
from haneul.world.framing import Framing, Path, place
from haneul.world.physics import staged, subject_tracks, truth_of
from haneul.world.scene import CALM, FPS, ClipSpec, Subject, Truth, held_out
from haneul.world.scenery import cactus, fir, fir_looks, glowing_sign, tree
from haneul.world.stage import Array, Look, Stage
from haneul.world.vocabulary import COLORS, TIMES, event_settings

STREAM = 7  #: of a seed's random numbers
RAMP = 5  #: logged frames over which a key's effect sets in
HELD = (0.25, 1.6)  #: seconds that a key is held, or not
LAG = 0.30  #: seconds by which the camera's turn follows the subject's
CLOSED = ("art gallery", "outer space")  #: settings without a ground that goes on


@dataclass(frozen=True, kw_only=True)
class Rider:
    """A kind that can be played, and how it is seen: from `distance` metres behind it, looking `above` its middle."""

    event: str
    distance: float
    above: float
    slowest: float  # throttle where no key is held
    clear: float  # metres beside its way where nothing stands

    @property
    def settings(self) -> tuple[str, ...]:
        return tuple(s for s in event_settings(self.event) if s not in CLOSED)


RIDERS = {
    "car": Rider(event="car", distance=3.7, above=0.35, slowest=0.0, clear=2.0),
    "robot": Rider(event="robot walks", distance=3.2, above=0.2, slowest=0.0, clear=1.5),
    "bird": Rider(event="bird", distance=2.9, above=0.1, slowest=0.5, clear=1.6),
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


def follow(pos_T3: Array, heading_T: Array, rider: Rider, tilt: float) -> Framing:
    """The camera behind a subject, turning after it."""
    azimuth = np.empty_like(heading_T)
    azimuth[0] = heading_T[0]
    for t in range(1, len(heading_T)):
        azimuth[t] = azimuth[t - 1] + (heading_T[t] - azimuth[t - 1]) * (1 - math.exp(-1 / (FPS * LAG)))
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
    scatter(stage, pos[:, 0, :2], rider, rng)
    stage.actions_T4 = np.stack([steer, go, 0 * go, 0 * go], -1)
    return truth_of(stage, model, log, framing)


# ------------------------------------------------------------------------------------------------- what stands around

Put = Callable[[Stage, float, float, np.random.Generator], None]


def scatter(stage: Stage, way_T2: Array, rider: Rider, rng: np.random.Generator) -> None:
    """Stand the setting's things all around a way, and none on it."""
    if stage.spec.setting not in _THINGS:
        return
    gap, near, put = _THINGS[stage.spec.setting](rng)
    low, high = way_T2.min(0) - 16, way_T2.max(0) + 16
    for x in np.arange(low[0], high[0], gap):
        for y in np.arange(low[1], high[1], gap):
            at = np.array([x, y]) + rng.uniform(-0.38, 0.38, 2) * gap
            away = float(np.hypot(*(way_T2 - at).T).min())
            if rider.clear + near < away < 16 and rng.random() < 0.75:
                put(stage, float(at[0]), float(at[1]), rng)


def _desert(rng: np.random.Generator) -> tuple[float, float, Put]:
    look = Look(rgb=(0.09, 0.26, 0.08), surface="foliage", seed=rng.uniform())
    return 4.5, 0.4, lambda stage, x, y, r: cactus(stage, x, y, r.uniform(0.5, 0.9), look, r)


def _snow(rng: np.random.Generator) -> tuple[float, float, Put]:
    bark, needles = fir_looks(rng)
    return 4.2, 0.5, lambda stage, x, y, r: fir(stage, x, y, r.uniform(0.6, 1.1), bark, needles)


def _forest(rng: np.random.Generator) -> tuple[float, float, Put]:
    green = (0.06, rng.uniform(0.2, 0.3), 0.05)
    return 3.6, 0.6, lambda stage, x, y, r: tree(stage, x, y, r.uniform(0.6, 0.95), green, r)


def _stones(rgb: tuple[float, float, float], surface: str, gap: float) -> Callable[..., tuple[float, float, Put]]:
    def things(rng: np.random.Generator) -> tuple[float, float, Put]:
        look = Look(rgb=rgb, surface=surface, seed=rng.uniform())

        def put(stage: Stage, x: float, y: float, r: np.random.Generator) -> None:
            tall = r.uniform(0.5, 1.2)
            if r.random() < 0.5:
                stage.fixture("column", "cylinder", (x, y, tall), (0.28, tall), look)
            else:
                stage.fixture("block", "box", (x, y, tall / 2), (0.7, 0.35, tall / 2), look)

        return gap, 0.6, put

    return things


def _towers(blue: float) -> Callable[..., tuple[float, float, Put]]:
    def things(rng: np.random.Generator) -> tuple[float, float, Put]:
        def put(stage: Stage, x: float, y: float, r: np.random.Generator) -> None:
            tone, half, tall = r.uniform(0.04, 0.12), r.uniform(1.0, 1.7), r.uniform(1.5, 4.0)
            look = Look(rgb=(tone, tone, tone * blue), surface="building", seed=r.uniform())
            stage.fixture("tower", "box", (x, y, tall), (half, half, tall), look)
            if r.random() < 0.35:
                color = str(r.choice(("pink", "cyan", "orange")))
                glowing_sign(stage, (x, y - half - 0.06, r.uniform(1.0, 2.2)), (0.5, 0.4), color, r, power=0.0)

        return 6.5, 1.7, put

    return things


_THINGS: dict[str, Callable[..., tuple[float, float, Put]]] = {
    "desert": _desert,
    "snowy field": _snow,
    "forest": _forest,
    "tiled plaza": _stones((0.55, 0.53, 0.50), "plaster", 5.5),
    "brick courtyard": _stones((0.46, 0.18, 0.11), "brick", 5.5),
    "neon street": _towers(1.1),
    "cyberpunk city": _towers(1.5),
}
