"""The probability path, the noise levels and the loss: the one file that training and sampling share.

Rectified flow (Liu et al., arXiv 2209.03003; Lipman et al., arXiv 2210.02747): z_t = t z + (1 - t) noise with t = 0
pure noise and t = 1 clean, velocity v = dz/dt = z - noise. Unlike the papers, t is one number per token.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


def mix(z: Tensor, noise: Tensor, t: Tensor) -> Tensor:
    """The path: `t` broadcasts against `z`."""
    return t * z + (1 - t) * noise


def velocity(z: Tensor, noise: Tensor) -> Tensor:
    """What the model predicts."""
    return z - noise


def clean_from_velocity(z_t: Tensor, v: Tensor, t: Tensor) -> Tensor:
    """The clean latents that a velocity at level `t` points to."""
    return z_t + (1 - t) * v


def preconditioning(t: Tensor, s: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Factors on what is noisy at a model's door, past the model, and on what the model says, of a channel of standard
    deviation `s` at level `t`; they broadcast.

    The best linear guess of the velocity from z_t is (t s^2 - (1 - t)) / (t^2 s^2 + (1 - t)^2) z_t, and its error has
    the standard deviation s / sqrt(t^2 s^2 + (1 - t)^2). The model only says what is missing from that guess, in units
    of that error: the preconditioning of Karras et al. (arXiv 2206.00364, section 5) for the straight path. So no part
    of its width is spent on carrying noise through (compare arXiv 2511.13720).
    """
    energy = (t * s).square() + (1 - t).square()
    return energy.rsqrt(), (t * s.square() - (1 - t)) / energy, s * energy.rsqrt()


def shift_levels(u: Tensor, shift: float) -> Tensor:
    """Spend more of [0, 1] at high noise: t = u / (u + shift (1 - u)) (SD3, arXiv 2403.03206, eq. 23, in our t)."""
    return u / (u + shift * (1 - u))


@dataclass(frozen=True, kw_only=True)
class LevelMix:
    """Shares of the noise-level family that training draws from; what is left over has all tokens equal."""

    prefix: float = 0.12
    suffix: float = 0.05
    ends: float = 0.05
    random_frames: float = 0.06
    independent: float = 0.08
    box: float = 0.04
    next: float = 0.0  # all but the last one to three latent frames are given, as where a world is played live
    # Of the logit-normal, below 0 towards noise, for a single latent frame. The leading components of the latents stand
    # far above the others and are alike all over a clip, so that setting and colours are decided at very high noise;
    # the more tokens agree, the higher (SD3, arXiv 2403.03206, section 5.3.2: the odds of t go with one over the root
    # of their number).
    mean: float = -1.2
    std: float = 1.7
    context_noise: float = 0.1  # given tokens are up to this far from clean

    def __post_init__(self) -> None:
        total = self.prefix + self.suffix + self.ends + self.random_frames + self.independent + self.box + self.next
        if not 0 <= total <= 1:
            raise ValueError(f"shares of the noise levels add up to {total:.2f}; they must lie within 0 and 1")


def draw_levels(
    mix_: LevelMix, batch: int, frames: int, h: int, w: int, generator: torch.Generator, base_B: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Noise levels [B, F, S] and loss weights of the same shape (0 on given tokens).

    All clips of a batch follow the same member of the family, drawn by its share, so that S is 1 (all of a frame's
    tokens equal) unless the member is a box: the modulation is then computed once per frame and not per token.
    `base_B` are the levels of tokens that are not given, where they are not to be drawn.
    """

    mean = mix_.mean - 0.5 * math.log(frames)

    def logit_normal(*shape: int) -> Tensor:
        return torch.sigmoid(torch.randn(*shape, generator=generator) * mix_.std + mean)

    def nearly_clean(*shape: int) -> Tensor:
        # half of the time exactly clean, else a little noise: context that a rollout made is not perfect
        noisy = torch.rand(*shape, generator=generator) * mix_.context_noise
        return 1 - noisy * (torch.rand(*shape, generator=generator) < 0.5)

    alike = logit_normal(batch, 1, 1) if base_B is None else base_B.view(batch, 1, 1)
    base = alike.expand(batch, frames, 1).clone()
    if frames == 1:
        return base, torch.ones_like(base)
    names = ("prefix", "suffix", "ends", "random_frames", "independent", "box", "next")
    edges = torch.tensor([getattr(mix_, n) for n in names]).cumsum(0)
    pick = int((torch.rand((), generator=generator) >= edges).sum())
    given = torch.zeros(batch, frames, 1, dtype=torch.bool)
    index = torch.arange(frames)[None, :, None]
    if pick < 2:
        length = torch.randint(1, max(2, frames // 2 + 1), (batch, 1, 1), generator=generator)
        given = index < length if pick == 0 else index >= frames - length
    elif pick == 2:
        given = ((index == 0) | (index == frames - 1)).expand(batch, -1, -1)
    elif pick == 3:
        given = torch.rand(batch, frames, 1, generator=generator) < 0.4
        given[:, int(torch.randint(frames, (), generator=generator))] = False
    elif pick == 4:
        return logit_normal(batch, frames, 1), torch.ones(batch, frames, 1)
    elif pick == 5:
        given = ~_boxes(batch, frames, h, w, generator)
        base = base.expand(-1, -1, h * w)
    elif pick == 6:
        last = torch.randint(1, min(3, frames - 1) + 1, (batch, 1, 1), generator=generator)
        given = (index < frames - last).expand(batch, -1, -1)
    if frames == 2 and bool(given.all()):
        given = torch.zeros_like(given)
    levels = torch.where(given, nearly_clean(*given.shape), base)
    return levels, (~given).float().expand_as(levels).contiguous()


def _boxes(batch: int, frames: int, h: int, w: int, generator: torch.Generator) -> Tensor:
    """Random boxes in space and time, [B, F, S], true inside."""
    inside = torch.ones(batch, frames, h, w, dtype=torch.bool)
    for axis, size in ((1, frames), (2, h), (3, w)):
        length = torch.randint((size + 1) // 2, size + 1, (batch,), generator=generator)
        start = (torch.rand(batch, generator=generator) * (size - length + 1)).long()
        place = torch.arange(size)
        hit = (place >= start[:, None]) & (place < (start + length)[:, None])
        shape = [batch, 1, 1, 1]
        shape[axis] = size
        inside &= hit.view(shape)
    return inside.flatten(2)


def flow_loss(v: Tensor, z: Tensor, noise: Tensor, weight: Tensor) -> Tensor:
    """Mean squared error of the velocity [B, C, F, h, w], weighted per token by `weight` [B, F, h, w]."""
    error = (v - velocity(z, noise)).square().mean(1)
    return (error * weight).sum() / weight.sum().clamp(min=1e-6)
