"""What a training step costs, counted on models without weights: operations by torch's own counter on the meta device,
bytes kept for the backward pass on fake tensors. Nothing is computed, so the largest model takes seconds.

A product of an n x m and an m x k matrix counts as 2 n m k operations; what is not a matrix product, a convolution or
attention counts as none.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd.graph import saved_tensors_hooks
from torch.overrides import TorchFunctionMode
from torch.utils.flop_counter import FlopCounterMode

from haneul.model.codec import GROUP, PATCH, Codec
from haneul.model.dit import DiT
from haneul.model.layers import attend_fused, attend_plain
from haneul.model.presets import Preset
from haneul.model.text import Text
from haneul.video.upscale import Upscaler

WORDS = 44  #: that a model reads of a caption; as in recipes.Recipe


class weightless(TorchFunctionMode):
    """Modules made inside have their parameters on the meta device: shapes, no numbers. What is computed from the
    configuration (indices, masks) stays real, which `torch.device("meta")` could not do."""

    FACTORIES = frozenset({torch.empty, torch.zeros, torch.ones, torch.randn})

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func in self.FACTORIES and kwargs.get("device") is None:
            kwargs["device"] = "meta"
        return func(*args, **kwargs)


def parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def latent_frames(preset: Preset) -> int:
    """Of the longest training clips."""
    return (preset.frames - 1) // GROUP + 1


def tokens(preset: Preset) -> int:
    """Of the longest training clips."""
    w, h = preset.base_size
    return latent_frames(preset) * (w // PATCH) * (h // PATCH)


def transformer(preset: Preset) -> DiT:
    """The preset's transformer without numbers."""
    with weightless():
        return DiT(preset.dit).to("meta")


