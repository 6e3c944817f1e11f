"""Write trained weights as they ship, in few bits.

    python tools/pack_weights.py FILE PART OUT [--six] [--eight WORD ...]

Matrices get eight bits, or six with --six, but for those whose names hold one of the words after --eight. The card
stays as it is, with a line of how many bits.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from haneul.model.checkpoint import load, save


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("part")
    parser.add_argument("out", type=Path)
    parser.add_argument("--six", action="store_true")
    parser.add_argument("--eight", nargs="*", default=[])
    told = parser.parse_args()
    tensors, card = load(told.file, told.part)
    few = 6 if told.six else 8

    def bits(name: str) -> int:
        return 8 if any(word in name for word in told.eight) else few

    text = str(few) + "".join(f", {word} 8" for word in told.eight if few != 8)
    save(told.out, tensors, replace(card, recipe={**card.recipe, "bits": text}), bits=bits)
    print(f"{told.out}: {told.out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
