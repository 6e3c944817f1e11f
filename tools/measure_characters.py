"""How well a character's look is carried into new shots: the attribute reader's word on both.

    python tools/measure_characters.py --shots 3

Every subject is shown in a clip of its own, made by the bundled model; its look is read off that clip as the service
does it, put where a prompt would say @name, and new shots are made by that prompt. The reader, which was trained on
renders alone, then says what colour and kind the new shots show. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from haneul.backbones.base import Request
from haneul.backbones.native import Native
from haneul.serve.looks import seen, words_of

SUBJECTS = (
    ("red", "ball", "rolls"), ("blue", "car", "drives"), ("yellow", "box", "falls"), ("green", "ball", "bounces"),
    ("orange", "car", "drives"), ("purple", "box", "slides"), ("white", "robot", "walks"), ("pink", "ball", "rolls"),
)  # fmt: skip
HOME = "on a tiled plaza"
PLACES = ("in a desert", "in a snowy field", "on a neon street at night", "in a cyberpunk city")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shots", type=int, default=3, help="Of each character.")
    options = parser.parse_args()
    model = Native()

    def clip(prompt: str, seed: int) -> NDArray[np.uint8]:
        able = model.capabilities()
        asked = Request(
            prompt=prompt, seconds=2.0, size=(112, 64), seed=seed, steps=able.default_steps,
            guidance=able.default_guidance,
        )  # fmt: skip
        return np.stack(list(model.generate(asked)))[::2]

    shots: list[dict[str, Any]] = []
    for number, (color, kind, does) in enumerate(SUBJECTS):
        own = seen(clip(f"a {color} {kind} {does} {HOME}", number))
        for shot in range(options.shots):
            found = seen(clip(f"a {words_of(own)} {does} {PLACES[shot % len(PLACES)]}", 100 + shot))
            shots.append({
                "asked": [color, kind], "read off its clip": [own["color"], own["kind"]],
                "in the new shot": [found["color"], found["kind"]],
            })  # fmt: skip
            print(json.dumps(shots[-1]), file=sys.stderr)
    same = {
        name: [shot["in the new shot"][i] == shot["read off its clip"][i] for shot in shots]
        for i, name in enumerate(("color", "kind"))
    }
    told = {f"{name} kept": f"{sum(of)} of {len(of)}" for name, of in same.items()}
    right = sum(shot["asked"] == shot["read off its clip"] for shot in shots[:: options.shots])
    print(json.dumps({**told, "clips read right": f"{right} of {len(SUBJECTS)}", "shots": len(shots)}, indent=2))


if __name__ == "__main__":
    main()
