"""Samplers: plain functions of one signature, `sampler(denoise, z, levels, start) -> z`.

`denoise(z_BCFhw, t_BFS) -> v_BCFhw` is the velocity field (guidance included), `levels` the schedule from 0 to 1 and
`start_BFS` the level that each token starts from: a token joins when the schedule reaches it, and tokens that start at
1 are given and never move.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from .flow import shift_levels

STEPS = 12  #: of the sampler, unless another number is asked for
SHIFT = 8.0  #: of the noise levels towards noise, where layout is decided (docs/log.md)
GUIDANCE = 2.5  #: strength of guidance, likewise: less loses second things, more burns colours (docs/log.md)
RESCALE = 0.3  #: how much of the spread that guidance adds is taken back
WEAK = 1.0  #: strength of the guidance away from the same model without one of its blocks (docs/log.md)

Denoise = Callable[[Tensor, Tensor], Tensor]
Progress = Callable[[int, int], None]
Sampler = Callable[[Denoise, Tensor, Tensor, Tensor, Progress | None], Tensor]


def schedule(steps: int, shift: float = SHIFT) -> Tensor:
    """Noise levels [steps + 1] from 0 (noise) to 1 (clean), denser near the noise for shift > 1."""
    if steps < 1:
        raise ValueError(f"steps must be at least 1, not {steps}")
    return shift_levels(torch.linspace(0, 1, steps + 1), shift)


def _token_levels(level: Tensor, start_BFS: Tensor) -> Tensor:
    return torch.maximum(start_BFS, level.to(start_BFS))


def over_tokens(step_BFS: Tensor, z: Tensor) -> Tensor:
    """[B, F, S or 1] -> broadcastable against [B, C, F, h, w]."""
    B, _, T, h, w = z.shape
    return step_BFS.expand(B, T, step_BFS.shape[2]).reshape(B, 1, T, *((h, w) if step_BFS.shape[2] > 1 else (1, 1)))


def euler(denoise: Denoise, z: Tensor, levels: Tensor, start_BFS: Tensor, progress: Progress | None = None) -> Tensor:
    """Explicit Euler steps, one model call each."""
    for i in range(len(levels) - 1):
        t, t_next = _token_levels(levels[i], start_BFS), _token_levels(levels[i + 1], start_BFS)
        z = z + over_tokens(t_next - t, z) * denoise(z, t)
        if progress:
            progress(i + 1, len(levels) - 1)
    return z


def heun(denoise: Denoise, z: Tensor, levels: Tensor, start_BFS: Tensor, progress: Progress | None = None) -> Tensor:
    """Heun's second-order method (Karras et al., arXiv 2206.00364, alg. 1): two calls a step, one in the last."""
    for i in range(len(levels) - 1):
        t, t_next = _token_levels(levels[i], start_BFS), _token_levels(levels[i + 1], start_BFS)
        step = over_tokens(t_next - t, z)
        v = denoise(z, t)
        if i < len(levels) - 2:
            v = (v + denoise(z + step * v, t_next)) / 2
        z = z + step * v
        if progress:
            progress(i + 1, len(levels) - 1)
    return z


def multistep(
    denoise: Denoise, z: Tensor, levels: Tensor, start_BFS: Tensor, progress: Progress | None = None
) -> Tensor:
    """Second-order Adams-Bashforth with variable steps: Heun's accuracy at Euler's price of one call a step."""
    before: Tensor | None = None
    for i in range(len(levels) - 1):
        t, t_next = _token_levels(levels[i], start_BFS), _token_levels(levels[i + 1], start_BFS)
        v = denoise(z, t)
        use = v
        if before is not None:
            ratio = float((levels[i + 1] - levels[i]) / (levels[i] - levels[i - 1])) / 2
            use = v + ratio * (v - before)
        z = z + over_tokens(t_next - t, z) * use
        before = v
        if progress:
            progress(i + 1, len(levels) - 1)
    return z


SAMPLERS: dict[str, Sampler] = {"euler": euler, "heun": heun, "multistep": multistep}


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How to sample from a set of weights; its card has it. Guidance 1 is none and costs one evaluation less a step;
    so does `weak` 0 (see modes.field)."""

    steps: int = STEPS
    guidance: float = GUIDANCE
    rescale: float = RESCALE
    weak: float = WEAK
    shift: float = SHIFT
    sampler: str = "multistep"  # of SAMPLERS

    def __post_init__(self) -> None:
        if self.sampler not in SAMPLERS:
            raise ValueError(f"unknown sampler {self.sampler!r}; known are {', '.join(SAMPLERS)}")


def guide(
    cond: Tensor,
    uncond: Tensor | None,
    scale: float,
    rescale: float = 0.0,
    weak: Tensor | None = None,
    weak_scale: float = 0.0,
) -> Tensor:
    """Classifier-free guidance (Ho & Salimans, arXiv 2207.12598) and guidance away from a weakened model (Hyung et al.,
    arXiv 2411.18664), together pulled back to the conditional prediction's spread (Lin et al., arXiv 2305.08891,
    eq. 15-16) so that high scales don't burn colours."""
    v = cond if uncond is None else uncond + scale * (cond - uncond)
    if weak is not None:
        v = v + weak_scale * (cond - weak)
    if rescale:
        axes = tuple(range(1, v.ndim))
        v = v * (1 - rescale + rescale * cond.std(axes, keepdim=True) / v.std(axes, keepdim=True).clamp(min=1e-8))
    return v
