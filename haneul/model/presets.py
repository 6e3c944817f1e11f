"""One dial for the size of everything: a preset's name gives the widths and depths of all parts."""

from __future__ import annotations

from dataclasses import dataclass

from .codec import CodecConfig
from .dit import DiTConfig


@dataclass(frozen=True, kw_only=True)
class Preset:
    """The shape of a model and the native size it works at; `upscale` is done by the network in video/upscale.py."""

    name: str
    codec: CodecConfig
    dit: DiTConfig
    base_size: tuple[int, int]  # width, height in pixels
    base_fps: int
    frames: int  # of the longest training clips, 4k+1
    upscale: int = 8
    learning_rate: float = 1e-3


def preset(name: str, concepts: tuple[int, ...] = ()) -> Preset:
    """`nano` ~21M parameters (one GPU, minutes), `mini` ~35M (one GPU), `base` ~340M, `large` ~3B.

    `concepts` are the sizes of the slots (concepts.sizes_of) that the model reads. With them the smallest reads nothing
    else; the others read words too, for footage whose captions say more than the slots hold.
    """
    dials = {
        "nano": (384, 8, 6, 64),
        "mini": (448, 11, 7, 80),
        "base": (1024, 22, 16, 128),
        "large": (2304, 40, 18, 192),
    }
    if name not in dials:
        raise ValueError(f"unknown size {name!r}; known sizes: {', '.join(dials)}")
    width, depth, heads, codec_width = dials[name]
    latent = 160 if name == "nano" else 96  # a linear code needs more channels than a learned one
    text = 0 if name == "nano" and concepts else 384
    size = {"nano": (112, 64), "mini": (224, 128), "base": (448, 256), "large": (896, 512)}[name]
    return Preset(
        name=name,
        codec=CodecConfig(latent=latent, width=codec_width, learned=name != "nano"),
        dit=DiTConfig(latent=latent, width=width, depth=depth, heads=heads, truth=12, text=text, concepts=concepts),
        base_size=size,
        base_fps=12,
        frames=49,
        upscale=896 // size[0],
        learning_rate=1e-3 * (256 / width) ** 0.5,
    )
