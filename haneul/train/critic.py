"""A critic for the upscaler: it learns to tell drawn pictures from rendered ones, the upscaler learns not to be told.

The mean of all pictures that a soft one may stand for is soft itself, and that mean is what a distance asks for. A
critic asks for one of them.
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm


class Critic(nn.Module):
    """Judges patches of about 46 pixels of two moments together, so that what flickers is told as well, beside the
    small picture that they were drawn from, so that a sharp picture of something else is told too."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        widths = (9, width, 2 * width, 3 * width)
        self.down = nn.ModuleList(spectral_norm(nn.Conv2d(a, b, 4, stride=2, padding=1)) for a, b in pairwise(widths))
        self.last = spectral_norm(nn.Conv2d(widths[-1], 1, 3, padding=1))

    def forward(self, moments_B23HW: Tensor, small_B3hw: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Two moments [B, 2, 3, H, W] and the small picture [B, 3, h, w] of the same place -> logits [B, 1, H/8, W/8],
        and the features before them, from fine to coarse."""
        seen = F.interpolate(small_B3hw, size=moments_B23HW.shape[-2:], mode="bilinear", align_corners=False)
        x, features = torch.cat([moments_B23HW.flatten(1, 2), seen], 1), []
        for conv in self.down:
            x = F.leaky_relu(conv(x), 0.2)
            features.append(x)
        return self.last(x), features


def critic_loss(real: Tensor, drawn: Tensor) -> Tensor:
    """Hinge loss (Lim & Ye, arXiv 1705.02894, eq. 8) of the critic's logits."""
    return F.relu(1 - real).mean() + F.relu(1 + drawn).mean()


def deceit_loss(critic: Critic, real: Tensor, drawn: Tensor, small: Tensor) -> tuple[Tensor, Tensor]:
    """Of the one who draws: minus the critic's logits, and how far its features are from those of the render (Wang et
    al., arXiv 1711.11585, eq. 4)."""
    logits, features = critic(drawn, small)
    with torch.no_grad():
        _, wanted = critic(real, small)
    apart = sum((F.l1_loss(a, b) for a, b in zip(features, wanted, strict=True)), torch.zeros(()))
    return -logits.mean(), apart / len(features)
