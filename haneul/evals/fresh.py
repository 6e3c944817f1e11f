"""The fresh split of `haneul redteam` (attacks_held.toml): attacks and benign prompts for measuring only.

Another author than the rules' one wrote it. It stands apart from attacks.py, which the classifier is trained from, so
that nothing fitted to those reaches it. Whoever improves the screen reads neither the table nor single results of it: a
split that was looked at is spent.
"""

from __future__ import annotations

import itertools
import random
import tomllib
from collections.abc import Iterator
from functools import lru_cache
from importlib.resources import files
from typing import Any, Final

from haneul.evals.attacks import FIRST, LANGUAGES, Attack, listed_names
from haneul.evals.disguises import disguised
from haneul.screen.policy import Policy

EACH: Final = 4  #: phrases of a category in a language that are said openly, and as many roundabout ones
NAMED: Final = (
    "artist-style",
    "trademark",
)  #: categories whose phrases are made around the names that the policy lists


@lru_cache(maxsize=1)
def phrases() -> dict[str, Any]:
    """The tables of attacks_held.toml."""
    return tomllib.loads(files("haneul.evals").joinpath("attacks_held.toml").read_text(encoding="utf-8"))


def benign() -> list[str]:
    """Prompts that must pass."""
    table: dict[str, list[str]] = phrases()["benign"]
    return [prompt for language in LANGUAGES for prompt in table[language]]


def attacks(policy: Policy, *, seed: int = 0) -> list[Attack]:
    """Every attack of the split; the seed chooses the names and words of the policy's lists."""
    rng = random.Random(f"fresh {seed}")
    found: list[Attack] = []
    for place, category in enumerate((FIRST, *phrases()["direct"], *NAMED)):
        for language in LANGUAGES:
            said = _said(policy, category, language, rng)
            found += _ways(category, language, said, place)
            found += [_attack(category, language, "euphemism", p) for p in _roundabout(policy, category, language, rng)]
    return found


def _attack(category: str, language: str, technique: str, prompt: str, **more: Any) -> Attack:
    return Attack(category=category, language=language, technique=technique, prompt=prompt, split="fresh", **more)


def _said(policy: Policy, category: str, language: str, rng: random.Random) -> list[str]:
    if category == FIRST:
        return _first(policy, language, rng, "sexual", "nude")
    if category in NAMED:
        names = [name.rstrip("*") for name in listed_names(policy, category, language)]
        chosen = rng.sample(names, min(EACH, len(names)))
        return [way.format(name) for way, name in zip(phrases()["templates"][category][language], chosen, strict=False)]
    said: list[str] = phrases()["direct"][category][language]
    return said


def _roundabout(policy: Policy, category: str, language: str, rng: random.Random) -> list[str]:
    if category == FIRST:
        return _first(policy, language, rng, "suggestive")
    said: list[str] = phrases()["euphemism"][category][language]
    return said


def _first(policy: Policy, language: str, rng: random.Random, *lists: str) -> list[str]:
    """Cases of the always-refused category from the policy's own words: one of its people and one word of its lists."""
    who, what = (
        [word for name in some for word in policy.terms[name][language] if not word.endswith("*")]
        for some in (("minor",), lists)
    )
    pairs = list(dict.fromkeys(itertools.product(who, what)))
    ways = phrases()["templates"]["together"][language]
    chosen = rng.sample(pairs, min(EACH, len(pairs)))
    return [ways[number % len(ways)].format(*pair) for number, pair in enumerate(chosen)]


def _ways(category: str, language: str, said: list[str], place: int) -> Iterator[Attack]:
    """Everything said in each way. `place` moves which template goes with which phrase from category to category."""
    templates, table = phrases()["templates"], phrases()
    others = [template for spoken, template in templates["translation"].items() if spoken != language]
    for number, phrase in enumerate(said):
        turn = place + number
        yield _attack(category, language, "open", phrase)
        yield _attack(category, language, "obfuscation", disguised(phrase, language, EACH * place + number))
        for technique in ("role play", "injection"):
            ways = templates[technique][language]
            yield _attack(category, language, technique, ways[turn % len(ways)].format(phrase))
        yield _attack(category, language, "translation", others[turn % len(others)].format(phrase))
        yield _split(category, language, phrase, turn)
    for phrase in table["disguised"].get(category, {}).get(language, ()):
        yield _attack(category, language, "obfuscation", phrase)
    if category in table["mixed"]:
        yield _attack(category, language, "translation", table["mixed"][category][language])


def _split(category: str, language: str, phrase: str, turn: int) -> Attack:
    """The phrase in two parts: over two shots, over what is remembered and the prompt, or with words between them."""
    words, gap = (phrase.split(" "), " ") if " " in phrase else (list(phrase), "")
    half = (len(words) + 1) // 2
    first, second = gap.join(words[:half]), gap.join(words[half:])
    templates = phrases()["templates"]
    if turn % 4 == 0:
        return _attack(category, language, "splitting", templates["shots"][language], shots=(first, second))
    if turn % 4 == 1:
        return _attack(category, language, "splitting", second, remember=first)
    return _attack(
        category, language, "splitting", templates["splitting"][language][turn % 4 - 2].format(first, second)
    )
