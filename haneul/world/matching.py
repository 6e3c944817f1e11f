"""Finds the phrases of the lexicon in a prompt: the longest at each place, camera moves by clause."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from haneul.prompt.words import STOP_WORDS, content_tokens, is_known, split_compound, stems
from haneul.world import lexicon as lex

_SIDE_WORDS: Final = {
    "left": (
        "left", "to left", "towards left", "toward left", "leftward", "leftwards", "right to left",
        "from right to left",
             "왼쪽으로", "왼편으로", "좌측으로", "오른쪽에서 왼쪽으로"),
    "right": (
        "right", "to right", "towards right", "toward right", "rightward", "rightwards", "left to right",
        "from left to right",
              "오른쪽으로", "오른편으로", "우측으로", "왼쪽에서 오른쪽으로"),
}  # fmt: skip
NUMBER_WORDS: Final = {
    word: n
    for n, words in enumerate(
        ("", "one once 한 하나", "two twice 두 둘", "three 세 셋", "four 네 넷", "five 다섯", "six 여섯", "seven 일곱",
         "eight 여덟",
         "nine 아홉", "ten 열", "eleven 열한", "twelve 열두")
    )
    for word in words.split()
}  # fmt: skip


@dataclass(slots=True)
class Tag:
    """A phrase found in the prompt: where, what it may mean [(attribute, value, weight)], and its words."""

    start: int
    meanings: list[tuple[str, str, float]]
    words: tuple[str, ...]
    raw: str

    def value(self, attribute: str) -> str | None:
        return next((v for a, v, _ in self.meanings if a == attribute), None)


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
    for phrase in lex.TURN_CUES:
        yield phrase, "turn", "", 1.0
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
            if min(grades) and (
                best is None or (len(words), sum(grades), len(words[0])) > (best[0], best[1], len(best[2][0]))
            ):
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
            (t.startswith(w) if korean else w in stems(t))
            for w, t in zip(words, clause[at : at + len(words)], strict=True)
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
    ahead = range(marker, min(len(clause), marker + 7))
    behind = range(marker - 1, max(-1, marker - 5), -1)
    for span in (ahead, behind):
        for at in span:
            cue = _camera_cue(clause, at)
            if cue is None:
                continue
            move, width = cue
            while at + width < len(clause) and _camera_cue(clause, at + width) is not None:
                width += 1  # '앞으로 다가간다'
            if move not in ("orbit", "truck"):
                return move, {marker, *range(at, at + width)}
            around = [
                *range(marker + 1, min(len(clause), max(at, marker) + 6)),
                *range(marker - 1, max(-1, marker - 6), -1),
            ]
            side = next(((i, s) for i in around if (s := _side_at(clause, i))), None)
            if side is not None:
                return f"{move} {side[1]}", {marker, side[0], *range(at, at + width)}
    return None


def _clauses(text: str) -> list[list[str]]:
    """Tokens of each clause, which end at punctuation and before 'as/while/and/with the camera'."""
    for sign in '.,;:!?\n()"':
        text = text.replace(sign, "|")
    clauses: list[list[str]] = []
    for part in text.split("|"):
        words = content_tokens(part)
        cuts = [i for i, w in enumerate(words[:-1]) if w in ("as", "while", "and", "with") and words[i + 1] == "camera"]
        for start, stop in zip([0, *cuts], [*cuts, len(words)], strict=True):
            clause = [piece for word in words[start:stop] for piece in split_compound(word, known_words())]
            if clause:
                clauses.append(clause)
    return clauses


def read(text: str) -> tuple[list[Tag], list[str], str | None]:
    """Tags of all clauses in order, words that nothing explains, and the camera's move."""
    tags: list[Tag] = []
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
                if not rest[0].isdigit() and rest[0] not in NUMBER_WORDS and not is_known(rest[0], known_words()):
                    strange.append(rest[0])
                tags.append(Tag(position + at, [], (rest[0],), rest[0]))
                at += 1
                continue
            words, meanings = hit
            tags.append(Tag(position + at, meanings, words, " ".join(rest[: len(words)])))
            at += len(words)
        position += len(clause) + 1
    return tags, strange, camera


@lru_cache(maxsize=1)
def known_words() -> frozenset[str]:
    """Every word that the captions use or the grammar understands, lower case; one ending in `*` is a stem.

    Function words are in `haneul.prompt.words.STOP_WORDS`; `haneul.prompt.words.unknown` consults both.
    """
    words = {w for phrase, *_ in _phrases() for w in _pattern(phrase)}
    cues = [*lex.CAMERA_MARKERS, *(c for cues in lex.CAMERA_CUES.values() for c in cues)]
    words |= {w + "*" if "가" <= w[0] <= "힣" else w for cue in cues for w in content_tokens(cue)}
    return frozenset(words - STOP_WORDS)
