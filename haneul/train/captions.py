"""Captions of a training batch: drawn anew each time a clip is seen, so that the words never run out."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from haneul.prompt.language import check
from haneul.world.captions import Caption, Language, describe
from haneul.world.concepts import concepts_of
from haneul.world.scene import Facts

LANGUAGES: Final[tuple[Language, ...]] = ("en", "ko", "ko-hanja")
SHARES = (0.55, 0.35, 0.10)


def _seen(facts: dict[str, Any], mirrored: bool) -> Facts:
    seen = Facts.from_json(facts)
    return seen.mirrored() if mirrored else seen


def _described(seen: Facts, rng: np.random.Generator) -> Caption:
    return describe(seen, rng, language=LANGUAGES[rng.choice(3, p=SHARES)])


def worded(facts: dict[str, Any], mirrored: bool, rng: np.random.Generator) -> tuple[str, dict[str, str]]:
    """A caption of these facts (of their mirror image if `mirrored`) in a random language and length, as the text
    encoder reads it, and the concepts that it states."""
    seen = _seen(facts, mirrored)
    found = _described(seen, rng)
    return check(found.text).encoded, concepts_of(seen, found.said)


def stated(facts: dict[str, Any], mirrored: bool, rng: np.random.Generator) -> dict[str, str]:
    """The concepts of such a caption alone."""
    seen = _seen(facts, mirrored)
    return concepts_of(seen, _described(seen, rng).said)
