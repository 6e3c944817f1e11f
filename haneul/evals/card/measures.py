"""What is measured of a clip of a set-up, and what the simulator says that it should be.

Every measure is a function of `Seen`: a clip as the tracker sees it, or the simulator's own positions. The same
function gives the truth, the tracker's error on renders, and what a model made.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from haneul.evals.card.staged import RATE, Array, Case, Frames
from haneul.evals.card.tracking import Sight, Track
from haneul.evals.physics import GRAVITY, Fall, fit_fall
from haneul.evals.physics import Track as Drop
from haneul.world.produce import STRIDE
from haneul.world.scene import GEOM_OBJECT, GEOM_POS, GEOM_SIZE

Value = float | None
FEW: Final = 4  #: frames from which a speed is read
SPAN: Final = 6  #: frames before and after a collision
TOUCH: Final = 1.08  #: of the sum of the radii: nearer is a touch
SLOW: Final = 0.2  #: m/s, below which nothing meets
SLOPE: Final = 1.6  #: metres of the ramp that are looked at
LAST: Final = 12  #: frames at the end of a clip, a second
GONE: Final = 0.5  #: of the first weight at a domino's top, below which it has fallen
SHIFT: Final = 3.0  #: pixels that a domino's top must move to be called falling
STANDS: Final = 0.8  #: of its height, above which a tower stands


@dataclass(kw_only=True)
class Seen:
    """A clip of a set-up as the tracker sees it; without a clip, the truth."""

    sight: Sight
    video: Frames | None = None
    _tracks: dict[int, Track] = field(default_factory=dict)
    _weights: dict[int, Array] = field(default_factory=dict)

    @property
    def case(self) -> Case:
        return self.sight.case

    def path(self, subject: int) -> Array:
        """Positions [T, 3] in metres; NaN where it is not seen."""
        if self.video is None:
            return self.case.way(subject)
        return self.case.metres(self.track(subject).centre_T2, self.case.way(subject)[0])

    def track(self, subject: int) -> Track:
        if subject not in self._tracks:
            self._tracks[subject] = self.sight.track(self.weights(subject), subject)
        return self._tracks[subject]

    def weights(self, subject: int) -> Array:
        """How likely each pixel [T, H, W] belongs to a subject."""
        if subject not in self._weights:
            assert self.video is not None
            self._weights[subject] = self.sight.weights(self.video, subject)
        return self._weights[subject]

    @cached_property
    def fall(self) -> Fall | None:
        """The fall and the bounces that explain the ball's height best, in metres."""
        way = self.path(1)
        if np.isfinite(way[:, 0]).sum() < LAST:
            return None
        return fit_fall(Drop(centre_T2=np.stack([way[:, 0], -way[:, 2]], 1), diameter=1.0))


def speed(times: Array, places: Array) -> Value:
    """Slope of a straight line through what was seen."""
    seen = np.isfinite(places)
    if seen.sum() < FEW:
        return None
    return float(np.polyfit(times[seen], places[seen], 1)[0])


# ------------------------------------------------------------------------------------------------------------- falling


def gravity(seen: Seen) -> Value:
    return seen.fall.acceleration if seen.fall else None


def restitution(seen: Seen) -> Value:
    return seen.fall.restitution if seen.fall else None


def sinking(seen: Seen) -> Value:
    """How deep the ball goes into the ground, in shares of its radius."""
    height = seen.path(1)[:, 2]
    if np.isfinite(height).sum() < LAST:
        return None
    return max(0.0, 1 - float(np.nanmin(height)) / seen.case.radius(1))


# ----------------------------------------------------------------------------------------------------------- colliding


@dataclass(frozen=True, kw_only=True)
class Hit:
    """Speeds along x of both balls before and after they touch, m/s."""

    before: tuple[float, float]
    after: tuple[float, float]

    @property
    def met(self) -> float:
        """How fast they come together."""
        return abs(self.before[0] - self.before[1])


