"""What a code of blocks leaves at their borders, taken out: steps between patches, jerks between groups of frames.

Each latent draws its own 4 frames of 16 x 16 pixels, and neighbours agree only about so well: the picture steps at
every sixteenth pixel and jerks at every fourth frame. Video codecs have filtered such borders since H.264 (List et al.,
"Adaptive deblocking filter", IEEE Trans. Circuits Syst. Video Technol. 13, 2003); so does this one, in space and time.
At a border lies p1 p0 | q0 q1. What the step from p0 to q0 has more than the slopes on both sides let expect,

    e = (q0 - p0) - ((p0 - p1) + (q1 - q0)) / 2,

belongs to the border if it is small, and to the picture if it is large: an edge, or something that moves. So
e exp(-(e / LIMIT)²) is taken back, half of it on each side, fading to nothing over some pixels or frames.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

LIMIT: Final = 16 / 127.5  #: of values in [-1, 1]; with it, borders are as steep as those of renders (docs/log.md)
PIXELS: Final = 4  #: on either side of a border that are changed
FRAMES: Final = 2


def excess(p1: Tensor, p0: Tensor, q0: Tensor, q1: Tensor) -> Tensor:
    """What belongs to a border p1 p0 | q0 q1, of one shape all four; see the module."""
    e = (q0 - p0) - ((p0 - p1) + (q1 - q0)) / 2
    return e * (-(e / LIMIT).square()).exp()


def smoothed(x: Tensor, axis: int, borders: list[int], reach: int) -> Tensor:
    """`x` with the borders along an axis filtered, a new tensor. A border b lies between b-1 and b, and needs two
    places and `reach` on either side; borders lie 2 * reach or more apart."""
    if not borders:
        return x
    b = torch.tensor(borders, device=x.device)
    p1, p0, q0, q1 = (x.index_select(axis, b + k) for k in (-2, -1, 0, 1))
    e = excess(p1, p0, q0, q1)
    out = x.clone()
    for k in range(reach):
        part = e * (0.5 * (1 - k / reach))
        out.index_add_(axis, b - 1 - k, part)
        out.index_add_(axis, b + k, part, alpha=-1)
    return out


def across_patches(x: Tensor, patch: int) -> Tensor:
    """Pictures [..., H, W] of patches, with the borders between these filtered."""
    for axis in (-2, -1):
        x = smoothed(x, axis, list(range(patch, x.shape[axis], patch)), PIXELS)
    return x


def across_groups(groups_BGTCHW: Tensor, *, first: bool) -> Tensor:
    """Groups of frames [B, G, T, C, H, W] that follow one another, with the borders between them filtered. The first
    one of a clip (`first`) stands for a single frame: it is left as it is, and so is the border after it."""
    G, T = groups_BGTCHW.shape[1:3]
    borders = list(range(2 * T if first else T, G * T, T))
    frames = smoothed(groups_BGTCHW.flatten(1, 2), 1, borders, FRAMES)
    groups: Tensor = frames.unflatten(1, (G, T))
    return groups
