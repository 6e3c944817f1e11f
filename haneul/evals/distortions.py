"""What happens to videos on their way through the world, as functions from frames to frames.

Those that change pictures are followed by a second encoding (H.264, crf 23), as no file gets anywhere without one.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any, Final

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageOps

Frame = NDArray[np.uint8]  # [H, W, 3]
Frames = Sequence[Frame]
Attack = Callable[[Frames], list[Frame]]
FPS: Final = 24


def coded(frames: Frames, codec: str = "libx264", fps: int = FPS, **options: int | str) -> list[Frame]:
    """The frames after an encoder and its decoder."""
    os.environ.setdefault("SVT_LOG", "1")  # SVT-AV1 has no other switch against its long greeting
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        given = {name.replace("_", "-"): str(value) for name, value in options.items()}
        stream: Any = container.add_stream(codec, rate=Fraction(fps), options=given)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.thread_count = 2
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")))
        container.mux(stream.encode())
    file.seek(0)
    with av.open(file, "r") as source:
        return [np.asarray(picture.to_ndarray(format="rgb24"), np.uint8) for picture in source.decode(video=0)]


def _sent(frames: Frames) -> list[Frame]:
    return coded(frames, crf=23, preset="veryfast")


def _each(change: Callable[[Image.Image], Image.Image]) -> Attack:
    """A change of every picture, then the second encoding."""
    return lambda frames: _sent([np.asarray(change(Image.fromarray(frame))) for frame in frames])


def _scaled(share: float) -> Callable[[Image.Image], Image.Image]:
    def change(picture: Image.Image) -> Image.Image:
        size = (_even(picture.width * share), _even(picture.height * share))
        return picture.resize(size, Image.Resampling.BICUBIC)

    return change


def _cropped(kept: float, *, back: bool = False, corner: bool = False) -> Callable[[Image.Image], Image.Image]:
    """`kept` of both sides, from the middle or the top left corner; with `back` scaled to the size it had."""

    def change(picture: Image.Image) -> Image.Image:
        w, h = _even(picture.width * kept), _even(picture.height * kept)
        left, top = (0, 0) if corner else ((picture.width - w) // 2, (picture.height - h) // 2)
        part = picture.crop((left, top, left + w, top + h))
        return part.resize(picture.size, Image.Resampling.BICUBIC) if back else part

    return change


def _letterboxed(picture: Image.Image) -> Image.Image:
    """On a black 4:3 canvas of the same width."""
    canvas = Image.new("RGB", (picture.width, _even(max(picture.height * 1.05, picture.width * 3 / 4))))
    canvas.paste(picture, (0, (canvas.height - picture.height) // 2))
    return canvas


def _captioned(picture: Image.Image) -> Image.Image:
    """Two lines of white text on a dark band in the lower part."""
    out, (w, h) = picture.copy(), picture.size
    draw = ImageDraw.Draw(out)
    draw.rectangle((0.1 * w, 0.78 * h, 0.9 * w, 0.94 * h), fill=(12, 12, 12))
    for line, text in enumerate(("a caption that was burnt in", "over two lines")):
        draw.text((0.14 * w, (0.79 + 0.07 * line) * h), text, fill="white", font_size=max(8, h // 16))
    return out


def _noisy(frames: Frames) -> list[Frame]:
    rng = np.random.default_rng(0)
    noisy = [np.clip(f + 5 * rng.standard_normal(f.shape, np.float32), 0, 255).astype(np.uint8) for f in frames]
    return _sent(noisy)


def _on_screen(picture: Image.Image) -> Image.Image:
    """A player's window that takes 80% of a grey desktop with text on it."""
    screen = Image.new("RGB", (_even(picture.width / 0.8), _even(picture.height / 0.72)), (58, 62, 70))
    draw = ImageDraw.Draw(screen)
    for y in range(0, screen.height, 28):
        draw.text((8, y), "a window behind, with lines of text " * 6, fill=(190, 190, 190), font_size=14)
    screen.paste(picture, ((screen.width - picture.width) // 2, (screen.height - picture.height) // 3))
    return screen


def _jpeg(picture: Image.Image, quality: int = 80) -> Image.Image:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=quality)
    return Image.open(file).convert("RGB")


def _shot(change: Callable[[Image.Image], Image.Image] = lambda picture: picture) -> Attack:
    """One frame of the second encoding, as a picture."""
    return lambda frames: [np.asarray(change(Image.fromarray(_sent(frames)[len(frames) // 2])))]


def _even(length: float) -> int:
    return max(16, int(length) // 2 * 2)


def _brighter(picture: Image.Image) -> Image.Image:
    return ImageEnhance.Brightness(picture).enhance(1.15)


def _coloured(picture: Image.Image) -> Image.Image:
    warm = np.asarray(ImageEnhance.Color(picture).enhance(1.4), np.float32) * (1.08, 1.0, 0.92)
    return Image.fromarray(np.clip(warm, 0, 255).astype(np.uint8))


ATTACKS: Final[dict[str, Attack]] = {
    "as written (H.264 crf 18)": lambda frames: coded(frames, crf=18, preset="superfast"),
    "H.264 crf 28": lambda frames: coded(frames, crf=28),
    "H.264 crf 34": lambda frames: coded(frames, crf=34),
    "HEVC crf 30": lambda frames: coded(frames, "libx265", crf=30, preset="fast", x265_params="log-level=none"),
    "AV1 crf 38": lambda frames: coded(frames, "libsvtav1", crf=38, preset=10),
    "scaled to 2/3": _each(_scaled(2 / 3)),
    "scaled to 1/2": _each(_scaled(1 / 2)),
    "scaled to 1/3": _each(_scaled(1 / 3)),
    "scaled to 3/2": _each(_scaled(3 / 2)),
    "cropped by 10%": _each(_cropped(0.9)),
    "cropped by 25%": _each(_cropped(0.75)),
    "cropped by 25%, a corner, scaled back": _each(_cropped(0.75, back=True, corner=True)),
    "letterboxed": _each(_letterboxed),
    "15 frames a second": lambda frames: coded(frames[::2], crf=23, fps=15),
    "30 frames a second": lambda frames: coded(
        [frames[i * 4 // 5] for i in range(len(frames) * 5 // 4)], crf=23, fps=30
    ),
    "trimmed to half": lambda frames: _sent(frames[len(frames) // 2 :]),
    "15% brighter": _each(_brighter),
    "contrast 70%": _each(lambda picture: ImageEnhance.Contrast(picture).enhance(0.7)),
    "contrast 130%": _each(lambda picture: ImageEnhance.Contrast(picture).enhance(1.3)),
    "warmer, more colour": _each(_coloured),
    "blurred (sigma 1.5)": _each(lambda picture: picture.filter(ImageFilter.GaussianBlur(1.5))),
    "noise (sigma 5)": _noisy,
    "caption burnt in": _each(_captioned),
    "mirrored": _each(ImageOps.mirror),
    "one frame": _shot(),
    "one frame as JPEG 80": _shot(_jpeg),
    "one frame on a desktop": _shot(_on_screen),
    "cropped by 10%, 1/2, mirrored, crf 28": lambda frames: coded(
        [np.asarray(ImageOps.mirror(_scaled(0.5)(_cropped(0.9)(Image.fromarray(f))))) for f in frames], crf=28
    ),
}  # fmt: skip
