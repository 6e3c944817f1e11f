"""What is given to an open checkpoint besides a first frame: bit for bit as plain diffusers takes it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from asking import SIDES, Frames, Saved, asked, frames_of
from diffusers.pipelines.ltx.pipeline_ltx_condition import LTXVideoCondition
from diffusers.pipelines.ltx2.pipeline_ltx2_condition import LTX2VideoCondition
from PIL import Image
from test_open import moving, picture, plain

from haneul.backbones.base import Given
from haneul.backbones.open import folder
from haneul.backbones.open.backbone import Open
from haneul.backbones.open.extras import Extras

pytestmark = pytest.mark.usefixtures("in_float32")

USUAL = {"width": SIDES[0], "height": SIDES[1], "num_inference_steps": 2, "guidance_scale": 3.0}
FIRST, LAST = picture(SIDES), picture(SIDES, seed=1)


def pictures(frames: Frames) -> list[Image.Image]:
    return [Image.fromarray(frame) for frame in frames]


def made(saved: Saved, name: str, frames: int, mode: str, *given: Given) -> Frames:
    model = Open(folder.read(saved(name)), extras=Extras(exact=True))
    return frames_of(model.generate(asked(model, frames, SIDES, mode=mode, given=given)))


@pytest.mark.parametrize(
    ("name", "pipeline", "frames"),
    [("wan", "WanVideoToVideoPipeline", 5), ("cogvideox", "CogVideoXVideoToVideoPipeline", 9)],
)
def test_a_video_is_made_anew(name: str, pipeline: str, frames: int, saved: Saved) -> None:
    clip = moving(frames, SIDES)
    ours = made(saved, name, frames, "remix", Given(frames=clip, keep=0.25))
    assert np.array_equal(ours, plain(saved(name), pipeline, video=pictures(clip), strength=0.75, **USUAL))
    assert ours.std() > 1


def test_a_box_is_made_anew_by_a_mask(saved: Saved) -> None:
    clip = moving(5, SIDES)
    ours = made(saved, "wan-vace", 5, "inpaint", Given(frames=clip, box=(0.25, 0.25, 0.5, 0.75)))
    mask = np.zeros((5, *SIDES[::-1]), np.uint8)
    mask[:, 8:24, 8:16] = 255
    hidden = np.where(mask[..., None] > 0, np.uint8(128), clip)
    given: dict[str, Any] = {"video": pictures(hidden), "mask": pictures(mask), "num_frames": 5}
    assert np.array_equal(ours, plain(saved("wan-vace"), "WanVACEPipeline", **given, **USUAL))


def test_a_first_and_a_last_frame(saved: Saved) -> None:
    both = Given(frames=FIRST), Given(frames=LAST, at=8)
    ours = made(saved, "wan-i2v", 9, "keyframes", *both)
    given: dict[str, Any] = {"image": pictures(FIRST)[0], "last_image": pictures(LAST)[0], "num_frames": 9}
    assert np.array_equal(ours, plain(saved("wan-i2v"), "WanImageToVideoPipeline", **given, **USUAL))
    ours = made(saved, "ltx", 9, "keyframes", *both)
    ends = [LTXVideoCondition(image=pictures(one)[0], frame_index=at) for one, at in ((FIRST, 0), (LAST, 8))]
    given = {"conditions": ends, "num_frames": 9}
    assert np.array_equal(ours, plain(saved("ltx"), "LTXConditionPipeline", **given, **USUAL))
    ours = made(saved, "ltx2", 5, "keyframes", both[0], Given(frames=LAST, at=4))
    latent = [LTX2VideoCondition(frames=pictures(one), index=at) for one, at in ((FIRST, 0), (LAST, 2))]
    given = {"conditions": latent, "num_frames": 5}
    assert np.array_equal(ours, plain(saved("ltx2"), "LTX2ConditionPipeline", **given, **USUAL))


def test_a_history(saved: Saved) -> None:
    clip = moving(5, SIDES)
    ours = made(saved, "skyreels", 9, "extend", Given(frames=clip))
    assert np.array_equal(ours[:5], clip)
    torch.manual_seed(5)  # the noise on the context comes from the process's own generator
    theirs = plain(
        saved("skyreels"), "SkyReelsV2DiffusionForcingVideoToVideoPipeline", video=pictures(clip), num_frames=9,
        base_num_frames=9, overlap_history=5, addnoise_condition=20, **USUAL,
    )  # fmt: skip
    assert np.array_equal(ours[5:], theirs[5:9])