def hit(seen: Seen) -> Hit | None:
    one, two = seen.path(1), seen.path(2)
    near = np.linalg.norm(one - two, axis=1) <= TOUCH * (seen.case.radius(1) + seen.case.radius(2))
    if not near.any():
        return None
    at, t = int(near.argmax()), seen.case.moments
    before, after = slice(max(0, at - SPAN), at), slice(at + 1, at + 1 + SPAN)
    found = [speed(t[part], way[part, 0]) for part in (before, after) for way in (one, two)]
    if any(v is None for v in found):
        return None
    a, b, c, d = (float(v) for v in found if v is not None)
    return Hit(before=(a, b), after=(c, d))


def momentum(seen: Seen) -> Value:
    """Change of both balls' momentum by the touch, in shares of what they brought to it."""
    speeds = hit(seen)
    if speeds is None:
        return None
    m = seen.case.mass(1), seen.case.mass(2)
    first, last = (m[0] * v[0] + m[1] * v[1] for v in (speeds.before, speeds.after))
    brought = m[0] * abs(speeds.before[0]) + m[1] * abs(speeds.before[1])
    return float(np.sign(first)) * (last - first) / brought if speeds.met > SLOW else None


def handed(seen: Seen) -> Value:
    """How much faster the second ball is after the touch, over the speed at which they met."""
    speeds = hit(seen)
    if speeds is None:
        return None
    toward = speeds.before[0] - speeds.before[1]
    return (speeds.after[1] - speeds.before[1]) / toward if speeds.met > SLOW else None


def overlap(seen: Seen) -> Value:
    """How far the balls go into each other, in shares of the sum of their radii."""
    gap = np.linalg.norm(seen.path(1) - seen.path(2), axis=1)
    if np.isfinite(gap).sum() < LAST:
        return None
    return max(0.0, 1 - float(np.nanmin(gap)) / (seen.case.radius(1) + seen.case.radius(2)))


# ----------------------------------------------------------------------------------------- rolling, swinging, floating


def rolling(seen: Seen) -> Value:
    """Acceleration down the ramp from rest, m/s^2."""
    way, t = seen.path(1), seen.case.moments
    first = np.flatnonzero(np.isfinite(way[:, 0]))
    if len(first) < FEW:
        return None
    run = np.linalg.norm(way - way[first[0]], axis=1)
    end = np.flatnonzero(run > SLOPE)
    part = slice(first[0], end[0] if len(end) else len(run))
    s, square = run[part], t[part] ** 2
    held = np.isfinite(s)
    if held.sum() < FEW or np.nanmax(s) < SLOPE / 4:
        return None
    return 2 * float(np.polyfit(square[held], s[held], 1)[0])


def period(seen: Seen) -> Value:
    """Seconds of a swing to and fro: the sine that fits the way across best."""
    x, t = seen.path(1)[:, 0], seen.case.moments
    held = np.isfinite(x)
    if held.sum() < 2 * LAST or np.ptp(x[held]) < 0.3:
        return None
    best, found = np.inf, 0.0
    for T in np.linspace(1.0, 4.5, 351):
        a = 2 * np.pi * t[held] / T
        basis = np.stack([np.ones(held.sum()), np.cos(a), np.sin(a)], 1)
        fit, *_ = np.linalg.lstsq(basis, x[held], rcond=None)
        miss = float(((x[held] - basis @ fit) ** 2).mean())
        if miss < best:
            best, found = miss, float(T)
    return found if best < 0.2 * float(x[held].var()) else None


def heights(seen: Seen) -> Array:
    """Of a floating ball's middle [T] above the calm sea, from its top, which the water never hides; metres."""
    if seen.video is None:
        return np.asarray(seen.path(1)[:, 2])
    case = seen.case
    track, weight = seen.track(1), seen.weights(1)
    out = np.full(len(weight), np.nan)
    wide = seen.sight.diameter(1)
    columns = np.arange(weight.shape[2])
    for t in np.flatnonzero(track.seen_T):
        x = track.centre_T2[t, 0]
        stripe = weight[t][:, np.abs(columns - x) <= max(1.0, 0.12 * wide)].mean(1)
        solid = np.flatnonzero(stripe > 0.5)
        if len(solid):
            top = solid[0] + 0.5 - (stripe[solid[0] - 1] if solid[0] else 0.0) - 0.5
            out[t] = case.metres(np.array([[x, top - 0.5]]), case.way(1)[0])[0, 2] - case.radius(1)
    return out


