"""A polar code for the watermark's payload: few bits, many times weaker than the picture that carries them.

Code: Arikan, IEEE Trans. Inf. Theory 55 (2009), eq. 10. Which positions carry bits: polarization weight (He et al.,
arXiv 1704.05709, eq. 5). Decoding: successive cancellation with a list, in log likelihood ratios (Balatsoukas-Stimming
et al., IEEE Trans. Signal Process. 63 (2015), eqs. 8-12); who calls chooses from the list by a check of their own.
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

Bits = NDArray[np.uint8]
Soft = NDArray[np.float32]

LENGTH = 256  #: coded bits
_BETA = 2**0.25


@functools.cache
def _places(carried: int) -> tuple[int, ...]:
    """The `carried` most reliable of the LENGTH positions, ascending."""
    index = np.arange(LENGTH)
    weight = sum(((index >> j) & 1) * _BETA**j for j in range(LENGTH.bit_length() - 1))
    return tuple(np.sort(np.argsort(weight, kind="stable")[-carried:]).tolist())


def _transform(bits: Bits) -> Bits:
    """The polar transform over the last axis; its own inverse."""
    x = bits.copy()
    half = 1
    while half < x.shape[-1]:
        pairs = x.reshape(*x.shape[:-1], -1, 2, half)
        pairs[..., 0, :] ^= pairs[..., 1, :]
        half *= 2
    return x


def encode(message: Bits) -> Bits:
    """A message of bits (0 or 1), fewer than LENGTH -> LENGTH coded bits."""
    u = np.zeros(LENGTH, np.uint8)
    u[list(_places(len(message)))] = message
    return _transform(u)


def decode(soft_CN: Soft, carried: int, *, keep: int = 8) -> Bits:
    """Soft values [C, LENGTH] (positive: a 0 is likelier) -> the `keep` likeliest messages of each, [C, keep, carried],
    likeliest first. Only the proportions of the soft values matter."""
    search = _Search(soft_CN.shape[0], keep, frozenset(_places(carried)))
    alpha = np.repeat(soft_CN[:, None].astype(np.float32), keep, axis=1)
    coded, _ = search.node(alpha, 0)
    order = np.argsort(search.cost, axis=1, kind="stable")
    u = _transform(np.take_along_axis(coded, order[..., None], 1))
    return u[..., list(_places(carried))]


class _Search:
    """The paths that are followed at once for each of C words, and what each of them costs so far, [C, keep]."""

    def __init__(self, words: int, keep: int, carrying: frozenset[int]) -> None:
        self.keep, self.carrying = keep, carrying
        self.cost = np.full((words, keep), np.inf, np.float32)
        self.cost[:, 0] = 0  # one path to begin with
        self.same = np.broadcast_to(np.arange(keep), (words, keep))

    def node(self, alpha: Soft, first: int) -> tuple[Bits, NDArray[np.int64]]:
        """Decodes the subtree over positions `first` onwards. Gives its bits [C, keep, n] for the paths that are left,
        and which of the paths that came in each of them continues."""
        n = alpha.shape[-1]
        if not any(place in self.carrying for place in range(first, first + n)):
            self.cost = self.cost + np.maximum(-alpha, 0).sum(-1)
            return np.zeros(alpha.shape, np.uint8), self.same
        if n == 1:
            return self._leaf(alpha[..., 0])
        a, b = alpha[..., : n // 2], alpha[..., n // 2 :]
        left, came = self.node(np.sign(a) * np.sign(b) * np.minimum(np.abs(a), np.abs(b)), first)
        a, b = (np.take_along_axis(x, came[..., None], 1) for x in (a, b))
        right, then = self.node(b + np.where(left == 1, -a, a), first + n // 2)
        left = np.take_along_axis(left, then[..., None], 1)
        return np.concatenate([left ^ right, right], -1), np.take_along_axis(came, then, 1)

    def _leaf(self, alpha: Soft) -> tuple[Bits, NDArray[np.int64]]:
        """Every path may go on with 0 or with 1; the cheapest are kept."""
        both = np.concatenate([self.cost + np.maximum(-alpha, 0), self.cost + np.maximum(alpha, 0)], 1)
        best = np.argpartition(both, self.keep - 1, axis=1)[:, : self.keep]
        self.cost = np.take_along_axis(both, best, 1)
        return (best >= self.keep).astype(np.uint8)[..., None], best % self.keep
