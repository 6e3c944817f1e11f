"""What a prompt was understood to say: a probability for each value of each slot, read off the text encoder's states.

The transformer is not conditioned on words but on these slots (setting, event, colour of the main subject, ...), a
concept bottleneck (Koh et al., arXiv 2007.04612). Three things follow. A video needs no text in training, since the
simulator knows what its caption would state. A prompt in any language or script fills the same slots. And what the
model took a prompt to mean can be shown, and corrected, before a single frame is made.

Shapes: B batch, L text tokens, C text width, K slots, V = the sum over slots of (values + 1). In every slot the first
entry means that nothing was said.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .layers import attend_plain, mask_bias, rms

Slots = Mapping[str, Sequence[str]]


def sizes_of(slots: Slots) -> tuple[int, ...]:
    """Entries of each slot: its values and 'unsaid'."""
    return tuple(len(values) + 1 for values in slots.values())


#: What stays from shot to shot where a prompt is silent, and the look that belongs to it.
CARRIED: dict[str, tuple[str, ...]] = {
    "setting": (), "time": (), "style": (), "kind": ("color", "material"), "kind2": ("color2", "material2"),
}  # fmt: skip


def one_hot(said: Sequence[Mapping[str, str]], slots: Slots) -> Tensor:
    """[B, V]: certainty of what each of B texts states; slots that are not in the mapping are unsaid.

    Raises KeyError for a slot and ValueError for a value that does not exist.
    """
    starts, offset = {}, 0
    for name, values in slots.items():
        starts[name], offset = offset, offset + len(values) + 1
    out = torch.zeros(len(said), offset)
    for row, stated in enumerate(said):
        filled = {starts[name]: starts[name] + 1 + list(slots[name]).index(value) for name, value in stated.items()}
        for start in starts.values():
            out[row, filled.get(start, start)] = 1
    return out


def one_hot_of_numbers(said_BK: Tensor, sizes: Sequence[int]) -> Tensor:
    """[B, V], as `one_hot`, from the number of the value in each slot, 0 for unsaid."""
    starts = torch.tensor([0, *sizes[:-1]], device=said_BK.device).cumsum(0)
    out = torch.zeros(len(said_BK), sum(sizes), device=said_BK.device)
    return out.scatter_(1, said_BK.long() + starts, 1.0)


def softmax_by_slot(logits_BV: Tensor, sizes: Sequence[int]) -> Tensor:
    """Probabilities [B, V]: each slot's add up to 1."""
    return torch.cat([part.softmax(-1) for part in logits_BV.split(list(sizes), -1)], -1)


@dataclass(frozen=True, kw_only=True)
class ConceptsConfig:
    """`slots` is the vocabulary: it travels with the weights, so that the engine needs no simulator to name it."""

    slots: dict[str, tuple[str, ...]]
    text: int = 384
    width: int = 192
    heads: int = 4
    depth: int = 2

    def __post_init__(self) -> None:
        if not self.slots or any(not values for values in self.slots.values()):
            raise ValueError("a reader of concepts needs slots, each with at least one value")
        if self.width % self.heads:
            raise ValueError(f"width {self.width} must be a multiple of heads ({self.heads})")
        object.__setattr__(self, "slots", {name: tuple(values) for name, values in self.slots.items()})


