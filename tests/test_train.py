"""Training on a tiny real data set: it learns, it stops in time, and a resumed run is the uninterrupted one."""

from __future__ import annotations

import dataclasses
import json
import pickle
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

import haneul
from haneul import cli
from haneul.backbones.base import Request
from haneul.backbones.native import BUNDLED, Native
from haneul.data.latents import load_pools
from haneul.data.shards import read_shard, shard_paths
from haneul.errors import CheckpointError, TrainingError
from haneul.evals.fidelity import judder
from haneul.model.checkpoint import Card, from_few_bits, load, to_few_bits
from haneul.model.checkpoint import save as save_checkpoint
from haneul.model.codec import Codec
from haneul.prompt.language import detect
from haneul.train import loop, optim, pipeline
from haneul.train.captions import worded
from haneul.train.codec import principal_components, rescale, to_video
from haneul.train.codec import start as start_codec
from haneul.train.pipeline import STAGES, Folders, export
from haneul.train.recipes import Recipe, nano
from haneul.train.sheet import PROMPTS, write_sheet


def quiet(_: str) -> None:
    """Where a run's words go."""


def steps(recipe: Recipe, count: int) -> tuple[loop.Run, list[float]]:
    """Set up (or resume), take so many steps, save."""
    run = loop.setup(recipe)
    losses = [float(loop.take_step(run)["loss"]) for _ in range(count)]
    loop.save(run)
    return run, losses


def assert_equal_runs(a: loop.Run, b: loop.Run) -> None:
    assert (a.step, a.clips) == (b.step, b.clips)
    for part in ("model", "ema"):
        states = getattr(a, part).state_dict(), getattr(b, part).state_dict()
        assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    for mine, other in zip(a.optimisers.state_dict(), b.optimisers.state_dict(), strict=True):
        assert mine["state"].keys() == other["state"].keys()
        for key, slots in mine["state"].items():
            assert all(torch.equal(value, other["state"][key][name]) for name, value in slots.items())


# ---------------------------------------------------------------------------------------------------------- resuming


@pytest.mark.parametrize("optimiser", ["adamw", "muon"])
def test_a_resumed_run_is_the_uninterrupted_one(optimiser: str, tiny: Recipe, tmp_path: Path) -> None:
    recipe = dataclasses.replace(tiny, optimiser=optimiser)
    whole, losses = steps(dataclasses.replace(recipe, folder=tmp_path / "whole"), 6)
    parted = dataclasses.replace(recipe, folder=tmp_path / "parted")
    _, first = steps(parted, 3)
    rest, second = steps(parted, 3)
    assert first + second == pytest.approx(losses, abs=1e-6)
    assert_equal_runs(whole, rest)
    assert len(set(losses)) == 6, "every step has its own batch"


def test_a_killed_run_resumes_from_its_last_state(tiny: Recipe, tmp_path: Path) -> None:
    killed = dataclasses.replace(tiny, folder=tmp_path / "killed", save_every=0.0, budget=60.0, log_every=1)
    (tmp_path / "recipe").write_bytes(pickle.dumps(killed))
    program = (
        "import pickle, sys, torch\nfrom pathlib import Path\nfrom haneul.train import loop\n"
        "loop.train(pickle.loads(Path(sys.argv[1]).read_bytes()), lambda words: print(words, flush=True))\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path / "recipe")], stdout=subprocess.PIPE, text=True
    ) as job:
        assert job.stdout is not None
        while not job.stdout.readline().startswith("step 3 "):
            assert job.poll() is None
        job.kill()
    assert job.returncode == -signal.SIGKILL
    run = loop.setup(killed)
    assert run.step >= 2, "it loses at most what came after the last save"
    whole, _ = steps(dataclasses.replace(tiny, folder=tmp_path / "whole"), run.step)
    assert_equal_runs(whole, run)


