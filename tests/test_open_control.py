"""A simulated scene directs checkpoints that take control in other ways than by a mask."""

from __future__ import annotations

import dataclasses
import json
import shutil
import warnings
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from asking import PROMPT, SIDES, Frames, Saved, asked, frames_of
from PIL import Image
from safetensors.torch import save_file

from haneul.backbones.base import Given
from haneul.backbones.open import folder, modes
from haneul.backbones.open.backbone import Open
from haneul.backbones.open.extras import Extras
from haneul.errors import CheckpointError, InputError
from haneul.world import guide as guides

pytestmark = pytest.mark.usefixtures("in_float32")


def guiding(frames: int, size: tuple[int, int], seed: int = 0) -> Frames:
    """A control video of noise, [T, H, W, 3]."""
    return np.random.default_rng(seed).integers(0, 256, (frames, size[1], size[0], 3)).astype(np.uint8)


def guided(model: Open, control: Frames, size: tuple[int, int], **more: Any) -> Frames:
    given = (Given(frames=control, keep=0.4, control=True),)
    return frames_of(model.generate(asked(model, len(control), size, mode="guided", given=given, **more)))


def plain(where: Path, pipeline: str, **given: Any) -> Frames:
    """What diffusers itself makes of a control video."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pipe = getattr(diffusers, pipeline).from_pretrained(where, dtype=torch.float32)
        pipe.set_progress_bar_config(disable=True)
        answer = pipe(
            prompt=PROMPT, generator=torch.Generator().manual_seed(5), output_type="pil", num_inference_steps=2,
            guidance_scale=3.0, **given,
        )  # fmt: skip
    return np.stack([np.asarray(frame) for frame in answer.frames[0]])


@pytest.mark.usefixtures("cosmos_works")
@pytest.mark.parametrize(
    ("name", "pipeline", "parameter", "frames"),
    [
        ("cogvideox-fun", "CogVideoXFunControlPipeline", "control_video", 9),
        ("cosmos25-transfer", "Cosmos2_5_TransferPipeline", "controls", 5),
    ],
)
def test_a_control_video_is_followed_as_diffusers_follows_it(
    name: str, pipeline: str, parameter: str, frames: int, saved: Saved
) -> None:
    where = saved(name)
    model = Open(folder.read(where), extras=Extras(exact=True))
    size = model.rules.sides(SIDES)
    assert model.capabilities().modes == ("guided",)
    assert "follows a control video" in modes.table(model.calls, model.slides)["text-to-video"].how
    control, other = guiding(frames, size), guiding(frames, size, seed=1)
    ours = guided(model, control, size)
    chunk = {"num_frames": frames, "num_frames_per_chunk": frames} if parameter == "controls" else {}
    pictures = [Image.fromarray(frame) for frame in control]
    theirs = plain(where, pipeline, height=size[1], width=size[0], **{parameter: pictures}, **chunk)
    assert np.array_equal(ours, theirs)
    assert ours.std() > 1
    assert not np.array_equal(ours, guided(model, other, size))


@pytest.mark.usefixtures("cosmos_works")
def test_how_long_a_control_video_may_be(saved: Saved) -> None:
    fun, transfer = (Open(folder.read(saved(name))) for name in ("cogvideox-fun", "cosmos25-transfer"))
    for model in (fun, transfer):
        model.rules = dataclasses.replace(model.rules, window=9)
    with pytest.raises(InputError, match="knows nothing of what came before"):
        guided(fun, guiding(17, SIDES), SIDES)
    assert len(guided(transfer, guiding(13, SIDES), SIDES)) == 13  # piece by piece, by itself


def ic_lora(path: Path, metadata: dict[str, str] | None = None) -> Path:
    """A LoRA for the tiny LTX-2, in the layout of diffusers."""
    generator = torch.Generator().manual_seed(1)
    tensors = {}
    for block in range(29):
        key = f"transformer.transformer_blocks.{block}.attn1.to_q"
        tensors[f"{key}.lora_A.weight"] = torch.randn(2, 16, generator=generator)
        tensors[f"{key}.lora_B.weight"] = torch.randn(16, 2, generator=generator)
    save_file(tensors, path, metadata)
    return path


def test_a_control_lora_looks_at_a_reference(saved: Saved, tmp_path: Path) -> None:
    where, file = saved("ltx2"), ic_lora(tmp_path / "depth.safetensors")
    without = Open(folder.read(where))
    assert "with a LoRA" in modes.table(without.calls, without.slides)["guided"].how
    control, other = guiding(3, SIDES), guiding(3, SIDES, seed=1)
    with pytest.raises(InputError, match="only with a control LoRA"):
        guided(without, control, SIDES)
    model = Open(folder.read(where), extras=Extras(loras=((file, 1.0),), exact=True))
    ours = guided(model, control, SIDES)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pipe = diffusers.LTX2InContextPipeline.from_pretrained(where, dtype=torch.float32)
        pipe.load_lora_weights(str(tmp_path), weight_name=file.name, adapter_name="depth")
        pipe.set_progress_bar_config(disable=True)
        kind: Any = diffusers.pipelines.ltx2.pipeline_ltx2_ic_lora.LTX2ReferenceCondition
        answer = pipe(
            prompt=PROMPT, generator=torch.Generator().manual_seed(5), num_inference_steps=2, guidance_scale=3.0,
            reference_conditions=[kind(frames=[Image.fromarray(frame) for frame in control])], height=32, width=32,
            num_frames=3, frame_rate=model.rules.fps, output_type="pil",
        )  # fmt: skip
    assert np.array_equal(ours, np.stack([np.asarray(frame) for frame in answer.frames[0]]))
    assert not np.array_equal(ours, guided(model, other, SIDES))


def test_a_control_lora_says_how_small_its_reference_is(
    saved: Saved, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = ic_lora(tmp_path / "half.safetensors", {"reference_downscale_factor": "2"})
    model = Open(folder.read(saved("ltx2")), extras=Extras(loras=((file, 1.0),)))
    assert model.rules.sides((96, 64)) == (128, 64)  # both sides are multiples of the reference's as well
    model.rules = dataclasses.replace(model.rules, window=5)
    loaded = model.load(5, (64, 64))
    call, told = loaded.call, []

    def noted(*args: Any, **given: Any) -> Any:
        told.append(given)
        return call(*args, **given)

    monkeypatch.setattr(loaded, "call", noted)
    made = guided(model, guiding(7, SIDES), (64, 64), steps=1)
    assert len(made) == 7
    assert [one["reference_downscale_factor"] for one in told] == [2, 2]
    assert [len(one["conditions"]) for one in told] == [0, 1]  # the second window sees the end of the first
    assert told[1]["conditions"][0].strength == 0.98
    assert all(len(one["reference_conditions"][0].frames) == one["num_frames"] for one in told)


def test_control_that_diffusers_does_not_read_is_refused(saved: Saved, tmp_path: Path) -> None:
    where = Path(shutil.copytree(saved("wan"), tmp_path / "fun"))
    config = where / "transformer" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"in_channels": 48}))
    with pytest.raises(CheckpointError, match=r"takes 48 channels .* no pipeline of diffusers gives"):
        Open(folder.read(where))
    index = where / "model_index.json"
    index.write_text(json.dumps(json.loads(index.read_text()) | {"_class_name": "WanFunControlPipeline"}))
    with pytest.raises(CheckpointError, match="made for WanFunControlPipeline, which the installed diffusers"):
        folder.read(where)
    wide = tmp_path / "wide.safetensors"
    save_file({"transformer.patch_embedding.lora_A.weight": torch.zeros(2, 32, 1, 2, 2)}, wide)
    with pytest.raises(CheckpointError, match="widens the denoiser's input from 16 to 32 channels"):
        Open(folder.read(saved("wan")), extras=Extras(loras=((wide, 1.0),)))


# ------------------------------------------------------------------------------------------------------------- edges


def test_edges_are_where_planes_meet_and_end() -> None:
    h, w, focal = 48, 64, 1.5
    v, u = np.meshgrid((h - 1 - 2 * np.arange(h)) / h, (2 * np.arange(w) + 1 - w) / h, indexing="ij")
    along = np.sqrt(focal**2 + u**2 + v**2)  # of rays whose part ahead is `focal`
    floor = np.where(v < 0, -1.0 * focal / np.minimum(v, -1e-9), np.inf)  # one metre below the eye
    wall = np.full_like(v, 6.0)
    z = np.minimum(floor, wall)
    z[10:20, 30:40] = 3.0  # a board before the wall
    depth = (z * along / focal).astype(np.float32)
    found = guides.edges(depth, np.zeros((h, w), np.uint8), focal)[..., 0] > 0
    meets = int(np.argmax(floor[:, 0] < 6))
    assert found[meets - 1 : meets + 1].any(0).all()  # the floor meets the wall
    assert found[9:11, 31:39].any(0).all()  # the board's upper edge
    assert not found[meets + 2 : -1].any()  # a floor is flat, however near
    assert not found[:8].any()
    assert not found[12:18, 32:38].any()
    ids = np.zeros((h, w), np.uint8)
    ids[30:, :20] = 1
    assert guides.edges(depth, ids, focal)[30, 5, 0] == 255  # a subject's end, at any distance
