"""Video files: what goes in comes out, broken files are refused in words, and nothing half-written stays."""

from __future__ import annotations

import errno
import os
import resource
import struct
import subprocess
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from haneul.errors import InputError, OutputError
from haneul.video import io
from haneul.video.picture import write_picture

Frames = NDArray[np.uint8]
ONE = 1 << 16  # 1.0 in a display matrix


def psnr(a: Frames, b: Frames) -> float:
    return float(10 * np.log10(255**2 / np.mean((a.astype(np.float64) - b) ** 2)))


@pytest.fixture
def mp4(clip: Frames, tmp_path: Path) -> Path:
    path = tmp_path / "clip.mp4"
    assert io.write_mp4(clip, path, fps=24) == len(clip)
    return path


def test_round_trip(clip: Frames, mp4: Path) -> None:
    video = io.read_video(mp4)
    assert video.frames.shape == clip.shape
    assert video.fps == 24
    assert video.seconds == pytest.approx(0.5)
    # Chroma is halved at the square's sharp edge; away from it only the quantiser is left.
    assert psnr(video.frames, clip) > 30
    assert np.abs(video.frames[:, 26:38, 70:80].astype(int) - clip[:, 26:38, 70:80]).mean() < 3


@pytest.mark.parametrize("color", [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0), (128, 128, 128)])
def test_colours_are_kept(color: tuple[int, int, int], tmp_path: Path) -> None:
    frames = np.full((3, 32, 32, 3), color, np.uint8)
    io.write_mp4(frames, tmp_path / "c.mp4", fps=24)
    assert np.abs(io.read_video(tmp_path / "c.mp4").frames.astype(int) - frames).max() <= 4


def test_the_file_is_what_players_expect(mp4: Path) -> None:
    content = mp4.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")  # faststart
    assert content[content.index(b"colrnclx") :][8:15] == bytes([0, 1, 0, 1, 0, 1, 0])  # BT.709, limited range
    with av.open(str(mp4)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert stream.average_rate == 24


def test_ntsc_rate_is_exact(clip: Frames, tmp_path: Path) -> None:
    io.write_mp4(clip, tmp_path / "n.mp4", fps=29.97002997)
    with av.open(str(tmp_path / "n.mp4")) as container:
        assert container.streams.video[0].average_rate == Fraction(30000, 1001)


def test_frames_are_taken_one_at_a_time(clip: Frames, tmp_path: Path) -> None:
    """A generator is enough, and the encoder holds only a few frames of it back."""
    alive: set[int] = set()
    most = 0

    class Counted(np.ndarray):
        def __del__(self) -> None:
            alive.discard(id(self))

    def frames() -> Iterator[Frames]:
        nonlocal most
        for t in range(120):
            frame = clip[t % 12].copy().view(Counted)
            alive.add(id(frame))
            most = max(most, len(alive))
            yield frame

    assert io.write_mp4(frames(), tmp_path / "g.mp4", fps=24) == 120
    assert most <= 3


@pytest.mark.parametrize(
    ("frames", "words"),
    [
        (np.zeros((2, 33, 32, 3), np.uint8), "32x33"),
        (np.zeros((2, 32, 8, 3), np.uint8), "8x32"),
        (np.zeros((2, 32, 32, 4), np.uint8), "uint8 [H, W, 3] is needed"),
        (np.zeros((2, 32, 32, 3), np.float32), "float32"),
        (np.zeros((0, 32, 32, 3), np.uint8), "no frames"),
        ([np.zeros((32, 32, 3), np.uint8), np.zeros((32, 34, 3), np.uint8)], "frame 2"),
    ],
)
def test_unusable_frames(frames: Frames, words: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=words.replace("[", r"\[").replace("]", r"\]")):
        io.write_mp4(frames, tmp_path / "x.mp4", fps=24)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("fps", [0, -1, 1000])
def test_unusable_rate(clip: Frames, fps: float, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"frame rate is {fps}"):
        io.write_mp4(clip, tmp_path / "x.mp4", fps=fps)


# ----------------------------------------------------------------------------------------- where it may be written


def test_existing_file_is_kept_unless_asked(clip: Frames, mp4: Path) -> None:
    before = mp4.read_bytes()
    with pytest.raises(OutputError, match="exists already"):
        io.write_mp4(clip, mp4, fps=24)
    assert mp4.read_bytes() == before
    io.write_mp4(clip[:5], mp4, fps=24, overwrite=True)
    assert len(io.read_video(mp4).frames) == 5


def test_places_that_cannot_be_written(clip: Frames, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="is a folder"):
        io.write_mp4(clip, tmp_path, fps=24)
    with pytest.raises(OutputError, match="does not exist; create it"):
        io.write_mp4(clip, tmp_path / "no" / "x.mp4", fps=24)
    with pytest.raises(OutputError, match="name is empty"):
        io.check_output("")
    with pytest.raises(OutputError, match="cannot write"):
        io.check_output(tmp_path / ("x" * 300 + ".mp4"))


@pytest.mark.skipif(os.geteuid() == 0, reason="the administrator may write everywhere")
def test_folder_without_permission(clip: Frames, tmp_path: Path) -> None:
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o500)
    with pytest.raises(OutputError, match="not writable"):
        io.write_mp4(clip, folder / "x.mp4", fps=24)


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError, SystemExit])
def test_interrupted_writing_leaves_nothing(clip: Frames, error: type[BaseException], tmp_path: Path) -> None:
    def frames() -> Iterator[Frames]:
        yield from clip
        raise error

    with pytest.raises(error):
        io.write_mp4(frames(), tmp_path / "x.mp4", fps=24)
    assert list(tmp_path.iterdir()) == []


