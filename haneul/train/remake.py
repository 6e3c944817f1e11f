"""The model's own versions of training clips: what an upscaler has to draw, beside what it should have been.

An upscaler that learns from encoded clips has never seen what a sampler gets wrong: patches that do not quite meet,
specks of another colour, edges that are there in one patch and not in the next. So clips are noised to some level and
sampled back from there (SDEdit, Meng et al., arXiv 2108.01073): above a level of about .1 the result is the same scene,
with the model's errors in it, and the clip itself says what was right.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from haneul.data.latents import Pool, draw
from haneul.data.shards import read_shard
from haneul.errors import TrainingError
from haneul.model.checkpoint import load, load_into
from haneul.model.codec import GROUP
from haneul.model.dit import DiT, DiTConfig
from haneul.model.modes import sample, text_to_video, with_given
from haneul.model.precision import autocast
from haneul.model.presets import Preset
from haneul.model.sampler import Sampling
from haneul.model.text import TextEncoder
from haneul.train.captions import told

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class RemakeRecipe:
    latents: Path  # the cache made by data/latents.py
    weights: Path  # of the transformer that remakes them
    text_encoder: Path | None = None  # of models that read words
    text_length: int = 44
    output: Path  # a folder, one file for each of the cache's
    clips: int = 2000
    frames: int = 5  # latent frames of a window
    lowest: float = 0.12  # level that clips are noised to, each its own
    highest: float = 0.8
    steps: int | None = None  # as the weights' card says, where it says nothing else
    batch: int = 16
    threads: int = 2
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class Remade:
    """Windows of one size: latents fp16 [n, C, F, h, w], and what they should look like, uint8 [n, T, H, W, 3]."""

    z: Tensor
    video: NDArray[np.uint8]


@torch.no_grad()
def remake(preset: Preset, recipe: RemakeRecipe, say: Say = print) -> None:
    """Remake one window of every clip, file by file until there are enough; resumable."""
    torch.set_num_threads(recipe.threads)
    weights, card = load(recipe.weights, "dit")
    dit = DiT(DiTConfig(**card.config))
    load_into(dit, weights, recipe.weights)
    dit.eval()
    how = Sampling(**card.sampling)  # their own way: a student has its guidance built in
    how = replace(how, steps=recipe.steps or how.steps)
    encoder = None
    if dit.refine is not None and recipe.text_encoder is not None:
        encoder = TextEncoder.load(recipe.text_encoder)
    recipe.output.mkdir(parents=True, exist_ok=True)
    done = 0
    for number, path in enumerate(sorted(recipe.latents.glob("shard-*.pt"))):
        if done >= recipe.clips:
            break
        item = torch.load(path, weights_only=True, mmap=True)
        tensors = {k: item[k] for k in ("groups", "singles", "cover", "controls")}
        pool = Pool(**tensors, facts=item["facts"])
        target = recipe.output / path.name
        if not target.exists():
            found = [
                _window(dit, how, encoder, preset, recipe, pool, np.random.default_rng([recipe.seed, number, i]))
                for i in range(0, pool.clips, recipe.batch)
            ]
            keys = found[0].keys()
            temporary = target.with_suffix(".tmp")
            torch.save({k: torch.cat([f[k] for f in found])[: pool.clips] for k in keys}, temporary)
            temporary.replace(target)
        done += pool.clips
        say(f"remade {done} of {recipe.clips} clips")
    if not done:
        raise TrainingError(f"{recipe.latents} holds no latents to remake")


def _window(
    dit: DiT,
    how: Sampling,
    encoder: TextEncoder | None,
    preset: Preset,
    recipe: RemakeRecipe,
    pool: Pool,
    rng: np.random.Generator,
) -> dict[str, Tensor]:
    """Remade latents z, and which clip, mirrored or not, from which latent frame on they are of."""
    batch = draw(pool, recipe.batch, recipe.frames, rng)
    B, C, T, h, w = batch.z.shape
    text = told(batch, rng, encoder, recipe.text_length, concepts=dit.concepts is not None)
    generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
    start = text_to_video(batch=B, channels=C, frames=T, h=h, w=w, fps=preset.base_fps, generator=generator)
    level = torch.empty(B, 1, 1).uniform_(recipe.lowest, recipe.highest, generator=generator)
    start = with_given(start, batch.z, level.expand(B, T, 1), generator)
    with autocast():
        z = sample(dit, text, start, how=how)
    return {
        "z": z.half(), "level": level.flatten(), "clip": torch.from_numpy(batch.clips),
        "mirrored": torch.tensor(batch.mirrored), "start": torch.from_numpy(batch.starts),
    }  # fmt: skip


def load_remade(data: Path, folder: Path, stem: str) -> Remade:
    """The remade windows of one shard of clips."""
    item = torch.load(folder / f"{stem}.pt", weights_only=True)
    video = read_shard(data / f"{stem}.npz").video_nTHW3
    span = GROUP * (item["z"].shape[2] - 1) + 1
    windows = []
    for clip, mirrored, start in zip(*(item[k].tolist() for k in ("clip", "mirrored", "start")), strict=True):
        window = video[clip, GROUP * start : GROUP * start + span]
        windows.append(window[:, :, ::-1] if mirrored else window)
    return Remade(z=item["z"], video=np.stack(windows))
