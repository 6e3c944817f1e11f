"""Gravity, measured from balls that fall and bounce: in generated clips and, by the same tracker, in renders.

A ball is found by its colour in every frame; its flights between the bounces are parabolas. Their acceleration is read in
ball diameters per second squared and becomes metres by the world's mean ball size, since a generated ball has no true
one. In renders the true size and the true acceleration (9.81 m/s^2) are known, which gives the tracker's own error.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from haneul.backbones.native import Native
from haneul.errors import WorldError
from haneul.evals.clips import RICHNESS, SEED, SIZE, Work, generate_clips, word
from haneul.evals.data import Say
from haneul.evals.statistics import spread
from haneul.world.events import observe
from haneul.world.produce import STRIDE, render_clip
from haneul.world.sample import sample_spec
from haneul.world.scene import FPS, ClipSpec, Facts
from haneul.world.vocabulary import COLORS

Array = NDArray[np.float64]

GRAVITY: Final = 9.81
MEAN_RADIUS: Final = 0.34  #: metres, of the bouncing balls of the world (0.30 to 0.38, uniform)
RATE: Final = FPS / STRIDE  #: frames a second
CHROMATIC: Final = tuple(c for c in COLORS if c not in ("white", "black"))
BLUR: Final = 0.05  #: of a diameter: a flight that fits worse is not free
SHORTEST: Final = 5  #: frames of a flight
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


def _around(weight: Array, y: float, x: float, reach: float) -> tuple[float, float, float]:
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
            cy, cx, total = _around(w, cy, cx, 0.85 * guess)
        if total >= 0.4 * area:
            centre[t] = cx, cy
            inside = _around(m, cy, cx, 0.85 * guess)[2]
            areas.append(inside)
    if len(areas) < SHORTEST:
        return None
    return Track(centre_T2=centre, diameter=float(2 * np.sqrt(np.median(areas) / np.pi)))


def flights(y_T: Array) -> list[slice]:
    """Runs of frames in free flight: where the height's second difference is downwards, at a bounce it is not."""
    bend = np.full(len(y_T), np.nan)
    bend[1:-1] = y_T[2:] - 2 * y_T[1:-1] + y_T[:-2]
    falling = bend[np.isfinite(bend) & (bend > 0)]
    if not len(falling):
        return []
    free = bend > 0.3 * float(np.median(falling))
    runs, start = [], None
    for t in range(len(y_T) + 1):
        if t < len(y_T) and free[t]:
            start = t if start is None else start
        elif start is not None:
            runs.append(slice(start - 1, t + 1))
            start = None
    return [r for r in runs if r.stop - r.start >= SHORTEST]


def accelerations(track: Track) -> list[tuple[float, int]]:
    """Acceleration of each flight in diameters per second squared, and its number of frames."""
    y = track.centre_T2[:, 1] / track.diameter
    found = []
    for run in flights(y):
        t = np.arange(run.start, run.stop) / RATE
        fit = np.polyfit(t, y[run], 2)
        miss = float(np.sqrt(np.mean((np.polyval(fit, t) - y[run]) ** 2)))
        if miss < BLUR and np.ptp(y[run]) > 0.25:  # less of a way than that is noise
            found.append((2 * float(fit[0]), run.stop - run.start))
    return found


def gravity_of(track: Track | None, radius: float) -> float | None:
    """Gravity in m/s^2 of a clip, the mean over its flights weighted by their length; None without a flight."""
    found = accelerations(track) if track else []
    if not found:
        return None
    return float(np.average([a for a, _ in found], weights=[n for _, n in found])) * 2 * radius


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
                seed, richness=RICHNESS, allow_held_out=True, event="bounce", camera="static", style="photo", color=color
            )
        except WorldError:
            continue
        clip = render_clip(spec, SIZE)
        radius = float(clip.truth.extra["radius"])  # type: ignore[arg-type]
        facts = observe(clip.truth, 0, len(clip.truth.cameras))
        made.append(Drop(spec=spec, facts=facts, video=clip.video_THW3, radius=radius))
        if len(made) % 16 == 0:
            say(f"gravity: {len(made)} of {count} renders")
    return made


def measure(work: Work, model: Native, say: Say, count: int = 60) -> dict[str, Any]:
    """Gravity in generated clips and in renders of the same facts by one tracker, and that tracker's own error."""
    rendered = drops(count, say)
    texts = [word(d.facts, i).text for i, d in enumerate(rendered)]
    generated = generate_clips(work, model, "gravity", texts, say, first_seed=100_000)
    tracks = [track_ball(d.video, _color(d)) for d in rendered]
    sized = [gravity_of(t, d.radius) for t, d in zip(tracks, rendered, strict=True)]
    unsized = [gravity_of(t, MEAN_RADIUS) for t in tracks]
    ours = [gravity_of(track_ball(v, _color(d)), MEAN_RADIUS) for v, d in zip(generated, rendered, strict=True)]
    errors = [abs(g / GRAVITY - 1) for g in sized if g is not None]
    return {
        "truth": GRAVITY,
        "clips": count,
        "generated": spread([g for g in ours if g is not None]),
        "renders": spread([g for g in unsized if g is not None]),
        "renders_with_true_size": spread([g for g in sized if g is not None]),
        "tracker_error_median": round(float(np.median(errors)), 4) if errors else None,
    }


def _color(drop: Drop) -> str:
    return drop.spec.subjects[0].color
