"""The filter of borders: what belongs to a border goes, what belongs to the picture stays."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from haneul.model.codec import GROUP, PATCH, Codec, CodecConfig, filtered
from haneul.model.deblock import LIMIT, across_groups, across_patches, smoothed


def steps(x: Tensor, border: int) -> float:
    """The mean step at a border along the last axis."""
    return float((x[..., border] - x[..., border - 1]).abs().mean())


def test_small_steps_between_patches_go_and_edges_stay() -> None:
    x = torch.zeros(1, 3, 32, 48)
    x[..., 16:32] = LIMIT / 4
    x[..., 32:] = 0.9
    found = across_patches(x, PATCH)
    assert steps(found, 16) < 0.25 * steps(x, 16)
    assert steps(found, 32) > 0.99 * steps(x, 32)


def test_a_slope_is_no_border() -> None:
    x = torch.linspace(-1, 1, 64).expand(1, 3, 64, 64)
    assert torch.allclose(across_patches(x, PATCH), x, atol=1e-6)


def test_jerks_between_groups_go_and_motion_stays() -> None:
    groups = torch.zeros(1, 4, GROUP, 3, 16, 16)
    groups[:, 2:] += LIMIT / 4  # a little brighter all at once
    groups[:, 3:, ..., :8] += 0.9  # something came
    found = across_groups(groups, first=True).flatten(1, 2)
    frames = groups.flatten(1, 2)
    jerk, came = ((frames[:, t] - frames[:, t - 1]).abs() for t in (8, 12))
    smoother, stayed = ((found[:, t] - found[:, t - 1]).abs() for t in (8, 12))
    assert smoother.mean() < 0.25 * jerk.mean()
    assert stayed[..., :8].mean() > 0.99 * came[..., :8].mean()


def test_the_first_frame_of_a_clip_stays_as_it_is() -> None:
    torch.manual_seed(0)
    groups = 0.02 * torch.randn(1, 3, GROUP, 3, 16, 16)
    begun, going = (across_groups(groups, first=first) for first in (True, False))
    assert torch.equal(begun[:, 0], groups[:, 0])
    assert torch.equal(begun[:, 1, :2], groups[:, 1, :2])
    assert not torch.equal(going[:, 0], groups[:, 0])
    assert torch.equal(begun[:, 2], going[:, 2])


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_nothing_to_filter(axis: int) -> None:
    x = torch.randn(4, 4, 4)
    assert smoothed(x, axis, [], 1) is x


@pytest.mark.parametrize("sizes", [[11], [1, 1, 1, 8], [4, 7], [3, 3, 3, 2], [2] * 5 + [1]])
def test_pieces_are_drawn_as_the_whole(sizes: list[int]) -> None:
    torch.manual_seed(0)
    codec = Codec(CodecConfig(latent=8, width=16)).eval()
    for p in codec.parameters():
        torch.nn.init.normal_(p, std=0.02)
    z = torch.randn(1, 8, sum(sizes), 2, 3)
    with torch.no_grad():
        whole = codec.decode(z)
        raw = codec.decode_groups(z)
        drawn = torch.cat(list(codec.decode_pieces(z.split(sizes, 2), most=3)), 2)
    assert whole.shape == (1, 3, GROUP * (sum(sizes) - 1) + 1, 32, 48)
    assert torch.allclose(drawn, whole, atol=1e-5)
    assert not torch.allclose(filtered(raw, first=True), raw, atol=1e-4)
