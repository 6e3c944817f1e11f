"""A mode is a choice of which tokens are given and how clean they are; this file makes the starts and runs the sampler.

Every function returns a `Start`; `sample` turns any start into latents. See the table in docs/DESIGN.md.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .codec import GROUP
from .dit import DiT
from .flow import mix
from .sampler import GUIDANCE, SHIFT, STEPS, Progress, Sampler, guide, multistep, schedule
from .text import Text, join


@dataclass(frozen=True, kw_only=True)
class Start:
    """Where sampling starts: latents [B, C, F, h, w] already at their levels, levels [B, F, S or 1], and the place of
    each latent frame in time. With a `period` the clip is a loop of so many latent frames; see `closed`."""

    z: Tensor
    start_BFS: Tensor
    time_F: Tensor
    single_F: Tensor
    period: int = 0


def timeline(frames: int, fps: float, *, first: int = 0) -> tuple[Tensor, Tensor]:
    """Real time in seconds [F] of each latent frame's middle, and [F] whether it is a single frame.

    Latent frame 0 is the clip's first frame; latent frame k >= 1 holds frames 4k-3 .. 4k. `first` is the number of the
    first one, for windows further on in a clip (which then have no single frame unless first is 0).
    """
    k = torch.arange(first, first + frames, dtype=torch.float32)
    middle = (GROUP * k - (GROUP - 1) / 2).clamp(min=0)
    return middle / fps, k == 0


def text_to_video(
    *, batch: int, channels: int, frames: int, h: int, w: int, fps: float, generator: torch.Generator
) -> Start:
    """Nothing is given: noise everywhere. With frames=1 this is text to image."""
    z = torch.randn(batch, channels, frames, h, w, generator=generator)
    time_F, single_F = timeline(frames, fps)
    return Start(z=z, start_BFS=torch.zeros(batch, frames, 1), time_F=time_F, single_F=single_F)


def with_given(start: Start, z: Tensor, level_BFS: Tensor, generator: torch.Generator) -> Start:
    """Give latents `z` at `level_BFS`: 1 keeps a token as it is, 0 ignores it, in between starts from it noised.

    Image to video is level 1 on the first latent frame, extension level 1 on a prefix or suffix, remix one level below
    1 everywhere, inpainting 1 outside a box.
    """
    B, _, T, h, w = start.z.shape
    level = level_BFS.expand(B, T, -1)
    level = level.reshape(B, 1, T, *((h, w) if level.shape[2] > 1 else (1, 1)))
    noise = torch.randn(start.z.shape, generator=generator)
    mixed = torch.where(level > 0, mix(z, noise, level), start.z)
    return replace(start, z=mixed, start_BFS=level_BFS.expand(B, T, -1))


def closed(v: Tensor, period: int) -> Tensor:
    """Velocities [B, C, F, h, w] of a clip that closes into a loop: latent frames a period apart (the first one, a
    single frame, left aside) are the same moment, so they move together, by their mean (MultiDiffusion, arXiv
    2302.08113)."""
    shared = v.shape[2] - 1 - period
    both = (v[:, :, 1 : 1 + shared] + v[:, :, 1 + period :]) / 2
    return torch.cat([v[:, :, :1], both, v[:, :, 1 + shared : 1 + period], both], 2)


def loop(start: Start, period: int) -> Start:
    """A start whose latent frames repeat after `period`; with `closed` they stay equal until the end."""
    frames = start.z.shape[2]
    if not 1 <= frames - 1 - period <= period:
        raise ValueError(f"{frames} latent frames cannot close into a loop of {period}")
    z = torch.cat([start.z[:, :, : 1 + period], start.z[:, :, 1 : frames - period]], 2)
    return replace(start, z=z, period=period)


@torch.no_grad()
def sample(
    dit: DiT,
    text: Text,
    start: Start,
    *,
    negative: Text | None = None,
    guidance: float = GUIDANCE,
    rescale: float = 0.3,
    steps: int = STEPS,
    shift: float = SHIFT,
    sampler: Sampler = multistep,
    ctrl_BFK: Tensor | None = None,
    known_BG: Tensor | None = None,
    progress: Progress | None = None,
) -> Tensor:
    """Latents [B, C, F, h, w] from a start. Guidance 1 is the plain conditional model at half of the price.

    Without a negative prompt, guidance leads away from the model without text.
    """
    B = start.z.shape[0]
    yes, no = torch.zeros(B, dtype=torch.bool), torch.ones(B, dtype=torch.bool)
    other = negative or text

    both = None if guidance == 1.0 else join(text, other)

    def velocity(z: Tensor, t_BFS: Tensor) -> Tensor:
        common = {"time_F": start.time_F, "single_F": start.single_F}
        if both is None:
            v, _ = dit(z, t_BFS, text, null_B=yes, ctrl_BFK=ctrl_BFK, known_BG=known_BG, **common)
            return v  # type: ignore[no-any-return]
        null = torch.cat([yes, yes if negative else no])
        ctrl, known = (None if x is None else torch.cat([x, x]) for x in (ctrl_BFK, known_BG))
        v, _ = dit(
            torch.cat([z, z]), torch.cat([t_BFS, t_BFS]), both, null_B=null, ctrl_BFK=ctrl, known_BG=known, **common
        )
        cond, uncond = v.chunk(2)
        return guide(cond, uncond, guidance, rescale)

    def denoise(z: Tensor, t_BFS: Tensor) -> Tensor:
        v = velocity(z, t_BFS)
        return closed(v, start.period) if start.period else v

    levels = schedule(steps, shift)
    lowest = start.start_BFS.min().to(levels)  # of a remix nothing happens below its level
    levels = torch.cat([lowest[None], levels[levels > lowest]])
    return sampler(denoise, start.z, levels, start.start_BFS, progress)
