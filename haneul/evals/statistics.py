"""Intervals and distances that the measures share."""

from __future__ import annotations

import math
from collections.abc import Sequence
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


def spread(values: Sequence[float]) -> dict[str, Any]:
    """Number, median, quartiles, and the 5th and 95th percentile."""
    if not len(values):
        return {"n": 0}
    q = np.percentile(values, [5, 25, 50, 75, 95])
    names = ("p5", "p25", "median", "p75", "p95")
    return {"n": len(values), **{n: round(float(v), 3) for n, v in zip(names, q, strict=True)}}
