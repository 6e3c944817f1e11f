"""What the caption writers of both languages share: dice, and the choice of what a caption mentions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, TypeVar

import numpy as np

from haneul.world.scene import Facts, Subject

T = TypeVar("T")
Length = Literal["word", "short", "medium", "full"]

#: Styles whose pictures have no colours: only white and black things are called by their colour there.
COLORLESS_STYLES: Final = ("pencil sketch", "film noir")
#: Outcomes that look the same in several events; a caption of the later ones does not tell the event.
AMBIGUOUS: Final = (("robot stops", "stands"), ("robot looks", "stands"), ("robot pushes", "reaches for"))
#: Events whose acting subject is named by the scenery or crowd instead of by `Facts.subjects[0]`.
SUBJECTLESS: Final = ("waves", "paintings", "gallery tour", "leaves", "snowfall")


#: Facts of less than this many seconds are of a single frame.
ONE_FRAME: Final = 0.06


class Caption(NamedTuple):
    """A caption and the names of the facts that it states (setting, time, style, camera, event, kind, color, …)."""

    text: str
    said: frozenset[str]


class Dice:
    """Cheap choices: uniform numbers drawn from a generator 64 at a time (a numpy call costs as much as 20)."""

    __slots__ = ("_next", "_rng", "_values")

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._values: list[float] = rng.random(64).tolist()
        self._next = 0

    def roll(self) -> float:
        """The next number in [0, 1)."""
        if self._next == 64:
            self._values = self._rng.random(64).tolist()
            self._next = 0
        self._next += 1
        return self._values[self._next - 1]

    def chance(self, p: float) -> bool:
        return self.roll() < p

    def pick(self, options: Sequence[T]) -> T:
        return options[int(self.roll() * len(options))]

    def word(self, names: Sequence[str], plain: float = 0.75) -> str:
        """One of `names`; the first, plain one with probability `plain`."""
        if len(names) == 1 or self.roll() < plain:
            return names[0]
        return names[1 + int(self.roll() * (len(names) - 1))]


@dataclass(slots=True)
class Plan:
    """Which facts a caption is to mention, and which it has mentioned (`said`, filled while it is written)."""

    facts: Facts
    length: Length
    setting: bool
    time: bool
    style: bool
    camera: bool
    color: bool
    material: bool
    direction: bool
    count: bool
    event: bool
    turns: bool
    said: set[str]

    @property
    def still(self) -> bool:
        """Nothing happens: a single frame, or a stretch of a clip in which the event has not begun."""
        return self.facts.outcome is None

    @property
    def frame(self) -> bool:
        """A single frame, which may be called a photo and has no camera movement."""
        return self.facts.outcome is None and self.facts.seconds < ONE_FRAME

    @property
    def both_roll(self) -> bool:
        """Whether two things may be said to roll towards each other: only balls do."""
        return all(s.kind == "ball" for s in self.facts.subjects[:2])

    def color_of(self, subject: Subject) -> str | None:
        """The colour to say, or None where it is dropped or cannot be seen."""
        if not self.color or (self.facts.style in COLORLESS_STYLES and subject.color not in ("white", "black")):
            return None
        return subject.color


# Probability that a fact is mentioned: time, style, camera, static camera, plain photo, material, direction, count.
_RATES: Final[dict[str, tuple[float, ...]]] = {
    "short": (0.18, 0.25, 0.06, 0.0, 0.02, 0.3, 0.35, 0.2),
    "medium": (0.6, 0.7, 0.4, 0.08, 0.04, 0.65, 0.8, 0.8),
    "full": (1.0, 1.0, 1.0, 0.75, 0.1, 1.0, 1.0, 1.0),
}


def make_plan(facts: Facts, dice: Dice, length: Length) -> Plan:
    """Decide what a caption of `length` (not 'word') mentions of `facts`."""
    time, style, camera, static, photo, material, direction, count = _RATES[length]
    short = length == "short"
    moves = (facts.outcome is not None or facts.seconds >= ONE_FRAME) and (
        facts.event != "gallery tour" or facts.camera.startswith("truck")
    )
    return Plan(
        facts=facts,
        length=length,
        setting=not short or dice.chance(0.35),
        time=facts.time is not None and dice.chance(time),
        style=dice.chance(photo if facts.style == "photo" else style),
        camera=moves and dice.chance(static if facts.camera == "static" else camera),
        color=not short or dice.chance(0.8),
        material=dice.chance(material),
        direction=facts.direction is not None and dice.chance(direction),
        count=facts.count is not None and dice.chance(count),
        event=not short or dice.chance(0.65),
        turns=bool(facts.turns) and dice.chance(direction),
        said=set(),
    )


def say_event(plan: Plan) -> None:
    """Note that the caption tells the event, unless its outcome looks the same as another event's."""
    plan.said.add("outcome")
    if (plan.facts.event, plan.facts.outcome) not in AMBIGUOUS:
        plan.said.add("event")
