"""Recipes: plain functions that return the whole configuration of a training run."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import torch

from haneul.errors import TrainingError
from haneul.model.concepts import sizes_of
from haneul.model.flow import LevelMix
from haneul.model.presets import Preset, preset
from haneul.world.concepts import SLOTS


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that decides a run of the transformer. `latents` is the cache made by data/latents.py, `folder` keeps
    the resumable state, the log and the sheets."""

    preset: Preset
    latents: Path
    folder: Path
    codec: Path
    text_encoder: Path
    budget: float = 3600.0  # seconds of wall clock of this call
    tokens: int = 4480  # a batch holds as many clips as fit
    #: (first step, {latent frames: share of the steps}): pictures first, they are cheap and teach what things look like
    curriculum: tuple[tuple[int, dict[int, float]], ...] = ((0, {1: 0.25, 5: 0.45, 13: 0.30}),)
    text_length: int = 44  # of models that read words
    optimiser: str = "adamw"  # "adamw" | "muon"
    learning_rate: float = 1e-3
    warmup: int = 200
    #: (first, last) step over which the rate falls to zero, and the run ends; none: it has no end
    cooldown: tuple[int, int] | None = None
    weight_decay: float = 0.01
    ema: float = 0.999
    clip: float = 1.0
    drop_text: float = 0.1
    keep_controls: float = 0.4  # share of clips that are told the camera's way; likewise the subject's action
    subject_weight: float = 3.0  # extra weight of tokens that subjects cover
    truth_weight: float = 1.0  # of the auxiliary head
    truth_at: int = 4  # blocks before the auxiliary head
    levels: LevelMix = field(default_factory=LevelMix)
    seed: int = 0
    threads: int = 2
    compile: bool = True
    device: str = "cpu"
    save_every: float = 150.0  # seconds
    sheet_every: float = 900.0
    log_every: int = 20

    def lengths(self, step: int) -> dict[int, float]:
        """Shares of the lengths at a step."""
        return [lengths for first, lengths in self.curriculum if first <= step][-1]

    def __post_init__(self) -> None:
        if self.optimiser not in ("adamw", "muon"):
            raise TrainingError(f"unknown optimiser {self.optimiser!r}; choose adamw or muon")
        if not self.curriculum or self.curriculum[0][0] != 0:
            raise TrainingError("the curriculum must begin at step 0")
        for _, lengths in self.curriculum:
            if abs(sum(lengths.values()) - 1) > 1e-6:
                raise TrainingError(f"the shares of the lengths add up to {sum(lengths.values())}, not to 1")
        if self.device not in ("cpu", "cuda") or (self.device == "cuda" and not torch.cuda.is_available()):
            raise TrainingError(f"cannot train on {self.device!r}: no such device here; use cpu")
        if self.cooldown and not 0 <= self.cooldown[0] < self.cooldown[1]:
            raise TrainingError(f"a cool-down over the steps {self.cooldown} is none: name its first and its last step")
        if self.budget <= 0:
            raise TrainingError(f"a budget of {self.budget} s leaves no time to train")


def can_compile() -> bool:
    """Whether there is a C++ compiler, which torch.compile needs; without one training is slower, not worse."""
    return shutil.which(os.environ.get("CXX", "g++")) is not None


def nano(**changes: object) -> Recipe:
    """About 10M parameters: hours on two CPU cores. Optimiser, rate and averaging are those the bundled weights had."""
    chosen = {
        "optimiser": "muon", "learning_rate": 2e-3, "warmup": 60, "ema": 0.998,
        "curriculum": (
            (0, {1: 0.8, 5: 0.2}),
            (1500, {1: 0.3, 5: 0.5, 13: 0.2}),
            (3500, {1: 0.15, 5: 0.3, 13: 0.55}),
        ),
    } | changes  # fmt: skip
    return Recipe(preset=preset("nano", sizes_of(SLOTS)), **chosen)  # type: ignore[arg-type]
