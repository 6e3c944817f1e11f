"""Hanja to hangul: the Korean reading of Chinese characters in mixed script (漢字混用).

The table of readings is that of the package `hanja` by Sumin Byeon (see NOTICE); the rules here are our own: the
initial-sound rule (두음법칙, Hangul orthography articles 10-12) and words whose characters are read in another way.
"""

from __future__ import annotations

import re
from functools import lru_cache
from importlib.resources import files
from typing import Final

_FIRST: Final = 0xAC00
_INITIAL_STEP: Final = 21 * 28
_NIEUN, _RIEUL, _IEUNG = 2, 5, 11  # initial consonants ㄴ ㄹ ㅇ
_Y_VOWELS: Final = frozenset((2, 3, 6, 7, 12, 17, 20))  # ㅑ ㅒ ㅕ ㅖ ㅛ ㅠ ㅣ
_TIEUT_JIEUT: Final = frozenset((3, 12))  # ㄷ ㅈ, before which 不 is read 부

#: Words in which a character has not its usual reading, or the rules have an exception.
_WORDS: Final[dict[str, str]] = dict(
    pair.split("=")
    for pair in (
        "自轉車=자전거 人力車=인력거 音樂=음악 樂器=악기 樂曲=악곡 樂譜=악보 器樂=기악 聲樂=성악 國樂=국악 "
        "農樂=농악 敗北=패배 相殺=상쇄 殺到=쇄도 憎惡=증오 嫌惡=혐오 惡寒=오한 降伏=항복 降服=항복 投降=투항 "
        "遊說=유세 容易=용이 簡易=간이 安易=안이 難易=난이 復活=부활 復興=부흥 便所=변소 小便=소변 大便=대변 "
        "省略=생략 星宿=성수 賞狀=상장 年賀狀=연하장 狀況=상황 狀態=상태 索引=색인 搜索=수색 檢索=검색 思索=사색 "
        "索莫=삭막 率直=솔직 輕率=경솔 統率=통솔 引率=인솔 龜裂=균열 茶房=다방 茶禮=다례 茶道=다도 紅茶=홍차 "
        "綠茶=녹차 雪糖=설탕 沙糖=사탕 洞察=통찰 一切=일체 論難=논란 困難=곤란 許諾=허락 受諾=수락 承諾=승낙 "
        "大怒=대로 喜怒哀樂=희로애락 牧丹=모란 木瓜=모과 智異山=지리산 漢拏山=한라산 六月=유월 十月=시월 "
        "五六月=오뉴월 初八日=초파일 菩提=보리 布施=보시 句讀點=구두점 暴露=폭로 暴風=폭풍 暴雪=폭설 十六=십육 "
        "十方=시방 道場=도장 更生=갱생 更新=갱신 金浦=김포 金海=김해 金泉=김천 金堤=김제 金氏=김씨 男女=남녀 "
        "新女性=신여성 空念佛=공염불 說明=설명 小說=소설 殺人=살인 降雪=강설 下降=하강 北極=북극 畫面=화면 "
        "計畫=계획 企畫=기획 宅內=댁내 宅配=택배 刺客=자객 拓本=탁본 干拓=간척 行列=행렬 銀行=은행 行動=행동 "
        "樂園=낙원 娛樂=오락 快樂=쾌락 度外視=도외시 速度=속도"
    ).split()
)
_LONGEST_WORD: Final = max(map(len, _WORDS))
_SURNAME_FOLLOWERS: Final = ("氏", "君", "孃", "先生", "博士", "社長", "敎授", "大統領")
_DIGITS: Final = frozenset("一二三四五六七八九十百千萬億")


@lru_cache(maxsize=1)
def readings() -> dict[str, str]:
    """Character -> its usual Korean syllable, before the initial-sound rule (27,497 of them)."""
    text = files("haneul.prompt").joinpath("hanja_table.txt").read_text(encoding="utf-8")
    return {character: line[0] for line in text.splitlines() for character in line[1:]}


@lru_cache(maxsize=1)
def _run() -> re.Pattern[str]:
    """Unbroken runs of characters that have a reading."""
    ideographs = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0002fa1f"
    return re.compile(f"[{ideographs}]+")


def has_hanja(text: str) -> bool:
    """Whether any Chinese character is in the text."""
    return _run().search(text) is not None


def initial_sound(syllable: str) -> str:
    """The syllable as it is at a word's beginning: 녀 -> 여, 력 -> 역, 락 -> 낙."""
    code = ord(syllable) - _FIRST
    initial, vowel = code // _INITIAL_STEP, code // 28 % 21
    if initial in (_NIEUN, _RIEUL) and vowel in _Y_VOWELS:
        return chr(ord(syllable) + (_IEUNG - initial) * _INITIAL_STEP)
    if initial == _RIEUL:
        return chr(ord(syllable) - (_RIEUL - _NIEUN) * _INITIAL_STEP)
    return syllable


def _inside(syllable: str, before: str) -> str:
    """The syllable within a word: 렬 and 률 are 열 and 율 after a vowel or ㄴ."""
    if syllable in ("렬", "률") and "가" <= before <= "힣" and (ord(before) - _FIRST) % 28 in (0, 4):
        return initial_sound(syllable)
    return syllable


def _negation(run: str, at: int) -> str:
    """不 is 부 before ㄷ and ㅈ, otherwise 불."""
    following = readings().get(run[at + 1]) if at + 1 < len(run) else None
    return "부" if following and (ord(following) - _FIRST) // _INITIAL_STEP in _TIEUT_JIEUT else "불"


def _is_surname(run: str, rest: str) -> bool:
    """金 at the beginning of a name: before 氏, 先生 and the like, with at most two characters between."""
    return any(0 < (run + rest).find(title) <= 3 for title in _SURNAME_FOLLOWERS)


def _read_run(run: str, before: str, after: str) -> str:
    """The reading of one run of characters; `before` is the character in front of it, `after` the text behind it."""
    table = readings()
    # A single character right after a digit or hangul is no word of its own: 2020年, 가동率.
    attached = before.isdigit() or ("가" <= before <= "힣" and len(run) == 1)
    out = ""
    at = 0
    while at < len(run):
        for length in range(min(_LONGEST_WORD, len(run) - at), 1, -1):
            word = _WORDS.get(run[at : at + length])
            if word is not None:
                out += word
                at += length
                break
        else:
            character = run[at]
            syllable = table.get(character)
            first = not out and not attached
            if syllable is None:
                out += character
            elif character == "不":
                out += _negation(run, at)
            elif character == "金" and first and _is_surname(run, after):
                out += "김"
            elif character == "六" and not (at and run[at - 1] in _DIGITS - {"十", "百", "千"}):
                out += "육"
            elif character == "率" and not first:
                out += _inside("률", out[-1] if out else before)
            elif first:
                out += initial_sound(syllable)
            else:
                out += _inside(syllable, out[-1] if out else before)
            at += 1
    return out


def read(text: str) -> str:
    """All Chinese characters of the text in hangul; characters without a Korean reading stay as they are."""
    return _run().sub(
        lambda m: _read_run(m[0], text[m.start() - 1] if m.start() else " ", text[m.end() : m.end() + 8].lstrip()), text
    )
