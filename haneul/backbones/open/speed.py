"""Faster than plain diffusers. What changes no bit is always on, what differs by rounding is on unless `exact` is asked
for, and what changes pictures a little is on only on request."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import torch

from haneul.backbones.open import convolve, once, padding

DENOISERS = ("transformer", "transformer_2")  #: as pipelines of diffusers call them
KEPT = 16  #: texts whose embeddings are kept
#: How pipelines of diffusers call what turns a text into embeddings.
_ENCODES = re.compile(r"encode_prompt|_get_(?!image)\w+_embeds|_encode_prompt_\w+")


def remember_texts(pipe: Any) -> None:
    """Encode each text once: windows of a long video, variations and a storyboard's shots often have the same one, and
    what should not be seen is the same for all of them.

    A text encoder of billions of parameters takes longer than several steps. The embeddings are the same tensors, so
    the pictures are the same bits. What is given as tensors is not kept, for comparing them would cost more.
    """
    for name in dir(type(pipe)):
        if _ENCODES.fullmatch(name) and callable(getattr(pipe, name)):
            setattr(pipe, name, _once(getattr(pipe, name)))


def _once(encode: Callable[..., Any]) -> Callable[..., Any]:
    kept: OrderedDict[str, Any] = OrderedDict()

    def once(*args: Any, **given: Any) -> Any:
        told = [*map(_told, args), *(_told(value) for _, value in sorted(given.items()))]
        if "" in told:
            return encode(*args, **given)
        key = " ".join([*told, *sorted(given)])
        if key in kept:
            kept.move_to_end(key)
        else:
            kept[key] = encode(*args, **given)
            if len(kept) > KEPT:
                kept.popitem(last=False)
        return kept[key]

    return once


def _told(value: Any) -> str:
    """What tells an argument from others; "" for what cannot be told, such as tensors and pictures."""
    if isinstance(value, list | tuple):
        inner = [_told(one) for one in value]
        return "" if "" in inner else f"[{', '.join(inner)}]"
    if value is None or isinstance(value, str | int | float | torch.dtype | torch.device):
        return repr(value)
    if isinstance(value, dict):
        return _told([*value.keys(), *value.values()])
    # Networks and tokenisers live as long as the pipeline, so which one it is tells it.
    return str(id(value)) if isinstance(value, torch.nn.Module) or hasattr(value, "batch_decode") else ""


def once_a_text(pipe: Any) -> None:
    """What denoisers make of the text alone is computed once. The pictures are the same bits."""
    for denoiser in denoisers(pipe):
        once.keep(denoiser)


def neutral(pipe: Any, *, device: str, compiled: bool) -> None:
    """What is the same but for rounding: texts without their padding and, on a processor, a decoder that computes by
    oneDNN. Of compiled blocks none is changed."""
    padding.short_texts(pipe)
    if not compiled:
        for denoiser in denoisers(pipe):
            padding.fold_padding(denoiser)
    if device == "cpu":
        convolve.by_onednn(pipe.vae)


def skip_alike(pipe: Any, threshold: float) -> list[str]:
    """Where the first block of a step changes less than `threshold` (a share, such as 0.05) from the step before, the
    other blocks are not computed and their last result is used: the first-block cache of diffusers, after TeaCache
    (Liu et al. 2024, arXiv:2411.19108). Pictures change a little. Returns why it is not on, one line for each reason.
    """
    from diffusers.hooks.first_block_cache import FirstBlockCacheConfig

    reasons = []
    for denoiser in denoisers(pipe):
        try:
            denoiser.enable_cache(FirstBlockCacheConfig(threshold=threshold))
        except (AttributeError, ValueError, KeyError, NotImplementedError) as error:
            reasons.append(f"{type(denoiser).__name__} has no first-block cache ({str(error)[:80]})")
    return reasons


def compile_blocks(pipe: Any) -> list[str]:
    """Compile the block that a denoiser repeats, once for all of its layers. Returns why it is not on."""
    reasons = []
    for denoiser in denoisers(pipe):
        if getattr(denoiser, "_repeated_blocks", None):
            denoiser.compile_repeated_blocks(fullgraph=False)
        else:
            reasons.append(f"{type(denoiser).__name__} does not say which of its blocks repeat, so none is compiled")
    return reasons


def denoisers(pipe: Any) -> list[Any]:
    """The networks that are asked at every step."""
    return [part for part in (getattr(pipe, name, None) for name in DENOISERS) if part is not None]
