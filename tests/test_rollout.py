"""What holds a long video's look, with the bundled codec: spread and sharpness of later windows."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from haneul.backbones.native import BUNDLED, read_part
from haneul.model.canvas import blank
from haneul.model.codec import Codec, CodecConfig, frames_of, laplacian
from haneul.model.modes import Start
from haneul.model.rollout import rollout, sharpness_of, softened, spread_of, steadied
from haneul.model.seams import met


@pytest.fixture(scope="module")
def codec() -> Codec:
    part, _ = read_part(Path(BUNDLED), "codec", lambda config: Codec(CodecConfig(**config)))
    return part.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def clean(codec: Codec) -> Tensor:
    """Latents of a bright square that moves over a plain ground."""
    video = torch.full((1, 3, 33, 64, 112), -0.2)
    for t in range(33):
        video[..., t, 20:44, 10 + 2 * t : 34 + 2 * t] = 0.7
    return codec.encode(video)[:, :, 1:]


def grainy(codec: Codec, z: Tensor, amount: float) -> Tensor:
    """The same with noise in its fine channels."""
    fine = (codec.fineness() > codec.fineness().median()).float()[:, None, None, None]
    return z + amount * fine * torch.randn(z.shape, generator=torch.Generator().manual_seed(1))


def test_fineness_orders_patterns() -> None:
    codec = Codec(CodecConfig(latent=3, width=8))
    y, x = torch.meshgrid(torch.arange(16), torch.arange(16), indexing="ij")
    flat, waves, checks = torch.ones(16, 16), torch.sin(x * 0.8), ((x + y) % 2 * 2 - 1).float()
    with torch.no_grad():
        codec.decoder.linear.weight.zero_()
        for k, pattern in enumerate((flat, waves, checks)):
            codec.decoder.linear.weight[:, k] = pattern.expand(12, 16, 16).flatten()
    fine = codec.fineness()
    assert fine[0] == 0
    assert 0 < fine[1] < fine[2]
    assert float(laplacian(checks).abs().min()) == 8


def test_a_sketch_is_the_linear_branch(codec: Codec, clean: Tensor) -> None:
    drawn, rough = frames_of(codec.decode_groups(clean)), frames_of(codec.sketch_groups(clean))
    assert rough.shape == drawn.shape
    assert float((drawn - rough).abs().mean()) < 0.1 * float(drawn.std())


@pytest.mark.parametrize("amount", [0.1, 0.2])
def test_grain_is_taken_back_and_what_is_coarse_stays(codec: Codec, clean: Tensor, amount: float) -> None:
    mean, _ = spread_of(clean)
    wanted, noisy = sharpness_of(codec, clean), grainy(codec, clean, amount)
    assert sharpness_of(codec, noisy) > 1.1 * wanted
    soft = softened(codec, noisy, mean, wanted)
    assert abs(sharpness_of(codec, soft) - wanted) < 0.6 * abs(sharpness_of(codec, noisy) - wanted)
    coarsest = int(codec.fineness().argmin())
    assert torch.allclose(soft[:, coarsest], noisy[:, coarsest], atol=0.05 * float(noisy[:, coarsest].std()))


def test_what_is_soft_already_is_left_alone(codec: Codec, clean: Tensor) -> None:
    mean, _ = spread_of(clean)
    assert torch.allclose(softened(codec, clean, mean, 2 * sharpness_of(codec, clean)), clean, atol=1e-5)


def test_a_long_roll_keeps_its_spread_and_sharpness(codec: Codec, clean: Tensor) -> None:
    """A model whose every window is bolder and grainier than the one before."""
    window = torch.cat([clean[:, :, :1], clean, clean[:, :, -4:]], 2)
    first = window.shape[2]
    told: list[Tensor] = []

    def worse(start: Start, number: int) -> Tensor:
        z = window[:, :, : start.z.shape[2]]
        told.append(grainy(codec, 1.3 * z, 0.05 * number) if number else z)
        return told[-1]

    pieces = rollout(
        codec, worse, blank(codec.cfg.latent, first + 3 * (first - 4), 4, 7), window=first, overlap=4, fps=12.0,
        generator=torch.Generator().manual_seed(0),
    )  # fmt: skip
    *_, last = pieces
    begin, as_made = window[:, :, 1:], told[-1][:, :, 4:]
    too_sharp = sharpness_of(codec, as_made) / sharpness_of(codec, begin)
    assert too_sharp > 1.5
    assert sharpness_of(codec, last) / sharpness_of(codec, begin) < 1 + 0.5 * (too_sharp - 1)
    assert float(last.std()) < 0.9 * float(as_made.std())


def test_steadied_brings_mean_and_spread() -> None:
    z = 3 * torch.randn(1, 4, 6, 5, 5) + 1
    like = torch.zeros(1, 4, 1, 1, 1), torch.full((1, 4, 1, 1, 1), 2.0)
    out = steadied(z, spread_of(z), like)
    assert torch.allclose(spread_of(out)[0], like[0], atol=1e-5)
    assert torch.allclose(spread_of(out)[1], like[1], atol=1e-4)


# ------------------------------------------------------------------------------------------------------------- seams


def jump(codec: Codec, z: Tensor, f: int) -> float:
    """What the ground's colour changes from latent frame f - 1 to f more than the frames around let expect."""
    ground = codec.decode_groups(z).unflatten(2, (4, 3))[..., 48:, :].mean((-1, -2))
    p1, p0, q0, q1 = ground[:, f - 1, 2], ground[:, f - 1, 3], ground[:, f, 0], ground[:, f, 1]
    return float(((q0 - p0) - ((p0 - p1) + (q1 - q0)) / 2).abs().max())


@pytest.mark.parametrize("given", [slice(0, 4), slice(4, 8)])
def test_what_is_new_meets_what_is_given(codec: Codec, clean: Tensor, given: slice) -> None:
    """One side is a little brighter and redder: the new one comes from the given one, which stays."""
    level = torch.zeros(1, 8, 1)
    level[:, given] = 0.96
    new = level[0, :, 0] == 0
    brighter = torch.zeros(1, 8, 12, 64, 112)
    brighter[:, new] = 0.03
    brighter[:, new, ::3] = 0.05
    z = clean + torch.stack([codec.change(g) for g in brighter.unbind(1)], 2)
    out = met(codec, z, level)
    assert torch.equal(out[:, :, given], z[:, :, given])
    far = [0, 1] if given.start else [6, 7]
    assert torch.equal(out[:, :, far], z[:, :, far])
    assert jump(codec, z, 4) > 0.01
    assert jump(codec, out, 4) < 0.35 * jump(codec, z, 4)


def test_where_all_or_nothing_is_given_nothing_is_changed(codec: Codec, clean: Tensor) -> None:
    for level in (torch.zeros(1, 8, 1), torch.ones(1, 8, 1), torch.full((1, 8, 28), 0.5)):
        assert torch.equal(met(codec, clean, level), clean)
    box = torch.ones(1, 8, 28)
    box[:, :, :5] = 0  # inpainting: no frame is given whole
    assert torch.equal(met(codec, clean, box), clean)


def test_a_great_change_is_no_seam(codec: Codec, clean: Tensor) -> None:
    level = torch.tensor([1.0, 1, 1, 1, 0, 0, 0, 0])[None, :, None]
    cut = torch.cat([clean[:, :, :4], -clean[:, :, 4:]], 2)
    moved = (met(codec, cut, level) - cut).abs().mean() / (cut[:, :, 4] - cut[:, :, 3]).abs().mean()
    assert float(moved) < 0.05
