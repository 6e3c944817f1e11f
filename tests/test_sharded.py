"""Many processes take the step that one would take: shares of a batch, of a clip's frames, of the weights."""

from __future__ import annotations

import dataclasses
import json
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
from click.testing import CliRunner
from conftest import alive
from copies import COPIES
from torch.multiprocessing.spawn import start_processes

from haneul import cli
from haneul.errors import TrainingError
from haneul.model import precision
from haneul.model.checkpoint import Card
from haneul.model.checkpoint import save as save_checkpoint
from haneul.model.dit import DiT
from haneul.train import loop, sharded
from haneul.train.context import shares
from haneul.train.recipes import Recipe
from haneul.train.sharded import Sharding


def in_float32(setattr: Callable[[Any, str, Any], None]) -> None:
    """No bfloat16, neither by autocast nor inside Muon."""
    setattr(precision, "bf16_is_fast", lambda: False)
    setattr(torch.Tensor, "bfloat16", torch.Tensor.float)


def one_of_many(rank: int, world: int, folder: Path, todo: str, given: Any) -> None:
    """What each started process does: one of the functions below, whose result the first one leaves in a file."""
    in_float32(setattr)
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder / 'meeting'}", rank=rank, world_size=world)
    try:
        found = globals()[todo](given)
        if rank == 0:
            torch.save(found, folder / "found.pt")
    finally:
        dist.destroy_process_group()


def together(world: int, folder: Path, todo: Callable[[Any], Any], given: Any) -> Any:
    """What `todo(given)` returns in the first of so many processes."""
    folder.mkdir()
    start_processes(
        one_of_many, (world, folder, todo.__name__, given), nprocs=world, start_method=COPIES.get_start_method()
    )
    return torch.load(folder / "found.pt", weights_only=False)


def take_steps(given: tuple[Recipe, Sharding, int]) -> dict[str, Any]:
    """Set up (or resume), take so many steps, save."""
    recipe, how, count = given
    run = sharded.setup(recipe, how)
    began = run.step
    losses = [float(loop.take_step(run, sharded.loss_of)["loss"]) for _ in range(count)]
    sharded.save(run)
    sharded.gather_in(run)
    own = sum(p.to_local().numel() for p in run.model.parameters())  # type: ignore[operator]
    return {"began": began, "losses": losses, "own": own}


def alone(recipe: Recipe, count: int) -> tuple[loop.Run, list[float]]:
    """The same by one process without FSDP."""
    run = loop.setup(recipe)
    losses = [float(loop.take_step(run)["loss"]) for _ in range(count)]
    loop.save(run)
    return run, losses


def furthest(some: torch.nn.Module, others: torch.nn.Module, before: torch.nn.Module) -> float:
    """The largest difference between weights, in units of how far their tensor has come (root mean square)."""
    found = 0.0
    for a, b, c in zip(some.parameters(), others.parameters(), before.parameters(), strict=True):
        a, b, c = a.detach(), b.detach(), c.detach()
        found = max(found, float((a - b).abs().max() / (b - c).square().mean().sqrt()))
    return found


