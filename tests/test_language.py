"""The prompt's first stop: cleaning, refusing, telling the language, reading hanja."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from haneul.errors import InputError
from haneul.prompt import hanja
from haneul.prompt.language import MAX_CHARACTERS, check, detect, hanja_to_hangul, normalise, unknown

ANY_TEXT = st.text(st.characters(), max_size=60)
KOREAN_TEXT = st.text(st.sampled_from("가나다 빨간공이ㅋᄒ女歷史率不金六沙漠年0 3a.,"), max_size=40)


@given(ANY_TEXT)
@settings(max_examples=300, deadline=None)
def test_normalise_is_stable_and_clean(text: str) -> None:
    clean = normalise(text)
    assert normalise(clean) == clean
    assert clean == clean.strip()
    assert "  " not in clean
    assert not any(unicodedata.category(c) in ("Cc", "Cf", "Cs", "Co") for c in clean)


@given(ANY_TEXT)
@settings(max_examples=300, deadline=None)
def test_check_accepts_or_refuses_in_one_line(text: str) -> None:
    clean = normalise(text)
    if any(c.isalnum() for c in clean):
        prompt = check(text)
        assert prompt.text == clean
        assert prompt.encoded
        assert check(prompt.text) == prompt
    else:
        with pytest.raises(InputError, match=r"\A[^\n]+\Z"):
            check(text)


@given(KOREAN_TEXT | ANY_TEXT)
@settings(max_examples=300, deadline=None)
def test_hanja_is_read_and_the_rest_left_alone(text: str) -> None:
    read = hanja_to_hangul(text)
    assert hanja_to_hangul(read) == read
    if not hanja.has_hanja(text):
        assert read == text
    elif detect(text) == "ko-hanja":
        assert not any(c in hanja.readings() for c in read)


@pytest.mark.parametrize(
    ("given_text", "expected"),
    [
        ("  a \t red\n ball ", "a red ball"),
        ("빨간 공", "빨간 공"),  # decomposed jamo
        ("ＲＥＤ　ｂａｌｌ", "RED ball"),
        ("r​e‍d﻿ ball\x07", "red ball"),
        ("‮red ball", "red ball"),
        ("ㅋㅋ 공", "ㅋㅋ 공"),
        ("a\x00b", "ab"),
    ],
)
def test_normalise(given_text: str, expected: str) -> None:
    assert normalise(given_text) == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "the prompt is empty"),
        (" \n\t ", "the prompt is empty"),
        ("\x00\x01\x02", "only control or invisible characters"),
        ("​‍", "only control or invisible characters"),
        ("... !!", "holds no word"),
        ("a" * 4001, "4,001 characters"),
        ("x" * 100_000, "100,000 characters"),
    ],
)
def test_bad_prompts_are_refused(text: str, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        check(text)


def test_the_longest_prompt_is_accepted() -> None:
    assert len(check("a" * MAX_CHARACTERS).text) == MAX_CHARACTERS


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("a red ball in the desert", "en"),
        ("snow", "en"),
        ("a café in the snow", "en"),
        ("빨간 공", "ko"),
        ("네온 street에서 걷는 robot", "ko"),
        ("赤色 공이 沙漠에서 튄다", "ko-hanja"),
        ("沙漠", "ko-hanja"),
        ("砂漠で赤いボールが跳ねる", "other"),
        ("一个红球在沙漠里弹跳", "other"),
        ("一個紅色的球在沙漠裡彈跳", "other"),
        ("une balle rouge dans le désert", "other"),
        ("красный мяч", "other"),
        ("12345", "other"),
    ],
)
def test_detect(text: str, language: str) -> None:
    assert detect(text) == language


@pytest.mark.parametrize(
    ("mixed", "hangul"),
    [
        ("女子가 歷史를 배운다", "여자가 역사를 배운다"),
        ("赤色 고무 공이 沙漠에서 튄다", "적색 고무 공이 사막에서 튄다"),
        ("未來都市의 自動車와 自轉車", "미래도시의 자동차와 자전거"),
        ("男女의 比率, 法律과 規律", "남녀의 비율, 법률과 규율"),
        ("行列과 羅列, 分裂", "행렬과 나열, 분열"),
        ("不動, 不足, 不可能한", "부동, 부족, 불가능한"),
        ("金先生이 金屬을", "김선생이 금속을"),
        ("金浦의 黃金", "김포의 황금"),
        ("六月과 十月, 十六日, 五六", "유월과 시월, 십육일, 오륙"),
        ("2020年과 來年, 3里", "2020년과 내년, 3리"),
        ("音樂과 快樂의 樂園", "음악과 쾌락의 낙원"),
        ("落葉이 綠色 森林에", "낙엽이 녹색 삼림에"),
        ("老人이 新女性을 論難", "노인이 신여성을 논란"),
        ("沙漠", "사막"),
        ("砂漠で跳ねる", "砂漠で跳ねる"),
        ("一个红球在沙漠里", "一个红球在沙漠里"),
        ("plain text", "plain text"),
    ],
)
def test_hanja_to_hangul(mixed: str, hangul: str) -> None:
    assert hanja_to_hangul(mixed) == hangul


def test_check_keeps_the_prompt_and_its_reading() -> None:
    prompt = check(" 沙漠의  공 ")
    assert (prompt.text, prompt.encoded, prompt.language) == ("沙漠의 공", "사막의 공", "ko-hanja")


def test_the_table_is_whole() -> None:
    table = hanja.readings()
    assert len(table) == 27497
    assert all("가" <= syllable <= "힣" for syllable in table.values())
    assert (table["女"], table["沙"], table["歷"]) == ("녀", "사", "력")


def test_unknown_words_by_stem_and_compound() -> None:
    known = frozenset(("ball", "bounce", "공", "고무", "굴러*"))
    assert unknown("The balls are bouncing with 3 zebras", known) == ["zebras"]
    assert unknown("고무공이 굴러간다, 기린도", known) == ["기린도"]
