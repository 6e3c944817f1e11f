"""What a text could be read as once a code is undone: other readings, besides the forms of normalise.py.

Encodings (base64, hexadecimal, percent signs, HTML entities, binary, Morse), fillers between letters, doubled letters,
text written backwards or with shifted letters, and parts that are to be put together. Each reading is screened like
the text itself, and what is found in any of them is found.

Whether a segment is written backwards is told by the text encoder's own vocabulary, a unigram model of its pieces:
words are likelier than gibberish. So ordinary text has no further readings, and costs no further time.
"""

from __future__ import annotations

import base64
import binascii
import html
import json
import math
import re
import urllib.parse
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Final

from haneul.screen.scramble import unscrambled

if TYPE_CHECKING:
    from tokenizers import Tokenizer

__all__ = ["Speech", "bold", "readings"]

MOST: Final = 6  #: readings of one text
LIKELIER: Final = 0.95  #: times the surprise of what is written, at most, for text backwards to be what is meant
SHIFTED: Final = 0.8  #: the same for shifted letters, of which there are 25 to try
GIBBERISH: Final = 4.4  #: surprise for each letter from which on shifts are tried; English has some 3
LETTERS: Final = 5  #: of a segment, at least, to judge it
SPELLED: Final = 7  #: letters of a word, at least, to be taken for another one misspelled

BOLDLY: Final = 4  #: the same where two lists must be met (`bold`)
RUN_TOGETHER: Final = 8  #: letters of a word, at least, to be looked for others in it

_BASE64: Final = re.compile(r"(?<![\w+/])[A-Za-z0-9+/_-]{12,}={0,2}(?![\w+/])")
_HEX: Final = re.compile(r"(?<!\w)(?:(?:0x|\\x)?[0-9a-fA-F]{2}[\s,]?){6,}(?!\w)")
_BINARY: Final = re.compile(r"(?<!\d)(?:[01]{8}\s?){4,}(?!\d)")
_ESCAPED: Final = re.compile(r"\\u\{?([0-9a-fA-F]{4,5})\}?|\\x([0-9a-fA-F]{2})|U\+([0-9a-fA-F]{4,5})\s?")
_MORSE_RUN: Final = re.compile(r"(?:[.\-·–—−_]{1,5}[ /|]+){4,}[.\-·–—−_]{1,5}")
_MORSE_CODES: Final = (
    ".- -... -.-. -.. . ..-. --. .... .. .--- -.- .-.. -- -. --- .--. --.- .-. ... - ..- ...- .-- -..- -.-- --.."
)
_MORSE: Final = dict(zip(_MORSE_CODES.split(), "abcdefghijklmnopqrstuvwxyz", strict=True))
_DOTS: Final = str.maketrans("·–—−_", ".----")
#: Where a segment may begin or end: what talks about a text seldom is disguised as it is.
_SEGMENTS: Final = re.compile(r"([:：;；\n\"“”«»「」『』()\[\]{}<>。!?！？]+)")
_LETTER: Final = re.compile(r"[^\W\d_]")
_WORD: Final = re.compile(r"[^\W\d_]+")
_ENDINGS: Final = ("s", "es", "er", "ers", "ing", "ed", "d", "ly", "os", "as")
_LATIN_WORD: Final = re.compile(r"[a-zA-Z]{4,}")
_FILLER: Final = re.compile(r"(?<=[^\W\d_])([^\s'’,、，。]|\d)(?=[^\W\d_])")
_FILLER_SIGN: Final = re.compile(r"[\W\d_]")
_DOUBLED: Final = re.compile(r"([^\W\d_])\1")
_QUOTED: Final = re.compile(r"[\"“”'‘’`«»「」『』]([^\"“”'‘’`«»「」『』]{1,80})[\"“”'‘’`«»「」『』]")
_ASSIGNED: Final = re.compile(r"(?:^|[\s;,.({])\$?\w{1,9}\s?(?::=|=|→|->)\s?([^;,\n=]{1,80}?)(?=\s*(?:[;,\n)}]|$))")
_ORDINAL: Final = (
    r"(?:1st|2nd|3rd|first|second|third|then|primer[ao]?|segund[ao]|tercer[ao]?|luego|첫|첫째|첫\s?번째|둘째|두\s?번째|처음|나중|다음|앞|뒤|"
    r"最初|次|最後|第[一二三123]|前|后|後|上|下)(?:의|の|个|個)?\s?"
    r"(?:part|piece|half|shot|scene|word|line|parte|trozo|mitad|plano|palabra|toma|escena|조각|부분|단어|장면|절반|말|"
    r"部分|半分|言葉|単語|シーン|片段|半句|半段|镜头|场|部|段|句|半)?\s?[:：=]"
)
_NUMBERED: Final = re.compile(
    rf"(?:^|[\s;,/|.。，；、!?])+{_ORDINAL}\s*|"
    r"(?:^|[\s;,/|])(?:\(?\d{1,2}\s?[.):]|(?:part|piece|half|shot|scene|parte|trozo|mitad|plano|toma|escena|조각|부분|파트|장면|"
    r"パート|部分|断片|シーン|片段|镜头|上半|下半|前半|後半|앞부분|뒷부분)\s?[\dA-Ca-c一二가나]{0,2}\s?[:：)=]|[A-Ca-c]\s?[:：])\s*",
    re.IGNORECASE,
)
_TAG: Final = re.compile(r"</?[a-zA-Z][^<>]{0,40}>")
_ASIDE: Final = re.compile(r"\s*[(（\[【{][^()（）\[\]【】{}]{2,60}[)）\]】}]\s*(?=\w)")
_GLUE: Final = re.compile(r"\s*(?:\+|\||//?|&&?|->|→|~|\.{2,}|…|_)\s*")
_LETTER_RUN: Final = re.compile(r"[^\W\d_]+")
_KANA: Final = re.compile("[\u3041-\u30f6]")
_TO_HIRAGANA: Final = {code: code - 0x60 for code in range(0x30A1, 0x30F7)}
_TO_KATAKANA: Final = {code - 0x60: code for code in range(0x30A1, 0x30F7)}
_AUBERGINE: Final = ("🍆", ("🍑", "💦", "👅", "👉", "👌"))


