"""Write known_words.json: the words that the model was taught, for the warning about words that it never learned.

    python tools/build_known_words.py haneul/weights/known_words.json

`known` is what `haneul.prompt.words.unknown` compares with, from the world's grammar. `nearest` are the words that the
warning may suggest instead: the plainest name of everything, and verbs in their plain form. More names make worse
suggestions: rare ones (tangerine, turquoise) are near to everything rare.
"""

from __future__ import annotations

import json
import sys
from itertools import chain
from pathlib import Path

from haneul.prompt.words import unknown
from haneul.world import lexicon
from haneul.world.grammar import known_words

NAMES = (
    lexicon.COLORS,
    lexicon.MATERIALS,
    lexicon.KINDS,
    lexicon.SETTINGS,
    lexicon.TIMES,
    lexicon.STYLES,
    lexicon.WORKS,
)
VERBS = (
    "bounce roll fall swing collide slide topple drive walk wave fly float swim drift jump push stop "
    "튀다 구르다 떨어지다 흔들리다 부딪치다 미끄러지다 쓰러지다 달리다 걷다 나부끼다 날다 떠다니다 헤엄치다 밀다 멈추다"
).split()


def suggestions() -> list[str]:
    """What captions call things most often, English and Korean, each name once, in the order of the vocabulary."""
    entries = chain.from_iterable(table.values() for table in NAMES)
    names = chain.from_iterable((entry.en[0], entry.ko[0]) for entry in entries)
    known = known_words()
    words = [*names, *VERBS]
    strange = [word for word in words if unknown(word, known)]
    if strange:
        raise SystemExit(f"the grammar does not know {', '.join(strange)}; correct the list of verbs")
    return list(dict.fromkeys(words))


def main(target: Path) -> None:
    table = {"known": sorted(known_words()), "nearest": suggestions()}
    target.write_text(json.dumps(table, ensure_ascii=False, indent=0) + "\n", encoding="utf-8")
    print(f"{target}: {len(table['known'])} known words, {len(table['nearest'])} to suggest")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