def passed(model: DiT, preset: Preset, frames: int, clips: int, device: str = "meta") -> Tensor:
    """One forward pass as training does it; a number to go back from."""
    cfg = preset.dit
    w, h = preset.base_size
    text = Text(
        states=torch.zeros(clips, WORDS, cfg.text, device=device) if cfg.text else None,
        mask=torch.ones(clips, WORDS, dtype=torch.bool, device=device) if cfg.text else None,
        concepts=torch.zeros(clips, sum(cfg.concepts), device=device) if cfg.concepts else None,
    )
    v, truth = model(
        torch.zeros(clips, cfg.latent, frames, h // PATCH, w // PATCH, device=device),
        torch.zeros(clips, frames, 1, device=device),
        text,
        time_F=torch.zeros(frames, device=device),
        single_F=torch.zeros(frames, dtype=torch.bool, device=device),
        null_B=torch.zeros(clips, dtype=torch.bool, device=device),
        ctrl_BFK=torch.zeros(clips, frames, sum(cfg.controls), device=device),
        known_BG=torch.ones(clips, len(cfg.controls), device=device),
        truth_at=max(1, cfg.depth // 2) if cfg.truth else None,
    )
    loss: Tensor = v.float().square().mean()
    return loss if truth is None else loss + truth.float().square().mean()


# ---------------------------------------------------------------------------------------------------------- operations


@dataclass(frozen=True, kw_only=True)
class Flops:
    """Operations of one clip (window, crop): forward, backward, and how many of both are attention."""

    forward: int
    backward: int
    attention: int = 0

    @property
    def total(self) -> int:
        return self.forward + self.backward


def flops_of(forward: Callable[[], Tensor], *, attends: bool = False) -> Flops:
    """Of a forward pass and the backward pass from what it returns. In a model that attends, batched products are
    attention's alone."""
    with FlopCounterMode(display=False) as counter:
        loss = forward()
        before = counter.get_total_flops()
        if loss.requires_grad:
            loss.backward()
    kinds = counter.get_flop_counts().get("Global", {})
    attention = sum(n for kind, n in kinds.items() if "bmm" in str(kind)) if attends else 0
    return Flops(forward=before, backward=counter.get_total_flops() - before, attention=attention)


def shallow(preset: Preset, depth: int) -> Preset:
    """The same with so many blocks."""
    return replace(preset, dit=replace(preset.dit, depth=depth))


@cache
def transformer_flops(preset: Preset, frames: int | None = None) -> Flops:
    """Of one clip of so many latent frames, by default the longest. Counted on one and on two blocks: all are alike."""

    def count(depth: int) -> Flops:
        small = shallow(preset, depth)
        model = transformer(small)
        model.set_attention(attend_plain)  # the same operations as the fused one's, and the counter sees all of them
        return flops_of(lambda: passed(model, small, frames or latent_frames(preset), 1), attends=True)

    one, two, others = count(1), count(2), preset.dit.depth - 1
    return Flops(
        forward=one.forward + others * (two.forward - one.forward),
        backward=one.backward + others * (two.backward - one.backward),
        attention=one.attention + others * (two.attention - one.attention),
    )


def codec(preset: Preset) -> Codec:
    """The preset's codec without numbers; only what is learned wants gradients."""
    with weightless():
        net = Codec(preset.codec).to("meta")
    net.encoder.requires_grad_(preset.codec.learned)
    return net


def codec_flops(preset: Preset, window: int) -> Flops:
    """Of a window of so many frames through the codec and back; a fixed encoder has no backward pass."""
    net = codec(preset)
    w, h = preset.base_size
    video = torch.zeros(1, 3, window, h, w, device="meta")
    return flops_of(lambda: net.decode(net.encode(video)).square().mean())


def upscaler_flops(net: Upscaler, crop: int) -> Flops:
    """Of a crop of so many small pixels."""
    return flops_of(lambda: net(torch.zeros(1, 9, crop, crop, device="meta")).square().mean())


# --------------------------------------------------------------------------------------------------------- activations


@dataclass(frozen=True, kw_only=True)
class Activations:
    """Bytes kept for the backward pass: of the whole model and of one of its blocks, those that grow with the clips and
    those that do not (weights in bfloat16, made by autocast). `block_input` is all that a recomputed block keeps of a
    clip."""

    clip: int
    clip_block: int
    fixed: int
    fixed_block: int
    block_input: int
    depth: int

    def whole(self, clips: float) -> float:
        """Of so many clips at once."""
        return self.fixed + clips * self.clip

    def recomputed(self, clips: float) -> float:
        """The same where blocks are computed once more in the backward pass: their inputs, and one block at a time."""
        others = self.depth - 1
        fixed = self.fixed - others * self.fixed_block
        return fixed + clips * (self.clip - others * self.clip_block + self.depth * self.block_input)


def kept_bytes(forward: Callable[[], Tensor], module: nn.Module) -> int:
    """Bytes of all storages that autograd keeps for the backward pass of `forward`, the module's own weights aside."""
    held: dict[int, Tensor] = {}
    own = {t.untyped_storage()._cdata for t in (*module.parameters(), *module.buffers())}

    def pack(x: Tensor) -> Tensor:
        held.setdefault(x.untyped_storage()._cdata, x)  # kept alive, so that no address comes twice
        return x

    with saved_tensors_hooks(pack, lambda x: x):
        loss = forward()
    found = sum(x.untyped_storage().nbytes() for key, x in held.items() if key not in own)
    del loss
    return found


def activations(preset: Preset, *, fake: bool = True) -> Activations:
    """Of the longest clips, fused attention and bfloat16 autocast, nothing compiled. Counted on models of one and of
    two blocks and for one and two clips. `fake`: without memory or work."""
    mode: AbstractContextManager[Any] = FakeTensorMode(allow_non_fake_inputs=True) if fake else nullcontext()
    frames = latent_frames(preset)

    def count(depth: int, clips: int) -> int:
        small = shallow(preset, depth)
        model = transformer(small)
        model.set_attention(attend_fused)
        with mode, torch.autocast("cpu", torch.bfloat16):
            model.to_empty(device="cpu")
            return kept_bytes(lambda: passed(model, small, frames, clips, "cpu"), model)

    (one, one_more), (two, two_more) = ([count(depth, clips) for clips in (1, 2)] for depth in (1, 2))
    per_clip, per_clip_block = one_more - one, (two_more - two) - (one_more - one)
    fixed_block = (two - one) - per_clip_block
    others = preset.dit.depth - 1
    return Activations(
        clip=per_clip + others * per_clip_block,
        clip_block=per_clip_block,
        fixed=one - per_clip + others * fixed_block,
        fixed_block=fixed_block,
        block_input=4 * tokens(preset) * preset.dit.width,  # the residual stream is float32
        depth=preset.dit.depth,
    )
