"""`haneul train nano`: world -> concepts -> codec -> latents -> upscaler -> transformer -> weights, each stage
resumable."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from haneul.data import latents
from haneul.errors import TrainingError
from haneul.model.checkpoint import Card, load, load_into, save
from haneul.model.codec import Codec
from haneul.model.presets import Preset
from haneul.train.codec import CodecRecipe, train_codec
from haneul.train.concepts import ConceptsRecipe, train_concepts
from haneul.train.loop import state_path, train
from haneul.train.recipes import Recipe
from haneul.train.upscaler import UpscalerRecipe, render_pairs, train_upscaler
from haneul.world.produce import Plan, render_dataset

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Folders:
    """Where a training keeps its things, all below one folder (by default in the user's cache)."""

    root: Path
    weights: Path  # of the installed package: where the text encoder is

    @property
    def data(self) -> Path:
        return self.root / "world"

    @property
    def pairs(self) -> Path:
        return self.root / "pairs"

    @property
    def latents(self) -> Path:
        return self.root / "latents"

    @property
    def run(self) -> Path:
        return self.root / "run"

    @property
    def export(self) -> Path:
        return self.root / "export"

    @property
    def codec(self) -> Path:
        return self.export / "codec.safetensors"

    @property
    def upscaler(self) -> Path:
        return self.export / "upscaler.safetensors"

    @property
    def concepts(self) -> Path:
        return self.export / "concepts.safetensors"

    @property
    def text_encoder(self) -> Path:
        return self.weights / "text_encoder.safetensors"


def world(folders: Folders, plan: Plan, say: Say, workers: int | None = None) -> None:
    """Render the training clips that are missing."""

    def tell(done: int, total: int) -> None:
        say(f"world: {done} of {total} clips")

    render_dataset(folders.data, plan, workers=workers, progress=tell)


def concepts(folders: Folders, budget: float, say: Say) -> None:
    """Train the reader of concepts, or go on with the one that is there."""
    train_concepts(
        ConceptsRecipe(data=folders.data, text_encoder=folders.text_encoder, output=folders.concepts, budget=budget),
        say,
    )


def codec(folders: Folders, preset: Preset, budget: float, say: Say) -> None:
    """Train the codec, or go on with the one that is there."""
    folders.export.mkdir(parents=True, exist_ok=True)
    train_codec(preset, CodecRecipe(data=folders.data, output=folders.codec, budget=budget), say)


def encode(folders: Folders, preset: Preset, say: Say) -> None:
    """Encode the clips that have no latents yet."""
    tensors, _ = load(folders.codec, "codec")
    net = Codec(preset.codec)
    load_into(net, tensors, folders.codec)
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    latents.build(
        folders.data, folders.latents, net, dtype=torch.float32, progress=lambda name: say(f"latents: {name}")
    )


def upscaler(folders: Folders, preset: Preset, budget: float, pairs: int, say: Say) -> None:
    """Render pairs and train the upscaler unless there is one."""
    if folders.upscaler.exists():
        return
    recipe = UpscalerRecipe(
        data=folders.pairs, codec=folders.codec, output=folders.upscaler, budget=budget, pairs=pairs
    )
    render_pairs(preset, recipe, say)
    train_upscaler(preset, recipe, say)


def commit() -> str:
    """The commit of the working tree, or nothing outside of one."""
    try:
        command = ["git", "rev-parse", "--short", "HEAD"]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()


def export(folders: Folders, recipe: Recipe) -> Path:
    """Write the averaged weights of the run as a checkpoint with its card; returns its path."""
    path = state_path(recipe)
    if not path.exists():
        raise TrainingError(f"nothing to export: {path} does not exist; train first")
    state = torch.load(path, map_location="cpu", weights_only=True)
    manifest = folders.data / "manifest.json"
    root = json.loads(manifest.read_text())["ledger_root"] if manifest.exists() else ""
    card = Card(
        part="dit",
        preset=recipe.preset.name,
        config={**asdict(recipe.preset.dit)},
        recipe={k: str(v) for k, v in asdict(recipe).items() if k not in ("folder", "latents", "codec", "text_encoder")}
        | {"steps": str(state["step"]), "clips": str(state["clips"]), "minutes": str(round(state["seconds"] / 60))},
        commit=commit(),
        data_ledger_root=root,
        trained=time.strftime("%Y-%m-%d"),
    )
    target = folders.export / "dit.safetensors"
    save(target, state["ema"], card, dtype=torch.bfloat16)
    for name in ("text_encoder.safetensors", "known_words.json", "scenes.json"):
        shutil.copyfile(folders.weights / name, folders.export / name)
    return target


#: In order. `dit` is the transformer.
STAGES = ("world", "concepts", "codec", "latents", "upscaler", "dit", "export")


def run_stage(
    stage: str, folders: Folders, recipe: Recipe, plan: Plan, *, concepts_budget: float, codec_budget: float,
    upscaler_budget: float, pairs: int, say: Say,
) -> None:  # fmt: skip
    """One of STAGES alone. A codec that is there already trains on; see the functions."""
    if stage == "world":
        world(folders, plan, say)
    elif stage == "concepts":
        concepts(folders, concepts_budget, say)
    elif stage == "codec":
        codec(folders, recipe.preset, codec_budget, say)
    elif stage == "latents":
        encode(folders, recipe.preset, say)
    elif stage == "upscaler":
        upscaler(folders, recipe.preset, upscaler_budget, pairs, say)
    elif stage == "dit":
        train(recipe, say)
    elif stage == "export":
        say(f"wrote {export(folders, recipe)}")
    else:
        raise TrainingError(f"unknown stage {stage!r}; the stages are {', '.join(STAGES)}")


def everything(
    folders: Folders, recipe: Recipe, plan: Plan, *, concepts_budget: float, codec_budget: float,
    upscaler_budget: float, pairs: int, say: Say,
) -> None:  # fmt: skip
    """All stages in order; what is done already is skipped, and the transformer trains for the recipe's budget."""
    for stage in STAGES:
        if stage == "concepts" and folders.concepts.exists():
            continue
        if stage == "codec" and folders.codec.exists():
            continue  # further training would be for nothing, or make the latents worthless where the encoder learns
        run_stage(
            stage,
            folders,
            recipe,
            plan,
            concepts_budget=concepts_budget,
            codec_budget=codec_budget,
            upscaler_budget=upscaler_budget,
            pairs=pairs,
            say=say,
        )
