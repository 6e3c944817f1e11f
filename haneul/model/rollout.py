"""Videos of any length from a model of one window: windows that hand their end to the next one."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from .canvas import Canvas
from .codec import GROUP, Codec
from .modes import Start, loop, text_to_video, with_given

#: Makes latents from a start; the second argument is the number of its first latent frame.
SampleWindow = Callable[[Start, int], Tensor]

CONTEXT_LEVEL = 0.96  #: given context is a little noisy, as in training, so that small errors don't add up


def window_count(frames: int, window: int, overlap: int) -> int:
    """How many windows of `window` latent frames, each sharing `overlap` with the last, cover `frames`."""
    return 1 if frames <= window else 1 + -(-(frames - window) // (window - overlap))


def rollout(
    codec: Codec,
    sample_window: SampleWindow,
    canvas: Canvas,
    *,
    window: int,
    overlap: int,
    fps: float,
    generator: torch.Generator,
    done: Tensor | None = None,
) -> Tensor:
    """Latents [1, C, canvas.frames, h, w]. A later window starts from the `overlap` last latent frames of the one
    before, besides what the canvas gives. `done` are the first latents, made already: at least `overlap`.

    Every window begins with a single frame, as in training: for later ones it is the decoded picture at the border,
    encoded again by itself.
    """
    if not 1 <= overlap < window:
        raise ValueError(f"the overlap must lie within 1 and {window - 1}, not {overlap}")
    _, channels, frames, h, w = canvas.z.shape
    if canvas.period and frames > window:
        raise ValueError(f"a loop of {frames} latent frames does not fit into one window of {window}")

    def begin(first: int, length: int, context: Tensor | None = None) -> Start:
        start = text_to_video(batch=1, channels=channels, frames=length, h=h, w=w, fps=fps, generator=generator)
        z, level = canvas.part(first, length)
        if context is not None:
            n = context.shape[2]
            z = torch.cat([context, z[:, :, n:]], 2)
            level = torch.cat([level[:, :n].clamp(min=CONTEXT_LEVEL), level[:, n:]], 1)
        if bool(level.any()):
            start = with_given(start, z, level, generator)
        return loop(start, canvas.period) if canvas.period else start

    z = sample_window(begin(0, min(window, frames)), 0) if done is None else done
    while z.shape[2] < frames:
        first = z.shape[2] - overlap
        with torch.no_grad():
            border = codec.decode(z[:, :, -max(overlap, 2) - 1 :])[:, :, -GROUP * (overlap - 1) - 1][:, :, None]
            single = codec.encode(border.clamp(-1, 1))
        context = torch.cat([single, z[:, :, first + 1 :]], 2)
        part = sample_window(begin(first, min(window, frames - first), context), first)
        z = torch.cat([z, part[:, :, overlap:]], 2)
    return z