@dataclass(frozen=True)
class Speech:
    """How likely texts are, by the pieces of a tokenizer, and the words that a policy's rules look for."""

    tokenizer: Tokenizer
    surprises: dict[str, float]  #: piece -> -log of its probability
    words: dict[str, str]  #: a word of the rules, and it without one of its letters -> the word
    beginnings: dict[str, str]  #: the same of beginnings of words
    ordinary: frozenset[str] = frozenset()  #: words that are none of those, nor misspelled
    shortest: int = SPELLED  #: letters of a word, at least, to be taken for another one misspelled

    @staticmethod
    def of(
        tokenizer: Tokenizer, words: Iterable[str], beginnings: Iterable[str], ordinary: Iterable[str] = ()
    ) -> Speech:  # fmt: skip
        pieces = json.loads(tokenizer.to_str())["model"]["vocab"]
        surprises = {piece: -score for piece, score in pieces}
        longer = (b for b in beginnings if len(b) > SPELLED)
        return Speech(tokenizer, surprises, _near(words), _near(longer), frozenset(ordinary))

    def boldly(self, words: Iterable[str]) -> Speech:
        """The same for these words, down to four letters."""
        return replace(self, words=_near(words, BOLDLY), beginnings={}, shortest=BOLDLY)

    @cached_property
    def longest(self) -> int:
        """Letters that may be one of the beginnings misspelled, at most."""
        return max(map(len, self.beginnings.values()), default=0) + 1

    def surprise(self, text: str) -> float:
        """-log of the text's probability."""
        return sum(self.surprises.get(piece, 20.0) for piece in self.tokenizer.encode(text).tokens)

    def known(self, word: str) -> bool:
        """Whether a word, or what it is derived from, is common enough to be a piece by itself."""
        stems = [word, *(word.removesuffix(ending) for ending in _ENDINGS if word.endswith(ending))]
        stems += [stem[:-1] for stem in stems[1:] if len(stem) > 3 and stem[-1] == stem[-2]]  # sit, sitting
        known = any(f"\u2581{stem}{more}" in self.surprises for stem in stems for more in ("", "e"))
        return known or word in self.ordinary

    def meant(self, word: str) -> str:
        """The word of the rules that a word is one letter off, unless it is a word itself; else itself."""
        low = word.lower()
        if len(low) < self.shortest or self.words.get(low) == low or self.known(low):
            return word
        if self.shortest == SPELLED and low in self.words and len(low) <= SPELLED:
            return word  # a letter less makes too many others
        for spelled in _with_less(low):
            found = self.words.get(spelled)
            # A word of four letters has too many neighbours: only one letter too many is seen there.
            if found is not None and abs(len(found) - len(low)) <= 1 and max(len(found), len(low)) > BOLDLY:
                return found
        ends = range(min(len(low), self.longest), self.shortest - 1, -1) if self.beginnings else ()
        if any(self.beginnings.get(low[:end]) == low[:end] for end in ends):
            return word  # the rules find it as it is
        for end in ends:
            for spelled in _with_less(low[:end]):
                found = self.beginnings.get(spelled)
                if found is not None and abs(len(found) - end) <= 1:
                    return found + low[end:]
        return word


