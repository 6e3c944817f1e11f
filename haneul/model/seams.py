"""Where given frames end and new ones begin: the step between them, taken out of the new ones.

What a model makes goes on from what it was given, but never quite: a little brighter, a little lower. At such a seam
the picture jumps by

    e = (q0 - p0) - ((p0 - p1) + (q1 - q0)) / 2,

what the step from the last given frame p0 to the first new one q0 has more than the motion before and after it lets
expect. As between the groups of the codec (deblock.py) only what is small belongs to the seam, e exp(-(e/16)²). The
given side stays as it is, and the new one comes from it: the step is taken from the first new frame and fades out over
the next ones. As the codec's encoder begins with a linear branch, that is a sum of latents.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from .codec import GROUP, REACH, Codec
from .deblock import excess

LENGTH: Final = 2  #: latent frames of the new side that are changed
TIMES: Final = 2  #: that it is done: a group's latents draw a part of its neighbours too, so once leaves much
GIVEN: Final = 0.9  #: level from which a latent frame counts as given; context that is a little noisy does


@torch.no_grad()
def met(codec: Codec, z_BCFhw: Tensor, level_BFS: Tensor) -> Tensor:
    """Latents whose new frames meet the given ones, a new tensor; `level_BFS` is the level that each token began from
    ([B, F, S or 1]), and a frame is given where all of it was, in all of the batch."""
    given = (level_BFS.amin((0, 2)) > GIVEN).tolist()
    out = z_BCFhw.clone()
    seams = [f for f in range(1, len(given)) if given[f - 1] != given[f]]
    with torch.autocast(out.device.type, enabled=False):
        for f in seams * TIMES:
            sides = range(f, len(given)) if given[f - 1] else range(f - 1, -1, -1)
            step = _step(codec, out, f) * (1 if given[f - 1] else -1)
            for n, k in enumerate(sides[:LENGTH]):
                if given[k] or k == 0:  # the first latent frame is a single picture, not a group
                    break
                out[:, :, k] -= codec.change(_faded(step, n, forward=given[f - 1]))
    return out


def _step(codec: Codec, z_BCFhw: Tensor, f: int) -> Tensor:
    """What belongs to the seam in the step from latent frame f - 1 to f, [B, 3, H, W]."""
    first = max(0, f - 1 - REACH)
    drawn = codec.sketch_groups(z_BCFhw[:, :, first : f + 1 + REACH].float()).unflatten(2, (GROUP, 3))
    before, after = drawn[:, f - first - 1], drawn[:, f - first]  # [B, GROUP, 3, H, W]
    p1, p0, q0, q1 = before[:, -2], before[:, -1], after[:, 0], after[:, 1]
    if f == 1:
        p1 = p0  # a single frame, whose own motion isn't known
    return excess(p1, p0, q0, q1)


def _faded(step_B3HW: Tensor, n: int, *, forward: bool) -> Tensor:
    """The step over the n-th latent frame from the seam, [B, 12, H, W]: whole at the seam, nothing after LENGTH."""
    place = (torch.arange(GROUP, device=step_B3HW.device) + n * GROUP) / (LENGTH * GROUP)
    share = 1 - (place if forward else place.flip(0))
    return (step_B3HW[:, None] * share[:, None, None, None]).flatten(1, 2)
