"""Make the picture of playing (docs/img/play.webp): three worlds of the bundled live model, keys pressed by a plan.

    python tools/make_play_picture.py docs/img

The worlds are seeds 0, 1 and 2 of fixed sentences, from their first picture on; nothing is picked.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from haneul.play import Keys, World

PROMPTS = (
    "a red car in the desert at noon",
    "a blue car in a snowy field",
    "a yellow car in a cyberpunk city at night",
)
#: seconds, steering
PLAN = ((2.0, 0.0), (2.0, -1.0), (1.0, 0.0), (2.5, 1.0), (1.5, 0.0), (3.0, -1.0))
SIZE = (224, 128)
FPS = 4


def ride(prompt: str, seed: int) -> list[Image.Image]:
    world = World(prompt, seed=seed)
    steer = np.concatenate([np.full(round(seconds * world.fps), turn) for seconds, turn in PLAN])
    pictures = [world.step(Keys(steer=float(turn), go=1.0)) for turn in steer]
    step = world.fps // FPS
    return [Image.fromarray(p).resize(SIZE, Image.Resampling.LANCZOS) for p in pictures[::step]]


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    rides = [ride(prompt, seed) for seed, prompt in enumerate(PROMPTS)]
    frames = [
        Image.fromarray(np.concatenate([np.asarray(picture) for picture in side], 1))
        for side in zip(*rides, strict=True)
    ]
    frames[0].save(
        folder / "play.webp", save_all=True, append_images=frames[1:], duration=1000 // FPS, loop=0, quality=18,
        method=6,
    )  # fmt: skip


if __name__ == "__main__":
    main(Path(sys.argv[1]))
