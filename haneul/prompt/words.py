"""Words of a prompt in English and Korean: tokens, light stems, and which of them nobody taught the model."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

_TOKEN: Final = re.compile(r"[a-z]+(?:'[a-z]+)?|\d+|[가-힣]+|[^\W\d_a-z가-힣]+", re.UNICODE)
#: Korean particles and endings that are taken off a word's end, longest first.
_KOREAN_ENDINGS: Final = tuple(
    sorted(
        "에서는 에서도 에서 에게서 에게 으로서 으로써 으로는 으로 이라는 에는 에도 에 의 은 는 이 가 을 를 과 와 랑 이랑 도 만 로 들 처럼 까지 부터 "
        "마다 보다 이고 인 이다 다 풍 풍의 위 속 안 쪽 쪽으로 안에 속에 위에 밖으로 하게 한 하는 하고 한다 합니다 했다 된 로는 라는 스타일".split(),
        key=len,
        reverse=True,
    )
)
#: Words that carry no picture of their own; one that ends in `*` stands for everything that begins with it.
STOP_WORDS: Final = frozenset(
    "a an the of in on at to with by and or as is are be being been was were it its it's there here this that these those from into onto "
    "over under above below near beside along through throughout across around while for very up down out off so far then each other "
    "one two three four five six seven eight nine ten eleven twelve zero made some several many few all any style styled scene video clip "
    "image footage movie show showing shows look looks looking see we i you me my your their his her he she they please generate "
    "create make making more than but not no has have had which who whose where when what one's during after before until side back front "
    "way again go goes going gets get itself themselves self both between among towards toward time times once twice slow slowly quick "
    "quickly fast gently softly bright clear beautiful nice big large small little tiny huge high low long short moving move moves moved still "
    "place picture ground floor water air sky sand step line row upright colorful colourful flat color colour colored coloured art keep keeps "
    "start starts begin begins other works work s t end top bottom middle center centre background foreground inside outside painted drawn tree them fallen come comes coming fro chain tumble stay stays land visitor "
    "view among sun glow tile such"
    "있다 있는 있습니다 있고 있음 하다 한다 하는 합니다 하고 하며 된 되는 모습 장면 영상 동영상 그린 담은 찍은 느낌 스타일 속 속에서 안 안에서 위 위에서 위로 아래 아래로 "
    "밖 밖으로 쪽으로 함께 같이 그리고 지금 까지 지금까지 개 개의 점 번 명 마리 대 한 두 세 네 다섯 여섯 일곱 여덟 아홉 열 하나 하나씩 칸 칸씩 차례로 색 색의 여러 "
    "알록달록한 형형색색의 나란히 줄지어 줄줄이 연달아 가만히 제자리에 천천히 빠르게 아주 매우 큰 작은 중 중이다 중인 가운데 물 물에 바닥 바닥을 바닥에서 땅 땅에 "
    "하늘 하늘에서 공중 상태로 으로 로 를 을 시작하 시작한다 시작하는 시작합니다 시작하고 때 무렵 무렵에 질 녘 밝은 낀 자욱한 덮인 쌓인 깔린 타고 따라 향해 걸어서 "
    "화면 방향 방향으로 들 것 이 그 저 더 잘 풍경 만들어 줘 만들어줘 보여 보여줘 상태 앞 앞을 등 가는 가다 간다 오는 온다 놓여 좌우로 "
    "내려* 올라* 올리* 올린* 올립* 그리며 쳐서 치며 흔드* 흔든* 흔들* 든 하늘하늘 수면 일으키* 떠서 위아래로 걷* 걸어* 달려* 움직* 않는* 않고 않습* 해 속을 해서 관람객 양쪽 한쪽 가고 갑니다 빠진* 빠집* 동안 친다 치는 서고 선다 섭니다 오르* 오른* 오릅* 흔듭*".split()
)
_ARTICLES: Final = frozenset(("a", "an", "the", "is", "are"))


def tokens(text: str) -> list[str]:
    """Lower-case words, digits apart from letters, hyphenated words taken apart."""
    return _TOKEN.findall(text.casefold())


def content_tokens(text: str) -> list[str]:
    """`tokens` without articles and forms of 'is', as phrases are compared."""
    return [t for t in tokens(text) if t not in _ARTICLES]


@lru_cache(maxsize=8192)
def stems(token: str) -> tuple[str, ...]:
    """The word itself and what it may be a form of: 'bouncing' -> bounce; '사막에서' -> 사막."""
    if "가" <= token[-1] <= "힣":
        return _korean_stems(token)
    found = [token]
    if token.endswith("'s"):
        found.append(token[:-2])
    if len(token) < 4:
        return tuple(found)
    if token.endswith("ies"):
        found.append(token[:-3] + "y")
    if token.endswith("es"):
        found.append(token[:-2])
    if token.endswith("s"):
        found.append(token[:-1])
    for ending in ("ing", "ed", "ly", "y"):
        if token.endswith(ending) and len(token) > len(ending) + 1:
            root = token[: -len(ending)]
            found += [root, root + "e"]
            if len(root) > 2 and root[-1] == root[-2]:
                found.append(root[:-1])
    if token.endswith("ying"):
        found.append(token[:-4] + "ie")
    return tuple(dict.fromkeys(found))


def _korean_stems(token: str) -> tuple[str, ...]:
    found = [token]
    edge = [token]
    for _ in range(3):
        edge = [t[: -len(e)] for t in edge for e in _KOREAN_ENDINGS if t.endswith(e) and len(t) > len(e)]
        found += edge
    return tuple(dict.fromkeys(found))


def is_known(token: str, known: frozenset[str]) -> bool:
    """Whether a word, a stem of it, or (for entries that end in `*`) its beginning is in `known`."""
    if any(s in known or s in STOP_WORDS for s in stems(token)):
        return True
    beginnings = [token[:n] + "*" for n in range(1, len(token) + 1)]
    return any(b in known or b in STOP_WORDS for b in beginnings)


@lru_cache(maxsize=8192)
def split_compound(token: str, known: frozenset[str]) -> tuple[str, ...]:
    """A Korean word taken apart where it is none by itself but both halves are: 고무공이 -> 고무, 공이."""
    if not ("가" <= token[0] <= "힣") or len(token) < 3 or is_known(token, known):
        return (token,)
    for cut in range(len(token) - 1, 0, -1):
        head, tail = token[:cut], token[cut:]
        if head in known and any(s in known for s in stems(tail)):
            return head, tail
    return (token,)


def unknown(text: str, known: frozenset[str]) -> list[str]:
    """Words of `text` that are neither known nor mere function words, each once, in their order. Numbers never count.

    `known` holds lower-case words; one that ends in `*` stands for everything that begins with it.
    """
    strange = (
        t for t in tokens(text) if not t.isdigit() and not is_known(t, known) and len(split_compound(t, known)) == 1
    )
    return list(dict.fromkeys(strange))
