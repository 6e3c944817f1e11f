"""The upscaler: the model's small frames become frames eight times as wide and high, twice as many a second.

A convolutional network that works at the small size and unshuffles its channels into pixels (Shi et al., arXiv
1609.05158), in two steps with convolutions between them against block edges. It looks at the frame
before, the frame itself and the frame after, and draws the frame itself and the moment half way to the next. It was
trained on renders of our world at both sizes, with the codec's errors in its input, so that it also repairs them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from haneul.video.compiled import compiled

Plane = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class UpscalerConfig:
    width: int = 64
    depth: int = 5
    fine: int = 24  # channels at the middle size
    scale: int = 8  # `middle` times a power of two
    middle: int = 4  # times the small size; 2 is half the work
    fold: int = 1  # small pixels along each side of what the body sees as one; 2 is a quarter of its work


class Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        nn.init.zeros_(self.conv2.weight)
        nn.init.zeros_(self.conv2.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv2(F.silu(self.conv1(x), inplace=not torch.is_grad_enabled()))
        return y.add_(x)


class Upscaler(nn.Module):
    """See the module; `forward` works on triples, `stream` on whole clips."""

    def __init__(self, cfg: UpscalerConfig) -> None:
        super().__init__()
        self.cfg = cfg
        w, f = cfg.width, cfg.fine
        last = cfg.scale // cfg.middle
        self.inp = nn.Conv2d(9 * cfg.fold**2, w, 3, padding=1)
        self.body = nn.Sequential(*(Residual(w) for _ in range(cfg.depth)))
        self.rise = nn.Conv2d(w, 2 * f * (cfg.fold * cfg.middle) ** 2, 1)
        self.fine = nn.Sequential(nn.SiLU(), nn.Conv2d(f, f, 3, padding=1), nn.SiLU())
        self.out = nn.Conv2d(f, 3 * last * last, 3, padding=1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)  # type: ignore[arg-type]

    def forward(self, triple_B9hw: Tensor) -> Tensor:
        """Frames before, at, after a moment, [B, 9, h, w] in [-1, 1] -> [B, 2, 3, 8h, 8w]: at it, half a frame on."""
        seen = self.see(triple_B9hw)
        return torch.stack([self.moment(triple_B9hw, seen, k) for k in (0, 1)], 1)

    def see(self, triple_B9hw: Tensor) -> Tensor:
        """Features of the triple, [B, width, h / fold, w / fold], both rounded up."""
        h, w = triple_B9hw.shape[2:]
        fold = self.cfg.fold
        if h % fold or w % fold:
            triple_B9hw = F.pad(triple_B9hw, (0, -w % fold, 0, -h % fold), "replicate")
        seen: Tensor = self.body(self.inp(F.pixel_unshuffle(triple_B9hw, fold)))
        return seen

    def moment(self, triple_B9hw: Tensor, seen_BDhw: Tensor, k: int) -> Tensor:
        """One of the two, [B, 3, 8h, 8w]. Each is drawn by itself, so that a tensor never has to be laid out anew: this
        far from the small size, memory is what things cost."""
        x = F.pixel_shuffle(self.out(self._fine(triple_B9hw, seen_BDhw, k)).float(), self.cfg.scale // self.cfg.middle)
        base = F.interpolate(_smooth(triple_B9hw, k), scale_factor=self.cfg.scale, mode="bilinear", align_corners=False)
        return x.add_(base)

    def picture(self, triple_B9hw: Tensor, seen_BDhw: Tensor, k: int) -> Tensor:
        """`moment` as bytes, uint8 [B, 8h, 8w, 3], up to rounding, in one pass over memory: the last convolution
        gives its channels in the order in which the bytes lie, and the small frame is enlarged along its rows first,
        while it is small."""
        scale, last = self.cfg.scale, self.cfg.scale // self.cfg.middle
        order = torch.arange(3 * last * last).view(3, -1, last).permute(1, 2, 0).flatten()
        weight, bias = self.out.weight[order] * 127.5, self.out.bias[order] * 127.5  # type: ignore[index]
        x = F.conv2d(self._fine(triple_B9hw, seen_BDhw, k), weight, bias, padding=1).float()
        B, _, H, W = x.shape
        small = _smooth(triple_B9hw, k)
        wide = F.interpolate(small, size=(small.shape[2], last * W), mode="bilinear", align_corners=False)
        rows = wide.mul_(127.5).add_(128.0).permute(0, 2, 3, 1).reshape(B, small.shape[2], -1).contiguous()
        out = torch.empty(B, last * H, last * W, 3, dtype=torch.uint8)
        for one, drawn, under in zip(
            out.numpy(), x.permute(0, 2, 3, 1).contiguous().numpy(), rows.numpy(), strict=True
        ):
            _lay(drawn, under, scale, one)
        return out

    def _fine(self, triple_B9hw: Tensor, seen_BDhw: Tensor, k: int) -> Tensor:
        """Features of one moment at the middle size."""
        h, w = (self.cfg.middle * n for n in triple_B9hw.shape[2:])
        weight, bias = self.rise.weight.chunk(2)[k], self.rise.bias.chunk(2)[k]  # type: ignore[union-attr]
        x = F.pixel_shuffle(F.conv2d(seen_BDhw, weight, bias), self.cfg.fold * self.cfg.middle)[..., :h, :w]
        spare = not torch.is_grad_enabled()
        return F.silu(self.fine[1](F.silu(x, inplace=spare)), inplace=spare)

    def stream(self, frames: Iterable[Tensor], *, double: bool = True, chunk: int = 4) -> Iterator[Tensor]:
        """Frames [3, h, w] in [-1, 1] as they come -> uint8 frames [8h, 8w, 3], 2T-1 (T if not `double`), as soon as
        the frame after each is known."""
        held: list[Tensor] = []  # the frame before the next one to draw, then those to draw; at the start it is doubled
        for frame in frames:
            held += [frame] if held else [frame, frame]
            if len(held) == chunk + 2:
                yield from self._drawn(held, double, more=True)
                held = held[-2:]
        if held:
            yield from self._drawn([*held, held[-1]], double, more=False)

    def _drawn(self, held: list[Tensor], double: bool, more: bool) -> Iterator[Tensor]:
        """All frames but the first and the last one, which are only seen."""
        x = torch.stack(held)
        x = torch.cat([x[:-2], x[1:-1], x[2:]], 1)
        seen = self.see(x)
        moments = [self.picture(x, seen, k) for k in ((0, 1) if double else (0,))]
        for i in range(len(x)):
            yield moments[0][i]
            if double and (more or i < len(x) - 1):
                yield moments[1][i]


def _smooth(triple_B9hw: Tensor, k: int) -> Tensor:
    """The small frame at one of the two moments, [B, 3, h, w]."""
    here, after = triple_B9hw[:, 3:6].float(), triple_B9hw[:, 6:9].float()
    return here if k == 0 else (here + after) / 2


@compiled(fastmath=True)
def _lay(drawn_HWC: Plane, rows_hN: Plane, scale: int, out_HW3: NDArray[np.uint8]) -> None:
    """Bytes of what a convolution drew, each of its pixels `last` rows of colours, over the small frame's rows, which
    are as wide as the picture already and are interpolated here from one to the next; both in bytes, plus a half."""
    h, n = rows_hN.shape
    H, W, C = drawn_HWC.shape
    last = len(out_HW3) // H
    run = C // last
    own = np.empty(n, np.float32)
    for Y in range(H * last):
        at = (np.float32(Y) + np.float32(0.5)) / np.float32(scale) - np.float32(0.5)
        above = min(max(int(np.floor(at)), 0), h - 1)
        below = min(above + 1, h - 1)
        way = min(max(at - np.float32(above), np.float32(0)), np.float32(1))
        y, first = Y // last, Y % last * run
        for x in range(W):
            for j in range(run):
                own[x * run + j] = drawn_HWC[y, x, first + j]
        row = out_HW3[Y].reshape(n)
        for i in range(n):
            value = rows_hN[above, i] + (rows_hN[below, i] - rows_hN[above, i]) * way + own[i]
            row[i] = np.uint8(np.int32(min(max(value, np.float32(0.5)), np.float32(255.5))))
