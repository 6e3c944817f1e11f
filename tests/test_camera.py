"""Camera paths: read from words into the velocities that the world logs, and heard by the model."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from haneul import engine
from haneul.backbones.base import Request
from haneul.backbones.given import controls
from haneul.backbones.native import Native
from haneul.errors import InputError
from haneul.model.dit import DiT, DiTConfig
from haneul.model.text import Text
from haneul.prompt.camera import MOVES, parse, velocities
from haneul.world.physics import simulate
from haneul.world.sample import sample_spec
from haneul.world.scene import CONTROLS
from haneul.world.vocabulary import CAMERAS

PROMPT = "a red ball rolls to the right in the snow"


def test_legs_share_what_is_left() -> None:
    rates = velocities("orbit left 40 over 2 s, then push in, static", 24 * 6, 24)
    assert rates.shape == (144, 6)
    assert rates[:48].sum(0)[4] / 24 == pytest.approx(-math.radians(40), rel=1e-3)
    assert (rates[48:96, 2] < 0).all()
    assert not rates[96:].any()
    assert [leg.move for leg in parse("Zoom in then hold")] == ["push in", "static"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("fly away", "cannot 'fly away'; it can: static, orbit left"),
        ("", "cannot ''"),
        ("orbit left 400", "too fast; at most 100"),
        ("push in over 9 s", "take 9 s, the video is 4 s long"),
        ("orbit left over 4 s, push in", "take 4 s"),
    ],
)
def test_impossible_paths_are_told(text: str, words: str) -> None:
    with pytest.raises(InputError, match=words.replace("(", r"\(")):
        velocities(text, 96, 24)


@pytest.mark.parametrize("move", CAMERAS)
def test_words_and_world_mean_the_same(move: str) -> None:
    """A path's axes and signs are those of the world's log, and its usual speed is within what the world does."""
    assert set(CAMERAS) == set(MOVES)
    event = "roll" if move.startswith("truck") else "bounce"
    truth = simulate(sample_spec(3, seconds=4.0, event=event, camera=move, allow_held_out=True))
    logged, asked = truth.controls_TK[:, :6].mean(0), velocities(move, 96, 24).mean(0)
    assert CONTROLS[:6] == ("cam_vx", "cam_vy", "cam_vz", "cam_wx", "cam_wy", "cam_wz")
    assert np.abs(logged - asked).max() < 0.1
    strongest = int(np.abs(asked).argmax())
    assert asked[strongest] == pytest.approx(logged[strongest], rel=0.35, abs=1e-6)


def dit() -> DiT:
    torch.manual_seed(0)
    return DiT(DiTConfig(latent=8, width=64, depth=1, heads=2, concepts=(3,)))


def test_what_a_token_looks_at_keeps_its_features() -> None:
    model = dit()
    h, w = 4, 7
    step = 2 / h  # half heights from one row or column to the next

    def course(**given: float) -> torch.Tensor:
        names = ("right", "up", "back", "pitch", "yaw", "roll")
        return torch.tensor([given.get(n, 0.0) for n in names])[None, None]

    still = model.gazes(course(), h, w).view(h, w, 4, 8)
    rows_far, rows_near, columns_far, columns_near = range(4)
    truck = model.gazes(course(right=step / 2.2), h, w).view(h, w, 4, 8)
    assert torch.allclose(truck[:, :-1, columns_near], still[:, 1:, columns_near], atol=1e-5)
    assert torch.allclose(truck[:, :, columns_far], still[:, :, columns_far]), "the far stays where it is"
    orbit = model.gazes(course(right=0.2, yaw=0.2), h, w).view(h, w, 4, 8)
    assert torch.allclose(orbit[:, :, columns_near], still[:, :, columns_near], atol=1e-5), "an orbit holds its middle"
    assert not torch.allclose(orbit[:, :, columns_far], still[:, :, columns_far], atol=1e-2)
    pitch = model.gazes(course(pitch=step / 2.2), h, w).view(h, w, 4, 8)
    assert torch.allclose(pitch[1:, :, rows_far], still[:-1, :, rows_far], atol=1e-5), "one sees what was above"
    crane = model.gazes(course(up=0.1, pitch=-0.1), h, w).view(h, w, 4, 8)
    assert torch.allclose(crane[:, :, rows_near], still[:, :, rows_near], atol=1e-5)


def test_unknown_controls_are_not_heard() -> None:
    model = dit()
    with torch.no_grad():
        for p in model.parameters():
            if not p.any():
                p.normal_(std=0.1)
    z, t = torch.randn(2, 8, 3, 2, 2), torch.full((2, 1, 1), 0.5)
    text = Text(concepts=torch.eye(3)[:2])
    call = {
        "time_F": torch.tensor([0.0, 0.2, 0.5]), "single_F": torch.tensor([True, False, False]),
        "null_B": torch.zeros(2, dtype=torch.bool),
    }  # fmt: skip
    ctrl = torch.randn(2, 3, 10)
    plain = model(z, t, text, **call)[0]

    def heard(known: list[list[float]]) -> list[bool]:
        v = model(z, t, text, ctrl_BFK=ctrl, known_BG=torch.tensor(known), **call)[0]
        return [not torch.allclose(v[i], plain[i], atol=1e-5) for i in range(2)]

    assert heard([[0.0, 0.0], [0.0, 0.0]]) == [False, False]
    assert heard([[1.0, 0.0], [0.0, 0.0]]) == [True, False]
    assert heard([[0.0, 0.0], [0.0, 1.0]]) == [False, True]


def test_a_path_reaches_the_model(weights: Path, tmp_path: Path) -> None:
    native = Native(weights)
    asked = {"prompt": PROMPT, "seconds": 6.0, "size": (112, 64), "seed": 1, "steps": 1, "guidance": 1.0}
    rates = velocities("orbit left, then static", 144, 24)
    ctrl, known = controls(rates, None, 19, (6, 4))
    assert ctrl is not None
    assert known is not None
    assert known.tolist() == [[1.0, 0.0]]
    assert ctrl.shape == (1, 19, 10)
    assert float(ctrl[0, 0, 4]) == pytest.approx(float(rates[0, 4]))
    assert not ctrl[0, 11:].any()
    plain, moved = native.latents(Request(**asked)), native.latents(Request(**asked, camera=rates))
    assert not torch.allclose(plain, moved, atol=1e-3)
    result = engine.generate(
        PROMPT, output=tmp_path / "x.mp4", seconds=0.5, size=(112, 64), steps=1, camera="push in", backbone=native
    )
    assert result.report["request"]["camera"] == "push in"
    with pytest.raises(InputError, match="6 finite numbers for each of 12 frames"):
        engine.generate(
            PROMPT, output=tmp_path / "y.mp4", seconds=0.5, camera=np.zeros((3, 6), np.float32), backbone=native
        )
