"""Finished clips as GIF and WebM, by the service and by the command line."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image
from serving import Running

from haneul.cli import main
from haneul.serve.export_api import scaled
from haneul.trust.credentials import verify
from haneul.video.io import probe


@pytest.fixture(scope="module")
def video(service: Running) -> str:
    """A finished clip of 17 frames."""
    done = service.over(service.make(seconds="0.7", size="192x128")["id"])
    assert done["status"] == "completed"
    return str(done["id"])


def exports(service: Running, video: str) -> list[str]:
    return sorted(path.name for path in (service.data / "store" / "videos" / video).glob("export*"))


def test_as_gif_and_webm_and_gone_with_the_video(service: Running, video: str, tmp_path: Path) -> None:
    path = f"/haneul/videos/{video}/export"
    answer = service.http.get(path, params={"format": "gif", "width": 96})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/gif"), answer.text
    with Image.open(io.BytesIO(answer.content)) as picture:
        assert picture.size == (96, 64)
        assert getattr(picture, "n_frames", 1) == 9  # every second one
    gif = tmp_path / "clip.gif"
    gif.write_bytes(answer.content)
    told = service.http.post("/haneul/verify", files={"file": ("clip.gif", answer.content)}).json()
    assert (told["state"], told["mode"], len(told["ingredients"])) == ("trusted", "assemble", 1)

    answer = service.http.get(path, params={"format": "webm"})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/zip"), answer.text
    with zipfile.ZipFile(io.BytesIO(answer.content)) as packed:
        names = sorted(packed.namelist())
        packed.extractall(tmp_path)
    assert names == [f"{video}.webm", f"{video}.webm.c2pa"]
    film = probe(tmp_path / names[0])
    assert (film.width, film.height, film.frames or 17) == (192, 128, 17)
    assert verify(tmp_path / names[0]).state == "valid"  # whole; the signer is another installation's

    kept = exports(service, video)
    assert kept == ["export-192x128.zip", "export-96x64.gif"]
    part = service.http.get(path, params={"format": "webm", "width": 500}, headers={"range": "bytes=0-3"})
    assert (part.status_code, part.content) == (206, answer.content[:4])  # not made again, and never larger
    assert service.http.get(path, params={"format": "webm"}).content == answer.content
    assert exports(service, video) == kept
    assert service.http.delete(f"/videos/{video}").status_code == 200
    assert exports(service, video) == []
    assert service.http.get(path, params={"format": "gif"}).status_code == 404


def test_what_cannot_be_exported(service: Running) -> None:
    waits = service.make(seconds="8", steps=200)["id"]
    path = f"/haneul/videos/{waits}/export"
    assert service.http.get(path, params={"format": "gif"}).json()["error"]["code"] == "video_not_ready"
    assert service.http.get(path, params={"format": "avi"}).status_code == 400
    assert service.http.get(path, params={"format": "gif", "width": 2}).status_code == 400
    service.http.delete(f"/videos/{waits}")


@pytest.mark.parametrize(
    ("size", "width", "becomes"),
    [("896x512", 480, "480x274"), ("896x512", None, "896x512"), ("64x64", 480, "64x64"), ("1920x64", 64, "64x2")],
)
def test_scaled(size: str, width: int | None, becomes: str) -> None:
    assert scaled(size, width) == becomes


def test_by_the_command_line(signed: Path, tmp_path: Path) -> None:
    def run(*arguments: str) -> int:
        return CliRunner().invoke(main, ["assemble", *arguments, "-q"]).exit_code

    gif, film = tmp_path / "x.gif", tmp_path / "film.webm"
    assert run(str(signed), "-o", str(gif), "--start", "0.25") == 0
    with Image.open(gif) as picture:
        assert (picture.size, getattr(picture, "n_frames", 1)) == ((96, 64), 3)
    assert verify(gif).here
    assert run(str(signed), str(signed), "-o", str(film)) == 0
    assert verify(film).here
    assert (tmp_path / "film.webm.c2pa").is_file()
    assert run(str(signed), str(signed), "-o", str(tmp_path / "y.mp4"), "--end", "0.2") != 0
    assert run(str(signed), "-o", str(gif)) != 0  # it is there
