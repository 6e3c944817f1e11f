"""`haneul train fit`: how a run's loss falls with the operations spent on it, L(C) = a + b C^-c, and how sure that is.

The form is that of Hestness et al. (arXiv 1712.00409) and Hoffmann et al. (arXiv 2203.15556): `a` is what no training
takes away, `b C^-c` what more of it does. Of several runs, sizes of a model say, the lowest loss at each amount counts.
The interval comes from a bootstrap: within each bin of a curve its steps are drawn anew, and the fit is made again. It
says what the noise of batches leaves open, not whether the form holds outside of what was measured.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from haneul.errors import InputError

Floats = NDArray[np.float64]
POWERS: Floats = np.geomspace(0.01, 2.0, 1200)  #: that `c` is sought among, half a percent apart
FEWEST = 5  #: bins that three numbers are fitted to
LEAST = 6  #: steps in a bin, whose spread they tell


@dataclass(frozen=True, kw_only=True)
class Bin:
    """Steps of a run that lie close together: the operations spent by then (their geometric middle) and the losses."""

    compute: float
    losses: Floats

    @property
    def mean(self) -> float:
        return float(self.losses.mean())


@dataclass(frozen=True, kw_only=True)
class Fit:
    """a, b, c and their intervals; `draws` [R, 3] are the bootstrap's. b is for operations in units of `unit`."""

    a: float
    b: float
    c: float
    unit: float
    draws: Floats
    bins: tuple[Bin, ...]

    def at(self, compute: float) -> float:
        """The loss after so many operations."""
        return float(self.a + self.b * (compute / self.unit) ** -self.c)

    def interval_at(self, compute: float, level: float = 0.95) -> tuple[float, float]:
        a, b, c = self.draws.T
        return interval(a + b * (compute / self.unit) ** -c, level)

    def intervals(self, level: float = 0.95) -> tuple[tuple[float, float], ...]:
        """Of a, b and c."""
        return tuple(interval(column, level) for column in self.draws.T)


def interval(values: Floats, level: float) -> tuple[float, float]:
    """The middle share `level` of some values."""
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def read_log(path: Path) -> dict[int, dict[str, float]]:
    """Step -> what log.jsonl says of it; of a step that a killed run took twice, the later one. Raises InputError."""
    try:
        lines = [json.loads(line) for line in path.read_text().splitlines() if line.strip()]
        return {int(line["step"]): line for line in lines}
    except (OSError, ValueError, KeyError, TypeError) as err:
        raise InputError(f"{path} is no log of a training ({err}); name a log.jsonl") from err


def curve(
    log: dict[int, dict[str, float]], flops: Callable[[int], float], frames: int, *, skip: int = 200, bins: int = 40
) -> list[Bin]:
    """A run's losses on clips of `frames` latent frames against the operations of all its steps. `flops` says what a
    clip of so many latent frames takes. The first `skip` steps, in which the rate warms up, are left out."""
    steps = [log[number] for number in sorted(log)]
    spent = np.cumsum([flops(int(s["frames"])) * s["clips"] for s in steps])
    chosen = [i for i, s in enumerate(steps) if s["frames"] == frames and s["step"] > skip]
    if len(chosen) < 2 * FEWEST:
        raise InputError(f"only {len(chosen)} steps after {skip} with clips of {frames} latent frames; train on")
    compute = spent[chosen]
    losses = np.array([steps[i]["loss"] for i in chosen])
    edges = np.geomspace(compute[0], compute[-1] * (1 + 1e-9), bins + 1)
    place = np.searchsorted(edges, compute, side="right") - 1
    found = []
    for number in range(bins):
        mine = place == number
        if mine.sum() >= LEAST:
            found.append(Bin(compute=float(np.exp(np.log(compute[mine]).mean())), losses=losses[mine]))
    return found


