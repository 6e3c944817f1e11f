"""Distillation on a tiny real data set: what a student is shown is where its teacher goes, and it learns it."""

from __future__ import annotations

import dataclasses
import functools
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from haneul import engine
from haneul.backbones.native import BUNDLED, Native
from haneul.errors import TrainingError
from haneul.model.checkpoint import Card, file_digest
from haneul.model.checkpoint import save as save_checkpoint
from haneul.model.dit import DiT
from haneul.model.flow import LevelMix, shift_levels
from haneul.model.modes import Start, sample
from haneul.model.sampler import Sampling, multistep, schedule
from haneul.train import distill, loop
from haneul.train.pipeline import Folders, export_student
from haneul.train.recipes import DistillRecipe, Recipe


@pytest.fixture(scope="module")
def teacher(tiny: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of a network whose every part says something."""
    torch.manual_seed(0)
    dit = DiT(tiny.preset.dit)
    for p in dit.parameters():
        p.data += torch.randn_like(p) * 0.05
    path = tmp_path_factory.mktemp("teacher") / "dit.safetensors"
    save_checkpoint(path, dit.state_dict(), Card(part="dit", preset="nano", config=dataclasses.asdict(tiny.preset.dit)))
    return path


def keep(passed: list[Tensor], _module: object, args: tuple[Tensor, ...]) -> None:
    """The noisy latents of a call."""
    passed.append(args[0])


def recipe_of(tiny: Recipe, teacher: Path, folder: Path, **changes: object) -> DistillRecipe:
    base = {f.name: getattr(tiny, f.name) for f in dataclasses.fields(tiny)}
    chosen = base | {"begin": teacher, "folder": folder, "truth_weight": 0.0} | changes
    return DistillRecipe(**chosen)  # type: ignore[arg-type]


def scene_of(run: loop.Run, frames: int = 5) -> tuple[distill.Scene, Tensor]:
    """A batch as both networks see it, and its latents."""
    rng = np.random.default_rng(1)
    batch = loop.pick(dataclasses.replace(run.recipe, curriculum=((0, {frames: 1.0}),)), 0, run.pools, rng)
    time_F, single_F = distill.timeline(frames, run.recipe.preset.base_fps)
    known = torch.ones(len(batch.z), 2)
    scene = distill.Scene(
        text=loop.text_of(run, batch, rng), time_F=time_F, single_F=single_F, ctrl_BFK=batch.controls, known_BG=known
    )
    return scene, batch.z


def test_a_solved_segment_ends_where_the_sampler_arrives(tiny: Recipe, teacher: Path, tmp_path: Path) -> None:
    recipe = recipe_of(tiny, teacher, tmp_path, teacher_steps=5, student_steps=2)
    run, net = loop.setup(recipe), distill.teacher_of(recipe)
    scene, z = scene_of(run)
    B, _, F, _, _ = z.shape
    u, u_end = torch.full((B,), 0.5), torch.ones(B)
    levels = shift_levels(u, recipe.shift).view(B, 1, 1).expand(B, F, 1)
    ends = torch.ones(B, F, 1)
    target = distill.segment_target(run, recipe, net, scene, z, levels, ends, u, u_end)

    velocity = scene.field(net, Sampling(guidance=recipe.guidance, rescale=recipe.rescale, weak=recipe.weak))
    with torch.no_grad():
        there = multistep(velocity, z, schedule(10, recipe.shift)[5:], levels)
    ours = z + (1 - levels[0, 0, 0]) * target
    assert torch.allclose(ours, there, atol=1e-4)
    assert not torch.allclose(ours, z + (1 - levels[0, 0, 0]) * velocity(z, levels), atol=1e-2), "the path is curved"


@pytest.mark.parametrize("method", ["solve", "bootstrap", "guide"])
def test_given_tokens_are_not_moved(method: str, tiny: Recipe, teacher: Path, tmp_path: Path) -> None:
    recipe = recipe_of(tiny, teacher, tmp_path, method=method)
    run, net = loop.setup(recipe), distill.teacher_of(recipe)
    scene, z = scene_of(run)
    B, _, F, _, _ = z.shape
    given = (torch.arange(F) < 2).view(1, F, 1).expand(B, F, 1)
    levels = torch.where(given, torch.tensor(0.97), torch.tensor(0.0))
    ends = torch.where(given, levels, shift_levels(torch.tensor(0.25), recipe.shift))
    at = torch.zeros(B), torch.full((B,), 0.25)
    target = distill.segment_target(run, recipe, net, scene, z, levels, ends, *at)
    assert (target[:, :, :2] == 0).all()
    assert target[:, :, 2:].abs().mean() > 0.01


def test_own_starts_are_where_the_student_leads(tiny: Recipe, teacher: Path, tmp_path: Path) -> None:
    """At the beginning of its k-th segment: k Euler steps of its own from noise."""
    plain = LevelMix(prefix=0, suffix=0, ends=0, random_frames=0, independent=0, box=0)
    recipe = recipe_of(tiny, teacher, tmp_path, own=1.0, levels=plain, student_steps=3)
    run = loop.setup(recipe)
    scene, _ = scene_of(run)
    rng = np.random.default_rng(1)
    batch = loop.pick(dataclasses.replace(recipe, curriculum=((0, {5: 1.0}),)), 0, run.pools, rng)
    seen = set()
    for seed in range(12):
        z, levels, ends, u, u_end, weight = distill.starts(run, recipe, batch, scene, np.random.default_rng(seed))
        k = round(float(u[0]) * 3)
        seen.add(k)
        assert torch.allclose(levels, shift_levels(u, recipe.shift).view(-1, 1, 1).expand_as(levels))
        assert torch.allclose(ends, shift_levels(u_end, recipe.shift).view(-1, 1, 1).expand_as(ends))
        assert (weight == 1).all()
        if k == 0:
            assert abs(float(z.std()) - 1) < 0.05
    assert seen == {0, 1, 2}
    prefix = dataclasses.replace(plain, prefix=1.0)
    given = dataclasses.replace(recipe, levels=prefix)
    for seed in range(12):
        z, levels, ends, _, _, weight = distill.starts(run, given, batch, scene, np.random.default_rng(seed))
        still = (weight == 0).expand(len(z), 5, 1)
        assert still.any()
        assert torch.equal(levels[still], ends[still]), "given tokens go nowhere"
        clean = levels.reshape(len(z), 1, 5, 1, 1).expand_as(z) == 1
        assert torch.equal(z[clean], batch.z[clean])


def test_own_starts_lie_on_the_way_that_sampling_takes(
    tiny: Recipe, teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the noise that a start began with, sampling as the student's card says passes through that start."""
    plain = LevelMix(prefix=0, suffix=0, ends=0, random_frames=0, independent=0, box=0)
    recipe = recipe_of(tiny, teacher, tmp_path, own=1.0, levels=plain, student_steps=3)
    run = loop.setup(recipe)
    scene, _ = scene_of(run)
    rng = np.random.default_rng(1)
    batch = loop.pick(dataclasses.replace(recipe, curriculum=((0, {5: 1.0}),)), 0, run.pools, rng)
    drawn: list[Tensor] = []
    real = torch.randn

    def randn(*shape: object, **more: object) -> Tensor:
        drawn.append(real(*shape, **more))  # type: ignore[arg-type]
        return drawn[-1]

    for seed in range(12):
        with monkeypatch.context() as patch:
            patch.setattr(torch, "randn", randn)
            z, _, _, u, _, _ = distill.starts(run, recipe, batch, scene, np.random.default_rng(seed))
        if round(float(u[0]) * 3) < 2:
            continue
        noise = drawn[-1]
        start = Start(z=noise, start_BFS=torch.zeros(len(noise), 5, 1), time_F=scene.time_F, single_F=scene.single_F)
        passed: list[Tensor] = []
        hook = run.ema.register_forward_pre_hook(functools.partial(keep, passed))
        sample(run.ema, scene.text, start, how=recipe.sampling, ctrl_BFK=scene.ctrl_BFK, known_BG=scene.known_BG)
        hook.remove()
        assert len(passed) == 3
        assert torch.allclose(passed[2], z, atol=1e-4)
        return
    pytest.fail("no start at the last segment among the seeds")


def test_a_student_learns_what_it_is_shown(tiny: Recipe, teacher: Path, tmp_path: Path) -> None:
    """The distance to the teacher's way falls on one batch, seen again and again."""
    recipe = recipe_of(tiny, teacher, tmp_path, learning_rate=3e-3, own=0.0, clip=10.0)
    run, net = loop.setup(recipe), distill.teacher_of(recipe)
    found = []
    for _ in range(40):
        run.step = 0
        found.append(loop.take_step(run, lambda r, step: distill.loss_of(r, net, step))["loss"])
    assert found[-1] < 0.5 * found[0]


@pytest.mark.usefixtures("home")
def test_a_student_is_a_whole_model(tiny: Recipe, weights: Path, teacher: Path, shards: Path, tmp_path: Path) -> None:
    """Its folder works as it is, says what it learned from, and a video takes as many evaluations as its card says."""
    begin = tmp_path / "from"
    begin.mkdir()
    shutil.copyfile(teacher, begin / "dit.safetensors")
    for name, source in (("codec", tiny.codec), *((n, weights / f"{n}.safetensors") for n in ("concepts", "upscaler"))):
        shutil.copyfile(source, begin / f"{name}.safetensors")
    folders = Folders(root=tmp_path, weights=BUNDLED)
    folders.data.symlink_to(shards)
    recipe = recipe_of(tiny, begin / "dit.safetensors", tmp_path / "run", budget=0.5, student_steps=3)
    run = distill.distill(recipe, lambda _: None)
    assert run.step >= 1
    (begin / "codec.safetensors").rename(begin / "away")
    with pytest.raises(TrainingError, match=r"codec\.safetensors is missing"):
        export_student(folders, recipe)
    (begin / "away").rename(begin / "codec.safetensors")
    native = Native(export_student(folders, recipe))
    assert (native.sampling.steps, native.sampling.guidance, native.sampling.sampler) == (3, 1.0, "euler")
    assert native.card.recipe["begin_sha256"] == file_digest(begin / "dit.safetensors")
    assert str(tmp_path) not in str(native.card)
    calls = []
    native.dit.register_forward_hook(lambda *_: calls.append(1))
    engine.generate("a ball", output=tmp_path / "x.mp4", seconds=0.1, size=(112, 64), backbone=native)
    assert len(calls) == 3


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"method": "magic"}, "choose solve"),
        ({"begin": None}, "needs a teacher"),
        ({"student_steps": 0}, "choose 1-16"),
    ],
)
def test_unusable_recipes(change: dict[str, object], words: str, tiny: Recipe, teacher: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=words):
        recipe_of(tiny, teacher, tmp_path, **change)
