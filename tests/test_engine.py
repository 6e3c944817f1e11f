"""The engine through its public doors, with tiny untrained networks: what comes out, what is refused, what is left."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray
from PIL import Image

import haneul
from haneul import cli, engine
from haneul.backbones.base import Progress, Request
from haneul.backbones.native import Native, base_grid, latent_frames
from haneul.config import Settings
from haneul.errors import CheckpointError, CredentialError, HaneulError, InputError, OutputError
from haneul.trust import credentials
from haneul.trust.watermark import ALGORITHM
from haneul.video.io import probe, read_video

PROMPT = "a red ball bounces in the snow"


@pytest.fixture(scope="session")
def native(weights: Path) -> Native:
    return Native(weights)


def make(native: Native, path: Path, prompt: str = PROMPT, **changes: Any) -> engine.Result:
    small: dict[str, Any] = {"seconds": 0.5, "size": (112, 64), "seed": 3, "steps": 2}
    return engine.generate(prompt, output=path, backbone=native, **(small | changes))


def pixels(native: Native, path: Path, prompt: str = PROMPT, **changes: Any) -> NDArray[np.uint8]:
    return read_video(make(native, path, prompt, overwrite=True, **changes).path).frames


# ------------------------------------------------------------------------------------------------ what comes out


def test_default_size_signed_and_reported(native: Native, tmp_path: Path) -> None:
    stages = set()
    result = make(
        native,
        tmp_path / "x.mp4",
        size=(896, 512),
        preview=tmp_path / "x.png",
        progress=lambda stage, done, total: stages.add((stage, done == total)),
    )
    info = probe(result.path)
    assert (info.width, info.height, info.fps, info.frames, info.codec) == (896, 512, 24, 12, "h264")
    verdict = haneul.verify(result.path)
    assert (verdict.state, verdict.here, verdict.seed, verdict.ai_generated) == ("trusted", True, 3, True)
    assert (verdict.model, verdict.mode, verdict.watermark) == ("haneul-nano", "text-to-video", ALGORITHM)
    assert verdict.weights_sha256 == native.identity().weights_sha256
    assert verdict.data_ledger_root == "ab" * 32
    assert verdict.prompt is None, "a prompt is told only if its writer agrees"
    assert haneul.verify(tmp_path / "x.png").here, "a strip of its frames is signed like the video"
    assert {("denoising", True), ("drawing", True)} <= stages
    with Image.open(tmp_path / "x.png") as sheet:
        assert sheet.width > 4 * 320
        assert sheet.height > 3 * 180
    assert json.loads(json.dumps(result.report))["request"]["seed"] == 3
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x.mp4", "x.png"]


@pytest.mark.parametrize(
    ("size", "seconds", "frames"),
    [((112, 64), 1.0, 24), ((640, 640), 0.1, 2), ((512, 896), 0.1, 2), ((112, 64), 1.25, 30), ((112, 64), 6.0, 144)],
)
def test_sizes_and_lengths(size: tuple[int, int], seconds: float, frames: int, native: Native, tmp_path: Path) -> None:
    info = probe(make(native, tmp_path / "x.mp4", size=size, seconds=seconds, steps=1).path)
    assert (info.width, info.height, info.frames, info.fps) == (*size, frames, 24)


def test_every_length_has_frames_enough() -> None:
    for frames in range(1, 481):
        base = 4 * (latent_frames(frames) - 1) + 1
        assert frames <= 2 * base - 1 < frames + 8
    assert latent_frames(96) == 13, "the default clip is one window"


def test_grids_keep_the_aspect() -> None:
    assert base_grid((896, 512), 28) == (4, 7)
    assert base_grid((512, 896), 28) == (7, 4)
    assert base_grid((640, 640), 28) == (5, 5)


def test_seed_prompt_and_negative_decide_the_frames(native: Native, tmp_path: Path) -> None:
    path = tmp_path / "x.mp4"
    first = pixels(native, path)
    assert np.array_equal(first, pixels(native, path)), "the same seed gives the same frames"
    for change in (
        {"seed": 4},
        {"prompt": "a blue cube"},
        {"negative": "a green pendulum in a forest"},
        {"guidance": 1.0},
        {"steps": 3},
    ):
        assert not np.array_equal(first, pixels(native, path, **change)), change


def test_a_negative_prompt_is_heard_without_guidance(native: Native, tmp_path: Path) -> None:
    """The bundled model has its guidance built in, so 1 is its default: the prompt alone would decide."""
    path = tmp_path / "x.mp4"
    plain = pixels(native, path, guidance=1.0)
    assert not np.array_equal(plain, pixels(native, path, guidance=1.0, negative="a green pendulum in a forest"))


def test_a_drawn_seed_makes_the_video_again(native: Native, tmp_path: Path) -> None:
    result = make(native, tmp_path / "x.mp4", seed=None)
    again = pixels(native, tmp_path / "y.mp4", seed=result.seed)
    assert np.array_equal(read_video(result.path).frames, again)


@pytest.mark.parametrize("prompt", ["눈밭에서 빨간 공이 튄다", "沙漠에서 赤色 공이 튄다", "A ball.\nIt\tbounces!"])
def test_languages(prompt: str, native: Native, tmp_path: Path) -> None:
    result = make(native, tmp_path / "x.mp4", prompt, steps=1)
    assert result.warnings == []


def test_mixed_script_is_read_as_hangul(native: Native, tmp_path: Path) -> None:
    mixed = pixels(native, tmp_path / "x.mp4", "沙漠에서 赤色 공이 튄다")
    assert np.array_equal(mixed, pixels(native, tmp_path / "x.mp4", "사막에서 적색 공이 튄다"))


def test_unknown_words_and_the_nearest_known_ones(native: Native, tmp_path: Path) -> None:
    assert native.unknown_words("a red ball bounces") == {}
    found = native.unknown_words("a crimson dragon beside a boat, 고양이")
    assert list(found) == ["dragon", "boat", "고양이"]
    assert "bird" in found["dragon"]
    assert "float" in found["boat"]
    assert {"물고기", "로봇 개"} & set(found["고양이"])
    assert all(len(near) == 3 for near in found.values())
    korean = native.unknown_words("자전거 竜 눈밭")
    assert "자동차" in korean["자전거"]
    result = make(native, tmp_path / "x.mp4", "a crimson dragon", steps=1)
    assert len(result.warnings) == 1
    assert result.warnings[0].startswith("the model never learned 'dragon'; nearest it knows: ")


# --------------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"prompt": ""}, "the prompt is empty"),
        ({"prompt": "\x07\x1b\u200b"}, "only control or invisible characters"),
        ({"prompt": "ball " * 20_000}, "the prompt has 100,000 characters"),
        ({"prompt": "?!"}, "holds no word"),
        ({"negative": "ball " * 20_000}, "100,000 characters"),
        ({"size": (897, 512)}, "897x512 is odd"),
        ({"size": (896, 32)}, "out of range"),
        ({"size": (4096, 512)}, "out of range"),
        ({"size": (1024, 64)}, "too long and narrow"),
        ({"seconds": 0}, "length of 0 s"),
        ({"seconds": -1}, "length of -1 s"),
        ({"seconds": float("nan")}, "length of nan s"),
        ({"seconds": 3601}, "length of 3601 s"),
        ({"steps": 0}, "0 steps"),
        ({"steps": 10_000}, "10000 steps"),
        ({"guidance": 0.5}, "guidance 0.5"),
        ({"guidance": float("nan")}, "guidance nan"),
        ({"preview": "strip.jpg"}, "'strip.jpg' is a PNG"),
        ({"seed": -1}, "seed -1"),
        ({"seed": 2**63}, "seed 9223372036854775808"),
    ],
)
def test_unusable_input(
    change: dict[str, Any], words: str, native: Native, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(native, "generate", spent)
    with pytest.raises(InputError, match=words) as caught:
        make(native, tmp_path / "x.mp4", **change)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def spent(*_: object) -> Iterator[NDArray[np.uint8]]:
    raise AssertionError("compute was spent")


def test_unusable_output(native: Native, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "generate", spent)
    for name in ("there.mp4", "there.png"):
        (tmp_path / name).write_text("mine")
    for change, words in (
        ({"path": tmp_path / "there.mp4"}, "exists already"),
        ({"path": tmp_path / "no" / "x.mp4"}, "does not exist; create it"),
        ({"path": tmp_path}, "is a folder"),
        ({"path": tmp_path / "x.mp4", "preview": tmp_path / "there.png"}, "exists already"),
    ):
        with pytest.raises(OutputError, match=words):
            make(native, **change)
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {"there.mp4": "mine", "there.png": "mine"}


def test_full_disk(weights: Path, tmp_path: Path) -> None:
    program = (
        "import resource, sys\nfrom haneul import cli\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))\n"
        "cli.main(sys.argv[1:])\n"
    )
    home = configured(tmp_path / "home", weights)
    (tmp_path / "out").mkdir()
    large = ("--seconds", "0.5", "--size", "640x360", "--steps", "1", "--seed", "7")
    done = run_cli(home, "generate", PROMPT, *large, "-o", tmp_path / "out" / "x.mp4", program=program)
    assert done.returncode == OutputError.exit_code, done.stderr
    assert "error: no space left to write x.mp4" in done.stderr
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("part", ["dit", "concepts", "codec", "upscaler", "text_encoder"])
def test_damaged_weights(part: str, weights: Path, tmp_path: Path) -> None:
    for name, damage in (("cut", truncate), ("changed", flip), ("gone", Path.unlink)):
        folder = tmp_path / name
        shutil.copytree(weights, folder)
        damage(folder / f"{part}.safetensors")
        settings = Settings(data=tmp_path / "data", cache=tmp_path / "cache", weights=folder)
        with pytest.raises(CheckpointError, match=part):
            haneul.generate(PROMPT, output=tmp_path / "x.mp4", settings=settings)
        assert not (tmp_path / "x.mp4").exists()


def truncate(path: Path) -> None:
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content[: len(content) // 2])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    path.unlink()
    path.write_bytes(content)


def test_weights_of_another_part(weights: Path, tmp_path: Path) -> None:
    shutil.copytree(weights, tmp_path / "w")
    shutil.copyfile(weights / "codec.safetensors", tmp_path / "w" / "dit.safetensors")
    with pytest.raises(CheckpointError, match="holds a codec, not a dit"):
        Native(tmp_path / "w")


# ------------------------------------------------------------------------------------------------- interruption


def test_interruption_leaves_nothing(native: Native, tmp_path: Path) -> None:
    (tmp_path / "old.mp4").write_text("old")

    def stop(at: str) -> Progress:
        def progress(stage: str, done: int, total: int) -> None:
            if (stage, done) == (at, 2):
                raise KeyboardInterrupt

        return progress

    for stage in ("denoising", "drawing"):
        for name in ("old.mp4", "new.mp4"):
            with pytest.raises(KeyboardInterrupt):
                make(native, tmp_path / name, progress=stop(stage), overwrite=True)
    assert [p.name for p in tmp_path.iterdir()] == ["old.mp4"]
    assert (tmp_path / "old.mp4").read_text() == "old"


def test_ctrl_c_at_the_command_line(weights: Path, tmp_path: Path) -> None:
    home = configured(tmp_path / "home", weights)
    (tmp_path / "out").mkdir()
    command = [sys.executable, "-m", "haneul", "generate", PROMPT, "-o", str(tmp_path / "out" / "x.mp4")]
    with subprocess.Popen(
        [*command, "--seconds", "20", "--steps", "200"],
        env=environment(home),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs begin without
    ) as job:
        assert job.stderr is not None
        assert job.stderr.readline().startswith("denoising: 1/")
        assert len(list((tmp_path / "out").iterdir())) == 1
        job.send_signal(signal.SIGINT)
        out, said = job.communicate(timeout=30)
    assert (job.returncode, out) == (130, "")
    assert said.splitlines()[-1] == "interrupted"
    assert "Traceback" not in said
    assert list((tmp_path / "out").iterdir()) == []


# ----------------------------------------------------------------------------------- nothing leaves without a signature

SMALL = ("--seconds", "0.5", "--size", "112x64", "--steps", "1", "--seed", "7")


def environment(home: Path) -> dict[str, str]:
    import os

    return os.environ | {"HANEUL_HOME": str(home), "PYTHONPATH": str(Path(haneul.__file__).parent.parent)}


def configured(home: Path, weights: Path) -> Path:
    """A HANEUL_HOME whose settings name these weights."""
    home.mkdir(exist_ok=True)
    (home / "config.toml").write_text(f'threads = 1\n[folders]\nweights = "{weights}"\n')
    return home


def run_cli(home: Path, *arguments: object, program: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.run(command, env=environment(home), capture_output=True, text=True, check=False)


def test_command_line(weights: Path, home: Path, tmp_path: Path) -> None:
    configured(home, weights)
    target = tmp_path / "x.mp4"
    arguments = ["generate", "a crimson dragon", *SMALL, "-o", str(target), "--report", "--preview"]
    result = CliRunner().invoke(cli.main, [*arguments, str(tmp_path / "strip.png")])
    assert result.exit_code == 0, result.stderr
    assert result.stdout == f"{target} (seed 7)\n"
    assert "warning: the model never learned 'dragon'" in result.stderr
    assert json.loads((tmp_path / "x.json").read_text())["model"]["model"] == "haneul-nano"
    assert (tmp_path / "strip.png").stat().st_size > 1000
    assert CliRunner().invoke(cli.main, ["verify", str(target)]).exit_code == 0
    assert haneul.verify(target).here


def test_library(weights: Path, home: Path, tmp_path: Path) -> None:
    configured(home, weights)
    result = haneul.generate(PROMPT, output=tmp_path / "x.mp4", seconds=0.5, size=(112, 64), steps=1)
    assert haneul.verify(result.path).here


def test_unsigned_is_not_written(native: Native, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the signature fails at the very end there is no file: better none than one that says nothing."""

    def refuse(*_: object) -> None:
        raise CredentialError("the key is gone")

    monkeypatch.setattr(credentials, "sign_in_place", refuse)
    with pytest.raises(CredentialError):
        make(native, tmp_path / "x.mp4")
    assert list(tmp_path.iterdir()) == []


def test_unusable_certificate_is_found_before_compute(
    native: Native, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(native, "generate", spent)
    pem = tmp_path / "no.pem"
    settings = Settings(data=tmp_path, cache=tmp_path, certificate_chain=pem, private_key=pem)
    with pytest.raises(HaneulError) as caught:
        make(native, tmp_path / "x.mp4", settings=settings)
    assert isinstance(caught.value, CredentialError)
    assert list(tmp_path.iterdir()) == []


def test_windows_of_a_long_video_join(native: Native) -> None:
    """A video of two windows begins as the first window alone would."""
    request = Request(prompt=PROMPT, seconds=6.0, size=(112, 64), seed=1, steps=2, guidance=2.5)
    z = native.latents(request)
    assert z.shape == (1, 16, latent_frames(144), 4, 7)
    alone = native.latents(Request(prompt=PROMPT, seconds=4.0, size=(112, 64), seed=1, steps=2, guidance=2.5))
    assert np.allclose(z[:, :, :13].float(), alone.float(), atol=1e-3)
