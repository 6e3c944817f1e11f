"""Context parallelism: the latent frames of a clip lie on several processes, from the first block to the last.

Everything in a block but self-attention looks at one token at a time, so a process keeps its own frames and asks the
others only for their keys and values: one all-gather a block, whose backward is a reduce-scatter. That is exact for any
share of frames, uneven ones too; a ring (Liu et al., arXiv 2310.01889) would hold fewer keys at a time, which is not
what fills the memory at the lengths here. Embedding and last layer see the whole clip on every process; they are small.

The model knows nothing of it: hooks cut what enters the blocks and join what leaves them.

Gradients: every process of a group computes the same loss, so what comes back through a gather counts as often as there
are processes; the mean over processes that FSDP takes divides it by just that.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
import torch.distributed._functional_collectives as collectives
from torch import Tensor, nn

from haneul.model.dit import DiT
from haneul.model.layers import Attend


def shares(length: int, parts: int) -> list[int]:
    """Lengths of `parts` shares of a length, which differ by one at most; the longer ones come first."""
    least, more = divmod(length, parts)
    return [least + (part < more) for part in range(parts)]


def gathered(x: Tensor, dim: int, sizes: list[int], group: dist.ProcessGroup) -> Tensor:
    """The shares of all processes of the group (`sizes` of them along `dim`) as one tensor, differentiable."""
    first = x.movedim(dim, 0)
    room = max(sizes) - first.shape[0]
    padded = torch.cat([first, first.new_zeros((room, *first.shape[1:]))]) if room else first
    found: Tensor = collectives.all_gather_single_autograd(padded.contiguous(), 0, group)
    return torch.cat([p[:n].movedim(0, dim) for p, n in zip(found.chunk(len(sizes)), sizes, strict=True)], dim)


class Context:
    """The frames of a clip over the processes of `group`. `frames` is how many latent frames the clip has, or 0 for
    batches that are not cut (whole clips are then shared out)."""

    def __init__(self, model: DiT, group: dist.ProcessGroup, attend: Attend) -> None:
        """Puts hooks on the model; `attend` is the attention of one process."""
        self.group, self.attend = group, attend
        self.rank, self.size = dist.get_rank(group), dist.get_world_size(group)
        self.frames = 0
        self.over_tokens = False  # whether the next attention is self-attention; a block asks for it right after qkv
        model.set_attention(attend)
        for number, block in enumerate(model.blocks):
            block.attend = self.attention  # type: ignore[assignment]
            block.register_forward_pre_hook(self.enter)
            block.qkv.register_forward_hook(self.mark)  # type: ignore[union-attr]
            if number == len(model.blocks) - 1:
                block.register_forward_hook(self.leave)
        model.modulate.register_forward_pre_hook(self.cut_levels)
        if model.truth is not None:
            model.truth.register_forward_hook(self.leave)

    @property
    def sizes(self) -> list[int]:
        return shares(self.frames, self.size)

    @property
    def own(self) -> slice:
        """The latent frames of this process."""
        first = sum(self.sizes[: self.rank])
        return slice(first, first + self.sizes[self.rank])

    def cut_levels(self, _: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
        """Of the conditions [B, F or 1, S or 1, D] those of the own frames."""
        return (args[0][:, self.own],) if self.frames and args[0].shape[1] == self.frames else None

    def enter(self, _: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...] | None:
        """Of what a block is given (see dit.Block), the own frames: of tokens at the first block, of angles always."""
        if not self.frames:
            return None
        x, mod, txt, bias, cos, sin = args
        S, own = x.shape[2], self.own
        if x.shape[1] == self.frames:
            x = x[:, own]
        tokens = slice(own.start * S, own.stop * S)
        return x, mod, txt, bias, cos[tokens], sin[tokens]

    def mark(self, _: nn.Module, _args: Any, _output: Tensor) -> None:
        self.over_tokens = True

    def attention(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
        """Own queries over the keys and values of all frames; over text as it is."""
        if self.over_tokens and self.frames:
            per_frame = k.shape[2] // self.sizes[self.rank]
            k, v = gathered(torch.stack([k, v]), 3, [n * per_frame for n in self.sizes], self.group)
        self.over_tokens = False
        return self.attend(q, k, v, mask)

    def leave(self, _: nn.Module, _args: Any, output: Tensor) -> Tensor | None:
        """All frames of what has only the own ones."""
        if not self.frames or output.shape[1] == self.frames:
            return None
        return gathered(output, 1, self.sizes, self.group)
