"""The policy: categories, rules and lists from `policy.toml`, and what a site changes of them.

A site's file is what the settings name, or else what the service keeps (site.py). It looks like this; everything in it
may be left out:

    [categories.trademark]
    action = "flag"            # refuse, flag or allow
    threshold = 0.95           # of the classifier; above 1 leaves it to the rules

    [terms.gore]
    add.en = "ectoplasm"
    remove.en = "gory"

    [audit]
    prompts = true             # the audit log holds prompts in plain text

The first category is the law's and not the site's: nothing about it can be changed.
"""

from __future__ import annotations

import hashlib
import tomllib
from dataclasses import dataclass, field, replace
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, Literal, get_args

from haneul.config import Settings
from haneul.errors import InputError
from haneul.screen.normalise import plain

__all__ = ["LANGUAGES", "Action", "Category", "Policy", "Rule", "kept_file", "load_policy", "with_changes"]

Action = Literal["refuse", "flag", "allow"]
LANGUAGES: Final = ("en", "es", "ko", "ja", "zh")
#: Lists of names: file in the package, setting with which a site adds its own, and the list of terms that it becomes.
NAMES: Final = {"artists": "artist", "figures": "figure", "trademarks": "mark"}


@dataclass(frozen=True, kw_only=True)
class Category:
    """One thing that is screened for. Its name is the reason code."""

    name: str
    title: str
    action: Action
    threshold: float  #: of the classifier's probability; above 1: rules only
    advice: str
    locked: bool = False


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A word of each list in `all` within `near` characters (0: anywhere), and none of the lists in `unless`."""

    category: str
    all: tuple[str, ...]
    near: int = 0
    unless: tuple[str, ...] = ()
    only: str = ""  #: the one part of a request that it is for, such as "negative"


@dataclass(frozen=True, kw_only=True)
class Policy:
    """What is in force. `terms` is list -> language -> normalised words."""

    categories: dict[str, Category]
    rules: tuple[Rule, ...]
    terms: dict[str, dict[str, tuple[str, ...]]]
    harmless: dict[str, tuple[str, ...]]
    evasion: dict[str, tuple[str, ...]]
    log_prompts: bool = False
    digest: str = field(default="", compare=False)  #: of everything that it was read from, for the audit log


def load_policy(settings: Settings) -> Policy:
    """The shipped policy with the site's changes. Read once, and again when a file changes.

    Raises InputError for a site's file that cannot be read, names what is not there, or touches the first category.
    """
    kept = kept_file(settings)
    site = settings.policy or (kept if kept.is_file() else None)
    sources = (site, *(getattr(settings, name) for name in NAMES))
    return _load(tuple((path, _stamp(path)) for path in sources))


def kept_file(settings: Settings) -> Path:
    """The site's changes that the service keeps (site.py); they hold where the settings name no file."""
    return settings.data / "policy.toml"


def with_changes(text: str, path: Path) -> Policy:
    """The shipped policy with the changes that a file at `path` would say by `text`. Raises InputError as
    `load_policy`."""
    shipped = files("haneul.screen").joinpath("policy.toml").read_text(encoding="utf-8")
    policy = _parse(tomllib.loads(shipped))
    for term in NAMES.values():
        policy.terms.setdefault(term, {})
    return _changed(policy, text, path)


def _stamp(path: Path | None) -> tuple[int, int]:
    if path is None:
        return 0, 0
    try:
        found = path.stat()
    except OSError as error:
        raise InputError(f"the screen's file {path} cannot be read: {error.strerror or error}") from error
    return found.st_mtime_ns, found.st_size


@lru_cache(maxsize=8)
def _load(sources: tuple[tuple[Path | None, tuple[int, int]], ...]) -> Policy:
    site, *lists = (path for path, _ in sources)
    digest = hashlib.sha256()
    text = files("haneul.screen").joinpath("policy.toml").read_text(encoding="utf-8")
    digest.update(text.encode())
    policy = _parse(tomllib.loads(text))
    for (setting, term), path in zip(NAMES.items(), lists, strict=True):
        names = files("haneul.screen").joinpath(f"{setting}.txt").read_text(encoding="utf-8")
        if path is not None:
            names += "\n" + _read(path)
        digest.update(names.encode())
        policy.terms[term] = _names(names)
    if site is not None:
        text = _read(site)
        digest.update(text.encode())
        policy = _changed(policy, text, site)
    return replace(policy, digest=digest.hexdigest())


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the screen's file {path} cannot be read: {error}") from error


