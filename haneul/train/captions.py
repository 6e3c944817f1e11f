"""Captions of a training batch: drawn anew each time a clip is seen, so that the words never run out."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from haneul.prompt.language import check
from haneul.world.captions import Language, caption
from haneul.world.scene import Facts

LANGUAGES: Final[tuple[Language, ...]] = ("en", "ko", "ko-hanja")
SHARES = (0.55, 0.35, 0.10)


def worded(facts: dict[str, Any], mirrored: bool, rng: np.random.Generator) -> str:
    """A caption of these facts (of their mirror image if `mirrored`) in a random language and length."""
    seen = Facts.from_json(facts)
    if mirrored:
        seen = seen.mirrored()
    text = caption(seen, rng, language=LANGUAGES[rng.choice(3, p=SHARES)])
    return check(text).encoded