def _near(words: Iterable[str], shortest: int = SPELLED) -> dict[str, str]:
    long = [word for word in words if len(word) >= shortest and word.isascii()]
    return {less: word for word in long for less in _with_less(word)} | {word: word for word in long}


def _with_less(word: str) -> Iterator[str]:
    """A word, and it without each of its letters but the first."""
    yield word
    yield from (word[:i] + word[i + 1 :] for i in range(1, len(word)))


def readings(text: str, speech: Speech) -> list[str]:
    """What a text may be read as besides as it stands; empty for ordinary text, at most six."""
    found: dict[str, None] = {}
    text = text[:2000]
    spelled = _TAG.sub("", _escapes(_encoded(text)))
    ways = (unscrambled(spelled, speech), _without_fillers(spelled), _without_asides(spelled), _put_together(spelled))
    for one in (spelled, *(other for way in ways for other in way)):
        found[one] = None
        for other in _turned(one, speech):
            found[other] = None
    for one in list(found):
        found[_LATIN_WORD.sub(lambda m: speech.meant(m[0]), one)] = None
    if _AUBERGINE[0] in text and any(other in text for other in _AUBERGINE[1]):
        found["sexual content"] = None
    found.pop(text, None)
    return [one for one in found if one.strip()][:MOST]


def bold(texts: Iterable[str], speech: Speech, listed: Mapping[str, str]) -> list[str]:
    """Readings for rules that take no chances and need words of two lists: letters alone, backwards, both kana, words
    that were run together or misspelled. `texts` are normalised, `listed` what may be in a longer word, run
    together -> as it is; `speech` is `Speech.boldly`."""
    found: dict[str, None] = {}
    given = list(dict.fromkeys(texts))
    for text in given:
        letters = " ".join(_LETTER_RUN.findall(text))
        dense = letters.replace(" ", "")
        low = _LATIN_WORD.sub(lambda m: _apart(speech.meant(m[0]), speech, listed), text)
        for one in (dense, letters, text[::-1], dense[::-1], low):
            found[one] = None
        if _KANA.search(text):
            found[dense.translate(_TO_HIRAGANA)] = found[dense.translate(_TO_KATAKANA)] = None
    return [one for one in found if one and one not in given]


def _apart(word: str, speech: Speech, listed: Mapping[str, str]) -> str:
    """A long word that is none, with spaces around those in it."""
    if len(word) < RUN_TOGETHER or speech.known(word):
        return word
    inside = sorted((run for run in listed if run in word), key=len, reverse=True)
    return re.sub("|".join(inside), lambda m: f" {listed[m[0]]} ", word) if inside else word


# ------------------------------------------------------------------------------------------------------ encodings


def _escapes(text: str) -> str:
    def letter(m: re.Match[str]) -> str:
        code = int(next(filter(None, m.groups())), 16)
        return chr(code) if code < 0x110000 and not 0xD800 <= code < 0xE000 else m[0]

    text = html.unescape(text) if "&" in text else text
    text = urllib.parse.unquote(text) if text.count("%") >= 3 else text
    return _ESCAPED.sub(letter, text)


def _encoded(text: str) -> str:
    text = _MORSE_RUN.sub(_morse, text)
    text = _BINARY.sub(lambda m: _said(bytes(int(b, 2) for b in re.findall("[01]{8}", m[0]))) or m[0], text)
    text = _HEX.sub(lambda m: _said(bytes.fromhex(re.sub(r"0x|\\x|[\s,]", "", m[0]))) or m[0], text)
    return _BASE64.sub(_from_base64, text)


