"""Captions of a training batch: drawn anew each time a clip is seen, so that the words never run out."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from haneul.data.latents import Batch
from haneul.model.concepts import one_hot
from haneul.model.text import Text, TextEncoder
from haneul.prompt.language import check
from haneul.world.captions import Caption, Language, describe
from haneul.world.concepts import SLOTS, concepts_of
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


def told(batch: Batch, rng: np.random.Generator, encoder: TextEncoder | None, length: int, *, concepts: bool) -> Text:
    """What a model reads of the captions of a batch, worded anew: word states of up to `length` words if there is an
    encoder, concepts if it reads them."""
    pairs = list(zip(batch.facts, batch.mirrored, strict=True))
    if encoder is None:
        return Text(concepts=one_hot([stated(f, m, rng) for f, m in pairs], SLOTS))
    found = [worded(f, m, rng) for f, m in pairs]
    states, mask = encoder.encode([text for text, _ in found], length)
    return Text(states=states, mask=mask, concepts=one_hot([said for _, said in found], SLOTS) if concepts else None)
