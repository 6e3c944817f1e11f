"""Checkpoints: safetensors only, with a card inside, checked when they are read."""

from __future__ import annotations

import hashlib
import json
import os
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


SCALE = "/scale"  #: after the name of a matrix in eight bits: the factors of its rows
LEAST = 4096  #: numbers in the smallest tensor that is kept in eight bits


def to_eight_bits(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Matrices as int8, each row (all inputs of one output) with a factor of its own; other tensors as float16."""
    out = {}
    for name, v in state.items():
        if not v.is_floating_point():
            out[name] = v
        elif v.ndim < 2 or v.numel() < LEAST:
            out[name] = v.half()
        else:
            rows = v.detach().float().cpu().flatten(1)
            factor = rows.abs().amax(1, keepdim=True).clamp(min=1e-12) / 127
            out[name] = (rows / factor).round().to(torch.int8).view(v.shape)
            out[name + SCALE] = factor[:, 0]
    return out


def from_eight_bits(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The inverse, up to rounding; float32. What was not in eight bits stays as it is."""
    out = {}
    for name, v in tensors.items():
        if name.endswith(SCALE):
            continue
        factor = tensors.get(name + SCALE)
        out[name] = v if factor is None else v.float() * factor.view(-1, *[1] * (v.ndim - 1))
    return out


def save(path: Path, state: dict[str, Tensor], card: Card, *, dtype: torch.dtype | None = None) -> None:
    """Write weights (floating tensors as `dtype`; torch.int8: see `to_eight_bits`) and card atomically."""
    if dtype == torch.int8:
        state, dtype = to_eight_bits(state), None
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
    """Tensors (as stored, or what eight bits stand for) and card.

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
    return from_eight_bits(tensors), card


def load_into(module: torch.nn.Module, tensors: dict[str, Tensor], path: Path) -> None:
    """Load tensors into a module in its own dtype; raises CheckpointError where shapes differ."""
    try:
        module.load_state_dict({k: v.to(module.state_dict()[k].dtype) for k, v in tensors.items()})
    except (RuntimeError, KeyError) as err:
        raise CheckpointError(f"{path} does not fit its own card: {str(err).splitlines()[0]}") from err
