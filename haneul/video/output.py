"""What a video is written as, by its file's name."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from haneul.errors import InputError
from haneul.video.io import Frame, Live, write_mp4, write_webm
from haneul.video.picture import write_gif

VIDEOS = (".mp4", ".webm", ".gif")  #: suffixes


def is_video(path: str | os.PathLike[str]) -> bool:
    """Whether a name says what a video is to be written as."""
    return Path(path).suffix.lower() in VIDEOS


def write_video(
    frames: Iterable[Frame], path: str | os.PathLike[str], *, fps: float, live: Live | None = None
) -> int:  # fmt: skip
    """Write frames uint8 [H, W, 3] as the name's suffix says, one of VIDEOS; returns how many the file holds.

    Raises InputError for another suffix and as `io.write_mp4`, OutputError as `io.atomic_output`.
    """
    match Path(path).suffix.lower():
        case ".mp4":
            return write_mp4(frames, path, fps=fps, live=live)
        case ".webm":
            return write_webm(frames, path, fps=fps)
        case ".gif":
            return write_gif(frames, path, fps=fps)
    raise InputError(f"{Path(path).name!r} does not say what to write; name it {', '.join(VIDEOS)}")