def riding(seen: Seen) -> Value:
    """How high the ball's middle rides over the calm sea in the last two seconds, in shares of its radius."""
    z = heights(seen)[-2 * LAST :]
    return float(np.nanmean(z)) / seen.case.radius(1) if np.isfinite(z).sum() >= LAST else None


def bobbing(seen: Seen) -> Value:
    """How far it goes up and down in the last two seconds (root of twice the variance), metres."""
    z = heights(seen)[-2 * LAST :]
    return float(np.nanstd(z)) * 2**0.5 if np.isfinite(z).sum() >= LAST else None


# --------------------------------------------------------------------------------------------------------- many solids


def domino_times(seen: Seen) -> Array:
    """Seconds at which each domino leaves its place, in the order in which the push goes; NaN where it stays."""
    case = seen.case
    table = case.truth.geoms_TNG[::STRIDE]
    own = np.flatnonzero(table[0, :, GEOM_OBJECT] == 1)
    half = table[0, own[0], GEOM_SIZE][2]
    axis = table[:, own, 4:13].reshape(len(table), len(own), 3, 3)[..., 2]  # each one's upward axis
    tops = case.pixels(table[:, own, GEOM_POS] + half * axis)  # [T, P, 2]
    if seen.video is None:
        left = np.linalg.norm(tops - tops[0], axis=-1) / SHIFT
    else:
        weight = seen.weights(1)
        rows, columns = np.mgrid[: weight.shape[1], : weight.shape[2]]
        near = [(np.abs(rows - y - 0.5) <= 1.5) & (np.abs(columns - x) <= 1.5) for x, y in tops[0]]
        there = np.stack([weight[:, patch].mean(1) for patch in near], 1)
        left = (1 - there / np.maximum(there[0], 0.05)) / GONE
    times = np.full(len(own), np.nan)
    for k, signal in enumerate(left.T):
        after = np.flatnonzero((signal >= 1) & (np.append(signal[1:], 1) >= 1))
        if len(after) and after[0]:
            t = int(after[0])
            rise = max(float(signal[t] - signal[t - 1]), 1e-6)
            times[k] = (t - float(signal[t] - 1) / rise) / RATE
    return times


def domino_speed(seen: Seen) -> Value:
    """Dominoes a second that the fall goes along the row, without the first, which is pushed."""
    times = domino_times(seen)[1:]
    fell = np.flatnonzero(np.isfinite(times))
    if len(fell) < 3:
        return None
    slope = float(np.polyfit(fell, times[fell], 1)[0])
    return 1 / slope if slope > 0.02 else None


def domino_order(seen: Seen) -> Value:
    """Share of neighbours that fall one after the other, of those that fall; nothing falls: 0."""
    times = domino_times(seen)
    pairs = list(itertools.pairwise(times))
    return float(np.mean([b > a for a, b in pairs if np.isfinite(a) or np.isfinite(b)] or [0.0]))


def domino_fallen(seen: Seen) -> Value:
    """Share of the dominoes that leave their place."""
    return float(np.isfinite(domino_times(seen)).mean())


def tower_left(seen: Seen) -> Value:
    """Height of the tower at the end over that at the start."""
    if seen.video is None:
        table = seen.case.truth.geoms_TNG[::STRIDE]
        own = table[:, table[0, :, GEOM_OBJECT] == 2]
        top = own[..., 3].max(1) + own[0, 0, GEOM_SIZE.start]
        return float(np.median(top[-SPAN:]) / top[0])
    weight = seen.weights(2)
    least = 0.35 * seen.sight.diameter(2)  # pixels in a row
    case = seen.case
    place = case.truth.geoms_TNG[0, case.truth.geoms_TNG[0, :, GEOM_OBJECT] == 2][0, GEOM_POS].astype(float)
    foot = float(case.pixels(np.array([place[0], place[1], 0.0]))[1])
    tall = [foot - rows[0] if len(rows := np.flatnonzero(w.sum(1) >= least)) else np.nan for w in weight]
    if not np.isfinite(tall[0]) or np.isnan(tall[-SPAN:]).all():
        return None
    return float(np.nanmedian(tall[-SPAN:]) / tall[0])


