"""The attribute reader: says of a small clip where it is, what happens, in which colour, and how the camera moves.

A small convolutional network with two branches, for four pictures and for the optical flow between them. It is trained
on rendered clips only, never on generated ones, so that it can grade those: what it reads wrong there, the model drew
wrong (or the reader's own error, which is reported beside). It also learns to find the main subject (the simulator
knows which patches it covers) and pools its features there, because a colour is a matter of a few pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from haneul.evals.data import ATTRIBUTES, MOMENTS, NAMES, SPANS, glimpse
from haneul.model.checkpoint import load, load_into


@dataclass(frozen=True, kw_only=True)
class ReaderConfig:
    widths: tuple[int, ...] = (48, 96, 160)  # of the pictures' branch at 4, 8 and 16 pixels
    motion: int = 56  # of the motion's branch
    feature: int = 192  # width of the penultimate features, in which the Frechet distance is measured

    @staticmethod
    def from_json(data: dict[str, Any]) -> ReaderConfig:
        return ReaderConfig(**{**data, "widths": tuple(data["widths"])})


def _convolution(inp: int, out: int, side: int = 3, stride: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(inp, out, side, stride=stride, padding=(side - 1) // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(out), nn.SiLU())


class Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.one = _convolution(width, width)
        self.two = nn.Conv2d(width, width, 1, bias=False)
        self.norm = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        return F.silu(x + self.norm(self.two(self.one(x))))


class Mix(nn.Module):
    """A convolution over space, then one over time, added to their input. Shapes [B*SPANS, C, H, W]."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.space = _convolution(width, width)
        self.time = nn.Conv2d(width, width, (3, 1), padding=(1, 0), bias=False)
        self.norm = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        N, C, H, W = x.shape
        y = self.space(x)
        # channels-last, so these are views: [B, C, SPANS, H*W]
        y = y.permute(0, 2, 3, 1).reshape(N // SPANS, SPANS, H * W, C).permute(0, 3, 1, 2)
        y = self.norm(self.time(y)).permute(0, 2, 3, 1).reshape(N, H, W, C).permute(0, 3, 1, 2)
        return F.silu(x + y)


class Reader(nn.Module):
    """See `forward`; `read` is for videos."""

    def __init__(self, cfg: ReaderConfig) -> None:
        super().__init__()
        self.cfg = cfg
        a, b, c = cfg.widths
        m = cfg.motion
        self.moving = nn.Sequential(_convolution(11, m), Mix(m))
        self.course = nn.Sequential(_convolution(m, 2 * m, 2, 2), Mix(2 * m), Mix(2 * m))
        self.fine = nn.Sequential(_convolution(3, a // 2, 3, 2), _convolution(a // 2, a, 3, 2), Residual(a))
        self.join_motion = nn.Conv2d(m, b, 1)
        self.down1 = nn.Conv2d(a, b, 2, stride=2)
        self.mid = nn.Sequential(Residual(b), Residual(b))
        self.deep = nn.Sequential(_convolution(b, c, 2, 2), Residual(c), Residual(c))
        self.find = nn.ModuleList(nn.Conv2d(width, out, 1) for width, out in ((a, 1), (b, 1), (c, 2)))
        pooled = 2 * (a + b + c) + 5 * m
        self.join = nn.Sequential(nn.BatchNorm1d(pooled), nn.Linear(pooled, cfg.feature), nn.SiLU())
        self.heads = nn.ModuleList(nn.Linear(cfg.feature, len(ATTRIBUTES[name])) for name in NAMES)

    def forward(self, pictures_BM3HW: Tensor, motion_BS5HW: Tensor) -> tuple[list[Tensor], Tensor, Tensor]:
        """Pictures [B, MOMENTS, 3, H, W] in [-1, 1] and motion [B, SPANS, 5, H/8, W/8] as in `data.Glimpse`.

        Returns the logits of each attribute, the penultimate features [B, feature], and logits [B, MOMENTS, h, w, 2] of
        how much of each 16x16 patch the first and the other subjects cover.
        """
        B = len(pictures_BM3HW)
        last = {"memory_format": torch.channels_last}
        moving = self.moving(_placed(motion_BS5HW.flatten(0, 1)).contiguous(**last))
        course = self.course(moving).float().unflatten(0, (B, SPANS)).mean((3, 4))
        fine = self.fine(pictures_BM3HW.flatten(0, 1).contiguous(**last))
        at_moments = moving.unflatten(0, (B, SPANS))[:, NEAREST_SPANS].flatten(0, 1)
        mid = self.mid(F.silu(self.down1(fine) + self.join_motion(at_moments)))
        deep = self.deep(mid)
        found = self.find[2](deep).float()
        logits = self.find[0](fine).float() + _larger(self.find[1](mid).float(), 2) + _larger(found[:, :1], 4)
        attention = logits.reshape(B, -1).softmax(1).view_as(logits)  # where and when the main subject is
        coarser = 4 * F.avg_pool2d(attention, 2)
        where = [(attention, fine), (coarser, mid), (4 * F.avg_pool2d(coarser, 2), deep), (coarser, at_moments)]
        pooled = [(share * x.float()).sum((2, 3)).unflatten(0, (B, MOMENTS)).sum(1) for share, x in where]
        pooled += [x.float().mean((2, 3)).unflatten(0, (B, MOMENTS)).mean(1) for x in (fine, mid, deep)]
        feature = self.join(torch.cat([*pooled, course.mean(1), course.amax(1)], 1))
        kept = F.dropout(feature, 0.1, self.training)
        cover = found.unflatten(0, (B, MOMENTS)).permute(0, 1, 3, 4, 2)
        return [head(kept) for head in self.heads], feature, cover


#: The span of motion that is nearest to each picture.
NEAREST_SPANS = [round(k * (SPANS - 1) / (MOMENTS - 1)) for k in range(MOMENTS)]


def _placed(motion_N5HW: Tensor) -> Tensor:
    """Motion with its place and with place times flow, which tells a push from an orbit, [N, 11, H, W]."""
    N, _, H, W = motion_N5HW.shape
    y = torch.linspace(-1, 1, H, device=motion_N5HW.device).view(1, 1, H, 1).expand(N, 1, H, W)
    x = torch.linspace(-1, 1, W, device=motion_N5HW.device).view(1, 1, 1, W).expand(N, 1, H, W)
    flow = motion_N5HW[:, :2]
    return torch.cat([motion_N5HW, x, y, flow * x, flow * y], 1)


def _larger(x: Tensor, times: int) -> Tensor:
    return F.interpolate(x, scale_factor=times, mode="nearest")


@dataclass(frozen=True, kw_only=True)
class Reading:
    """Answers [n, A] in the order of NAMES and features float64 [n, feature] of n clips."""

    answers: NDArray[np.int64]
    features: NDArray[np.float64]


@torch.no_grad()
def read_glimpses(reader: Reader, pictures: Tensor, motion: Tensor, batch: int = 32) -> Reading:
    """Read clips of one size: pictures uint8 [n, MOMENTS, 3, H, W] and motion [n, SPANS, 5, H/8, W/8]."""
    found, features = [], []
    device = next(reader.parameters()).device
    for some, moves in zip(pictures.split(batch), motion.split(batch), strict=True):
        logits, feature, _ = reader(some.to(device).float() / 127.5 - 1, moves.to(device).float())
        found.append(torch.stack([one.argmax(1) for one in logits], 1).cpu())
        features.append(feature.cpu())
    return Reading(answers=torch.cat(found).numpy(), features=torch.cat(features).double().numpy())


def read(reader: Reader, videos: Sequence[NDArray[np.uint8]]) -> Reading:
    """Read videos uint8 [T, H, W, 3], all of one size."""
    seen = [glimpse(v) for v in videos]
    return read_glimpses(reader, torch.stack([g.pictures for g in seen]), torch.stack([g.motion for g in seen]))


def load_reader(path: Path) -> Reader:
    """Raises CheckpointError when it can't be used."""
    tensors, card = load(path, "reader")
    reader = Reader(ReaderConfig.from_json(card.config))
    load_into(reader, tensors, path)
    reader.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return reader.eval().requires_grad_(False)
