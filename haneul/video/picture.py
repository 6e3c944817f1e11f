"""Pictures in and out: what users give as a first frame, and videos of one frame."""

from __future__ import annotations

import os
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
        with Image.open(file) as source:
            if source.width * source.height > MOST_PIXELS:
                pixels = f"{source.width}x{source.height} pixels"
                raise InputError(
                    f"{file.name} has {pixels}; the most is {MOST_PIXELS // 10**6} million: make it smaller"
                )
            upright = ImageOps.exif_transpose(source).convert("RGBA")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError(
            f"{file.name} is no picture that can be read ({error}); give a PNG, JPEG or WebP file"
        ) from error
    white = Image.new("RGBA", upright.size, "white")
    picture: NDArray[np.uint8] = np.asarray(Image.alpha_composite(white, upright).convert("RGB"), np.uint8)
    return picture


def write_picture(picture: NDArray[np.uint8], path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
    """Write uint8 [H, W, 3] as the name's suffix says, one of SUFFIXES. Raises OutputError as `io.atomic_output`."""
    with atomic_output(path, overwrite=overwrite) as unfinished:
        Image.fromarray(picture).save(unfinished, quality=95)
