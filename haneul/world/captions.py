"""Captions: what an observer may say of a clip, worded from its `Facts` and from nothing else.

`caption` gives the text; `describe` also tells which facts it states, so that a reader of captions can be checked.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

from haneul.errors import InputError
from haneul.world import captions_en, captions_ko
from haneul.world.scene import Facts
from haneul.world.wording import Caption, Dice, Length

Language = Literal["en", "ko", "ko-hanja"]

__all__ = ["Caption", "Language", "Length", "caption", "describe"]


def _draw_length(dice: Dice) -> Length:
    """10% one word, 25% short, 35% medium, 30% full."""
    u = dice.roll()
    return "word" if u < 0.10 else "short" if u < 0.35 else "medium" if u < 0.70 else "full"


def describe(
    facts: Facts, rng: np.random.Generator, *, language: Language = "en", length: Length | None = None
) -> Caption:
    """Word `facts` in one of many ways.

    Args:
        facts: what is seen and happened; `facts.outcome` None means a single frame, worded without any motion.
        rng: where the choices come from; equal generators give equal captions.
        language: 'en', 'ko', or 'ko-hanja' (Sino-Korean words written in hanja).
        length: 'word' (one word), 'short' (a few words), 'medium' (a sentence with setting, event, colour and kind),
            'full' (everything that is known, up to three sentences), or None for the training mix.

    Returns:
        The caption and the names of the facts that it states.

    Raises:
        InputError: for another language or length.
    """
    if language not in get_args(Language):
        raise InputError(f"no captions in language {language!r}; choose one of {', '.join(get_args(Language))}")
    if length is not None and length not in get_args(Length):
        raise InputError(f"no caption length {length!r}; choose one of {', '.join(get_args(Length))} or None")
    dice = Dice(rng)
    chosen = length or _draw_length(dice)
    if language == "en":
        return captions_en.write(facts, dice, chosen)
    return captions_ko.write(facts, dice, chosen, hanja=language == "ko-hanja")


def caption(facts: Facts, rng: np.random.Generator, *, language: Language = "en", length: Length | None = None) -> str:
    """The text of `describe`."""
    return describe(facts, rng, language=language, length=length).text
