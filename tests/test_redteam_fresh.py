"""The fresh split of the red team: even, its own, the same every time, out of training's reach, and only counted.

Nothing here runs the screen on it, let alone says what got through: that would spend it."""

from __future__ import annotations

import json
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from haneul import cli
from haneul.cli.screen import redteam as command
from haneul.config import Settings
from haneul.evals import attacks, disguises, fresh, redteam
from haneul.screen.normalise import plain
from haneul.screen.policy import Policy, load_policy
from haneul.train.screen import ScreenRecipe, examples, sections


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data=tmp_path / "data", cache=tmp_path / "cache")


@pytest.fixture
def policy(settings: Settings) -> Policy:
    return load_policy(settings)


def strings(table: Any) -> Iterator[str]:
    if isinstance(table, str):
        yield table
    else:
        for value in table.values() if isinstance(table, dict) else table:
            yield from strings(value)


def asked(found: list[attacks.Attack]) -> list[tuple[str, str, tuple[str, ...]]]:
    return [(attack.prompt, attack.remember, attack.shots) for attack in found]


@pytest.mark.parametrize("split", fresh.SOURCES)
def test_every_kind_has_its_share(policy: Policy, split: str) -> None:
    found = fresh.attacks(policy, split=split)
    assert len(found) >= 1500
    assert {attack.split for attack in found} == {split}
    categories = {attack.category for attack in attacks.attacks(policy)}
    for axis, names in (
        ("category", categories),
        ("language", set(attacks.LANGUAGES)),
        ("technique", set(attacks.TECHNIQUES)),
    ):
        counts = Counter(getattr(attack, axis) for attack in found)
        assert set(counts) == names
        assert max(counts.values()) <= 1.4 * min(counts.values()), counts
    cells = Counter((attack.category, attack.language, attack.technique) for attack in found)
    assert len(cells) == len(categories) * len(attacks.LANGUAGES) * len(attacks.TECHNIQUES)
    assert min(cells.values()) >= fresh.EACH


def test_no_attack_is_there_twice_or_in_another_split(policy: Policy) -> None:
    found = asked(fresh.attacks(policy))
    assert len(set(found)) == len(found)
    others = {ask for split in ("fitted", "held") for ask in asked(redteam.prompts(policy, split, 0)[0])}
    assert set(asked(fresh.attacks(policy, split="held"))) < others, "the table before it is one of the others"
    assert others.isdisjoint(found)
    own = list(strings(fresh.phrases()))
    assert len(set(own)) == len(own)
    for old in ("attacks.toml", "attacks_held.toml"):
        table = tomllib.loads(files("haneul.evals").joinpath(old).read_text(encoding="utf-8"))
        assert set(own).isdisjoint(strings(table))


def test_it_is_the_same_every_time(policy: Policy) -> None:
    assert fresh.attacks(policy) == fresh.attacks(policy)
    first, other = ([a for a in fresh.attacks(policy, seed=s) if a.category in fresh.NAMED] for s in (0, 1))
    assert first != other, "the seed chooses the names"


def test_benign_ones_are_many_and_no_others(policy: Policy) -> None:
    table = fresh.phrases()["benign"]
    assert all(len(table[language]) >= 80 for language in attacks.LANGUAGES)
    found = fresh.benign()
    assert len(set(found)) == len(found) >= 430
    assert not set(found) & {*attacks.benign(count=1500), *attacks.benign(held=True), *fresh.benign("held")}


def test_nothing_of_it_is_in_the_training_set(policy: Policy) -> None:
    trained = "\n".join(example.text for example in examples(ScreenRecipe()))
    assert attacks.phrases()["direct"]["gore"]["en"][0] in trained, "so a phrase that is in it is found"
    table = fresh.phrases()
    said = [table[name] for name in ("direct", "euphemism", "disguised", "mixed", "benign")]
    named = [attack.prompt for attack in fresh.attacks(policy) if attack.technique in ("open", "euphemism")]
    frames = [template.replace("{}", "") for template in strings(table["templates"])]
    assert [phrase for phrase in (*strings(said), *named, *frames) if phrase in trained] == []


def test_no_line_of_it_is_one_of_the_training_phrases() -> None:
    """However the two are spelled: capitals, accents, widths and marks at the ends don't count."""

    def bare(text: str) -> str:
        return plain(text).strip(" .,;:!?。、！？¡¿")

    lines = {bare(text) for section in sections().values() for line in section for text in line}
    assert len(lines) > 1000
    assert [phrase for phrase in strings(fresh.phrases()) if bare(phrase) in lines] == []


def test_no_training_source_reads_it() -> None:
    read: list[str] = []
    watching = True

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if watching and event == "open":
            read.append(Path(str(arguments[0])).name)

    fresh.phrases.cache_clear()
    attacks.phrases.cache_clear()
    sys.addaudithook(watch)
    examples(ScreenRecipe(scenes=2))
    watching = False
    assert {"attacks.toml", "screen_phrases.txt"} <= set(read), "so a table that is read is seen"
    assert fresh.SOURCES["fresh"].table not in read
    root = Path(str(files("haneul")))
    naming = [path for path in root.rglob("*") if path.suffix in (".py", ".toml", ".txt", ".json")]
    assert [
        path.name for path in naming if "attacks_fresh" in path.read_text(encoding="utf-8")
    ] == ["fresh.py"]  # fmt: skip


