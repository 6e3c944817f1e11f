"""Known works: films, pictures, a library's or the training's clips, of which a result must be no near copy.

A site lists them in a file ([screen] known_works in the settings): a PDQ hash (pdq.py) and a name a line, written by
`haneul works`. What comes of a near copy is the policy's choice, category `near-copy`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from haneul.screen import pdq
from haneul.video.io import atomic_output, read_video
from haneul.video.picture import read_picture

__all__ = ["FILES", "Copy", "Works", "add", "entries", "read_works"]

BLOCK: Final = 4096  #: hashes that are held against at once
A_SECOND: Final = 4  #: frames of a work that are hashed, where they are unlike
PICTURES: Final = (".png", ".webp", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
FILES: Final = (*PICTURES, ".mp4", ".webm", ".mov", ".mkv", ".gif")  #: what is taken out of a folder


@dataclass(frozen=True, kw_only=True)
class Copy:
    """The work that a frame is a near copy of, and by how many of 256 bits they differ."""

    name: str
    bits: int


@dataclass(frozen=True, kw_only=True)
class Works:
    """Hashes, bool [n, 256], and the name of the work that each is of."""

    hashes: NDArray[np.bool_]
    names: list[str]

    def copied(self, frames: Sequence[NDArray[np.uint8]]) -> Copy | None:
        """The nearest work of which a frame, or its mirror image, is a near copy; None if there is none."""
        nearest: Copy | None = None
        for bits in pdq.both_ways(frames):
            for first in range(0, len(self.hashes), BLOCK):
                apart = (self.hashes[first : first + BLOCK] ^ bits).sum(1)
                at = int(apart.argmin())
                if apart[at] <= pdq.NEAR and (nearest is None or apart[at] < nearest.bits):
                    nearest = Copy(name=self.names[first + at], bits=int(apart[at]))
        return nearest


def read_works(path: Path) -> Works:
    """The works of a file, read anew when it changes. Raises InputError."""
    try:
        stamp = path.stat().st_mtime_ns
    except OSError:
        stamp = 0  # reading says what is wrong
    return _read(path, stamp)


@lru_cache(maxsize=2)
def _read(path: Path, _stamp: int) -> Works:
    rows = pdq.read_named(path)
    hashes = np.array([bits for bits, _ in rows], bool).reshape(-1, pdq.BITS**2)
    return Works(hashes=hashes, names=[name or f"line {number}" for number, (_, name) in enumerate(rows, start=1)])


def entries(frames: Sequence[NDArray[np.uint8]], name: str) -> Iterator[str]:
    """Lines of the file for frames of a work: one for each that has enough to tell apart and is unlike those before."""
    kept: list[NDArray[np.bool_]] = []
    for frame in frames:
        bits, quality = pdq.pdq(frame)
        if quality >= pdq.QUALITY and all(int((bits ^ old).sum()) > pdq.NEAR for old in kept):
            kept.append(bits)
            yield f"{pdq.to_hex(bits)} {name}"


def add(files: Sequence[Path], output: Path) -> Iterator[tuple[str, int]]:
    """Add works to a list, name -> how many hashes; of folders what FILES says. Raises InputError for a file that is
    neither picture nor video, OutputError when the list cannot be written."""
    before = output.read_text(encoding="utf-8") if output.exists() else ""
    lines = before.splitlines()
    told = []
    for path in files:
        inside = sorted(p for p in path.rglob("*") if p.suffix.lower() in FILES) if path.is_dir() else [path]
        for file in inside:
            new = list(entries(_frames_of(file), file.name))
            lines += new
            told.append((file.name, len(new)))
    with atomic_output(output, overwrite=True) as unfinished:
        unfinished.write_text("\n".join(lines) + "\n", encoding="utf-8")
    yield from told


def _frames_of(path: Path) -> list[NDArray[np.uint8]]:
    """The frames of a picture or a video that are hashed."""
    if path.suffix.lower() in PICTURES:
        return [read_picture(path)]
    video = read_video(path)
    return list(video.frames[:: max(1, round(float(video.fps) / A_SECOND))])
