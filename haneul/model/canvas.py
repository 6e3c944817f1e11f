"""What a video must hold, as latents over its whole length: every mode with given media is one of these.

A canvas says for each token how much of it is given: level 1 keeps it as it is, 0 leaves it to the model, in between it
is where the model starts from.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Canvas:
    """Latents z [1, C, F, h, w] and their levels [1, F, S]. With a `period` the video is a loop of so many latent
    frames."""

    z: Tensor
    level_BFS: Tensor
    period: int = 0

    @property
    def frames(self) -> int:
        return self.z.shape[2]

    def part(self, first: int, frames: int) -> tuple[Tensor, Tensor]:
        """Latents and levels of some latent frames."""
        return self.z[:, :, first : first + frames], self.level_BFS[:, first : first + frames]


def blank(channels: int, frames: int, h: int, w: int, *, period: int = 0) -> Canvas:
    """Nothing is given, which takes no memory whatever the length."""
    nothing = torch.zeros(())
    return Canvas(
        z=nothing.expand(1, channels, frames, h, w), level_BFS=nothing.expand(1, frames, h * w), period=period
    )


def put(canvas: Canvas, z: Tensor, level_FS: Tensor, at: list[int]) -> Canvas:
    """Give latents z [1, C, n, h, w] at levels [n, S] (or [n, 1]) as the latent frames `at`."""
    latents, levels = (x.clone(memory_format=torch.contiguous_format) for x in (canvas.z, canvas.level_BFS))
    latents[:, :, at] = z.to(latents)
    levels[:, at] = level_FS.to(levels).expand(-1, levels.shape[2])
    return Canvas(z=latents, level_BFS=levels, period=canvas.period)