def test_a_state_is_whole_or_not_there(tiny: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = dataclasses.replace(tiny, folder=tmp_path / "run")
    run, _ = steps(recipe, 1)

    def interrupted(_: object, path: Path) -> None:
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", interrupted)
        with pytest.raises(KeyboardInterrupt):
            loop.save(run)
    assert loop.setup(recipe).step == 1


# ----------------------------------------------------------------------------------------------------- does it learn


def test_loss_on_one_batch_falls(tiny: Recipe, tmp_path: Path) -> None:
    recipe = dataclasses.replace(tiny, folder=tmp_path / "run", learning_rate=3e-3)
    run = loop.setup(recipe)
    losses = []
    for _ in range(60):
        loss, facts = loop.loss_of(run, 1)
        run.optimisers.zero_grad()
        loss.backward()
        run.optimisers.step()
        losses.append(float(facts["loss"]))
    assert np.mean(losses[-5:]) < 0.8 * losses[0]


def test_every_parameter_learns(tiny: Recipe, tmp_path: Path) -> None:
    """Over a few batches of all kinds nothing is left without a gradient."""
    run = loop.setup(dataclasses.replace(tiny, folder=tmp_path / "run", keep_controls=1.0, drop_text=0.5))
    for _ in range(3):
        loop.take_step(run)
    loss, _ = loop.loss_of(run, 3)
    loss.backward()
    still = {name for name, p in run.model.named_parameters() if p.grad is None or not p.grad.any()}
    assert still == set()


def test_neighbours_help_the_linear_guess(tiny: Recipe, shards: Path) -> None:
    """The decoder's linear branch is better, and judders less, than the encoder's basis alone; pictures count too."""
    paths = shard_paths(shards)
    codec = start_codec(tiny.preset, paths)
    alone = Codec(tiny.preset.codec)
    alone.start_linear(*principal_components(paths, tiny.preset.codec.latent))
    rescale(alone, paths)
    clips = [to_video(clip[None]) for path in paths for clip in read_shard(path).video_nTHW3]

    @torch.no_grad()
    def again(net: Codec, some: list[torch.Tensor]) -> list[torch.Tensor]:
        return [net.decode(net.encode(x)) for x in some]

    for some in (clips, [x[:, :, :1] for x in clips]):
        guess, basis = (
            float(np.mean([(y - x).square().mean() for y, x in zip(again(net, some), some, strict=True)]))
            for net in (codec, alone)
        )
        assert guess < basis
    seen = [
        [((y[0] + 1) * 127.5).clamp(0, 255).byte().permute(1, 2, 3, 0).numpy() for y in again(net, clips)]
        for net in (codec, alone)
    ]
    assert judder(seen[0]) < judder(seen[1])


def test_rates_warm_up_and_cool_down(tiny: Recipe) -> None:
    recipe = dataclasses.replace(tiny, warmup=10, cooldown=(100, 120))
    assert [loop.rate(recipe, step) for step in (0, 50, 100, 110, 120, 130)] == pytest.approx([0.1, 1, 1, 0.5, 0, 0])
    assert loop.rate(dataclasses.replace(tiny, warmup=10), 10**6) == 1
    with pytest.raises(TrainingError, match="cool-down"):
        dataclasses.replace(tiny, cooldown=(5, 5))


def test_muon_takes_the_matrices_of_the_blocks(tiny: Recipe, tmp_path: Path) -> None:
    run = loop.setup(dataclasses.replace(tiny, folder=tmp_path, optimiser="muon"))
    inside, rest = optim.split(run.model)
    assert len(inside) == 2 * 7
    assert len(inside) + len(rest) == len(list(run.model.parameters()))


def test_captions_come_in_all_languages(tiny: Recipe, shards: Path) -> None:
    from haneul.data.shards import read_meta, shard_paths

    rng = np.random.default_rng(0)
    facts = [record["facts"]["0:17"] for path in shard_paths(shards) for record in read_meta(path)]
    texts = [worded(f, mirrored, rng)[0] for f in facts for mirrored in (False, True) for _ in range(4)]
    assert {detect(text) for text in texts} == {"en", "ko"}, "mixed script reaches the model as hangul"
    assert len(set(texts)) > 0.8 * len(texts)


# ----------------------------------------------------------------------------------------------------- the long way


def test_the_budget_ends_it(tiny: Recipe, tmp_path: Path) -> None:
    words: list[str] = []
    began = time.monotonic()
    recipe = dataclasses.replace(tiny, folder=tmp_path / "run", budget=1.5, log_every=1, sheet_every=0.5)
    run = loop.train(recipe, words.append)
    assert time.monotonic() - began < 30
    assert run.step >= 1
    assert loop.setup(recipe).step == run.step
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, run.step + 1))
    assert all(np.isfinite(line["loss"]) for line in lines)
    assert "clips/s" in words[-1]
    sheets = list((tmp_path / "run").glob("sheet-*.png"))
    assert sheets
    with Image.open(sheets[0]) as sheet:
        assert sheet.size == (9 * 112 * 2, len(PROMPTS) * 64 * 2)


def test_sheets_do_not_change_the_run(tiny: Recipe, tmp_path: Path) -> None:
    run, _ = steps(dataclasses.replace(tiny, folder=tmp_path / "a"), 2)
    other = loop.setup(dataclasses.replace(tiny, folder=tmp_path / "b"))
    other.recipe.folder.mkdir()
    loop.take_step(other)
    write_sheet(other)
    loop.take_step(other)
    assert_equal_runs(run, other)


