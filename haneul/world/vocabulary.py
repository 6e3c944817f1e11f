"""The closed vocabulary of the simulated world: every name that a clip can be made of.

This table is the contract between the scene builder, the renderer, the captions and the evaluation. It holds names
and facts only, no behaviour. Words for people (English, Korean) live in `captions`.
"""

from __future__ import annotations

from typing import Final

SETTINGS: Final = (
    "art gallery",
    "neon street",
    "desert",
    "sea",
    "snowy field",
    "forest",
    "tiled plaza",
    "outer space",
    "brick courtyard",
    "cyberpunk city",
)
#: Settings without a sky: time of day means nothing there and is None in every spec and fact.
TIMELESS: Final = ("art gallery", "outer space")
TIMES: Final = ("noon", "sunset", "night", "foggy morning")

#: Linear RGB albedo of each colour.
COLORS: Final[dict[str, tuple[float, float, float]]] = {
    "red": (0.72, 0.03, 0.03),
    "blue": (0.03, 0.13, 0.75),
    "green": (0.03, 0.45, 0.08),
    "yellow": (0.90, 0.68, 0.03),
    "orange": (0.90, 0.30, 0.02),
    "purple": (0.32, 0.05, 0.55),
    "white": (0.85, 0.85, 0.85),
    "black": (0.02, 0.02, 0.025),
    "pink": (0.90, 0.30, 0.50),
    "cyan": (0.10, 0.60, 0.80),
}
#: Density in kg/m^3 of each material; rubber bounces, marble does not.
MATERIALS: Final[dict[str, float]] = {
    "rubber": 1100.0,
    "plastic": 600.0,
    "wood": 700.0,
    "metal": 4000.0,
    "marble": 2600.0,
    "neon": 500.0,  # glows
}
SHAPES: Final = ("ball", "box", "cylinder", "capsule")
#: What a subject can be: the simple solids and the built ones.
KINDS: Final = (
    *SHAPES, "pendulum", "dominoes", "stack", "car", "rope", "dog robot", "robot", "flag", "bird", "fish",
)  # fmt: skip
STYLES: Final = (
    "photo", "watercolor", "pixel art", "cyberpunk", "pencil sketch", "oil painting", "cartoon", "film noir",
)  # fmt: skip
CAMERAS: Final = (
    "static", "orbit left", "orbit right", "push in", "pull back", "crane up", "truck left", "truck right",
)  # fmt: skip
RELATIONS: Final = ("left of", "right of", "behind", "in front of", "on top of")

#: event -> (settings where it can happen or () for every grounded one, outcomes that an observer may report).
#: Grounded settings are all but "sea" and "outer space".
EVENTS: Final[dict[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "bounce": ((), ("bounces", "falls")),  # count = number of bounces
    "stairs": ((), ("bounces down", "bounces on")),
    "pendulum": ((), ("swings",)),
    "dominoes": ((), ("topple", "stand")),  # count = dominoes; extra fallen_count
    "tower": ((), ("knocks over", "shakes", "rolls towards")),  # subjects: ball, stack; count = boxes in the stack
    "collide": ((), ("collide", "approach")),  # two subjects
    "ramp": ((), ("rolls down", "slides down")),
    "pile": ((), ("heap",)),  # count = objects
    "roll": ((), ("rolls",)),  # direction
    "relation": ((), ("rests",)),  # two subjects, relation
    "car": (("neon street", "cyberpunk city", "desert", "snowy field", "tiled plaza"), ("drives", "starts")),
    "rope": ((), ("swings",)),
    "quadruped": ((), ("walks", "moves its legs")),  # direction
    "flag": (("desert", "snowy field", "forest", "tiled plaza", "brick courtyard"), ("waves",)),
    "bird": (("desert", "snowy field", "forest", "tiled plaza", "sea", "brick courtyard"), ("flies",)),  # direction
    "robot walks": (("cyberpunk city", "neon street", "tiled plaza"), ("walks", "stands")),  # direction
    "robot stops": (("cyberpunk city", "neon street"), ("walks and stops", "stands")),
    "robot picks up": (("cyberpunk city", "neon street"), ("picks up", "reaches for")),  # subjects: robot, box
    "robot pushes": (("cyberpunk city", "neon street"), ("pushes", "reaches for")),  # subjects: robot, box
    "robot looks": (("cyberpunk city", "neon street"), ("looks at", "stands")),  # at a glowing sign (scenery)
    "float": (("sea",), ("bobs", "splashes")),
    "fish": (("sea",), ("jumps", "swims")),
    "waves": (("sea",), ("roll",)),  # no subject
    "drift": (("outer space",), ("drifts",)),
    "space collide": (("outer space",), ("collide", "approach")),
    "paintings": (("art gallery",), ("hang",)),  # count = works in view, no subject
    "gallery tour": (("art gallery",), ("walks past",)),  # works: styles of the pictures in order, no subject
    "leaves": (("forest",), ("fall",)),  # no subject
    "snowfall": (("snowy field", "forest", "neon street"), ("fall",)),  # no subject
}
GROUNDED: Final = tuple(s for s in SETTINGS if s not in ("sea", "outer space"))
#: What hangs in the gallery: the manner of each work.
WORKS: Final = ("abstract circles", "color grid", "landscape", "swirls", "stripes", "portrait")


def event_settings(event: str) -> tuple[str, ...]:
    """Settings in which `event` can happen."""
    allowed = EVENTS[event][0]
    return allowed or GROUNDED