@pytest.fixture
def begun(tiny: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Recipe:
    """`tiny`, from weights none of which is zero: every path carries something from the first step. In full float32:
    with bfloat16 the parts of a sum differ from the whole by more than what is looked for here."""
    in_float32(monkeypatch.setattr)
    torch.manual_seed(3)
    begin = tmp_path / "begin.safetensors"
    save_checkpoint(begin, alive(DiT(tiny.preset.dit)).state_dict(), Card(part="dit", preset="nano", config={}))
    return dataclasses.replace(tiny, begin=begin, optimiser="muon", tokens=160, keep_controls=0.7)


def test_many_processes_take_the_steps_of_one(begun: Recipe, tmp_path: Path) -> None:
    """One process, then three, then four that share clips by two and compute blocks again, then one: eight steps, each
    from the state that the others left, and the same as eight by one process. Batches hold 2 or 10 clips: one of
    three processes may get nothing."""
    whole, losses = alone(dataclasses.replace(begun, folder=tmp_path / "whole"), 8)
    before, _ = alone(dataclasses.replace(begun, folder=tmp_path / "before"), 0)
    turns = dataclasses.replace(begun, folder=tmp_path / "turns")
    _, first = alone(turns, 2)
    three = together(3, tmp_path / "3", take_steps, (turns, Sharding(), 2))
    four = together(4, tmp_path / "4", take_steps, (turns, Sharding(context=2, recompute=True), 2))
    last, rest = alone(turns, 2)
    assert (three["began"], four["began"], last.step) == (2, 4, 8)
    assert first + three["losses"] + four["losses"] + rest == pytest.approx(losses, rel=1e-5)
    assert last.clips == whole.clips
    assert furthest(last.model, whole.model, before.model) < 0.05
    assert furthest(last.ema, whole.ema, before.ema) < 0.05
    weights = sum(p.numel() for p in whole.model.parameters())
    assert weights / 3 <= three["own"] < 1.1 * weights / 3, "each holds its share of the weights"


def test_a_share_of_a_batch_is_part_of_it(begun: Recipe, tmp_path: Path) -> None:
    run = loop.setup(dataclasses.replace(begun, folder=tmp_path / "run"))
    for step in range(6):
        batch = loop.pick(run.recipe, step, run.pools, rng := np.random.default_rng(step))
        text = loop.text_of(run, batch, rng)
        pool, count, frames = loop.choose(run.recipe, step, run.pools, rng := np.random.default_rng(step))
        rows = slice(1, 3)
        own, own_text = sharded.clips_of(run, pool, count, frames, rng, rows)  # type: ignore[arg-type]
        for name in ("z", "cover", "controls"):
            assert torch.equal(getattr(own, name), getattr(batch, name)[rows])
        assert torch.equal(loop.truth_target(own), loop.truth_target(batch)[rows])
        assert own.facts == batch.facts[rows]
        assert torch.equal(own_text.concepts, text.concepts[rows])  # type: ignore[index, arg-type]
        mask = own_text.mask
        assert torch.equal(mask, text.mask[rows])  # type: ignore[index, arg-type]
        assert torch.allclose(own_text.states[mask], text.states[rows][mask], atol=1e-4)  # type: ignore[index]


def test_shares() -> None:
    assert [shares(13, n) for n in (1, 2, 4)] == [[13], [7, 6], [4, 3, 3, 3]]
    assert shares(2, 3) == [1, 1, 0]


def launched(*arguments: str, processes: int = 2) -> subprocess.CompletedProcess[str]:
    """What torchrun makes of a command."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    return subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=300, check=False)


def test_torchrun_starts_it(tiny: Recipe, tmp_path: Path) -> None:
    """The whole loop: it ends with the cool-down, writes one log, and leaves a state for one process."""
    recipe = dataclasses.replace(tiny, folder=tmp_path / "run", cooldown=(2, 4), log_every=3, save_every=0.0)
    (tmp_path / "recipe").write_bytes(pickle.dumps(recipe))
    (tmp_path / "program.py").write_text(
        "import pickle, sys\nfrom pathlib import Path\nfrom haneul.train import sharded\n"
        "with sharded.processes('cpu'):\n"
        "    sharded.train(pickle.loads(Path(sys.argv[1]).read_bytes()), sharded.Sharding(context=2))\n"
    )
    done = launched(str(tmp_path / "program.py"), str(tmp_path / "recipe"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("2 processes, step 0") == 1
    lines = [json.loads(line) for line in (recipe.folder / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3, 4]
    assert [path.name for path in sharded.saved(recipe.folder)] == ["step-00000003", "step-00000004"]
    assert loop.setup(recipe).step == 4
    again = launched(str(tmp_path / "program.py"), str(tmp_path / "recipe"))
    assert again.returncode == 0, again.stderr
    assert loop.setup(recipe).step == 4, "what is over stays over"


@pytest.mark.parametrize(
    ("change", "how", "world", "words"),
    [
        ({}, Sharding(context=2), 3, "3 processes cannot be grouped by 2"),
        ({"stream": Path("x")}, Sharding(), 2, "cached latents"),
        ({"cool_share": 0.5}, Sharding(), 2, "first and last step"),
    ],
)
def test_what_many_cannot_do(tiny: Recipe, change: dict[str, Any], how: Sharding, world: int, words: str) -> None:
    with pytest.raises(TrainingError, match=words):
        sharded.check(dataclasses.replace(tiny, **change), how, world)


def test_the_command_wants_torchrun() -> None:
    result = CliRunner().invoke(cli.main, ["train", "sharded", "nano", "--device", "cpu"])
    assert result.exit_code == TrainingError.exit_code
    assert "torchrun --nproc-per-node" in result.stderr


def test_without_torchrun() -> None:
    with pytest.raises(TrainingError, match="start it by torchrun"), sharded.processes("cpu"):
        pass
    with pytest.raises(TrainingError, match="cannot share"):
        Sharding(context=0)
