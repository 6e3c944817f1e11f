"""Gravity, measured from balls that fall and bounce: in generated clips and, by the same tracker, in renders.

A ball is found by its colour in every frame, and a fall from rest with bounces is fitted to its height: a chain of
pieces of one parabola. Its acceleration is read in ball diameters per second squared and becomes metres by the world's
mean ball size, since a generated ball has no true one. In renders the true size and the true acceleration are known,
which gives the tracker's own error.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from haneul.backbones.native import Native
from haneul.errors import WorldError
from haneul.evals.clips import SEED, SIZE, Work, generate_clips, word
from haneul.evals.data import Say
from haneul.evals.following import through_codec
from haneul.evals.statistics import spread
from haneul.model.codec import GROUP
from haneul.world.events import observe
from haneul.world.produce import STRIDE, render_clip
from haneul.world.sample import sample_spec
from haneul.world.scene import CALM, FPS, ClipSpec, Facts
from haneul.world.vocabulary import COLORS

Array = NDArray[np.float64]

GRAVITY: Final = 9.81
MEAN_RADIUS: Final = 0.34  #: metres, of the bouncing balls of the world (0.30 to 0.38, uniform)
CLIPS: Final = 60  #: at most, of which gravity is measured
RATE: Final = FPS / STRIDE  #: frames a second
CHROMATIC: Final = tuple(c for c in COLORS if c not in ("white", "black"))
MOST_BOUNCES: Final = 12
EXPLAINED: Final = 0.8  #: of the variance of a track, below which it is no fall
LEAST: Final = 8  #: groups of frames in which the ball must be seen
MOVED: Final = 0.5  #: diameters that it must move
WIDEST: Final = 0.6  #: of the frame's height: a blob that is wider is no ball


@dataclass(frozen=True, kw_only=True)
class Track:
    """A ball's centre [T, 2] (x, y down) and diameter in pixels; frames where it was not seen are NaN."""

    centre_T2: Array
    diameter: float


def _colour_axis(color: str) -> Array:
    """Unit vector in RGB, free of grey, towards which a thing of this colour differs from its surroundings."""
    rgb = np.array(COLORS[color]) ** (1 / 2.2)
    axis = rgb - rgb.mean()
    return np.asarray(axis / np.linalg.norm(axis))


def _threshold(values: Array) -> float:
    """Otsu's threshold (IEEE Trans. SMC 9, 1979)."""
    counts, edges = np.histogram(values, 128)
    middle = (edges[1:] + edges[:-1]) / 2
    low = counts.cumsum()
    sums = (counts * middle).cumsum()
    high = low[-1] - low
    with np.errstate(divide="ignore", invalid="ignore"):
        between = low * high * (sums / low - (sums[-1] - sums) / high) ** 2
    return float(middle[np.nanargmax(np.where((low > 0) & (high > 0), between, np.nan))])


def around(weight: Array, y: float, x: float, reach: float) -> tuple[float, float, float]:
    """Centre of the weight within `reach` pixels of a point, and how much there is."""
    rows, columns = np.mgrid[: weight.shape[0], : weight.shape[1]]
    near = weight * ((rows - y) ** 2 + (columns - x) ** 2 <= reach**2)
    total = float(near.sum())
    if total <= 0:
        return y, x, 0.0
    return float((near * rows).sum() / total), float((near * columns).sum() / total), total


def track_ball(video_THW3: NDArray[np.uint8], color: str) -> Track | None:
    """Follow the ball of a known colour in a clip of a still camera; None where no ball is seen."""
    x = video_THW3.astype(float) / 255
    chroma = x - x.mean(-1, keepdims=True)
    score = chroma @ _colour_axis(color)
    # What is always there is background, even if it has the colour: the ball leaves every place for a while.
    score = (score - np.quantile(score, 0.1, axis=0)).clip(0)
    if score.max() < 0.05:
        return None
    cut = _threshold(score.ravel())
    mask = (score > cut).astype(float)
    weight = (score / max(cut * 2, 1e-6)).clip(0, 1) * (score > 0.5 * cut)  # soft edges give parts of pixels
    H = video_THW3.shape[1]
    area = np.median([m.sum() for m in mask if m.sum() > 4] or [0.0])
    guess = 2 * np.sqrt(area / np.pi)
    if not 3 <= guess <= WIDEST * H:
        return None
    centre = np.full((len(x), 2), np.nan)
    areas = []
    for t, (w, m) in enumerate(zip(weight, mask, strict=True)):
        if m.sum() < 0.3 * area:
            continue
        cy, cx = (float(v) for v in np.argwhere(m).mean(0))
        total = 0.0
        for _ in range(4):
            cy, cx, total = around(w, cy, cx, 0.85 * guess)
        if total >= 0.4 * area:
            centre[t] = cx, cy
            inside = around(m, cy, cx, 0.85 * guess)[2]
            areas.append(inside)
    if len(areas) < LEAST:
        return None
    return Track(centre_T2=centre, diameter=float(2 * np.sqrt(np.median(areas) / np.pi)))


@dataclass(frozen=True, kw_only=True)
class Fall:
    """A fall from rest and the bounces after it: drop height in diameters, seconds of the first drop, share of the
    speed left after a bounce, and the share of the motion's variance that this explains."""

    height: float
    seconds: float
    restitution: float
    explained: float

    @property
    def acceleration(self) -> float:
        """Diameters per second squared."""
        return 2 * self.height / self.seconds**2