def test_interruption_keeps_the_old_file(clip: Frames, mp4: Path) -> None:
    before = mp4.read_bytes()

    def frames() -> Iterator[Frames]:
        yield from clip
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        io.write_mp4(frames(), mp4, fps=24, overwrite=True)
    assert [mp4] == list(mp4.parent.iterdir())
    assert mp4.read_bytes() == before


def test_a_file_that_appears_meanwhile_is_kept(tmp_path: Path) -> None:
    target = tmp_path / "x.txt"
    with pytest.raises(OutputError, match="exists already"), io.atomic_output(target) as unfinished:
        unfinished.write_text("ours")
        target.write_text("theirs")
    assert target.read_text() == "theirs"


def test_finished_files_have_ordinary_permissions(mp4: Path) -> None:
    umask = os.umask(0)
    os.umask(umask)
    assert mp4.stat().st_mode & 0o777 == 0o666 & ~umask


def test_disk_full(tmp_path: Path) -> None:
    """A real write that the system refuses: the process may write files of at most 40 kB."""
    program = (
        "import sys, numpy as np\n"
        "from haneul.errors import OutputError\n"
        "from haneul.video.io import write_mp4\n"
        "rng = np.random.default_rng(0)\n"
        "try:\n"
        "    write_mp4((rng.integers(0, 256, (64, 96, 3), np.uint8) for _ in range(48)), sys.argv[1], fps=24)\n"
        "except OutputError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "x.mp4")],
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000)),
        check=False,
    )
    assert "no space left to write x.mp4" in done.stdout, done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("number", "words"),
    [(errno.ENOSPC, "no space left"), (errno.EDQUOT, "no space left"), (errno.EROFS, "cannot write")],
)
def test_refusals_of_the_file_system(number: int, words: str, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=words), io.atomic_output(tmp_path / "x"):
        raise OSError(number, os.strerror(number))


def test_other_system_errors_pass(tmp_path: Path) -> None:
    with pytest.raises(ConnectionResetError), io.atomic_output(tmp_path / "x"):
        raise ConnectionResetError


# ------------------------------------------------------------------------------------------------------ reading


def test_probe(mp4: Path) -> None:
    info = io.probe(mp4)
    assert (info.width, info.height, info.fps, info.frames, info.seconds) == (96, 64, 24, 12, 0.5)
    assert (info.codec, info.rotation, info.has_audio) == ("h264", 0, False)


