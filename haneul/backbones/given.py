"""Given media as latents: frames on the canvas of a video; and what camera and subject do, as controls of latent
frames."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from haneul.backbones.base import Given
from haneul.model.canvas import Canvas, put
from haneul.model.codec import GROUP, PATCH, Codec
from haneul.model.dit import LEAST_SPREAD
from haneul.model.flow import shift_levels
from haneul.model.sampler import SHIFT
from haneul.video.timeline import fit

FAR = 8.0  #: standard deviations that a control may lie from nothing; the rarest that training shows, a jump, lies 7
RATE = 2  #: frames of the finished video for each base frame


def span(latent: int) -> range:
    """The base frames of a latent frame."""
    return range(1) if latent == 0 else range(GROUP * (latent - 1) + 1, GROUP * latent + 1)


@torch.no_grad()
def lay(codec: Codec, canvas: Canvas, given: Given, total: int) -> Canvas:
    """Put given frames on the canvas of a video of `total` frames: as every latent frame that they fill (a video's
    last one need not be full), and a picture as the one it falls into."""
    h, w = canvas.z.shape[3:]
    last = len(given.frames) - 1
    at, rows = [], []
    for latent in range(canvas.frames):
        moments = [RATE * i - given.at for i in span(latent)]
        if last == 0 and moments[0] - RATE < 0 <= moments[-1]:
            moments = [0] * len(moments)
        elif given.at + last + 1 >= total and moments[0] <= last:
            moments = [min(moment, last) for moment in moments]
        if moments[0] >= 0 and moments[-1] <= last:
            at.append(latent)
            rows.append([moments[0]] * (GROUP - len(moments)) + moments)
    if not at:
        return canvas
    needed = sorted({i for row in rows for i in row})
    small = {i: np.array(fit(given.frames[i], (w * PATCH, h * PATCH))) for i in needed}
    groups = torch.from_numpy(np.stack([[small[i] for i in row] for row in rows])).float() / 127.5 - 1
    groups = groups.permute(0, 1, 4, 2, 3).flatten(1, 2)  # [n, 12, H, W]
    keep = torch.tensor([float(np.mean(given.keep_T[row])) for row in rows])
    level = shift_levels(keep, SHIFT)[:, None].expand(-1, h * w).clone()
    if given.box is not None:
        left, top, right, bottom = given.box
        y, x = torch.arange(h)[:, None], torch.arange(w)[None]
        inside = (x + 1 > left * w) & (x < right * w) & (y + 1 > top * h) & (y < bottom * h)
        level[:, inside.flatten()] = 0.0
    return put(canvas, codec.encode_groups(groups[None]), level, at)


def within(ctrl_BFK: Tensor, spread_K: Tensor) -> Tensor:
    """Controls as far as a model knows them: channels that never varied in what it learned from are left at nothing,
    the others held to `FAR` standard deviations. Beyond, it answers with noise (docs/log.md)."""
    limit = torch.where(spread_K > 1.01 * LEAST_SPREAD, FAR * spread_K, torch.zeros_like(spread_K)).float()
    return torch.maximum(torch.minimum(ctrl_BFK, limit), -limit)


def controls(
    camera_TK: NDArray[np.float32] | None, action_TK: NDArray[np.float32] | None, frames: int, groups: tuple[int, ...]
) -> tuple[Tensor | None, Tensor | None]:
    """Controls [1, frames, sum(groups)] of latent frames, each the mean over its moments as in training, and which
    groups are known [1, 2]. Given are the camera's velocity and the subject's action at the finished rate; `groups` are
    the channels that the model has for each."""
    if camera_TK is None and action_TK is None:
        return None, None
    told = []
    for given_TK, channels in zip((camera_TK, action_TK), groups, strict=True):
        rates = np.zeros((frames, channels), np.float32)
        for latent in range(frames if given_TK is not None else 0):
            assert given_TK is not None
            moments = slice(max(0, RATE * GROUP * (latent - 1)), RATE * GROUP * latent + 1)
            part = given_TK[moments]
            rates[latent, : part.shape[1]] = (part if len(part) else given_TK[-1:]).mean(0)
        told.append(rates)
    known = torch.tensor([[float(camera_TK is not None), float(action_TK is not None)]])
    return torch.from_numpy(np.concatenate(told, 1))[None], known