def lowest(curves: Sequence[Sequence[Bin]]) -> list[Bin]:
    """The lower envelope of several curves: bins that no bin of less or equal compute undercuts."""
    every = sorted((b for one in curves for b in one), key=lambda b: b.compute)
    if len(curves) == 1:
        return every
    found: list[Bin] = []
    for b in every:
        if not found or b.mean < found[-1].mean:
            found.append(b)
    return found


def solve(compute: Floats, losses_RN: Floats, weights: Floats, unit: float) -> Floats:
    """[R, 3]: a, b, c of R curves by weighted least squares, none of them negative. For each power on the grid a and b
    have a closed form; the power with the least error wins."""
    x = (compute / unit) ** -POWERS[:, None]  # [G, N]
    w, wx = weights.sum(), x @ weights
    wxx = (x * x) @ weights
    wy = losses_RN @ weights  # [R]
    wyy = (losses_RN**2) @ weights
    wxy = (losses_RN * weights) @ x.T  # [R, G]
    b = (w * wxy - wx * wy[:, None]) / (w * wxx - wx**2)
    a = (wy[:, None] - b * wx) / w
    through = wxy / wxx  # where a would be negative it is nothing
    a, b = np.where(a < 0, 0.0, a), np.where(a < 0, through, b)
    flat = b < 0  # a loss that rises is fitted by its mean
    a, b = np.where(flat, (wy / w)[:, None], a), np.where(flat, 0.0, b)
    error = wyy[:, None] - 2 * a * wy[:, None] - 2 * b * wxy + a * a * w + 2 * a * b * wx + b * b * wxx
    best = error.argmin(1)
    rows = np.arange(len(best))
    return np.stack([a[rows, best], b[rows, best], POWERS[best]], 1)


def fit(bins: Sequence[Bin], *, draws: int = 1000, seed: int = 0) -> Fit:
    """Fit a curve; raises InputError where there is too little of it."""
    if len(bins) < FEWEST:
        raise InputError(f"a curve of {len(bins)} bins says too little; {FEWEST} are needed, so train on")
    compute = np.array([b.compute for b in bins])
    unit = float(np.exp(np.log(compute).mean()))  # so that b is a loss, and the sums are well conditioned
    means = np.array([b.mean for b in bins])
    counts = np.array([len(b.losses) for b in bins], np.float64)  # a step's noise is about the same everywhere
    rng = np.random.default_rng(seed)
    again = [b.losses[rng.integers(len(b.losses), size=(draws, len(b.losses)))].mean(1) for b in bins]
    # Steps drawn from n steps spread less than those they stand for, by the root of (n - 1) / n.
    again_RN = means + (np.stack(again, 1) - means) * np.sqrt(counts / (counts - 1))
    a, b, c = solve(compute, means[None], counts, unit)[0]
    found = solve(compute, again_RN, counts, unit)
    return Fit(a=float(a), b=float(b), c=float(c), unit=unit, draws=found, bins=tuple(bins))


def report(found: Fit, at: Sequence[float]) -> str:
    """The fit and what it foretells, as text."""
    (a0, a1), (b0, b1), (c0, c1) = found.intervals()
    first, last = found.bins[0].compute, found.bins[-1].compute
    lines = [
        f"L(C) = a + b (C / {found.unit:.3g})^-c, from {len(found.bins)} bins of {first:.3g} to {last:.3g} operations",
        f"a = {found.a:.4f} ({a0:.4f} to {a1:.4f})",
        f"b = {found.b:.4f} ({b0:.4f} to {b1:.4f})",
        f"c = {found.c:.4f} ({c0:.4f} to {c1:.4f})",
    ]
    for compute in at:
        low, high = found.interval_at(compute)
        far = f", {compute / last:.3g} times what was measured" if compute > last else ""
        lines.append(f"L({compute:.3g}) = {found.at(compute):.4f} ({low:.4f} to {high:.4f}){far}")
    return "\n".join(lines) + "\n"
