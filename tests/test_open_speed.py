"""What makes open checkpoints faster than plain diffusers: that it is used, and that it is the same."""

from __future__ import annotations

import shutil
from typing import Any

import diffusers
import numpy as np
import pytest
import tiny_parts
import torch
from asking import SIDES, Saved, asked, frames_of
from torch import Tensor, nn

from haneul.backbones.open import convolve, folder, once, padding
from haneul.backbones.open.backbone import Open
from haneul.backbones.open.extras import Extras

pytestmark = pytest.mark.usefixtures("in_float32")


class Counted(nn.Linear):
    """A layer that counts how often it is asked."""

    calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return super().forward(x)


def kept() -> tuple[Counted, Any]:
    layer = Counted(4, 4)
    return layer, once.Answers(layer)


@torch.no_grad()
def test_the_same_tensor_is_answered_once() -> None:
    layer, ask = kept()
    x, y = torch.randn(1, 3, 4), torch.randn(1, 3, 4)
    first = ask(x)
    assert ask(x) is first
    assert ask(x.view(1, 3, 4)) is first  # a view that lies alike
    assert not torch.equal(ask(y), first)
    assert ask(x) is first
    assert layer.calls == 2
    x.mul_(2)  # the same tensor with other numbers
    assert torch.equal(ask(x), nn.functional.linear(x, layer.weight, layer.bias))
    ask(y).add_(1)  # whoever got the answer changed it
    assert torch.equal(ask(y), nn.functional.linear(y, layer.weight, layer.bias))
    assert not torch.equal(ask(x[:, :2]), ask(x[:, 1:]))  # views that lie elsewhere
    with torch.enable_grad():
        assert ask(x).requires_grad


@torch.no_grad()
def test_a_part_that_is_never_asked_the_same_keeps_nothing() -> None:
    layer, ask = kept()
    x = torch.randn(1, 3, 4)
    for _ in range(once.TRIES):
        ask(torch.randn(1, 3, 4))
    assert not ask._known
    ask(x)
    ask(x)
    assert layer.calls == once.TRIES + 2


def test_a_text_is_projected_once_for_all_steps(saved: Saved) -> None:
    model = Open(folder.read(saved("wan")), extras=Extras(exact=True))
    keys = model.load(5, SIDES).own.transformer.blocks[1].attn2.to_k
    calls: list[int] = []
    ask = keys.forward._ask
    keys.forward._ask = lambda x: calls.append(x.shape[1]) or ask(x)
    request = asked(model, 5, SIDES, steps=4)
    frames_of(model.generate(request))
    assert calls == [512, 512]  # the text and what should not be seen
    frames_of(model.generate(request))
    assert len(calls) == 2


