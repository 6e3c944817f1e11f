"""What a text says once its disguise is taken off: the forms in which the rules look at it.

Several forms come out: the text as its writer meant it (`plain`), and others in which letters that only look Latin are
Latin and digits that stand for letters are those letters, strings that are added up are one, letters set apart are
joined, lone jamo are syllables, and hanja is read as hangul, each on top of the one before. Rules look at all of them,
so that undoing a disguise can never hide what is said openly.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from haneul.prompt import hanja
from haneul.prompt.language import detect

__all__ = ["Forms", "compose_jamo", "fold_romanised", "forms", "join_letters", "plain", "romanise", "unmask"]

#: Letters of other scripts that look like a Latin one (a selection of Unicode's confusables; NFKC does the rest).
_LOOKALIKES: Final = {
    "a": "аαɑ∂ᴀ", "b": "ьвβʙЬƄ", "c": "сϲᴄⅽ¢", "d": "đԁɗᴅժ", "e": "еєεҽᴇ℮ⅇ", "f": "ғƒꜰϝ", "g": "ɡգɢԍ",
    "h": "һհнʜ", "i": "іιɩıɪ¡ӏ", "j": "јϳᴊյ", "k": "кκᴋҝ", "l": "łӏⅼʟ|ǀ", "m": "мᴍⅿ", "n": "пηոɴп", "o": "øоοσօᴏⲟө०",
    "p": "рρᴘ", "q": "ԛգ", "r": "гʀɾᴦ", "s": "ѕꜱʂ§", "t": "тτᴛ†", "u": "υսᴜцʋ", "v": "ѵνᴠⅴ", "w": "ԝωᴡшѡ", "x": "хχ×ⅹ",
    "y": "уγʏүყ", "z": "ᴢʐʑ",
}  # fmt: skip
_LATIN = {ord(like): letter for letter, likes in reversed(_LOOKALIKES.items()) for like in likes}
#: The emoji of letters, of which NFKC knows nothing: in squares, in black circles and squares, and of flags.
_LATIN |= {first + i: chr(97 + i) for first in (0x1F150, 0x1F170, 0x1F1E6) for i in range(26)}
#: Digits and signs that stand for letters; what `1` and `!` are is tried both ways.
_LEET: Final = {
    one: str.maketrans("0345789@$€£+1!", "oeastbgaselt" + one + one) for one in "il"
}  # fmt: skip
_LEET_WORD: Final = re.compile(r"[a-z0-9@$€£+!]*[a-z][a-z0-9@$€£+!]*")
_INNER: Final = "._\\-*~/\\\\|,·•:;'\"`+=^()\\[\\]{}<>"
#: Three or more single letters with the same kind of thing between them: n u d e.
_APART: Final = re.compile(rf"(?<![^\W_])[^\W\d_](?:[\s{_INNER}]{{1,4}}[^\W\d_]){{2,}}(?![^\W_])")
_PARTS: Final = re.compile(rf"[\s{_INNER}]+")
_SIGNS: Final = re.compile(rf"[{_INNER}]")
JOINED: Final = "\u00a4"  #: stands before a word that was joined
_ADDED: Final = re.compile(r"[\"'`“”‘’»«)\]]+\s*(?:\+|\.\.|&|,)?\s*[\"'`“”‘’»«(\[]+|\s*\+\s*")
_ADDS: Final = re.compile(r"[\"'`“”‘’»«\])]\s*[+.&,]|\w\s*\+\s*\w")
_LEET_ALL: Final = re.compile(r"[a-z0-9@$€£+!]+")
_MEASURE: Final = re.compile(r"\d+(?:s|th|st|nd|rd|k|d|p|fps|mm|cm|m|km|x|v)|[a-z]\d+|[a-z]+[!+]+")
_HANGUL: Final = re.compile("[가-힣]")
_BROKEN: Final = re.compile(rf"(?<=[^\W\d_])[{_INNER}]+(?=[^\W\d_])")
_SPACE: Final = re.compile(r"\s+")
_HAN_KANA: Final = "\u3040-\u30ff\u3400-\u9fff"
_REPEATED: Final = re.compile(r"([^\W\d_])\1{2,}")
_UNSEEN: Final = frozenset(("Cf", "Cc", "Cs", "Co", "Cn", "Me"))
_KANA_MARKS: Final = "\u3099\u309a"
_JAMO: Final = re.compile("([\u3131-\u318e]+)")
#: Half-width jamo -> the usual ones.
_NARROW: Final = {
    chr(c): chr(int(unicodedata.decomposition(chr(c)).split()[1], 16))
    for c in range(0xFFA1, 0xFFDD)
    if unicodedata.decomposition(chr(c)).startswith("<narrow>")
}
_BETWEEN_CJK: Final = re.compile(rf"(?<=[{_HAN_KANA}])[\s{_INNER}、。，．・…【】「」『』〔〕《》]+(?=[{_HAN_KANA}])")
#: Letters of Hangul that show nothing.
_FILLERS: Final = dict.fromkeys((0x115F, 0x1160, 0x3164, 0xFFA0))
_ROUND: Final = re.compile(r"(?<=[\w@$€!+|])\(\)|\(\)(?=[\w@$€!+|])")  #: an o that is drawn

# Jamo: the letters of hangul in Unicode's order of syllables.
INITIALS: Final = "ㄱㄲㄴㄷㄸㄹㅁㅂㅃㅅㅆㅇㅈㅉㅊㅋㅌㅍㅎ"
VOWELS: Final = "ㅏㅐㅑㅒㅓㅔㅕㅖㅗㅘㅙㅚㅛㅜㅝㅞㅟㅠㅡㅢㅣ"
FINALS: Final = " ㄱㄲㄳㄴㄵㄶㄷㄹㄺㄻㄼㄽㄾㄿㅀㅁㅂㅄㅅㅆㅇㅈㅊㅋㅌㅍㅎ"
_PAIRS: Final = {"ㅗㅏ": "ㅘ", "ㅗㅐ": "ㅙ", "ㅗㅣ": "ㅚ", "ㅜㅓ": "ㅝ", "ㅜㅔ": "ㅞ", "ㅜㅣ": "ㅟ", "ㅡㅣ": "ㅢ"}
_JAMO_RUN: Final = re.compile("[\u3131-\u3163](?:[\u3131-\u3163\\s]*[\u3131-\u3163])")
_VOWEL: Final = re.compile("[ㅏ-ㅣ]")
_FIRST: Final = 0xAC00

#: Revised Romanisation, letter by letter.
_ROMAN_INITIALS: Final = "g kk n d tt r m b pp s ss _ j jj ch k t p h".replace("_", "").split(" ")
_ROMAN_VOWELS: Final = "a ae ya yae eo e yeo ye o wa wae oe yo u wo we wi yu eu ui i".split(" ")
_ROMAN_FINALS: Final = "_ k k k n n n t l k m p l t p l m p p t t ng t t k t p t".replace("_", "").split(" ")
#: What people write for one another's romanisation; applied in order to both sides.
_ROMAN_FOLDS: Final = (
    ("yeo", "yo"), ("yuh", "yo"), ("eo", "o"), ("uh", "o"), ("eu", "u"), ("ae", "e"), ("oe", "e"), ("oo", "u"),
    ("ee", "i"), ("sh", "s"), ("kk", "k"), ("tt", "t"), ("pp", "p"), ("ss", "s"), ("jj", "j"), ("g", "k"), ("d", "t"),
    ("b", "p"), ("r", "l"), ("ll", "l"),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Forms:
    """The forms of one text; `undone` are those besides the plain one that differ, empty if nothing was disguised."""

    plain: str
    undone: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[str]:
        return iter((self.plain, *self.undone))


def plain(text: str) -> str:
    """NFKC, lower case, no invisible characters and no accents on Latin letters; an emoji followed by its name."""
    wide = "".join(_NARROW.get(c, c) for c in text.translate(_FILLERS))
    # Jamo that stand alone stay what they are: NFKC would make them conjoining ones.
    parts = (part if _JAMO.fullmatch(part) else _folded(part) for part in _JAMO.split(wide))
    return _SPACE.sub(" ", "".join(parts)).strip()


def _folded(text: str) -> str:
    kept = []
    for character in unicodedata.normalize("NFKD", text.casefold()):
        category = unicodedata.category(character)
        if category == "Mn" and character not in _KANA_MARKS:
            continue
        if character == "・":  # between the parts of a name in kana
            continue
        if category in _UNSEEN and character not in "\t\n\r":
            continue
        kept.append(character)
        if category == "So" and ord(character) >= 0x2600 and ord(character) not in _LATIN:
            kept.append(f" {unicodedata.name(character, '').lower()} ")
    return unicodedata.normalize("NFKC", "".join(kept))


def forms(text: str) -> Forms:
    """All forms of a text."""
    open_ = plain(text)
    drawn = _ROUND.sub("o", open_).translate(_LATIN)
    unmasked = unmask(drawn)
    added = _ADDED.sub("", unmasked) if _ADDS.search(unmasked) else unmasked
    joined = _SPACE.sub(" ", compose_jamo(join_letters(added))).strip()
    found = {
        unmasked: None,
        unmask(drawn, "l"): None,
        added: None,
        joined: None,
    }  # in order, each once
    if hanja.has_hanja(joined) and (detect(joined) == "ko-hanja" or _HANGUL.search(joined)):
        found[hanja.read(joined)] = None
    found.pop(open_, None)
    return Forms(plain=open_, undone=tuple(found))


def unmask(text: str, one: str = "i") -> str:
    """Digits and signs inside words as the letters that they stand for, and letters that are drawn out once. Where
    several words are written so, numbers that stand alone are words too. `one` is what 1 and ! stand for."""
    masked = [m for m in _LEET_WORD.finditer(text) if not m[0].isalpha()]
    words = _LEET_ALL if len([m for m in masked if not _MEASURE.fullmatch(m[0])]) >= 2 else _LEET_WORD
    undone = words.sub(lambda m: m[0].translate(_LEET[one]) if not m[0].isalpha() else m[0], text) if masked else text
    return _REPEATED.sub(r"\1", undone)


def join_letters(text: str) -> str:
    """Letters that stand apart, as one word: 'n u d e' and 'n.u.d.e' -> 'nude'; signs within words are taken out.

    A word that was joined over spaces follows JOINED: where it was two, nobody knows.
    """
    parts = [part for part in _PARTS.split(text) if part]
    if len(parts) >= 4 and sum(len(part) == 1 for part in parts) >= 0.7 * len(parts):
        pieces = (_PARTS.sub("", word) for word in text.split(" "))
        signs = len(_SIGNS.findall(text))
        return " ".join(pieces) if signs > text.count(" ") else JOINED + "".join(pieces)
    joined = _BROKEN.sub("", text)
    joined = _APART.sub(lambda m: JOINED + _PARTS.sub("", m[0]), joined)
    return _BETWEEN_CJK.sub("", joined)


# --------------------------------------------------------------------------------------------------------- Korean


def compose_jamo(text: str) -> str:
    """Runs of lone jamo as syllables: 'ㅎㅏㄴㅡㄹ' -> '하늘'. Runs of consonants alone (ㅋㅋㅋ) stay."""
    return _JAMO_RUN.sub(lambda m: _composed(m[0]) if _VOWEL.search(m[0]) else m[0], text)


def _composed(run: str) -> str:
    words = run.split()
    if all(len(word) == 1 for word in words):  # every jamo stands apart
        words = ["".join(words)]
    return " ".join(map(_compose, words))


def _compose(letters: str) -> str:
    out, at = [], 0
    while at < len(letters):
        initial = INITIALS.find(letters[at])
        if initial < 0 or at + 1 >= len(letters) or letters[at + 1] not in VOWELS:
            out.append(letters[at])
            at += 1
            continue
        vowel, at = letters[at + 1], at + 2
        if at < len(letters) and vowel + letters[at] in _PAIRS:
            vowel, at = _PAIRS[vowel + letters[at]], at + 1
        final = 0
        # A consonant closes the syllable unless a vowel follows it.
        if at < len(letters) and letters[at] in FINALS and not (at + 1 < len(letters) and letters[at + 1] in VOWELS):
            final, at = FINALS.index(letters[at]), at + 1
        out.append(chr(_FIRST + (initial * 21 + VOWELS.index(vowel)) * 28 + final))
    return "".join(out)


def romanise(text: str) -> str:
    """Hangul in Latin letters by the Revised Romanisation, letter by letter: '하늘' -> 'haneul'."""
    out = []
    for character in text:
        if "가" <= character <= "힣":
            code = ord(character) - _FIRST
            out += [
                _ROMAN_INITIALS[code // 588], _ROMAN_VOWELS[code // 28 % 21], _ROMAN_FINALS[code % 28],
            ]  # fmt: skip
        else:
            out.append(character)
    return "".join(out)


def fold_romanised(word: str) -> str:
    """A romanised word as all of its spellings come out: 'poreuno', 'poruno' -> one."""
    for spelled, as_ in _ROMAN_FOLDS:
        word = word.replace(spelled, as_)
    return word
