"""A model folder of our own kind: the real text encoder, everything else tiny and random."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import torch

from haneul.backbones.native import BUNDLED
from haneul.model.checkpoint import Card, save
from haneul.model.codec import Codec, CodecConfig
from haneul.model.dit import DiT, DiTConfig
from haneul.video.upscale import Upscaler, UpscalerConfig


def write(folder: Path, seed: int = 0) -> Path:
    """Write the files into a folder; other seeds give other weights."""
    torch.manual_seed(seed)
    dit = DiTConfig(latent=96, width=32, depth=1, heads=2, truth=12, text=384)
    codec = CodecConfig(latent=96, width=8, learned=False)
    upscaler = UpscalerConfig(width=8, depth=1, fine=4)
    for part, config, net in (
        ("dit", dit, DiT(dit)),
        ("codec", codec, Codec(codec)),
        ("upscaler", upscaler, Upscaler(upscaler)),
    ):
        card = Card(part=part, preset="nano", config=asdict(config))
        save(folder / f"{part}.safetensors", net.state_dict(), card)
    (folder / "text_encoder.safetensors").symlink_to(BUNDLED / "text_encoder.safetensors")
    return folder
