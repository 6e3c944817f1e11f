"""The upscaler: the model's small frames become frames eight times as wide and high, twice as many a second.

A convolutional network that works at the small size and unshuffles its channels into pixels (Shi et al., arXiv
1609.05158), in two steps of x4 and x2 with two convolutions between them against block edges. It looks at the frame
before, the frame itself and the frame after, and draws the frame itself and the moment half way to the next. It was
trained on renders of our world at both sizes, with the codec's errors in its input, so that it also repairs them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class UpscalerConfig:
    width: int = 64
    depth: int = 5
    fine: int = 24  # channels at x4
    scale: int = 8  # 4 times a power of two


class Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        nn.init.zeros_(self.conv2.weight)
        nn.init.zeros_(self.conv2.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x + self.conv2(F.silu(self.conv1(x)))
        return y


class Upscaler(nn.Module):
    """See the module; `forward` works on triples, `stream` on whole clips."""

    def __init__(self, cfg: UpscalerConfig) -> None:
        super().__init__()
        self.cfg = cfg
        w, f = cfg.width, cfg.fine
        last = cfg.scale // 4
        self.inp = nn.Conv2d(9, w, 3, padding=1)
        self.body = nn.Sequential(*(Residual(w) for _ in range(cfg.depth)))
        self.rise = nn.Conv2d(w, 2 * f * 16, 1)
        self.fine = nn.Sequential(nn.SiLU(), nn.Conv2d(f, f, 3, padding=1), nn.SiLU())
        self.out = nn.Conv2d(f, 3 * last * last, 3, padding=1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)  # type: ignore[arg-type]

    def forward(self, triple_B9hw: Tensor) -> Tensor:
        """Frames before, at, after a moment, [B, 9, h, w] in [-1, 1] -> [B, 2, 3, 8h, 8w]: at it, half a frame on."""
        B, _, h, w = triple_B9hw.shape
        s = self.cfg.scale
        x = self.rise(self.body(self.inp(triple_B9hw)))
        x = F.pixel_shuffle(x.reshape(B * 2, -1, h, w), 4)
        x = F.pixel_shuffle(self.out(self.fine(x)).float(), s // 4)
        here, after = triple_B9hw[:, 3:6].float(), triple_B9hw[:, 6:9].float()
        smooth = torch.stack([here, (here + after) / 2], 1).flatten(0, 1)
        base = F.interpolate(smooth, scale_factor=s, mode="bilinear", align_corners=False)
        y: Tensor = (x + base).unflatten(0, (B, 2))
        return y

    @torch.no_grad()
    def stream(self, video_TCHW: Tensor, *, double: bool = True, chunk: int = 4) -> Iterator[Tensor]:
        """Frames [T, 3, h, w] in [-1, 1] -> uint8 frames [8h, 8w, 3], 2T-1 (T if not `double`), few at a time."""
        T = len(video_TCHW)
        for start in range(0, T, chunk):
            index = torch.arange(start, min(start + chunk, T))
            triple = torch.cat([video_TCHW[(index + d).clamp(0, T - 1)] for d in (-1, 0, 1)], 1)
            both = ((self(triple).clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).permute(0, 1, 3, 4, 2)
            for i, pair in zip(index.tolist(), both, strict=True):
                yield pair[0]
                if double and i < T - 1:
                    yield pair[1]
