"""Control in other ways than VACE's video and mask, as far as diffusers reads it.

- A control video on channels of the denoiser's own (CogVideoX Fun-Control), or through a network beside it
  (Cosmos-Predict 2.5 Transfer): the call takes it whole.
- A control LoRA that looks at a reference video (LTX-2's IC-LoRAs: depth, edges, pose): the reference's tokens stand
  beside those of the video. Without a LoRA that was made for it the denoiser does not know what they are.
- Wan Fun-Control, and LoRAs that widen a denoiser's input: diffusers reads neither, and this says so before anything
  is loaded.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from PIL import Image

from haneul.backbones.open.extras import Extras
from haneul.backbones.open.family import Calls, channels
from haneul.backbones.open.folder import Checkpoint, read_header
from haneul.backbones.open.modes import Piece
from haneul.backbones.open.sources import Pipeline
from haneul.errors import CheckpointError

#: A denoiser's first layer, a convolution over space and time, as files of the families name it.
_FIRST = ("patch_embedding", "x_embedder.proj", "img_in.proj")
_DOWN = (".lora_A.weight", ".lora_down.weight", ".lora.down.weight")


def check(checkpoint: Checkpoint, extras: Extras) -> None:
    """Refuse control that diffusers does not read. Raises CheckpointError."""
    denoiser, own = checkpoint.denoiser, checkpoint.pipeline
    into, out = channels(denoiser.config)
    # Wan's own pipelines give either the noise alone, or a picture's latents and a mask of four channels beside it.
    if own.package == "wan" and denoiser.kind == "WanTransformer3DModel" and into not in (out, 2 * out + 4):
        raise CheckpointError(
            f"{checkpoint.name} takes {into} channels where {own.name} of diffusers gives {out} or {2 * out + 4}: the "
            "others are for a control video (Fun-Control), which no pipeline of diffusers gives it; use a VACE "
            "checkpoint, which follows a scene as well"
        )
    for path, _ in extras.loras:
        wide = widened(path, into)
        if wide:
            raise CheckpointError(
                f"{path.name} is a control LoRA that widens the denoiser's input from {into} to {wide} channels, which "
                f"diffusers does not load for {denoiser.kind}; use a VACE checkpoint, or an IC-LoRA with LTX-2"
            )


def widened(lora: Path, channels: int) -> int:
    """How many channels a LoRA's first layer takes, if that is more than the denoiser has; else 0."""
    for name, (_, shape) in read_header(lora).tensors.items():
        layer = next((name.removesuffix(end) for end in _DOWN if name.endswith(end)), "")
        if layer.endswith(_FIRST) and len(shape) == 5 and shape[1] > channels:
            return shape[1]
    return 0


def downscale(extras: Extras) -> int:
    """By how much smaller than the video a control LoRA wants its reference: as its file says, else 1."""
    found = [read_header(path).metadata.get("reference_downscale_factor", "1") for path, _ in extras.loras]
    return max((int(value) for value in found if value.isdigit() and int(value) > 0), default=1)


def needs_lora(able: Calls, piece: Piece, extras: Extras) -> bool:
    """Whether a piece is of a kind that only a control LoRA understands, and there is none."""
    return piece.kind == "reference" and able.reference is not None and not extras.loras


def followed(pipeline: Pipeline, frames: list[Image.Image], window: int) -> dict[str, Any]:
    """The arguments of a call that takes a control video whole."""
    assert pipeline.follows is not None
    chunk = {"num_frames_per_chunk": min(window, len(frames))} if "num_frames_per_chunk" in pipeline.call else {}
    return {pipeline.follows: frames, **chunk}


def referred(cls: Any, frames: list[Image.Image], factor: int) -> dict[str, Any]:
    """The arguments of a call that takes a reference video beside a LoRA. `cls`: the pipeline's class."""
    module = importlib.import_module(cls.__module__)
    kind: Any = next(v for k, v in vars(module).items() if k.endswith("ReferenceCondition") and isinstance(v, type))
    return {"reference_conditions": [kind(frames=frames)], "reference_downscale_factor": factor}
