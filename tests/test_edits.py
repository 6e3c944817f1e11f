"""The modes that begin with given media, with tiny untrained networks: what stays, what is new, what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from numpy.typing import NDArray
from PIL import Image

import haneul
from haneul import cli, edits, engine
from haneul.backbones.base import MODES, Given, Request
from haneul.backbones.given import lay, span
from haneul.backbones.native import Native
from haneul.errors import InputError, OutputError
from haneul.model.canvas import blank
from haneul.video import io
from haneul.video.timeline import FADE, at_rate, fit, inside, mix, splice

PROMPT = "a red ball rolls to the right in the snow"
SIZE = (112, 64)


@pytest.fixture(scope="module")
def native(weights: Path) -> Native:
    return Native(weights)


def moving(frames: int, colour: tuple[int, int, int]) -> NDArray[np.uint8]:
    """A square that moves over grey, uint8 [T, 64, 112, 3]."""
    clip = np.full((frames, 64, 112, 3), 90, np.uint8)
    for t in range(frames):
        x = 4 + t % 80
        clip[t, 20:44, x : x + 24] = colour
    return clip


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the clips a.mp4 (48 frames), b.mp4 (40 frames of another rate and size), a short one, a picture."""
    folder = tmp_path_factory.mktemp("media")
    io.write_mp4(moving(48, (220, 30, 30)), folder / "a.mp4", fps=24, crf=4)
    io.write_mp4(moving(40, (30, 30, 220))[:, ::2, ::2], folder / "b.mp4", fps=20, crf=4)
    io.write_mp4(moving(3, (30, 30, 220)), folder / "short.mp4", fps=24)
    Image.new("RGB", (300, 300), (20, 200, 40)).save(folder / "p.png")
    return folder


Make = Callable[..., engine.Result]


@pytest.fixture
def make(native: Native, media: Path, tmp_path: Path) -> Make:
    """A mode by its name, on files of `media`, small and with few steps."""

    def call(mode: str, *files: Any, **options: Any) -> engine.Result:
        given = [{at: media / name for at, name in f.items()} if isinstance(f, dict) else media / f for f in files]
        options = {"output": tmp_path / "x.mp4", "seed": 3, "steps": 2, "backbone": native, "overwrite": True} | options
        return edits.MODES[mode](*given, PROMPT, **options)

    return call


def pixels(result: engine.Result) -> NDArray[np.uint8]:
    return io.read_video(result.path).frames


