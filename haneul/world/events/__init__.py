"""The events of the world: their rules by name, the check of a specification, and the observer.

facts = observe(simulate(spec), start, stop)
"""

from __future__ import annotations

from haneul.errors import WorldError
from haneul.world import vocabulary
from haneul.world.events import gallery, nature, robots, solids, stacks, swinging, vehicles
from haneul.world.events.base import EventRule, Role, Window
from haneul.world.scene import FPS, ClipSpec, Facts, Subject, Truth

_ALL = {
    **solids.RULES,
    **stacks.RULES,
    **swinging.RULES,
    **vehicles.RULES,
    **robots.RULES,
    **nature.RULES,
    **gallery.RULES,
}
#: Rules in the vocabulary's order.
EVENT_RULES: dict[str, EventRule] = {name: _ALL[name] for name in vocabulary.EVENTS}
LONGEST = 20.0  # seconds
SHORTEST = 0.25


def cameras_for(event: str, direction: str | None = None) -> tuple[str, ...]:
    """Camera moves that make sense for an event; one that travels is only trucked along in its own direction."""
    rule = EVENT_RULES[event]
    if rule.follows and direction is not None:
        away = "truck left" if direction == "right" else "truck right"
        return tuple(c for c in rule.cameras if c != away)
    return rule.cameras


def relations_for(first: str, second: str) -> tuple[str, ...]:
    """Relations that solids of two kinds can rest in: only a flat top carries another thing, and not a capsule."""
    carries = second in solids.FLAT_TOP and first != "capsule"
    return tuple(r for r in vocabulary.RELATIONS if r != "on top of" or carries)


def _require(value: object, allowed: tuple[object, ...], what: str) -> None:
    if value not in allowed:
        names = ", ".join(str(a) for a in allowed) or "none"
        raise WorldError(f"{what} cannot be {value!r}; possible: {names}")


def check_spec(spec: ClipSpec) -> None:
    """Raise WorldError where a specification names something that cannot be, with what would be possible."""
    _require(spec.event, tuple(EVENT_RULES), "event")
    rule = EVENT_RULES[spec.event]
    _require(spec.setting, vocabulary.event_settings(spec.event), f"setting of {spec.event!r}")
    _require(spec.style, vocabulary.STYLES, "style")
    _require(spec.time, times_for(spec.setting), f"time in {spec.setting!r}")
    if not SHORTEST <= spec.seconds <= LONGEST:
        raise WorldError(f"seconds is {spec.seconds}; choose {SHORTEST} to {LONGEST}")
    if not 0.0 <= spec.richness <= 1.0:
        raise WorldError(f"richness is {spec.richness}; choose 0 to 1")
    if len(spec.subjects) != len(rule.cast):
        raise WorldError(f"{spec.event!r} has {len(rule.cast)} subjects, not {len(spec.subjects)}")
    for subject, role in zip(spec.subjects, rule.cast, strict=True):
        check_subject(subject, role, spec.event)
    _require(spec.direction, ("left", "right") if rule.directed else (None,), f"direction of {spec.event!r}")
    relations = relations_for(spec.subjects[0].kind, spec.subjects[1].kind) if rule.related else (None,)
    _require(spec.relation, relations, f"relation in {spec.event!r}")
    _require(spec.camera, cameras_for(spec.event, spec.direction), f"camera of {spec.event!r}")
    _require(spec.steered, (False, True) if rule.steerable else (False,), f"steered in {spec.event!r}")


def times_for(setting: str) -> tuple[str | None, ...]:
    """Times of day of a setting; (None,) where there is no sky."""
    return (None,) if setting in vocabulary.TIMELESS else vocabulary.TIMES


def check_subject(subject: Subject, role: Role, event: str) -> None:
    """Raise WorldError where a subject cannot play a role."""
    _require(subject.kind, role.kinds, f"kind of a subject of {event!r}")
    _require(subject.color, tuple(vocabulary.COLORS), "color")
    _require(subject.material, role.materials or (None,), f"material of a {subject.kind} in {event!r}")


def observe(truth: Truth, start: int, stop: int) -> Facts:
    """What is seen between two moments of a clip: frames [start, stop) of the log at 24 frames per second.

    With stop - start == 1 it is a still: no outcome, no direction. An outcome of None in a longer window means that
    nothing of the event happens in it. Raises WorldError where the window lies outside the clip.
    """
    if not 0 <= start < stop <= len(truth.cameras):
        raise WorldError(f"window [{start}, {stop}) is outside the clip's {len(truth.cameras)} frames")
    spec = truth.spec
    seen = EVENT_RULES[spec.event].observe(Window(truth=truth, start=start, stop=stop))
    facts = {"event": spec.event, "subjects": spec.subjects, **seen}
    return Facts(
        setting=spec.setting, time=spec.time, style=spec.style, seconds=(stop - start) / FPS,
        camera="static" if stop - start == 1 else spec.camera, **facts,
    )  # fmt: skip
