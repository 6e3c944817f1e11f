"""What the subject does, in words and as numbers, on its way to the model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from haneul import cli, edits, engine
from haneul.backbones.base import Request
from haneul.backbones.given import FAR, controls, within
from haneul.backbones.native import Native
from haneul.errors import InputError
from haneul.model.dit import LEAST_SPREAD
from haneul.prompt.action import CHANNELS, actions, parse
from haneul.prompt.camera import velocities
from haneul.storyboard import read
from haneul.world.scene import CONTROLS

PROMPT = "a robot picks up a box"


@pytest.fixture(scope="module")
def native(weights: Path) -> Native:
    return Native(weights)


def test_channels_are_those_of_the_world() -> None:
    assert CONTROLS[6:] == CHANNELS


@pytest.mark.parametrize(
    ("text", "expected"),  # of one frame a second, [steer, throttle, jump, grasp]
    [
        ("drive", [[0, 0.7, 0, 0]] * 4),
        ("steer left 1 s, then wait", [[-1, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]),
        ("turn right 0.5 for 3 s", [[0.5, 0, 0, 0]] * 3 + [[0, 0, 0, 0]]),
        ("drive 1 s, jump 1 s, stop", [[0, 0.7, 0, 0], [0, 0.7, 1, 0], [0, 0, 0, 0], [0, 0, 0, 0]]),
        ("walk 1 and steer left 0.2 over 2s then grab", [[-0.2, 1, 0, 0]] * 2 + [[0, 1, 0, 1]] * 2),
        ("pick up 1 s, then wait 1 s, then let go", [[0, 0, 0, 1]] * 2 + [[0, 0, 0, 0]] * 2),
        ("GO 0.25 2 SECONDS", [[0, 0.25, 0, 0]] * 4),
        ("stop", [[0, 0, 0, 0]] * 4),
    ],
)
def test_words(text: str, expected: list[list[float]]) -> None:
    assert np.allclose(actions(text, 4, 1.0), expected)


def test_a_jump_takes_half_a_second_and_the_rest_shares() -> None:
    a = actions("drive, jump, drive 0.1", 48, 24)
    assert a.shape == (48, 4)
    assert a.dtype == np.float32
    assert a[:, 2].sum() == 12
    assert np.allclose(a[[0, 17, 18, 29, 30, 47], 1], [0.7, 0.7, 0.7, 0.7, 0.1, 0.1])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("dance", "the subject cannot 'dance'; it can: steer left"),
        ("drive,", "cannot ''"),
        ("steer left 30", "steer left 30 is too much"),
        ("drive -1", "cannot 'drive -1'"),
        ("drive 3 s, jump", "the actions take 3.5 s, the video is 2 s long"),
        ("drive 2 s, stop", "make it longer, or them shorter"),
        ("jump and " * 50 + "dance", "cannot 'dance'"),
    ],
)
def test_what_cannot_be(text: str, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        actions(text, 48, 24)
    assert "\n" not in str(caught.value)


def test_controls_of_latent_frames() -> None:
    done = actions("drive 1, then grasp", 144, 24)
    ctrl, known = controls(None, done, 19, (6, 4))
    assert ctrl is not None
    assert known is not None
    assert known.tolist() == [[0.0, 1.0]]
    assert ctrl.shape == (1, 19, 10)
    assert not ctrl[..., :6].any()
    assert ctrl[0, 1].tolist() == [0] * 7 + [1, 0, 0]
    assert ctrl[0, -1].tolist() == [0] * 7 + [1, 0, 1]
    both, known = controls(velocities("orbit left", 144, 24), done, 19, (6, 4))
    assert both is not None
    assert known is not None
    assert known.tolist() == [[1.0, 1.0]]
    assert torch.equal(both[..., 6:], ctrl[..., 6:])
    assert both[..., 4].all()


def test_it_reaches_the_model(native: Native, tmp_path: Path) -> None:
    asked = {"prompt": PROMPT, "seconds": 2.0, "size": (112, 64), "seed": 1, "steps": 1, "guidance": 1.0}
    plain, told = native.latents(Request(**asked)), native.latents(Request(**asked, action=actions("drive", 48, 24)))
    assert not torch.allclose(plain, told, atol=1e-3)
    small = {"size": (112, 64), "seconds": 0.5, "steps": 1, "backbone": native, "overwrite": True}
    result = engine.generate(PROMPT, output=tmp_path / "x.mp4", action="drive, then grasp 0.2 s", **small)
    assert result.report["request"]["action"] == "drive, then grasp 0.2 s"
    numbers = np.ones((12, 4), np.float32)
    assert engine.generate(PROMPT, output=tmp_path / "x.mp4", action=numbers, **small).report["request"]["action"]
    edits.extend(tmp_path / "x.mp4", PROMPT, output=tmp_path / "y.mp4", action="jump", **small)
    for wrong in (np.ones((12, 6)), np.ones((3, 4)), np.full((12, 4), np.nan)):
        with pytest.raises(InputError, match="4 finite numbers for each of 12 frames"):
            engine.generate(PROMPT, output=tmp_path / "x.mp4", action=wrong, **small)


def test_what_was_never_shown_is_told(native: Native, tmp_path: Path) -> None:
    spread = native.dit.control_spread
    before = spread.clone()
    try:
        spread[6:] = torch.tensor([LEAST_SPREAD, 0.3, 0.2, 0.2])
        assert native.capabilities().actions == ("throttle", "jump", "grasp")
        small = {"size": (112, 64), "seconds": 0.5, "steps": 1, "backbone": native}
        result = engine.generate(PROMPT, output=tmp_path / "x.mp4", action="drive and steer left", **small)
        assert result.warnings == ["the model was never shown 'steer' as an action, and does not hear it"]
    finally:
        spread.copy_(before)


def test_storyboards_and_the_command_line(native: Native, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    board = tmp_path / "board.toml"
    board.write_text('size = "shorts"\n[[shots]]\nprompt = "a robot"\naction = "drive, then grasp"\n')
    assert read(board).shots[0].action == "drive, then grasp"
    assert read(board).size == (1080, 1920)
    monkeypatch.setattr(engine, "default_backbone", lambda _: native)
    small = ["--seconds", "0.5", "--size", "112x64", "--steps", "1", "-o", str(tmp_path / "x.mp4")]
    assert CliRunner().invoke(cli.main, ["generate", PROMPT, *small, "--action", "walk"]).exit_code == 0
    result = CliRunner().invoke(cli.main, ["generate", PROMPT, *small, "--overwrite", "--action", "dance"])
    assert result.exit_code == 2
    assert "the subject cannot 'dance'" in result.stderr


def test_parsed_legs() -> None:
    first, second = parse("drive 0.5 and steer left 1 s, then jump")
    assert (first.verbs, first.seconds) == ({"drive": 0.5, "steer left": None}, 1.0)
    assert (second.verbs, second.seconds) == ({"jump": None}, None)


def test_controls_stay_within_what_was_learned() -> None:
    """What never varied in training is left at nothing; what did is held to where the model still knows it."""
    spread = torch.tensor([0.15, LEAST_SPREAD, 0.3])
    held = within(torch.tensor([[[9.0, 1.0, 1.0], [-9.0, -1.0, -0.1]]]), spread)
    assert held.tolist() == [
        [[pytest.approx(FAR * 0.15), 0.0, 1.0], [pytest.approx(-FAR * 0.15), 0.0, pytest.approx(-0.1)]]
    ]


def test_what_was_never_learned_changes_nothing() -> None:
    """The bundled model was shown no steering: asked for it, it makes what it makes when told of no action at all."""
    native = Native()
    assert "steer" not in native.capabilities().actions
    asked = {"prompt": "a car", "seconds": 0.3, "size": (112, 64), "seed": 1, "steps": 1, "guidance": 1.0}
    none = np.zeros((7, 4), np.float32)
    steered = none.copy()
    steered[:, 0] = 1
    still, turned = (native.latents(Request(**asked, action=rates)) for rates in (none, steered))
    assert torch.equal(still, turned)