def fallen(seconds_T: Array, drop: Array, restitution: Array) -> Array:
    """How far a ball has fallen at each moment, as a share of the height it was dropped from, [G, T].

    `drop` [G] are the seconds until the first bounce; a bounce leaves `restitution` [G] of the speed, so that flight k
    lasts 2 drop restitution^k. All flights are pieces of the same parabola.
    """
    t = seconds_T[None] / drop[:, None]
    share = np.minimum(t, 1.0) ** 2
    begin, speed = np.ones_like(drop)[:, None], np.asarray(restitution)[:, None]
    for _ in range(MOST_BOUNCES):
        here = (t >= begin) & (t < begin + 2 * speed)
        share = np.where(here, 1 - speed**2 + (t - begin - speed) ** 2, share)
        begin, speed = begin + 2 * speed, speed * restitution[:, None]
    return np.asarray(np.where(t >= begin, 1.0, share))


def grouped(values_GT: Array, seen_T: NDArray[np.bool_]) -> Array:
    """Means over the codec's groups of frames, of the frames where something was seen, [G, groups]: a codec smears a
    fast thing over its group, which moves its frames but hardly their mean."""
    pieces = [[0], *(range(k, k + GROUP) for k in range(1, values_GT.shape[1] - GROUP + 1, GROUP))]
    means = [values_GT[:, [t for t in piece if seen_T[t]]].mean(1) for piece in pieces if any(seen_T[t] for t in piece)]
    return np.stack(means, 1)


def fit_fall(track: Track) -> Fall | None:
    """The fall that explains a track best, by least squares; None where it explains less than EXPLAINED."""
    seen = np.isfinite(track.centre_T2[:, 1])
    y = grouped(track.centre_T2[None, :, 1] / track.diameter, seen)[0]
    if len(y) < LEAST or np.ptp(y) < MOVED:
        return None
    moments = np.arange(len(seen)) / RATE
    drops, rests = np.linspace(0.25, 1.3, 106), np.linspace(0.4, 0.96, 57)
    for _ in range(2):
        grid = np.meshgrid(drops, rests, indexing="ij")
        drop, rest = grid[0].ravel(), grid[1].ravel()
        share = grouped(fallen(moments, drop, rest), seen)
        x, target = share - share.mean(1, keepdims=True), y - y.mean()
        height = (x @ target) / np.maximum((x * x).sum(1), 1e-9)  # the start's height drops out with the means
        miss = ((target - height[:, None] * x) ** 2).sum(1)
        best = int(miss.argmin())
        drops = drop[best] + np.linspace(-0.012, 0.012, 25)  # once more, finer
        rests = (rest[best] + np.linspace(-0.012, 0.012, 13)).clip(0.1, 0.98)
    explained = 1 - float(miss[best] / (target @ target))
    if explained < EXPLAINED or height[best] <= 0:
        return None
    return Fall(
        height=float(height[best]), seconds=float(drop[best]), restitution=float(rest[best]), explained=explained
    )


def gravity_of(track: Track | None, radius: float) -> float | None:
    """Gravity in m/s^2 that a ball of `radius` metres fell by; None where nothing fell and bounced."""
    fall = fit_fall(track) if track else None
    return None if fall is None else fall.acceleration * 2 * radius


@dataclass(frozen=True, kw_only=True)
class Drop:
    """A bouncing ball: its facts and what the world shows of it."""

    spec: ClipSpec
    facts: Facts
    video: NDArray[np.uint8]
    radius: float


def drops(count: int, say: Say) -> list[Drop]:
    """Renders of bouncing balls in colours that can be told from grey, seen by a still camera."""
    made: list[Drop] = []
    seed = SEED * 1000
    while len(made) < count:
        seed += 1
        color = CHROMATIC[seed % len(CHROMATIC)]
        try:
            spec = sample_spec(
                seed, richness=CALM, allow_held_out=True, event="bounce", camera="static", style="photo",
                color=color,
            )  # fmt: skip
        except WorldError:
            continue
        clip = render_clip(spec, SIZE)
        radius = float(clip.truth.extra["radius"])  # type: ignore[arg-type]
        facts = observe(clip.truth, 0, len(clip.truth.cameras))
        made.append(Drop(spec=spec, facts=facts, video=clip.video_THW3, radius=radius))
        if len(made) % 16 == 0:
            say(f"gravity: {len(made)} of {count} renders")
    return made


def measure(work: Work, model: Native, say: Say, count: int = CLIPS) -> dict[str, Any]:
    """Gravity in generated clips and in renders of the same facts by one tracker, and that tracker's own error."""
    rendered = drops(count, say)
    texts = [word(d.facts, i).text for i, d in enumerate(rendered)]
    colors = [d.spec.subjects[0].color for d in rendered]
    generated = generate_clips(work, model, "gravity", texts, say, first_seed=100_000)
    coded = through_codec(model, np.stack([d.video for d in rendered]))

    def found(videos: Iterable[NDArray[np.uint8]]) -> list[Track | None]:
        return [track_ball(v, c) for v, c in zip(videos, colors, strict=True)]

    def gravities(tracks: list[Track | None], radii: Iterable[float]) -> list[float]:
        every = [gravity_of(t, r) for t, r in zip(tracks, radii, strict=True)]
        return [g for g in every if g is not None]

    mean = [MEAN_RADIUS] * count
    tracks = found(d.video for d in rendered)
    sized = gravities(tracks, (d.radius for d in rendered))
    return {
        "truth": GRAVITY,
        "clips": count,
        "generated": spread(gravities(found(generated), mean)),
        "renders": spread(gravities(tracks, mean)),
        "renders_through_codec": spread(gravities(found(coded), mean)),
        "renders_with_true_size": spread(sized),
        "tracker_error_median": round(float(np.median(np.abs(np.array(sized) / GRAVITY - 1))), 4) if sized else None,
    }
