"""Pictures: read whatever their format, refused when they can't be used; videos that begin with one; videos of one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

import haneul
from haneul import cli, engine
from haneul.backbones.base import Given, Request
from haneul.backbones.native import Native
from haneul.errors import InputError, OutputError
from haneul.video import picture
from haneul.video.io import probe
from haneul.video.timeline import fit

RED = (200, 20, 30)


@pytest.fixture(scope="module")
def native(weights: Path) -> Native:
    return Native(weights)


@pytest.fixture
def red(tmp_path: Path) -> Path:
    path = tmp_path / "red.png"
    Image.new("RGB", (320, 200), RED).save(path)
    return path


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P", "CMYK", "1", "LA"])
def test_every_mode_is_read(mode: str, tmp_path: Path) -> None:
    path = tmp_path / ("x.tif" if mode == "CMYK" else "x.png")
    plain = Image.new("RGB", (9, 5), RED)
    (plain.quantize() if mode == "P" else plain.convert(mode)).save(path)
    found = picture.read_picture(path)
    assert (found.shape, found.dtype) == ((5, 9, 3), np.uint8)
    grey = [round(0.299 * RED[0] + 0.587 * RED[1] + 0.114 * RED[2])] * 3
    expected = {"L": grey, "LA": grey, "1": None}.get(mode, list(RED))  # one bit dithers
    assert expected is None or found[0, 0].tolist() == expected
    assert mode != "1" or set(np.unique(found)) <= {0, 255}


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bits_are_scaled(suffix: str, tmp_path: Path) -> None:
    grey = np.linspace(0, 65535, 64).astype(np.uint16).reshape(4, 16)
    path = tmp_path / f"deep.{suffix}"
    Image.fromarray(grey).save(path)
    assert np.array_equal(picture.read_picture(path)[..., 0], grey >> 8)


def test_transparent_is_white_and_rotated_is_upright(tmp_path: Path) -> None:
    Image.new("RGBA", (4, 4), (0, 0, 0, 0)).save(tmp_path / "clear.png")
    assert picture.read_picture(tmp_path / "clear.png").min() == 255
    turned = Image.new("RGB", (8, 4))
    exif = turned.getexif()
    exif[0x0112] = 6
    turned.save(tmp_path / "turned.jpg", exif=exif)
    assert picture.read_picture(tmp_path / "turned.jpg").shape == (8, 4, 3)


def test_what_is_no_picture_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, red: Path) -> None:
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "cut.png").write_bytes(red.read_bytes()[:60])
    for name in ("text.png", "cut.png"):
        with pytest.raises(InputError, match=f"{name} is no picture"):
            picture.read_picture(tmp_path / name)
    with pytest.raises(InputError, match="there is no picture"):
        picture.read_picture(tmp_path / "gone.png")
    monkeypatch.setattr(picture, "MOST_PIXELS", 1000)
    with pytest.raises(InputError, match="320x200 pixels; the most is"):
        picture.read_picture(red)


def test_a_video_begins_with_the_picture(native: Native) -> None:
    """Its first latent frame is the picture's, at every step, and the rest depends on it."""
    frame = np.broadcast_to(np.array(RED, np.uint8), (100, 200, 3))
    asked = {"prompt": "a ball", "seconds": 1.0, "size": (112, 64), "steps": 2, "guidance": 2.5}
    z = native.latents(Request(**asked, given=(Given(frames=frame[None]),)))
    small = torch.from_numpy(fit(frame, (112, 64))).permute(2, 0, 1).float()[None, :, None] / 127.5 - 1
    assert torch.allclose(z[:, :, :1], native.codec.encode(small), atol=1e-5)
    assert not torch.allclose(z[:, :, 1:], native.latents(Request(**asked))[:, :, 1:])


def test_the_file_says_what_it_was_made_from(native: Native, red: Path, tmp_path: Path) -> None:
    result = engine.generate(
        "a ball", output=tmp_path / "x.mp4", image=red, seconds=0.25, size=(112, 64), steps=1, backbone=native
    )
    verdict = haneul.verify(result.path)
    assert (verdict.exit_code, verdict.mode) == (0, "image-to-video")
    assert "red.png" in verdict.text()
    assert result.report["request"]["media"] == ["red.png"]
    assert probe(result.path).frames == 6


@pytest.mark.parametrize("suffix", ["png", "webp"])
def test_a_picture_from_a_sentence(suffix: str, native: Native, tmp_path: Path) -> None:
    path = tmp_path / f"x.{suffix}"
    engine.generate("a red ball", output=path, size=(448, 256), steps=1, seed=1, backbone=native)
    with Image.open(path) as made:
        assert (made.size, made.format) == ((448, 256), suffix.upper())
    assert (haneul.verify(path).exit_code, haneul.verify(path).mode) == (0, "text-to-image")
    with pytest.raises(OutputError, match="exists already"):
        engine.generate("a red ball", output=path, steps=1, backbone=native)


def test_a_picture_of_a_picture_is_refused(red: Path, tmp_path: Path) -> None:
    for name, words in (("x.png", "cannot begin with a picture"), ("x.mp4", "there is no picture")):
        image = red if name == "x.png" else tmp_path / "gone.jpg"
        result = CliRunner().invoke(cli.main, ["generate", "a ball", "-o", str(tmp_path / name), "--image", str(image)])
        assert result.exit_code == InputError.exit_code
        assert words in result.stderr
        assert not (tmp_path / name).exists()
