"""How long a request may still spend on others: who fetches, resolves or decodes for it asks here, however deep below.

It goes with the thread (a context variable), for what waits is deep inside of libraries that pass no time on.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_ends: ContextVar[float | None] = ContextVar("haneul_deadline", default=None)


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """What is done inside may take so long in all; the nearest of several such ends counts."""
    ends, before = time.monotonic() + seconds, _ends.get()
    token = _ends.set(ends if before is None else min(ends, before))
    try:
        yield
    finally:
        _ends.reset(token)


def left(most: float) -> float:
    """Seconds that may still be spent, at most `most`, and not below 0."""
    ends = _ends.get()
    return most if ends is None else max(0.0, min(most, ends - time.monotonic()))
