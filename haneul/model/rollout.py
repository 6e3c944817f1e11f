"""Videos longer than the model was trained on: windows that hand their end to the next one."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from .codec import GROUP, Codec
from .modes import Start, text_to_video, with_given

#: Makes latents from a start; the second argument is the number of the window.
SampleWindow = Callable[[Start, int], Tensor]

CONTEXT_LEVEL = 0.96  #: given context is a little noisy, as in training, so that small errors don't add up


def window_count(frames: int, window: int, overlap: int) -> int:
    """How many windows of `window` latent frames, each sharing `overlap` with the last, cover `frames`."""
    return 1 if frames <= window else 1 + -(-(frames - window) // (window - overlap))


def rollout(
    codec: Codec,
    sample_window: SampleWindow,
    *,
    frames: int,
    window: int,
    overlap: int,
    channels: int,
    h: int,
    w: int,
    fps: float,
    generator: torch.Generator,
) -> Tensor:
    """Latents [1, C, frames, h, w]. A later window starts from the `overlap` last latent frames of the one before.

    Every window begins with a single frame, as in training: for later ones it is the decoded picture at the border,
    encoded again by itself.
    """
    if not 1 <= overlap < window:
        raise ValueError(f"the overlap must lie within 1 and {window - 1}, not {overlap}")
    shape = {"batch": 1, "channels": channels, "h": h, "w": w, "fps": fps, "generator": generator}
    total = window_count(frames, window, overlap)
    if total == 1:
        return sample_window(text_to_video(frames=frames, **shape), 0)  # type: ignore[arg-type]
    z = sample_window(text_to_video(frames=window, **shape), 0)  # type: ignore[arg-type]
    for number in range(1, total):
        length = min(window, frames - z.shape[2] + overlap)
        tail = z[:, :, -overlap:]
        with torch.no_grad():
            border = codec.decode(z[:, :, -max(overlap, 2) - 1 :])[:, :, -GROUP * (overlap - 1) - 1][:, :, None]
            single = codec.encode(border.clamp(-1, 1))
        given = torch.cat([single, tail[:, :, 1:]], 2)
        start = text_to_video(frames=length, **shape)  # type: ignore[arg-type]
        filled = torch.cat([given, start.z[:, :, overlap:]], 2)
        level = torch.zeros(1, length, 1)
        level[:, :overlap] = CONTEXT_LEVEL
        part = sample_window(with_given(start, filled, level, generator), number)
        z = torch.cat([z, part[:, :, overlap:]], 2)
    return z[:, :, :frames]
