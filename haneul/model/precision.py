"""Which numbers a processor computes fast: bfloat16 where it has instructions for it, float32 elsewhere.

Without such instructions bfloat16 is emulated, a hundred times slower than float32 (docs/log.md).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TypeVar

import torch

Item = TypeVar("Item")


@cache
def bf16_is_fast() -> bool:
    """Whether this processor has instructions for bfloat16."""
    supported = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", None)  # some builds come without the library
    return supported is not None and bool(supported())


def fast_dtype(device: str = "cpu") -> torch.dtype:
    """What frozen weights are kept in."""
    return torch.bfloat16 if device != "cpu" or bf16_is_fast() else torch.float32


def autocast(device: str = "cpu") -> torch.autocast:
    """Matrix products in bfloat16 where `device` is fast with it; every GPU that can train is."""
    return torch.autocast(device, torch.bfloat16, enabled=fast_dtype(device) == torch.bfloat16)


@contextmanager
def fast() -> Iterator[None]:
    """Inference in the numbers that this processor is fast with."""
    with torch.no_grad(), autocast():
        yield


def quickly(items: Iterator[Item]) -> Iterator[Item]:
    """Items that are computed `fast`, handed on outside of it: a generator's own context would be its caller's too."""
    end = object()
    while True:
        with fast():
            item = next(items, end)
        if item is end:
            return
        yield item  # type: ignore[misc]
