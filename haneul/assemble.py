"""Finished clips, cut and put one after another: what an editing table does. Nothing is imagined here.

The frames go out as they came in, marks and all; only what carries no mark of this installation gets one. The result is
signed anew, with every clip as its ingredient.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from haneul import engine, screen
from haneul.backbones.base import Backbone, Progress
from haneul.config import Settings, load_settings
from haneul.errors import InputError
from haneul.trust import credentials, stamp
from haneul.trust.registry import id_of
from haneul.video import io
from haneul.video.output import write_video
from haneul.video.timeline import fit, mix

DISSOLVE = 0.5  #: seconds
MOST_CUTS = 200


@dataclass(frozen=True, kw_only=True)
class Cut:
    """A part of a clip: from `start` to `end` seconds (None: to its end). With `dissolve` it crosses with the cut
    before for half a second, instead of following it."""

    path: Path
    start: float = 0.0
    end: float | None = None
    dissolve: bool = False


@dataclass(frozen=True, kw_only=True)
class Strip:
    """A cut as frames at the output's rate: the first one, how many, and the marks that they carry."""

    cut: Cut
    fps: float  #: of the file
    first: int
    count: int
    marks: tuple[str, ...]


def assemble(
    cuts: Sequence[Cut], *, output: str | Path = engine.OUTPUT, size: tuple[int, int] | None = None,
    overwrite: bool = False, progress: Progress | None = None, settings: Settings | None = None,
    backbone: Backbone | None = None,
) -> engine.Result:  # fmt: skip
    """Put cuts one after another as one file (.mp4, .webm, .gif), at the model's frame rate; `size` is by default the
    first clip's. One cut alone is a trimmed clip.

    Raises InputError for what cannot be cut, RefusedError for given files that the screen refuses, OutputError and
    CredentialError as `engine.make`.
    """
    if not 1 <= len(cuts) <= MOST_CUTS:
        raise InputError(f"{len(cuts)} cuts cannot be put together; give 1 to {MOST_CUTS}")
    engine.check_names(output, None, overwrite)
    settings = settings or load_settings()
    ours = stamp.ready(settings)
    backbone = backbone or engine.default_backbone(settings)
    fps, identity = backbone.capabilities().fps, backbone.identity()
    media = tuple(dict.fromkeys(cut.path for cut in cuts))
    verdicts = {path: credentials.verify(path, settings=settings) for path in media}
    strange = [path for path in media if not verdicts[path].here]
    warnings = [*ours.warnings]
    if strange:
        warnings += screen.given(settings, strange, [io.read_video(path).frames for path in strange])
    info = io.probe(cuts[0].path)
    size = size or (info.width - info.width % 2, info.height - info.height % 2)
    engine.check_shape(1.0, size)
    strips = [_strip(cut, fps, size, verdicts[cut.path].bindings if verdicts[cut.path].here else ()) for cut in cuts]
    number = ours.number("assemble", size, *((strip.first, strip.count) for strip in strips), *media)
    total = sum(strip.count for strip in strips) - sum(_crossings(strips))
    with io.atomic_output(Path(output), overwrite=overwrite) as unsigned:
        frames = _counted(_joined(strips, fps, size, ours, number), total, progress)
        write_video(frames, unsigned, fps=fps)
        manifest = engine.manifest_of(Path(output).name, identity, mode="assemble", seed=0, media=media)
        ours.sign(unsigned, manifest, number, parts=_bindings(strips, fps, number))
    report: dict[str, Any] = {"warnings": warnings, "cuts": len(cuts), "frames": total}
    return engine.Result(path=Path(output), seed=0, warnings=warnings, report=report)


def _strip(cut: Cut, fps: float, size: tuple[int, int], marks: tuple[str, ...]) -> Strip:
    info = io.probe(cut.path)
    there = info.frames or sum(1 for _ in io.stream_video(cut.path))
    frames = max(1, round(there * fps / info.fps))
    seconds = frames / fps
    first = round(cut.start * fps)
    last = frames if cut.end is None else min(frames, round(cut.end * fps))
    if not 0 <= first < last or (cut.end or 0) > seconds + 0.5:
        end = seconds if cut.end is None else cut.end
        raise InputError(f"{cut.start:g} s to {end:g} s is no part of {cut.path.name}, {seconds:.2f} s long")
    kept = marks if (info.width, info.height) == size else ()  # a mark may not outlive being scaled
    return Strip(cut=cut, fps=info.fps, first=first, count=last - first, marks=kept)


def _crossings(strips: Sequence[Strip], fps: float = 24.0) -> list[int]:
    """Frames by which each strip crosses with the one before."""
    return [
        0 if before is None or not strip.cut.dissolve
        else min(round(DISSOLVE * fps), before.count // 2, strip.count // 2)
        for before, strip in zip([None, *strips], strips, strict=False)
    ]  # fmt: skip


def _frames(strip: Strip, fps: float, size: tuple[int, int]) -> Iterator[io.Frame]:
    """The strip's frames, of one size and rate: each moment shows the frame of the file that stands there."""
    wanted = (int((strip.first + i + 0.5) * strip.fps / fps) for i in range(strip.count))
    at = next(wanted)
    last: io.Frame | None = None
    for n, frame in enumerate(io.stream_video(strip.cut.path)):
        if n < at:
            continue
        last = fit(frame, size)
        while n == at:
            yield last
            following = next(wanted, None)
            if following is None:
                return
            at = following
    while last is not None:  # a header that promised more than there is
        yield last
        if next(wanted, None) is None:
            return


def _joined(
    strips: Sequence[Strip], fps: float, size: tuple[int, int], ours: stamp.Stamp, number: int
) -> Iterator[io.Frame]:
    crossings = _crossings(strips, fps)
    tail: list[io.Frame] = []  # the end of the strip before
    for strip, leaving in zip(strips, [*crossings[1:], 0], strict=True):
        plain = _frames(strip, fps, size)
        going: list[io.Frame] = []
        for i, frame in enumerate(plain if strip.marks else ours.mark(plain, number)):
            entered = mix(tail[i], frame, (i + 1) / (len(tail) + 1)) if i < len(tail) else frame
            if i < strip.count - leaving:
                yield entered
            else:
                going.append(entered)
        tail = going


def _counted(frames: Iterator[io.Frame], total: int, progress: Progress | None) -> Iterator[io.Frame]:
    for n, frame in enumerate(frames, start=1):
        if progress:
            progress("joining", n, total)
        yield frame


def _bindings(strips: Sequence[Strip], fps: float, number: int) -> tuple[credentials.Binding, ...]:
    """Which marks lie in which milliseconds. Of a cut from something that was put together itself, each of its marks
    may be in it."""
    found, at = [], 0
    for strip, leaving in zip(strips, [*_crossings(strips, fps)[1:], 0], strict=True):
        span = (round(1000 * at / fps), round(1000 * (at + strip.count) / fps))
        found += [credentials.Binding(value=value, span=span) for value in strip.marks or (id_of(number),)]
        at += strip.count - leaving
    return tuple(found)
