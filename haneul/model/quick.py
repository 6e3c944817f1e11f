"""The transformer's blocks for inference in bfloat16 on processors: the same arithmetic in fewer passes over memory.

Weights are cast and laid out once for all steps, not by autocast at each of them (its cache only keeps weights that are
learned), and what a prompt says is looked up once for all steps of a clip. Queries and keys are normalised and rotated
together; what no backward pass needs is written over. The model keeps its own float32 weights, and outside of
`precision.fast` its blocks do what they did. How much each of these is worth stands in docs/log.md.

Shapes as in dit.py; N = F*S, and L tokens are what a prompt says.
"""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor

from .dit import Block, DiT
from .layers import attend_unshifted
from .precision import fast_dtype

HALF = torch.bfloat16
ROWS = 364  #: the default clip's tokens, for which products are laid out; other numbers of them work as well


def quicken(dit: DiT) -> None:
    """Let a frozen transformer that stays on the processor take its steps quickly, where bfloat16 is fast. Weights that
    change later are not seen."""
    if fast_dtype() != HALF or not hasattr(torch.ops.mkldnn, "_reorder_linear_weight"):  # which not every build has
        return
    dit.set_attention(attend_unshifted)
    for block in cast(list[Block], list(dit.blocks)):
        block.forward = Quick(block)  # type: ignore[method-assign]


def gain(x: Tensor) -> Tensor:
    """What `layers.rms` multiplies x [..., n] by, [..., 1]: one pass where PyTorch's own makes four on processors."""
    norm: Tensor = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=torch.float32)
    return norm.square_().div_(x.shape[-1]).add_(torch.finfo(torch.float32).eps).rsqrt_()


def modulated(x: Tensor, factor: Tensor, shift: Tensor) -> Tensor:
    """Normalised, times a factor and shifted, in bfloat16."""
    return torch.addcmul(shift, x * gain(x), factor).to(HALF)


def split(x_BNE: Tensor, parts: int, heads: int) -> Tensor:
    """[B, N, parts * D] -> [parts, B, heads, N, d]."""
    B, N, _ = x_BNE.shape
    return x_BNE.view(B, N, parts, heads, -1).permute(2, 0, 3, 1, 4)


def turned(x: Tensor, cos_Nd: Tensor, sin_Nd: Tensor) -> Tensor:
    """Normalised and rotated x [..., N, d], whose pairs of channels stand side by side and which is written over."""
    factor = gain(x)
    torch.view_as_complex(x.unflatten(-1, (-1, 2))).mul_(torch.complex(cos_Nd, sin_Nd))
    return torch.mul(x, factor, out=torch.empty(x.shape, dtype=HALF))


class Product:
    """x [..., n] times a matrix [m, n], transposed, in the kernels of oneDNN that torch.compile uses too."""

    def __init__(self, weight: Tensor) -> None:
        self.weight = torch.ops.mkldnn._reorder_linear_weight(weight.detach().to(HALF).contiguous(), ROWS)

    def __call__(self, x: Tensor, then: str = "none") -> Tensor:
        y: Tensor = torch.ops.mkldnn._linear_pointwise(x, self.weight, None, then, [], "")
        return y

    def times(self, x: Tensor, other: Tensor) -> Tensor:
        """The product, each number of it times another one."""
        y: Tensor = torch.ops.mkldnn._linear_pointwise.binary(x, other, self.weight, None, "mul")
        return y


class Quick:
    """The forward pass of one block."""

    def __init__(self, block: Block) -> None:
        D, d = block.qkv.in_features, block.qkv.in_features // block.heads
        self.block = block
        _, scale1, _, _, scale2, _ = (modulation := block.modulation.detach().clone()).view(6, D)
        scale1 += 1
        scale2 += 1
        self.modulation = modulation
        # The channels that turn into each other stand side by side in queries and keys, as parts of complex numbers do.
        turning, v = block.qkv.weight.detach().split((2 * D, D))
        self.qkv = Product(torch.cat([turning.view(-1, 2, d // 2, D).transpose(1, 2).reshape(2 * D, D), v]))
        self.out, self.text_q, self.down = (Product(layer.weight) for layer in (block.out, block.text_q, block.down))
        self.gate, self.up = (Product(half) for half in block.gate_up.weight.chunk(2))
        self.last: tuple[Tensor, Tensor, Tensor] | None = None

    def __call__(
        self,
        x_BFSD: Tensor,
        mod_BFS6D: Tensor,
        txt_BLD: Tensor,
        bias_B11L: Tensor | None,
        cos_Nd: Tensor,
        sin_Nd: Tensor,
    ) -> Tensor:
        """See `Block.forward`."""
        if torch.is_grad_enabled() or not torch.is_autocast_enabled("cpu"):
            return Block.forward(self.block, x_BFSD, mod_BFS6D, txt_BLD, bias_B11L, cos_Nd, sin_Nd)
        B, T, S, D = x_BFSD.shape
        with torch.autocast("cpu", enabled=False):
            shift1, factor1, gate1, shift2, factor2, gate2 = (mod_BFS6D + self.modulation).chunk(6, -1)
            qkv = self.qkv(modulated(x_BFSD, factor1, shift1).view(B, T * S, D))
            q, k = turned(split(qkv[..., : 2 * D].float(), 2, self.block.heads), cos_Nd, sin_Nd)
            (v,) = split(qkv[..., 2 * D :], 1, self.block.heads)
            a = self.block.attend(q, k, v, None)
            x = torch.addcmul(x_BFSD, gate1, self.out(a.transpose(1, 2).reshape(B, T, S, D)))
            x += self.heard(x.to(HALF).view(B, T * S, D), txt_BLD, bias_B11L).view(B, T, S, D)
            h = modulated(x, factor2, shift2)
            return x.addcmul_(gate2, self.down(self.up.times(h, self.gate(h, "swish"))))

    def heard(self, x_BND: Tensor, txt_BLD: Tensor, bias_B11L: Tensor | None) -> Tensor:
        """What attention to what the prompt says adds to each token. Queries are normalised, so that the norm of what
        they are made from is nothing to them, and their own is a factor on scores."""
        keys, made = self.said(txt_BLD)
        (q,) = split(self.text_q(x_BND), 1, self.block.heads)
        scores_BHLN = (keys @ q.contiguous().mT).float().mul_(gain(q).mT)
        weights = (scores_BHLN if bias_B11L is None else scores_BHLN.add_(bias_B11L.mT)).exp_()
        weights /= weights.sum(-2, keepdim=True)
        added: Tensor = weights.to(HALF).flatten(1, 2).mT @ made
        return added

    def said(self, txt_BLD: Tensor) -> tuple[Tensor, Tensor]:
        """Keys [B, heads, L, d] of what the prompt says, and what each of its values adds to a token [B, heads * L, D]:
        the output's product is made with them, once, until something else is said."""
        last = self.last
        if last is None or not torch.equal(last[0], txt_BLD):
            B, _, D = txt_BLD.shape
            heads = self.block.heads
            k, v = split(F.linear(txt_BLD.float(), self.block.text_kv.weight), 2, heads)
            made = v @ self.block.text_out.weight.view(D, heads, -1).permute(1, 2, 0)
            keys = k * gain(k) * k.shape[-1] ** -0.5
            self.last = last = txt_BLD, keys.to(HALF), made.reshape(B, -1, D).to(HALF)
        return last[1:]
