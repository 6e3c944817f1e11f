"""Open checkpoints, on tiny ones of every family with random weights: bit for bit as plain diffusers makes them."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from asking import PROMPT, SIDES, Frames, Saved, asked, frames_of
from PIL import Image

from haneul.backbones.base import Given
from haneul.backbones.open import folder, loops, modes, sources
from haneul.backbones.open.backbone import Open
from haneul.backbones.open.extras import Extras
from haneul.errors import InputError

pytestmark = pytest.mark.usefixtures("in_float32")


def picture(size: tuple[int, int], seed: int = 0) -> Frames:
    """One frame of noise, [1, H, W, 3]."""
    return np.random.default_rng(seed).integers(0, 256, (1, size[1], size[0], 3)).astype(np.uint8)


def plain(where: Path, pipeline: str, **given: Any) -> Frames:
    """What diffusers itself makes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pipe = getattr(diffusers, pipeline).from_pretrained(where, dtype=torch.float32)
        pipe.set_progress_bar_config(disable=True)
        answer = pipe(prompt=PROMPT, generator=torch.Generator().manual_seed(5), output_type="pil", **given)
    return np.stack([np.asarray(frame) for frame in answer.frames[0]])


#: checkpoint, the pipeline that is asked for a video and the one that is asked for one of a picture, frames, steps
FAMILIES = [
    ("wan", "WanPipeline", None, 9, 2),
    ("wan-i2v", None, "WanImageToVideoPipeline", 9, 2),
    ("wan-clip-i2v", None, "WanImageToVideoPipeline", 5, 2),
    ("wan-ti2v", "WanPipeline", "WanImageToVideoPipeline", 5, 2),
    ("wan-vace", "WanVACEPipeline", None, 5, 2),
    ("skyreels", "SkyReelsV2DiffusionForcingPipeline", "SkyReelsV2DiffusionForcingImageToVideoPipeline", 5, 2),
    ("skyreels-t2v", "SkyReelsV2Pipeline", None, 5, 2),
    ("ltx", "LTXPipeline", "LTXImageToVideoPipeline", 9, 2),
    ("ltx2", "LTX2Pipeline", "LTX2ImageToVideoPipeline", 3, 1),
    ("cogvideox", "CogVideoXPipeline", None, 9, 2),
    ("cogvideox-i2v", None, "CogVideoXImageToVideoPipeline", 9, 2),
    ("hunyuan", "HunyuanVideoPipeline", None, 5, 2),
    ("hunyuan-i2v", None, "HunyuanVideoImageToVideoPipeline", 5, 2),
    ("hunyuan-i2v-wide", None, "HunyuanVideoImageToVideoPipeline", 5, 2),
    ("hunyuan15", "HunyuanVideo15Pipeline", None, 3, 2),
    ("hunyuan15-i2v", None, "HunyuanVideo15ImageToVideoPipeline", 3, 2),
    ("mochi", "MochiPipeline", None, 7, 2),
    ("sana", "SanaVideoPipeline", "SanaImageToVideoPipeline", 5, 2),
    ("cosmos", "CosmosTextToWorldPipeline", None, 5, 2),
    ("cosmos2", None, "Cosmos2VideoToWorldPipeline", 5, 2),
    ("cosmos25", "Cosmos2_5_PredictBasePipeline", "Cosmos2_5_PredictBasePipeline", 5, 2),
    ("kandinsky", "Kandinsky5T2VPipeline", None, 5, 2),
    ("kandinsky-i2v", None, "Kandinsky5I2VPipeline", 21, 1),
]


