"""What a window of a long video sees of the one before it, and the little noise that is laid on it.

A window that goes on from clean frames of its own making takes their faults for truth, and the next one adds to them.
A little noise on these frames hides the faults (Chen et al. 2024, arXiv:2407.01392; Valevski et al. 2024,
arXiv:2408.14837). How it is laid on depends on the call:

- SkyReels-V2's Diffusion Forcing lays it on the latents itself and tells the denoiser of it (`addnoise_condition`, in
  thousandths; diffusers recommends 20, and 17 or 37 frames that are seen again);
- LTX's conditions have a noise of their own that fades while the video is sampled (`image_cond_noise_scale`, 0.15);
- LTX-2's conditions have a `strength`, and what is left to 1 is the noise level that they are told;
- elsewhere the frames themselves are noised before they are given, which no denoiser is told of: (1 - n) of the frame
  and n of Gaussian noise, on values from -1 to 1. At 0.02 its deviation is 2.6 of 255 levels. That is what diffusers
  lays on the picture of Stable Video Diffusion (`noise_aug_strength`), too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from haneul.backbones.open.family import Calls
    from haneul.backbones.open.modes import Piece
    from haneul.backbones.open.sources import Pipeline

Frames = NDArray[np.uint8]  # [T, H, W, 3]
State = Literal["native", "built", "unavailable"]
Noising = Literal["prefix", "fading", "strength", "frames"]
NOISE = 0.02  #: share of the context that is noise, where the call has no default of its own
HISTORY = 17  #: frames that a window of SkyReels-V2's Diffusion Forcing sees again


def noising(pipeline: Pipeline) -> Noising:
    """How a call's context is noised."""
    if "addnoise_condition" in pipeline.call and "video" in pipeline.call:
        return "prefix"
    if "image_cond_noise_scale" in pipeline.call:
        return "fading"
    return "strength" if "conditions" in pipeline.call else "frames"


def level(pipeline: Pipeline, asked: float | None) -> float:
    """The noise on a call's context: what was asked for, or what is usual there."""
    if asked is not None:
        return asked
    return float(pipeline.call["image_cond_noise_scale"]) if noising(pipeline) == "fading" else NOISE


def seen_again(piece: Piece) -> int:
    """How many frames of a piece are there from the one before it, and are not shown again."""
    return piece.show - piece.first if piece.kind in ("picture", "clips", "control", "history", "reference") else 0


def told(pipeline: Pipeline, piece: Piece, noise: float) -> dict[str, Any]:
    """The arguments by which a call that noises its context itself is told how much."""
    if not seen_again(piece):
        return {}
    how = noising(pipeline)
    if how == "prefix":
        return {"addnoise_condition": 1000 * noise}
    return {"image_cond_noise_scale": noise} if how == "fading" else {}


def noised(frame: NDArray[np.uint8], noise: float, *seed: int) -> NDArray[np.uint8]:
    """A frame uint8 [H, W, 3] with a share `noise` of Gaussian noise in it; the same for the same seed."""
    if noise == 0:
        return frame
    clean = frame.astype(np.float32) / 127.5 - 1
    drawn = np.random.default_rng(seed).standard_normal(frame.shape, np.float32)
    return ((((1 - noise) * clean + noise * drawn) + 1) * 127.5).round().clip(0, 255).astype(np.uint8)


def way(able: Calls) -> tuple[State, str]:
    """How a checkpoint makes long videos: native, built or unavailable, and how."""
    onward = able.history or able.control or able.clips or able.picture
    if onward is None:
        return "unavailable", "needs a call that goes on from what is there, which this checkpoint has not"
    again = "frames" if able.history or able.control or able.clips else "the last frame"
    noise = f"noise of {level(onward, None):g} on them" if again == "frames" else f"noise of {NOISE:g} on it"
    how: dict[Noising, tuple[State, str]] = {
        "prefix": ("native", f"windows that see {HISTORY} frames again, {noise}, which the denoiser is told"),
        "fading": ("native", f"windows that see frames again, {noise} that fades while it is sampled"),
        "strength": ("native", f"windows that see frames again, {noise}, which the denoiser is told"),
        "frames": ("built", f"windows that see {again} again, {noise}, which the denoiser is not told"),
    }
    return how[noising(onward)]
