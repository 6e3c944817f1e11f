"""What the acting subject does, in words: "drive, then steer left 1 s, then jump" becomes four numbers for every frame.

The numbers are those that the simulated world logs of its robots, cars and animals: steering (-1 left to 1 right),
throttle (0 to 1), jumping and grasping (0 or 1).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from haneul.errors import InputError
from haneul.prompt.camera import parts, share_of

CHANNELS = ("steer", "throttle", "jump", "grasp")
JUMP_SECONDS = 0.5  #: of a jump that says no time
#: Verb -> its channel, what it is at without an amount, and whether it stays until another verb ends it.
ACTIONS: dict[str, tuple[int, float, bool]] = {
    "steer left": (0, -1.0, False),
    "steer right": (0, 1.0, False),
    "steer straight": (0, 0.0, False),
    "drive": (1, 0.7, True),
    "stop": (1, 0.0, True),
    "jump": (2, 1.0, False),
    "grasp": (3, 1.0, True),
    "release": (3, 0.0, True),
    "wait": (0, 0.0, False),
}
OTHER_NAMES = {
    "go": "drive", "walk": "drive", "run": "drive", "fly": "drive", "swim": "drive", "move": "drive",
    "accelerate": "drive", "brake": "stop", "halt": "stop", "stand": "stop", "turn left": "steer left",
    "turn right": "steer right", "left": "steer left", "right": "steer right", "straight": "steer straight",
    "leap": "jump", "hop": "jump", "grab": "grasp", "hold": "grasp", "pick up": "grasp", "let go": "release",
    "drop": "release",
}  # fmt: skip

_TIME = re.compile(r"\s*(?:over|for|during)?\s*(\d+(?:\.\d+)?)\s*(?:s|sec|seconds?)$")
_VERB = re.compile(r"(?P<verb>[a-z ]+?)(?:\s+(?P<amount>\d+(?:\.\d+)?))?")


@dataclass(frozen=True, kw_only=True)
class Leg:
    """What is done at once: verb -> amount from 0 to 1 (None: the usual), and for how long (None: its share of what is
    left, of a jump half a second)."""

    verbs: dict[str, float | None] = field(default_factory=dict)
    seconds: float | None = None


def parse(text: str) -> list[Leg]:
    """The legs of an action: verbs joined by "and", with an amount and a time if wished, separated by commas or "then".

    Raises InputError for a verb that is not known, and an amount above 1.
    """
    legs = []
    for part in parts(text):
        timed = _TIME.search(part)
        verbs: dict[str, float | None] = {}
        for piece in re.split(r"\s+and\s+", part[: timed.start()] if timed else part):
            found = _VERB.fullmatch(piece.strip())
            name = found["verb"].strip() if found else piece.strip()
            name = OTHER_NAMES.get(name, name)
            if not found or name not in ACTIONS:
                raise InputError(
                    f"the subject cannot {piece.strip()!r}; it can: {', '.join(ACTIONS)}; with an amount from 0 to 1 "
                    'and a time if wished, such as "drive 0.5 and steer left 1 s, then jump"'
                )
            amount = None if found["amount"] is None else float(found["amount"])
            if amount is not None and amount > 1:
                raise InputError(f"{name} {amount:g} is too much; amounts are from 0 to 1, times are written as 2 s")
            verbs[name] = amount
        legs.append(Leg(verbs=verbs, seconds=float(timed[1]) if timed else None))
    return legs


def actions(text: str, frames: int, fps: float) -> NDArray[np.float32]:
    """Float32 [frames, 4], one column for each of CHANNELS, of an action in words over so many frames.

    Legs without a time share what the others leave; jumps without one take half a second. Driving and grasping go on
    until they are stopped. Raises InputError when the times don't fit.
    """
    legs = [
        leg if leg.seconds is not None or "jump" not in leg.verbs else Leg(verbs=leg.verbs, seconds=JUMP_SECONDS)
        for leg in parse(text)
    ]
    share = share_of([leg.seconds for leg in legs], frames / fps, "the actions")
    out = np.zeros((frames, len(CHANNELS)), np.float32)
    state = np.zeros(len(CHANNELS), np.float32)
    begin = 0.0
    for leg in legs:
        now = state.copy()
        for verb, amount in leg.verbs.items():
            channel, usual, stays = ACTIONS[verb]
            now[channel] = usual if amount is None else np.copysign(amount, usual) if usual else 0.0
            if stays:
                state[channel] = now[channel]
        first, begin = round(begin * fps), begin + (share if leg.seconds is None else leg.seconds)
        out[first : round(begin * fps)] = now
    out[round(begin * fps) :] = state
    return out
