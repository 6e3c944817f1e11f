"""A request whose process ended goes on where it stopped; and who looks on sees what it is becoming."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from haneul.backbones.base import Given, Request
from haneul.backbones.native import Native
from haneul.backbones.watching import Watch
from haneul.config import load_settings
from haneul.engine import generate
from haneul.errors import RefusedError
from haneul.serve.kept import StoredMemory
from haneul.serve.store import FolderStore


class Ended(Exception):
    """As if the process were killed."""


@pytest.fixture(scope="module")
def native(weights: Path) -> Native:
    return Native(weights)


@pytest.fixture
def memory(tmp_path: Path) -> StoredMemory:
    return fresh(tmp_path)


def fresh(folder: Path) -> StoredMemory:
    """What another process finds."""
    (folder / "scratch").mkdir(exist_ok=True)
    return StoredMemory(FolderStore(folder / "store"), "video_1", folder / "scratch", every=0.0)


#: One window, several, a long loop, and one with given frames that is sampled by Heun's method.
REQUESTS = {
    "short": Request(prompt="a red ball", seconds=1.0, size=(64, 64), steps=3, guidance=2.0),
    "long": Request(prompt="a red ball", seconds=8.0, size=(64, 64), steps=2, guidance=1.0, seed=3),
    "loop": Request(prompt="a red ball", seconds=6.0, size=(64, 64), steps=2, guidance=1.0, loop=True, mode="loop"),
    "given": Request(
        prompt="a red ball", seconds=1.0, size=(64, 64), steps=2, guidance=1.0, mode="image-to-video",
        given=(Given(frames=np.full((1, 64, 64, 3), 90, np.uint8)),),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REQUESTS)
def test_it_goes_on_after_every_step_and_makes_the_very_same(native: Native, tmp_path: Path, name: str) -> None:
    request, calls, steps = REQUESTS[name], 0, 0

    def count(*_: object) -> None:
        nonlocal calls
        calls += 1

    def told(_stage: str, done: int, _total: int) -> None:
        nonlocal steps
        steps = max(steps, done)

    hook = native.dit.register_forward_hook(count)
    try:
        whole = native.latents(request, told)
        of_whole, calls = calls, 0
        for stop in range(1, steps):

            def until(_stage: str, done: int, _total: int, stop: int = stop) -> None:
                if done == stop:
                    raise Ended

            with pytest.raises(Ended):
                native.latents(dataclasses.replace(request, memory=fresh(tmp_path)), until)
        again = native.latents(dataclasses.replace(request, memory=fresh(tmp_path)))
    finally:
        hook.remove()
    assert torch.equal(again, whole)
    assert calls == of_whole  # each step was made once in all


def test_another_request_does_not_go_on_from_there(native: Native, tmp_path: Path) -> None:
    request = REQUESTS["given"]
    native.latents(dataclasses.replace(request, memory=fresh(tmp_path)))
    for change in (
        {"seed": 1}, {"prompt": "a blue ball"}, {"guidance": 2.0},
        {"given": (Given(frames=np.full((1, 64, 64, 3), 200, np.uint8)),)},
    ):  # fmt: skip
        other = dataclasses.replace(request, **change)  # type: ignore[arg-type]
        kept = native.latents(dataclasses.replace(other, memory=fresh(tmp_path)))
        assert torch.equal(kept, native.latents(other))


def test_of_finished_windows_only_the_result_is_kept(tmp_path: Path, memory: StoredMemory) -> None:
    for step in range(3):
        memory.put(f"v0-{step}", torch.full((2,), float(step), dtype=torch.bfloat16))
    found = fresh(tmp_path).get("v0-1")
    assert isinstance(found, Tensor)
    assert (found.dtype, found.tolist()) == (torch.bfloat16, [1.0, 1.0])
    memory.put("w0", torch.ones(2))
    memory.drop("v0-")
    again = fresh(tmp_path)
    assert sorted(again.known) == ["w0"]
    assert len(memory.store.keys("kept/video_1")) == 1


# ---------------------------------------------------------------------------------------------------------- glimpses


def test_a_glimpse_becomes_the_video(native: Native, monkeypatch: pytest.MonkeyPatch) -> None:
    """Euler's last step goes to the model's guess itself."""
    monkeypatch.setattr(native, "sampling", dataclasses.replace(native.sampling, sampler="euler"))
    seen: list[tuple[NDArray[np.uint8], int, int]] = []
    request = Request(prompt="a red ball", seconds=1.0, size=(320, 192), steps=4, guidance=1.0)
    latents = native.latents(
        dataclasses.replace(request, glimpse=lambda draw, done, total: seen.append((draw(), done, total)))
    )
    assert [(done, total) for _, done, total in seen] == [(n, 4) for n in range(1, 5)]
    assert all(picture.shape == (116, 192, 3) for picture, _, _ in seen)
    last = Watch(request, native.identity, native.codec).picture(latents)
    far = [float(np.abs(picture.astype(int) - last).mean()) for picture, _, _ in seen]
    assert far[-1] < 0.5 < far[0]  # rounding apart


def test_who_does_not_look_changes_nothing_and_who_looks_neither(native: Native) -> None:
    request = REQUESTS["short"]
    whole = native.latents(request)
    for glimpse in (lambda _draw, _done, _total: None, lambda draw, _done, _total: draw()):
        assert torch.equal(native.latents(dataclasses.replace(request, glimpse=glimpse)), whole)


def test_a_glimpse_is_screened_and_marked(native: Native, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bare: list[NDArray[np.uint8]] = []
    marked: list[NDArray[np.uint8]] = []
    draw = native.latents(dataclasses.replace(REQUESTS["short"], glimpse=lambda see, _n, _of: bare.append(see())))
    assert draw.shape[0] == 1
    options = {"seconds": 1.0, "size": (64, 64), "steps": 3, "seed": 0, "guidance": 2.0, "expand": False}
    given = {"backbone": native, "settings": load_settings(), "overwrite": True, "output": tmp_path / "a.mp4"}
    generate("a red ball", glimpse=lambda see, _n, _of: marked.append(see()), **options, **given)  # type: ignore[arg-type]
    assert len(marked) == len(bare) == 3
    change = np.abs(marked[-1].astype(int) - bare[-1].astype(int))
    assert 0 < change.mean() < 8

    from haneul.screen import media

    monkeypatch.setattr(media, "plugins", lambda: {"sees": lambda _frames: {"gore": 1.0}})
    with pytest.raises(RefusedError):
        generate("a red ball", glimpse=lambda see, _n, _of: marked.append(see()), **options, **given)  # type: ignore[arg-type]
    assert len(marked) == 3
