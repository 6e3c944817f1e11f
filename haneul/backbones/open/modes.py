"""Each mode as calls of a checkpoint's pipelines: which are native, which are built, which cannot be and why; and the
pieces in which a video is made.

A video is a row of frames, some of them given. Where the checkpoint takes frames anywhere (`clips`, `control`), they
are told to it as they are, window by window. Where it only takes a first frame, or a first and a last one, every gap
between given frames becomes a piece that begins with the frame before it and, if it can, ends with the frame after it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from haneul.backbones.base import MODES, Given, Request
from haneul.backbones.open import context
from haneul.backbones.open.context import State
from haneul.backbones.open.family import Calls, Rules
from haneul.errors import InputError

Kind = Literal["text", "picture", "ends", "clips", "control", "video", "history", "follow", "reference", "turn", "kept"]
#: Latent frames of a window that the next one is given again, where it can be given frames.
OVERLAP = 2
#: A video that follows what our world simulated (world/guide.py): Haneul's own model is trained on it instead.
GUIDED = "guided"
LONG = "long-video"  #: what is longer than the checkpoint makes at a time, in any mode
#: How much of a given frame must stay for it to count as given, where a checkpoint knows only given and not given.
GIVEN = 0.75


@dataclass(frozen=True, kw_only=True)
class Way:
    """How a mode is made."""

    state: State
    how: str


@dataclass(frozen=True, kw_only=True)
class Piece:
    """One call of a pipeline, or a run of given frames that are shown as they are.

    The call makes `length` frames that stand for frames `first` to `last` of the video; those from `show` on are new
    and are shown.
    """

    kind: Kind
    first: int
    last: int
    show: int
    length: int


def table(able: Calls, sliding: bool) -> Mapping[str, Way]:
    """How each mode is made. `sliding`: whether the latents are a plain row of frames, which can slide into a loop."""
    some = able.control or able.clips
    frames = "given frames anywhere" if some else ""
    made: dict[str, Way] = {}

    def native(how: str) -> Way:
        return Way(state="native", how=how)

    def built(how: str) -> Way:
        return Way(state="built", how=how)

    def lacking(what: str) -> Way:
        return Way(state="unavailable", how=f"needs {what}, which no call of this checkpoint takes")

    text = able.text or able.control
    made["text-to-video"] = native("text alone") if text else lacking("no picture")
    if not text:
        begins = "follows a control video (--guide)" if able.follow else "begins with a picture"
        made["text-to-video"] = Way(state="unavailable", how=f"this checkpoint {begins}")
    made["text-to-image"] = built("a video of one frame") if text else made["text-to-video"]
    picture = some or able.picture
    made["image-to-video"] = native(frames or "a first frame") if picture else lacking("a picture")
    made["extend"] = (
        native(frames) if some
        else native("goes on from the last frames; before the first one it cannot") if able.history
        else built("goes on from the last frame; before the first one it cannot") if able.picture
        else lacking("a picture")
    )  # fmt: skip
    between = (
        native(frames)
        if some
        else native("a first and a last frame")
        if able.ends
        else lacking("a first and last frame")
    )
    made["connect"] = between
    made["retake"] = between
    made["keyframes"] = (
        native(frames) if some
        else built("from each picture to the next") if able.ends
        else built("a picture at the beginning alone") if able.picture
        else lacking("a picture")
    )  # fmt: skip
    made["loop"] = (
        built("positions in time slide round at every step") if able.text and sliding
        else built("back to its first frame") if able.text and (some or able.ends)
        else between
    )  # fmt: skip
    made["remix"] = native("a noised video") if able.video else lacking("a video to noise")
    made["inpaint"] = (
        native("a mask") if able.control
        else built("the whole is noised and the box put in") if able.video
        else lacking("a mask, or a video to noise")
    )  # fmt: skip
    made["blend"] = (
        built("the crossed-over clips are noised") if able.video
        else built("the middle is made anew") if some or able.ends
        else lacking("a video to noise, or a first and last frame")
    )  # fmt: skip
    made[GUIDED] = (
        native("a control video") if able.control or able.follow
        else native("a reference video, with a LoRA that was made for it (--lora FILE)") if able.reference
        else built("the guiding video is noised") if able.video
        else lacking("a control video, or a video to noise")
    )  # fmt: skip
    state, how = context.way(able)
    made[LONG] = Way(state=state, how=how)
    return {mode: made[mode] for mode in (*MODES, GUIDED, LONG)}


def available(able: Calls, sliding: bool) -> tuple[str, ...]:
    """The modes that can be made."""
    return tuple(mode for mode, way in table(able, sliding).items() if way.state != "unavailable" and mode != LONG)


def pieces(request: Request, total: int, able: Calls, rules: Rules, sliding: bool) -> list[Piece]:
    """The pieces of a video of `total` frames, in order; together they show every frame once.

    Raises InputError for what this checkpoint cannot be given, before anything is loaded.
    """
    way = table(able, sliding)[request.mode]
    if way.state == "unavailable":
        raise InputError(f"this checkpoint cannot make {request.mode}: {way.how}")
    known = given_at(request.given, total)
    if request.loop:
        return list(_loop(total, able, rules, sliding))
    if not known and not request.given:
        return list(_from_text(total, able, rules))
    if request.mode == GUIDED and not able.control and (able.follow or able.reference):
        return list(_followed(total, able, rules))
    noised = able.video is not None and request.mode in ("remix", "inpaint", "blend", GUIDED)
    if noised and not (request.mode in ("inpaint", GUIDED) and able.control):
        return list(_windows("video", total, rules, overlap=0))
    alone = list(known) == [0] and len(request.given) == 1  # a picture at the beginning
    if (able.control or able.clips) and not (alone and able.picture):
        kind: Kind = "control" if able.control else "clips"
        return list(_windows(kind, total, rules, overlap=OVERLAP * rules.step + 1))
    return list(_gaps(known, total, able, rules, request.mode))


def given_at(given: tuple[Given, ...], total: int) -> dict[int, tuple[int, int]]:
    """Frame of the video -> (which of `given`, which of its frames), for those that stay as they are."""
    found: dict[int, tuple[int, int]] = {}
    for which, one in enumerate(given):
        if one.box is not None or one.control:
            continue
        keep = one.keep_T
        for i in range(len(one.frames)):
            if 0 <= one.at + i < total and keep[i] >= GIVEN:
                found[one.at + i] = (which, i)
    return found


def _windows(kind: Kind, total: int, rules: Rules, *, overlap: int) -> Iterator[Piece]:
    """A video window by window, each of which sees the last `overlap` frames of the one before."""
    first, overlap = 0, min(overlap, rules.window - rules.step)
    while True:
        length = min(rules.window, rules.length(total - first))
        last = min(total, first + length) - 1
        yield Piece(kind=kind, first=first, last=last, show=first + (overlap if first else 0), length=length)
        if last == total - 1:
            return
        first = last + 1 - overlap


def _followed(total: int, able: Calls, rules: Rules) -> Iterator[Piece]:
    """A video that follows a control video in another way than by a mask."""
    if able.follow is None:
        yield from _windows("reference", total, rules, overlap=OVERLAP * rules.step + 1)
        return
    length = rules.length(max(total, 2))  # Transfer makes nothing of a single frame
    if length > rules.window and "num_frames_per_chunk" not in able.follow.call:
        raise InputError(
            f"this checkpoint follows a control video for {rules.window / rules.fps:.2f} s at a time and knows nothing "
            "of what came before; ask for less"
        )
    yield Piece(kind="follow", first=0, last=total - 1, show=0, length=length)


def _from_text(total: int, able: Calls, rules: Rules) -> Iterator[Piece]:
    """The first window from the text alone, the rest from what is there by then."""
    if able.text is None:  # a mask over everything
        yield from _windows("control", total, rules, overlap=OVERLAP * rules.step + 1)
        return
    length = min(rules.window, rules.length(total))
    yield Piece(kind="text", first=0, last=min(total, length) - 1, show=0, length=length)
    if length < total:
        yield from _onward(length - 1, total - 1, able, rules)


def _onward(last: int, end: int, able: Calls, rules: Rules) -> Iterator[Piece]:
    """From frame `last`, which is there, up to frame `end`."""
    if able.control or able.clips:
        kind: Kind = "control" if able.control else "clips"
        overlap = min(OVERLAP * rules.step + 1, rules.window - rules.step)
    elif able.history and (last or not able.picture):
        kind = "history"
        most = min(context.HISTORY, rules.window - rules.step, last + 1)
        overlap = (most - 1) // rules.step * rules.step + 1
    elif able.picture:
        kind, overlap = "picture", 1
    else:
        raise InputError(
            f"this checkpoint makes {rules.window / rules.fps:.2f} s at a time and cannot go on from a picture; "
            "ask for less"
        )
    while last < end:
        first = max(0, last + 1 - overlap)
        length = min(rules.window, rules.length(end - first + 1))
        now = min(end, first + length - 1)
        yield Piece(kind=kind, first=first, last=now, show=last + 1, length=length)
        last = now


def _gaps(
    known: Mapping[int, tuple[int, int]], total: int, able: Calls, rules: Rules, mode: str
) -> Iterator[Piece]:  # fmt: skip
    """Runs of given frames as they are, and what lies between and after them.

    A single given frame is a picture, which the video passes through: the model draws it itself, so that it does not
    stand out. Of a clip all frames are shown as they are.
    """
    runs = list(_runs(known))
    if not runs or runs[0][0] != 0:
        raise InputError(
            f"this checkpoint begins with a given frame, and this {mode} has none at its beginning; "
            + ("give a picture at 0 s" if mode == "keyframes" else "only a checkpoint that takes frames anywhere can")
        )
    for (start, end), after in zip(runs, [*runs[1:], None], strict=True):
        single = start == end
        if not single:
            yield Piece(kind="kept", first=start, last=end, show=start, length=end - start + 1)
        if after is None:
            if single and start == 0:
                length = min(rules.window, rules.length(total))
                last = min(total, length) - 1
                yield Piece(kind="picture", first=0, last=last, show=0, length=length)
                yield from _onward(last, total - 1, able, rules)
            else:
                yield from _onward(end, total - 1, able, rules)
            continue
        yield from _between(end, after[0], able, rules, mode, own=single and start == 0, other=after[0] == after[1])


def _between(
    before: int, after: int, able: Calls, rules: Rules, mode: str, *, own: bool, other: bool
) -> Iterator[Piece]:  # fmt: skip
    """From one given frame to the next. `own`: the model draws the first one too, `other`: and the last one."""
    if able.ends is None:
        raise InputError(
            f"this checkpoint takes a first frame and no last one, so it cannot make this {mode}; "
            "one that takes both can (haneul models show)"
        )
    first, show = before, before if own else before + 1
    while after - first + 1 > rules.window:  # as far as needed from the first frame alone, then towards the last one
        now = min(first + rules.window - 1, after - 2 * rules.step)
        yield Piece(kind="picture", first=first, last=now, show=show, length=rules.length(now - first + 1))
        first, show = now, now + 1
    last = after if other else after - 1
    if show <= last:
        yield Piece(kind="ends", first=first, last=last, show=show, length=rules.length(after - first + 1))


def _runs(known: Mapping[int, tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """First and last frames of what is given without a gap; a new piece of `given` begins a new run."""
    start: int | None = None
    for at in sorted(known):
        if start is not None and (at - 1 not in known or known[at][0] != known[at - 1][0]):
            yield start, max(i for i in known if start <= i < at)
            start = None
        start = at if start is None else start
    if start is not None:
        yield start, max(known)


def _loop(total: int, able: Calls, rules: Rules, sliding: bool) -> Iterator[Piece]:
    """A loop from nothing: as a circle where the latents can slide, else a video and a way back to its first frame."""
    if able.text is not None and sliding:
        latents = max(2, round(total / rules.step))
        if rules.step * (latents - 1) + 1 > rules.window:
            raise InputError(
                f"this checkpoint can close a loop of up to {rules.window / rules.fps:.2f} s; ask for less"
            )
        last = rules.step * latents - 1
        yield Piece(kind="turn", first=0, last=last, show=0, length=rules.step * (latents - 1) + 1)
        return
    if able.text is None and able.control is None:
        raise InputError("this checkpoint begins with a picture, so it makes no loop from nothing; give a clip to loop")
    half = max(2, total // 2)
    some = able.control or able.clips
    overlap = min(OVERLAP * rules.step + 1, rules.window - rules.step, half) if some else 1
    first = half - overlap
    length = rules.length(total - first + 1)
    if length > rules.window:
        most = 2 * (rules.window - overlap - 1) / rules.fps
        raise InputError(f"this checkpoint can close a loop of up to {most:.2f} s; ask for less")
    yield from _from_text(half, able, rules)
    kind: Kind = "control" if able.control else "clips" if able.clips else "ends"
    yield Piece(kind=kind, first=first, last=total - 1, show=half, length=length)
