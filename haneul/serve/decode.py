"""Looks at an uploaded file in a process of its own, which may use little memory and time.

`inspect` is called by the service. It tells pictures and videos by their first bytes, starts this module as a program
(`python -m haneul.serve.decode`), and believes only its verdict: the program decodes the file completely, with the one
decoder that belongs to its kind, or it dies in the attempt.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import threading
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from haneul.errors import InputError
from haneul.serve import deadline

Kind = Literal["picture", "video"]

MOST_PICTURE = 40_000_000  #: pixels
MOST_FRAME = 4096 * 2304  #: pixels of a frame of a video
MOST_FRAMES = 2880  #: two minutes at 24 a second
MOST_DECODED = 2**30  #: bytes of all decoded frames of a video, as a worker holds them
MEMORY = 1536 * 2**20  #: address space of the program
SECONDS = 10
_WAIT = 30.0  # seconds for its turn
_AT_ONCE = threading.BoundedSemaphore(2)  #: programs that run at a time

#: kind, suffix, and the decoder's own name, by the first bytes
_MAGIC: tuple[tuple[int, bytes, Kind, str, str], ...] = (
    (0, b"\x89PNG\r\n\x1a\n", "picture", ".png", "PNG"),
    (0, b"\xff\xd8\xff", "picture", ".jpg", "JPEG"),
    (8, b"WEBP", "picture", ".webp", "WEBP"),
    (4, b"ftyp", "video", ".mp4", "mp4"),
    (0, b"\x1aE\xdf\xa3", "video", ".webm", "matroska"),
)


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a file holds. `frames` and `fps` are of a video."""

    kind: Kind
    suffix: str
    width: int
    height: int
    frames: int = 1
    fps: float = 0.0

    @property
    def seconds(self) -> float:
        return self.frames / self.fps if self.fps else 0.0


def told_by(head: bytes) -> tuple[Kind, str, str]:
    """Kind, suffix and decoder by the first 16 bytes. Raises InputError for every other file."""
    for at, magic, kind, suffix, decoder in _MAGIC:
        if head[at : at + len(magic)] == magic and (decoder != "WEBP" or head[:4] == b"RIFF"):
            return kind, suffix, decoder
    raise InputError("the file is neither a picture (PNG, JPEG, WebP) nor a video (MP4, MOV, WebM)")


def inspect(path: Path, *, want: Kind | None = None) -> Found:
    """What the file holds, once it was decoded without fault. Raises InputError otherwise, Problem where there is no
    time left; blocks up to SECONDS once it is its turn."""
    with path.open("rb") as file:
        kind, suffix, decoder = told_by(file.read(16))
    if want is not None and kind != want:
        raise InputError(f"the file is a {kind}; a {want} is needed here")
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "SYSTEMROOT") if name in os.environ}
    command = [sys.executable, "-m", "haneul.serve.decode", decoder, str(path)]
    wait = deadline.left(_WAIT)
    if not wait or not _AT_ONCE.acquire(timeout=wait):
        from haneul.serve.problems import busy  # which the program does not need

        raise busy("what was given could not be looked at in time; try again later, or give less at once")
    try:
        done = subprocess.run(
            command, env=kept | {"LC_ALL": "C.UTF-8"}, stdin=subprocess.DEVNULL, capture_output=True,
            timeout=SECONDS, cwd=path.parent, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise InputError(f"the {kind} takes too long to decode; give a smaller one") from None
    finally:
        _AT_ONCE.release()
    if done.returncode != 0:
        raise InputError(f"the {kind} cannot be decoded: it is damaged, or far too large")
    verdict = json.loads(done.stdout.decode().splitlines()[-1])
    if "problem" in verdict:
        raise InputError(f"the {kind} cannot be used: {verdict['problem']}")
    return Found(suffix=suffix, **verdict)


# ----------------------------------------------------------------------------------------------------- the program


def picture(path: Path, decoder: str) -> Found:
    from PIL import Image, ImageOps

    Image.MAX_IMAGE_PIXELS = None  # our own limit is checked before anything is decoded
    with Image.open(path, formats=[decoder]) as source:
        if source.width * source.height > MOST_PICTURE:
            raise InputError(f"{source.width}x{source.height} pixels are more than {MOST_PICTURE // 10**6} million")
        if min(source.size) < 8:
            raise InputError(f"{source.width}x{source.height} pixels are too few")
        upright = ImageOps.exif_transpose(source)
        upright.load()
        return Found(kind="picture", suffix="", width=upright.width, height=upright.height)


def video(path: Path, decoder: str) -> Found:
    import av
    from av.error import FFmpegError

    try:
        with av.open(str(path), format=decoder, options={"protocol_whitelist": "file"}) as container:
            streams = [s for s in container.streams.video if s.codec_context]
            if not streams:
                raise InputError("it holds no picture")
            stream = streams[0]
            width, height = stream.codec_context.width, stream.codec_context.height
            if not (min(width, height) >= 16 and width * height <= MOST_FRAME):
                raise InputError(f"frames of {width}x{height} pixels are too many or too few")
            most = min(MOST_FRAMES, MOST_DECODED // (3 * width * height))
            if stream.frames > most:
                raise InputError(f"{stream.frames} frames are more than the {most} of this size that can be used")
            stream.codec_context.thread_count = 1
            frames = 0
            for frame in container.decode(stream):
                frames += 1
                if frames > most:
                    raise InputError(f"it has more than {most} frames, the most of this size that can be used")
                if (frame.width, frame.height) != (width, height) or frame.is_corrupt:
                    raise InputError(f"it is damaged, or changes its size, at frame {frames}")
            rate = float(stream.average_rate or stream.guessed_rate or 24)
            if frames < stream.frames - 2:
                raise InputError(f"it is cut off after {frames} of {stream.frames} frames")
    except (FFmpegError, ValueError) as error:
        raise InputError(f"it is damaged ({getattr(error, 'strerror', None) or type(error).__name__})") from error
    if not frames or not 0 < rate <= 1000:
        raise InputError("it holds no picture")
    return Found(kind="video", suffix="", width=width, height=height, frames=frames, fps=rate)


def main(decoder: str, path: str) -> None:
    """Prints one line of JSON. Whatever else happens, a limit or the decoder's end says that the file is bad."""
    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    try:
        looked = picture if decoder in ("PNG", "JPEG", "WEBP") else video
        found = asdict(looked(Path(path), decoder))
        del found["suffix"]
    except InputError as error:
        found = {"problem": str(error)}
    except (OSError, ValueError, SyntaxError, MemoryError, OverflowError) as error:
        found = {"problem": f"it is damaged ({type(error).__name__})"}
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
