"""Make the README's two pictures: scenes of the world, and what the bundled model makes of fixed prompts.

    python tools/make_pictures.py docs/img

The prompts are train/sheet.py's, prompt i with seed i, three moments of the file that a user gets; nothing is picked.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

import haneul
from haneul.backbones.native import Native
from haneul.train.sheet import PROMPTS
from haneul.video.io import read_video
from haneul.world.physics import simulate
from haneul.world.render import render_frame
from haneul.world.sample import sample_spec
from haneul.world.scene import FPS

SCENES = (
    {"event": "robot picks up", "setting": "cyberpunk city", "time": "night"},
    {"event": "gallery tour"},
    {"event": "fish", "time": "sunset"},
    {"event": "stairs", "setting": "desert", "color": "red", "material": "rubber", "time": "sunset"},
    {"event": "quadruped", "setting": "snowy field", "time": "noon"},
    {"event": "space collide"},
    {"event": "leaves", "style": "oil painting"},
    {"event": "dominoes", "setting": "brick courtyard", "time": "noon"},
    {"event": "car", "setting": "neon street", "time": "night", "style": "cyberpunk"},
)
SIZE = (320, 182)  # of a picture of what the model makes
MOMENT = 40  # frame of the log that is drawn


def grid(tiles: list[np.ndarray], columns: int) -> Image.Image:
    rows = [np.concatenate(tiles[i : i + columns], 1) for i in range(0, len(tiles), columns)]
    return Image.fromarray(np.concatenate(rows))


def scene(number: int, fixed: dict[str, str]) -> np.ndarray:
    spec = sample_spec(40 + number, richness=0.8, **({"style": "photo"} | fixed))
    truth = simulate(spec)
    return render_frame(
        truth.geoms_TNG[MOMENT], truth.environment, truth.cameras[MOMENT],
        style=spec.style, time=MOMENT / FPS, width=320, height=180, quality="fine",
    ).rgb  # fmt: skip


def main(folder: Path) -> None:
    grid([scene(i, s) for i, s in enumerate(SCENES)], 3).save(folder / "world.jpg", quality=88)
    model, tiles = Native(), []
    with tempfile.TemporaryDirectory() as scratch:
        for seed, prompt in enumerate(PROMPTS):
            path = Path(scratch) / f"{seed}.mp4"
            haneul.generate(prompt, output=path, seed=seed, backbone=model)
            frames = read_video(path).frames
            tiles += [
                np.asarray(Image.fromarray(frames[k]).resize(SIZE, Image.Resampling.LANCZOS)) for k in (0, 48, 95)
            ]
    grid(tiles, 3).save(folder / "nano.jpg", quality=85)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
