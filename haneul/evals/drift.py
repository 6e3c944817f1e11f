"""Does a long video stay what it was? Its last seconds against its first ones: colour, sharpness and motion.

Measured at the model's own small size and rate, before the upscaler, which sees no more than three frames and cannot
drift.
"""

from __future__ import annotations

import statistics
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from haneul.backbones.base import Request
from haneul.backbones.native import Native
from haneul.evals.data import Say
from haneul.model.codec import laplacian

SECONDS = 60.0
ENDS = 5.0  #: seconds at either end that are compared
GOAL = 0.10  #: how far the last ones may be from the first ones
PROMPTS = (
    "a red rubber ball bounces down grey stairs in a desert at sunset",
    "a robot walks through a neon street at night, pixel art",
    "a blue car drives through a snowy field at noon, a photo",
    "a yellow fish swims in the sea, watercolour",
)


def traits(frames_THWC: NDArray[np.uint8]) -> dict[str, float]:
    """Of frames uint8 [T, H, W, 3]: mean `colour` of each channel (0 to 255), `contrast` (standard deviation of
    brightness), `sharpness` (mean size of the Laplacian of brightness) and `motion` (mean change from frame to
    frame)."""
    x = frames_THWC.astype(np.float64)
    y = x @ np.array([0.2126, 0.7152, 0.0722])
    red, green, blue = x.mean((0, 1, 2))
    return {
        "red": float(red), "green": float(green), "blue": float(blue), "contrast": float(y.std((1, 2)).mean()),
        "sharpness": float(laplacian(torch.from_numpy(y)).abs().mean()),
        "motion": float(np.abs(np.diff(y, axis=0)).mean()),
    }  # fmt: skip


def drift(frames_THWC: NDArray[np.uint8], fps: float) -> dict[str, float]:
    """How the last ENDS seconds differ from the first ones: their traits' ratio; `colour` is the channel that moved the
    most, as 1 plus its distance in shares of 255."""
    n = round(ENDS * fps)
    first, last = traits(frames_THWC[:n]), traits(frames_THWC[-n:])
    moved = max(abs(last[c] - first[c]) for c in ("red", "green", "blue"))
    names = ("contrast", "sharpness", "motion")
    return {"colour": 1 + moved / 255} | {name: last[name] / max(first[name], 1e-6) for name in names}


def long_frames(
    model: Native, prompt: str, *, seed: int, steps: int | None = None, seconds: float = SECONDS
) -> NDArray[np.uint8]:
    """A long video at the model's own size, uint8 [T, H, W, 3]."""
    able = model.capabilities()
    request = Request(
        prompt=prompt, expand=True, seconds=seconds, seed=seed, steps=steps or able.default_steps,
        guidance=able.default_guidance,
    )  # fmt: skip
    frames = [((f + 1) * 127.5).round().byte().permute(1, 2, 0).numpy() for f in model.base_frames(request)]
    return np.stack(frames)


def measure(
    model: Native, say: Say, *, prompts: tuple[str, ...] = PROMPTS, steps: int | None = None, seconds: float = SECONDS
) -> dict[str, Any]:
    """Every prompt once, and the median over them."""
    fps = model.preset.base_fps
    found = []
    for seed, prompt in enumerate(prompts):
        found.append(drift(long_frames(model, prompt, seed=seed, steps=steps, seconds=seconds), fps))
        say(f"drift: {prompt!r}: " + ", ".join(f"{name} {value:.2f}" for name, value in found[-1].items()))
    middle = {name: round(statistics.median(one[name] for one in found), 3) for name in found[0]}
    return {"seconds": seconds, "prompts": list(prompts), "goal": GOAL, "median": middle, "each": found}
