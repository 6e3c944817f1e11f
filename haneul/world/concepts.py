"""What a caption says, as concepts: one value of the vocabulary for each slot, or nothing where it is silent.

The transformer is conditioned on these slots (model/concepts.py), and a small network learns to read them off text. A
video of the world needs no text for its training then: which slots a caption fills is known when it is worded.
"""

from __future__ import annotations

from collections.abc import Set
from typing import Final

from haneul.world.scene import Facts
from haneul.world.vocabulary import (
    CAMERAS,
    COLORS,
    EVENTS,
    KINDS,
    MATERIALS,
    RELATIONS,
    SETTINGS,
    STYLES,
    TIMES,
    WORKS,
)
from haneul.world.wording import COLORLESS_STYLES

MOST = 12  #: the largest count that is a concept
TOLD_WORKS = 4  #: works of a gallery that captions name, at most

#: Slot -> its values. A 2 is the second subject's.
SLOTS: Final[dict[str, tuple[str, ...]]] = {
    "setting": SETTINGS,
    "time": TIMES,
    "style": STYLES,
    "camera": CAMERAS,
    "event": tuple(EVENTS),
    "outcome": tuple(dict.fromkeys(outcome for _, outcomes in EVENTS.values() for outcome in outcomes)),
    "direction": ("left", "right"),
    "relation": RELATIONS,
    "count": tuple(str(n) for n in range(1, MOST + 1)),
    "kind": KINDS,
    "color": tuple(COLORS),
    "material": tuple(MATERIALS),
    "kind2": KINDS,
    "color2": tuple(COLORS),
    "material2": tuple(MATERIALS),
    **{f"work{n + 1}": WORKS for n in range(TOLD_WORKS)},
}


def told_works(works: tuple[str, ...]) -> tuple[str, ...]:
    """The works that a caption names, in its order: of a long row only the first three."""
    return works[:3] if len(works) > TOLD_WORKS else works


def concepts_of(facts: Facts, said: Set[str]) -> dict[str, str]:
    """The filled slots of a caption of `facts` that states `said` (as `captions.describe` returns them)."""
    values: dict[str, str | None] = {
        name: getattr(facts, name)
        for name in ("setting", "time", "style", "camera", "event", "outcome", "direction", "relation")
    }
    if facts.count is not None and 1 <= facts.count <= MOST:
        values["count"] = str(facts.count)
    for subject, suffix in zip(facts.subjects, ("", "2"), strict=False):
        seen = facts.style not in COLORLESS_STYLES or subject.color in ("white", "black")
        values["kind" + suffix] = subject.kind
        values["material" + suffix] = subject.material
        values["color" + suffix] = subject.color if seen else None
    found = {name: value for name, value in values.items() if name in said and value is not None}
    if "works" in said:
        found |= {f"work{n + 1}": work for n, work in enumerate(told_works(facts.works))}
    if facts.event == "dominoes" and "color" in found and len(facts.subjects) > 1:
        second = facts.subjects[1].color
        if second != found["color"]:
            found["color2"] = second
    return found
