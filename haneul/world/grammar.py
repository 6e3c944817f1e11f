"""Reads a prompt the way the captions are written: longest known phrase first, in English, Korean and mixed script.

`parse` says what a prompt asks for, in the vocabulary's names; it guesses nothing that was not said, except an event
that a thing implies (a pendulum swings).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from haneul.prompt import language
from haneul.prompt.words import STOP_WORDS, content_tokens, is_known, stems
from haneul.world import lexicon as lex
from haneul.world import vocabulary as voc

_SIDE_WORDS: Final = {
    "left": ("left", "to left", "towards left", "toward left", "leftward", "leftwards", "right to left", "from right to left",
             "왼쪽으로", "왼편으로", "좌측으로", "오른쪽에서 왼쪽으로"),
    "right": ("right", "to right", "towards right", "toward right", "rightward", "rightwards", "left to right", "from left to right",
              "오른쪽으로", "오른편으로", "우측으로", "왼쪽에서 오른쪽으로"),
}  # fmt: skip
_NUMBER_WORDS: Final = {
    word: n
    for n, words in enumerate(
        ("", "one once 한 하나", "two twice 두 둘", "three 세 셋", "four 네 넷", "five 다섯", "six 여섯", "seven 일곱", "eight 여덟",
         "nine 아홉", "ten 열", "eleven 열한", "twelve 열두")
    )
    for word in words.split()
}  # fmt: skip
#: Kinds without which an event cannot be; a robot walks, a fish swims.
_NEEDS: Final[dict[str, tuple[str, ...]]] = {
    "pendulum": ("pendulum",), "dominoes": ("dominoes",), "car": ("car",), "rope": ("rope",), "quadruped": ("dog robot",),
    "flag": ("flag",), "bird": ("bird",), "fish": ("fish",), **{e: ("robot",) for e in voc.EVENTS if e.startswith("robot")},
    **{e: voc.SHAPES for e in ("bounce", "stairs", "collide", "ramp", "pile", "roll", "relation", "float", "drift", "space collide")},
    "tower": ("ball", "stack", "box"),
}  # fmt: skip
#: Events that a thing implies when nothing else is said.
_IMPLIED: Final = {
    "pendulum": "pendulum", "dominoes": "dominoes", "stack": "tower", "car": "car", "rope": "rope", "dog robot": "quadruped",
    "flag": "flag", "bird": "bird", "fish": "fish",
}  # fmt: skip
_COLLIDE_CUES: Final = ("부딪", "충돌")
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
class _Tag:
    """A phrase found in the prompt: where, what it may mean [(attribute, value, weight)], and its words."""

    start: int
    meanings: list[tuple[str, str, float]]
    words: tuple[str, ...]
    raw: str

    def value(self, attribute: str) -> str | None:
        return next((v for a, v, _ in self.meanings if a == attribute), None)


@dataclass(slots=True)
class _Thing:
    """A subject under construction."""

    tag: int = -1
    parts: dict[str, str] = field(default_factory=dict)


def _phrases() -> Iterable[tuple[str, str, str, float]]:
    """(phrase, attribute, value, weight) of everything that can be said."""
    tables: dict[str, dict[str, lex.Entry]] = {
        "color": lex.COLORS, "material": lex.MATERIALS, "kind": lex.KINDS, "setting": lex.SETTINGS, "time": lex.TIMES,
        "style": lex.STYLES, "relation": lex.RELATIONS, "work": lex.WORKS,
    }  # fmt: skip
    for attribute, table in tables.items():
        for value, entry in table.items():
            for phrase in (*entry.en, *entry.ko, *entry.heard):
                yield phrase, attribute, value, 1.0
    for value, phrase in lex.SINO_COLORS.items():
        yield phrase, "color", value, 1.0
    for side, phrases in _SIDE_WORDS.items():
        for phrase in phrases:
            yield phrase, "direction", side, 1.0
    for event, cues in lex.EVENT_CUES.items():
        for phrase, weight in cues:
            yield phrase, "event", event, weight


_Index = dict[str, list[tuple[tuple[str, ...], list[tuple[str, str, float]]]]]


def _pattern(phrase: str) -> tuple[str, ...]:
    """Words of a phrase; a final `*` (a Korean verb's stem) is kept."""
    words = tuple(content_tokens(phrase.rstrip("*")))
    return (*words[:-1], words[-1] + "*") if phrase.endswith("*") else words


@lru_cache(maxsize=1)
def _index() -> _Index:
    """First word -> patterns that begin with it and what they mean, longest first."""
    patterns: dict[tuple[str, ...], list[tuple[str, str, float]]] = {}
    for phrase, attribute, value, weight in _phrases():
        words = _pattern(phrase)
        korean = all("가" <= w[0] <= "힣" for w in words)
        for variant in {words, ("".join(words),)} if korean else {words}:
            meanings = patterns.setdefault(variant, [])
            if not any(m[:2] == (attribute, value) for m in meanings):
                meanings.append((attribute, value, weight))
    index: _Index = {}
    for words, meanings in sorted(patterns.items(), key=lambda item: -len(item[0])):
        index.setdefault(words[0], []).append((words, meanings))
    return index


@lru_cache(maxsize=1)
def _camera_index() -> dict[str, list[tuple[tuple[str, ...], str]]]:
    index: dict[str, list[tuple[tuple[str, ...], str]]] = {}
    entries = [(tuple(content_tokens(c)), move) for move, cues in lex.CAMERA_CUES.items() for c in cues]
    for words, move in sorted(entries, key=lambda item: (-len(item[0]), -len(item[0][-1]))):
        index.setdefault(words[0][:1], []).append((words, move))
    return index


def _word_matches(word: str, token: str) -> int:
    """2 for the very word, 1 for a form of it, 0 for another."""
    if word == token:
        return 2
    if word.endswith("*"):
        return int(token.startswith(word[:-1]))
    return int(word in stems(token))


def _match(found: list[str], at: int) -> tuple[tuple[str, ...], list[tuple[str, str, float]]] | None:
    """The longest phrase that begins at token `at`; of equally long ones the one spelt as it stands."""
    index = _index()
    token = found[at]
    keys = [*stems(token), *(token[:n] + "*" for n in range(1, len(token) + 1))]
    best: tuple[int, int, tuple[str, ...], list[tuple[str, str, float]]] | None = None
    for key in keys:
        for words, meanings in index.get(key, ()):
            if len(words) > len(found) - at or (best and len(words) < best[0]):
                continue
            grades = [_word_matches(w, t) for w, t in zip(words, found[at : at + len(words)], strict=True)]
            if min(grades) and (best is None or (len(words), sum(grades), len(words[0])) > (best[0], best[1], len(best[2][0]))):
                best = (len(words), sum(grades), words, meanings)
    return (best[2], best[3]) if best else None


def _camera_cue(clause: list[str], at: int) -> tuple[str, int] | None:
    """The camera move named at a token and how many tokens name it."""
    token = clause[at]
    for words, move in _camera_index().get(token[:1], ()):
        if len(words) > len(clause) - at:
            continue
        korean = "가" <= words[0][0] <= "힣"
        if all(
            (t.startswith(w) if korean else w in stems(t)) for w, t in zip(words, clause[at : at + len(words)], strict=True)
        ):
            return move, len(words)
    return None


def _side_at(clause: list[str], at: int) -> str | None:
    token = clause[at]
    for side, phrases in _SIDE_WORDS.items():
        if token in phrases:
            return side
    return None


def _camera(clause: list[str], marker: int) -> tuple[str, set[int]] | None:
    """The camera's move in a clause with a camera word at `marker`, and the tokens that say it."""
    ahead = range(marker + 1, min(len(clause), marker + 7))
    behind = range(marker - 1, max(-1, marker - 5), -1)
    for span in (ahead, behind):
        for at in span:
            cue = _camera_cue(clause, at)
            if cue is None:
                continue
            move, width = cue
            if move not in ("orbit", "truck"):
                return move, {marker, *range(at, at + width)}
            around = [*range(marker + 1, min(len(clause), max(at, marker) + 6)), *range(marker - 1, max(-1, marker - 6), -1)]
            side = next(((i, s) for i in around if (s := _side_at(clause, i))), None)
            if side is not None:
                return f"{move} {side[1]}", {marker, side[0], *range(at, at + width)}
    return None


def _clauses(text: str) -> list[list[str]]:
    """Tokens of each clause, which end at punctuation and before 'as/while/and/with the camera'."""
    for sign in ".,;:!?\n()\"":
        text = text.replace(sign, "|")
    clauses: list[list[str]] = []
    for part in text.split("|"):
        words = content_tokens(part)
        cuts = [i for i, w in enumerate(words[:-1]) if w in ("as", "while", "and", "with") and words[i + 1] == "camera"]
        for start, stop in zip([0, *cuts], [*cuts, len(words)], strict=True):
            if words[start:stop]:
                clauses.append(words[start:stop])
    return clauses


def _read(text: str) -> tuple[list[_Tag], list[str], str | None]:
    """Tags of all clauses in order, words that nothing explains, and the camera's move."""
    tags: list[_Tag] = []
    strange: list[str] = []
    camera: str | None = None
    position = 0
    for clause in _clauses(text):
        used: set[int] = set()
        for marker in (i for i, t in enumerate(clause) if any(s in lex.CAMERA_MARKERS for s in stems(t))):
            used.add(marker)
            said = _camera(clause, marker)
            if said is not None:
                camera, more = said
                used |= more
        at = 0
        while at < len(clause):
            if at in used:
                at += 1
                continue
            rest = clause[at : next((i for i in range(at, len(clause)) if i in used), len(clause))]
            hit = _match(rest, 0)
            if hit is None:
                if not rest[0].isdigit() and rest[0] not in _NUMBER_WORDS and not is_known(rest[0], frozenset()):
                    strange.append(rest[0])
                tags.append(_Tag(position + at, [], (rest[0],), rest[0]))
                at += 1
                continue
            words, meanings = hit
            tags.append(_Tag(position + at, meanings, words, " ".join(rest[: len(words)])))
            at += len(words)
        position += len(clause) + 1
    return tags, strange, camera


def _things(tags: list[_Tag]) -> list[_Thing]:
    """Subjects in the order of their names, with the colours and materials said before (or, left over, after) them."""
    things: list[_Thing] = []
    pending: dict[str, list[str]] = {"color": [], "material": []}
    for i, tag in enumerate(tags):
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
        near = previous is not None and i - previous.tag <= 5 and not any(t.value("relation") or t.value("event") for t in tags[previous.tag + 1 : i])
        if previous is not None and near and {previous.parts["kind"], kind} == {"box", "stack"}:
            thing = previous  # 'a stack of blue boxes', '파란 상자 더미' are one thing
            thing.parts["kind"] = "stack"
        elif previous is not None and previous.parts["kind"] == kind and kind in ("robot", "dominoes") and not pending["color"]:
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
            things.append(_Thing(tag=things[0].tag, parts={"kind": things[0].parts["kind"], "color": pending["color"][1]}))
    if things and pending["material"]:
        things[-1].parts.setdefault("material", pending["material"][0])  # 'a red ball made of rubber'
    return things


def _relation(tags: list[_Tag], things: list[_Thing], korean: bool) -> tuple[str, int] | None:
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


def _event(tags: list[_Tag], things: list[_Thing], setting: str | None, relation: str | None) -> str | None:
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
            score[_IMPLIED[kind]] = score.get(_IMPLIED[kind], 0.0) + (2.0 if kind == "stack" else 3.0)
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
    best = max(score, key=lambda e: score[e], default=None)
    return best if best is not None and score[best] >= 0.5 else None


def _order(things: list[_Thing], tags: list[_Tag], event: str | None, reference: int | None) -> list[_Thing]:
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
            if tag.raw.endswith(("와", "과", "에")) and after.startswith(_COLLIDE_CUES):
                last = k
    if last is None:
        return things
    return [*(t for k, t in enumerate(things) if k != last), things[last]]


def _single(tags: list[_Tag], attribute: str) -> str | None:
    """The value said for an attribute, by the longest phrase; weak words ('snow' for a place) give way."""
    said = [t for t in tags if t.value(attribute) is not None]
    if attribute == "setting" and len(said) > 1:
        said = [t for t in said if t.words[0] not in _WEAK_SETTING or len(t.words) > 1] or said
    best = max(said, key=lambda t: len(t.words), default=None)
    return best.value(attribute) if best else None


def _count(text: str) -> int | None:
    """A number said as such: '4', 'four', 'twice'; 1 only as 'once' or in digits."""
    for token in content_tokens(text):
        if token.isdigit() and len(token) < 4 and "8-bit" not in text.casefold():
            return int(token)
        if token in _NUMBER_WORDS and token not in ("one", "하나"):
            return _NUMBER_WORDS[token]
    return None


def parse(prompt: str) -> Parsed:
    """Read a prompt in English, Korean or mixed script.

    Raises InputError for prompts that `haneul.prompt.language.check` refuses.
    """
    checked = language.check(prompt)
    text = checked.encoded
    korean = checked.language in ("ko", "ko-hanja")
    tags, strange, camera = _read(text)
    things = _things(tags)
    setting = _single(tags, "setting")
    relation = _relation(tags, things, korean)
    event = _event(tags, things, setting, relation[0] if relation else None)
    things = _order(things, tags, event, relation[1] if relation and event == "relation" else None)
    said: dict[str, object | None] = {
        "setting": setting, "time": _single(tags, "time"), "style": _single(tags, "style"), "camera": camera, "event": event,
        "direction": _single(tags, "direction"), "relation": relation[0] if relation and event == "relation" else None,
        "count": _count(text), "works": tuple(v for t in tags if (v := t.value("work"))) or None,
    }  # fmt: skip
    for suffix, thing in zip(("", "2"), things, strict=False):
        said.update({key + suffix: value for key, value in thing.parts.items()})
    attributes = {key: value for key, value in said.items() if value is not None}
    return Parsed(attributes=attributes, unknown=tuple(dict.fromkeys(strange)), language=checked.language)


@lru_cache(maxsize=1)
def known_words() -> frozenset[str]:
    """Every word that the captions use or the grammar understands, lower case; one ending in `*` is a stem.

    Function words are in `haneul.prompt.words.STOP_WORDS`; `haneul.prompt.words.unknown` consults both.
    """
    words = {w for phrase, *_ in _phrases() for w in _pattern(phrase)}
    cues = [*lex.CAMERA_MARKERS, *(c for cues in lex.CAMERA_CUES.values() for c in cues)]
    words |= {w + "*" if "가" <= w[0] <= "힣" else w for cue in cues for w in content_tokens(cue)}
    return frozenset(words - STOP_WORDS)
