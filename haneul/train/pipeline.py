"""`haneul train nano`: world -> concepts -> codec -> latents -> upscaler -> transformer -> weights -> polish -> a
smaller upscaler, each stage resumable."""

from __future__ import annotations

import json
import multiprocessing as mp
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from haneul.data import latents
from haneul.data.ledger import LEDGER, merkle_root, read_seeds, write_seeds
from haneul.data.prove import plans_of
from haneul.data.stream import CHUNK, stream
from haneul.errors import TrainingError
from haneul.model.checkpoint import Card, file_digest, load, load_into, save
from haneul.model.codec import Codec
from haneul.model.presets import Preset
from haneul.train.codec import CodecRecipe, train_codec
from haneul.train.concepts import ConceptsRecipe, train_concepts
from haneul.train.distill import distill
from haneul.train.loop import ledger_path, state_path, train
from haneul.train.recipes import DistillRecipe, Recipe
from haneul.train.remake import RemakeRecipe, remake
from haneul.train.upscaler import UpscalerRecipe, render_moments, render_pairs, train_upscaler
from haneul.train.upscaler_student import UpscalerStudentRecipe, train_student
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
    def remade(self) -> Path:
        return self.root / "remade"

    @property
    def export(self) -> Path:
        return self.root / "export"

    @property
    def stream(self) -> Path:
        return self.root / "stream"

    @property
    def student(self) -> Path:
        return self.root / "student"

    @property
    def codec(self) -> Path:
        return self.export / "codec.safetensors"

    @property
    def upscaler(self) -> Path:
        return self.export / "upscaler.safetensors"

    @property
    def wide_upscaler(self) -> Path:  # what the one of the export learns from
        return self.root / "wide" / "upscaler.safetensors"

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
    """Render pairs and train the wide upscaler unless there is one; the export has it until there is a smaller one."""
    if not folders.wide_upscaler.exists():
        folders.wide_upscaler.parent.mkdir(parents=True, exist_ok=True)
        recipe = UpscalerRecipe(
            data=folders.pairs, codec=folders.codec, output=folders.wide_upscaler, budget=budget, pairs=pairs
        )
        render_pairs(preset, recipe, say)
        train_upscaler(preset, recipe, say)
    if not folders.upscaler.exists():
        shutil.copyfile(folders.wide_upscaler, folders.upscaler)


def remade(folders: Folders, preset: Preset, clips: int, say: Say) -> Path:
    """The folder of the finished transformer's own versions of so many clips; makes what is missing."""
    weights = folders.export / "dit.safetensors"
    if not weights.exists():
        raise TrainingError(f"{weights} does not exist; train and export the transformer first")
    found = folders.remade / file_digest(weights)[:16]  # other weights make other errors
    recipe = RemakeRecipe(
        latents=folders.latents, weights=weights, output=found, clips=clips, text_encoder=folders.text_encoder
    )
    remake(preset, recipe, say)
    return found


def polish(folders: Folders, preset: Preset, budget: float, pairs: int, say: Say) -> None:
    """Teach the wide upscaler the finished transformer's own errors, on its versions of so many clips."""
    recipe = UpscalerRecipe(
        data=folders.pairs, codec=folders.codec, output=folders.wide_upscaler, budget=budget,
        remade=remade(folders, preset, pairs, say), world=folders.data,
        begin=folders.wide_upscaler if folders.wide_upscaler.exists() else None,
    )  # fmt: skip
    folders.wide_upscaler.parent.mkdir(parents=True, exist_ok=True)
    render_moments(preset, recipe, say)
    train_upscaler(preset, recipe, say)


def narrow(folders: Folders, preset: Preset, budget: float, pairs: int, say: Say) -> None:
    """Teach a small upscaler to draw as the wide one does, on what the finished transformer makes."""
    if not folders.wide_upscaler.exists():
        raise TrainingError(f"{folders.wide_upscaler} does not exist; train the upscaler first")
    teacher = file_digest(folders.wide_upscaler)[:16]  # another one draws other lessons
    recipe = UpscalerStudentRecipe(
        teacher=folders.wide_upscaler, codec=folders.codec, remade=remade(folders, preset, pairs, say),
        folder=folders.root / "narrow" / teacher, output=folders.upscaler, budget=budget,
    )  # fmt: skip
    train_student(preset, recipe, say)


def commit() -> str:
    """The commit of the working tree, or nothing outside of one."""
    try:
        command = ["git", "rev-parse", "--short", "HEAD"]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()


#: of a recipe that say nothing to others
PATHS = ("folder", "latents", "codec", "text_encoder", "begin", "stream")
#: of the recipe of weights that others began with, what their cards still say
HISTORY = ("method", "student_steps", "learning_rate", "tokens", "curriculum", "steps", "clips", "minutes", "machine")


def ledger_of(recipe: Recipe) -> dict[int, bytes]:
    """Seed -> leaf of all the clips that a run on a stream learned from, and its teacher before it."""
    found = read_seeds(ledger_path(recipe))
    before = None if recipe.begin is None else recipe.begin.with_name(LEDGER)
    return found | (read_seeds(before) if before is not None and before.exists() else {})


