"""The upscaler's two ways to draw: the plain one, from which it learns, and the one that writes bytes."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from haneul.video.upscale import Upscaler, UpscalerConfig

FOLDED = {"middle": 2, "fold": 2}


def upscaler(**config: int) -> Upscaler:
    """Untrained, but its last layer says something."""
    torch.manual_seed(0)
    made = Upscaler(UpscalerConfig(width=8, depth=1, fine=4, **config)).requires_grad_(False)
    torch.nn.init.normal_(made.out.weight, std=0.2)
    torch.nn.init.normal_(made.out.bias, std=0.2)  # type: ignore[arg-type]
    return made


def plain(model: Upscaler, triple_B9hw: Tensor, k: int) -> Tensor:
    """uint8 [B, H, W, 3] of `forward`."""
    return ((model(triple_B9hw)[:, k] + 1) * 127.5).round().clamp(0, 255).permute(0, 2, 3, 1).to(torch.uint8)


@pytest.mark.parametrize("config", [{}, {"middle": 2}, {"scale": 4}, {"scale": 2, "middle": 2}, FOLDED])
@pytest.mark.parametrize("size", [(5, 9), (1, 3), (2, 2), (1, 1)])
def test_bytes_are_those_of_the_plain_way(config: dict[str, int], size: tuple[int, int]) -> None:
    model = upscaler(**config)
    triple = torch.rand(2, 9, *size) * 2.4 - 1.2  # what lies outside of the range is cut
    seen = model.see(triple)
    for k in (0, 1):
        drawn, expected = model.picture(triple, seen, k), plain(model, triple, k)
        assert drawn.dtype == torch.uint8
        assert drawn.shape == expected.shape
        difference = (drawn.int() - expected.int()).abs()
        assert difference.max() <= 1
        assert (difference > 0).float().mean() < 0.01


@pytest.mark.parametrize("config", [{"middle": 2}, FOLDED])
def test_a_stream_is_drawn_as_its_moments(config: dict[str, int]) -> None:
    model = upscaler(**config)
    frames = torch.rand(6, 3, 4, 7) * 2 - 1
    drawn = torch.stack(list(model.stream(frames, chunk=4)))
    around = [frames[[max(i - 1, 0), i, min(i + 1, 5)]].flatten(0, 1) for i in range(6)]
    expected = torch.stack([plain(model, torch.stack(around), k) for k in (0, 1)], 1).flatten(0, 1)[:-1]
    assert drawn.shape == (11, 32, 56, 3)
    assert (drawn.int() - expected.int()).abs().max() <= 1
    single = torch.stack(list(model.stream(frames, double=False)))
    assert torch.equal(single, drawn[::2])
