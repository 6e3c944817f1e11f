"""Whether a prompt asks for the camera itself to be led through the world, in English or Korean: a walk, a view from
the first person. The reader of concepts (model/concepts.py) has no value for that, for no clip shows it."""

from __future__ import annotations

from typing import Final

from haneul.prompt.words import tokens

_ENGLISH: Final = frozenset(
    "camera walk walks walking walked stroll strolls strolling wander wanders wandering hike hikes hiking explore "
    "explores exploring roam roams roaming flight flights pov".split()
)
_TOGETHER: Final = (("first", "person"), ("free", "camera"))
_KOREAN: Final = (
    "카메라",
    "산책",
    "일인칭",
    "인칭",
    "거닐",
    "거니",
    "둘러",
    "걷",
    "걸어",
    "걸으",
    "걸을",
    "도보",
    "산보",
    "시점",
)


def walk_words(prompt: str) -> frozenset[str]:
    """The words of a prompt that say so, as `words.tokens` has them; none where it asks for something else."""
    every = tokens(prompt)
    found = {word for word in every if word in _ENGLISH or word.startswith(_KOREAN)}
    return frozenset(found.union(*(pair for pair in _TOGETHER if set(pair) <= set(every))))
