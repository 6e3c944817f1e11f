"""A prompt's first stop: cleaned, checked, its language told, mixed script read as hangul."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Final, Literal

from haneul.errors import InputError
from haneul.prompt import hanja
from haneul.prompt.words import unknown

__all__ = ["MAX_CHARACTERS", "Language", "Prompt", "check", "detect", "hanja_to_hangul", "normalise", "unknown"]

Language = Literal["en", "ko", "ko-hanja", "other"]
MAX_CHARACTERS: Final = 4000

_HANGUL: Final = re.compile(r"[가-힣ㄱ-ㆎᄀ-ᇿ]")
_LONE_JAMO: Final = re.compile("([\u3131-\u318e]+)")
_KANA: Final = re.compile(r"[぀-ヿㇰ-ㇿｦ-ﾟ]")
#: Characters of Chinese grammar that Korean words in hanja do not end up with side by side.
_CHINESE_GRAMMAR: Final = re.compile(
    r"[的了着這那們吗吧呢嗎麼什很]|(?<![存現所潛健實內散])在|一[個個只輛隻條]|，|。|、"
)
_SPACE: Final = re.compile(r"\s+")
_FOREIGN: Final = frozenset(
    "le la les des une dans avec sur est et pour que el los las una con por para del der die das und ist ein eine mit "
    "auf nicht il di che uma com não os um en på och det som een het van".split()
)
_ENGLISH: Final = frozenset("the a an of in on at to and is with by from over into as for its".split())


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """A prompt that can be used.

    `text` is the cleaned prompt as its writer meant it; `encoded` is what the text encoder reads: the same with hanja
    in hangul where the prompt is Korean.
    """

    text: str
    encoded: str
    language: Language


def _nfkc(text: str) -> str:
    """NFKC, but Korean letters that stand alone (ㅋㅋ) stay what they are instead of becoming conjoining jamo."""
    return "".join(
        part if part and _LONE_JAMO.fullmatch(part) else unicodedata.normalize("NFKC", part)
        for part in _LONE_JAMO.split(text)
    )


def normalise(text: str) -> str:
    """NFKC with composed hangul; control, zero-width and lone surrogate characters removed; white space collapsed."""
    kept = []
    for character in _nfkc(text):
        category = unicodedata.category(character)
        if character in "\t\n\r\v\f\x85" or category in ("Zs", "Zl", "Zp"):
            kept.append(" ")
        elif category not in ("Cc", "Cf", "Cs", "Co"):
            kept.append(character)
    # What was removed may have kept letters apart that compose (a jamo, a zero-width joiner, a jamo).
    return _SPACE.sub(" ", _nfkc("".join(kept))).strip()


def check(text: str) -> Prompt:
    """Clean a prompt and make sure that it says something.

    Raises InputError for an empty prompt, one of nothing but control characters, signs or spaces, and one of more than
    4,000 characters.
    """
    if len(text) > 4 * MAX_CHARACTERS:  # before any work is spent on it
        raise InputError(_too_long(len(text)))
    clean = normalise(text)
    if not clean:
        if text.strip():
            raise InputError("the prompt holds only control or invisible characters; describe what the video shows")
        raise InputError('the prompt is empty; describe what the video shows, as in "a red ball bounces in a desert"')
    if len(clean) > MAX_CHARACTERS:
        raise InputError(_too_long(len(clean)))
    if not any(c.isalnum() for c in clean):
        raise InputError(f"the prompt {clean[:20]!r} holds no word; describe what the video shows")
    return Prompt(text=clean, encoded=hanja_to_hangul(clean), language=detect(clean))


def _too_long(length: int) -> str:
    return f"the prompt has {length:,} characters; the most is {MAX_CHARACTERS:,}: shorten it"


def _is_korean_hanja(text: str) -> bool:
    """Whether Chinese characters without any hangul beside them are a Korean's: few, in the Korean standard set
    (KS X 1001 has no simplified forms), without signs of Chinese or Japanese grammar."""
    if _KANA.search(text) or _CHINESE_GRAMMAR.search(text):
        return False
    characters = [c for c in text if hanja.has_hanja(c)]
    if not 0 < len(characters) <= 12:
        return False
    try:
        "".join(characters).encode("euc_kr")
    except UnicodeEncodeError:
        return False
    return True


def detect(text: str) -> Language:
    """'en', 'ko', 'ko-hanja' (Korean with hanja) or 'other', by script and, between Latin languages, function words."""
    hangul = len(_HANGUL.findall(text))
    latin = sum(c.isascii() and c.isalpha() for c in text)
    if hangul and hangul * 4 >= latin and len(_KANA.findall(text)) <= hangul:
        return "ko-hanja" if hanja.has_hanja(text) else "ko"
    if hanja.has_hanja(text):
        return "ko-hanja" if _is_korean_hanja(text) else "other"
    letters = sum(c.isalpha() for c in text)
    if letters == 0 or latin < 0.9 * letters:
        return "other"
    words = re.findall(r"[^\W\d_]+", text.casefold())
    foreign = sum(w in _FOREIGN for w in words)
    return "other" if foreign >= 2 and foreign > sum(w in _ENGLISH for w in words) else "en"


def hanja_to_hangul(text: str) -> str:
    """Mixed script in hangul, with the initial-sound rule: '赤色 공이 沙漠에서' -> '적색 공이 사막에서', 女子 -> 여자.

    Text that is not Korean (Japanese, Chinese) comes back as it is.
    """
    return hanja.read(text) if detect(text) == "ko-hanja" else text
