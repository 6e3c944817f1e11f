"""Texts without what they are filled up with.

Pipelines fill every text up to some hundred tokens, nearly all of them padding. An encoder that is told which are
padding (by a mask) gives the others the same answer without it, so a text of twenty tokens is encoded as one. Wan's
denoisers are not told: they attend to every padded place, which all have the same key and value. Softmax over n equal
keys is softmax over one whose score has log n added, so one is looked up in place of hundreds:

    sum_i exp(s_i) v_i + n exp(s) v  =  sum_i exp(s_i) v_i + exp(s + log n) v

Both are the same numbers but for rounding.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from haneul.backbones.open.once import same

#: Encoders that look at all tokens but those that the mask leaves out, and whose positions are relative (Raffel et al.
#: 2020, arXiv:1910.10683). Of those with absolute positions, or that read a text from the left, nothing is cut.
_ENCODERS = ("T5EncoderModel", "UMT5EncoderModel")
_ATTENTIONS = ("WanAttention", "SkyReelsV2Attention")


def short_texts(pipe: Any) -> None:
    """Encode texts up to their last token that counts; what the padding would have become is 0."""
    for name in ("text_encoder", "text_encoder_2", "text_encoder_3"):
        encoder: Any = getattr(pipe, name, None)
        if type(encoder).__name__ in _ENCODERS and not hasattr(encoder, "_haneul_short"):
            encoder._haneul_short = _Short(encoder)


class _Short:
    """Hooks on an encoder: cut before it, fill up after it."""

    def __init__(self, encoder: nn.Module) -> None:
        self.length = 0  #: tokens that the encoder was asked for, where it was given fewer
        encoder.register_forward_pre_hook(self.cut, with_kwargs=True)
        encoder.register_forward_hook(self.fill)

    def cut(self, _: nn.Module, args: tuple[Any, ...], given: dict[str, Any]) -> tuple[Any, Any] | None:
        """The tokens that count, and the mask of these."""
        self.length = 0
        names = ("input_ids", "attention_mask")
        told = dict(zip(names, args, strict=False)) | given
        ids, mask = told.get("input_ids"), told.get("attention_mask")
        if len(args) > len(names) or not isinstance(ids, Tensor) or not isinstance(mask, Tensor) or mask.ndim != 2:
            return None
        used = mask.gt(0).any(0).nonzero()
        count = int(used[-1]) + 1 if len(used) else 0
        if not 0 < count < ids.shape[1]:
            return None
        self.length = ids.shape[1]
        return (), told | {"input_ids": ids[:, :count], "attention_mask": mask[:, :count]}

    def fill(self, _: nn.Module, __: tuple[Any, ...], answer: Any) -> Any:
        """The answer as long as it was asked for."""
        states = answer[0]
        if self.length:
            filled = F.pad(states, (0, 0, 0, self.length - states.shape[1]))
            if isinstance(answer, tuple):
                return (filled, *answer[1:])
            answer["last_hidden_state"] = filled
        return answer


def fold_padding(denoiser: nn.Module) -> int:
    """Let the blocks of Wan's and SkyReels' denoisers look a text's padding up once. Those that see a picture through
    the same keys are left as they are. Returns how many attentions there are."""
    folded, count = _Folded(), 0
    part: Any
    for part in denoiser.modules():
        if type(part).__name__ not in _ATTENTIONS or not getattr(part, "is_cross_attention", False):
            continue
        if getattr(part, "add_k_proj", None) is None and not getattr(part, "fused_projections", False):
            part.set_processor(_Cross(folded))
            count += 1
    return count


class _Folded:
    """Texts as a denoiser's blocks see them, without what is repeated at their end."""

    def __init__(self) -> None:
        self._known: list[tuple[Tensor, int, Tensor, Tensor | None]] = []

    def __call__(self, text_BLD: Tensor) -> tuple[Tensor, Tensor | None]:
        """A text up to its first padded place, and what is added to the scores of its places, [1, 1, 1, L]."""
        for seen, version, short, bias in self._known:
            if same(seen, text_BLD) and version == text_BLD._version:
                return short, bias
        differs = (text_BLD[:, :-1] != text_BLD[:, -1:]).any(-1).any(0).nonzero()
        count = int(differs[-1]) + 2 if len(differs) else 1  # with one place of the padding
        total = text_BLD.shape[1]
        short, bias = text_BLD, None
        if count < total:
            short = text_BLD[:, :count].contiguous()
            bias = torch.zeros(1, 1, 1, count, dtype=text_BLD.dtype, device=text_BLD.device)
            bias[..., -1] = math.log(total - count + 1)
        self._known = [*self._known, (text_BLD, text_BLD._version, short, bias)][-2:]
        return short, bias


class _Cross:
    """Attention of a block to a text, as diffusers' processors of Wan and SkyReels have it, to a folded one."""

    def __init__(self, folded: _Folded) -> None:
        self.folded = folded

    def __call__(
        self, attn: Any, hidden_states: Tensor, encoder_hidden_states: Tensor, *_: Any, **__: Any
    ) -> Tensor:  # fmt: skip
        """hidden_states [B, N, D], encoder_hidden_states [B, L, D] -> [B, N, D]."""
        text_BLD, bias = self.folded(encoder_hidden_states)
        q_BND, k_BLD = attn.norm_q(attn.to_q(hidden_states)), attn.norm_k(attn.to_k(text_BLD))
        q, k, v = (x.unflatten(2, (attn.heads, -1)).transpose(1, 2) for x in (q_BND, k_BLD, attn.to_v(text_BLD)))
        seen = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        made: Tensor = attn.to_out[1](attn.to_out[0](seen.transpose(1, 2).flatten(2).type_as(q)))
        return made
