"""Videos of any length from a model of one window: windows that hand their end to the next one."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from .canvas import Canvas
from .codec import GROUP, Codec, laplacian
from .modes import Start, loop, text_to_video, with_given
from .seams import met

#: Makes latents from a start; the second argument is the number of its first latent frame.
SampleWindow = Callable[[Start, int], Tensor]

CONTEXT_LEVEL = 0.96  #: given context is a little noisy, as in training, so that small errors don't add up
FIRMNESS = 1.5  #: exponent of how much too sharp a window is: coarse channels have a part in it and are not touched
FINE = 0.3  #: of the median channel's fineness, at which half of a channel is
LEAST_SHARE = 0.6  #: of the fine channels is kept at least


def spread_of(z: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each channel, [1, C, 1, 1, 1]."""
    return z.mean((2, 3, 4), keepdim=True), z.std((2, 3, 4), keepdim=True)


def steadied(z: Tensor, own: tuple[Tensor, Tensor], like: tuple[Tensor, Tensor]) -> Tensor:
    """Latents whose channels are brought from their own mean and standard deviation to others', as far as a gain of 2
    reaches.

    Errors of a window are the next one's context, and guidance drives them on: within a minute colours burn and the
    borders of patches grow. What a whole scene has in common hardly changes in truth, so it is held as the first window
    has it (the adaptive normalisation of Huang & Belongie, arXiv 1703.06868; measured in docs/log.md).
    """
    gain = (like[1] / own[1].clamp(min=1e-4)).clamp(0.5, 2.0)
    return (z - own[0]) * gain + like[0]


def sharpness_of(codec: Codec, z: Tensor) -> float:
    """Mean size of the Laplacian of what latents [1, C, F, h, w] draw."""
    with torch.no_grad(), torch.autocast("cpu", enabled=False):
        return float(laplacian(codec.sketch_groups(z.float())).abs().mean())


def softened(codec: Codec, z: Tensor, mean: Tensor, sharpness: float) -> Tensor:
    """Latents that draw about as sharply as `sharpness`, if they were sharper: their fine channels are brought nearer
    to their mean [1, C, 1, 1, 1].

    With every channel's spread held (`steadied`) grain still grows, in what was flat: the same spread, evenly, is a
    greater Laplacian than a few edges (measured in docs/log.md).
    """
    share = min(1.0, sharpness / max(sharpness_of(codec, z), 1e-6)) ** FIRMNESS
    fine = codec.fineness()
    fine = fine / (fine + FINE * fine.median()).clamp(min=1e-8)
    kept: Tensor = 1 - (1 - max(share, LEAST_SHARE)) * fine[:, None, None, None]
    return mean + (z - mean) * kept


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
    past: tuple[Tensor, int] | None = None,
) -> Iterator[Tensor]:
    """Latents [1, C, n, h, w] of `canvas.frames` latent frames in all, piece by piece as windows are finished, so that
    memory does not grow with the length. A later window starts from the `overlap` last latent frames of the one before,
    besides what the canvas gives, and what is new meets what is given (seams.py); where the canvas gives nothing, it is
    `steadied` and `softened`. `past` are the last latents that were made already, more than `overlap` of them, and how
    many were made in all.

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

    def sampled(start: Start, first: int) -> Tensor:
        return met(codec, sample_window(start, first), start.start_BFS)

    seen = max(overlap, 2) + 1  # latents from which the picture at the border is decoded
    held: tuple[tuple[Tensor, Tensor], float] | None = None  # spread and sharpness of the first window
    if past is None:
        tail = sampled(begin(0, min(window, frames)), 0)
        made = tail.shape[2]
        if made == window:
            groups = tail[:, :, 1:]  # the first latent frame is another kind
            held = spread_of(groups), sharpness_of(codec, groups)
        yield tail
    else:
        tail, made = past
    while made < frames:
        tail = tail[:, :, -seen:]
        first = made - overlap
        with torch.no_grad(), torch.autocast("cpu", enabled=False):
            border = codec.decode(tail)[:, :, -GROUP * (overlap - 1) - 1][:, :, None]
            single = codec.encode(border.clamp(-1, 1))
        context = torch.cat([single, tail[:, :, 1 - overlap :]], 2) if overlap > 1 else single
        part = sampled(begin(first, min(window, frames - first), context), first)[:, :, overlap:]
        if held is not None and not bool(canvas.part(made, part.shape[2])[1].any()):
            lately = torch.cat([tail, part], 2)[:, :, overlap - window :]  # besides a short last part, what was before
            like, sharpness = held
            part = softened(codec, steadied(part, spread_of(lately), like), like[0], sharpness)
        made += part.shape[2]
        tail = torch.cat([tail, part], 2)
        yield part
