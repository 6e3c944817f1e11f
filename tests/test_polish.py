"""The upscaler learns what the transformer gets wrong, from its own versions of clips."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from haneul.errors import TrainingError
from haneul.model.checkpoint import Card
from haneul.model.checkpoint import save as save_checkpoint
from haneul.model.codec import Codec
from haneul.model.presets import preset
from haneul.train import loop
from haneul.train.codec import to_video
from haneul.train.recipes import Recipe
from haneul.train.remake import RemakeRecipe, load_remade, remake
from haneul.train.upscaler import CROP, UpscalerRecipe, render_moments, train_upscaler


@pytest.fixture
def one_thread() -> Iterator[None]:
    """The trainings use more threads; what comes after them shall not."""
    yield
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def transformer(tiny: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of an untrained transformer of the tiny recipe."""
    path = tmp_path_factory.mktemp("dit") / "dit.safetensors"
    run = loop.setup(dataclasses.replace(tiny, folder=path.parent / "run"))
    card = Card(part="dit", preset="nano", config=dataclasses.asdict(tiny.preset.dit))
    save_checkpoint(path, run.model.state_dict(), card)
    return path


@pytest.fixture(scope="module")
def remade(tiny: Recipe, transformer: Path, tmp_path_factory: pytest.TempPathFactory) -> RemakeRecipe:
    """Windows remade from so near to clean that they are the clips themselves."""
    recipe = RemakeRecipe(
        latents=tiny.latents, weights=transformer, output=tmp_path_factory.mktemp("remade"), clips=8, frames=5,
        lowest=0.999, highest=0.9995, steps=1, batch=4, threads=1, text_encoder=tiny.text_encoder,
    )  # fmt: skip
    remake(tiny.preset, recipe, lambda _: None)
    return recipe


@pytest.mark.parametrize("frames", [1, 5])
def test_what_is_remade_belongs_to_its_clip(
    frames: int, remade: RemakeRecipe, tiny: Recipe, shards: Path, codec: Codec, tmp_path: Path
) -> None:
    """Mirrored or not and from wherever it begins: the video beside remade latents is the one that they are of."""
    remake(tiny.preset, dataclasses.replace(remade, frames=frames, output=tmp_path), lambda _: None)
    seen = set()
    for path in sorted(tmp_path.glob("*.pt")):
        part = load_remade(shards, tmp_path, path.stem)
        item = torch.load(path, weights_only=True)
        seen |= set(zip(item["mirrored"].tolist(), item["start"].tolist(), strict=True))
        z = codec.encode(to_video(part.video))
        assert float((z - part.z.float()).square().mean()) < 1e-3 * float(z.square().mean())
    assert len({mirrored for mirrored, _ in seen}) == 2
    assert (len({start for _, start in seen}) > 1) == (frames == 1)


def test_remaking_from_noise_changes_clips(
    remade: RemakeRecipe, tiny: Recipe, shards: Path, codec: Codec, tmp_path: Path
) -> None:
    rough = dataclasses.replace(remade, lowest=0.2, highest=0.3, steps=2, output=tmp_path)
    remake(tiny.preset, rough, lambda _: None)
    path = min(tmp_path.glob("*.pt"))
    part = load_remade(shards, tmp_path, path.stem)
    z = codec.encode(to_video(part.video))
    assert float((z - part.z.float()).square().mean()) > 0.05 * float(z.square().mean())
    before = path.stat().st_mtime_ns
    remake(tiny.preset, rough, lambda _: None)
    assert path.stat().st_mtime_ns == before, "what is there is not made again"


def test_large_crops_are_of_the_moment_that_they_belong_to(remade: RemakeRecipe, shards: Path, tmp_path: Path) -> None:
    """A large crop, made small, is the same picture as the crop of the window's frame: place, moment and mirror."""
    recipe = UpscalerRecipe(
        data=tmp_path, codec=tmp_path, output=tmp_path, remade=remade.output, world=shards, workers=1
    )
    render_moments(preset("nano"), recipe, lambda _: None)
    off, mirrored = [], []
    for path in sorted(tmp_path.glob("moments-*.npz")):
        part = load_remade(shards, remade.output, path.stem.removeprefix("moments-"))
        with np.load(path) as found:
            for video, (at, x, y), large in zip(part.video, found["at"], found["large"], strict=True):
                small = torch.from_numpy(video[at, y : y + CROP, x : x + CROP].astype(np.float32))
                shrunk = F.avg_pool2d(torch.from_numpy(large[0]).permute(2, 0, 1).float(), 8).permute(1, 2, 0)
                off.append(float((small - shrunk).abs().mean()))
                mirrored.append(float((small - shrunk.flip(1)).abs().mean()))
    assert max(off) < 15, "of 255: what a crop without its own pixels' detail may be off"
    assert np.mean(off) < 0.3 * np.mean(mirrored)


@pytest.mark.usefixtures("one_thread")
def test_an_upscaler_learns_from_remade_clips(remade: RemakeRecipe, tiny: Recipe, shards: Path, tmp_path: Path) -> None:
    """It needs pairs, learns from them, and goes on from the weights of another as far as they fit."""
    said: list[str] = []
    recipe = UpscalerRecipe(
        data=tmp_path / "pairs", codec=tiny.codec, output=tmp_path / "upscaler.safetensors", budget=1.0, batch=2,
        remade=remade.output, world=shards, workers=1, threads=1,
    )  # fmt: skip
    with pytest.raises(TrainingError, match="no pairs"):
        train_upscaler(tiny.preset, recipe, said.append)
    render_moments(tiny.preset, recipe, said.append)
    first = train_upscaler(tiny.preset, recipe, said.append).state_dict()
    begun = dataclasses.replace(recipe, begin=recipe.output, budget=1e-9)
    second = train_upscaler(tiny.preset, begun, said.append).state_dict()
    assert all(torch.allclose(first[name], second[name], atol=2e-3) for name in first), "as half-precision kept them"
    assert any(f"{len(first)} of {len(first)} tensors taken over" in line for line in said)