def _from_base64(m: re.Match[str]) -> str:
    bare = m[0].rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return _said(base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True)) or m[0]
    except (binascii.Error, ValueError):
        return m[0]


def _said(data: bytes) -> str:
    """Bytes as text, if they are one."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return ""
    return text if text.isprintable() and len(_LETTER.findall(text)) >= 0.7 * len(text) else ""


def _morse(m: re.Match[str]) -> str:
    words = [part.split() for part in re.split(r"\s*[/|]+\s*|\s{3,}", m[0].translate(_DOTS))]
    letters = [[_MORSE.get(code, "") for code in word] for word in words]
    return " " + " ".join("".join(word) for word in letters) + " " if all(map(all, letters)) else m[0]


# ----------------------------------------------------------------------------------- fillers, parts, turned letters


def _without_fillers(text: str) -> Iterator[str]:
    """Without the sign, digit or picture that stands between letters again and again; doubled letters once."""
    counts = Counter(m for m in _FILLER.findall(text) if _FILLER_SIGN.fullmatch(m))
    often = {sign for sign, count in counts.items() if count >= 3}
    if often:
        pattern = re.compile("(?<=[^\\W\\d_])(?:" + "|".join(map(re.escape, sorted(often))) + ")+(?=[^\\W\\d_])")
        yield pattern.sub("", text)
    letters = len(_LETTER.findall(text))
    if letters >= 8 and 2 * len(_DOUBLED.findall(text)) >= 0.8 * letters:
        yield _DOUBLED.sub(r"\1", text)


def _without_asides(text: str) -> Iterator[str]:
    """Without what is put in brackets into the middle of a text."""
    if _ASIDE.search(text):
        yield _ASIDE.sub(" ", text)
        yield _ASIDE.sub("", text)


def _put_together(text: str) -> Iterator[str]:
    """Values of assignments, quoted strings and numbered parts as one text, with and without spaces between."""
    parts: list[str] = []
    for pattern in (_ASSIGNED, _QUOTED):
        parts = [part.strip(" \"'") for part in pattern.findall(text)]
        if len(parts) >= 2:
            yield " ".join(parts)
            yield "".join(parts)
            return
    if len(_NUMBERED.findall(text)) >= 2:
        yield _NUMBERED.sub(" ", text)
        yield _NUMBERED.sub("", text)
    elif len(_GLUE.findall(text)) >= 1:
        yield _GLUE.sub("", text)


def _turned(text: str, speech: Speech) -> Iterator[str]:
    """With what is written backwards or in shifted letters turned round: the whole, or segments of it. What consists of
    words as it stands is nothing written backwards, whatever its letters would be."""
    if _worded(text, speech):
        return
    if len(_LETTER.findall(text)) >= LETTERS and speech.surprise(text[::-1]) <= LIKELIER * speech.surprise(text):
        yield text[::-1]
    segments = _SEGMENTS.split(text)
    turned = [_segment(segment, speech) for segment in segments]
    if turned != segments:
        yield "".join(turned)


def _worded(text: str, speech: Speech) -> bool:
    """Whether all of a text are known words in Latin letters."""
    words = text.lower().replace("-", " ").split()
    return bool(words) and all(word.isascii() and word.isalpha() and speech.known(word) for word in words)


def _segment(segment: str, speech: Speech) -> str:
    letters = len(_LETTER.findall(segment))
    if not LETTERS <= letters <= 400:
        return segment
    core = segment.strip()
    written = speech.surprise(core)
    if speech.surprise(core[::-1]) <= LIKELIER * written:
        return segment.replace(core, core[::-1])
    candidates: list[tuple[float, str]] = []
    latin = sum(map(len, _LATIN_WORD.findall(core)))
    if latin >= 0.6 * letters:
        candidates.append((LIKELIER, " ".join(word[::-1] for word in core.split(" "))))
        if written >= GIBBERISH * letters:
            candidates += [(SHIFTED, _shifted(core, by)) for by in range(1, 26)]
    surprise, best = min(((speech.surprise(text) / share, text) for share, text in candidates), default=(math.inf, ""))
    return segment.replace(core, best) if surprise <= written else segment


def _shifted(text: str, by: int) -> str:
    return "".join(
        chr((ord(c) - base + by) % 26 + base) if c.isascii() and c.isalpha() else c
        for c in text
        for base in (65 if c.isupper() else 97,)
    )
