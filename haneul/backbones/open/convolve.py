"""Convolutions of a decoder on a processor.

PyTorch (2.13) computes the small convolutions over time and space of video decoders by unfolding every window into a
matrix (`slow_conv3d`), where oneDNN, which it comes with, computes them directly: several times as fast, with much less
memory (docs/log.md). Here oneDNN is asked itself, with weights laid out as it wants them.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

_LAYOUTS = {4: torch.channels_last, 5: torch.channels_last_3d}


def by_onednn(vae: nn.Module) -> int:
    """Let the convolutions of a decoder (and encoder) in float32 be computed by oneDNN. Returns how many there are; of
    those on another device or in another precision none is changed."""
    if not torch.backends.mkldnn.is_available():
        return 0
    count = 0
    for part in vae.modules():
        if not isinstance(part, nn.Conv2d | nn.Conv3d) or part.padding_mode != "zeros" or isinstance(part.padding, str):
            continue
        weight = part.weight
        if weight.device.type != "cpu" or weight.dtype != torch.float32 or part.groups != 1:
            continue
        weight.data = weight.data.contiguous(memory_format=_LAYOUTS[weight.ndim])
        part._conv_forward = _Convolution(part)  # type: ignore[assignment]
        count += 1
    return count


class _Convolution:
    """As `nn.Conv3d._conv_forward`, of one part."""

    def __init__(self, part: nn.Conv2d | nn.Conv3d) -> None:
        self.part = part
        self.usual: Any = part._conv_forward

    def __call__(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """x [B, C, (T,) H, W] and the part's own weight and bias."""
        if torch.is_grad_enabled() or x.device.type != "cpu" or not x.dtype == weight.dtype == torch.float32:
            usual: Tensor = self.usual(x, weight, bias)
            return usual
        part: Any = self.part
        return torch.mkldnn_convolution(x, weight, bias, part.padding, part.stride, part.dilation, part.groups)
