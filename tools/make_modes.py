"""Make the picture of docs/modes.md: what every mode makes of the same few clips, through the public door.

    python tools/make_modes.py docs/img

Seeds are 1, 2, 3 ... in order; nothing is picked. A red line stands under frames that were given as they are.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

import haneul
from haneul.backbones.native import Native
from haneul.video.io import read_video

COLUMNS, WIDTH, LABEL = 9, 150, 118
SNOW = "a red ball rolls to the right in the snow"
FOREST = "a yellow ball rolls to the right in a forest"
SEA = "a purple box floats on the sea at sunset"


def row(label: str, path: Path, given: tuple[float, float] | None) -> np.ndarray:
    """One strip: evenly spaced frames, and a line under those within the span `given` (seconds)."""
    clip = read_video(path)
    height = round(clip.frames.shape[1] * WIDTH / clip.frames.shape[2])
    strip = Image.new("RGB", (LABEL + COLUMNS * WIDTH, height + 6), "white")
    draw = ImageDraw.Draw(strip)
    draw.text((4, height // 2 - 12), label.replace(" ", "\n", 1), fill="black")
    for column, index in enumerate(np.linspace(0, len(clip.frames) - 1, COLUMNS).round().astype(int)):
        x = LABEL + column * WIDTH
        strip.paste(Image.fromarray(clip.frames[index]).resize((WIDTH, height), Image.Resampling.LANCZOS), (x, 0))
        if given and any(a <= index / clip.fps <= b for a, b in zip(given[::2], given[1::2], strict=True)):
            draw.line((x + 2, height + 2, x + WIDTH - 3, height + 2), fill=(200, 20, 30), width=3)
    return np.asarray(strip)


def main(folder: Path) -> None:
    model = Native()
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch)
        a, b, sea = work / "a.mp4", work / "b.mp4", work / "sea.mp4"
        box = work / "box.png"

        def options(name: str, seed: int) -> dict[str, object]:
            return {"output": work / name, "seed": seed, "backbone": model}

        haneul.generate(SNOW, seconds=3.0, **options("a.mp4", 1))
        haneul.generate(FOREST, seconds=3.0, **options("b.mp4", 2))
        haneul.generate(SEA, seconds=3.0, **options("sea.mp4", 3))
        haneul.generate(SEA, **options("box.png", 4))
        rows: list[tuple[str, Path, tuple[float, ...] | None]] = [
            ("text to video", a, None),
            ("image to video", haneul.generate(SEA, image=box, seconds=3.0, **options("i.mp4", 5)).path, (0, 0.05)),
            ("extend", haneul.extend(a, SNOW, seconds=3.0, **options("x.mp4", 6)).path, (0, 3)),
            ("extend --backward", haneul.extend(a, SNOW, seconds=3.0, backward=True, **options("y.mp4", 7)).path,
             (3.04, 9)),
            ("connect", haneul.connect(a, b, FOREST, seconds=2.0, **options("c.mp4", 8)).path, (0, 3, 5, 9)),
            ("generate --loop", haneul.generate(SEA, loop=True, seconds=3.3, **options("l.mp4", 9)).path, None),
            ("loop", haneul.loop(sea, SEA, seconds=2.0, **options("m.mp4", 10)).path, (0, 3)),
            ("retake 1 to 2 s", haneul.retake(a, SNOW, start=1, end=2, **options("r.mp4", 11)).path, (0, 1, 2, 3)),
            ("keyframes", haneul.keyframes({0: box, 2.9: box}, SEA, seconds=3.0, **options("k.mp4", 12)).path,
             (0, 0.05, 2.9, 3)),
            ("remix .9", haneul.remix(a, FOREST, strength=0.9, **options("e.mp4", 13)).path, None),
            ("inpaint right_half", haneul.inpaint(sea, SEA, box=(0.5, 0, 1, 1), **options("p.mp4", 14)).path, None),
            ("blend", haneul.blend(a, b, FOREST, seconds=2.0, **options("d.mp4", 15)).path, (0, 1, 3, 9)),
        ]  # fmt: skip
        sheet = np.concatenate([row(*found) for found in rows])
    Image.fromarray(sheet).save(folder / "modes.jpg", quality=85)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
