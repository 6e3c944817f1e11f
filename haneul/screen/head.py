"""The classifier's network: the text encoder's last layers, tuned to the screen's task, and one linear layer.

It begins where the encoder's states after `model.text.INNER` layers are, so that those are shared, and keeps of each
tuned matrix only how it differs from the encoder's own, at low rank (as Hu et al., arXiv 2106.09685, but cut down after
training; train/screen.py).
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from haneul.model.text import INNER, TextEncoder

MOST_TOKENS = 64  #: of a text that are looked at


class Head(nn.Module):
    """States [B, L, width] after the encoder's inner layers and their mask [B, L] -> logits [B, categories]."""

    def __init__(self, encoder: TextEncoder, categories: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.layers = nn.ModuleList(copy.deepcopy(layer) for layer in encoder.layers[INNER:])
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Linear(2 * encoder.width, categories)

    def forward(self, x_BLD: Tensor, mask_BL: Tensor) -> Tensor:
        bias = torch.zeros(mask_BL.shape).masked_fill(~mask_BL, -1e4)[:, None, None]
        x = self.dropout(x_BLD)
        for layer in self.layers:
            x = layer(x, bias)
        here = mask_BL[..., None]
        mean = (x * here).sum(1) / here.sum(1)
        answer: Tensor = self.out(self.dropout(torch.cat([mean, x.masked_fill(~here, -1e4).amax(1)], 1)))
        return answer


@torch.no_grad()
def inner_states(encoder: TextEncoder, texts: list[str]) -> tuple[Tensor, Tensor]:
    """States [B, L, width] of texts after the encoder's inner layers, and their mask [B, L].

    A single text goes through the whole encoder, which keeps it: whoever makes the video asks for the same one.
    """
    if len(texts) == 1:
        inner, _, mask = encoder.encode_both(texts)
        return inner[:, :MOST_TOKENS].float().cpu(), mask[:, :MOST_TOKENS].cpu()
    rows = [encoder.tokenize(text, MOST_TOKENS) for text in texts]
    length = max(map(len, rows))
    ids = torch.tensor([row + [1] * (length - len(row)) for row in rows], device=encoder.norm.weight.device)
    mask = ids != 1
    place = torch.arange(length, device=ids.device)
    x: Tensor = encoder.norm((encoder.words(ids) + encoder.positions(place)).to(encoder.norm.weight.dtype))
    bias = torch.zeros(mask.shape, device=ids.device).masked_fill(~mask, -1e4)[:, None, None]
    for layer in encoder.layers[:INNER]:
        x = layer(x, bias)
    return x.float().cpu(), mask.cpu()


def deltas(head: Head, encoder: TextEncoder, rank: int) -> dict[str, Tensor]:
    """What makes a tuned head out of an encoder: of each matrix the difference at low rank, `name.up` @ `name.down`,
    of the rest the difference itself; of the last layer all."""
    own = Head(encoder, len(head.out.bias)).state_dict()
    found = {}
    for name, value in head.state_dict().items():
        if name.startswith("out."):
            found[name] = value
        elif value.ndim == 2:
            u, s, v = torch.linalg.svd(value - own[name].float(), full_matrices=False)
            root = s[:rank].sqrt()
            found[f"{name}.up"], found[f"{name}.down"] = u[:, :rank] * root, root[:, None] * v[:rank]
        else:
            found[name] = value - own[name].float()
    return found


def tuned(encoder: TextEncoder, found: dict[str, Tensor]) -> Head:
    """The head that `deltas` came from. Raises KeyError or RuntimeError for those of another."""
    head = Head(encoder, len(found["out.bias"])).float()
    state = head.state_dict()
    for name in state:
        if name.startswith("out."):
            state[name] = found[name].float()
        elif state[name].ndim == 2:
            state[name] = state[name] + found[f"{name}.up"].float() @ found[f"{name}.down"].float()
        else:
            state[name] = state[name] + found[name].float()
    head.load_state_dict(state)
    return head.eval().requires_grad_(False)
