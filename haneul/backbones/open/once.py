"""What a denoiser computes anew at every step though nothing that it depends on has changed: computed once.

A denoiser is asked dozens of times about one text. What it makes of the text alone - its projection, and the keys and
values that each block looks up in it - is the same every time, so it is kept. The tensors are the same, so the pictures
are the same bits.
"""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import Tensor, nn

ENTRIES = 2  #: answers kept by a part: to the text, and to what should not be seen
TRIES = 6  #: calls after which a part that was never asked the same twice is left alone
#: Parts of diffusers' denoisers that see the text (or the given picture) and nothing else.
_CONSTANT = re.compile(
    r"(?:.+\.)?(?:(?:audio_)?caption_projection|text_embedder|image_embedder|text_embeddings"
    r"|attn2\.(?:to_k|to_v|norm_k|add_k_proj|add_v_proj))"
)


class Answers:
    """What a part answered lately, by the tensor that it was given."""

    def __init__(self, part: nn.Module) -> None:
        self._ask: Any = part.forward
        self._known: list[tuple[Tensor, int, Tensor, int]] = []
        self._tries, self._hits = 0, 0

    def __call__(self, *args: Any, **given: Any) -> Any:
        """As the part's own `forward`."""
        x = args[0] if args else None
        if given or len(args) != 1 or not isinstance(x, Tensor) or not self._useful() or x.is_inference():
            return self._ask(*args, **given)
        self._tries += 1
        for seen, version, answer, answered in self._known:
            if same(seen, x) and version == x._version and answered == answer._version:
                self._hits += 1
                return answer
        answer = self._ask(x)
        if isinstance(answer, Tensor) and not answer.is_inference():
            self._known = [*self._known, (x, x._version, answer, answer._version)][-ENTRIES:]
        if not self._useful():
            self._known = []
        return answer

    def _useful(self) -> bool:
        return (self._hits > 0 or self._tries < TRIES) and not torch.is_grad_enabled()


def same(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors are one, or views of one that begin and lie alike. `a` must have been held all the while, or
    its memory might be another's by now."""
    if a is b:
        return True
    return a.data_ptr() == b.data_ptr() and a.shape == b.shape and a.stride() == b.stride() and a.dtype == b.dtype


def keep(denoiser: nn.Module) -> int:
    """Let the parts of a denoiser that see nothing but the text answer once for each. Returns how many there are."""
    found = [part for name, part in denoiser.named_modules() if _CONSTANT.fullmatch(name)]
    for part in found:
        part.forward = Answers(part)
    return len(found)
