"""Video files in and out, and the rule that nothing half-written ever stands under its final name.

A video at this door is uint8 RGB frames [H, W, 3] and a frame rate. Files are H.264 in MP4, yuv420p, BT.709 with
limited range and the tags that say so, index first (faststart), so that browsers and editing programs show them alike;
or VP9 in WebM with the same tags.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import av
import numpy as np
from av.error import FFmpegError
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc, VideoReformatter
from numpy.typing import NDArray
from PIL import Image

from haneul.errors import InputError, OutputError

Frame = NDArray[np.uint8]  # [H, W, 3], RGB

#: What the file system says when it cannot take more; the path is then fine and the message must name the space.
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
#: What a file's credentials are called where it cannot hold them: clip.webm and clip.webm.c2pa.
SIDECAR = ".c2pa"
_REFUSED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO})


@dataclass(frozen=True, kw_only=True)
class Video:
    """Decoded video: `frames` uint8 [T, H, W, 3] RGB, upright; `fps` frames a second."""

    frames: NDArray[np.uint8]
    fps: float

    @property
    def seconds(self) -> float:
        return len(self.frames) / self.fps


@dataclass(frozen=True, kw_only=True)
class VideoInfo:
    """What a file's header says. Width and height are as shown, after rotation; `frames` is None where not stated."""

    width: int
    height: int
    fps: float
    frames: int | None
    seconds: float | None
    codec: str
    rotation: int  # degrees counter-clockwise that a player turns the stored picture by: 0, 90, 180 or 270
    has_audio: bool


class Live(Protocol):
    """Who else gets what an encoder makes, see video/live.py."""

    def begin(self, encoder: Any) -> None: ...

    def add(self, packet: Any) -> None: ...

    def end(self) -> None: ...


# ---------------------------------------------------------------------------------------------------- output files


