"""Korean word forms: particles by final consonant, verb endings, and mixed script."""

from __future__ import annotations

import re
from typing import Final

from haneul.world.lexicon import HANJA
from haneul.world.wording import Dice

_FIRST, _LAST = 0xAC00, 0xD7A3
_RIEUL: Final = 8  # index of the final consonant ㄹ
_NIEUN: Final = 4
_BIEUP: Final = 17
#: Final consonant (0 none) of the Korean reading of each digit.
_DIGIT_FINALS: Final = {"0": 21, "1": 8, "2": 0, "3": 16, "4": 0, "5": 0, "6": 1, "7": 8, "8": 8, "9": 0}
#: particle -> (after a consonant, after a vowel)
_PARTICLES: Final = {
    "이": ("이", "가"),
    "을": ("을", "를"),
    "은": ("은", "는"),
    "과": ("과", "와"),
    "으로": ("으로", "로"),
}


def final_consonant(word: str) -> int:
    """Index 0..27 of the last syllable's final consonant; 0 for none and for letters that are not Korean."""
    code = ord(word[-1])
    if _FIRST <= code <= _LAST:
        return (code - _FIRST) % 28
    return _DIGIT_FINALS.get(word[-1], 0)


def josa(word: str, particle: str) -> str:
    """`word` with the right form of `particle`, given in its after-consonant form: josa('공', '이') -> '공이'."""
    final = final_consonant(word)
    with_consonant, with_vowel = _PARTICLES[particle]
    return word + (with_vowel if final == 0 or (particle == "으로" and final == _RIEUL) else with_consonant)


def _close(stem: str, final: int) -> str:
    """`stem` with `final` put under its last syllable in place of nothing or ㄹ."""
    code = ord(stem[-1])
    return stem[:-1] + chr(code - (code - _FIRST) % 28 + final)


def conjugate(stem: str, ending: str) -> str:
    """A present form of the verb with `stem` ('튀', '걷', '흔들', '걸려 있').

    Endings: 'plain' 튄다, 'polite' 튑니다, 'noun' (adnominal) 튀는, 'progressive' 튀고 있다,
    'progressive noun' 튀고 있는, 'and' 튀고, 'ongoing' 튀는 중이다.
    """
    final = final_consonant(stem)
    open_stem = final in (0, _RIEUL)
    resting = stem.endswith("있")
    if resting and ending.startswith("progressive"):
        ending = "noun" if ending.endswith("noun") else "plain"
    if ending == "ongoing" and resting:
        ending = "plain"
    if ending == "plain":
        return stem + "다" if resting else (_close(stem, _NIEUN) + "다" if open_stem else stem + "는다")
    if ending == "polite":
        return _close(stem, _BIEUP) + "니다" if open_stem else stem + "습니다"
    if ending == "and":
        return stem + "고"
    if ending == "progressive":
        return stem + "고 있다"
    if ending == "progressive noun":
        return stem + "고 있는"
    noun = (_close(stem, 0) if final == _RIEUL else stem) + "는"
    return noun + " 중이다" if ending == "ongoing" else noun


_HANJA: Final = re.compile(
    "(?<![가-힣])(?:" + "|".join(sorted(map(re.escape, HANJA), key=len, reverse=True)) + r")|(?<=\d)개"
)


def to_mixed_script(text: str, dice: Dice, rate: float = 0.85) -> str:
    """Write Sino-Korean words of a caption in hanja, each with probability `rate`."""
    return _HANJA.sub(lambda m: HANJA.get(m[0], "個") if dice.chance(rate) else m[0], text)
