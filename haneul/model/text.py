"""The text encoder: the first layers of multilingual-e5-small, frozen, with 4-bit weights, fully offline.

multilingual-e5-small (Wang et al., arXiv 2402.05672, MIT licence) is a 12-layer BERT of width 384 over an XLM-R
vocabulary. Haneul ships its embedding rows for the Latin, Korean, Chinese and Japanese scripts and its first six
layers: further layers did not bring translations or synonyms nearer to each other (docs/log.md).
"""

from __future__ import annotations

import json
import lzma
import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors import safe_open
from torch import Tensor, nn

from haneul.errors import CheckpointError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from haneul.model.bert import Words

BLOCK = 32  #: weights per quantisation block
KEPT = 8  #: single texts whose states are kept
CHUNK = 32  #: texts that are encoded together
INNER = 3  #: layers after which the states are kept too, for the screen's classifier


def shared_encoder(path: Path) -> TextEncoder:
    """The encoder of a file, read once in a process however many need it. Raises as `TextEncoder.load`."""
    found = path.resolve()
    try:
        stamp = found.stat().st_mtime_ns
    except OSError:
        return TextEncoder.load(path)  # which says what is wrong
    return _shared(found, stamp)


@lru_cache(maxsize=2)
def _shared(path: Path, _stamp: int) -> TextEncoder:
    return TextEncoder.load(path)


@dataclass(frozen=True, kw_only=True)
class Text:
    """Encoded prompts as the transformer takes them: word states [B, L, text] with their mask [B, L] for models that
    read words, concepts [B, V] (concepts.py) for models that read those. A model may read both."""

    states: Tensor | None = None
    mask: Tensor | None = None
    concepts: Tensor | None = None

    def to(self, device: str | torch.device) -> Text:
        """The same on another device."""
        parts = (self.states, self.mask, self.concepts)
        states, mask, concepts = (None if part is None else part.to(device) for part in parts)
        return Text(states=states, mask=mask, concepts=concepts)


def join(first: Text, second: Text) -> Text:
    """Both batches one after the other; words are padded to the longer one's length."""
    states = mask = concepts = None
    if first.states is not None and second.states is not None and first.mask is not None and second.mask is not None:
        length = max(first.states.shape[1], second.states.shape[1])
        states = torch.cat([_padded(first.states, length), _padded(second.states, length)])
        mask = torch.cat([_padded(first.mask, length), _padded(second.mask, length)])
    if first.concepts is not None and second.concepts is not None:
        concepts = torch.cat([first.concepts, second.concepts])
    return Text(states=states, mask=mask, concepts=concepts)


def _padded(x: Tensor, length: int) -> Tensor:
    """Axis 1 filled up with zeros (false) to `length`."""
    extra = length - x.shape[1]
    return torch.cat([x, x.new_zeros(x.shape[0], extra, *x.shape[2:])], 1) if extra else x


def unpack_q4(packed: NDArray[np.uint8], shape: tuple[int, ...]) -> Tensor:
    """Blocks of 18 bytes (an fp16 scale, then 16 bytes of nibbles: low ones first, then high ones) to float32."""
    raw = packed.reshape(-1, 18)
    scale = raw[:, :2].copy().view("<f2").astype(np.float32)
    nibbles = raw[:, 2:]
    values = np.concatenate([nibbles & 15, nibbles >> 4], 1).astype(np.float32) - 8
    return torch.from_numpy((values * scale).reshape(shape))


