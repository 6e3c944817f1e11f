"""Intervals and distances that the measures share."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def wilson(right: int, total: int, z: float = 1.96) -> tuple[float, float]:
    """95% interval of a share (Wilson, JASA 22, 1927): right answers near 0 and 1 and with few trials."""
    if total == 0:
        return 0.0, 1.0
    share = right / total
    middle = share + z * z / (2 * total)
    half = z * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    return max(0.0, (middle - half) / (1 + z * z / total)), min(1.0, (middle + half) / (1 + z * z / total))


def frechet(a_ND: NDArray[np.float64], b_ND: NDArray[np.float64]) -> float:
    """Squared Frechet distance of the Gaussians through two sets of features (Heusel et al., arXiv 1706.08500, eq. 6).

    The trace of the product's root is that of (A^1/2 B A^1/2)^1/2, which is symmetric: no complex roots.
    """
    mean = a_ND.mean(0) - b_ND.mean(0)
    A, B = np.cov(a_ND, rowvar=False), np.cov(b_ND, rowvar=False)
    values, vectors = np.linalg.eigh(A)
    root = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    cross = np.sqrt(np.linalg.eigvalsh(root @ B @ root).clip(0)).sum()
    return float(mean @ mean + np.trace(A) + np.trace(B) - 2 * cross)


def kernel_distance(a_ND: NDArray[np.float64], b_MD: NDArray[np.float64]) -> float:
    """Squared maximum mean discrepancy of two sets of features with the kernel (x.y / D + 1)^3, without bias (KID,
    Binkowski et al., arXiv 1801.01401): about 0 for two samples of the same, however few, where Frechet's distance is
    far from it. Features are standardised by `b`, the real ones."""
    mean, std = b_MD.mean(0), b_MD.std(0) + 1e-3
    a, b = (a_ND - mean) / std, (b_MD - mean) / std

    def kernel(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
        found: NDArray[np.float64] = (x @ y.T / x.shape[1] + 1) ** 3
        return found

    def within(x: NDArray[np.float64]) -> float:
        k = kernel(x, x)
        return float((k.sum() - np.trace(k)) / (len(x) * (len(x) - 1)))

    return within(a) + within(b) - 2 * float(kernel(a, b).mean())


def spread(values: Sequence[float]) -> dict[str, Any]:
    """Number, median, quartiles, and the 5th and 95th percentile."""
    if not len(values):
        return {"n": 0}
    q = np.percentile(values, [5, 25, 50, 75, 95])
    names = ("p5", "p25", "median", "p75", "p95")
    return {"n": len(values), **{n: round(float(v), 3) for n, v in zip(names, q, strict=True)}}


def bootstrap(
    values: Sequence[float], of: Callable[..., Any] = np.median, *, draws: int = 2000, seed: int = 0
) -> dict[str, Any]:
    """A statistic (the median unless another is asked for) with its 95% interval by resampling (Efron, Annals of
    Statistics 7, 1979: the percentile interval)."""
    if not len(values):
        return {"value": None, "low": None, "high": None, "n": 0}
    x = np.asarray(values, float)
    index = np.random.default_rng(seed).integers(0, len(x), (draws, len(x)))
    low, high = np.percentile(of(x[index], axis=1), (2.5, 97.5))
    found = (float(of(x, axis=0)), float(low), float(high))
    return {**dict(zip(("value", "low", "high"), (round(v, 5) for v in found), strict=True)), "n": len(x)}


def correlation(pairs: Sequence[tuple[float, float]]) -> dict[str, Any]:
    """Pearson's coefficient of pairs with its 95% interval by Fisher's transformation; at least 4 pairs."""
    x, y = np.asarray(pairs, float).T
    if len(x) < 4 or x.std() < 1e-9 or y.std() < 1e-9:
        return {"value": None, "low": -1.0, "high": 1.0, "n": len(x)}
    r = float(np.clip(np.corrcoef(x, y)[0, 1], -0.999999, 0.999999))
    half = 1.96 / math.sqrt(len(x) - 3)
    low, high = (math.tanh(math.atanh(r) + sign * half) for sign in (-1, 1))
    return {"value": round(r, 4), "low": round(low, 4), "high": round(high, 4), "n": len(x)}