def _parse(table: dict[str, Any]) -> Policy:
    """The shipped file, which a test keeps right."""
    categories = {name: Category(name=name, **entry) for name, entry in table["categories"].items()}
    rules = tuple(
        Rule(**(rule | {"all": tuple(rule["all"]), "unless": tuple(rule.get("unless", ()))})) for rule in table["rules"]
    )
    terms = {name: {lang: _words(words) for lang, words in entry.items()} for name, entry in table["terms"].items()}
    harmless, evasion = (
        {lang: _words(words) for lang, words in table[name].items()} for name in ("harmless", "evasion")
    )
    return Policy(categories=categories, rules=rules, terms=terms, harmless=harmless, evasion=evasion)


def _words(text: str) -> tuple[str, ...]:
    return tuple(plain(word) for word in text.replace("\n", " ").split(",") if word.strip())


def _names(text: str) -> dict[str, tuple[str, ...]]:
    """Names by the way they are matched: hangul as Korean, other letters as whole words or anywhere."""
    found: dict[str, list[str]] = {"en": [], "ko": [], "zh": []}
    for line in text.splitlines():
        if line.strip() and not line.lstrip().startswith("#"):
            for name in map(plain, line.split("|")):
                found[script(name)].append(name)
    return {lang: tuple(name for name in names if name) for lang, names in found.items()}


def script(word: str) -> str:
    """How a word is matched: 'ko' (by its beginning), 'zh' (anywhere; also Japanese), or 'en' (whole)."""
    if any("가" <= c <= "힣" for c in word):
        return "ko"
    return "zh" if any("\u3040" <= c <= "\u30ff" or "\u3400" <= c <= "\u9fff" for c in word) else "en"


# ------------------------------------------------------------------------------------------------- a site's changes


def _changed(policy: Policy, text: str, path: Path) -> Policy:
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"the policy {path} is not valid TOML: {error}") from error
    for key in table:
        if key not in ("categories", "terms", "audit"):
            raise InputError(f"the policy {path} has an unknown part {key!r}; known are categories, terms and audit")
    categories = dict(policy.categories)
    for name, entry in _tables(table, "categories", path).items():
        if name not in categories:
            raise InputError(f"the policy {path} names {name!r}; the categories are {', '.join(categories)}")
        if categories[name].locked:
            raise InputError(f"the policy {path} changes {name!r}, which no policy can; leave it out")
        categories[name] = _category(categories[name], entry, path)
    terms = {name: dict(entry) for name, entry in policy.terms.items()}
    locked = {term for rule in policy.rules if categories[rule.category].locked for term in rule.all}
    for name, entry in _tables(table, "terms", path).items():
        if name not in terms:
            raise InputError(f"the policy {path} names the list {name!r}; there are {', '.join(terms)}")
        for change, by_language in entry.items():
            if change not in ("add", "remove") or not isinstance(by_language, dict):
                raise InputError(f'{name}.{change} of the policy {path} is none; write add.en or remove.en = "..."')
            if change == "remove" and name in locked:
                raise InputError(f"the policy {path} takes words out of {name!r}, which the first category needs")
            for language, words in by_language.items():
                if language not in LANGUAGES or not isinstance(words, str):
                    raise InputError(f"{name}.{change}.{language} of the policy {path} is none; give words in quotes")
                old, new = terms[name].get(language, ()), _words(words)
                terms[name][language] = (
                    (*old, *new) if change == "add" else tuple(word for word in old if word not in new)
                )
    audit = _tables({"audit": {"audit": table.get("audit", {})}}, "audit", path)["audit"]
    if set(audit) - {"prompts"} or not isinstance(audit.get("prompts", False), bool):
        raise InputError(f"audit of the policy {path} is {audit}; only prompts = true or false can be set")
    return replace(policy, categories=categories, terms=terms, log_prompts=audit.get("prompts", False))


def _tables(table: dict[str, Any], part: str, path: Path) -> dict[str, dict[str, Any]]:
    entries = table.get(part, {})
    if not isinstance(entries, dict) or not all(isinstance(entry, dict) for entry in entries.values()):
        raise InputError(f"{part} of the policy {path} must be tables, such as [{part}.gore]")
    return entries


def _category(category: Category, entry: dict[str, Any], path: Path) -> Category:
    where = f"{category.name} of the policy {path}"
    for key, value in entry.items():
        if key == "action" and value in get_args(Action):
            category = replace(category, action=value)
        elif key == "threshold" and isinstance(value, int | float) and not isinstance(value, bool) and value > 0:
            category = replace(category, threshold=float(value))
        else:
            raise InputError(
                f"{key} = {value!r} in {where} cannot be; set action (refuse, flag, allow) or threshold (above 0)"
            )
    return category