def root_of(folders: Folders, recipe: Recipe) -> str:
    """The Merkle root over the clips of a run; of a stream by rising seeds."""
    if recipe.stream is not None:
        return merkle_root(leaf for _, leaf in sorted(ledger_of(recipe).items()))
    manifest = folders.data / "manifest.json"
    return str(json.loads(manifest.read_text())["ledger_root"]) if manifest.exists() else ""


def begun_with(begin: Path) -> dict[str, str]:
    """What a card says of the weights that a run began with: their hash, their data, how those were made, and in short
    how they came about, oldest first."""
    _, card = load(begin, "dit")
    told = {"sha256": file_digest(begin), "commit": card.commit, "trained": card.trained}
    told |= {name: card.recipe[name] for name in HISTORY if name in card.recipe}
    return {
        "begin_sha256": told["sha256"],
        "begin_data_ledger_root": card.data_ledger_root,
        "begin_plans": json.dumps([asdict(plan) for plan in plans_of(card.recipe)]),
        "history": json.dumps([*json.loads(card.recipe.get("history", "[]")), told]),
    }


def machine_of(device: str) -> str:
    """What a card says of where it was trained."""
    return torch.cuda.get_device_name() if device == "cuda" else "a CPU"


def export(folders: Folders, recipe: Recipe, target: Path | None = None) -> Path:
    """Write the averaged weights of the run as a checkpoint with its card, and what needs no training beside it, into
    the folder `target` (by default the run's `export`); returns the checkpoint's path.

    A run that began with given weights names them and their data in its card: it has learned from those too."""
    path = state_path(recipe)
    if not path.exists():
        raise TrainingError(f"nothing to export: {path} does not exist; train first")
    state = torch.load(path, map_location="cpu", weights_only=True)
    card = Card(
        part="dit",
        preset=recipe.preset.name,
        config={**asdict(recipe.preset.dit)},
        sampling=asdict(recipe.sampling),
        recipe={k: str(v) for k, v in asdict(recipe).items() if k not in PATHS}
        | ({} if recipe.begin is None else begun_with(recipe.begin))
        | ({} if recipe.stream is None else {"plan": (recipe.stream / "plan.json").read_text()})
        | {"steps": str(state["step"]), "clips": str(state["clips"]), "minutes": str(round(state["seconds"] / 60))}
        | {"machine": machine_of(recipe.device)},
        commit=commit(),
        data_ledger_root=root_of(folders, recipe),
        trained=time.strftime("%Y-%m-%d"),
    )
    target = target or folders.export
    target.mkdir(parents=True, exist_ok=True)
    save(target / "dit.safetensors", state["ema"], card, bits=8)
    if recipe.stream is not None:
        write_seeds(target / LEDGER, ledger_of(recipe))
    for name in ("text_encoder.safetensors", "known_words.json", "scenes.json"):
        shutil.copyfile(folders.weights / name, target / name)
    return target / "dit.safetensors"


def export_student(folders: Folders, recipe: DistillRecipe, target: Path | None = None) -> Path:
    """A whole model with the student as its transformer, in `target` (by default the folder `student`), and that
    folder; the other parts are those of the teacher."""
    assert recipe.begin is not None
    target = export(folders, recipe, target or folders.student).parent
    for name in ("codec.safetensors", "concepts.safetensors", "upscaler.safetensors"):
        source = recipe.begin.parent / name
        if not source.exists():
            raise TrainingError(f"{source} is missing; a student needs the other parts of its teacher beside it")
        shutil.copyfile(source, target / name)
    return target


def streamed(
    folders: Folders, recipe: Recipe, students: Sequence[DistillRecipe], plan: Plan, *, workers: int, say: Say,
    chunk: int = CHUNK,
) -> Path:  # fmt: skip
    """Train the transformer, and then one student after the other, on clips that are made meanwhile; returns the
    folder of a whole model with the last one. A student that others begin with lies in its folder's `export`, a whole
    model too. The parts that a stream does not train (codec, reader of concepts, upscaler) are those in the folder
    `export`, or else the bundled ones."""
    folders.export.mkdir(parents=True, exist_ok=True)
    for name in ("codec.safetensors", "concepts.safetensors", "upscaler.safetensors"):
        if not (folders.export / name).exists():
            shutil.copyfile(folders.weights / name, folders.export / name)
    making = mp.get_context("spawn").Process(
        target=stream,
        args=(folders.stream, plan, folders.codec),
        kwargs={"device": recipe.device, "workers": workers, "chunk": chunk},
    )
    making.start()
    try:
        train(recipe, say)
        export(folders, recipe)
        for student in students:
            distill(student, say)
            found = export_student(folders, student, None if student is students[-1] else student.folder / "export")
    finally:
        making.terminate()
        making.join()
    return found


#: In order. `dit` is the transformer.
STAGES = ("world", "concepts", "codec", "latents", "upscaler", "dit", "export", "polish", "narrow")


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
    elif stage == "polish":
        polish(folders, recipe.preset, upscaler_budget, pairs, say)
    elif stage == "narrow":
        narrow(folders, recipe.preset, upscaler_budget, pairs, say)
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
