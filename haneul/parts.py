"""The networks of a model that `haneul export` wrote, for other programs: each class reads its part of the folder.

    import haneul.parts
    from diffusers import AutoModel

    codec = AutoModel.from_pretrained("FOLDER", subfolder="vae")  # or haneul.parts.Codec.from_pretrained("FOLDER")

The folder's model_index.json names this module; diffusers takes classes of a module that its caller has imported, and
then needs no `trust_remote_code`. What these networks make is neither screened nor marked nor signed: that is what
`haneul generate --model FOLDER` does.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Self

import torch

from haneul.backbones.layout import PARTS, is_exported
from haneul.backbones.native import read_part
from haneul.backbones.open.hub import locate
from haneul.errors import CheckpointError
from haneul.model import codec, concepts, dit
from haneul.video import upscale

__all__ = ["Codec", "ConceptReader", "DiT", "Upscaler"]


class _Part(torch.nn.Module):
    """A network that is read from its folder."""

    _config: ClassVar[Callable[..., Any]]  # of a part's config.json

    @classmethod
    def from_pretrained(
        cls, model: str | Path, *, subfolder: str | None = None, dtype: torch.dtype | None = None, **_: Any
    ) -> Self:
        """The network of an exported folder, or of a name of the hub, ready to be asked; its numbers are float32 unless
        `dtype` says otherwise. `subfolder` may be left out, and what diffusers says besides is not needed.

        Raises CheckpointError for a folder that is none of ours, or whose weights are missing, damaged or changed.
        """
        part = next(name for name, (_, kind) in PARTS.items() if kind == cls.__name__)
        folder = locate(str(model))
        if not is_exported(folder) or subfolder not in (None, PARTS[part][0]):
            raise CheckpointError(f"{model} has no {cls.__name__} in {subfolder or PARTS[part][0]}; see haneul export")
        make: Any = cls
        found, _card = read_part(folder, part, lambda config: make(cls._config(**config)))
        network: Self = found.eval().to(dtype)
        return network


class DiT(_Part, dit.DiT):
    """The transformer, see `haneul.model.dit.DiT`."""

    _config = dit.DiTConfig


class Codec(_Part, codec.Codec):
    """The video autoencoder, see `haneul.model.codec.Codec`."""

    _config = codec.CodecConfig


class Upscaler(_Part, upscale.Upscaler):
    """The upscaler, see `haneul.video.upscale.Upscaler`."""

    _config = upscale.UpscalerConfig


class ConceptReader(_Part, concepts.ConceptReader):
    """What reads a prompt's states, see `haneul.model.concepts.ConceptReader`."""

    _config = concepts.ConceptsConfig
