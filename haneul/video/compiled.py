"""Loops over pixels, compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(*, fastmath: bool = False) -> Callable[[Function], Function]:
    """What is compiled is kept for the next process, where there is a folder for it: a read-only installation without a
    home has none. Other threads run meanwhile."""

    def wrap(function: Function) -> Function:
        try:
            return cast(Function, numba.njit(cache=True, nogil=True, fastmath=fastmath)(function))
        except RuntimeError:  # "no locator available"
            return cast(Function, numba.njit(nogil=True, fastmath=fastmath)(function))

    return wrap
