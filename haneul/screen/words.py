"""The texts of a request: prompt, negative prompt, what is remembered, and the shots of a storyboard."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from typing import Any, Final

from haneul import __version__
from haneul.config import Settings
from haneul.errors import RefusedError
from haneul.prompt.language import hanja_to_hangul, normalise
from haneul.screen import classifier
from haneul.screen.audit import AuditLog
from haneul.screen.decode import Speech, bold, readings
from haneul.screen.normalise import forms
from haneul.screen.policy import Policy, load_policy
from haneul.screen.rules import Matcher, matcher_of

__all__ = ["Finding", "decide", "look", "words"]

MOST: Final = 6  #: forms and readings of a text that the classifier is asked about
EVASION: Final = 0.5  #: a text that talks the machine out of its rules has its thresholds multiplied by this


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One category that was found: where in a request, by what (a rule, the classifier, a list of hashes, ...), and of
    what a copy is one."""

    category: str
    part: str
    by: str
    of: str = ""

    def text(self, title: str) -> str:
        """What it looks like, by the category's title."""
        return f"the {self.part} looks like {title}" + (f": {self.of}" if self.of else "")


def look(policy: Policy, text: str, part: str = "prompt") -> list[Finding]:
    """Everything that a policy finds in one text, whatever it does about it.

    The classifier is asked only where no rule has found something that is refused.
    """
    matcher, seen = matcher_of(policy), forms(text)
    read = [(reading, forms(reading)) for reading in readings(text, _speech(policy.digest, matcher))]
    ruled = matcher.categories(seen, part).union(*(matcher.categories(form, part) for _, form in read))
    if not any(policy.categories[name].locked for name in ruled):
        texts = [*seen, *(form.plain for _, form in read)]
        ruled |= matcher.locked(bold(texts, _bold_speech(policy.digest, matcher), matcher.guarded))
    found = [Finding(category=name, part=part, by="rule") for name in sorted(ruled)]
    if part == "negative":
        return found  # the rules know that this is what not to show; the classifier doesn't
    if any(policy.categories[f.category].action == "refuse" for f in found):
        return found
    scale = EVASION if matcher.evades(seen) else 1.0
    # The open form is what the engine encodes too, so that its states are there already when it does.
    texts = [hanja_to_hangul(normalise(text)), *seen.undone]
    said = matcher.affirmed(seen.plain)
    if said and said != seen.plain and scale == 1.0 and not seen.undone:  # it doesn't know what "no" means
        texts[0] = said
    texts += [other for reading, form in read for other in (reading, *form.undone[:1])]
    named = {f.category for f in found}
    for row in classifier.bundled().read(list(dict.fromkeys(texts))[:MOST]):
        for name, probability in row.items():
            if name not in named and probability >= scale * policy.categories[name].threshold:
                found.append(Finding(category=name, part=part, by=f"classifier {probability:.2f}"))
                named.add(name)
    return found


@lru_cache(maxsize=2)
def _speech(_digest: str, matcher: Matcher) -> Speech:
    """Made once for each policy."""
    from haneul.model.text import shared_encoder  # torch, which whoever only imports the engine need not load

    tokenizer = shared_encoder(classifier.ENCODER).tokenizer
    assert tokenizer is not None
    ordinary = {word for words in matcher.policy.harmless.values() for word in words if word.isalpha()}
    return Speech.of(tokenizer, matcher.lexicon.hidden, matcher.lexicon.beginnings, ordinary)


@lru_cache(maxsize=2)
def _bold_speech(digest: str, matcher: Matcher) -> Speech:
    return _speech(digest, matcher).boldly(matcher.guarded)


def words(
    settings: Settings, *, prompt: str, negative: str = "", remember: str = "", shots: Iterable[str] = (),
    where: str = "make",
) -> list[str]:  # fmt: skip
    """Look at the texts of a request. `shots` are those of a whole storyboard: together they must not make up what
    none of them says alone.

    Returns warnings; raises RefusedError.
    """
    policy = load_policy(settings)
    parts = {"prompt": prompt, "negative": negative, "remember": remember}
    texts = {part: text for part, text in parts.items() if text.strip()}
    found = [finding for part, text in texts.items() for finding in look(policy, text, part)]
    pieces = [piece for piece in (*shots, remember) if piece.strip()]
    if not found and len(pieces) > 1:
        found = spread(policy, pieces, "shots")
    if not found and remember.strip():
        found = spread(policy, [remember, prompt], "prompt and remember")
    log = AuditLog(settings)
    told: dict[str, Any] = {part: log.keyed(text) for part, text in texts.items()}
    if policy.log_prompts:
        told |= {f"{part} text": text for part, text in texts.items()}
    return decide(policy, log, found, where=where, what=told)


def spread(policy: Policy, pieces: list[str], part: str) -> list[Finding]:
    """What is found in several texts together and in none alone: halves of a sentence, halves of a word.

    The rules look at any two of the first dozen side by side too, for others may stand between them.
    """
    matcher = matcher_of(policy)
    joined = [glue.join(pieces) for glue in (" / ", " ", "")]
    joined += ["".join(reversed(pieces))] if len(pieces) == 2 else []
    joined += ["".join(two) for two in combinations(pieces[:12], 2)] if len(pieces) > 2 else []
    ruled = {name for text in dict.fromkeys(joined) for name in matcher.categories(forms(text))}
    if any(policy.categories[name].action == "refuse" for name in ruled):
        return [Finding(category=name, part=part, by="rule") for name in sorted(ruled)]
    whole = [" ".join(pieces), *([" ".join(reversed(pieces))] if len(pieces) == 2 else [])]
    return next(filter(None, (look(policy, text, part) for text in whole)), [])


def decide(
    policy: Policy, log: AuditLog, found: list[Finding], *, where: str, what: Mapping[str, Any]
) -> list[str]:  # fmt: skip
    """Do what the policy says about findings, and write it down."""
    order = list(policy.categories)
    counted = sorted(
        (f for f in found if policy.categories[f.category].action != "allow"), key=lambda f: order.index(f.category)
    )
    refused = [f for f in counted if policy.categories[f.category].action == "refuse"]
    told = [{"code": f.category, "part": f.part, "by": f.by} | ({"of": f.of} if f.of else {}) for f in counted]
    log.append(
        haneul=__version__, policy=policy.digest[:16], where=where, decision="refused" if refused else "passed",
        found=told, **what,
    )  # fmt: skip
    if refused:
        category = policy.categories[refused[0].category]
        raise RefusedError(
            f"refused ({category.name}): {refused[0].text(category.title)}; {category.advice}",
            category.name,
        )
    return [f"{f.text(policy.categories[f.category].title)} ({f.category})" for f in counted]