@pytest.mark.parametrize("language", attacks.LANGUAGES)
@pytest.mark.parametrize("split", fresh.SOURCES)
def test_the_first_category_is_made_of_the_policys_words(policy: Policy, split: str, language: str) -> None:
    lists = {name: policy.terms[name][language] for name in ("minor", "sexual", "nude", "suggestive")}
    ways = fresh.phrases(split)["templates"]["together"][language]

    def made(*others: str) -> set[str]:
        words = [word for name in others for word in lists[name]]
        return {way.format(who, what) for way in ways for who in lists["minor"] for what in words}

    allowed = {"open": made("sexual", "nude"), "euphemism": made("suggestive")}
    for technique, prompts in allowed.items():
        kind = (attacks.FIRST, language, technique)
        found = [a for a in fresh.attacks(policy, split=split) if (a.category, a.language, a.technique) == kind]
        assert len(found) == fresh.EACH
        assert {attack.prompt for attack in found} <= prompts
    for name in ("direct", "euphemism", "disguised", "mixed"):
        assert attacks.FIRST not in fresh.phrases(split)[name], "none is written by hand"


@pytest.mark.parametrize("language", attacks.LANGUAGES)
def test_every_disguise_changes_something(language: str) -> None:
    """Those of several words, of kana and of parts of characters included."""
    text = {"en": "sheep on the hill", "es": "ovejas que van al monte", "ko": "언덕 위의 사과", "ja": "山村のヤギの体"}
    for disguise in disguises.DISGUISES[language]:
        plain = text.get(language, "新的视频")
        assert disguise(plain) != plain


def test_disguises_are_as_meant() -> None:
    """One of each script, by a text that was written by hand."""
    said = {(language, d(t)) for language, t in TEXTS.items() for d in disguises.DISGUISES[language]}
    for language, disguised in (
        ("en", "peehs no eht llih"), ("en", "ꜱʜᴇᴇᴘ ᴏɴ ᴛʜᴇ ʜɪʟʟ"), ("en", "shp on the hll"),
        ("ko", "사ㄱㅘ"), ("ko", "쌓꽣"), ("ko", "sagwa"), ("ja", "ﾔｷﾞﾉﾊﾅｼ"),
        ("ja", "やぎノハナシ"), ("zh", "亲斤白勺"), ("zh", "的新"),
    ):  # fmt: skip
        assert (language, disguised) in said, (language, disguised)


TEXTS = {"en": "sheep on the hill", "ko": "사과", "ja": "ヤギのはなし", "zh": "新的"}


def test_only_counts_of_it_are_told(home: Path, policy: Policy, monkeypatch: pytest.MonkeyPatch) -> None:
    """With prompts of the fitted split in its place: whatever is told of those would be told of the fresh ones."""
    some = [replace(a, split="fresh") for a in attacks.attacks(policy) if a.category == "gore"][:6]
    monkeypatch.setattr(fresh, "attacks", lambda *a, **k: some)
    monkeypatch.setattr(fresh, "benign", lambda: ["the sea", "a decapitated man"])
    found = CliRunner().invoke(cli.main, ["redteam", "-q", "--split", "fresh"])
    assert found.exit_code == 1, "one of two benign prompts is refused"
    assert "attacks, fresh: 0 of 6" in found.output
    assert "benign, fresh: 1 of 2" in found.output
    assert "gore: 1, not shown" in found.output
    assert "decapitated" not in found.output
    assert "written for" not in found.output, "no other split"
    told = json.loads(CliRunner().invoke(cli.main, ["redteam", "-q", "--split", "fresh", "--json"]).output)
    assert told["fresh"]["codes"] == {"gore": 1}
    assert "fitted" not in told
    assert "decapitated" not in json.dumps(told)


def test_a_report_without_a_choice_has_every_split(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    choice = next(option for option in command.params if option.name == "splits")
    assert tuple(choice.type.choices) == attacks.SPLITS  # type: ignore[attr-defined]
    made = {split: redteam.prompts(load_policy(settings), split, 0) for split in attacks.SPLITS}
    assert [{attack.split for attack in tried} for tried, _ in made.values()] == [{split} for split in attacks.SPLITS]
    assert made["fresh"][1] == fresh.benign()
    assert set(fresh.benign("held")) < set(made["held"][1])
    assert set(fresh.attacks(load_policy(settings), split="held")) < set(made["held"][0])
    monkeypatch.setattr(redteam, "prompts", lambda *a: ([], ["the sea"]))
    report = redteam.redteam(settings, tmp_path / "scratch")
    assert tuple(report.splits) == attacks.SPLITS
    assert report.text().count("benign, ") == 3
    assert "held out (spent" in report.text()
