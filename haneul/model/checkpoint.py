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


def save(path: Path, state: dict[str, Tensor], card: Card, *, dtype: torch.dtype | None = None) -> None:
    """Write weights (floating tensors as `dtype`) and card atomically."""
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
    """Tensors (as stored) and card; raises CheckpointError when missing, damaged, or another part's."""
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
    return tensors, card


def load_into(module: torch.nn.Module, tensors: dict[str, Tensor], path: Path) -> None:
    """Load tensors into a module in its own dtype; raises CheckpointError where shapes differ."""
    try:
        module.load_state_dict({k: v.to(module.state_dict()[k].dtype) for k, v in tensors.items()})
    except (RuntimeError, KeyError) as err:
        raise CheckpointError(f"{path} does not fit its own card: {str(err).splitlines()[0]}") from err
