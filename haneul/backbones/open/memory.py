"""What a checkpoint takes, and how it is brought into the memory that is there.

Weights are counted exactly, from the headers of their files. What is computed in between is estimated: a denoiser holds
some twenty numbers for each token and channel (its input, queries, keys, values, the widest layer at four times the
width, and what is added up), a decoder some four feature maps at full size. Attention itself is computed in pieces and
takes no memory that grows with the square of the tokens.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from haneul.backbones.open import quantise
from haneul.backbones.open.family import Rules, compression
from haneul.backbones.open.folder import Checkpoint, Part

Place = Literal["whole", "parts", "layers"]
PER_TOKEN = 20  #: numbers for each token and channel of a denoiser
PER_PIXEL = 4  #: feature maps of a decoder at full size
TILE = 256 * 256 * 16  #: pixels of the tiles that diffusers decodes in: 256 x 256 and some frames
SPARE = 0.06  #: of the memory, for the library itself and what fragments
GIB = 2**30
BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How a checkpoint lies in memory. `place`: all of it on the device, the part that computes, or its layer."""

    device: str
    dtype: str
    place: Place = "whole"
    tiled: bool = False  #: decoded in tiles
    fp8: bool = False  #: the denoiser's weights kept in eight bits and computed in `dtype`
    int8: bool = False  #: the denoiser's linear layers quantised by torchao and computed in `dtype`
    peak: int = 0  #: bytes on the device, estimated
    why: str = ""

    def text(self) -> str:
        """One line for the user."""
        where = {"whole": "all of it", "parts": "the part that computes", "layers": "the layer that computes"}
        more = [self.dtype]
        more += ["weights kept in 8 bits"] if self.fp8 else []
        more += ["weights in 8 bits by torchao"] if self.int8 else []
        more += ["decoded in tiles"] if self.tiled else []
        return (
            f"{where[self.place]} on {self.device}, {', '.join(more)}; about {self.peak / GIB:.1f} GiB at the peak"
            f" (estimated){'; ' + self.why if self.why else ''}"
        )


def weights(part: Part, dtype: str) -> int:
    """Bytes of a part's weights in a precision."""
    return part.parameters * BYTES[dtype]


def width(config: Mapping[str, object]) -> int:
    """Channels of a denoiser's tokens."""
    heads, each = config.get("num_attention_heads"), config.get("attention_head_dim")
    if isinstance(heads, int) and isinstance(each, int):
        return heads * each
    for name in ("model_dim", "hidden_size", "inner_dim"):
        found = config.get(name)
        if isinstance(found, int):
            return found
    return 2048


def denoising(checkpoint: Checkpoint, rules: Rules, frames: int, size: tuple[int, int], dtype: str) -> int:
    """Bytes that the denoiser computes in for a video, estimated."""
    time, space = compression(checkpoint.vae.config)
    config = checkpoint.denoiser.config
    patch = config.get("patch_size") or 1
    area = math.prod(patch[1:]) if isinstance(patch, list | tuple) else int(patch) ** 2
    tokens = ((frames - 1) // time + 1) * (size[0] // space) * (size[1] // space) / max(1, area)
    return int(tokens * width(config) * PER_TOKEN * BYTES[dtype])


def decoding(checkpoint: Checkpoint, frames: int, size: tuple[int, int], dtype: str, *, tiled: bool) -> int:
    """Bytes that the decoder computes in for a video, estimated."""
    config = checkpoint.vae.config
    blocks = config.get("decoder_block_out_channels") or config.get("block_out_channels")
    channels = min(blocks) if isinstance(blocks, list | tuple) and blocks else int(config.get("base_dim", 96))
    pixels = frames * size[0] * size[1]
    return int((min(pixels, TILE) if tiled else pixels) * channels * PER_PIXEL * BYTES[dtype])


def plans(
    checkpoint: Checkpoint, rules: Rules, *, frames: int, size: tuple[int, int], device: str, dtype: str,
    quantised: bool = False,
) -> list[Plan]:  # fmt: skip
    """Every way to run a video of `frames` and `size`, the fastest first and the most frugal last.

    Moving a part at a time to the device changes no picture and costs seconds, so it comes before eight bits, and eight
    bits before moving a layer at a time, which costs seconds at every step. Eight bits are torchao's where it is
    installed, else numbers of eight bits that are widened before each layer. `quantised`: in every plan, as asked for.
    """
    sizes = {name: weights(part, dtype) for name, part in checkpoint.parts.items()}
    all_of_it, largest = sum(sizes.values()), max(sizes.values(), default=0)
    denoisers = [name for name in ("transformer", "transformer_2", "unet") if name in sizes]
    compute = denoising(checkpoint, rules, frames, size, dtype)
    whole, tiles = (decoding(checkpoint, frames, size, dtype, tiled=tiled) for tiled in (False, True))
    spare = [n for name, n in sizes.items() if name not in denoisers]
    torchao = quantised or quantise.installed()
    over = quantise.OVER if torchao else 1.0

    def eight(name: str) -> int:
        """Bytes of a denoiser in eight bits."""
        return int(sizes[name] / BYTES[dtype] * over)

    if quantised:
        sizes |= {name: eight(name) for name in denoisers}
        all_of_it, largest = sum(sizes.values()), max(sizes.values(), default=0)

    def plan(place: Place, peak: int, *, tiled: bool = True, bits: bool = False) -> Plan:
        int8, fp8 = quantised or (bits and torchao), bits and not torchao
        return Plan(device=device, dtype=dtype, place=place, tiled=tiled, fp8=fp8, int8=int8, peak=peak)

    found = [
        plan("whole", all_of_it + max(compute, whole), tiled=False),
        plan("whole", all_of_it + max(compute, tiles)),
    ]
    if device == "cpu":
        less = sum(eight(name) for name in denoisers) + sum(spare) + max(compute, tiles)
        return found if quantised else [*found, plan("whole", less, bits=True)]
    each = max((sizes[name] for name in denoisers), default=0)
    found.append(plan("parts", max(largest, each + compute, sizes.get("vae", 0) + tiles)))
    if quantised:  # layer by layer diffusers moves no quantised weights
        return found
    each = max((eight(name) for name in denoisers), default=0)
    return [
        *found,
        plan("parts", max(*spare, 0, each + compute, sizes.get("vae", 0) + tiles), bits=True),
        plan("layers", largest // 20 + max(compute, tiles)),
    ]


def choose(found: list[Plan], free: int) -> Plan:
    """The first plan that fits, else the most frugal one; either way it says why."""
    room = int(free * (1 - SPARE))
    for i, plan in enumerate(found):
        if plan.peak <= room:
            why = f"{free / GIB:.1f} GiB are free"
            if i:
                why += f", and keeping more of it there would take {found[i - 1].peak / GIB:.1f}"
            if plan.int8 and not found[0].int8:
                why += "; quantised, since moving a layer at a time would cost more at every step"
            return _because(plan, why)
    last = found[-1]
    return _because(last, f"only {free / GIB:.1f} GiB are free, which may not be enough")


def after(found: list[Plan], plan: Plan) -> Plan | None:
    """The next cheaper plan after one that ran out of memory."""
    order = [(one.place, one.tiled, one.fp8, one.int8) for one in found]
    following = found[order.index((plan.place, plan.tiled, plan.fp8, plan.int8)) + 1 :]
    return _because(following[0], "the plan before it ran out of memory") if following else None


def _because(plan: Plan, why: str) -> Plan:
    return replace(plan, why=why)
