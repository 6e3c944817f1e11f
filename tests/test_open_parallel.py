"""A video that several processes compute together, two of them on this processor.

diffusers asks how many accelerators there are and divides by it, so the processes here are told that there are two.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from asking import PROMPT, Frames, Saved
from copies import COPIES

from haneul import cli
from haneul.backbones.open import parallel
from haneul.backbones.open.backbone import Open
from haneul.model import precision
from haneul.trust import credentials


def one_of_many(rank: int, told: dict[str, str], accelerators: int, folder: Path, arguments: list[str]) -> None:
    """What each process does: a command of ours, which leaves its frames and the tokens that its blocks were asked."""
    from diffusers.models.transformers.transformer_wan import WanTransformerBlock

    os.environ |= told | ({"RANK": str(rank), "LOCAL_RANK": str(rank)} if told else {})
    precision.fast_dtype = lambda device="cpu": torch.float32  # type: ignore[assignment]
    torch.accelerator.device_count = lambda: accelerators
    torch.set_num_threads(1)
    asked, generate = WanTransformerBlock.forward, Open.generate
    tokens: list[int] = []
    frames: list[Frames] = []

    def counted(self: Any, hidden_states: torch.Tensor, *args: Any, **given: Any) -> Any:
        tokens.append(hidden_states.shape[1])
        return asked(self, hidden_states, *args, **given)

    def kept(self: Open, *args: Any, **given: Any) -> Iterator[Frames]:
        for frame in generate(self, *args, **given):
            frames.append(frame)
            yield frame

    WanTransformerBlock.forward, Open.generate = counted, kept  # type: ignore[method-assign, assignment]
    try:
        cli.main(arguments, standalone_mode=True)
    finally:
        np.savez(folder / f"{rank if told else 'alone'}.npz", tokens=tokens, frames=frames)


def ran(processes: int, folder: Path, *arguments: str, accelerators: int = 2) -> list[int | None]:
    """A command by so many processes, each of which is told what torchrun would tell it; how they ended."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    told = {"TORCHELASTIC_RUN_ID": "a", "WORLD_SIZE": str(processes), "MASTER_ADDR": "127.0.0.1"}
    told = {**told, "LOCAL_WORLD_SIZE": str(processes), "MASTER_PORT": str(port)} if processes > 1 else {}
    given = (told, accelerators, folder, list(arguments))
    started = [COPIES.Process(target=one_of_many, args=(rank, *given)) for rank in range(processes)]
    for process in started:
        process.start()
    for process in started:
        process.join(600)
        process.kill()
    return [process.exitcode for process in started]


def asked(folder: Path, out: Path) -> list[str]:
    """The shortest video of a checkpoint."""
    told = ["generate", PROMPT, "--model", str(folder), "-o", str(out), "--steps", "2", "--seed", "5", "--report"]
    return [*told, "--size", "64x64", "--seconds", "0.3"]


@pytest.mark.parametrize("name", ["wan", "wan-ti2v"])
def test_two_processes_make_what_one_makes(name: str, saved: Saved, tmp_path: Path) -> None:
    for processes in (1, 2):
        out = tmp_path / f"{processes}.mp4"
        assert ran(processes, tmp_path, *asked(saved(name), out)) == [0] * processes
        assert credentials.verify(out).here
    alone, first, second = (np.load(tmp_path / f"{file}.npz") for file in ("alone", "0", "1"))
    assert not len(second["frames"])  # it only follows
    one, two = (told["frames"].astype(int) for told in (alone, first))
    assert one.shape == two.shape
    assert one.shape[1:] == (64, 64, 3)
    assert np.abs(one - two).max() <= 1  # of 255: rounding
    assert (first["tokens"] + second["tokens"] == alone["tokens"]).all()  # each computed its share
    assert second["tokens"].min() > 0
    assert sorted(path.name for path in tmp_path.glob("*.mp4")) == ["1.mp4", "2.mp4"]


@pytest.mark.parametrize(
    ("name", "accelerators", "more", "says"),
    [
        ("sana", 2, (), "is not split"), ("wan", 0, (), "graphics cards"),
        ("wan", 2, ("--cache", "0.1"), "no blocks are skipped"),
    ],
)  # fmt: skip
def test_what_cannot_be_shared_is_said(
    name: str, accelerators: int, more: tuple[str, ...], says: str, saved: Saved, tmp_path: Path
) -> None:
    told = [*asked(saved(name), tmp_path / "out.mp4"), *more]
    assert ran(2, tmp_path, *told, accelerators=accelerators) == [0, 0]
    report = json.loads((tmp_path / "out.json").read_text())
    assert any(says in warning for warning in report["warnings"])


def test_torchrun_starts_it_and_an_error_ends_all(tmp_path: Path) -> None:
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "haneul"]
    told = [*start, *asked(tmp_path / "none", tmp_path / "out.mp4")]
    done = subprocess.run(told, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode != 0
    assert done.stderr.count("does not exist") == 1  # told once
    assert not (tmp_path / "out.mp4").exists()


def test_one_process_is_no_company(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")  # some other launcher's
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert parallel.count() == 1
    assert not parallel.leads()
    with parallel.together() as first:
        assert first