@pytest.mark.usefixtures("cosmos_works")
@pytest.mark.parametrize(("name", "text", "image", "frames", "steps"), FAMILIES, ids=lambda value: str(value))
def test_every_family_is_what_plain_diffusers_makes(
    name: str, text: str | None, image: str | None, frames: int, steps: int, saved: Saved
) -> None:
    where = saved(name)
    model, faster = (Open(folder.read(where), extras=Extras(exact=exact)) for exact in (True, False))
    size = model.rules.sides((32, 32))
    modes = model.capabilities().modes
    assert ("text-to-video" in modes) == (text is not None)
    for mode, pipeline in (("text-to-video", text), ("image-to-video", image)):
        if pipeline is None:
            continue
        assert mode in modes
        known = sources.pipeline(pipeline)
        assert known is not None
        assert known.frames is not None
        given: dict[str, Any] = {
            "height": size[1], "width": size[0], known.frames: frames + model.rules.lost, "num_inference_steps": steps,
            "guidance_scale": 3.0,
        }  # fmt: skip
        first = picture(size)
        if mode == "image-to-video":
            given["image"] = Image.fromarray(first[0])
        if "use_resolution_binning" in known.call:
            given["use_resolution_binning"] = False
        given = {key: value for key, value in given.items() if key in known.call}
        guidance = 6.0 if "guidance_scale" not in known.call else 3.0
        held = (Given(frames=first),) if mode == "image-to-video" else ()
        request = asked(model, frames, size, mode=mode, given=held, steps=steps, guidance=guidance)
        ours = frames_of(model.generate(request))
        theirs = plain(where, pipeline, **given)
        assert ours.shape == theirs.shape
        assert theirs.std() > 1
        assert np.array_equal(ours, theirs)
        if steps > 1:  # again, when the text's embeddings are kept; not of what takes long
            assert np.array_equal(ours, frames_of(model.generate(request)))
        near = frames_of(faster.generate(request)).astype(int)
        assert np.abs(near - theirs).max() <= 1  # of 255: rounding


# ------------------------------------------------------------------------------------------------------------ modes


def moving(frames: int, size: tuple[int, int]) -> Frames:
    """A square that moves over grey."""
    w, h = size
    clip = np.full((frames, h, w, 3), 90, np.uint8)
    for at in range(frames):
        x = (2 * at) % (w - 8)
        clip[at, 8:20, x : x + 8] = (220, 30, 30)
    return clip


def small(model: Open, window: int) -> Open:
    """The same checkpoint, made for few frames at a time."""
    model.rules = dataclasses.replace(model.rules, window=window)
    return model


@pytest.fixture(scope="module")
def models(saved: Saved) -> Callable[[str], Open]:
    """A family's tiny checkpoint, which is loaded once, made for 13 frames (LTX: 17) at a time."""
    made: dict[str, Open] = {}

    def get(name: str) -> Open:
        if name not in made:
            made[name] = small(Open(folder.read(saved(name))), 17 if name == "ltx" else 13)
        return made[name]

    return get


CLIP = 12  #: frames of the clip that is given


def given_for(mode: str, frames: int) -> tuple[Given, ...]:
    clip = moving(CLIP, SIDES)
    both = (Given(frames=clip[:5]), Given(frames=clip[:5], at=frames - 5))
    return {
        "text-to-video": (),
        "text-to-image": (),
        "image-to-video": (Given(frames=clip[:1]),),
        "extend": (Given(frames=clip),),
        "backward": (Given(frames=clip, at=frames - CLIP),),
        "connect": both,
        "retake": both,
        "loop": both,
        "keyframes": (Given(frames=clip[:1]), Given(frames=clip[3:4], at=10)),
        "remix": (Given(frames=clip, keep=0.4),),
        "inpaint": (Given(frames=clip, box=(0.2, 0.2, 0.7, 0.7)),),
        "blend": (Given(frames=clip, keep=1 - 0.75 * np.sin(np.pi * np.linspace(0, 1, CLIP)) ** 2),),
    }[mode]


