"""Long videos by open checkpoints: windows that see frames again, and the noise on these."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from asking import SIDES, Frames, Saved, asked, frames_of

from haneul.backbones.open import context, folder, modes
from haneul.backbones.open.backbone import Open
from haneul.backbones.open.extras import Extras
from haneul.errors import InputError

pytestmark = pytest.mark.usefixtures("in_float32")

WINDOWS = {"ltx": 17, "ltx2": 9}  #: frames at a time, where it is not 13


def opened(saved: Saved, name: str, **extras: Any) -> Open:
    """A tiny checkpoint, made for few frames at a time."""
    model = Open(folder.read(saved(name)), extras=Extras(**extras))
    model.rules = dataclasses.replace(model.rules, window=WINDOWS.get(name, 13))
    return model


@pytest.mark.parametrize(
    ("name", "how", "usual"),
    [
        ("skyreels", "prefix", 0.02), ("ltx", "fading", 0.15), ("ltx2", "strength", 0.02), ("wan-vace", "frames", 0.02),
        ("wan-ti2v", "frames", 0.02), ("wan", None, None),
    ],
)  # fmt: skip
def test_how_a_familys_context_is_noised_is_shown(
    name: str, how: str | None, usual: float | None, saved: Saved
) -> None:
    model = Open(folder.read(saved(name)))
    able = model.calls
    onward = able.history or able.control or able.clips or able.picture
    way = modes.table(able, model.slides)[modes.LONG]
    assert modes.LONG not in model.capabilities().modes  # it is no mode that could be asked for
    if how is None or onward is None:
        assert (how, onward, way.state) == (None, None, "unavailable")
        return
    assert context.noising(onward) == how
    assert context.level(onward, None) == usual
    assert context.level(onward, 0.3) == 0.3
    assert way.state == ("built" if how == "frames" else "native")
    assert f"noise of {usual:g}" in way.how


def answers(model: Open, frames: int, monkeypatch: pytest.MonkeyPatch) -> list[Frames]:
    """What each call of a video answers, before it is rounded to bytes."""
    loaded = model.load(model.rules.window, SIDES)
    call, found = loaded.call, []

    def noted(*args: Any, **given: Any) -> Any:
        answer = call(*args, **given)
        found.append(np.asarray(answer.frames[0]))
        return answer

    monkeypatch.setattr(loaded, "call", noted)
    frames_of(model.generate(asked(model, frames, SIDES)))
    return found


@pytest.mark.parametrize(
    ("name", "frames"), [("skyreels", 17), ("ltx", 25), ("wan-vace", 17), ("wan-ti2v", 17), ("ltx2", 11)]
)
def test_noise_on_the_context_is_seen_by_later_windows_alone(
    name: str, frames: int, saved: Saved, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [answers(opened(saved, name, context_noise=noise), frames, monkeypatch) for noise in (None, None, 0.0, 0.3)]
    assert all(len(found) == 2 for found in made)
    usual, again, without, much = made
    for a, b in zip(usual, again, strict=True):
        assert np.array_equal(a, b)  # the noise is drawn by the seed
    for other in (without, much):
        assert np.array_equal(usual[0], other[0])
        assert not np.array_equal(usual[1], other[1])


def test_skyreels_is_told_its_history_and_the_noise(saved: Saved, monkeypatch: pytest.MonkeyPatch) -> None:
    model = opened(saved, "skyreels")
    loaded = model.load(13, SIDES)
    call, told = loaded.call, []

    def noted(*args: Any, **given: Any) -> Any:
        told.append(given)
        return call(*args, **given)

    monkeypatch.setattr(loaded, "call", noted)
    before = torch.get_rng_state()
    made = frames_of(model.generate(asked(model, 17, SIDES)))
    assert torch.equal(torch.get_rng_state(), before)  # the noise is not drawn from everyone's numbers
    first, second = told
    assert "addnoise_condition" not in first
    assert second["addnoise_condition"] == 20
    assert (second["overlap_history"], second["base_num_frames"], second["num_frames"]) == (9, 13, 13)
    seen = np.stack([np.asarray(frame) for frame in second["video"]])
    assert np.array_equal(seen, made[4:13])  # clean: the call lays the noise on


def test_noise_is_a_share_of_the_frame() -> None:
    grey = np.full((64, 64, 3), 128, np.uint8)
    little, half = (context.noised(grey, share, 1, 2).astype(float) for share in (0.02, 0.5))
    assert abs(little.std() - 0.02 * 127.5) < 0.1
    assert 55 < half.std() < 64  # 64, less what is cut off
    assert np.array_equal(context.noised(grey, 0.0, 1), grey)
    assert not np.array_equal(context.noised(grey, 0.02, 1, 2), context.noised(grey, 0.02, 1, 3))
    with pytest.raises(InputError, match="context noise of 1 is out of range"):
        Extras(context_noise=1.0)
