"""Pictures in and out: what users give as a first frame, videos of one frame, and animated GIFs."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from haneul.errors import InputError
from haneul.video.io import atomic_output

MOST_PIXELS = 100_000_000  #: of a picture that is read: 400 MB of memory
SUFFIXES = (".png", ".webp")  #: of pictures that are written


def is_picture(path: str | os.PathLike[str]) -> bool:
    """Whether an output's name asks for a picture and not for a video."""
    return Path(path).suffix.lower() in SUFFIXES


def read_picture(path: str | os.PathLike[str]) -> NDArray[np.uint8]:
    """A picture file as uint8 [H, W, 3], upright, what is transparent on white; of an animation its first frame.

    Any format that Pillow reads. Raises InputError for a file that is missing, no picture, damaged, or of more than
    100 million pixels (told from its header, before it is decoded).
    """
    file = Path(path)
    if not file.is_file():
        raise InputError(f"there is no picture {str(file)!r}; give a PNG, JPEG or WebP file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # our own limit is checked below
            source = Image.open(file)
        with source:
            if source.width * source.height > MOST_PIXELS:
                pixels = f"{source.width}x{source.height} pixels"
                raise InputError(
                    f"{file.name} has {pixels}; the most is {MOST_PIXELS // 10**6} million: make it smaller"
                )
            upright = _eight_bits(ImageOps.exif_transpose(source)).convert("RGBA")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError(
            f"{file.name} is no picture that can be read ({error}); give a PNG, JPEG or WebP file"
        ) from error
    white = Image.new("RGBA", upright.size, "white")
    picture: NDArray[np.uint8] = np.asarray(Image.alpha_composite(white, upright).convert("RGB"), np.uint8)
    return picture


def _eight_bits(picture: Image.Image) -> Image.Image:
    """Grey pictures of 16 bits as grey ones of 8: Pillow itself would cut off all above 255 (colour it reads right)."""
    if not picture.mode.startswith("I"):
        return picture
    values = np.asarray(picture).astype(np.int64).clip(0, 65535)
    return Image.fromarray((values >> 8).astype(np.uint8))


def write_picture(picture: NDArray[np.uint8], path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
    """Write uint8 [H, W, 3] as the name's suffix says, one of SUFFIXES. Raises OutputError as `io.atomic_output`."""
    with atomic_output(path, overwrite=overwrite) as unfinished:
        Image.fromarray(picture).save(unfinished, quality=95)


def write_gif(frames: Iterable[NDArray[np.uint8]], path: str | os.PathLike[str], *, fps: float) -> int:
    """Write frames uint8 [H, W, 3] as a GIF that plays for ever; returns how many it holds.

    A GIF counts time in hundredths of a second and has 256 colours a frame, so only so many frames are kept that each
    stands for 8 of those or more: every second one of 24 a second. Raises InputError without frames, OutputError as
    `io.atomic_output`.
    """
    step = max(1, round(0.08 * fps))
    kept = (Image.fromarray(frame).quantize(256, dither=Image.Dither.NONE) for frame in islice(frames, 0, None, step))
    first = next(kept, None)
    if first is None:
        raise InputError("there are no frames to write")
    count = 1

    def others() -> Iterator[Image.Image]:
        nonlocal count
        for count, picture in enumerate(kept, start=2):  # noqa: B007 - the last number is the count
            yield picture

    with atomic_output(path) as unfinished:
        first.save(
            unfinished, save_all=True, append_images=others(), duration=round(100 * step / fps) * 10, loop=0,
            disposal=1, optimize=False,
        )  # fmt: skip
    return count


class Keep:
    """Passes frames through and keeps a dozen of them, evenly spread, for a preview."""

    def __init__(self, frames: Iterator[NDArray[np.uint8]], count: int, keep: int = 12) -> None:
        self.source = frames
        self.frames: list[NDArray[np.uint8]] = []
        self.picks = set(np.linspace(0, max(0, count - 1), keep).round().astype(int).tolist())

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        for i, frame in enumerate(self.source):
            if i in self.picks:
                self.frames.append(frame)
            yield frame


def enlarged(picture: NDArray[np.uint8], scale: int) -> NDArray[np.uint8]:
    """A picture uint8 [H, W, 3], `scale` times as wide and high, bicubic."""
    height, width = picture.shape[:2]
    return np.asarray(Image.fromarray(picture).resize((scale * width, scale * height), Image.Resampling.BICUBIC))
