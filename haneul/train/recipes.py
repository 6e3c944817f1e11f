"""Recipes: plain functions that return the whole configuration of a training run."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import torch

from haneul.errors import TrainingError
from haneul.model.concepts import sizes_of
from haneul.model.flow import LevelMix
from haneul.model.presets import Preset, preset
from haneul.model.sampler import GUIDANCE, RESCALE, SHIFT, STEPS, WEAK, Sampling
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
    begin: Path | None = None  # a transformer's weights to begin with instead of chance
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
    cool_share: float | None = None  # likewise, over the last share of the budget; for runs that the clock ends
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
    stream: Path | None = None  # a folder that data/stream.py fills; clips come from there instead of `latents`
    capacity: int = 80_000  # clips of a stream that are held in memory
    begin_clips: int = 1024  # of a stream, before the first step
    patience: float = 300.0  # seconds to wait for them
    files: int | None = None  # chunks of a stream that stay on disk once they are in memory; none: all
    feed_every: int = 10  # steps from one look for new clips to the next

    @property
    def sampling(self) -> Sampling:
        """How to sample from what is trained."""
        return Sampling()

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
        if self.cool_share is not None and not 0 < self.cool_share <= 1:
            raise TrainingError(
                f"a cool-down over {self.cool_share} of the budget is none; choose a share above 0, to 1"
            )
        if self.budget <= 0:
            raise TrainingError(f"a budget of {self.budget} s leaves no time to train")


@dataclass(frozen=True, kw_only=True)
class DistillRecipe(Recipe):
    """A run that makes a student of few steps from `begin`, its teacher; see distill.py."""

    method: str = "solve"  # "solve" | "bootstrap" | "guide": only guidance is learned, steps stay small
    student_steps: int = 4
    teacher_steps: int = 4  # in each segment
    guidance: float = GUIDANCE
    rescale: float = RESCALE
    weak: float = WEAK
    shift: float = SHIFT
    inside: float = 0.3  # share of starts anywhere within a segment, and not at its beginning
    own: float = 0.5  # share of batches that start where the student's own steps lead

    @property
    def sampling(self) -> Sampling:
        sampler = "multistep" if self.method == "guide" else "euler"
        return Sampling(steps=self.student_steps, guidance=1.0, weak=0.0, shift=self.shift, sampler=sampler)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.method not in ("solve", "bootstrap", "guide"):
            raise TrainingError(f"unknown method {self.method!r}; choose solve, bootstrap or guide")
        if self.begin is None:
            raise TrainingError("a student needs a teacher; name its weights as `begin`")
        if not 1 <= self.student_steps <= 16 or not 1 <= self.teacher_steps <= 64:
            raise TrainingError(f"{self.student_steps} steps of {self.teacher_steps} are none; choose 1-16 of 1-64")


def can_compile() -> bool:
    """Whether there is a C++ compiler, which torch.compile needs; without one training is slower, not worse."""
    return shutil.which(os.environ.get("CXX", "g++")) is not None


def nano(**changes: object) -> Recipe:
    """About 21M parameters: many hours on two CPU cores; `streamed` takes minutes on a GPU."""
    chosen = {
        "optimiser": "muon", "learning_rate": 2e-3, "warmup": 60, "ema": 0.998,
        "curriculum": (
            (0, {1: 0.8, 5: 0.2}),
            (1500, {1: 0.3, 5: 0.5, 13: 0.2}),
            (3500, {1: 0.15, 5: 0.3, 13: 0.55}),
        ),
    } | changes  # fmt: skip
    return Recipe(**{"preset": preset("nano", sizes_of(SLOTS))} | chosen)  # type: ignore[arg-type]


def streamed(**changes: object) -> Recipe:
    """`nano` on one GPU, in minutes: large batches of clips that are made meanwhile, and a rate that falls over the
    last three fifths of the budget. Weights to begin with know pictures already, and want a lower rate that falls
    sooner. The bundled weights had both, one after the other (docs/log.md)."""
    chosen = {
        "tokens": 49_152, "warmup": 100, "ema": 0.999, "cool_share": 0.6, "begin_clips": 800, "files": 300,
        "log_every": 50, "sheet_every": 1e9, "save_every": 60.0, "capacity": 110_000,
        "curriculum": (
            (0, {1: 0.7, 5: 0.2, 13: 0.1}),
            (600, {1: 0.3, 5: 0.35, 13: 0.35}),
            (1500, {1: 0.12, 5: 0.23, 13: 0.65}),
        ),
    }  # fmt: skip
    if changes.get("begin") is not None:
        chosen |= {"learning_rate": 1.5e-3, "cool_share": 0.75, "curriculum": ((0, {1: 0.1, 5: 0.2, 13: 0.7}),)}
    return nano(**chosen | changes)


def guided(**changes: object) -> DistillRecipe:
    """The student that has learned its teacher's guidance: as many steps, a third of the evaluations. On a stream."""
    chosen = {
        "method": "guide", "student_steps": STEPS, "tokens": 49_152, "own": 0.1, "inside": 1.0, "learning_rate": 5e-4,
        "warmup": 40, "ema": 0.995, "cool_share": 0.6, "begin_clips": 800, "log_every": 50, "sheet_every": 1e9,
        "save_every": 60.0, "curriculum": ((0, {1: 0.1, 5: 0.25, 13: 0.65}),),
    } | changes  # fmt: skip
    return distill(**chosen)


def few_steps(**changes: object) -> DistillRecipe:
    """The student of four evaluations: `guided` teaches it, whose three steps are one of its own. On a stream."""
    chosen = {
        "student_steps": 4, "teacher_steps": STEPS // 4, "guidance": 1.0, "weak": 0.0, "tokens": 49_152, "warmup": 40,
        "ema": 0.998, "cool_share": 0.6, "begin_clips": 800, "log_every": 50, "sheet_every": 1e9, "save_every": 60.0,
    } | changes  # fmt: skip
    return distill(**chosen)


AnyRecipe = TypeVar("AnyRecipe", bound=Recipe)


def going_on(recipe: AnyRecipe, share: float) -> AnyRecipe:
    """A recipe in which a share of the batches only go on: all but the last one to three latent frames are given."""
    return replace(recipe, levels=replace(recipe.levels, next=share))


def distill(**changes: object) -> DistillRecipe:
    """`nano` in four evaluations."""
    chosen = {
        "optimiser": "muon", "learning_rate": 5e-4, "warmup": 20, "ema": 0.99, "tokens": 2912, "truth_weight": 0.0,
        "curriculum": ((0, {1: 0.1, 5: 0.25, 13: 0.65}),), "levels": LevelMix(independent=0.0),
    } | changes  # fmt: skip
    return DistillRecipe(**{"preset": preset("nano", sizes_of(SLOTS))} | chosen)  # type: ignore[arg-type]
