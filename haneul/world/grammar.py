"""Reads a prompt the way the captions are written: longest known phrase first, in English, Korean and mixed script.

`parse` says what a prompt asks for, in the vocabulary's names; it guesses nothing that was not said, except an event
that a thing implies (a pendulum swings).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from haneul.prompt import language
from haneul.prompt.words import content_tokens
from haneul.world import vocabulary as voc
from haneul.world.matching import NUMBER_WORDS, Tag, known_words, read

__all__ = ["Parsed", "known_words", "parse"]

#: Kinds without which an event cannot be; a robot walks, a fish swims.
_NEEDS: Final[dict[str, tuple[str, ...]]] = {
    "pendulum": ("pendulum",), "dominoes": ("dominoes",), "car": ("car",), "rope": ("rope",),
    "quadruped": ("dog robot",), "flag": ("flag",), "bird": ("bird",), "fish": ("fish",),
    **{e: ("robot",) for e in voc.EVENTS if e.startswith("robot")},
    **dict.fromkeys(("bounce", "stairs", "collide", "ramp", "pile", "roll"), voc.SHAPES),
    **dict.fromkeys(("relation", "float", "drift", "space collide"), voc.SHAPES),
    "tower": ("ball", "stack", "box"),
}  # fmt: skip
#: Events that a thing implies when nothing else is said.
_IMPLIED: Final = {
    "pendulum": "pendulum", "dominoes": "dominoes", "stack": "tower", "car": "car", "rope": "rope",
    "dog robot": "quadruped", "flag": "flag", "bird": "bird", "fish": "fish",
}  # fmt: skip
#: Events of a single thing: less likely when two are named.
_ALONE: Final = ("bounce", "stairs", "ramp", "roll", "float", "drift")
#: Korean verbs (or what leads to them) whose object, and not their subject, stands right before them.
_TOWARDS_CUES: Final = ("부딪", "충돌", "향해", "쪽으로", "접근", "다가")
_WEAK_SETTING: Final = ("snow", "눈")


@dataclass(frozen=True, kw_only=True)
class Parsed:
    """What a prompt says.

    `attributes` may hold setting, time, style, camera, event, direction, relation (names of the vocabulary), kind,
    color, material of the main subject, kind2, color2, material2 of the second, count (int) and works (tuple).
    """

    attributes: dict[str, object]
    unknown: tuple[str, ...]
    language: str


@dataclass(slots=True)
class _Thing:
    """A subject under construction."""

    tag: int = -1
    parts: dict[str, str] = field(default_factory=dict)


def _things(tags: list[Tag]) -> list[_Thing]:
    """Subjects in the order of their names, with the colours and materials said before (or, left over, after) them."""
    things: list[_Thing] = []
    pending: dict[str, list[str]] = {"color": [], "material": []}
    for i, tag in enumerate(tags):
        material = tag.value("material")
        if material and things and [t.raw for t in tags[max(0, i - 2) : i]] == ["made", "of"]:
            things[-1].parts.setdefault("material", material)
            continue
        for attribute, values in pending.items():
            value = tag.value(attribute)
            if value is not None and tag.value("kind") is None and value not in values:
                values.append(value)
        kind = tag.value("kind")
        if kind is None:
            if tag.value("setting") or tag.value("style"):
                pending["material"].clear()
            continue
        previous = things[-1] if things else None
        near = (
            previous is not None
            and i - previous.tag <= 5
            and not any(t.value("relation") or t.value("event") for t in tags[previous.tag + 1 : i])
        )
        if previous is not None and near and {previous.parts["kind"], kind} == {"box", "stack"}:
            thing = previous  # 'a stack of blue boxes', '파란 상자 더미' are one thing
            thing.parts["kind"] = "stack"
        elif (
            previous is not None
            and previous.parts["kind"] == kind
            and kind in ("robot", "dominoes")
            and not pending["color"]
        ):
            thing = previous
        else:
            thing = _Thing()
            thing.parts["kind"] = kind
            things.append(thing)
        thing.tag = i
        if len(pending["color"]) == 2 and thing.parts.get("color") is None:
            second = _Thing(tag=i, parts={"kind": kind, "color": pending["color"].pop()})
            things.append(second)
        for attribute, values in pending.items():
            if values:
                thing.parts.setdefault(attribute, values[0])
                values.clear()
    if things and things[0].parts.get("color") is None and pending["color"]:
        # 'two balls, one red and one blue'
        things[0].parts["color"] = pending["color"][0]
        if len(pending["color"]) > 1 and len(things) == 1:
            things.append(
                _Thing(tag=things[0].tag, parts={"kind": things[0].parts["kind"], "color": pending["color"][1]})
            )
    return things


def _relation(tags: list[Tag], things: list[_Thing], korean: bool) -> tuple[str, int] | None:
    """A relation between two things and the index of the thing that it refers to."""
    for i, tag in enumerate(tags):
        relation = tag.value("relation")
        if relation is None or tag.value("direction"):
            continue
        if korean:
            reference = next((k for k, t in enumerate(things) if t.tag == i - 1), None)
            if reference is not None and len(things) > 1 and not tag.raw.endswith(("으로", "에서")):
                return relation, reference
            continue
        after = next((k for k, t in enumerate(things) if t.tag > i), None)
        if after is not None and after > 0:
            between = tags[i + 1 : things[after].tag]
            if not any(t.value("setting") or t.value("event") or t.value("time") for t in between):
                return relation, after
    return None


def _event(tags: list[Tag], things: list[_Thing], setting: str | None, relation: str | None) -> str | None:
    """The event with the strongest evidence, or None."""
    score: dict[str, float] = {}
    for tag in tags:
        for attribute, value, weight in tag.meanings:
            if attribute == "event":
                score[value] = score.get(value, 0.0) + weight
            elif attribute == "work":
                score["paintings"] = score.get("paintings", 0.0) + 0.5
                score["gallery tour"] = score.get("gallery tour", 0.0) + 0.5
    kinds = [t.parts["kind"] for t in things]
    for kind in kinds:
        if kind in _IMPLIED:
            score[_IMPLIED[kind]] = score.get(_IMPLIED[kind], 0.0) + 3.0
    if relation is not None:
        score["relation"] = score.get("relation", 0.0) + 2.5
    for event in score:
        if setting is not None and setting not in voc.event_settings(event):
            score[event] -= 2.5
        needed = _NEEDS.get(event)
        if kinds and not (set(needed) & set(kinds) if needed else False):
            score[event] -= 2.5
        if event == "relation" and len(kinds) < 2:
            score[event] -= 1.0
        if event in _ALONE and len(kinds) > 1:
            score[event] -= 1.0
        if event in ("collide", "space collide") and len(kinds) > 1:
            score[event] += 1.5
        if event in ("collide", "space collide") and "stack" in kinds:
            score[event] -= 2.5
        if event == "space collide" and setting is None:
            score[event] -= 0.5
    best = max(score, key=lambda e: score[e], default=None)
    return best if best is not None and score[best] >= 0.5 else None


def _order(things: list[_Thing], tags: list[Tag], event: str | None, reference: int | None) -> list[_Thing]:
    """The things with the acting one first."""
    if len(things) < 2:
        return things
    last: int | None = reference
    if event == "tower" or (event or "").startswith("robot"):
        main = "robot" if event != "tower" else "ball"
        first = next((k for k, t in enumerate(things) if t.parts["kind"] == main), 0)
        return [things[first], *(t for k, t in enumerate(things) if k != first)]
    if last is None:
        # '파란 상자와 부딪치는 빨간 공': who is hit stands before the verb with its own particle
        for k, thing in enumerate(things[:-1]):
            tag = tags[thing.tag]
            after = tags[thing.tag + 1].raw if thing.tag + 1 < len(tags) else ""
            if after == "쪽으로" or (
                tag.raw.endswith(("와", "과", "에", "을", "를")) and after.startswith(_TOWARDS_CUES)
            ):
                last = k
    if last is None:
        return things
    return [*(t for k, t in enumerate(things) if k != last), things[last]]


def _single(tags: list[Tag], attribute: str) -> str | None:
    """The value said for an attribute, by the longest phrase; weak words ('snow' for a place) give way."""
    said = [t for t in tags if t.value(attribute) is not None]
    if attribute == "setting" and len(said) > 1:
        said = [t for t in said if t.words[0] not in _WEAK_SETTING or len(t.words) > 1] or said
    best = max(said, key=lambda t: len(t.words), default=None)
    return best.value(attribute) if best else None


def _direction(tags: list[Tag]) -> str | None:
    """Towards which side it goes; a side that it turns to is none, for that is as the subject sees it."""
    if any(tag.value("turn") is not None for tag in tags):
        return None
    return _single(tags, "direction")


def _count(text: str) -> int | None:
    """A number said as such: '4', 'four', 'twice'; 1 only as 'once' or in digits."""
    for token in content_tokens(text):
        if token.isdigit() and len(token) < 4 and "8-bit" not in text.casefold():
            return int(token)
        if token in NUMBER_WORDS and token not in ("one", "하나"):
            return NUMBER_WORDS[token]
    return None


def parse(prompt: str) -> Parsed:
    """Read a prompt in English, Korean or mixed script.

    Raises InputError for prompts that `haneul.prompt.language.check` refuses.
    """
    checked = language.check(prompt)
    text = checked.encoded
    korean = checked.language in ("ko", "ko-hanja")
    tags, strange, camera = read(text)
    things = _things(tags)
    setting = _single(tags, "setting")
    relation = _relation(tags, things, korean)
    event = _event(tags, things, setting, relation[0] if relation else None)
    things = _order(things, tags, event, relation[1] if relation and event == "relation" else None)
    said: dict[str, object | None] = {
        "setting": setting, "time": _single(tags, "time"), "style": _single(tags, "style"), "camera": camera,
        "event": event, "direction": _direction(tags),
        "relation": relation[0] if relation and event == "relation" else None, "count": _count(text),
        "works": tuple(v for t in tags if (v := t.value("work"))) or None,
    }  # fmt: skip
    for suffix, thing in zip(("", "2"), things, strict=False):
        said.update({key + suffix: value for key, value in thing.parts.items()})
    if not things:
        said["color"] = _single(tags, "color")  # 'five red objects'
    attributes = {key: value for key, value in said.items() if value is not None}
    return Parsed(attributes=attributes, unknown=tuple(dict.fromkeys(strange)), language=checked.language)