def check_output(path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """The absolute target, if a file may be written there. Costs nothing, so call it before any work is done.

    Raises:
        OutputError: a file exists and `overwrite` is off; the target is a folder; its folder is missing or unwritable.
    """
    if not os.fspath(path):
        raise OutputError("the output's name is empty; give a file name such as out.mp4")
    target = Path(path).expanduser().absolute()
    try:
        if target.is_dir():
            raise OutputError(f"{target} is a folder; give a file name inside it, such as {target / 'out.mp4'}")
        if not target.parent.is_dir():
            raise OutputError(f"the folder {target.parent} does not exist; create it first")
        for taken in (target, target.with_name(target.name + SIDECAR)):
            if taken.exists() and not overwrite:
                raise OutputError(f"{taken} exists already; choose another name or pass --overwrite")
    except OSError as error:  # a name that is too long, a folder that may not be looked into
        raise OutputError(f"cannot write {target}: {error.strerror or error}") from error
    if not os.access(target.parent, os.W_OK | os.X_OK):
        raise OutputError(f"the folder {target.parent} is not writable for this user")
    return target


@contextmanager
def atomic_output(path: str | os.PathLike[str], *, overwrite: bool = False) -> Iterator[Path]:
    """Yields a path to write to; moves the file to `path` on success and leaves nothing behind otherwise.

    The yielded path has the target's name and lies in a new hidden folder beside the target, hence on the same file
    system, and the last step is one rename. Helper files of the same work may lie next to it; they vanish at the end,
    but for its credentials (SIDECAR), which are moved before it. Any exception, `KeyboardInterrupt` included, removes
    everything.

    Raises:
        OutputError: as `check_output`, or the disk is full, or the file system refused.
    """
    target = check_output(path, overwrite=overwrite)
    folder: Path | None = None
    try:
        folder = Path(tempfile.mkdtemp(prefix=f".{target.name[:40]}.", suffix=".part", dir=target.parent))
        unfinished = folder / target.name
        yield unfinished
        check_output(target, overwrite=overwrite)  # somebody may have put a file there meanwhile
        apart, beside = (p.with_name(p.name + SIDECAR) for p in (unfinished, target))
        if apart.exists():
            apart.replace(beside)
        else:  # of a file that stood here before
            beside.unlink(missing_ok=True)
        unfinished.replace(target)
    except OSError as error:
        raise _output_error(error, target) from error
    finally:
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


def _output_error(error: OSError, target: Path) -> Exception:
    """OutputError for what the file system refused; every other error goes on as it is."""
    if error.errno in _FULL:
        free = shutil.disk_usage(target.parent).free / 2**20
        return OutputError(
            f"no space left to write {target.name} in {target.parent} ({free:.0f} MiB free); free some space or "
            "choose another folder"
        )
    if error.errno in _REFUSED:
        return OutputError(f"cannot write {target}: {error.strerror or error}")
    return error


# ------------------------------------------------------------------------------------------------------- writing


def write_mp4(
    frames: Iterable[Frame],
    path: str | os.PathLike[str],
    *,
    fps: float | Fraction,
    crf: int = 18,
    preset: str = "superfast",
    threads: int = 0,
    overwrite: bool = False,
    live: Live | None = None,
) -> int:
    """Encodes frames as they come, so that memory does not grow with the length, and returns how many there were.

    Args:
        frames: uint8 [H, W, 3] RGB, all of one even size.
        fps: frames a second, up to 240.
        crf: x264's constant quality, 0 (lossless) to 51; 18 is visually lossless.
        preset: x264's speed preset.
        threads: of the encoder; 0 lets it choose. Another number gives slightly other bytes; the same number gives
            the same bytes, for which x264's macroblock tree is off: its AVX-512 code is not deterministic.
        live: gets every encoded picture too, at once; the encoder then looks at no later ones, which costs some space.

    Raises:
        InputError: no frames, a wrong shape, dtype, size or frame rate.
        OutputError: as `atomic_output`.
    """
    options = {"crf": str(crf), "preset": preset, "mbtree": "0"}
    if live is not None:
        rate = Fraction(fps).limit_denominator(1001)
        options |= {"tune": "zerolatency", "g": str(max(1, round(rate)))}  # and a picture to start from every second
    with atomic_output(path, overwrite=overwrite) as unfinished:
        try:
            return _encode(
                frames, unfinished, fps, "libx264", options, threads, live, format="mp4",
                options={"movflags": "+faststart"},
            )  # fmt: skip
        finally:
            if live is not None:
                live.end()


def write_webm(
    frames: Iterable[Frame], path: str | os.PathLike[str], *, fps: float | Fraction, crf: int = 30,
    overwrite: bool = False,
) -> int:  # fmt: skip
    """As `write_mp4`, but VP9 in WebM. `crf` is from 0 to 63; 30 looks like H.264's 20."""
    options = {"crf": str(crf), "b": "0", "deadline": "realtime", "cpu-used": "7", "row-mt": "1"}
    with atomic_output(path, overwrite=overwrite) as unfinished:
        return _encode(frames, unfinished, fps, "libvpx-vp9", options, 0, None, format="webm")


def _encode(
    frames: Iterable[Frame], path: Path, fps: float | Fraction, codec: str, settings: dict[str, str], threads: int,
    live: Live | None, **how: Any,
) -> int:  # fmt: skip
    rate = Fraction(fps).limit_denominator(1001)
    if not 0 < rate <= 240:
        raise InputError(f"the frame rate is {float(fps):g}; give one above 0 and up to 240")
    count = 0
    stream: Any = None
    height = width = 0
    converter = VideoReformatter()
    with av.open(str(path), "w", **how) as container:
        for count, frame in enumerate(frames, start=1):
            if stream is None:
                height, width = _check_first(frame)
                stream = _add_stream(container, codec, rate, width, height, settings, threads)
                container.start_encoding()
                if live is not None:
                    live.begin(stream)
            elif frame.shape != (height, width, 3) or frame.dtype != np.uint8:
                raise InputError(
                    f"frame {count} is {frame.dtype} {list(frame.shape)}, the first uint8 [{height}, {width}, 3]"
                )
            _mux(container, stream.encode(_to_yuv(frame, converter)), live)
        if stream is None:
            raise InputError("there are no frames to write")
        _mux(container, stream.encode(), live)
    return count


def _mux(container: Any, packets: list[Any], live: Live | None) -> None:
    for packet in packets:
        if live is not None:
            live.add(packet)
        container.mux(packet)


def _check_first(frame: Frame) -> tuple[int, int]:
    if frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8:
        raise InputError(f"a frame is {frame.dtype} {list(frame.shape)}; uint8 [H, W, 3] is needed")
    height, width = frame.shape[:2]
    if height % 2 or width % 2 or not (16 <= height <= 8192 and 16 <= width <= 8192):
        raise InputError(f"frames are {width}x{height}; both sides must be even and between 16 and 8192 (4:2:0 colour)")
    return height, width


def _add_stream(
    container: Any, codec: str, rate: Fraction, width: int, height: int, options: dict[str, str], threads: int
) -> Any:
    stream = container.add_stream(codec, rate=rate, options=options)
    stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
    context = stream.codec_context
    context.thread_count = threads
    # Without these tags players guess, and guess 601 or 709 by the picture's height.
    context.color_primaries = ColorPrimaries.BT709
    context.color_trc = ColorTrc.BT709
    context.colorspace = Colorspace.ITU709
    context.color_range = ColorRange.MPEG
    return stream


def _to_yuv(frame: Frame, converter: VideoReformatter) -> av.VideoFrame:
    """One converter serves a whole video: to set one up takes as long as half a picture."""
    return converter.reformat(
        av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24"),
        format="yuv420p",
        src_color_range=ColorRange.JPEG,
        dst_color_range=ColorRange.MPEG,
        dst_colorspace=Colorspace.ITU709,
    )


# ------------------------------------------------------------------------------------------------------- reading


@contextmanager
def _open_video(path: str | os.PathLike[str]) -> Iterator[tuple[Any, Any]]:
    """The container and its first real video stream. Every decoding error inside becomes an InputError."""
    source = Path(path).expanduser()
    if not source.is_file():
        raise InputError(f"{source} is a folder, not a video" if source.is_dir() else f"there is no file {source}")
    if source.stat().st_size == 0:
        raise InputError(f"{source} is empty")
    try:
        # Only the file protocol: a playlist or a reference inside a video must not make us read other places.
        with av.open(str(source.absolute()), options={"protocol_whitelist": "file"}) as container:
            # A stream of an unknown codec has no context; an attached picture is an album cover.
            streams = [
                s for s in container.streams.video if s.codec_context and not s.disposition & s.disposition.attached_pic
            ]
            if not streams:
                raise InputError(f"{source} holds no video that can be decoded")
            yield container, streams[0]
    except (FFmpegError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"{source} cannot be read as video ({reason}); it is damaged or of an unknown kind") from error


def probe(path: str | os.PathLike[str]) -> VideoInfo:
    """Reads the header and the first frame.

    Raises:
        InputError: no such file, or not a video.
    """
    with _open_video(path) as (container, stream):
        first = next(container.decode(stream), None)
        if first is None:
            raise InputError(f"{path} holds no picture")
        turned = first.rotation % 180 != 0
        seconds = float(stream.duration * stream.time_base) if stream.duration else None
        return VideoInfo(
            width=first.height if turned else first.width,
            height=first.width if turned else first.height,
            fps=_fps(stream),
            frames=stream.frames or None,
            seconds=seconds,
            codec=stream.codec_context.name,
            rotation=first.rotation % 360,
            has_audio=bool(container.streams.audio),
        )


def read_video(
    path: str | os.PathLike[str],
    *,
    max_frames: int = 2880,
    max_pixels: int = 4096 * 2304,
    max_bytes: int = 2 * 2**30,
) -> Video:
    """Decodes a whole video upright.

    Args:
        max_frames: refuse longer files (default: two minutes at 24 fps).
        max_pixels: refuse larger frames, before any is decoded.
        max_bytes: refuse files whose decoded frames would take more memory than this.

    Raises:
        InputError: no such file, not a video, damaged, cut off, or beyond a limit.
    """
    frames: list[Frame] = []
    with _open_video(path) as (container, stream):
        coded = stream.codec_context.width * stream.codec_context.height
        if coded > max_pixels:
            size = f"{stream.codec_context.width}x{stream.codec_context.height}"
            raise InputError(f"{path} is {size}; at most {max_pixels} pixels a frame are read: scale it down")
        limit = min(max_frames, max_bytes // max(3 * coded, 1))
        if stream.frames > limit:
            raise InputError(f"{path} has {stream.frames} frames; at most {limit} of this size are read: cut it")
        for picture in container.decode(stream):
            if len(frames) == limit:
                raise InputError(f"{path} has more than {limit} frames, the most that are read of this size: cut it")
            if picture.is_corrupt:
                raise InputError(f"{path} is damaged at frame {len(frames)}")
            frames.append(_upright(picture))
        fps, promised = _fps(stream), stream.frames
    if not frames:
        raise InputError(f"{path} holds no picture")
    if promised > len(frames) + 2:  # an edit list may hide a frame or two
        raise InputError(f"{path} is cut off: {len(frames)} of {promised} frames could be read")
    if any(frame.shape != frames[0].shape for frame in frames):
        raise InputError(f"{path} changes its size midway; re-encode it at one size")
    return Video(frames=np.stack(frames), fps=fps)


def stream_video(path: str | os.PathLike[str]) -> Iterator[Frame]:
    """The frames of a video, upright, one at a time, so that its length costs no memory.

    Raises:
        InputError: no such file, not a video, or damaged.
    """
    with _open_video(path) as (container, stream):
        for picture in container.decode(stream):
            yield _upright(picture)


def glimpses(path: str | os.PathLike[str], moments: int, each: int, *, stride: int = 2) -> list[list[Frame]]:
    """Frames from up to `moments` places spread over a file, `each` of every place, `stride` apart; upright.

    Made for inspection: what can't be decoded is left out, and a long file costs no more than a short one. Raises
    InputError where not a single frame can be had.
    """
    found: list[list[Frame]] = []
    with _open_video(path) as (container, stream):
        seconds = float(stream.duration * stream.time_base) if stream.duration else 0.0
        starts = [seconds * i / moments for i in range(moments)] if seconds * _fps(stream) > each * stride else [0.0]
        for start in starts:
            frames: list[Frame] = []
            try:
                if start:
                    container.seek(round(start / stream.time_base) + (stream.start_time or 0), stream=stream)
                number = 0
                for picture in container.decode(stream):
                    if picture.time is not None and picture.time < start:  # a seek ends at the key frame before
                        continue
                    if number % stride == 0:
                        frames.append(_upright(picture))
                    number += 1
                    if len(frames) == each:
                        break
            except FFmpegError:
                pass  # cut off or damaged: what was decoded until here is looked at
            if frames:
                found.append(frames)
    if not found:
        raise InputError(f"{path} holds no picture that can be decoded")
    return found


def _fps(stream: Any) -> float:
    rate = stream.average_rate or stream.guessed_rate
    return float(rate) if rate else 24.0  # a still picture has no rate of its own


def _upright(picture: Any) -> Frame:
    """RGB [H, W, 3], turned as the file's display matrix says (telephones store the sensor's orientation)."""
    pixels = picture.reformat(format="rgb24", dst_color_range=ColorRange.JPEG).to_ndarray()
    return np.ascontiguousarray(np.rot90(pixels, round(picture.rotation / 90)))


# --------------------------------------------------------------------------------------------------------- stills


def contact_sheet(
    frames: NDArray[np.uint8], *, columns: int = 6, rows: int = 1, width: int = 320, gap: int = 4
) -> NDArray[np.uint8]:
    """A strip of evenly spaced frames, first and last included, read left to right, top to bottom.

    Args:
        frames: uint8 [T, H, W, 3].
        width: of one picture in pixels; the height follows.

    Returns:
        uint8 [rows * (h + gap) + gap, columns * (width + gap) + gap, 3] on dark grey.
    """
    if frames.ndim != 4 or frames.shape[-1] != 3 or not len(frames):
        raise InputError(f"frames are {list(frames.shape)}; uint8 [T, H, W, 3] with T >= 1 is needed")
    if min(columns, rows, width) < 1 or gap < 0:
        raise InputError(
            f"a sheet of {columns}x{rows} pictures of {width} pixels cannot be made; give positive numbers"
        )
    height = max(1, round(frames.shape[1] * width / frames.shape[2]))
    sheet = np.full((rows * (height + gap) + gap, columns * (width + gap) + gap, 3), 24, np.uint8)
    cells = min(columns * rows, len(frames))
    for cell, index in enumerate(np.linspace(0, len(frames) - 1, cells).round().astype(int)):
        top = gap + cell // columns * (height + gap)
        left = gap + cell % columns * (width + gap)
        picture = Image.fromarray(frames[index]).resize((width, height), Image.Resampling.LANCZOS)
        sheet[top : top + height, left : left + width] = np.asarray(picture)
    return sheet
