"""Small parts that the transformer and the text encoder share."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

#: (q, k, v as [B, heads, N, d], additive mask broadcastable to [B, heads, Nq, Nk] or None) -> [B, heads, Nq, d]
Attend = Callable[[Tensor, Tensor, Tensor, Tensor | None], Tensor]


def attend_fused(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    """Attention by PyTorch's fused kernels: best on GPUs and for inference."""
    return F.scaled_dot_product_attention(q, k, v, attn_mask=None if mask is None else mask.to(q.dtype))


def attend_plain(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    """Attention as two matrix products; its backward is three times faster than the fused one on CPUs (docs/log.md)."""
    scores = (q * q.shape[-1] ** -0.5) @ k.mT
    if mask is not None:
        scores = scores + mask.to(scores.dtype)
    mixed: Tensor = scores.softmax(-1).to(v.dtype) @ v
    return mixed


def attend_unshifted(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    """Attention of normalised queries and keys: best for inference in bfloat16 on CPUs (docs/log.md).

    |q k| / sqrt(d) is at most sqrt(d), whose exponential is no great number, so nothing has to be taken off before the
    exponential, and rows are divided by their sums last, where they are short.
    """
    scale = q.shape[-1] ** -0.5
    q_, k_, v_ = (x.flatten(0, 1) for x in (q, k, v))
    scores = torch.baddbmm(q.new_empty(()), q_, k_.mT, beta=0, alpha=scale)
    if mask is not None:
        scores = (scores.view(*q.shape[:3], -1) + mask.to(scores.dtype)).flatten(0, 1)
    weights = scores.exp_()
    mixed = torch.bmm(weights, v_).div_(weights.sum(-1, keepdim=True))
    return mixed.view(*q.shape[:3], -1)


def rms(x: Tensor) -> Tensor:
    """Root mean square normalisation over the last axis, without a gain (Zhang & Sennrich, arXiv 1910.07467)."""
    return F.rms_norm(x, (x.shape[-1],))


def swiglu_width(width: int) -> int:
    """Width inside a SwiGLU: 8/3 of the model's, rounded up to 64."""
    return -(-width * 8 // 3 // 64) * 64


def mask_bias(mask_BL: Tensor) -> Tensor:
    """Additive attention bias [B, 1, 1, L]: 0 where the mask is true, a large negative number elsewhere."""
    return torch.zeros(mask_BL.shape, device=mask_BL.device).masked_fill(~mask_BL, -1e4)[:, None, None]


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary position embedding of [..., N, d] by angles [N, d/2] (Su et al., arXiv 2104.09864), split-half layout."""
    a, b = x.chunk(2, -1)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], -1)


def fourier(x: Tensor, width: int, scale: float = 1000.0) -> Tensor:
    """Sinusoidal features [..., width] of a number: the timestep embedding of Vaswani et al., arXiv 1706.03762."""
    half = width // 2
    freq = torch.exp(-9.21034 * torch.arange(half, device=x.device, dtype=torch.float32) / half)
    angle = x[..., None].float() * scale * freq
    return torch.cat([angle.cos(), angle.sin()], -1)