#: checkpoint -> mode -> the calls that it is made of
MADE = {
    "wan": {"text-to-image": "text", "remix": "video", "inpaint": "video", "blend": "video"},
    "wan-ti2v": {"text-to-video": "text picture", "image-to-video": "picture picture", "extend": "kept picture"},
    "wan-vace": {
        "text-to-video": "control control control", "extend": "control " * 4, "backward": "control control control",
        "connect": "control control control", "keyframes": "control control", "inpaint": "control",
        "blend": "control", "image-to-video": "control control control",
    },
    "wan-i2v": {
        "image-to-video": "picture picture", "extend": "kept picture", "connect": "kept ends kept",
        "loop": "kept ends kept", "retake": "kept ends kept", "keyframes": "ends picture", "blend": "kept ends kept",
    },
    "ltx": {
        "text-to-video": "text clips", "image-to-video": "picture clips", "extend": "clips clips",
        "backward": "clips clips", "connect": "clips clips", "keyframes": "clips", "blend": "clips",
    },
    "skyreels": {
        "text-to-video": "text history history", "extend": "kept history history history",
        "connect": "kept ends kept", "keyframes": "ends history history",
    },
}  # fmt: skip
LENGTH = {
    "text-to-image": 1, "remix": CLIP, "inpaint": CLIP, "blend": CLIP, "extend": 24, "connect": 20, "keyframes": 16,
    "loop": 20, "retake": 20, "backward": 20,
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "mode", "kinds"), [(n, m, k) for n, found in MADE.items() for m, k in found.items()],
)  # fmt: skip
def test_every_mode_is_made_of_the_calls_that_there_are(
    name: str, mode: str, kinds: str, models: Callable[[str], Open]
) -> None:
    model, frames = models(name), LENGTH.get(mode, 21)
    given = given_for(mode, frames)
    request = asked(model, frames, SIDES, mode="extend" if mode == "backward" else mode, given=given)
    found = modes.pieces(request, frames, model.calls, model.rules, model.slides)
    assert [piece.kind for piece in found] == kinds.split()
    shown = [at for piece in found for at in range(piece.show, piece.last + 1)]
    assert shown == list(range(frames))  # each frame once, in order
    assert all((piece.length - 1) % model.rules.step == 0 for piece in found if piece.kind != "kept")
    assert all(piece.length <= model.rules.window for piece in found if piece.kind != "kept")
    made = frames_of(model.generate(request))
    assert made.shape == (frames, *SIDES[::-1], 3)
    if "kept" in kinds:
        assert np.array_equal(made[:5], moving(5, SIDES)) or mode == "blend"
    again = frames_of(model.generate(request))
    assert np.array_equal(made, again)


@pytest.mark.parametrize(
    ("name", "mode", "says"),
    [
        ("wan", "text-to-video", "0.81 s at a time"),
        ("wan", "extend", "needs a picture"),
        ("wan-i2v", "text-to-video", "begins with a picture"),
        ("wan-ti2v", "connect", "needs a first and last frame"),
        ("wan-i2v", "backward", "frames anywhere"),
        ("wan-i2v", "remix", "needs a video to noise"),
    ],
)
def test_a_mode_that_cannot_be_made_is_refused_before_anything_is_loaded(
    name: str, mode: str, says: str, models: Callable[[str], Open], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = models(name)
    monkeypatch.setattr(Open, "load", None)
    given = given_for(mode, 21)
    request = asked(model, 21, SIDES, mode="extend" if mode == "backward" else mode, given=given)
    with pytest.raises(InputError, match=says):
        list(model.generate(request))


def test_a_loop_from_nothing_turns(models: Callable[[str], Open]) -> None:
    model = models("wan")
    made = frames_of(model.generate(asked(model, 12, SIDES, mode="loop", loop=True)))
    assert len(made) == 12  # three latent frames, none of which is the short first one
    scheduler = SimpleNamespace(model_outputs=[torch.arange(3.0), None], other=torch.zeros(2), steps=[1])
    loops.turn(scheduler, torch.Size([3]), 0)
    assert scheduler.model_outputs[0].tolist() == [2, 0, 1]
    assert scheduler.model_outputs[1] is None


def test_a_text_is_encoded_once(saved: Saved) -> None:
    model = Open(folder.read(saved("wan")))
    request = asked(model, 5, SIDES)
    first = frames_of(model.generate(request))
    encoder = model.load(5, SIDES).own.text_encoder
    calls = []
    encoder.register_forward_hook(lambda *_: calls.append(1))
    assert np.array_equal(frames_of(model.generate(request)), first)
    assert not calls
    model_other = dataclasses.replace(request, prompt="another")
    assert not np.array_equal(frames_of(model.generate(model_other)), first)
    assert calls


def test_the_first_block_cache_stays_near(saved: Saved) -> None:
    plainly = Open(folder.read(saved("wan")))
    cached = Open(folder.read(saved("wan")), extras=Extras(cache=0.9))
    request = asked(plainly, 5, SIDES, steps=6)
    exact, near = (frames_of(model.generate(request)).astype(float) for model in (plainly, cached))
    assert 0 < np.abs(exact - near).mean() < 12  # of 255; the networks are noise, and most blocks were skipped
