"""Which files a folder of our own weights has: the bundled layout, or that of diffusers, which `haneul export` writes.

Nothing here imports torch.
"""

from __future__ import annotations

import json
from pathlib import Path

from haneul.errors import CheckpointError

INDEX = "model_index.json"
LIBRARY = "haneul.parts"  #: the module that its classes lie in
KIND = "HaneulPipeline"  #: what the index calls itself; diffusers has no class of that name
#: Our name of a part -> its folder and its class.
PARTS = {
    "dit": ("transformer", "DiT"),
    "codec": ("vae", "Codec"),
    "upscaler": ("upscaler", "Upscaler"),
    "concepts": ("concepts", "ConceptReader"),
}
WEIGHTS = "diffusion_pytorch_model.safetensors"  #: as diffusers calls a part's file


def is_exported(folder: Path) -> bool:
    """Whether a folder holds a model of ours in this layout; False for what is none or cannot be read."""
    try:
        index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(index, dict) and index.get("_class_name") == KIND


def is_ours(folder: Path) -> bool:
    """Whether a folder holds a model of ours in either layout."""
    return is_exported(folder) or (folder / "dit.safetensors").is_file()


def part_file(folder: Path, part: str) -> Path:
    """Where a part's weights lie in a folder of either layout."""
    if part in PARTS and is_exported(folder):
        return folder / PARTS[part][0] / WEIGHTS
    return folder / f"{part}.safetensors"


def live_file(folder: Path) -> Path:
    """Where a folder's live model lies. Raises CheckpointError where it has none."""
    path = folder / "live.safetensors"
    if not path.is_file():
        raise CheckpointError(f"no live model at {path}, and none ships yet; train one with: haneul train live")
    return path


def weight_files(folder: Path) -> list[Path]:
    """All files of weights of an exported folder, by name."""
    return sorted(folder.rglob("*.safetensors"))
