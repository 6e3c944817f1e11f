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


def preset(name: str) -> Preset:
    """`nano` ~10M parameters (2 CPU cores, hours), `mini` ~35M (one GPU, minutes), `base` ~340M, `large` ~3B."""
    dials = {
        "nano": (256, 8, 4, 64),
        "mini": (448, 11, 7, 80),
        "base": (1024, 22, 16, 128),
        "large": (2304, 40, 18, 192),
    }
    if name not in dials:
        raise ValueError(f"unknown size {name!r}; known sizes: {', '.join(dials)}")
    width, depth, heads, codec_width = dials[name]
    latent = 96
    size = {"nano": (112, 64), "mini": (224, 128), "base": (448, 256), "large": (896, 512)}[name]
    return Preset(
        name=name,
        codec=CodecConfig(latent=latent, width=codec_width, learned=name != "nano"),
        dit=DiTConfig(latent=latent, width=width, depth=depth, heads=heads, truth=12),
        base_size=size,
        base_fps=12,
        frames=49,
        upscale=896 // size[0],
        learning_rate=1e-3 * (256 / width) ** 0.5,
    )
