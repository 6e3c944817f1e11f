"""The live model's code for single frames, and what a coded frame is once all in it has moved (see live.py).

Shapes: N frames, S places of the latent picture, C latent channels, K shifts.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

#: Ways in pixels, right and down, by which what stood in the frame before may have moved: level ones first.
SHIFTS = (*((x, 0) for x in range(-9, 10)), (-4, 1), (0, 1), (4, 1), (0, 2))
PATCH = 16  #: pixels per latent row and column


class FrameCode(nn.Module):
    """Principal components of patches of PATCH x PATCH pixels of single frames, C of 768.

    The video codec of the other models spends its channels on groups of four frames; of single frames it holds less
    (docs/log.md), and its decoder takes longer than a frame may. Components are divided by the root of their deviation
    and then all by one number, as in codec.py, so that fine detail is neither lost nor as loud as the layout.
    """

    mean: Tensor
    basis: Tensor
    scale: Tensor

    def __init__(self, latent: int, grid: tuple[int, int]) -> None:
        super().__init__()
        self.grid = grid
        self.register_buffer("mean", torch.zeros(3 * PATCH**2))
        self.register_buffer("basis", torch.zeros(latent, 3 * PATCH**2))
        self.register_buffer("scale", torch.ones(latent))
        self._maps: tuple[object, list[Tensor], Tensor] | None = None

    @torch.no_grad()
    def fit(self, frames_N3HW: Tensor) -> None:
        """Take the components from a sample of frames in [-1, 1]."""
        x = self.patches(frames_N3HW).flatten(0, 1)
        self.mean.copy_(x.mean(0))
        x = x - self.mean
        variance, axes = torch.linalg.eigh(x.mT @ x / len(x))
        latent = len(self.scale)
        self.basis.copy_(axes.flip(1)[:, :latent].mT)
        deviation = variance.flip(0)[:latent].clamp(min=1e-8).sqrt()
        soft = deviation.sqrt()
        self.scale.copy_(soft * (deviation / soft).square().mean().sqrt())

    def patches(self, frames_N3HW: Tensor) -> Tensor:
        """[N, S, 768]"""
        return F.pixel_unshuffle(frames_N3HW, PATCH).flatten(2).mT

    def encode(self, frames_N3HW: Tensor) -> Tensor:
        """Frames in [-1, 1] -> [N, S, C]."""
        z: Tensor = (self.patches(frames_N3HW) - self.mean) @ self.basis.mT / self.scale
        return z

    def decode(self, z_NSC: Tensor) -> Tensor:
        """[N, S, C] -> frames [N, 3, H, W], about in [-1, 1] (not clamped)."""
        x = (z_NSC * self.scale) @ self.basis + self.mean
        return F.pixel_shuffle(x.mT.unflatten(2, self.grid), PATCH)

    @torch.no_grad()
    def shifted(self, z_NSC: Tensor) -> Tensor:
        """Frames as they would be had all in them moved by each of SHIFTS, [N, S, K, C]; what comes in at a border is
        the patch there again. The code is linear, so this is a matrix product with a patch and those beside it."""
        maps, bias_KC = self._shift_maps()
        h, w = self.grid
        x = z_NSC.unflatten(1, (h, w)).movedim(-1, 1)
        x = F.pad(x, (1, 1, 1, 0), mode="replicate").movedim(1, -1)
        places = [x[:, i : i + h, j : j + w] for i in (1, 0) for j in (1, 0, 2)]
        parts = [
            (torch.cat(places[: len(one) // len(self.scale)], -1) @ one).unflatten(-1, (-1, len(self.scale)))
            for one in maps
        ]
        return torch.cat(parts, -2).flatten(1, 2) + bias_KC

    def _shift_maps(self) -> tuple[list[Tensor], Tensor]:
        """For the shifts without and with a way down: [n * C, K * C] over a patch, those left and right of it, and the
        three above; and what the mean patch adds, [K, C]. Kept until the code is another one."""
        key = (self.basis.data_ptr(), self.basis._version, self.scale._version)
        if self._maps is None or self._maps[0] != key:
            C, side = len(self.scale), 3 * PATCH
            atoms = F.pixel_shuffle((self.basis * self.scale[:, None])[:, :, None, None], PATCH)
            tile = F.pixel_shuffle(self.mean[None, :, None, None], PATCH)

            def seen(canvas: Tensor, shift: tuple[int, int]) -> Tensor:
                x, y = shift
                part = canvas[:, :, PATCH - y : 2 * PATCH - y, PATCH - x : 2 * PATCH - x]
                found: Tensor = F.pixel_unshuffle(part, PATCH).flatten(1) @ self.basis.mT / self.scale
                return found

            def rows(i: int, j: int, shifts: Sequence[tuple[int, int]]) -> Tensor:
                canvas = atoms.new_zeros(C, 3, side, side)
                canvas[:, :, i * PATCH : (i + 1) * PATCH, j * PATCH : (j + 1) * PATCH] = atoms
                return torch.cat([seen(canvas, shift) for shift in shifts], 1)

            level = [shift for shift in SHIFTS if shift[1] == 0]
            down = [shift for shift in SHIFTS if shift[1] > 0]
            maps = [
                torch.cat([rows(1, j, level) for j in (1, 0, 2)]),
                torch.cat([rows(i, j, down) for i in (1, 0) for j in (1, 0, 2)]),
            ]
            same = seen(tile.repeat(1, 1, 3, 3), (0, 0))
            bias = torch.cat([seen(tile.repeat(1, 1, 3, 3), shift) - same for shift in (*level, *down)])
            self._maps = key, maps, bias
        return self._maps[1], self._maps[2]
