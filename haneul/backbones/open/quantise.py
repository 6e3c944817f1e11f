"""Weights in eight bits by torchao, where it is installed: `pip install 'haneul[quantise]'`."""

from __future__ import annotations

import importlib.metadata
from typing import Any

from haneul.errors import InputError

LEAST = (0, 16)  #: the version that peft wants, whose LoRAs lie over it; diffusers wants 0.15
#: Of a number's byte: each row of a matrix has a scale, and norms, embeddings and convolutions stay as they are.
OVER = 1.05


def installed() -> bool:
    """Whether a torchao that diffusers can use is there. Nothing is imported for it."""
    try:
        version = importlib.metadata.version("torchao")
    except importlib.metadata.PackageNotFoundError:
        return False
    numbers = [int(part) for part in version.split("+")[0].split(".")[:2] if part.isdigit()]
    return tuple(numbers) >= LEAST


def check() -> None:
    """Raises InputError where it is not there."""
    if not installed():
        raise InputError(
            "weights are quantised by torchao 0.16 or newer, which is not installed; run: "
            "pip install 'haneul[quantise]'"
        )


def config() -> Any:
    """diffusers' configuration for it: the weights of linear layers as signed bytes, one scale for each row; what is
    computed stays in the denoiser's precision."""
    from diffusers import TorchAoConfig
    from torchao.quantization import Int8WeightOnlyConfig

    return TorchAoConfig(Int8WeightOnlyConfig(set_inductor_config=False))  # those are everyone's settings
