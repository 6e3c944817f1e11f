"""A mode is a choice of which tokens are given and how clean they are; this file makes the starts and runs the sampler.

Every function returns a `Start`; `sample` turns any start into latents. See the table in docs/DESIGN.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .codec import GROUP
from .dit import DiT
from .flow import mix
from .sampler import SAMPLERS, Denoise, Progress, Sampling, guide, schedule
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


def field(
    dit: DiT,
    text: Text,
    how: Sampling,
    *,
    time_F: Tensor,
    single_F: Tensor,
    negative: Text | None = None,
    ctrl_BFK: Tensor | None = None,
    known_BG: Tensor | None = None,
) -> Denoise:
    """The velocity field that a sampler follows: (z [B, C, F, h, w], levels [B, F, S or 1]) -> velocities, guided as
    `how` says.

    Guidance leads away from two lesser answers: the one to the negative prompt, or without any, to no text at all; and
    the one that the model gives with one of its blocks left out (spatiotemporal skip guidance, Hyung et al., arXiv
    2411.18664), where things fall apart into patches. Each costs an evaluation, all in one batch.
    """
    away = how.guidance != 1.0
    parts = 1 + away + bool(how.weak)
    common = {"time_F": time_F, "single_F": single_F}
    texts = text
    if away:
        texts = join(texts, negative or text)
    if how.weak:
        texts = join(texts, text)
    ctrl, known = (None if x is None else torch.cat([x] * parts) for x in (ctrl_BFK, known_BG))

    def guided(z: Tensor, t_BFS: Tensor) -> Tensor:
        part = torch.arange(parts * len(z), device=z.device) // len(z)
        v, _ = dit(
            torch.cat([z] * parts), torch.cat([t_BFS] * parts), texts, ctrl_BFK=ctrl, known_BG=known,
            null_B=(part == 1) & (away and negative is None), skip_B=part == parts - 1 if how.weak else None, **common,
        )  # fmt: skip
        cond, *others = v.chunk(parts)
        if not others:
            return cond  # type: ignore[no-any-return]
        return guide(
            cond, others[0] if away else None, how.guidance, how.rescale, others[-1] if how.weak else None, how.weak
        )

    return guided


@torch.no_grad()
def sample(
    dit: DiT,
    text: Text,
    start: Start,
    *,
    negative: Text | None = None,
    how: Sampling = Sampling(),  # noqa: B008 - frozen
    ctrl_BFK: Tensor | None = None,
    known_BG: Tensor | None = None,
    progress: Progress | None = None,
    around: Callable[[Denoise], Denoise] | None = None,
) -> Tensor:
    """Latents [B, C, F, h, w] from a start, sampled as `how` says; see `field`. `around` is what a caller puts around
    the velocity field, to look at what it says or to remember it."""
    velocity = field(
        dit, text, how, time_F=start.time_F, single_F=start.single_F, negative=negative, ctrl_BFK=ctrl_BFK,
        known_BG=known_BG,
    )  # fmt: skip

    def denoise(z: Tensor, t_BFS: Tensor) -> Tensor:
        v = velocity(z, t_BFS)
        return closed(v, start.period) if start.period else v

    followed = around(denoise) if around else denoise
    levels = schedule(how.steps, how.shift)
    lowest = start.start_BFS.min().to(levels)  # of a remix nothing happens below its level
    levels = torch.cat([lowest[None], levels[levels > lowest]])
    return SAMPLERS[how.sampler](followed, start.z, levels, start.start_BFS, progress)
