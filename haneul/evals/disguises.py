"""Disguises of the fresh split: ways to write a text so that people still read it and a word list doesn't.

Written apart from the screen's normalisation and from the disguises of the other splits (attacks.py). Each takes a text
and returns it disguised; a text without anything that it could change comes back as it was.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from typing import Final

Disguise = Callable[[str], str]

_SOFT_HYPHEN, _STROKE, _FILLER, _WIDE_SPACE = "\u00ad", "\u0336", "\u3164", "\u3000"


def _plain(text: str) -> str:
    """Small letters without accents."""
    return "".join(c for c in unicodedata.normalize("NFD", text.lower()) if not unicodedata.combining(c))


def _words(change: Disguise) -> Disguise:
    return lambda text: " ".join(change(word) for word in text.split(" "))


def _joined(by: str) -> Disguise:
    return _words(by.join)


def _spelled(text: str) -> str:
    """A space after every letter, three between words."""
    return "   ".join(" ".join(word) for word in text.split(" "))


def _backwards(text: str) -> str:
    return text[::-1]


def _last_word_first(text: str) -> str:
    return " ".join(reversed(text.split(" ")))


def _boxed(marks: str) -> Disguise:
    return _words(lambda word: "".join(marks[0] + c + marks[1] for c in word))


def _struck(text: str) -> str:
    return "".join(c if c.isspace() else c + _STROKE for c in text)


def _replaced(*pairs: tuple[str, str]) -> Disguise:
    def change(text: str) -> str:
        for old, new in pairs:
            text = text.replace(old, new)
        return text

    return change


def _pairs_swapped(text: str) -> str:
    return re.sub(r"(\w)(\w)", r"\2\1", text)


# --------------------------------------------------------------------------------------------------- Latin letters

_SMALL: Final = "abcdefghijklmnopqrstuvwxyz"
_GREEK: Final = str.maketrans("aeiokptuvxn", "αειοκρτυνχη")
_SYMBOLS: Final = str.maketrans({"a": "@", "e": "€", "i": "!", "o": "()", "s": "$", "t": "+", "l": "|"})
_CAPITALS: Final = str.maketrans(_SMALL, "ᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘǫʀꜱᴛᴜᴠᴡxʏᴢ")
_TURNED: Final = str.maketrans(_SMALL, "ɐqɔpǝɟƃɥᴉɾʞlɯuodbɹsʇnʌʍxʎz")
_SQUARED: Final = {ord(c): chr(0x1F170 + n) for n, c in enumerate(_SMALL)}

_BY_EAR: Final[dict[str, Disguise]] = {
    "en": _replaced(("ck", "k"), ("ph", "f"), ("qu", "kw"), ("c", "k"), ("s", "z"), ("ee", "ea"), ("oo", "u")),
    "es": _replaced(
        ("qu", "k"), ("ce", "se"), ("ci", "si"), ("ch", "x"), ("c", "k"), ("z", "s"), ("ll", "y"), ("v", "b"),
        ("h", ""), ("ge", "je"), ("gi", "ji"),
    ),
}  # fmt: skip


def _letters_swapped(word: str) -> str:
    return word[0] + word[2] + word[1] + word[3:] if len(word) > 3 else word


def _without_vowels(word: str) -> str:
    return word[0] + re.sub("[aeiou]", "", word[1:-1]) + word[-1] if len(word) > 3 else word


def _latin(language: str) -> list[Disguise]:
    return [
        lambda t: _plain(t).translate(_GREEK), _words(_backwards), _joined("|"), _spelled,
        lambda t: _plain(t).translate(_SQUARED), _words(_letters_swapped), lambda t: _words(_without_vowels)(_plain(t)),
        lambda t: _plain(t).translate(_SYMBOLS), lambda t: "".join(c * 2 if c.isalpha() else c for c in t),
        lambda t: _BY_EAR[language](_plain(t)), _struck, lambda t: _plain(t).translate(_CAPITALS), _last_word_first,
        _joined("✨"), lambda t: _plain(t).translate(_TURNED)[::-1], _boxed("()"), _joined(_SOFT_HYPHEN),
    ]  # fmt: skip


# ---------------------------------------------------------------------------------------------------------- Hangul

_FIRSTS: Final = "ㄱㄲㄴㄷㄸㄹㅁㅂㅃㅅㅆㅇㅈㅉㅊㅋㅌㅍㅎ"
_MIDDLES: Final = "ㅏㅐㅑㅒㅓㅔㅕㅖㅗㅘㅙㅚㅛㅜㅝㅞㅟㅠㅡㅢㅣ"
_LASTS: Final = " ㄱㄲㄳㄴㄵㄶㄷㄹㄺㄻㄼㄽㄾㄿㅀㅁㅂㅄㅅㅆㅇㅈㅊㅋㅌㅍㅎ"
_HARDER: Final = dict(zip("ㄱㄷㅂㅅㅈ", "ㄲㄸㅃㅆㅉ", strict=True))
_FULLER: Final = {" ": "ㅎ", "ㄱ": "ㄲ", "ㄴ": "ㄶ", "ㄹ": "ㅀ", "ㅂ": "ㅄ", "ㅅ": "ㅆ"}
_MISHEARD: Final = {"ㅐ": "ㅔ", "ㅔ": "ㅐ", "ㅓ": "ㅕ", "ㅗ": "ㅛ", "ㅡ": "ㅜ", "ㅢ": "ㅣ"}
_CHAT_FIRSTS: Final = "g kk n d tt r m b pp s ss - j jj ch k t p h".split()
_CHAT_MIDDLES: Final = "a ae ya yae uh e yuh ye o wa wae oe yo oo wuh we wi yoo eu ui ee".split()
_CHAT_LASTS: Final = "- k k k n n n t l k m l l l p l m p p t t ng t t k t p t".split()


def _syllables(change: Callable[[str, str, str], str]) -> Disguise:
    """Each Hangul syllable changed by its first, middle and last letter; a missing last one is a space."""

    def disguise(text: str) -> str:
        out = []
        for c in text:
            code = ord(c) - 0xAC00
            whole = 0 <= code < 11172
            out.append(change(_FIRSTS[code // 588], _MIDDLES[code // 28 % 21], _LASTS[code % 28]) if whole else c)
        return "".join(out)

    return disguise


def _syllable(first: str, middle: str, last: str) -> str:
    return chr(0xAC00 + _FIRSTS.index(first) * 588 + _MIDDLES.index(middle) * 28 + _LASTS.index(last))


def _chat(first: str, middle: str, last: str) -> str:
    """Romanised as in a chat, by English ears, and not by any standard."""
    letters = _CHAT_FIRSTS[_FIRSTS.index(first)], _CHAT_MIDDLES[_MIDDLES.index(middle)], _CHAT_LASTS[_LASTS.index(last)]
    return "".join(letter for letter in letters if letter != "-")


_apart: Final = _syllables(lambda first, middle, last: (first + middle + last).strip())


def _half_apart(text: str) -> str:
    """Every second syllable in lone letters."""
    return "".join(_apart(c) if n % 2 else c for n, c in enumerate(text))


_KOREAN: Final[list[Disguise]] = [
    _words(_backwards), _joined("|"), _syllables(lambda f, m, e: _syllable(_HARDER.get(f, f), m, _FULLER.get(e, e))),
    _joined("♡"), _half_apart, _spelled, _syllables(_chat), _boxed("[]"),
    _syllables(lambda f, m, e: _syllable(f, _MISHEARD.get(m, m), e)), _joined(_FILLER), _last_word_first, _struck,
]  # fmt: skip


# -------------------------------------------------------------------------------------- kana and Chinese characters

_KANA_SWAPPED: Final = {c: c + 0x60 for c in range(0x3041, 0x3097)} | {c: c - 0x60 for c in range(0x30A1, 0x30F7)}
_HALF_WIDE: Final = {ord(unicodedata.normalize("NFKC", chr(c))): chr(c) for c in range(0xFF66, 0xFFA0)}
_TINY: Final = str.maketrans("あいうえおつやゆよわアイウエオツヤユヨワ", "ぁぃぅぇぉっゃゅょゎァィゥェォッャュョヮ")
#: A character written as the two that it looks put together from.
_PARTS: Final = str.maketrans({
    "裸": "衤果", "爆": "火暴", "弾": "弓単", "弹": "弓单", "銃": "金充", "枪": "木仓", "炸": "火乍", "死": "歹匕",
    "性": "忄生", "胸": "月匈", "脱": "月兑", "情": "忄青", "欲": "谷欠", "奴": "女又", "脸": "月佥", "顔": "彦頁",
    "换": "扌奂", "假": "亻叚", "投": "扌殳", "砍": "石欠", "割": "害刂", "刺": "朿刂", "吊": "口巾", "吞": "天口",
    "药": "艹约", "薬": "艹楽", "粉": "米分", "喉": "口侯", "烧": "火尧", "焼": "火尭", "脑": "月㐫", "脳": "月凶",
    "体": "亻本", "視": "礻見", "视": "礻见", "的": "白勺", "炼": "火东", "鍋": "金咼", "锅": "钅呙", "掻": "扌蚤",
    "撃": "軗手", "映": "日央", "動": "重力", "好": "女子", "拍": "扌白", "仿": "亻方", "村": "木寸", "新": "亲斤",
})  # fmt: skip
#: Mandarin characters for others of the same or a near sound.
_SOUNDS: Final = str.maketrans(
    "色情胸裸杀死血枪药毒弹爆脱选票警黑脸换统犹视频喉俘暴尸砸穿拍旋真假的",
    "瑟晴凶果沙四雪呛要独蛋暴拖炫飘井嘿连幻桶油士萍猴浮抱师杂川排玄珍甲滴",
)


def _half_wide(text: str) -> str:
    """All kana as katakana of half a width, the marks of voiced ones on their own."""
    katakana = "".join(chr(ord(c) + 0x60) if "ぁ" <= c <= "ゖ" else c for c in text)
    return unicodedata.normalize("NFD", katakana).translate(_HALF_WIDE)


_JAPANESE: Final[list[Disguise]] = [
    lambda t: t.translate(_KANA_SWAPPED), lambda t: t.translate(_PARTS), _joined("☆"), _boxed("【】"),
    _half_wide, _joined(_WIDE_SPACE), _pairs_swapped, _joined("|"),
    lambda t: t.translate(_TINY), _struck, _joined("w"), _joined(_SOFT_HYPHEN),
]  # fmt: skip
_CHINESE: Final[list[Disguise]] = [
    lambda t: t.translate(_PARTS), lambda t: t.translate(_SOUNDS), _joined("☆"), _boxed("【】"), _joined(_WIDE_SPACE),
    _pairs_swapped, _joined("|"), _struck, _joined("x"), _joined(_SOFT_HYPHEN), _boxed("()"),
]  # fmt: skip

DISGUISES: Final[dict[str, list[Disguise]]] = {
    "en": _latin("en"), "ko": _KOREAN, "ja": _JAPANESE, "zh": _CHINESE, "es": _latin("es"),
}  # fmt: skip


def disguised(text: str, language: str, number: int) -> str:
    """The text in the disguise of that number, or in the next one that changes anything in it."""
    ways = DISGUISES[language]
    for further in range(len(ways)):
        changed = ways[(number + further) % len(ways)](text)
        if changed != text:
            return changed
    return text
