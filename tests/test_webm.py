"""Videos as WebM, whose credentials are a file beside them."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray
from signers import INFO

from haneul import cli, edits, engine, storyboard
from haneul.backbones.native import Native
from haneul.errors import OutputError
from haneul.trust import credentials
from haneul.trust.credentials import check_signer, sign_in_place, verify
from haneul.video.io import probe, read_video
from haneul.video.output import write_video

PROMPT = "a red ball bounces in the snow"


@pytest.fixture(scope="module")
def native(weights: Path) -> Native:
    return Native(weights)


@pytest.fixture
def webm(clip: NDArray[np.uint8], tmp_path: Path) -> Path:
    path = tmp_path / "clip.webm"
    assert write_video(clip, path, fps=24) == len(clip)
    sign_in_place(path, INFO, check_signer())
    return path


def test_round_trip(clip: NDArray[np.uint8], webm: Path) -> None:
    info, video = probe(webm), read_video(webm)
    assert (info.codec, info.width, info.height, info.fps) == ("vp9", 96, 64, 24)
    assert video.frames.shape == clip.shape
    assert np.abs(video.frames.astype(int) - clip).mean() < 6


def test_credentials_beside_it(webm: Path) -> None:
    assert sorted(p.name for p in webm.parent.iterdir()) == ["clip.webm", "clip.webm.c2pa"]
    verdict = verify(webm)
    assert (verdict.state, verdict.here, verdict.seed, verdict.do_not_train) == ("trusted", True, INFO.seed, True)
    assert CliRunner().invoke(cli.main, ["verify", str(webm)]).exit_code == 0


def test_a_change_shows(webm: Path, tmp_path: Path) -> None:
    content = bytearray(webm.read_bytes())
    content[len(content) // 2] ^= 1
    webm.write_bytes(content)
    assert [p.code for p in verify(webm).problems] == ["assertion.dataHash.mismatch"]
    assert verify(webm).exit_code == 11


@pytest.mark.parametrize("content", [b"", b"not credentials", b"\0" * 5000])
def test_damaged_credentials(content: bytes, webm: Path) -> None:
    webm.with_name("clip.webm.c2pa").write_bytes(content)
    verdict = verify(webm)
    assert (verdict.state, verdict.problems[0].code) == ("invalid", "manifest.damaged")


def test_without_them_it_is_unsigned(webm: Path) -> None:
    webm.with_name("clip.webm.c2pa").unlink()
    assert verify(webm).state == "unsigned"


def test_credentials_of_another_file(webm: Path, signed: Path, tmp_path: Path) -> None:
    """They do not fit, and a file that holds its own is judged by these."""
    other = tmp_path / "other.webm"
    other.write_bytes(webm.read_bytes() + b"x")
    shutil.copy(webm.with_name("clip.webm.c2pa"), tmp_path / "other.webm.c2pa")
    assert verify(other).state == "invalid"
    shutil.copy(webm.with_name("clip.webm.c2pa"), signed.with_name(signed.name + ".c2pa"))
    assert verify(signed).title == INFO.title
    assert verify(signed).here


def test_credentials_beside_what_could_hold_them(plain: Path, webm: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copy(plain, tmp_path / "plain.mp4"))
    shutil.copy(webm.with_name("clip.webm.c2pa"), tmp_path / "plain.mp4.c2pa")
    assert verify(copy).state == "invalid", "of another file"


def test_generate_edit_and_overwrite(native: Native, tmp_path: Path) -> None:
    small = {"size": (112, 64), "steps": 1, "backbone": native}
    made = engine.generate(PROMPT, output=tmp_path / "x.webm", seconds=1.0, seed=3, **small).path
    assert (verify(made).here, verify(made).seed, probe(made).fps) == (True, 3, 24)
    longer = edits.extend(made, PROMPT, output=tmp_path / "y.webm", seconds=1.0, **small).path
    assert read_video(longer).frames.shape == (48, 64, 112, 3)
    assert [i.title for i in verify(longer).ingredients] == ["x.webm"]
    with pytest.raises(OutputError, match="exists already"):
        engine.generate(PROMPT, output=made, seconds=1.0, **small)
    made.unlink()
    with pytest.raises(OutputError, match=r"x\.webm\.c2pa exists already"):
        engine.generate(PROMPT, output=made, seconds=1.0, **small)
    again = engine.generate(PROMPT, output=made, seconds=1.0, seed=4, overwrite=True, **small).path
    assert (verify(again).here, verify(again).seed) == (True, 4)


def test_no_half_of_a_pair_is_left(native: Native, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> bytes:
        raise credentials.CredentialError("the key is gone")

    check_signer()
    monkeypatch.setattr(credentials, "check_signer", lambda _: None)
    monkeypatch.setattr(credentials, "_sign_stream", refuse)
    with pytest.raises(credentials.CredentialError):
        engine.generate(PROMPT, output=tmp_path / "x.webm", seconds=0.5, size=(112, 64), steps=1, backbone=native)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["film.webm", "film.gif"])
def test_films(name: str, native: Native, tmp_path: Path) -> None:
    shots = tuple(storyboard.Shot(prompt=PROMPT, seconds=0.5, steps=1) for _ in range(2))
    film = storyboard.film(storyboard.Storyboard(shots=shots, size=(112, 64)), output=tmp_path / name, backbone=native)
    assert verify(film.path).mode == "film"
    assert verify(film.path).here
    assert len(verify(film.path).ingredients) == 2
    assert len(read_video(film.path).frames) == (24 if name == "film.webm" else 12)