def stands(seen: Seen) -> Value:
    """1 where the tower stands at the end, 0 where it fell."""
    left = tower_left(seen)
    return None if left is None else float(left >= STANDS)


def moved(seen: Seen) -> Value:
    """How far the upper thing of a stack that rests is from where it was, at the end, in its own diameters."""
    way = seen.path(1)
    if not np.isfinite(way[-LAST:, 0]).any():
        return None
    first = way[np.isfinite(way[:, 0])][0]
    return float(np.linalg.norm(np.nanmedian(way[-LAST:], 0) - first)) / (2 * seen.case.radius(1))


# ------------------------------------------------------------------------------------------------------------- keeping


def components(mask: NDArray[np.bool_]) -> list[NDArray[np.int64]]:
    """The connected parts of a picture, each as rows and columns [n, 2]."""
    left = {(int(y), int(x)) for y, x in np.argwhere(mask)}
    found = []
    while left:
        part = [left.pop()]
        for y, x in part:  # grows while it is walked through
            for step in ((y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)):
                if step in left:
                    left.remove(step)
                    part.append(step)
        found.append(np.array(part))
    return found


def pieces(mask: NDArray[np.bool_], least: float) -> int:
    """How many connected parts of a picture have at least so many pixels."""
    return sum(len(part) >= least for part in components(mask))


def counted(seen: Seen) -> Value:
    """Share of the frames in which each of two things at rest is there once."""
    if seen.video is None:
        return 1.0
    right = np.ones(len(seen.video), bool)
    for k in (1, 2):
        least = 0.25 * float((seen.case.ids[0] == k).sum())
        mask = seen.weights(k) > 0.5
        right &= np.array([pieces(m, least) == 1 for m in mask])
    return float(right.mean())


def lab(rgb: Array) -> Array:
    """CIE L*a*b* (D65) of sRGB colours [..., 3] in 0 to 1 (IEC 61966-2-1, CIE 15)."""
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    xyz = linear @ to_xyz.T / np.array([0.9505, 1.0, 1.089])
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.stack([116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], -1)


def recoloured(seen: Seen) -> Value:
    """How far the colours of two things at rest are at the end from what they were (CIE 1976 difference, 2 is just
    seen), the larger of both, at their places."""
    if seen.video is None:
        return 0.0
    found = []
    rows, columns = np.mgrid[: seen.video.shape[1], : seen.video.shape[2]]
    for k in (1, 2):
        x, y = seen.case.pixels(seen.case.way(k)[0])
        disc = (rows - y) ** 2 + (columns - x) ** 2 <= (0.3 * seen.sight.diameter(k)) ** 2
        disc &= seen.case.ids[0] == k
        if not disc.any():
            return None
        first, last = (v[:, disc].mean((0, 1)) / 255 for v in (seen.case.video[:1], seen.video[-LAST:]))
        found.append(float(np.linalg.norm(lab(last) - lab(first))))
    return max(found)


def resized(seen: Seen) -> Value:
    """Pixels of two things at rest at the end over those at the start, the one that changed more."""
    if seen.video is None:
        return 1.0
    ratios = []
    for k in (1, 2):
        area = seen.track(k).area_T
        if not np.isfinite(area[0]) or not np.isfinite(area[-LAST:]).any():
            return None
        ratios.append(float(np.nanmedian(area[-LAST:]) / area[0]))
    return max(ratios, key=lambda r: abs(np.log(max(r, 1e-3))))