class PackedEmbedding(nn.Module):
    """An embedding table that stays in 4 bits; only the rows that are looked up are unpacked."""

    packed: Tensor

    def __init__(self, packed: Tensor, width: int) -> None:
        super().__init__()
        self.width = width
        self.register_buffer("packed", packed.view(-1, width // BLOCK * 18), persistent=False)

    @property
    def rows(self) -> int:
        """How many rows the table has."""
        return len(self.packed)

    def forward(self, ids: Tensor) -> Tensor:
        rows, back = ids.unique(return_inverse=True)
        table = unpack_q4(self.packed[rows].cpu().numpy(), (len(rows), self.width)).to(ids.device)
        return table[back]


class Layer(nn.Module):
    """One post-norm BERT layer."""

    def __init__(self, width: int, heads: int, hidden: int, eps: float) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.up = nn.Linear(width, hidden)
        self.down = nn.Linear(hidden, width)
        self.norm1 = nn.LayerNorm(width, eps=eps)
        self.norm2 = nn.LayerNorm(width, eps=eps)

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        B, L, D = x.shape
        q, k, v = self.qkv(x).view(B, L, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        scores = (q / math.sqrt(D // self.heads)) @ k.mT + bias.to(q.dtype)
        a = (scores.softmax(-1).to(v.dtype) @ v).transpose(1, 2).reshape(B, L, D)
        x = self.norm1(x + self.out(a))
        y: Tensor = self.norm2(x + self.down(F.gelu(self.up(x))))
        return y


class TextEncoder(nn.Module):
    """`encode(texts)` gives token states [B, L, 384] and their mask [B, L]; nothing in it is ever trained."""

    def __init__(
        self, words: PackedEmbedding | Words, positions: Tensor, layers: int, heads: int, hidden: int, eps: float
    ) -> None:
        super().__init__()
        width = words.width
        self.words = words
        self.positions = nn.Embedding.from_pretrained(positions)
        self.norm = nn.LayerNorm(width, eps=eps)
        self.layers = nn.ModuleList(Layer(width, heads, hidden, eps) for _ in range(layers))
        self.tokenizer: Tokenizer | None = None
        self._known: dict[str, tuple[Tensor, Tensor, Tensor]] = {}  # single texts that were just encoded

    @property
    def width(self) -> int:
        return self.words.width

    @staticmethod
    def load(path: Path) -> TextEncoder:
        """Read the encoder that `tools/build_text_encoder.py` wrote; raises CheckpointError when it can't be used."""
        from tokenizers import Tokenizer

        try:
            with safe_open(path, "numpy") as f:
                cfg = json.loads((f.metadata() or {})["config"])
                data = {k: f.get_tensor(k) for k in f.keys()}  # noqa: SIM118 - safe_open is no mapping
            tokenizer = lzma.decompress(data.pop("tokenizer").tobytes()).decode()
            shapes = {k: tuple(v) for k, v in cfg["shapes"].items()}
            words = PackedEmbedding(torch.from_numpy(data.pop("words")), shapes["words"][1])
            tensors = {
                k: unpack_q4(v, shapes[k]) if v.dtype == np.uint8 else torch.from_numpy(v.astype(np.float32))
                for k, v in data.items()
            }
            enc = TextEncoder(words, tensors.pop("positions"), cfg["layers"], cfg["heads"], cfg["hidden"], cfg["eps"])
            missing, extra = enc.load_state_dict(tensors, strict=False)
            if extra or set(missing) - {"positions.weight"}:
                raise ValueError(f"missing {missing}, unexpected {extra}")
            enc.tokenizer = Tokenizer.from_str(tokenizer)
        except Exception as err:
            raise CheckpointError(f"the text encoder {path.name} cannot be read ({err}); reinstall haneul") from err
        return enc.eval().requires_grad_(False)

    def tokenize(self, text: str, limit: int = 128) -> list[int]:
        """Token ids with the sentence marks, at most `limit` of them."""
        assert self.tokenizer is not None
        ids: list[int] = self.tokenizer.encode(text).ids
        return [0, *ids[: limit - 2], 2]

    def forward(self, ids_BL: Tensor, mask_BL: Tensor) -> tuple[Tensor, Tensor]:
        """States [B, L, width] of token ids after `INNER` layers and after all; true in the mask are the real ones."""
        place = torch.arange(ids_BL.shape[1], device=ids_BL.device)
        x: Tensor = self.norm((self.words(ids_BL) + self.positions(place)).to(self.norm.weight.dtype))
        bias = torch.zeros(mask_BL.shape, device=x.device).masked_fill(~mask_BL, -1e4)[:, None, None]
        inner = x
        for number, layer in enumerate(self.layers, start=1):
            x = layer(x, bias)
            inner = x if number <= INNER else inner
        return inner, x

    @torch.no_grad()
    def encode(self, texts: list[str], length: int | None = None) -> tuple[Tensor, Tensor]:
        """States [B, L, 384] and mask [B, L]; L is the longest text's, or `length` (longer ones are cut).

        A single text's are kept for a while: screen, concepts and transformer ask for the same one after another.
        """
        _, states, mask = self.encode_both(texts, length)
        return states, mask

    @torch.no_grad()
    def encode_both(self, texts: list[str], length: int | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """As `encode`, with the states after the first `INNER` layers before them."""
        if len(texts) == 1 and length is None:
            if texts[0] not in self._known:
                while len(self._known) >= KEPT:
                    self._known.pop(next(iter(self._known)))
                self._known[texts[0]] = self._encode(texts, None)
            return self._known[texts[0]]
        return self._encode(texts, length)

    def _encode(self, texts: list[str], length: int | None) -> tuple[Tensor, Tensor, Tensor]:
        rows = [self.tokenize(t, length or 128) for t in texts]
        L = length or max(len(r) for r in rows)
        device, dtype = self.norm.weight.device, self.norm.weight.dtype
        states = torch.zeros(len(rows), L, self.width, dtype=dtype, device=device)
        inner = torch.zeros_like(states)
        mask = torch.zeros(len(rows), L, dtype=torch.bool, device=device)
        # Texts of like length together, so that little is spent on padding.
        order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
        for first in range(0, len(order), CHUNK):
            chosen = order[first : first + CHUNK]
            longest = len(rows[chosen[-1]])
            ids = torch.tensor([rows[i] + [1] * (longest - len(rows[i])) for i in chosen], device=device)
            here = ids != 1
            index = torch.tensor(chosen, device=device)
            inner[index, :longest], states[index, :longest] = self(ids, here)
            mask[index, :longest] = here
        return inner, states, mask