def test_what_was_trained_generates(tiny: Recipe, shards: Path, weights: Path, tmp_path: Path) -> None:
    """World, codec, latents, steps, export: the folder is a model, and its videos name the data it learned from."""
    folders = Folders(root=tmp_path, weights=BUNDLED)
    folders.export.mkdir()
    folders.data.symlink_to(shards)
    shutil.copyfile(tiny.codec, folders.codec)
    for name in ("upscaler", "concepts"):
        shutil.copyfile(weights / f"{name}.safetensors", folders.export / f"{name}.safetensors")
    recipe = dataclasses.replace(tiny, folder=folders.run)
    with pytest.raises(TrainingError, match="nothing to export"):
        export(folders, recipe)
    run, _ = steps(recipe, 2)
    target = export(folders, recipe)
    tensors, card = load(target, "dit")
    assert card.recipe["steps"] == "2"
    assert card.data_ledger_root == json.loads((shards / "manifest.json").read_text())["ledger_root"]
    assert str(tmp_path) not in json.dumps(dataclasses.asdict(card)), "no path of this machine in the card"
    name = "blocks.0.qkv.weight"
    shipped = from_few_bits(to_few_bits({name: run.ema.state_dict()[name]}))
    assert torch.equal(tensors[name], shipped[name]), "the averaged weights are shipped"
    native = Native(folders.export)
    request = Request(prompt="눈밭에서 튀는 공", seconds=0.1, size=(112, 64), steps=1, guidance=1.0)
    assert [frame.shape for frame in native.generate(request)] == [(64, 112, 3)] * 2
    result = haneul.generate("a ball", output=tmp_path / "x.mp4", seconds=0.1, steps=1, backbone=native)
    assert haneul.verify(result.path).data_ledger_root == card.data_ledger_root


# ------------------------------------------------------------------------------------------------------- the command


@pytest.fixture
def one_thread() -> Iterator[None]:
    """The command uses more threads; what comes after it shall not."""
    yield
    torch.set_num_threads(1)


@pytest.mark.usefixtures("one_thread", "home")
def test_the_command_runs_stages(shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Codec and latents of the real nano by the command line, on the tiny data, and what the transformer is given."""
    monkeypatch.setenv("CXX", "no-such-compiler")
    given: list[Recipe] = []
    monkeypatch.setattr(pipeline, "train", lambda recipe, say: given.append(recipe))  # one step of it takes 20 s
    (tmp_path / "world").symlink_to(shards)
    for stage, more in (
        ("concepts", ["--concepts-budget", "0.1s"]),
        ("codec", ["--codec-budget", "0.1s"]),
        ("latents", []),
        ("dit", ["--budget", "2m"]),
    ):
        command = ["train", "nano", "--folder", str(tmp_path), "--stage", stage, *more]
        result = CliRunner().invoke(cli.main, command)
        assert result.exit_code == 0, result.stderr
        assert result.stdout == f"{tmp_path / 'export'}\n"
    assert load(tmp_path / "export" / "codec.safetensors", "codec")[1].preset == "nano"
    (recipe,) = given
    assert (recipe.budget, recipe.compile, recipe.preset.name) == (120, False, "nano")
    assert recipe.folder == tmp_path / "run"
    assert (
        loop.pick(recipe, 0, load_pools(recipe.latents), np.random.default_rng(0)).z.shape[1]
        == recipe.preset.dit.latent
    )
    assert all(path.exists() for path in (recipe.codec, recipe.text_encoder))


def test_the_command_names_every_stage() -> None:
    option = next(p for p in cli.main.commands["train"].commands["nano"].params if p.name == "stage")
    assert tuple(option.type.choices) == STAGES  # type: ignore[attr-defined]


def test_training_goes_on_from_weights(tiny: Recipe, tmp_path: Path) -> None:
    """A run begins with given weights where it has no state of its own, and says so where they do not fit."""
    first = dataclasses.replace(tiny, folder=tmp_path / "a")
    run, _ = steps(first, 1)
    begin = tmp_path / "dit.safetensors"
    save_checkpoint(begin, run.model.state_dict(), Card(part="dit", preset="nano", config={}))
    second = loop.setup(dataclasses.replace(tiny, folder=tmp_path / "b", begin=begin))
    assert all(torch.equal(p, q) for p, q in zip(second.model.parameters(), run.model.parameters(), strict=True))
    save_checkpoint(begin, {"inp.weight": torch.zeros(1)}, Card(part="dit", preset="nano", config={}))
    with pytest.raises(CheckpointError, match="does not fit"):
        loop.setup(dataclasses.replace(tiny, folder=tmp_path / "c", begin=begin))


@pytest.mark.usefixtures("one_thread", "home")
def test_stages_without_their_input(tmp_path: Path) -> None:
    for stage, code in (("concepts", 7), ("codec", 7), ("latents", 4), ("dit", 7), ("export", 7)):
        result = CliRunner().invoke(cli.main, ["train", "nano", "--folder", str(tmp_path), "--stage", stage])
        assert result.exit_code == code, result.stderr
        assert result.stderr.startswith("error: ")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"optimiser": "sgd"}, "unknown optimiser 'sgd'"),
        ({"curriculum": ((0, {1: 0.5, 5: 0.6}),)}, "add up to 1.1"),
        ({"curriculum": ((5, {1: 1.0}),)}, "must begin at step 0"),
        ({"budget": 0.0}, "leaves no time"),
        ({"device": "tpu"}, "cannot train on 'tpu'"),
    ],
)
def test_unusable_recipes(change: dict[str, object], words: str) -> None:
    paths = dict.fromkeys(("latents", "folder", "codec", "text_encoder"), Path("x"))
    with pytest.raises(TrainingError, match=words):
        nano(**paths, **change)