class Look(nn.Module):
    """One layer: queries attend to words, then a feed-forward; pre-norm."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q = nn.Linear(width, width, bias=False)
        self.kv = nn.Linear(width, 2 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.up = nn.Linear(width, 3 * width)
        self.down = nn.Linear(3 * width, width)

    def forward(self, x_BQD: Tensor, words_BLD: Tensor, bias_B11L: Tensor) -> Tensor:
        B, Q, D = x_BQD.shape
        q = self.q(rms(x_BQD)).view(B, Q, self.heads, -1).transpose(1, 2)
        k, v = self.kv(rms(words_BLD)).view(B, -1, 2, self.heads, D // self.heads).permute(2, 0, 3, 1, 4)
        x = x_BQD + self.out(attend_plain(q, k, v, bias_B11L).transpose(1, 2).reshape(B, Q, D))
        y: Tensor = x + self.down(F.gelu(self.up(rms(x))))
        return y


class ConceptReader(nn.Module):
    """Text states to slots: words look at each other, then one query for each slot looks at the words."""

    mean: Tensor
    std: Tensor

    def __init__(self, cfg: ConceptsConfig) -> None:
        super().__init__()
        D = cfg.width
        self.cfg = cfg
        self.sizes = sizes_of(cfg.slots)
        self.register_buffer("mean", torch.zeros(cfg.text))
        self.register_buffer("std", torch.ones(cfg.text))
        self.inp = nn.Linear(cfg.text, D)
        self.words = nn.ModuleList(Look(D, cfg.heads) for _ in range(cfg.depth))
        self.queries = nn.Parameter(torch.randn(len(self.sizes), D))
        self.looks = nn.ModuleList(Look(D, cfg.heads) for _ in range(cfg.depth))
        self.heads = nn.ModuleList(nn.Linear(D, size) for size in self.sizes)

    @torch.no_grad()
    def standardise(self, states_BLC: Tensor, mask_BL: Tensor) -> None:
        """Take mean and standard deviation of the states from a sample of texts."""
        rows = states_BLC[mask_BL].float()
        self.mean.copy_(rows.mean(0))
        self.std.copy_(rows.std(0).clamp(min=1e-3))

    def forward(self, states_BLC: Tensor, mask_BL: Tensor) -> Tensor:
        """Logits [B, V] of text states."""
        x = self.inp((states_BLC.float() - self.mean) / self.std)
        bias = mask_bias(mask_BL)
        for layer in self.words:
            x = layer(x, x, bias)
        q = self.queries.expand(x.shape[0], -1, -1)
        for layer in self.looks:
            q = layer(q, x, bias)
        q = rms(q)
        return torch.cat([head(q[:, k]) for k, head in enumerate(self.heads)], -1)

    @torch.no_grad()
    def read(self, states_BLC: Tensor, mask_BL: Tensor) -> Tensor:
        """Probabilities [B, V]."""
        return softmax_by_slot(self(states_BLC, mask_BL).float(), self.sizes)

    def carry(self, said_BV: Tensor, remembered_BV: Tensor) -> Tensor:
        """What is said, and in CARRIED slots that are silent what is remembered. The look of a subject is carried only
        to a subject of the same kind, or where no kind is said."""
        said, remembered = (
            dict(zip(self.cfg.slots, x.split(list(self.sizes), -1), strict=True)) for x in (said_BV, remembered_BV)
        )

        def silent(name: str) -> Tensor:
            nothing: Tensor = said[name].argmax(-1, keepdim=True) == 0
            return nothing

        found = dict(said)
        for name, look in CARRIED.items():
            if name not in said:
                continue
            open_ = silent(name)
            same = open_ | (said[name].argmax(-1, keepdim=True) == remembered[name].argmax(-1, keepdim=True))
            found[name] = torch.where(open_, remembered[name], said[name])
            for part in (p for p in look if p in said):
                found[part] = torch.where(same & silent(part), remembered[part], said[part])
        carried: Tensor = torch.cat(list(found.values()), -1)
        return carried

    def named(self, concepts_V: Tensor, least: float = 0.5) -> dict[str, tuple[str, float]]:
        """Slot -> (its likeliest value, the probability), of the slots that say something with `least` or more."""
        found = {}
        for (name, values), part in zip(self.cfg.slots.items(), concepts_V.split(list(self.sizes)), strict=True):
            best = int(part[1:].argmax())
            if float(part[1:].sum()) >= least:
                found[name] = (values[best], float(part[1 + best]))
        return found
