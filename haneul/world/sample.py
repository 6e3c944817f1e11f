"""Draws specifications of clips: an even mix over events, then over everything else that an event leaves open."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from haneul.errors import WorldError
from haneul.world import vocabulary
from haneul.world.events import EVENT_RULES, cameras_for, check_spec, relations_for, times_for
from haneul.world.events.base import Role
from haneul.world.scene import CALM, ClipSpec, Subject, held_out

PHOTO_SHARE = 0.7
STATIC_SHARE = 0.25
MOST_DRAWS = 400
#: Colours that would vanish where they are.
VANISHING = {"outer space": ("black",), "snowy field": ("white",)}
DARK_GLOW = ("black", "white")  # neon glows in neither
_SUBJECT_KEYS = ("kind", "color", "material")
#: Attributes that `sample_spec` can pin; a trailing 2 means the second subject.
FIXABLE = (
    "setting", "event", "style", "camera", "time", "direction", "relation", "subjects", "steered",
    *_SUBJECT_KEYS, *(f"{key}2" for key in _SUBJECT_KEYS),
)  # fmt: skip


def _pick(rng: np.random.Generator, options: tuple[Any, ...], wanted: Any, what: str) -> Any:
    """`wanted` if it is among the options, otherwise one of them at random."""
    if wanted is not None:
        if wanted not in options:
            raise WorldError(f"{what} cannot be {wanted!r} here; possible: {', '.join(map(str, options)) or 'none'}")
        return wanted
    return options[int(rng.integers(len(options)))]


def _fits(event: str, fixed: dict[str, Any]) -> bool:
    """Whether an event can have all the pinned attributes."""
    rule = EVENT_RULES[event]
    if fixed.get("setting") not in (None, *vocabulary.event_settings(event)):
        return False
    if fixed.get("time") is not None and all(s in vocabulary.TIMELESS for s in vocabulary.event_settings(event)):
        return False
    if fixed.get("camera") not in (None, *rule.cameras) or (fixed.get("steered") and not rule.steerable):
        return False
    if (fixed.get("direction") is not None and not rule.directed) or (fixed.get("relation") and not rule.related):
        return False
    if fixed.get("subjects") is not None and len(fixed["subjects"]) != len(rule.cast):
        return False
    for index, suffix in enumerate(("", "2")):
        wanted = {key: fixed.get(key + suffix) for key in _SUBJECT_KEYS}
        if any(v is not None for v in wanted.values()):
            if index >= len(rule.cast):
                return False
            role = rule.cast[index]
            if wanted["kind"] not in (None, *role.kinds) or wanted["material"] not in (None, *role.materials):
                return False
    return True


def _subject(
    rng: np.random.Generator, role: Role, setting: str, fixed: dict[str, Any], suffix: str, taken: str | None
) -> Subject:
    kind = _pick(rng, role.kinds, fixed.get("kind" + suffix), "kind")
    color = fixed.get("color" + suffix)
    materials = role.materials
    if color in DARK_GLOW:
        materials = tuple(m for m in materials if m != "neon") or materials
    material = _pick(rng, materials, fixed.get("material" + suffix), "material") if materials else None
    if color is None:
        banned = VANISHING.get(setting, ()) + (DARK_GLOW if material == "neon" else ()) + ((taken,) if taken else ())
        color = _pick(rng, tuple(c for c in vocabulary.COLORS if c not in banned), None, "color")
    return Subject(kind=kind, color=_pick(rng, tuple(vocabulary.COLORS), color, "color"), material=material)


def _draw(rng: np.random.Generator, seed: int, fixed: dict[str, Any], richness: float, seconds: float) -> ClipSpec:
    possible = tuple(e for e in EVENT_RULES if _fits(e, {**fixed, "event": None}))
    if fixed.get("event") is not None:
        if fixed["event"] not in EVENT_RULES:
            raise WorldError(f"event cannot be {fixed['event']!r}; possible: {', '.join(EVENT_RULES)}")
        if fixed["event"] not in possible:
            raise WorldError(_impossible(fixed, possible))
    if not possible:
        raise WorldError(_impossible(fixed, possible))
    event = _pick(rng, possible, fixed.get("event"), "event")
    rule = EVENT_RULES[event]
    settings = vocabulary.event_settings(event)
    if fixed.get("time") is not None:
        settings = tuple(s for s in settings if s not in vocabulary.TIMELESS)
    setting = _pick(rng, settings, fixed.get("setting"), "setting")
    subjects = fixed.get("subjects")
    relation = _relation(rng, subjects, rule.cast, fixed) if rule.related else None
    if subjects is None:
        cast: list[Subject] = []
        for index, role in enumerate(_players(rule.cast, relation)):
            taken = cast[0].color if cast else fixed.get("color2")
            cast.append(_subject(rng, role, setting, fixed, "2" if index else "", taken))
        subjects = tuple(cast)
    direction = _pick(rng, _sides(fixed, rule.follows), fixed.get("direction"), "direction") if rule.directed else None
    cameras = cameras_for(event, direction)
    camera = fixed.get("camera")
    if camera is None and "static" in cameras and rng.uniform() < STATIC_SHARE:
        camera = "static"
    moving = tuple(c for c in cameras if c != "static" or fixed.get("camera") == "static" or camera == "static")
    style = fixed.get("style")
    if style is None and rng.uniform() < PHOTO_SHARE:
        style = "photo"
    styles = vocabulary.STYLES if style is not None else tuple(s for s in vocabulary.STYLES if s != "photo")
    return ClipSpec(
        seed=seed, setting=setting, event=event, subjects=subjects, direction=direction,
        relation=relation,
        camera=_pick(rng, moving, camera, f"camera of {event!r}"), style=_pick(rng, styles, style, "style"),
        time=_pick(rng, times_for(setting), fixed.get("time"), f"time in {setting!r}"),
        seconds=seconds, richness=richness, steered=bool(fixed.get("steered")),
    )  # fmt: skip


def _players(cast: tuple[Role, ...], relation: str | None) -> tuple[Role, ...]:
    """The roles of a cast, of those kinds only that can rest in the relation."""
    if relation is None:
        return cast
    first, second = cast
    above = tuple(k for k in first.kinds if any(relation in relations_for(k, other) for other in second.kinds))
    below = tuple(k for k in second.kinds if any(relation in relations_for(other, k) for other in first.kinds))
    return replace(first, kinds=above), replace(second, kinds=below)


def _relation(
    rng: np.random.Generator, subjects: tuple[Subject, ...] | None, cast: tuple[Role, ...], fixed: dict[str, Any]
) -> str:
    """One of the relations that the pinned kinds allow."""
    if subjects is not None:
        kinds: tuple[tuple[str, ...], ...] = tuple((subject.kind,) for subject in subjects)
    else:
        pinned = (fixed.get("kind"), fixed.get("kind2"))
        kinds = tuple((kind,) if kind else role.kinds for kind, role in zip(pinned, cast, strict=True))
    allowed = {r for first in kinds[0] for second in kinds[1] for r in relations_for(first, second)}
    options = tuple(r for r in vocabulary.RELATIONS if r in allowed)
    relation: str = _pick(rng, options, fixed.get("relation"), "relation")
    return relation


def _sides(fixed: dict[str, Any], follows: bool) -> tuple[str, ...]:
    """Directions that agree with a pinned truck."""
    camera = fixed.get("camera") or ""
    return (camera.split()[1],) if follows and camera.startswith("truck") else ("left", "right")


def _impossible(fixed: dict[str, Any], possible: tuple[str, ...]) -> str:
    asked = ", ".join(f"{k}={v!r}" for k, v in fixed.items() if v is not None)
    event = fixed.get("event")
    if event not in EVENT_RULES:
        return f"no clip has {asked}; leave one of them open"
    rule = EVENT_RULES[event]
    kinds = " and ".join("/".join(role.kinds) for role in rule.cast) or "none"
    settings, cameras = ", ".join(vocabulary.event_settings(event)), ", ".join(rule.cameras)
    other = f"; with the rest as asked the event can be: {', '.join(possible)}" if possible else ""
    return f"no clip has {asked}; {event!r} has settings {settings}; subjects {kinds}; cameras {cameras}{other}"


def sample_spec(
    seed: int,
    *,
    richness: float = CALM,
    seconds: float = 4.0,
    allow_held_out: bool = False,
    only_held_out: bool = False,
    **fixed: Any,
) -> ClipSpec:
    """Draw a clip: each event equally likely, then setting, subjects, materials, colours, time, camera and style.

    `fixed` pins attributes (see FIXABLE). Held-out combinations are drawn only where allowed, or are the only ones
    with `only_held_out`. Equal arguments give equal specifications. Raises WorldError for what cannot be.
    """
    unknown = sorted(set(fixed) - set(FIXABLE))
    if unknown:
        raise WorldError(f"cannot fix {', '.join(unknown)}; possible: {', '.join(FIXABLE)}")
    rng = np.random.default_rng([seed, 0])
    event = fixed.get("event")
    for attempt in range(MOST_DRAWS):
        spec = _draw(rng, seed, {**fixed, "event": event}, richness, seconds)
        out = held_out(spec)
        if (out and (allow_held_out or only_held_out)) or (not out and not only_held_out):
            check_spec(spec)
            return spec
        # the event stays for a while, so that the mix over events stays even
        event = spec.event if attempt < MOST_DRAWS // 4 else fixed.get("event")
    side = "held out" if only_held_out else "for training"
    raise WorldError(f"no combination {side} with {', '.join(f'{k}={v!r}' for k, v in fixed.items())}; fix less")