@pytest.mark.parametrize(
    ("matrix", "turns", "degrees"),
    [((0, ONE, -ONE, 0), 3, 270), ((-ONE, 0, 0, -ONE), 2, 180), ((0, -ONE, ONE, 0), 1, 90)],
)
def test_rotation_is_applied(mp4: Path, matrix: tuple[int, int, int, int], turns: int, degrees: int) -> None:
    """As telephones write it: pixels as the sensor lies, and a matrix in the track header."""
    upright = io.read_video(mp4).frames
    content = bytearray(mp4.read_bytes())
    place = content.index(b"tkhd") + 4 + 40  # version 0: flags, times, id, duration, layer, volume
    a, b, c, d = matrix
    content[place : place + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    mp4.write_bytes(content)
    np.testing.assert_array_equal(io.read_video(mp4).frames, np.rot90(upright, turns, axes=(1, 2)))
    info = io.probe(mp4)
    assert info.rotation == degrees
    assert (info.width, info.height) == ((64, 96) if turns % 2 else (96, 64))


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_truncated_files_are_refused(mp4: Path, share: float) -> None:
    content = mp4.read_bytes()
    mp4.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(InputError, match=r"empty|damaged|cut off|no video"):
        io.read_video(mp4)


def test_damaged_files_never_surprise(mp4: Path) -> None:
    """Whatever bytes are wrong, the answer is a video or an InputError."""
    content, rng = mp4.read_bytes(), np.random.default_rng(0)
    refused = 0
    for _ in range(60):
        broken = bytearray(content)
        for place in rng.integers(0, len(content), 6):
            broken[place] ^= 0xFF
        mp4.write_bytes(broken)
        try:
            io.read_video(mp4, max_frames=100)
        except InputError:
            refused += 1
    assert refused > 30


@pytest.mark.parametrize("content", [b"hello world\n" * 9, b"#EXTM3U\n#EXTINF:1,\nfile:///etc/hostname\n", bytes(4000)])
def test_other_files_are_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.mp4").write_bytes(content)
    with pytest.raises(InputError, match="cannot be read as video"):
        io.read_video(tmp_path / "x.mp4")


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no file"):
        io.read_video(tmp_path / "no.mp4")
    with pytest.raises(InputError, match="is a folder"):
        io.probe(tmp_path)


def test_limits(mp4: Path) -> None:
    with pytest.raises(InputError, match="12 frames; at most 10"):
        io.read_video(mp4, max_frames=10)
    with pytest.raises(InputError, match="96x64"):
        io.read_video(mp4, max_pixels=1000)
    with pytest.raises(InputError, match="at most 5"):
        io.read_video(mp4, max_bytes=5 * 96 * 64 * 3)


# ------------------------------------------------------------------------------------------------------- stills


def test_contact_sheet(clip: Frames, tmp_path: Path) -> None:
    sheet = io.contact_sheet(clip, columns=3, rows=2, width=48, gap=2)
    assert sheet.shape == (2 * 34 + 2, 3 * 50 + 2, 3)
    first = np.asarray(Image.fromarray(clip[0]).resize((48, 32), Image.Resampling.LANCZOS))
    last = np.asarray(Image.fromarray(clip[-1]).resize((48, 32), Image.Resampling.LANCZOS))
    np.testing.assert_array_equal(sheet[2:34, 2:50], first)
    np.testing.assert_array_equal(sheet[36:68, 102:150], last)
    write_picture(sheet, tmp_path / "s.png")
    with Image.open(tmp_path / "s.png") as picture:
        np.testing.assert_array_equal(np.asarray(picture), sheet)


def test_contact_sheet_of_one_frame(clip: Frames) -> None:
    assert io.contact_sheet(clip[:1], columns=4, width=96, gap=0).shape == (64, 384, 3)
    with pytest.raises(InputError, match="T >= 1"):
        io.contact_sheet(clip[:0])


def test_equal_frames_give_equal_files(tmp_path: Path) -> None:
    """Whatever lies in memory; 448 wide is where x264's macroblock tree was seen to vary."""
    y, x = np.mgrid[0:256, 0:448]
    rng = np.random.default_rng(0)
    ramp = np.stack([x % 256, y, (x + y) % 256], -1) * 0.2 + 90
    frames = [
        np.clip(np.roll(ramp, 5 * t, 1) + rng.normal(0, 3, ramp.shape), 0, 255).astype(np.uint8) for t in range(12)
    ]
    files, clutter = set(), []
    for run in range(6):
        io.write_mp4(frames, tmp_path / "x.mp4", fps=24, overwrite=True)
        files.add((tmp_path / "x.mp4").read_bytes())
        clutter.append(np.full(1_000_000 * (run + 1), run * 40, np.uint8))
    assert len(files) == 1
