"""Sizes by name: width x height, an aspect such as 21:9, or what a platform wants."""

from __future__ import annotations

import math
import re

from haneul.errors import InputError

#: Widths and heights that places where videos are shown ask for.
SIZES: dict[str, tuple[int, int]] = {
    "youtube": (1920, 1080),
    "shorts": (1080, 1920),
    "tiktok": (1080, 1920),
    "reels": (1080, 1920),
    "stories": (1080, 1920),
    "instagram": (1080, 1350),
    "square": (1080, 1080),
    "x": (1280, 720),
    "linkedin": (1920, 1080),
    "cinema": (1920, 822),
    "360p": (640, 360),
    "480p": (854, 480),
    "720p": (1280, 720),
    "1080p": (1920, 1080),
}
AREA = 896 * 512  #: pixels of a size that is only an aspect: those of the default one
_PAIR = re.compile(r"(\d{1,5})\s*([x×*:])\s*(\d{1,5})")


def size_named(text: str) -> tuple[int, int]:
    """Width and height of "1280x720", of "21:9" (as large as the default size, both sides even) or of a name of SIZES.

    Raises InputError for anything else.
    """
    name = text.strip().lower()
    if name in SIZES:
        return SIZES[name]
    found = _PAIR.fullmatch(name)
    if not found or not int(found[1]) or not int(found[3]):
        raise InputError(
            f"{text!r} is not a size; write width x height, such as 896x512, an aspect, such as 21:9, or one of "
            f"{', '.join(SIZES)}"
        )
    a, b = int(found[1]), int(found[3])
    if found[2] != ":":
        return a, b
    return 2 * round(math.sqrt(AREA * a / b) / 2), 2 * round(math.sqrt(AREA * b / a) / 2)
