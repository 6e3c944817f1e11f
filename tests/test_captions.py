"""Captions say what the facts hold, in many ways and in good grammar; the grammar reads them back."""

from __future__ import annotations

import itertools
import re
import time
from collections import Counter

import numpy as np
import pytest

from haneul.errors import InputError
from haneul.world import vocabulary as voc
from haneul.world.captions import Language, caption, describe
from haneul.world.scene import Facts, Subject

LANGUAGES: tuple[Language, ...] = ("en", "ko", "ko-hanja")
PLAIN_MATERIALS = tuple(voc.MATERIALS)


def _subject(rng: np.random.Generator, kinds: tuple[str, ...], materials: tuple[str, ...] | None = PLAIN_MATERIALS) -> Subject:
    material = str(rng.choice(materials)) if materials else None
    return Subject(kind=str(rng.choice(kinds)), color=str(rng.choice(tuple(voc.COLORS))), material=material)


def _subjects(event: str, rng: np.random.Generator, count: int) -> tuple[Subject, ...]:
    built = {"pendulum": "pendulum", "car": "car", "rope": "rope", "quadruped": "dog robot", "flag": "flag", "bird": "bird",
             "fish": "fish"}  # fmt: skip
    if event in built:
        return (_subject(rng, (built[event],), None),)
    if event in ("waves", "paintings", "gallery tour", "leaves", "snowfall"):
        return ()
    if event == "dominoes":
        return tuple(_subject(rng, ("dominoes",), ("plastic",)) for _ in range(int(rng.integers(1, 3))))
    if event == "tower":
        return (_subject(rng, ("ball",)), _subject(rng, ("stack",), ("wood", "plastic")))
    if event in ("robot picks up", "robot pushes"):
        return (_subject(rng, ("robot",), None), _subject(rng, ("box",)))
    if event.startswith("robot"):
        return (_subject(rng, ("robot",), None),)
    if event == "pile":
        return tuple(_subject(rng, voc.SHAPES) for _ in range(count))
    if event in ("collide", "space collide", "relation"):
        return (_subject(rng, voc.SHAPES), _subject(rng, voc.SHAPES))
    return (_subject(rng, voc.SHAPES),)


def random_facts(rng: np.random.Generator, event: str, outcome: str | None) -> Facts:
    """Facts with every slot that the event may have."""
    setting = str(rng.choice(voc.event_settings(event)))
    count = int(rng.integers(3, 8))
    counted = {"bounce": int(rng.integers(1, 6)), "paintings": int(rng.integers(1, 6)), "dominoes": count, "tower": count,
               "pile": count}  # fmt: skip
    if outcome == "falls":
        counted["bounce"] = 0
    sided = ("roll", "car", "quadruped", "bird", "robot walks", "robot stops", "robot pushes", "fish")
    return Facts(
        setting=setting,
        time=None if setting in voc.TIMELESS else str(rng.choice(voc.TIMES)),
        style=str(rng.choice(voc.STYLES)),
        camera=str(rng.choice(voc.CAMERAS)),
        event=event,
        outcome=outcome,
        subjects=_subjects(event, rng, count),
        count=counted.get(event),
        fallen=int(rng.integers(1, count + 1)) if outcome == "topple" else None,
        direction=str(rng.choice(("left", "right"))) if event in sided and outcome is not None and rng.random() < 0.8 else None,
        relation=str(rng.choice(voc.RELATIONS)) if event == "relation" else None,
        works=tuple(str(w) for w in rng.choice(voc.WORKS, int(rng.integers(1, 4)))) if event == "gallery tour" else (),
        seconds=0.0 if outcome is None else 4.0,
    )


def many_facts(n: int, seed: int = 0, *, stills: bool | None = None) -> list[Facts]:
    """`n` facts going round through every event and outcome (None for stills when `stills` is None or True)."""
    rng = np.random.default_rng(seed)
    pairs = [(e, o) for e, (_, outcomes) in voc.EVENTS.items() for o in (*outcomes, None) if stills is None or (o is None) == stills]
    return [random_facts(rng, *pair) for pair in itertools.islice(itertools.cycle(pairs), n)]
