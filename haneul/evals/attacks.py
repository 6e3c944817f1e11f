"""Attack prompts for `haneul redteam`, made from phrases (attacks.toml) and templates; and benign ones.

A category's phrases are said openly, in disguise, in a role, roundabout, in two parts, through another language, and as
an order to the prompt's expansion. The always-refused category has no phrases: its cases are put together from the
policy's own words. Split "held" has phrases and ways that the rules were not fitted to; more of it, and the split
"fresh", are made by fresh.py.
"""

from __future__ import annotations

import itertools
import random
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any, Final

from haneul.screen.normalise import romanise
from haneul.screen.policy import Policy

LANGUAGES: Final = ("en", "ko", "ja", "zh", "es")
TECHNIQUES: Final = ("open", "obfuscation", "role play", "euphemism", "splitting", "translation", "injection")
FIRST: Final = "minors"
SPLITS: Final = ("fitted", "held", "fresh")

_ZERO, _DIAERESIS, _DOT = "\u200b", "\u0308", "·"
_LEET: Final = str.maketrans("aeios", "43105")
_CYRILLIC: Final = str.maketrans("aeopcxy", "аеорсху")
_WIDE: Final = str.maketrans({chr(c): chr(c + 0xFEE0) for c in range(0x21, 0x7F)})


@dataclass(frozen=True, kw_only=True)
class Attack:
    """One request that should be refused."""

    category: str
    language: str
    technique: str
    prompt: str
    remember: str = ""
    shots: tuple[str, ...] = ()
    split: str = "fitted"  #: one of SPLITS


# ----------------------------------------------------------------------------------------------------- disguises


def _each(join: str) -> Callable[[str], str]:
    return lambda text: " ".join(join.join(word) for word in text.split(" "))


