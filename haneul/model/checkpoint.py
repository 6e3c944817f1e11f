"""Checkpoints: safetensors only, with a card inside, checked when they are read."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from haneul.errors import CheckpointError

FORMAT = "haneul-1"


@dataclass(frozen=True, kw_only=True)
class Card:
    """What a user should know of a set of weights; it travels inside the file."""

    part: str  # "dit" | "codec" | "upscaler" | "reader"
    preset: str
    config: dict[str, Any]
    recipe: dict[str, Any] = field(default_factory=dict)
    sampling: dict[str, Any] = field(default_factory=dict)  # sampler.Sampling, of a transformer
    commit: str = ""
    data_ledger_root: str = ""
    evaluation: dict[str, Any] = field(default_factory=dict)
    licence: str = "Apache-2.0"
    trained: str = ""  # date


def tensors_digest(tensors: dict[str, Tensor]) -> str:
    """SHA-256 over names, shapes and bytes in sorted order: damage is seen even where the container still parses."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        t = tensors[name].contiguous()
        digest.update(f"{name}{tuple(t.shape)}{t.dtype}".encode())
        digest.update(t.reshape(-1).view(torch.uint8).numpy().data if t.numel() else b"")
    return digest.hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


SCALE = "/scale"  #: after the name of a matrix in few bits: the factors of its rows
SIX = "/six"  #: after the name of a matrix in six bits: its rows, four numbers in three bytes
SHAPE = "/shape"  #: after that name: its shape
LEAST = 4096  #: numbers in the smallest tensor that is kept in few bits
Bits = int | Callable[[str], int]  #: of a matrix, 8 or 6, or of the one of a name
CLIPS = (1.0, 0.93, 0.86, 0.8, 0.74)  #: shares of a row's largest number that are tried as the largest in six bits


def to_few_bits(state: dict[str, Tensor], bits: Bits = 8) -> dict[str, Tensor]:
    """Matrices as whole numbers of 8 or 6 bits, the same for all or chosen by a tensor's name, each row (all inputs of
    one output) with a factor of its own; other tensors as float16."""
    out = {}
    for name, v in state.items():
        if not v.is_floating_point() or v.ndim < 2 or v.numel() < LEAST:
            out[name] = v.half() if v.is_floating_point() else v
            continue
        rows = v.detach().float().cpu().flatten(1)
        if (bits if isinstance(bits, int) else bits(name)) == 8:
            factor = rows.abs().amax(1, keepdim=True).clamp(min=1e-12) / 127
            out[name] = (rows / factor).round().to(torch.int8).view(v.shape)
        else:
            out[name + SIX], factor = _to_six(rows)
            out[name + SHAPE] = torch.tensor(v.shape)
        out[name + SCALE] = factor[:, 0]
    return out


def _to_six(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Numbers from -31 to 31, four in three bytes, and the factor of each row that leaves the smallest error."""
    most = rows.abs().amax(1, keepdim=True).clamp(min=1e-12) / 31
    tried = torch.stack([most * clip for clip in CLIPS])
    errors = [((rows / f).round().clamp(-31, 31) * f - rows).square().sum(1) for f in tried]
    factor = tried[torch.stack(errors).argmin(0), torch.arange(len(rows))]
    numbers = ((rows / factor).round().clamp(-31, 31) + 31).to(torch.int32)
    a, b, c, d = torch.nn.functional.pad(numbers, (0, -rows.shape[1] % 4)).unflatten(1, (-1, 4)).unbind(-1)
    three = torch.stack([a << 2 | b >> 4, (b & 15) << 4 | c >> 2, (c & 3) << 6 | d], -1)
    return three.flatten(1).to(torch.uint8), factor


def _from_six(packed: Tensor, shape: list[int]) -> Tensor:
    x, y, z = packed.to(torch.int32).unflatten(1, (-1, 3)).unbind(-1)
    numbers = torch.stack([x >> 2, (x & 3) << 4 | y >> 4, (y & 15) << 2 | z >> 6, z & 63], -1).flatten(1) - 31
    return numbers[:, : math.prod(shape[1:])].float().view(shape)


def from_few_bits(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The inverse, up to rounding; float32. What was not in few bits stays as it is."""
    out = {}
    for name, v in tensors.items():
        if name.endswith((SCALE, SHAPE)):
            continue
        plain = name.removesuffix(SIX)
        if plain != name:
            v = _from_six(v, tensors[plain + SHAPE].tolist())
        factor = tensors.get(plain + SCALE)
        out[plain] = v if factor is None else v.float() * factor.view(-1, *[1] * (v.ndim - 1))
    return out


def save(
    path: Path, state: dict[str, Tensor], card: Card, *, dtype: torch.dtype | None = None,
    bits: Bits | None = None,
) -> None:  # fmt: skip
    """Write weights (floating tensors as `dtype`, or matrices in few `bits`) and card atomically."""
    if bits is not None:
        state, dtype = to_few_bits(state, bits), None
    tensors = {
        k: (v.to(dtype) if dtype and v.is_floating_point() else v).detach().cpu().clone().contiguous()
        for k, v in state.items()
    }
    meta = {"format": FORMAT, "card": json.dumps(asdict(card)), "digest": tensors_digest(tensors)}
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        save_file(tensors, str(temporary), meta)
        temporary.chmod(0o644)  # the library makes files that only their owner can read
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def load(path: Path, part: str) -> tuple[dict[str, Tensor], Card]:
    """Tensors (as stored, or what few bits stand for) and card.

    Raises CheckpointError when missing, damaged, or another part's."""
    if not path.is_file():
        raise CheckpointError(f"no weights at {path}; reinstall haneul or point to another folder")
    try:
        with safe_open(path, "pt") as f:
            meta = f.metadata() or {}
            tensors = {k: f.get_tensor(k) for k in f.keys()}  # noqa: SIM118 - safe_open is no mapping
    except (SafetensorError, OSError, ValueError) as err:
        raise CheckpointError(f"{path} is damaged or no safetensors file ({err}); fetch it again") from err
    if meta.get("format") != FORMAT:
        raise CheckpointError(f"{path} is not a Haneul checkpoint (format {meta.get('format')!r}, expected {FORMAT!r})")
    if tensors_digest(tensors) != meta.get("digest"):
        raise CheckpointError(f"{path} was changed since it was written: its digest does not match; fetch it again")
    try:
        card = Card(**json.loads(meta["card"]))
    except (KeyError, TypeError, ValueError) as err:
        raise CheckpointError(f"the card of {path} is damaged ({err}); fetch it again") from err
    if card.part != part:
        raise CheckpointError(f"{path} holds a {card.part}, not a {part}")
    return from_few_bits(tensors), card


def load_into(module: torch.nn.Module, tensors: dict[str, Tensor], path: Path) -> None:
    """Load tensors into a module in its own dtype; raises CheckpointError where shapes differ."""
    try:
        module.load_state_dict({k: v.to(module.state_dict()[k].dtype) for k, v in tensors.items()})
    except (RuntimeError, KeyError) as err:
        raise CheckpointError(f"{path} does not fit its own card: {str(err).splitlines()[0]}") from err