def near(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> bool:
    """Equal but for what the encoder loses."""
    return a.shape == b.shape and float(np.abs(a.astype(float) - b).mean()) < 6


ALL = [
    ("extend", ("a.mp4",), {"seconds": 1.0}, 48 + 24),
    ("extend", ("a.mp4",), {"seconds": 1.0, "backward": True}, 48 + 25),
    ("extend", ("short.mp4",), {"seconds": 0.5}, 3 + 16),
    ("extend", ("a.mp4",), {"seconds": 0.4, "start": 0.5, "end": 1.5}, 24 + 8),
    ("extend", ("p.png",), {"seconds": 1.0, "size": SIZE}, 25),
    ("connect", ("a.mp4", "b.mp4"), {"seconds": 1.0}, 48 + 24 + 48),
    ("connect", ("p.png", "p.png"), {"seconds": 1.0, "size": SIZE}, 25),
    ("connect", ("a.mp4", "p.png"), {"seconds": 1.0}, 48 + 24),
    ("connect", ("p.png", "a.mp4"), {"seconds": 1.0, "size": SIZE}, 25 + 48),
    ("loop", ("a.mp4",), {"seconds": 1.0}, 48 + 24),
    ("retake", ("a.mp4",), {"start": 0.5, "end": 1.2}, 48),
    ("retake", ("a.mp4",), {"start": 1.0, "end": 2.0}, 48),
    ("retake", ("a.mp4",), {"start": 0.0, "end": 1.0}, 49),
    ("keyframes", ({0.0: "p.png", 1.0: "p.png"},), {"seconds": 1.0, "size": SIZE}, 24),
    ("remix", ("a.mp4",), {}, 48),
    ("inpaint", ("a.mp4",), {"box": (0.5, 0.0, 1.0, 1.0)}, 48),
    ("blend", ("a.mp4", "b.mp4"), {"seconds": 1.0}, 48 + 48 - 25),
]


@pytest.mark.parametrize(("mode", "files", "options", "frames"), ALL, ids=[f"{m}-{n}" for m, _, _, n in ALL])
def test_every_mode_is_made_signed_and_named(
    mode: str, files: tuple[Any, ...], options: dict[str, Any], frames: int, make: Make
) -> None:
    result = make(mode, *files, **options)
    info = io.probe(result.path)
    assert (info.width, info.height, info.fps, info.frames) == (*SIZE, 24, frames)
    verdict = haneul.verify(result.path)
    assert (verdict.exit_code, verdict.mode) == (0, mode)
    names = list(files[0].values()) if mode == "keyframes" else files
    assert result.report["request"]["media"] == list(names)
    assert all(name in verdict.text() for name in names)


def test_every_mode_of_the_design_has_a_door() -> None:
    assert set(edits.MODES) | {"text-to-video", "text-to-image", "image-to-video"} == set(MODES)


@pytest.mark.parametrize("backward", [False, True])
def test_extending_keeps_the_clip_and_sees_it(backward: bool, make: Make) -> None:
    clip = moving(48, (220, 30, 30))
    longer = pixels(make("extend", "a.mp4", seconds=1.0, backward=backward))
    kept = longer[-48 + FADE :] if backward else longer[: 48 - FADE]
    assert near(kept, clip[FADE:] if backward else clip[:-FADE])
    cut = {"start": 1.0} if backward else {"end": 1.0}  # another part of the clip meets what is new
    other = pixels(make("extend", "a.mp4", seconds=1.0, backward=backward, **cut))
    new, others = (v[:20] if backward else v[-20:] for v in (longer, other))
    assert not np.array_equal(new, others), "what is new follows from what is given"


def test_a_gif_is_a_clip(make: Make, tmp_path: Path) -> None:
    made = make("extend", "a.mp4", seconds=1.0, output=tmp_path / "x.gif")
    again = make("extend", made.path, seconds=1.0)
    assert io.probe(again.path).frames == round(36 * 0.08 * 24) + 24, "its 36 frames of 8/100 s, and the new ones"


def test_a_path_is_that_of_the_new_frames(
    make: Make, native: Native, media: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Request] = []
    generate = native.generate

    def watched(request: Request, *rest: Any) -> Any:
        seen.append(request)
        return generate(request, *rest)

    monkeypatch.setattr(native, "generate", watched)
    make("connect", "a.mp4", "b.mp4", seconds=1.0, camera="push in over 0.5 s, then static")
    rates = seen[0].camera
    assert rates is not None
    assert len(rates) == 33 + 24 + 32
    moving_ = rates[:, 2] < 0
    assert moving_[: 33 + 12].all(), "within the context the camera moves as it goes on"
    assert not moving_[33 + 12 :].any()


def test_what_is_given_lies_where_it_belongs(native: Native) -> None:
    clip = np.stack([np.full((64, 112, 3), 5 * t, np.uint8) for t in range(48)])
    channels = native.dit.cfg.latent

    def laid(given: Given, total: int = 97) -> tuple[list[int], torch.Tensor]:
        canvas = lay(native.codec, blank(channels, 13, 4, 7), given, total)
        level = canvas.level_BFS[0]
        return level.any(1).nonzero()[:, 0].tolist(), canvas.z

    assert laid(Given(frames=clip))[0] == [0, 1, 2, 3, 4, 5], "frames 41 to 47 do not fill the sixth third"
    assert laid(Given(frames=clip), total=48)[0] == [0, 1, 2, 3, 4, 5, 6], "but the end of a video need not be full"
    assert laid(Given(frames=clip[:16], at=81))[0] == [11, 12]
    assert laid(Given(frames=clip[:16], at=78))[0] == [11]
    for at, latent in ((0, 0), (1, 1), (8, 1), (9, 2), (96, 12)):
        assert laid(Given(frames=clip[:1], at=at))[0] == [latent]
    _, z = laid(Given(frames=clip, at=0))
    whole = native.codec.encode(torch.from_numpy(clip[:41:2]).permute(3, 0, 1, 2).float()[None] / 127.5 - 1)
    assert torch.allclose(z[:, :, :6], whole, atol=1e-4), "the same latents as the codec's own"
    ramp = lay(native.codec, blank(channels, 13, 4, 7), Given(frames=clip, keep=np.linspace(0, 1, 48)), 48)
    assert bool((ramp.level_BFS[0, 1:7, 0].diff() > 0).all())


def test_a_box_leaves_its_tokens_open(native: Native) -> None:
    given = Given(frames=np.zeros((1, 64, 112, 3), np.uint8), box=(0.5, 0.0, 1.0, 0.5))
    level = lay(native.codec, blank(native.dit.cfg.latent, 1, 4, 7), given, 1).level_BFS.view(4, 7)
    assert level.tolist() == [[1.0] * 3 + [0.0] * 4] * 2 + [[1.0] * 7] * 2


def test_spans_cover_every_base_frame_once() -> None:
    assert [i for latent in range(4) for i in span(latent)] == list(range(13))


def test_remix_of_no_strength_is_the_clip_through_the_codec(make: Make, native: Native) -> None:
    request = {"prompt": PROMPT, "seconds": 2.0, "size": SIZE, "seed": 1, "steps": 2, "guidance": 1.0, "mode": "remix"}
    clip = moving(48, (220, 30, 30))
    z = native.latents(Request(**request, given=(Given(frames=clip, keep=1.0),)))
    free = native.latents(Request(**request, given=(Given(frames=clip, keep=0.0),)))
    plain = native.latents(Request(**request))
    x = torch.from_numpy(clip[::2]).permute(3, 0, 1, 2).float()[None] / 127.5 - 1
    assert torch.allclose(z[:, :, :6], native.codec.encode(x[:, :, :21]), atol=1e-4)
    assert torch.allclose(free, plain, atol=1e-3), "and of full strength it is a new video"
    half, other = (pixels(make("remix", "a.mp4", strength=s)) for s in (0.3, 0.9))
    assert not near(half, other)


def test_inpainting_leaves_the_rest(make: Make) -> None:
    made = pixels(make("inpaint", "a.mp4", box=(0.5, 0.0, 1.0, 1.0)))
    clip = moving(48, (220, 30, 30))
    assert near(made[:, :, :48], clip[:, :, :48])
    assert not near(made[:, :, 64:], clip[:, :, 64:])


def test_retake_leaves_the_rest(make: Make) -> None:
    made, clip = pixels(make("retake", "a.mp4", start=0.5, end=1.2)), moving(48, (220, 30, 30))
    first, last = 12, 12 + 16
    assert near(made[: first - FADE], clip[: first - FADE])
    assert near(made[last + FADE :], clip[last + FADE :])
    assert not near(made[first:last], clip[first:last])


@pytest.mark.parametrize(("seconds", "period"), [(0.2, 2), (2.0, 6), (3.3, 10), (5.0, 15)])
def test_a_loop_closes(seconds: float, period: int, native: Native, tmp_path: Path) -> None:
    request = Request(
        prompt=PROMPT, seconds=seconds, size=SIZE, seed=1, steps=2, guidance=1.0, mode="loop", loop=True
    )  # fmt: skip
    z = native.latents(request)
    again = z.shape[2] - 1 - period
    assert again >= 2
    if period <= 10:  # of one window: exactly
        assert torch.equal(z[:, :, 1 : 1 + again], z[:, :, 1 + period :])
        assert not torch.allclose(z[:, :, 1], z[:, :, 2], atol=1e-2)
    told: list[tuple[int, int]] = []
    result = engine.generate(
        PROMPT, output=tmp_path / "x.mp4", seconds=seconds, loop=True, size=SIZE, steps=2, seed=1, backbone=native,
        progress=lambda stage, done, of: told.append((done, of)) if stage == "denoising" else None,
    )  # fmt: skip
    assert [done for done, _ in told] == list(range(1, len(told) + 1)), "progress only goes on"
    assert told[-1][0] == told[-1][1]
    frames = pixels(result)
    assert len(frames) == 8 * period
    assert haneul.verify(result.path).mode == "loop"
    step = np.abs(np.diff(frames.astype(float), axis=0)).mean((1, 2, 3))
    seam = np.abs(frames[0].astype(float) - frames[-1]).mean()
    assert seam < 2.5 * step.max(), "no jump where it begins again"


def test_a_gif_plays_signed(make: Make, tmp_path: Path) -> None:
    result = make("extend", "a.mp4", seconds=1.0, output=tmp_path / "x.gif")
    with Image.open(result.path) as made:
        assert (made.format, made.size, made.n_frames, made.info["duration"]) == ("GIF", SIZE, 36, 80)
        assert made.info["loop"] == 0
    assert haneul.verify(result.path).exit_code == 0
    assert haneul.verify(result.path).mode == "extend"


def test_variations_to_choose_from(native: Native, tmp_path: Path) -> None:
    options: dict[str, Any] = {"seconds": 0.25, "size": SIZE, "steps": 1, "backbone": native, "seed": 5}
    results, sheet = haneul.vary(PROMPT, count=3, output=tmp_path / "x.mp4", **options)
    assert [(r.path.name, r.seed) for r in results] == [("x-1.mp4", 5), ("x-2.mp4", 6), ("x-3.mp4", 7)]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x-1.mp4", "x-2.mp4", "x-3.mp4", "x.png"]
    verdict = haneul.verify(sheet)
    assert (verdict.exit_code, verdict.mode) == (0, "variations")
    assert "x-2.mp4" in verdict.text()
    with Image.open(sheet) as shown:
        assert shown.height > 3 * 180
    for count, error in ((0, InputError), (3, OutputError)):
        with pytest.raises(error):
            haneul.vary(PROMPT, count=count, output=tmp_path / "x.mp4", **options)


# ------------------------------------------------------------------------------------------------- the time line


def test_splice_counts_and_crosses() -> None:
    def grey(values: list[int]) -> NDArray[np.uint8]:
        return np.stack([np.full((2, 2, 3), v, np.uint8) for v in values])

    before, after = grey([10] * 9), grey([200] * 10)
    made = grey([0] * 9 + [100] * 8 + [0] * 8)
    found = [int(f[0, 0, 0]) for f in splice(before, made, after, lead=9, new=8, tail=8)]
    assert len(found) == 9 + 8 + 10
    assert found[: 9 - FADE] == [10] * (9 - FADE)
    assert found[9 - FADE : 9] == sorted(found[9 - FADE : 9], reverse=True)
    assert found[9:17] == [100] * 8
    assert found[17 : 17 + FADE] == sorted(found[17 : 17 + FADE])
    assert found[17 + FADE :] == [200] * (10 - FADE)
    alone = [int(f[0, 0, 0]) for f in splice(before[:0], made, after[:0], lead=0, new=17, tail=8)]
    assert alone == [0] * 9 + [100] * 8


def test_rates_and_sizes() -> None:
    clip = io.Video(frames=moving(30, (1, 2, 3)), fps=30)
    assert at_rate(clip, 30) is clip.frames
    assert len(at_rate(clip, 24)) == 24
    assert np.array_equal(at_rate(clip, 60)[::2], clip.frames)
    assert fit(clip.frames[0], (64, 64)).shape == (64, 64, 3)
    mask = inside((0.5, 0.0, 1.0, 1.0), (100, 50))
    assert mask.shape == (50, 100, 1)
    assert (float(mask[25, 30, 0]), float(mask[0, 99, 0])) == (0.0, 1.0)
    assert np.array_equal(mix(clip.frames[0], clip.frames[1], 0.0), clip.frames[0])


# -------------------------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["extend", "gone.mp4", PROMPT], "there is no file"),
        (["extend", "broken.mp4", PROMPT], "holds no video that can be decoded"),
        (["extend", "a.mp4", PROMPT, "--from", "1", "--to", "9"], "is no part of a clip of 2.00 s"),
        (["extend", "a.mp4", PROMPT, "--seconds", "0"], "a length of 0 s cannot be made"),
        (["extend", "a.mp4", PROMPT, "--seconds", "3600"], "longer than this model's"),
        (["retake", "a.mp4", PROMPT, "--from", "0", "--to", "2"], "nothing of a.mp4 would stay"),
        (["retake", "a.mp4", PROMPT, "--from", "1.5", "--to", "1"], "is no part of a.mp4"),
        (["keyframes", PROMPT, "9=p.png"], "lies outside of a video of 4 s"),
        (["keyframes", PROMPT, "p.png"], "is no keyframe"),
        (["remix", "a.mp4", PROMPT, "--strength", "2"], "a strength of 2 is out of range"),
        (["inpaint", "a.mp4", PROMPT, "--box", "0.5,0,0.2,1"], "is none"),
        (["inpaint", "a.mp4", PROMPT, "--box", "left"], "is no box"),
        (["blend", "a.mp4", "b.mp4", PROMPT, "--seconds", "9"], "cannot share"),
        (["loop", "p.png", PROMPT], "is a picture; give a clip"),
        (["extend", "a.mp4", PROMPT, "-o", "x.avi"], "does not say what to write"),
        (["generate", PROMPT, "--loop", "--image", "p.png"], "a loop has no beginning"),
        (["generate", PROMPT, "--loop", "-o", "x.png"], "a picture cannot begin with a picture, nor be a loop"),
        (["extend", "a.mp4", PROMPT, "-o", "x.png"], "extend makes a video, which x.png cannot hold"),
        (["keyframes", PROMPT, "1.2=p.png", "1.3=p.png"], "shares its third of a second"),
        (["keyframes", PROMPT, "1=p.png", "1.0=p.png"], "cannot have the same moment"),
    ],
)
def test_what_cannot_be_is_one_line(
    args: list[str], words: str, media: Path, native: Native, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "default_backbone", lambda _: native)
    monkeypatch.chdir(tmp_path)
    for file in media.iterdir():
        (tmp_path / file.name).symlink_to(file)
    (tmp_path / "broken.mp4").write_bytes((media / "a.mp4").read_bytes()[:300])
    before = sorted(tmp_path.iterdir())
    result = CliRunner().invoke(cli.main, args)
    assert result.exit_code != 0
    assert words in result.stderr
    assert sorted(tmp_path.iterdir()) == before


def test_a_mode_that_a_model_lacks_is_refused(make: Make, native: Native, monkeypatch: pytest.MonkeyPatch) -> None:
    import dataclasses

    able = dataclasses.replace(native.capabilities(), modes=("text-to-video",))
    monkeypatch.setattr(native, "capabilities", lambda: able)
    with pytest.raises(InputError, match="cannot make remix; it can: text-to-video"):
        make("remix", "a.mp4")


def test_the_command_for_variations_takes_what_generate_takes(
    native: Native, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "default_backbone", lambda _: native)
    arguments = ["vary", PROMPT, "-n", "2", "-o", str(tmp_path / "x.gif"), "--seconds", "0.25", "--size", "112x64"]
    result = CliRunner().invoke(cli.main, [*arguments, "--steps", "1", "--camera", "push in", "--no-expand"])
    assert result.exit_code == 0, result.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x-1.gif", "x-2.gif", "x.png"]
    assert "No such option" in CliRunner().invoke(cli.main, [*arguments, "--preview", "p.png"]).stderr