@torch.no_grad()
def test_padding_is_looked_up_once() -> None:
    denoiser = tiny_parts.wan_transformer().eval()
    given = {
        "hidden_states": torch.randn(2, 16, 2, 4, 4), "timestep": torch.tensor([500, 500]), "return_dict": False,
    }  # fmt: skip
    text = torch.randn(2, 512, 32)
    text[0, 9:], text[1, 20:] = 0, 0  # two texts of different lengths
    empty = torch.zeros(2, 512, 32)
    exact = [denoiser(encoder_hidden_states=one, **given)[0] for one in (text, text[:, :20], empty)]
    assert padding.fold_padding(denoiser) == 2
    places: list[int] = []
    denoiser.blocks[0].attn2.to_k.register_forward_pre_hook(lambda _, args: places.append(args[0].shape[1]))
    near = [denoiser(encoder_hidden_states=one, **given)[0] for one in (text, text[:, :20], empty)]
    assert places == [21, 20, 1]
    for a, b in zip(exact, near, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(near[0], near[1], rtol=1e-4, atol=1e-5)  # how much padding there is counts


@torch.no_grad()
def test_a_text_is_encoded_without_its_padding() -> None:
    encoder = tiny_parts.t5("UMT5")
    pipe = type("Pipe", (), {"text_encoder": encoder})()
    ids = torch.randint(4, 200, (2, 40))
    mask = torch.zeros_like(ids)
    mask[0, :7], mask[1, :12] = 1, 1
    asks = {
        "right": (ids, mask), "left": (ids, mask.flip(1)), "full": (ids, torch.ones_like(ids)), "none": (ids, None),
    }  # fmt: skip
    exact = {name: encoder(*one).last_hidden_state for name, one in asks.items()}
    padding.short_texts(pipe)
    padding.short_texts(pipe)  # once is enough
    tokens: list[int] = []
    encoder.encoder.embed_tokens.register_forward_pre_hook(lambda _, args: tokens.append(args[0].shape[1]))
    near = {name: encoder(one[0], attention_mask=one[1]).last_hidden_state for name, one in asks.items()}
    assert tokens == [12, 40, 40, 40]
    assert near["right"].shape == exact["right"].shape
    assert not near["right"][:, 12:].any()
    for name, one in asks.items():
        counts = one[1].bool() if one[1] is not None else torch.ones_like(ids).bool()
        torch.testing.assert_close(near[name][counts], exact[name][counts], rtol=1e-4, atol=1e-5)
    assert torch.equal(near["right"], encoder(ids, mask, return_dict=False)[0])


def kernels(work: Any) -> set[str]:
    """What PyTorch computed with."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        work()
    return {event.key for event in profile.key_averages()}


@torch.no_grad()
def test_a_decoder_computes_by_onednn() -> None:
    vae = tiny_parts.wan_vae().eval()
    latents, video = torch.randn(1, 16, 3, 4, 4), torch.rand(1, 3, 9, 32, 32)
    exact = vae.decode(latents).sample, vae.encode(video).latent_dist.mean
    assert convolve.by_onednn(vae) > 10
    near = vae.decode(latents).sample, vae.encode(video).latent_dist.mean
    for a, b in zip(exact, near, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)
    used = kernels(lambda: vae.decode(latents))
    assert "aten::mkldnn_convolution" in used
    assert not any("slow_conv" in name for name in used)
    halves = vae.to(torch.bfloat16).decode(latents.to(torch.bfloat16)).sample  # another precision is PyTorch's own
    assert halves.dtype == torch.bfloat16


def test_what_is_faster_can_be_left_off(saved: Saved) -> None:
    exact, faster = (Open(folder.read(saved("wan")), extras=Extras(exact=on)) for on in (True, False))
    for model, name in ((exact, "Conv3d"), (faster, "_Convolution")):
        convolution = model.load(5, SIDES).own.vae.decoder.conv_in._conv_forward
        assert name in getattr(convolution, "__qualname__", type(convolution).__name__)
    request = asked(exact, 5, SIDES)
    a, b = (frames_of(model.generate(request)).astype(int) for model in (exact, faster))
    assert np.abs(a - b).max() <= 1


@pytest.mark.skipif(shutil.which("g++") is None, reason="compiling wants g++")
def test_a_compiled_block_makes_the_same_picture(saved: Saved) -> None:
    exact, compiled = (Open(folder.read(saved("wan")), extras=Extras(exact=True, compile=on)) for on in (False, True))
    request = asked(exact, 5, SIDES)
    plain = frames_of(exact.generate(request)).astype(int)
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    made = frames_of(compiled.generate(request)).astype(int)
    graphs = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    torch._dynamo.reset()
    assert graphs > 0  # something was compiled
    assert np.abs(made - plain).max() <= 1  # of 255: rounding
    assert not [note for note in compiled.notes(request) if "compiled" in note]


def test_a_denoiser_that_names_no_block_is_not_compiled(saved: Saved, monkeypatch: pytest.MonkeyPatch) -> None:
    model = Open(folder.read(saved("wan")), extras=Extras(compile=True))
    monkeypatch.setattr(diffusers.WanTransformer3DModel, "_repeated_blocks", [])
    model.load(5, SIDES)
    assert any("does not say which of its blocks repeat" in note for note in model.notes(asked(model, 5, SIDES)))
