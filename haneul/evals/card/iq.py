"""Where, when and how much moves, held against the simulator: the measures of Physics-IQ (Motamed et al., arXiv
2501.09038), comparable in kind.

Moving is what differs from a running mean of the past, in grey. Their pictures are larger and their two takes are two
recordings; ours are two runs whose start differs a little, so figures are not theirs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from haneul.evals.card.staged import RATE, SCENES, Array, Case, Frames
from haneul.evals.statistics import bootstrap

Masks = NDArray[np.bool_]  # [T, H, W]

MEMORY: Final = 0.3  #: of the newest frame in the running mean
THRESHOLD: Final = 10.0  #: of 255
KEYS: Final = ("spatial", "spatiotemporal", "weighted_spatial", "mse")
TRUTH, CEILING = "renders", "another run"


def _three(x: Array) -> tuple[Array, ...]:
    """The nine neighbourhood shifts of pictures [..., H, W], edges repeated."""
    wide = np.pad(x, [(0, 0)] * (x.ndim - 2) + [(1, 1), (1, 1)], mode="edge")
    H, W = x.shape[-2:]
    return tuple(wide[..., a : a + H, b : b + W] for a in range(3) for b in range(3))


def moving(video: Frames) -> Masks:
    """Where something moves, [T, H, W]: blurred, thresholded, single pixels removed and holes closed (3 x 3)."""
    grey = video.astype(float) @ np.array([0.299, 0.587, 0.114])
    soft = np.mean(_three(grey), 0)
    mean, out = soft[0], np.zeros(soft.shape, bool)
    for t in range(1, len(soft)):
        mean = (1 - MEMORY) * mean + MEMORY * soft[t]
        out[t] = np.abs(soft[t] - mean) > THRESHOLD
    for first, second in ((np.min, np.max), (np.max, np.min)):  # opened, closed
        out = first(_three(out), 0)
        out = second(_three(out), 0)
    return np.asarray(out, bool)


def overlap(a: Array | Masks, b: Array | Masks) -> float:
    """Intersection over union of masks, or of weights; of nothing with nothing it is 1."""
    union = float(np.maximum(a, b).sum())
    return float(np.minimum(a, b).sum()) / union if union else 1.0


def compared(video: Frames, truth: Frames, first: int) -> dict[str, float]:
    """The four measures from frame `first` on, which is the first that was not given."""
    a, b = moving(video)[first:], moving(truth)[first:]
    apart = (video[first:].astype(float) - truth[first:]) / 255
    return {
        "spatial": overlap(np.asarray(a.any(0)), np.asarray(b.any(0))),
        "spatiotemporal": float(np.mean([overlap(a[t], b[t]) for t in range(len(a))])),
        "weighted_spatial": overlap(a.mean(0), b.mean(0)),
        "mse": float((apart**2).mean()),
    }


@dataclass(kw_only=True)
class Table:
    """The four measures of every clip that was made of a set-up."""

    rows: dict[str, dict[str, list[float]]] = field(default_factory=dict)

    def add(self, scene: str, case: Case, clips: dict[str, Frames]) -> None:
        if not SCENES[scene].moves:
            return
        first = max(1, round(case.given * RATE))
        for who, clip in clips.items():
            if who != TRUTH:
                for key, value in compared(clip, clips[TRUTH], first).items():
                    self.rows.setdefault(who, {k: [] for k in KEYS})[key].append(value)

    def result(self) -> dict[str, Any]:
        """Means with intervals; the score is the mean of the three overlaps, each in shares of what another physical
        run reaches, less how much larger the squared error is than that run's; held to 0 to 1."""
        n = len(next(iter(self.rows.values()))["mse"]) if self.rows else 0
        rng = np.random.default_rng(0)
        draws = rng.integers(0, n, (1000, n)) if n else np.zeros((0, 0), int)
        found = {}
        for who, rows in self.rows.items():
            table = {key: np.array(rows[key]) for key in KEYS}
            top = {key: np.array(self.rows[CEILING][key]) for key in KEYS}
            again = [_score(table, top, index) for index in draws]
            low, high = np.percentile(again, (2.5, 97.5))
            score = {
                "value": round(_score(table, top, np.arange(n)), 4), "low": round(float(low), 4),
                "high": round(float(high), 4), "n": n,
            }  # fmt: skip
            found[who] = {key: bootstrap(rows[key], np.mean) for key in KEYS} | {"score": score}
        return found


def _score(table: dict[str, Array], top: dict[str, Array], index: NDArray[np.int64]) -> float:
    parts = [table[key][index].mean() / max(1e-6, top[key][index].mean()) for key in KEYS[:3]]
    worse = table["mse"][index].mean() - top["mse"][index].mean()
    return float(np.clip(np.mean(parts) - worse, 0, 1))
