"""A loop from nothing: while the video is sampled its latent frames are turned round by one at every step, so that none
of them is the first or the last, and what is learned about the next frame is learned across the seam as well.

The idea is Mobius' latent shift (Bi et al. 2025, arXiv:2502.20307). Here the scheduler's memory of earlier steps turns
along, and the last frames are decoded once more before the first ones, so that the decoder sees what comes before them.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from haneul.backbones.open.sources import Pipeline

AGAIN = 2  #: latent frames of the end that are decoded before the beginning


def turning(pipeline: Pipeline) -> dict[str, Any]:
    """The arguments of a call that make it turn."""
    axis = pipeline.time_axis
    assert axis is not None

    def after(pipe: Any, step: int, _time: Any, found: dict[str, Tensor]) -> dict[str, Tensor]:
        latents = found["latents"]
        last = step == len(pipe.scheduler.timesteps) - 1
        if not last:
            turn(pipe.scheduler, latents.shape, axis)
            return {"latents": latents.roll(1, axis)}
        back = latents.roll(-step, axis)  # as they were numbered in the beginning: which frame is first stays chance's
        seam = min(AGAIN, back.shape[axis])
        return {"latents": torch.cat([back.narrow(axis, back.shape[axis] - seam, seam), back], axis)}

    return {"callback_on_step_end": after}


def turn(scheduler: Any, shape: torch.Size, axis: int) -> None:
    """Turn what a scheduler remembers of earlier steps."""
    for name, value in vars(scheduler).items():
        if isinstance(value, Tensor) and value.shape == shape:
            setattr(scheduler, name, value.roll(1, axis))
        elif isinstance(value, list):
            value[:] = [v.roll(1, axis) if isinstance(v, Tensor) and v.shape == shape else v for v in value]


def before(latents: int, step: int) -> int:
    """How many of the frames that are decoded come before the loop."""
    return step * (min(AGAIN, latents) - 1) + 1
