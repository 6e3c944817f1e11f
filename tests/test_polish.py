"""The upscaler learns what the transformer gets wrong, from its own versions of clips, and a small one from it."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from haneul.backbones.native import BUNDLED
from haneul.errors import TrainingError
from haneul.model.checkpoint import Card, file_digest, load
from haneul.model.checkpoint import save as save_checkpoint
from haneul.model.codec import Codec
from haneul.model.presets import preset
from haneul.train import loop
from haneul.train.codec import to_video
from haneul.train.recipes import Recipe
from haneul.train.remake import RemakeRecipe, load_remade, remake
from haneul.train.upscaler import CROP, UpscalerRecipe, render_moments, train_upscaler
from haneul.train.upscaler_student import NARROW, UpscalerStudentRecipe, draw_lessons, read_upscaler, train_student
from haneul.video.upscale import Upscaler, UpscalerConfig


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


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of an upscaler that turns pictures dark, which no untrained one does."""
    torch.manual_seed(0)
    config = UpscalerConfig(width=8, depth=1, fine=4, middle=2)
    net = Upscaler(config)
    torch.nn.init.constant_(net.out.bias, -0.5)  # type: ignore[arg-type]
    path = tmp_path_factory.mktemp("teacher") / "upscaler.safetensors"
    card = Card(part="upscaler", preset="nano", config=dataclasses.asdict(config), recipe={"pairs": "7"})
    save_checkpoint(path, net.state_dict(), card, dtype=torch.float16)
    return path


@pytest.fixture
def student(remade: RemakeRecipe, tiny: Recipe, teacher: Path, tmp_path: Path) -> UpscalerStudentRecipe:
    return UpscalerStudentRecipe(
        teacher=teacher, codec=tiny.codec, remade=remade.output, folder=tmp_path / "lessons",
        output=tmp_path / "upscaler.safetensors", config=UpscalerConfig(width=8, depth=1, fine=4, middle=2, fold=2),
        lessons=8, batch=4, crop=12, learning_rate=5e-3, ema=0.9, budget=300.0, steps=100, threads=1, workers=1,
    )  # fmt: skip


def test_lessons_are_what_the_teacher_draws(student: UpscalerStudentRecipe, tiny: Recipe) -> None:
    files = draw_lessons(tiny.preset, student, lambda _: None)
    teacher = read_upscaler(student.teacher)
    for path in files:
        seen, drawn = np.load(path.with_name(path.name.replace("drawn-", "seen-"))), np.load(path)
        x = torch.from_numpy(seen).permute(0, 1, 4, 2, 3).flatten(1, 2).float() / 127.5 - 1
        expected = ((teacher(x).clamp(-1, 1) + 1) * 127.5).round().permute(0, 1, 3, 4, 2).numpy()
        assert np.abs(expected - drawn).max() <= 1
        assert drawn.mean() < seen.mean() - 40, "this teacher's pictures are dark"
    times = [path.stat().st_mtime_ns for path in files]
    draw_lessons(tiny.preset, student, lambda _: None)
    assert [path.stat().st_mtime_ns for path in files] == times, "what is there is not drawn again"


@pytest.mark.usefixtures("one_thread")
def test_a_student_draws_as_its_teacher_and_goes_on_where_it_stopped(
    student: UpscalerStudentRecipe, tiny: Recipe
) -> None:
    said: list[str] = []
    learned = train_student(tiny.preset, student, said.append)
    found = re.fullmatch(r"upscaler: as the teacher to (\S+) dB \(bilinear (\S+)\), .*", said[-1])
    assert found is not None
    assert float(found[1]) > float(found[2]) + 3, "it has learned what no enlarging tells"
    _, card = load(student.output, "upscaler")
    assert card.recipe["teacher_sha256"] == file_digest(student.teacher)
    assert card.recipe["teacher_pairs"] == "7"
    assert UpscalerConfig(**card.config) == student.config
    again = train_student(tiny.preset, student, said.append)
    assert any("goes on at step" in line for line in said)
    assert torch.equal(again.out.weight, learned.out.weight), "the budget is spent"


def test_a_student_needs_what_a_transformer_made(student: UpscalerStudentRecipe, tiny: Recipe, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="remake"):
        draw_lessons(tiny.preset, dataclasses.replace(student, remade=tmp_path), lambda _: None)


def test_the_upscaler_that_ships_is_of_the_recipe() -> None:
    _, card = load(BUNDLED / "upscaler.safetensors", "upscaler")
    assert UpscalerConfig(**card.config) == NARROW
