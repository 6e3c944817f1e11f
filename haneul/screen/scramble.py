"""What a text says whose letters stand apart, upside down or in another order: further readings for decode.py.

Each looks for its own sign first (runs of spaces, turned letters, syllables that no word has), so that ordinary text
has none of them. Whether letters stand in another order is told by how likely the text is (`decode.Speech`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from haneul.screen.decode import Speech

__all__ = ["unscrambled"]

LIKELIER: Final = 0.85  #: times the surprise of what is written, at most, for another order to be what is meant
UNKNOWN: Final = 2  #: words that are none, at least, before others are looked for in them
FULL: Final = 0.5  #: share of the syllables, at least, that have a letter more than they need

_HAN_KANA: Final = "\u3040-\u30ff\u3400-\u9fff"
_SPELLED: Final = re.compile(r"(?<!\S)\S(?: \S){2,}(?:[ \t\u3000]{2,}\S(?: \S)*)+(?!\S)")
_WIDE: Final = re.compile(r"[ \t\u3000]{2,}")
_TURNED: Final = str.maketrans("ɐqɔpǝɟƃɥᴉɾʞlɯuodbɹsʇnʌʍxʎz,'", "abcdefghijklmnopqrstuvwxyz',")
_TURNED_ONLY: Final = re.compile("[ɐɔǝɟƃɥᴉɾʞɯɹʇʌʍʎ]")
_LETTER_BETWEEN: Final = re.compile(rf"(?<=[{_HAN_KANA}])([a-zA-Z])(?=[{_HAN_KANA}])")
_LONE_KATAKANA: Final = re.compile("(?<=[ぁ-ゖ])[ァ-ヶ](?![ァ-ヶー])|(?<![ァ-ヶー])[ァ-ヶ](?=[ぁ-ゖ])")
_TO_HIRAGANA: Final = {code: code - 0x60 for code in range(0x30A1, 0x30F7)}
_CJK_RUN: Final = re.compile(rf"[{_HAN_KANA}]{{6,}}")
_TWO: Final = re.compile("(.)(.)")
_WORD: Final = re.compile(r"[^\W\d_]{4,20}")
_SYLLABLE: Final = re.compile("[가-힣]")
_INITIALS, _FINALS = 588, 28
#: Initials ㄲㄸㅃㅆㅉ -> ㄱㄷㅂㅅㅈ, and finals ㄲㄶㅀㅄㅆㅎ -> ㄱㄴㄹㅂㅅ and none, by their places in Unicode.
_PLAIN_INITIAL: Final = {1: 0, 4: 3, 8: 7, 10: 9, 13: 12}
_PLAIN_FINAL: Final = {2: 1, 6: 4, 15: 8, 18: 17, 20: 19, 27: 0}
_PART_NAMES: Final = (
    r"\b(?:first|1st)\b|\bprimer[ao]?\b|첫\s?번?째?|첫째|최초|앞쪽|앞|一枚目|一つ目|一番目|最初|前半|第[一1]|前一|上|"
    r"this half|esta mitad",
    r"\b(?:second|2nd)\b|\bsegund[ao]\b|두\s?번째|둘째|뒤쪽|뒤|二枚目|二つ目|二番目|次|後半|后半|第[二2]|后一|下|"
    r"other half|otra mitad",
    r"\b(?:third|3rd)\b|\btercer[ao]?\b|세\s?번째|셋째|三枚目|三つ目|三番目|第[三3]",
)
_KIND: Final = (
    r"(?:card|half|part|piece|word|line|note|tarjeta|mitad|parte|trozo|palabra|nota|카드|절반|조각|부분|단어|쪽지|の札|の紙|の言葉|"
    r"の部分|张牌|张纸|半|部分|句|个词|的)?"
)
_SAYS: Final = r"\s{0,2}(?:says?|reads?|is|dice|pone|es|:|：|=|은|는|이|は|が|是|写着)\s{0,2}"
_PART: Final = re.compile(
    "(?:" + "|".join(f"(?P<p{n}>{names})" for n, names in enumerate(_PART_NAMES)) + rf")\s?{_KIND}{_SAYS}"
    r"(?P<said>[^;；。.]{2,80}?)(?=\s?[;；。.]|[,，、]\s?(?:in order|en orden|순서|順番|按顺序|play|그다음|"
    + "|".join(_PART_NAMES) + r")|$)",
    re.IGNORECASE,
)  # fmt: skip


def unscrambled(text: str, speech: Speech) -> Iterator[str]:
    """Other readings of a text, none for an ordinary one."""
    if _SPELLED.search(text):
        yield _SPELLED.sub(lambda m: " ".join(part.replace(" ", "") for part in _WIDE.split(m[0])), text)
    if len(_TURNED_ONLY.findall(text)) >= 3:
        yield text.lower().translate(_TURNED)[::-1]
    between = _LETTER_BETWEEN.findall(text)
    if any(between.count(letter) >= 3 for letter in set(between)):
        yield _LETTER_BETWEEN.sub("", text)
    if len(_LONE_KATAKANA.findall(text)) >= 2:
        yield text.translate(_TO_HIRAGANA)
    full = _fewer_letters(text)
    if full != text:
        yield full
    parts = sorted((_place(m), m.start(), m["said"].strip(" ,，、")) for m in _PART.finditer(text))
    if len({place for place, _, _ in parts}) >= 2:
        yield " ".join(said for *_, said in parts)
        yield "".join(said for *_, said in parts)
    ordered = _in_order(text, speech)
    if ordered != text:
        yield ordered


def _place(m: re.Match[str]) -> int:
    return next(n for n in range(len(_PART_NAMES)) if m[f"p{n}"])


def _fewer_letters(text: str) -> str:
    """Hangul whose syllables have been given harder and further letters, as a reader hears it: 꽇뜽핚쌩 -> 고등학생."""
    codes = [ord(c) - 0xAC00 for c in _SYLLABLE.findall(text)]
    full = sum(c // _INITIALS in _PLAIN_INITIAL or c % _FINALS in _PLAIN_FINAL for c in codes)
    if len(codes) < 4 or full < FULL * len(codes):
        return text

    def fewer(m: re.Match[str]) -> str:
        code = ord(m[0]) - 0xAC00
        first, middle, last = code // _INITIALS, code // _FINALS % 21, code % _FINALS
        first, last = _PLAIN_INITIAL.get(first, first), _PLAIN_FINAL.get(last, last)
        return chr(0xAC00 + first * _INITIALS + middle * _FINALS + last)

    return _SYLLABLE.sub(fewer, text)


def _in_order(text: str, speech: Speech) -> str:
    """With neighbouring letters changed back: in runs of Chinese characters and kana each two, elsewhere two in words
    that are none and become one so."""

    def pairs(m: re.Match[str]) -> str:
        others = (m[0][:start] + _TWO.sub(r"\2\1", m[0][start:]) for start in (0, 1))
        likely = min(others, key=speech.surprise)
        return likely if speech.surprise(likely) <= LIKELIER * speech.surprise(m[0]) else m[0]

    def word(low: str) -> str:
        others = (low[:i] + low[i + 1] + low[i] + low[i + 2 :] for i in range(len(low) - 1))
        return min(filter(speech.known, others), key=speech.surprise, default=low)

    text = _CJK_RUN.sub(pairs, text)
    words = {w for w in _WORD.findall(text) if w.isascii() and not speech.known(w.lower())}
    meant = {w: word(w.lower()) for w in words} if len(words) >= UNKNOWN else {}
    meant = {w: other for w, other in meant.items() if other != w.lower()}
    return _WORD.sub(lambda m: meant.get(m[0], m[0]), text) if len(meant) >= UNKNOWN else text
