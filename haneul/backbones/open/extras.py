"""What goes with a checkpoint: a single file of weights, LoRA files, and what makes it faster on request."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from haneul.backbones.open import quantise
from haneul.backbones.open.folder import PICKLES, read_header
from haneul.errors import CheckpointError, InputError

SINGLE = (".safetensors", ".gguf")  #: files that a denoiser may come in


@dataclass(frozen=True, kw_only=True)
class Extras:
    """What goes with a checkpoint.

    `weights`: one file (.safetensors or .gguf) instead of the folder's denoiser. `loras`: files and how strongly each
    counts. `cache`: a threshold for `speed.skip_alike`, 0 for none. `compile`: as `speed.compile_blocks`.
    `context_noise`: the share of noise, from 0 to below 1, on what a window of a long video sees of the one before it;
    None as the family has it (`context.level`). `quantise`: the denoiser's weights in eight bits by torchao, however
    much memory there is. `exact`: whether pictures are those of plain diffusers bit for bit, without what is faster and
    differs by rounding (`speed.neutral`).
    """

    weights: Path | None = None
    loras: tuple[tuple[Path, float], ...] = ()
    cache: float = 0.0
    compile: bool = False
    exact: bool = False
    context_noise: float | None = None
    quantise: bool = False

    def __post_init__(self) -> None:
        for path, kinds in [(self.weights, SINGLE), *((path, (".safetensors",)) for path, _ in self.loras)]:
            if path is None:
                continue
            if path.suffix.lower() in PICKLES:
                raise CheckpointError(f"{path.name} is a pickle, which can run code and is never opened")
            if path.suffix.lower() not in kinds:
                raise CheckpointError(f"{path.name} is none of {', '.join(kinds)}; give one of these")
            if not path.is_file():
                raise CheckpointError(f"there is no file {path}")
            if path.suffix.lower() == ".safetensors":
                read_header(path)
        if self.quantise:
            quantise.check()
            if self.weights is not None and self.weights.suffix.lower() == ".gguf":
                raise InputError(f"{self.weights.name} is quantised already; leave --quantise out")
        if not 0 <= self.cache < 1:
            raise InputError(f"a cache threshold of {self.cache:g} is out of range; choose 0 (off) to below 1")
        if self.context_noise is not None and not 0 <= self.context_noise < 1:
            raise InputError(f"a context noise of {self.context_noise:g} is out of range; choose 0 (none) to below 1")