def _beyond(seen: Seen) -> NDArray[np.bool_]:
    """Frames [T] in which at least a third of the ball is seen past the middle of the pillar."""
    case = seen.case
    way = case.way(1)
    middle = case.pixels(way[len(way) // 2])[0]
    side = np.sign(case.pixels(way[-1])[0] - case.pixels(way[0])[0])
    if seen.video is None:
        area = (case.ids == 1).sum((1, 2))
        x = case.pixels(way)[:, 0]
        return np.asarray((area >= 0.35 * area[0]) & (side * (x - middle) > 0))
    track = seen.track(1)
    return np.asarray(track.seen_T & (side * (track.centre_T2[:, 0] - middle) > 0))


def returns(seen: Seen) -> Value:
    """1 where the ball is seen again past the pillar in most frames of the time in which it should be."""
    due = _beyond(Seen(sight=seen.sight))
    return float(_beyond(seen)[due].mean() > 0.5) if due.sum() >= FEW else None


def returning(seen: Seen) -> Value:
    """Seconds until the ball is seen past the pillar."""
    found = np.flatnonzero(_beyond(seen))
    return float(found[0]) / RATE if len(found) >= FEW else None


# --------------------------------------------------------------------------------------------------------------- table


@dataclass(frozen=True, kw_only=True)
class Measure:
    """A line of the card. `kind` share: the value is 0 or 1 and the figure is how often it is as the simulator says;
    `error` says whether errors are shares of the truth or in `unit`."""

    key: str
    title: str
    scene: str
    value: Callable[[Seen], Value]
    unit: str = ""
    kind: Literal["value", "share"] = "value"
    error: Literal["relative", "absolute"] = "absolute"
    exact: float | None = None  # the truth where it is the same everywhere


MEASURES: Final = (
    Measure(key="gravity", title="acceleration of a falling ball", scene="falling", value=gravity, unit="m/s²",
            error="relative", exact=GRAVITY),
    Measure(key="restitution", title="speed kept by a bounce", scene="falling", value=restitution, error="relative"),
    Measure(key="sinking", title="depth of the ball in the ground", scene="falling", value=sinking, unit="radii"),
    Measure(key="momentum", title="change of momentum by a collision", scene="colliding", value=momentum),
    Measure(key="handed", title="share of the meeting speed that the second ball gets", scene="colliding",
            value=handed),
    Measure(key="overlap", title="how far colliding balls go into each other", scene="colliding", value=overlap,
            unit="of both radii"),
    Measure(key="rolling", title="acceleration down a slope", scene="rolling", value=rolling, unit="m/s²",
            error="relative"),
    Measure(key="period", title="period of a pendulum", scene="swinging", value=period, unit="s", error="relative"),
    Measure(key="riding", title="height of a floating ball over the sea", scene="floating", value=riding,
            unit="radii"),
    Measure(key="bobbing", title="how far a floating ball bobs", scene="floating", value=bobbing, unit="m"),
    Measure(key="domino_fallen", title="share of the dominoes that fall", scene="toppling", value=domino_fallen),
    Measure(key="domino_order", title="share of dominoes that fall in order", scene="toppling", value=domino_order),
    Measure(key="domino_speed", title="dominoes that fall in a second", scene="toppling", value=domino_speed,
            unit="1/s", error="relative"),
    Measure(key="tower", title="height left of a tower that is hit", scene="knocking", value=tower_left),
    Measure(key="stands", title="a tower that is hit stands or falls as in the simulator", scene="knocking",
            value=stands, kind="share"),
    Measure(key="stacked", title="how far a thing that rests on another moves", scene="stacked", value=moved,
            unit="diameters"),
    Measure(key="returns", title="a ball that rolls behind a pillar comes out as in the simulator", scene="hidden",
            value=returns, kind="share"),
    Measure(key="returning", title="when it comes out", scene="hidden", value=returning, unit="s"),
    Measure(key="counted", title="frames in which two things at rest are both there, once", scene="apart",
            value=counted),
    Measure(key="recoloured", title="change of colour of things at rest", scene="apart", value=recoloured,
            unit="ΔE"),
    Measure(key="resized", title="size of things at rest, end over start", scene="apart", value=resized),
)  # fmt: skip


def truth_of(measure: Measure, sight: Sight) -> Value:
    """What the simulator says."""
    return measure.exact if measure.exact is not None else measure.value(Seen(sight=sight))


def as_json(value: Value) -> Any:
    return None if value is None or not np.isfinite(value) else round(float(value), 5)
