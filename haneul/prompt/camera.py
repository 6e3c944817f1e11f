"""Camera paths in words: "orbit left 40, then push in" becomes the camera's velocity at every frame.

Six numbers a frame, as the simulated world logs them: velocity to the right, up and back in look distances a second,
and turning about these axes in radians a second.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from haneul.errors import InputError

AXES = 6
#: Move -> (rates for one unit of its amount, the amount of a second unless one is said, most of it in a second). The
#: amounts are degrees of orbit and crane, and hundredths of the look distance of push, pull and truck; what the model
#: saw are about the default ones (haneul/world/framing.py).
_RADIAN = math.radians(1)
MOVES: dict[str, tuple[tuple[float, ...], float, float]] = {
    "static": ((0.0,) * AXES, 0.0, 0.0),
    "orbit left": ((-_RADIAN, 0, 0, 0, -_RADIAN, 0), 15.0, 25.0),
    "orbit right": ((_RADIAN, 0, 0, 0, _RADIAN, 0), 15.0, 25.0),
    "push in": ((0, 0, -0.01, 0, 0, 0), 12.5, 20.0),
    "pull back": ((0, 0, 0.01, 0, 0, 0), 12.5, 20.0),
    "crane up": ((0, _RADIAN, 0, -_RADIAN, 0, 0), 6.8, 12.0),
    "truck left": ((-0.01, 0, 0, 0, 0, 0), 17.0, 30.0),
    "truck right": ((0.01, 0, 0, 0, 0, 0), 17.0, 30.0),
}
OTHER_NAMES = {"hold": "static", "still": "static", "stay": "static", "pull out": "pull back", "zoom in": "push in"}

_PART = re.compile(r"(?P<move>[a-z ]+?)(?:\s+(?P<amount>\d+(?:\.\d+)?))?(?:\s+over\s+(?P<seconds>\d+(?:\.\d+)?)\s*s)?")


@dataclass(frozen=True, kw_only=True)
class Leg:
    """One move: its name, how much of it (None: the usual), and for how long (None: its share of what is left)."""

    move: str
    amount: float | None = None
    seconds: float | None = None


def parts(text: str) -> list[str]:
    """The parts of what is told one after the other, by commas or "then", in lower case."""
    return re.split(r",\s*(?:then\s+)?|\s+then\s+", text.strip().lower())


def share_of(seconds: list[float | None], total: float, whose: str) -> float:
    """What each part without a time takes of `total` seconds. Raises InputError, about `whose`, when they don't fit."""
    timed = sum(s or 0.0 for s in seconds)
    free = sum(s is None for s in seconds)
    share = (total - timed) / free if free else 0.0
    if timed > total + 1e-6 or (free and share <= 0):
        raise InputError(f"{whose} take {timed:g} s, the video is {total:g} s long; make it longer, or them shorter")
    return share


def parse(text: str) -> list[Leg]:
    """The legs of a path: moves with an amount and a time, separated by commas or "then".

    Raises InputError for a move that is not known.
    """
    legs = []
    for part in parts(text):
        found = _PART.fullmatch(part.strip())
        name = found["move"].strip() if found else part.strip()
        name = OTHER_NAMES.get(name, name)
        if not found or name not in MOVES:
            raise InputError(
                f"the camera cannot {part.strip()!r}; it can: {', '.join(MOVES)}; with an amount and a time if wished, "
                'such as "orbit left 40 over 2 s, then push in"'
            )
        amount, seconds = (None if found[k] is None else float(found[k]) for k in ("amount", "seconds"))
        legs.append(Leg(move=name, amount=amount, seconds=seconds))
    return legs


def velocities(text: str, frames: int, fps: float) -> NDArray[np.float32]:
    """Float32 [frames, 6] of a path in words over a video of so many frames.

    Legs without a time share what the others leave. Raises InputError when the times don't fit, or a move is faster
    than any that the model has seen.
    """
    legs = parse(text)
    share = share_of([leg.seconds for leg in legs], frames / fps, "the camera's legs")
    out = np.zeros((frames, AXES), np.float32)
    begin = 0.0
    for leg in legs:
        seconds = share if leg.seconds is None else leg.seconds
        unit, usual, most = MOVES[leg.move]
        speed = usual if leg.amount is None else leg.amount / max(seconds, 1e-6)
        if leg.amount is not None and speed > most:
            raise InputError(
                f"{leg.move} {leg.amount:g} within {seconds:g} s is too fast; at most {most * seconds:.0f} in that time"
            )
        first, begin = round(begin * fps), begin + seconds
        out[first : round(begin * fps)] = np.array(unit, np.float32) * speed
    return out
