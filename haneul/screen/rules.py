"""Rules over words: which of a policy's lists a text has words of, where, and which rules that fulfils."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from typing import Final

from haneul.screen.normalise import JOINED, Forms, fold_romanised, romanise
from haneul.screen.policy import Policy, script

__all__ = ["Matcher", "matcher_of"]

_TOKEN: Final = re.compile(r"[a-z]+|\d+|[가-힣]+|[\u3040-\u30ff\u3400-\u9fff々〆]+|[^\W_]")
_TOKEN_WILD: Final = re.compile(r"[a-z]+(?:[*#%_?]+[a-z]*)+")
BACKWARDS: Final = 5  #: letters of a word, at least, to be looked for backwards too
_BLANK: Final = "\u2588"  # stands for what was taken out
#: An age that is not of age, by digits or in words; before romanised Korean and leetspeak are undone.
_UNDER: Final = r"(?<!\d)(?:1[0-7]|[1-9])"
_AGES: Final = (
    re.compile(rf"{_UNDER}\s*-?\s*(?:(?:years?|yrs?)[\s-]*old|y/?\s?o\b|anos\b|살|세(?![대기계트탁])|岁|歲|歳|才)"),
    re.compile(rf"\b(?:aged?|age of|edad de)\s*{_UNDER}(?!\d)"),
    re.compile(
        r"\b(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|"
        r"seventeen)[\s-]*years?[\s-]*old"
    ),
    re.compile(r"\b(?:cinco|seis|siete|ocho|nueve|diez|once|doce|trece|catorce|quince|dieciseis|diecisiete) anos\b"),
    re.compile(r"(?:열\s?(?:한|두|세|네|다섯|여섯|일곱)?|다섯|여섯|일곱|여덟|아홉)\s?살"),
    re.compile(r"(?<![一二三四五六七八九十])(?:十[一二三四五六七]?|[一二三四五六七八九])[岁歲歳]"),
)
_NOT_BEFORE: Final = re.compile(
    r"(?:\b(?:no|not|non|never|without(?: any)?|avoid|free of|isn't|isnt|anti|sin|ni|nada de)"
    r"|不|没有|沒有|无|無|非|反|禁止|防止?)[\s-]*$"
)
_NOT_AFTER: Final = re.compile(
    r"^[\s\w]{0,3}?\s*(?:(?:이|가|은|는|을|를|도)?\s*(?:없이|없는|아닌|아니|말고|금지|반대|방지|예방|않)|なし|無し|のない|ではない|じゃない|でなく|禁止|防止|予防|反対|-?free\b)"
)
#: What Korean nouns end in, as romanised and folded.
_PARTICLES: Final = frozenset(
    fold_romanised(romanise(ending))
    for ending in (
        "을 를 이 가 은 는 에 에서 에게 으로 로 의 도 만 와 과 하는 한 된 된다 되는 하다 한다 합니다 하고 하자는 했다 "
        "당한 당하는 당하다 처럼 들 들이 들을 들의 이라는 인 이다 다 고 어 기 자 적 적인 하여 해 방법 장면 영상 스타일 "
        "풍 풍의 났다는 입니다 시키는 시킨 춤추는 된다는 되었다는"
    ).split()
)
_MIXED: Final = re.compile(r"[a-z0-9]")
_SHORT: Final = frozenset("a i an in on of to is it at by be as or no so we he me my up us do go am if".split())
#: Lists whose Korean words are also looked for in Latin letters, and which are looked for behind asterisks and breaks.
_DISGUISED: Final = (
    "minor", "youth", "minor_sexual", "sexual", "nude", "gore", "violence", "hate", "self_harm", "weapon", "drug",
    "deepfake", "make", "suggestive", "claim", "figure", "people_group", "degrading", "fake", "news", "artist", "mark",
    "office", "slur", "style", "hate_symbol", "glorify", "real_person",
)  # fmt: skip


@dataclass(frozen=True)
class Hit:
    """A word of a list: where it begins and ends, and whether it is said not to be there."""

    start: int
    end: int
    negated: bool = False


Hits = dict[str, list[Hit]]


class Lexicon:
    """Words of several lists, found in one pass."""

    def __init__(self, terms: dict[str, dict[str, tuple[str, ...]]], disguised: tuple[str, ...] = ()) -> None:
        self.phrases: dict[str, list[tuple[tuple[str, ...], str]]] = defaultdict(list)  # first word -> rest, list
        self.beginnings: dict[str, list[str]] = defaultdict(list)
        self.anywhere: list[tuple[str, str]] = []
        self.mixed: list[tuple[str, str]] = []  # of Chinese or Japanese and Latin letters
        self.korean: list[tuple[str, str]] = []
        self.romanised: dict[str, list[str]] = defaultdict(list)
        self.hidden: dict[str, list[str]] = defaultdict(list)  # single words that are looked for in pieces
        for name, languages in terms.items():
            for words in languages.values():
                for word in words:
                    self._add(name, word, name in disguised)

    def _add(self, name: str, word: str, disguised: bool) -> None:
        how = script(word)
        if how == "ko":
            self.korean.append((word, name))
            spelled = fold_romanised(romanise(word.replace(" ", "")))
            if disguised and len(spelled) >= 4 and spelled.isascii() and spelled.isalpha():
                self.romanised[spelled].append(name)
        elif how == "zh":
            (self.mixed if _MIXED.search(word) else self.anywhere).append((word.replace(" ", ""), name))
        else:
            parts = _TOKEN.findall(word)
            if not parts:
                return
            if word.endswith("*"):
                if len(parts) == 1:
                    self.beginnings[parts[0]].append(name)
                    return
                parts[-1] += "*"
            self.phrases[parts[0]].append((tuple(parts[1:]), name))
            if len(parts) == 1 and disguised and len(parts[0]) >= 4:
                self.hidden[parts[0]].append(name)

    def find(self, text: str) -> Hits:
        """Every word of every list in a normalised text."""
        hits: Hits = defaultdict(list)
        spans = [(m[0], m.start(), m.end()) for m in _TOKEN.finditer(text)]
        for i, (token, start, _) in enumerate(spans):
            if token[0].isascii():
                self._latin(spans, i, hits)
            elif "가" <= token[0] <= "힣":
                self._hangul(text, token, start, hits)
            else:
                for word, name in self.anywhere:
                    at = token.find(word)
                    if at >= 0:
                        hits[name].append(Hit(start + at, start + at + len(word)))
            if start and text[start - 1] == JOINED and token[0].isascii():
                for word, names in self.hidden.items():
                    at = token.find(word)
                    if at >= 0:
                        for name in names:
                            hits[name].append(Hit(start + at, start + at + len(word)))
        for word, name in self.mixed:
            at = text.find(word)
            if at >= 0:
                hits[name].append(Hit(at, at + len(word)))
        self._dense(text, hits)
        return hits

    def _latin(self, spans: list[tuple[str, int, int]], i: int, hits: Hits) -> None:
        token, start, end = spans[i]
        for form in _singular(token):
            for rest, name in self.phrases.get(form, ()):
                stop = i + 1 + len(rest)
                if stop <= len(spans) and all(_same(spans[i + 1 + k][0], part) for k, part in enumerate(rest)):
                    hits[name].append(Hit(start, spans[stop - 1][2]))
        for length in range(2, len(token) + 1):
            for name in self.beginnings.get(token[:length], ()):
                hits[name].append(Hit(start, end))
        for name in self._spelled(token):
            hits[name].append(Hit(start, end))
        if len(token) >= BACKWARDS:
            for name in self.hidden.get(token[::-1], ()):
                hits[name].append(Hit(start, end))
        if i + 1 < len(spans) and spans[i + 1][0].isascii():  # a word in two pieces
            following = spans[i + 1][0]
            joined = token + following
            whole = bool({token, following} & _SHORT)  # words that are words by themselves
            if len(joined) >= 4 and not whole and min(len(token), len(following)) <= 3:
                for form in _singular(joined):
                    for name in self.hidden.get(form, ()):
                        hits[name].append(Hit(start, spans[i + 1][2]))
            for name in () if whole else self._spelled(joined):
                hits[name].append(Hit(start, spans[i + 1][2]))

    def _spelled(self, token: str) -> set[str]:
        """The lists of which a token is a Korean word in Latin letters, with or without an ending."""
        folded = fold_romanised(token)
        found = set(self.romanised.get(folded, ())) if len(folded) >= 5 else set()
        for length in range(4, len(folded)):
            ending = folded[length:]
            if folded[:length] in self.romanised and ending in _PARTICLES and (length > 4 or len(ending) > 2):
                found.update(self.romanised[folded[:length]])
        return found

    def _hangul(self, text: str, token: str, start: int, hits: Hits) -> None:
        for word, name in self.korean:
            if " " in word:
                if text.startswith(word, start):
                    hits[name].append(Hit(start, start + len(word)))
            else:
                at = 0 if token.startswith(word) else token.find(word) if len(word) >= 3 else -1
                if at >= 0:
                    hits[name].append(Hit(start + at, start + at + len(word)))

    def _dense(self, text: str, hits: Hits) -> None:
        """Korean words of three syllables or more across spaces."""
        if not re.search("[가-힣]", text):
            return
        places = [i for i, c in enumerate(text) if c != " "]
        dense = text.replace(" ", "")
        for word, name in self.korean:
            bare = word.replace(" ", "")
            if len(bare) >= 3:
                at = dense.find(bare)
                if at >= 0:
                    hits[name].append(Hit(places[at], places[at + len(bare) - 1] + 1))

    def behind_asterisks(self, text: str, hits: Hits) -> None:
        """Words some of whose letters are asterisks or the like: p*rn, n_de."""
        for m in _TOKEN_WILD.finditer(text):
            if sum(c.isalpha() for c in m[0]) >= 2:
                pattern = re.compile(re.sub(r"[*#%_?]", "[a-z]", m[0]) + "s?")
                for word, names in self.hidden.items():
                    if pattern.fullmatch(word):
                        for name in names:
                            hits[name].append(Hit(m.start(), m.end()))


def _singular(token: str) -> tuple[str, ...]:
    if len(token) > 3 and token.endswith("es"):
        return token, token[:-1], token[:-2]
    return (token, token[:-1]) if len(token) > 2 and token.endswith("s") else (token,)


def _same(token: str, part: str) -> bool:
    return token.startswith(part[:-1]) if part.endswith("*") else part in _singular(token)


class Matcher:
    """A policy's rules, ready to be asked."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.lexicon = Lexicon(policy.terms, _DISGUISED)
        self.harmless = Lexicon({"harmless": policy.harmless})
        self.evasion = Lexicon({"evasion": policy.evasion})
        self.guarded = self._guarded()

    def categories(self, text: Forms, part: str = "prompt") -> set[str]:
        """The categories of which a rule holds for a text, which is the `part` of a request (as `Rule.only`)."""
        found = set()
        openly: Hits = defaultdict(list, self._hits(text.plain, ages=True))
        self.lexicon.behind_asterisks(text.plain, openly)
        forms = [openly, *map(self._hits, text.undone)]
        union: Hits = {name: [h for hits in forms for h in hits.get(name, ())] for hits in forms for name in hits}
        excused = not self.evades(text)
        for rule in self.policy.rules:
            if rule.only and rule.only != part:
                continue
            if part == "negative" and not (rule.only or self.policy.categories[rule.category].locked):
                continue  # what is not to be shown
            locked = self.policy.categories[rule.category].locked
            if excused and any(name in openly for name in rule.unless):
                continue
            ways = forms if rule.near else [union]
            if any(_holds(hits, rule.all, rule.near, locked) for hits in ways):
                found.add(rule.category)
        return found

    def locked(self, texts: list[str]) -> set[str]:
        """The categories that no policy can change of which a rule holds for the open reading of a text."""
        rules = [rule for rule in self.policy.rules if self.policy.categories[rule.category].locked and not rule.only]
        ways = [self._hits(text) for text in texts]
        return {rule.category for rule in rules for hits in ways if _holds(hits, rule.all, rule.near, locked=True)}

    def affirmed(self, text: str) -> str:
        """A normalised text without what it says is not there, nor the name right before that: "not in X's style"."""
        hits = [hit for found in self._hits(text).values() for hit in found]
        denied = [hit for hit in hits if hit.negated]
        denied += [hit for hit in hits if any(0 <= other.start - hit.end <= 1 for other in denied)]
        for hit in sorted(denied, key=lambda hit: -hit.start):
            before, after = text[: hit.start], text[hit.end :]
            text = _NOT_BEFORE.sub("", before) + _BLANK * (hit.end - hit.start) + _NOT_AFTER.sub("", after, count=1)
        return text.replace(_BLANK, "").strip(" ,.、，")

    def evades(self, text: Forms) -> bool:
        """Whether the text talks to the machine instead of describing a scene."""
        return any(self.evasion.find(form) for form in text)

    def _guarded(self) -> dict[str, str]:
        """Words in Latin letters, of four and more, of the lists that the locked categories' rules need, run together
        -> as they are listed."""
        lists = {name for r in self.policy.rules if self.policy.categories[r.category].locked for name in r.all}
        words = {w.rstrip("*") for name in lists for some in self.policy.terms[name].values() for w in some}
        found = {w.replace(" ", ""): w for w in words if w.isascii() and w.replace(" ", "").isalpha()}
        return {run: w for run, w in found.items() if len(run) >= (8 if " " in w else 4)}

    def _hits(self, text: str, ages: bool = False) -> Hits:
        for hit in self.harmless.find(text).get("harmless", ()):
            text = text[: hit.start] + _BLANK * (hit.end - hit.start) + text[hit.end :]
        hits = self.lexicon.find(text)
        for name, found in hits.items():
            hits[name] = [Hit(h.start, h.end, _negated(text, h)) for h in found]
        if ages:
            for pattern in _AGES:
                hits["minor"] += [Hit(m.start(), m.end()) for m in pattern.finditer(text)]
        return {name: found for name, found in hits.items() if found}


def _negated(text: str, hit: Hit) -> bool:
    return bool(
        _NOT_BEFORE.search(text[max(0, hit.start - 14) : hit.start]) or _NOT_AFTER.search(text[hit.end : hit.end + 14])
    )


def _holds(hits: Hits, names: tuple[str, ...], near: int, locked: bool) -> bool:
    groups = [[h for h in hits.get(name, ()) if locked or not h.negated] for name in names]
    if not all(groups):
        return False
    if not near or len(groups) == 1:
        return True
    first, *others = groups
    return any(all(any(_gap(a, b) <= near for b in other) for other in others) for a in first)


def _gap(a: Hit, b: Hit) -> int:
    return max(a.start, b.start) - min(a.end, b.end)


_MATCHERS: dict[str, Matcher] = {}


def matcher_of(policy: Policy) -> Matcher:
    """The matcher of a policy, made once."""
    if policy.digest not in _MATCHERS:
        _MATCHERS.clear()
        _MATCHERS[policy.digest] = Matcher(policy)
    return _MATCHERS[policy.digest]
