"""The modes that begin with the user's own pictures and clips: extend, connect, loop, retake, keyframes, remix,
inpaint, blend.

Each of them only decides which frames are given, where, and how much of them stays (backbones.base.Given), and how what
the model makes is joined to what was given; `engine.make` does the rest. The model thinks in thirds of a second, so
lengths of new parts are rounded to those.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Unpack

import numpy as np
from numpy.typing import NDArray

from haneul.backbones.base import Capabilities, Given
from haneul.engine import SIDES, Options, Result, Take, check_shape, given_says, make
from haneul.errors import InputError
from haneul.video import io
from haneul.video.picture import read_picture
from haneul.video.timeline import at_rate, fit, inside, mix, splice

Frames = NDArray[np.uint8]  # [T, H, W, 3]
Size = tuple[int, int]  # width, height
File = str | Path

CONTEXT = 4  #: thirds of a second of a clip that the model sees before or after what it makes
PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")  #: a GIF is a clip


def extend(
    clip: File, prompt: str, *, seconds: float = 4.0, backward: bool = False, start: float = 0.0,
    end: float | None = None, only_new: bool = False, size: Size | None = None, **options: Unpack[Options],
) -> Result:  # fmt: skip
    """The clip and `seconds` more after it, or before it. `start` and `end` (seconds of the clip) cut it first; with
    `only_new` the file holds what was made and not the clip.

    `size` is (width, height), by default the clip's own. Raises InputError for a clip that cannot be used, and as
    `engine.make`, like every function here.
    """

    def plan(able: Capabilities) -> Take:
        frames = cut(read(clip, able), start, end, able)
        before, after = (frames[:0], frames) if backward else (frames, frames[:0])
        shown = (not only_new, not only_new)
        return between(able, "extend", before, after, seconds, size, (clip,), shown)

    return made(prompt, plan, options)


def connect(
    first: File, second: File, prompt: str, *, seconds: float = 2.0, only_new: bool = False,
    size: Size | None = None, **options: Unpack[Options],
) -> Result:  # fmt: skip
    """From one clip or picture to another, with `seconds` made between them; with `only_new` these alone."""

    def plan(able: Capabilities) -> Take:
        shown = (not only_new, not only_new)
        return between(able, "connect", read(first, able), read(second, able), seconds, size, (first, second), shown)

    return made(prompt, plan, options)


def loop(
    clip: File, prompt: str, *, seconds: float = 2.0, size: Size | None = None, **options: Unpack[Options]
) -> Result:
    """The clip and `seconds` more that lead from its end to its beginning, so that it can be played again and again.

    For a loop made from nothing see `engine.generate`.
    """

    def plan(able: Capabilities) -> Take:
        frames = read(clip, able)
        if len(frames) == 1:
            raise InputError(f"{Path(clip).name} is a picture; give a clip, or begin a video with it")
        return between(able, "loop", frames, frames, seconds, size, (clip,), (True, False))

    return made(prompt, plan, options)


def retake(
    clip: File, prompt: str, *, start: float, end: float, size: Size | None = None, **options: Unpack[Options]
) -> Result:
    """The clip with what lies between two moments (seconds) made anew; the rest stays, frame for frame."""

    def plan(able: Capabilities) -> Take:
        frames = read(clip, able)
        first, last = (round(moment * able.fps) for moment in (start, end))
        if not 0 <= first < last <= len(frames):
            raise InputError(
                f"{start:g} s to {end:g} s is no part of {Path(clip).name}, {len(frames) / able.fps:.2f} s long"
            )
        if first == 0 and last == len(frames):
            raise InputError(f"nothing of {Path(clip).name} would stay; make a new video, or remix it")
        seconds = thirds((last - first) / able.fps, able) / able.fps
        # The part is made of whole thirds of a second, so its end moves by less than a sixth.
        last = min(len(frames), first + round(seconds * able.fps)) if last < len(frames) else last
        return between(able, "retake", frames[:first], frames[last:], seconds, size, (clip,))

    return made(prompt, plan, options)


def keyframes(
    pictures: dict[float, File], prompt: str, *, seconds: float = 4.0, size: Size = (896, 512),
    **options: Unpack[Options],
) -> Result:  # fmt: skip
    """A video that passes through pictures at given moments (seconds -> file)."""
    check_shape(seconds, size)
    if not pictures:
        raise InputError("no keyframe is given; name at least one moment and its picture, such as 0=first.png")

    def plan(able: Capabilities) -> Take:
        for moment in pictures:
            if not 0 <= moment <= seconds:
                raise InputError(f"a keyframe at {moment:g} s lies outside of a video of {seconds:g} s")
        ordered, frames = sorted(pictures.items()), round(seconds * able.fps)
        at = [min(round(moment * able.fps), frames - 1) for moment, _ in ordered]
        for (a, b), (moment, _) in zip(pairwise(at), ordered[1:], strict=True):
            if -(-a // third(able)) == -(-b // third(able)):
                raise InputError(f"the keyframe at {moment:g} s shares its third of a second with the one before")
        given = tuple(Given(frames=read_picture(path)[None], at=n) for n, (_, path) in zip(at, ordered, strict=True))
        media = tuple(Path(path) for _, path in ordered)
        return Take(mode="keyframes", size=size, frames=frames, given=given, media=media)

    return made(prompt, plan, options)


def remix(
    clip: File, prompt: str, *, strength: float = 0.6, size: Size | None = None, **options: Unpack[Options]
) -> Result:
    """The clip as the prompt says it: `strength` from 0 (stays as it is) to 1 (all is made anew)."""
    check_share(strength, "strength")

    def plan(able: Capabilities) -> Take:
        frames = read(clip, able)
        given = (Given(frames=frames, keep=1 - strength),)
        return Take(mode="remix", size=size_of(frames, size), frames=len(frames), given=given, media=(Path(clip),))

    return made(prompt, plan, options)


def inpaint(
    clip: File, prompt: str, *, box: tuple[float, float, float, float], size: Size | None = None,
    **options: Unpack[Options],
) -> Result:  # fmt: skip
    """The clip with what lies inside a box made anew; outside it stays, pixel for pixel.

    `box` is left, top, right, bottom, as shares of the picture's width and height.
    """
    left, top, right, bottom = box
    if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
        raise InputError(f"the box {box} is none: give left, top, right, bottom within 0 and 1, such as 0.5,0.2,1,0.8")

    def plan(able: Capabilities) -> Take:
        frames = read(clip, able)
        shape = size_of(frames, size)
        mask = inside(box, shape)

        def join(new_frames: Iterator[io.Frame]) -> Iterator[io.Frame]:
            for given, frame in zip(frames, new_frames, strict=False):
                yield mix(fit(given, shape), frame, mask)

        given = (Given(frames=frames, box=box),)
        return Take(mode="inpaint", size=shape, frames=len(frames), given=given, media=(Path(clip),), join=join)

    return made(prompt, plan, options)


def blend(
    first: File, second: File, prompt: str, *, seconds: float = 2.0, hold: float = 0.25, size: Size | None = None,
    **options: Unpack[Options],
) -> Result:  # fmt: skip
    """One clip turns into another within `seconds` that both share: the end of the first, the beginning of the second.

    `hold` is how much of the two stays in the middle, where the model is freest.
    """
    check_share(hold, "hold")

    def plan(able: Capabilities) -> Take:
        one, two = read(first, able), read(second, able)
        count = thirds(seconds, able) + 1
        if min(len(one), len(two)) < count:
            raise InputError(
                f"the clips are {len(one) / able.fps:.2f} and {len(two) / able.fps:.2f} s long and cannot share "
                f"{count / able.fps:.2f} s; ask for less"
            )
        shape = size_of(one, size)
        way = np.linspace(0, 1, count)
        pairs = zip(one[-count:], two[:count], way, strict=True)
        crossed = np.stack([mix(fit(a, shape), fit(b, shape), float(u)) for a, b, u in pairs])
        keep = 1 - (1 - hold) * np.sin(np.pi * way) ** 2
        before, after = fitted(one, shape), fitted(two, shape)

        def join(new_frames: Iterator[io.Frame]) -> Iterator[io.Frame]:
            third = count // 3
            return splice(before[: len(before) - count + third], new_frames, after[count - third :], lead=third,
                          new=count - 2 * third, tail=third)  # fmt: skip

        return Take(
            mode="blend", size=shape, frames=count, given=(Given(frames=crossed, keep=keep),),
            media=(Path(first), Path(second)), length=len(one) + len(two) - count, join=join,
        )  # fmt: skip

    return made(prompt, plan, options)


# ------------------------------------------------------------------------------------------- what the modes share


def made(prompt: str, plan: Callable[[Capabilities], Take], options: Options) -> Result:
    """As `engine.make`, but what the prompt leaves open is not filled in unless asked for: what is given says it."""
    return make(prompt, plan, **given_says(options))


def between(
    able: Capabilities, mode: str, before: Frames, after: Frames, seconds: float, size: Size | None,
    media: tuple[File, ...], show: tuple[bool, bool] = (True, True),
) -> Take:  # fmt: skip
    """`seconds` made between two clips, either of which may be empty or a single picture. `show` says which of them the
    finished video holds."""
    step = third(able)
    shape = size_of(before if len(before) else after, size)
    check_shape(seconds, shape)
    new = thirds(seconds, able)
    # What the model sees of both sides is whole thirds, as its latents are: the last frames before, besides the one
    # that stands alone, and the first ones after.
    lead = 1 + step * min(CONTEXT, (len(before) - 1) // step) if len(before) else 1
    tail = step * min(CONTEXT, len(after) // step)
    held = []
    if len(before):
        held.append(Given(frames=before[-lead:]))
    if tail:
        held.append(Given(frames=after[:tail], at=lead + new))
    elif len(after):  # a picture, or less than a third of a second: the video ends with it
        held.append(Given(frames=after[:1], at=lead + new - 1))
    new += 0 if len(before) > 1 else lead  # the frame that stands alone is new where no clip came before
    first = lead if len(before) > 1 else 0
    kept = fitted(before if show[0] and len(before) > 1 else before[:0], shape)
    followed = fitted(after if show[1] and len(after) > 1 else after[:0], shape)

    def join(new_frames: Iterator[io.Frame]) -> Iterator[io.Frame]:
        return splice(kept, new_frames, followed, lead=first, new=new, tail=tail)

    return Take(
        mode=mode, size=shape, frames=first + new + tail, given=tuple(held), media=tuple(Path(m) for m in media),
        length=len(kept) + new + len(followed), join=join, context=(first, tail),
    )  # fmt: skip


def third(able: Capabilities) -> int:
    """Frames of a third of a second, in which the model thinks."""
    return max(1, round(able.fps / 3))


def thirds(seconds: float, able: Capabilities) -> int:
    """A length in frames, rounded to thirds of a second, at least one."""
    return max(1, round(seconds * 3)) * third(able)


def read(path: File, able: Capabilities) -> Frames:
    """A clip's frames at the model's rate, or a picture as one frame."""
    if Path(path).suffix.lower() in PICTURES:
        return read_picture(path)[None]
    return at_rate(io.read_video(path), able.fps)


def cut(frames: Frames, start: float, end: float | None, able: Capabilities) -> Frames:
    """The part of a clip between two moments in seconds."""
    first = round(start * able.fps)
    last = len(frames) if end is None else round(end * able.fps)
    if not 0 <= first < last <= len(frames):
        length = len(frames) / able.fps
        raise InputError(f"{start:g} s to {last / able.fps:g} s is no part of a clip of {length:.2f} s")
    return frames[first:last]


def size_of(frames: Frames, size: Size | None) -> Size:
    """The size that is asked for, or the frames' own, made even and brought within what is allowed."""
    if size is None:
        h, w = frames.shape[1:3]
        scale = min(1.0, SIDES[1] / max(w, h))
        scale = max(scale, SIDES[0] / min(w, h))
        size = (round(w * scale / 2) * 2, round(h * scale / 2) * 2)
    check_shape(1.0, size)
    return size


def fitted(frames: Frames, size: Size) -> Frames:
    """All frames at one size."""
    if frames.shape[1:3] == size[::-1]:
        return frames
    return np.stack([fit(frame, size) for frame in frames]) if len(frames) else np.zeros((0, *size[::-1], 3), np.uint8)


def check_share(value: float, name: str) -> None:
    """Refuse what is not within 0 and 1."""
    if not 0 <= value <= 1:
        raise InputError(f"a {name} of {value:g} is out of range; choose 0 to 1")


#: What `haneul` offers besides generate, by name.
MODES: dict[str, Callable[..., Result]] = {
    f.__name__: f for f in (extend, connect, loop, retake, keyframes, remix, inpaint, blend)
}