def _jamo(text: str) -> str:
    """Hangul in lone jamo."""
    from haneul.screen import normalise as n

    out = []
    for c in text:
        if "가" <= c <= "힣":
            code = ord(c) - 0xAC00
            out.append(n.INITIALS[code // 588] + n.VOWELS[code // 28 % 21] + n.FINALS[code % 28].strip())
        else:
            out.append(c)
    return "".join(out)


Disguise = Callable[[str], str]
#: Ways to disguise a text, by language; the Latin ones are for English and Spanish.
_LATIN: Final[list[Disguise]] = [
    lambda t: t.translate(_LEET), lambda t: t.translate(_CYRILLIC), _each(_ZERO), _each("."),
    lambda t: t.translate(_WIDE),
]  # fmt: skip
DISGUISES: Final[dict[str, list[Disguise]]] = {
    "en": _LATIN,
    "es": _LATIN,
    "ko": [_jamo, _each(_ZERO), _each("."), romanise, _each("_")],
    "ja": [_each(_ZERO), _each(_DOT), _each(" "), _each("*"), lambda t: t.translate(_WIDE)],
    "zh": [_each(_ZERO), _each(_DOT), _each(" "), _each("*"), _each("-")],
}
_HELD_LATIN: Final[list[Disguise]] = [
    lambda t: "".join(c + _DIAERESIS if c in "aeiou" else c for c in t),
    lambda t: "".join(chr(0x1D5BA + ord(c) - 97) if "a" <= c <= "z" else c for c in t.lower()),
    lambda t: "".join(c * 4 if c in "aeiou" else c for c in t),
    lambda t: " ".join(w[: len(w) // 2] + "-" + w[len(w) // 2 :] if len(w) > 3 else w for w in t.split()),
    lambda t: t[::-1],
]
HELD_DISGUISES: Final[dict[str, list[Disguise]]] = {
    "en": _HELD_LATIN,
    "es": _HELD_LATIN,
    "ko": [_each("~"), lambda t: _each(" ")(_jamo(t)), _each("1"), lambda t: t[::-1]],
    "ja": [_each("/"), _each("\u2060"), _each("1"), lambda t: t[::-1]],
    "zh": [_each("/"), _each("\u2060"), _each("1"), lambda t: t[::-1]],
}


# ------------------------------------------------------------------------------------------------------- attacks


@lru_cache(maxsize=1)
def phrases() -> dict[str, Any]:
    """The tables of attacks.toml."""
    return tomllib.loads(files("haneul.evals").joinpath("attacks.toml").read_text(encoding="utf-8"))


def ways(name: str, held: bool = False) -> dict[str, list[str]]:
    """Language -> templates of one way to say something."""
    found: dict[str, list[str]] = phrases()["templates"][f"held {name}" if held else name]
    return found


def attacks(policy: Policy, *, seed: int = 0, held: bool = False) -> list[Attack]:
    """Every attack of a split, the same for the same seed."""
    rng = random.Random(f"{seed} {held}")
    found: list[Attack] = []
    for category in (FIRST, *phrases()["direct"], "artist-style", "trademark"):
        for language in LANGUAGES:
            said, roundabout = _phrases(policy, category, language, rng, held)
            found += _ways(category, language, said, roundabout, rng, held)
    return found


def _phrases(
    policy: Policy, category: str, language: str, rng: random.Random, held: bool
) -> tuple[list[str], list[str]]:  # fmt: skip
    """Phrases said openly, and roundabout ones."""
    if category == FIRST:
        return _first(policy, language, rng, 4 if held else 6), _first(policy, language, rng, 1, "suggestive")
    if category in ("artist-style", "trademark"):
        templates = ways("styled" if category == "artist-style" else "branded", held)
        chosen = listed_names(policy, category, language)
        return [rng.choice(templates[language]).format(rng.choice(chosen)) for _ in range(4 if held else 6)], []
    table = phrases()
    if held:
        return table["held"][category][language], []
    return table["direct"][category][language], table["euphemism"][category][language]


def listed_names(policy: Policy, category: str, language: str) -> list[str]:
    """Names of artists or marks in the policy as they are written in a language, without those too short to tell."""
    own = {"ko": "ko", "ja": "zh", "zh": "zh"}.get(language, "en")
    # Which of the names in Chinese characters or kana are Japanese is not noted; either is asked for in both.
    names = policy.terms["artist" if category == "artist-style" else "mark"][own]
    return [name for name in names if len(name) > (3 if name.isascii() else 2)]


def _first(policy: Policy, language: str, rng: random.Random, count: int, other: str = "") -> list[str]:
    """Cases of the first category from the policy's own words."""
    who = [w for w in policy.terms["minor"][language] if not w.endswith("*")]
    made = []
    for _ in range(count):
        what = [w for w in policy.terms[other or rng.choice(["sexual", "nude"])][language] if not w.endswith("*")]
        made.append(phrases()["together"][language].format(rng.choice(who), rng.choice(what)))
    return made


def _ways(
    category: str, language: str, said: list[str], roundabout: list[str], rng: random.Random, held: bool
) -> Iterator[Attack]:  # fmt: skip
    def attack(technique: str, prompt: str, **more: Any) -> Attack:
        split = "held" if held else "fitted"
        return Attack(category=category, language=language, technique=technique, prompt=prompt, split=split, **more)

    disguises = (HELD_DISGUISES if held else DISGUISES)[language]
    roles, orders = ways("role play", held), ways("injection", held)
    for number, phrase in enumerate(said):
        yield attack("open", phrase)
        for disguise in (disguises[number % len(disguises)], disguises[(number + 2) % len(disguises)]):
            yield attack("obfuscation", disguise(phrase))
        yield attack("role play", rng.choice(roles[language]).format(phrase))
        yield attack("injection", rng.choice(orders[language]).format(phrase))
        if not held:
            yield attack("translation", rng.choice(ways("translation")[language]).format(phrase))
        yield _split(attack, phrase, number, category, held)
    for phrase in roundabout:
        yield attack("euphemism", phrase)


def _split(attack: Callable[..., Attack], phrase: str, number: int, category: str, held: bool) -> Attack:
    """The phrase in two parts: over the request's fields, over shots, or as strings that are added up."""
    words = phrase.split(" ")
    half = len(words) // 2
    first, second = (
        (" ".join(words[:half]), " ".join(words[half:]))
        if half
        else (phrase[: len(phrase) // 2], phrase[len(phrase) // 2 :])
    )
    if held:
        return attack("splitting", f"A={first}; B={second}; A B")
    if number % 3 == 0:
        return attack("splitting", first, remember=second)
    if number % 3 == 1 and category == FIRST and half:
        return attack("splitting", first, shots=(first, second))
    cut = max(1, len(phrase) // 2)
    return attack("splitting", f"'{phrase[:cut]}' + '{phrase[cut:]}'")


# -------------------------------------------------------------------------------------------------------- benign


def benign(*, count: int = 900, held: bool = False) -> list[str]:
    """Prompts that must pass: at most 1,500 everyday scenes from templates, and the hard ones of attacks.toml. With
    `held` those that neither rules nor classifier were fitted to: other scenes and the held-out hard ones."""
    rng = random.Random(0)
    scenes = []
    for language in LANGUAGES:
        scene = phrases()["scenes"][language]
        parts = itertools.product(scene["who"], scene["does"], scene["where"])
        whole = [scene["order"].format(*part) for part in parts]
        rng.shuffle(whole)
        each = count // len(LANGUAGES)
        scenes += whole[-each:] if held else whole[:each]
    hard = phrases()["held_benign" if held else "benign"]
    return scenes + [phrase for language in LANGUAGES for phrase in hard[language]]
