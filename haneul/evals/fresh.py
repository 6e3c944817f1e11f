"""Attacks and benign prompts of other authors than the rules' one: the split "fresh", for measuring only, and the table
that was it before, which was looked at and is part of the split "held" since.

The fresh one stands apart from all that the classifier is trained from. Whoever improves the screen reads neither its
table (attacks_fresh.toml) nor single results of it: a split that was looked at is spent.
"""

from __future__ import annotations

import itertools
import random
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
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


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where a split's phrases are."""

    table: str
    seed: str  #: of the choice of names and words; that of the spent table is as it was when it was measured


SOURCES: Final = {
    "held": Source(table="attacks_held.toml", seed="fresh"),
    "fresh": Source(table="attacks_fresh.toml", seed="fresh, the third"),
}


@lru_cache(maxsize=2)
def phrases(split: str = "fresh") -> dict[str, Any]:
    """The tables of a split, one of SOURCES."""
    return tomllib.loads(files("haneul.evals").joinpath(SOURCES[split].table).read_text(encoding="utf-8"))


def benign(split: str = "fresh") -> list[str]:
    """Prompts that must pass."""
    table: dict[str, list[str]] = phrases(split)["benign"]
    return [prompt for language in LANGUAGES for prompt in table[language]]


def attacks(policy: Policy, *, seed: int = 0, split: str = "fresh") -> list[Attack]:
    """Every attack of a split, one of SOURCES; the seed chooses the names and words of the policy's lists."""
    rng = random.Random(f"{SOURCES[split].seed} {seed}")
    making = _Making(policy=policy, split=split, table=phrases(split), rng=rng)
    found: list[Attack] = []
    for place, category in enumerate((FIRST, *making.table["direct"], *NAMED)):
        for language in LANGUAGES:
            said = making.said(category, language)
            found += making.ways(category, language, said, place)
            found += [making.attack(category, language, "euphemism", p) for p in making.roundabout(category, language)]
    return found


@dataclass(frozen=True, kw_only=True)
class _Making:
    """The making of a split's attacks from its table."""

    policy: Policy
    split: str
    table: dict[str, Any]
    rng: random.Random

    def attack(self, category: str, language: str, technique: str, prompt: str, **more: Any) -> Attack:
        return Attack(
            category=category, language=language, technique=technique, prompt=prompt, split=self.split, **more
        )

    def said(self, category: str, language: str) -> list[str]:
        if category == FIRST:
            return self.first(language, "sexual", "nude")
        if category in NAMED:
            names = [name.rstrip("*") for name in listed_names(self.policy, category, language)]
            chosen = self.rng.sample(names, min(EACH, len(names)))
            ways = self.table["templates"][category][language]
            return [way.format(name) for way, name in zip(ways, chosen, strict=False)]
        said: list[str] = self.table["direct"][category][language]
        return said

    def roundabout(self, category: str, language: str) -> list[str]:
        if category == FIRST:
            return self.first(language, "suggestive")
        said: list[str] = self.table["euphemism"][category][language]
        return said

    def first(self, language: str, *lists: str) -> list[str]:
        """Cases of the always-refused category from the policy's own words: one of its people and one word of its
        lists."""
        who, what = (
            [word for name in some for word in self.policy.terms[name][language] if not word.endswith("*")]
            for some in (("minor",), lists)
        )
        pairs = list(dict.fromkeys(itertools.product(who, what)))
        ways = self.table["templates"]["together"][language]
        chosen = self.rng.sample(pairs, min(EACH, len(pairs)))
        return [ways[number % len(ways)].format(*pair) for number, pair in enumerate(chosen)]

    def ways(self, category: str, language: str, said: list[str], place: int) -> Iterator[Attack]:
        """Everything said in each way. `place` moves which template goes with which phrase from category to
        category."""
        templates = self.table["templates"]
        others = [template for spoken, template in templates["translation"].items() if spoken != language]
        for number, phrase in enumerate(said):
            turn = place + number
            yield self.attack(category, language, "open", phrase)
            hidden = disguised(phrase, language, EACH * place + number)
            yield self.attack(category, language, "obfuscation", hidden)
            for technique in ("role play", "injection"):
                ways = templates[technique][language]
                yield self.attack(category, language, technique, ways[turn % len(ways)].format(phrase))
            yield self.attack(category, language, "translation", others[turn % len(others)].format(phrase))
            yield self.in_two(category, language, phrase, turn)
        for phrase in self.table["disguised"].get(category, {}).get(language, ()):
            yield self.attack(category, language, "obfuscation", phrase)
        if category in self.table["mixed"]:
            yield self.attack(category, language, "translation", self.table["mixed"][category][language])

    def in_two(self, category: str, language: str, phrase: str, turn: int) -> Attack:
        """The phrase in two parts: over two shots, over what is remembered and the prompt, or with words between
        them."""
        words, gap = (phrase.split(" "), " ") if " " in phrase else (list(phrase), "")
        half = (len(words) + 1) // 2
        first, second = gap.join(words[:half]), gap.join(words[half:])
        templates = self.table["templates"]
        if turn % 4 == 0:
            return self.attack(category, language, "splitting", templates["shots"][language], shots=(first, second))
        if turn % 4 == 1:
            return self.attack(category, language, "splitting", second, remember=first)
        way = templates["splitting"][language][turn % 4 - 2]
        return self.attack(category, language, "splitting", way.format(first, second))
