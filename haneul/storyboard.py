"""Several shots, told as one film: a storyboard file becomes shots, and the shots a film or a time line.

    title = "A ball's winter"
    size = "896x512"
    seed = 7
    remember = "a red rubber ball in the snow, photo"    # what a shot does not say otherwise

    [[shots]]
    prompt = "it rolls to the right"
    seconds = 4

    [[shots]]
    prompt = "it bounces in a forest"
    seconds = 3
    transition = "connect"

Every shot is a signed file of its own beside the film, named after a digest of all that decides it: a shot that did not
change is not made again, and one shot can be redone alone.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import tomllib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from haneul import edits, engine, screen
from haneul.backbones.base import Backbone, Glimpse, Memory, Progress
from haneul.config import Settings, load_settings
from haneul.errors import InputError, OutputError
from haneul.prompt import action, camera
from haneul.trust import credentials, stamp
from haneul.trust.registry import id_of
from haneul.video import io
from haneul.video.output import is_video, write_video
from haneul.video.sizes import size_named
from haneul.video.timeline import mix

Transition = Literal["cut", "dissolve", "connect", "continue"]
DISSOLVE = 0.5  #: seconds
BRIDGE = 1.0  #: seconds that the model makes between two shots that it connects
MOST_SHOTS = 200
TAKES = "takes.json"  #: beside the shots: how often each was redone


@dataclass(frozen=True, kw_only=True)
class Shot:
    """One shot. `transition` is how it follows the one before: a `cut`; a `dissolve` of half a second; a
    `connect`, for which the model makes a second that leads from the one to the other; or `continue`, as one take.
    `image` is a picture that it begins with. What is None is the model's, a seed the storyboard's."""

    prompt: str
    seconds: float = 4.0
    transition: Transition = "cut"
    image: Path | None = None
    negative: str = ""
    camera: str | None = None
    action: str | None = None
    seed: int | None = None
    guidance: float | None = None
    steps: int | None = None


@dataclass(frozen=True, kw_only=True)
class Storyboard:
    """The shots in order. `remember` is what stays from shot to shot where a prompt does not say otherwise: the subject
    and its look, the place, the time, the style."""

    shots: tuple[Shot, ...]
    title: str = ""
    size: tuple[int, int] = (896, 512)
    seed: int = 0
    remember: str = ""


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A file of the film: a shot, or with `bridge` what leads to it from the one before. `new` is whether it was
    missing when the film was asked for."""

    path: Path
    number: int
    shot: Shot
    bridge: bool = False
    new: bool = False

    @property
    def dissolves(self) -> bool:
        """Whether it crosses with the piece before."""
        return self.shot.transition == "dissolve"


@dataclass(frozen=True, kw_only=True)
class Film:
    """What was made: the film or time line, and its pieces in order."""

    path: Path
    pieces: tuple[Piece, ...]
    warnings: list[str] = field(default_factory=list)


# -------------------------------------------------------------------------------------------------------- the file


def read(path: str | Path) -> Storyboard:
    """A storyboard from TOML or JSON (by its suffix). Pictures are found beside the file.

    Raises InputError for a file that cannot be read, an unknown key, or a value that cannot be used; it names the shot.
    """
    file = Path(path)
    try:
        text = file.read_text(encoding="utf-8")
        table = json.loads(text) if file.suffix.lower() == ".json" else tomllib.loads(text)
    except FileNotFoundError:
        raise InputError(f"there is no storyboard {file}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the storyboard {file} cannot be read: {error}") from error
    except ValueError as error:  # of both parsers
        kind = "JSON" if file.suffix.lower() == ".json" else "TOML"
        raise InputError(f"the storyboard {file.name} is not valid {kind}: {error}") from error
    if not isinstance(table, dict) or not isinstance(table.get("shots"), list) or not table["shots"]:
        raise InputError(f"the storyboard {file.name} has no shots; begin each one with [[shots]] and a prompt")
    if len(table["shots"]) > MOST_SHOTS:
        raise InputError(f"the storyboard has {len(table['shots'])} shots; at most {MOST_SHOTS} make a film")
    shots = tuple(_shot(entry, number, file.parent) for number, entry in enumerate(table.pop("shots"), start=1))
    if shots[0].transition != "cut":
        raise InputError(f"shot 1 follows nothing, so it cannot be a {shots[0].transition}; leave its transition out")
    values = _checked(table, Storyboard, "the storyboard")
    if "size" in values:
        values["size"] = size_named(values["size"])
    return Storyboard(shots=shots, **values)


#: What values of these keys may be.
_TYPES: dict[str, type | tuple[type, ...]] = {
    "prompt": str, "seconds": (int, float), "transition": str, "image": str, "negative": str, "camera": str,
    "action": str,
    "seed": int, "guidance": (int, float), "steps": int, "title": str, "size": str, "remember": str,
}  # fmt: skip


def _checked(table: dict[str, Any], kind: type, where: str) -> dict[str, Any]:
    """The table's values if all of them are fields of `kind` and of the right type."""
    known = [f.name for f in dataclasses.fields(kind) if f.name != "shots"]
    for key, value in table.items():
        if key not in known:
            raise InputError(f"{where} has an unknown key {key!r}; known are {', '.join(known)}")
        if not isinstance(value, _TYPES[key]) or isinstance(value, bool):
            raise InputError(f"{key} of {where} is {value!r}, which it cannot be")
    return dict(table)


def _shot(entry: object, number: int, folder: Path) -> Shot:
    where = f"shot {number}"
    if not isinstance(entry, dict) or not entry.get("prompt"):
        raise InputError(f"{where} has no prompt")
    values = _checked(entry, Shot, where)
    if values.get("transition", "cut") not in get_args(Transition):
        choices = ", ".join(get_args(Transition))
        raise InputError(f"the transition of {where} is {values['transition']!r}; choose {choices}")
    if "image" in values:
        values["image"] = folder / values["image"]
        if not values["image"].is_file():
            raise InputError(f"{where} begins with {values['image'].name}, which is not beside the storyboard")
        if values.get("transition") == "continue":
            raise InputError(f"{where} continues the one before and cannot also begin with a picture")
    return Shot(**values)


# -------------------------------------------------------------------------------------------------------- the shots


def film(
    board: Storyboard | str | Path, *, output: str | Path = "film.mp4", redo: Sequence[int] = (),
    overwrite: bool = False, progress: Progress | None = None, glimpse: Glimpse | None = None,
    memory: Memory | None = None, settings: Settings | None = None, backbone: Backbone | None = None,
) -> Film:  # fmt: skip
    """Make the shots that are not there yet, and of all of them a film (.mp4, .webm, .gif) or an OpenTimelineIO time
    line (.otio).

    The shots lie in a folder beside the output, named after it. `redo` are numbers of shots (from 1) that are made
    anew, with another seed. `glimpse` and `memory` as `engine.make`. Raises InputError before any compute is spent
    where that can be known, and as `engine.make`.
    """
    board = board if isinstance(board, Storyboard) else read(board)
    target = Path(output)
    if not is_video(target) and target.suffix.lower() != ".otio":
        raise InputError(
            f"{target.name!r} does not say what to write; name it .mp4, .webm or .gif for a film, .otio for a time line"
        )
    for number in redo:
        if not 1 <= number <= len(board.shots):
            raise InputError(f"there is no shot {number} to redo; the storyboard has {len(board.shots)}")
    for shot in board.shots:
        engine.check_shape(shot.seconds, board.size)
        engine.check_numbers(shot.steps, shot.guidance, shot.seed)
        if shot.camera:
            camera.velocities(shot.camera, round(24 * shot.seconds), 24)  # refused before any compute
        if shot.action:
            action.actions(shot.action, round(24 * shot.seconds), 24)
    io.check_output(target, overwrite=overwrite)
    settings = settings or load_settings()
    ours = stamp.ready(settings)
    texts = [shot.prompt for shot in board.shots]
    for shot in board.shots:  # of the whole film before its first shot is made
        screen.words(settings, prompt=shot.prompt, negative=shot.negative, where="storyboard")
    screen.words(settings, prompt=texts[0], remember=board.remember, shots=texts, where="storyboard")
    backbone = backbone or engine.default_backbone(settings)
    identity, fps = backbone.identity(), backbone.capabilities().fps
    folder = target.with_suffix(".shots")
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder} is a file, and the shots go into a folder of that name; move it away")
    folder.mkdir(exist_ok=True)
    watch: engine.Options = {"glimpse": glimpse, "memory": memory, "settings": settings, "backbone": backbone}
    pieces, warnings = _make_shots(board, folder, redo, progress, watch, identity.weights_sha256)
    with io.atomic_output(target, overwrite=overwrite) as unsigned:
        if target.suffix.lower() == ".otio":
            unsigned.write_text(timeline(board, pieces, fps), encoding="utf-8")
        else:
            number = ours.number("film", board.title, *(piece.path for piece in pieces))
            marks = [_mark_of(piece, settings) for piece in pieces]
            write_video(joined(pieces, fps, _marking(pieces, marks, ours, number)), unsigned, fps=fps)
            manifest = engine.manifest_of(
                target.name, identity, mode="film", seed=board.seed, media=tuple(piece.path for piece in pieces)
            )  # fmt: skip
            ours.sign(unsigned, manifest, number, parts=_spans(pieces, marks, fps, number))
    return Film(path=target, pieces=tuple(pieces), warnings=warnings)


def _make_shots(
    board: Storyboard, folder: Path, redo: Sequence[int], progress: Progress | None, shared: engine.Options,
    weights: str,
) -> tuple[list[Piece], list[str]]:  # fmt: skip
    """What is missing of the shots and of the bridges between them is made, in order."""
    pieces: list[Piece] = []
    warnings: list[str] = []
    takes = _takes(folder)
    for number in redo:
        takes[str(number)] = takes.get(str(number), 0) + 1
    if redo:
        with io.atomic_output(folder / TAKES, overwrite=True) as unfinished:
            unfinished.write_text(json.dumps(takes), encoding="utf-8")

    def make(piece: Piece, way: Callable[..., engine.Result], *files: Path, **given: Any) -> None:
        pieces.append(piece)
        if not piece.new:
            return
        options: dict[str, Any] = {**shared, "output": piece.path, "remember": board.remember}
        options |= {"progress": _numbered(progress, piece, len(board.shots)), "size": board.size}
        shot = piece.shot
        options |= {"steps": shot.steps, "guidance": shot.guidance, "negative": shot.negative}
        options |= {"camera": shot.camera, "action": shot.action}
        warnings.extend(
            f"shot {piece.number}: {line}" for line in way(*files, shot.prompt, **options, **given).warnings
        )

    for number, shot in enumerate(board.shots, start=1):
        seed = (board.seed + number - 1 if shot.seed is None else shot.seed) + 1000 * takes.get(str(number), 0)
        before = pieces[-1].path if pieces else None
        path = folder / f"{number:02d}-{_digest(board, shot, seed, before, weights)}.mp4"
        piece = Piece(path=path, number=number, shot=shot, new=not path.exists())
        if shot.transition == "continue" and before is not None:
            make(piece, edits.extend, before, seconds=shot.seconds, only_new=True, seed=seed)
            continue
        make(piece, engine.generate, seconds=shot.seconds, image=shot.image, seed=seed)
        if shot.transition == "connect" and before is not None:
            between = hashlib.sha256(f"{before.name} {piece.path.name}".encode()).hexdigest()[:12]
            way = folder / f"{number:02d}-to-{between}.mp4"
            bridge = Piece(path=way, number=number, shot=shot, bridge=True, new=not way.exists())
            make(bridge, edits.connect, before, piece.path, seconds=BRIDGE, only_new=True, seed=seed)
            pieces[-2:] = [bridge, piece]
    return pieces, warnings


def _takes(folder: Path) -> dict[str, int]:
    """How often each shot was redone."""
    try:
        found = json.loads((folder / TAKES).read_text(encoding="utf-8"))
        return {str(k): int(v) for k, v in found.items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}


def _digest(board: Storyboard, shot: Shot, seed: int, before: Path | None, weights: str) -> str:
    """Changes with everything that decides a shot; not with how it follows the one before, unless it is one take."""
    image = "" if shot.image is None else hashlib.sha256(shot.image.read_bytes()).hexdigest()
    parts = [
        shot.prompt, shot.seconds, image, shot.negative, shot.camera, shot.guidance, shot.steps, seed, board.size,
        board.remember,
        before.name if before is not None and shot.transition == "continue" else "",
        weights,
        *([shot.action] if shot.action else []),  # shots without one keep the name that they had before there were any
    ]  # fmt: skip
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]


def _numbered(progress: Progress | None, piece: Piece, total: int) -> Progress | None:
    if progress is None:
        return None
    what = f"{'way to ' if piece.bridge else ''}shot {piece.number}/{total}"
    return lambda stage, done, of: progress(f"{what} {stage}", done, of)


# ------------------------------------------------------------------------------------------------------ the whole


def crossing(frames: int, following: Piece | None, fps: float) -> int:
    """How many of the last of a piece's `frames` cross the first ones of the piece that follows."""
    if following is None or not following.dissolves:
        return 0
    return min(round(DISSOLVE * fps), frames // 2, round(following.shot.seconds * fps / 2))


def lengths(pieces: Sequence[Piece]) -> list[int]:
    """Frames of each piece."""
    return [io.probe(piece.path).frames or 0 for piece in pieces]


def _mark_of(piece: Piece, settings: Settings) -> str | None:
    """The watermark's value that a piece's valid credentials state."""
    verdict = credentials.verify(piece.path, settings=settings)
    return verdict.bindings[0] if verdict.here and verdict.bindings else None


def _marking(
    pieces: Sequence[Piece], marks: Sequence[str | None], ours: stamp.Stamp, number: int
) -> Callable[[Piece], Iterator[io.Frame]]:
    """How the frames of a piece are read: as they are if they carry a mark, for a second one over it would only weaken
    both; with the film's own mark otherwise."""
    bare = {piece.path for piece, mark in zip(pieces, marks, strict=True) if mark is None}

    def read(piece: Piece) -> Iterator[io.Frame]:
        frames = io.stream_video(piece.path)
        return ours.mark(frames, number) if piece.path in bare else frames

    return read


def _spans(
    pieces: Sequence[Piece], marks: Sequence[str | None], fps: float, number: int
) -> tuple[credentials.Binding, ...]:
    """Which mark lies in which milliseconds of the film."""
    spans, at = [], 0
    for following, count, mark in zip([*pieces[1:], None], lengths(pieces), marks, strict=True):
        span = (round(1000 * at / fps), round(1000 * (at + count) / fps))
        spans.append(credentials.Binding(value=mark or id_of(number), span=span))
        at += count - crossing(count, following, fps)
    return tuple(spans)


def _as_it_is(piece: Piece) -> Iterator[io.Frame]:
    return io.stream_video(piece.path)


def joined(
    pieces: Sequence[Piece], fps: float, read: Callable[[Piece], Iterator[io.Frame]] = _as_it_is
) -> Iterator[io.Frame]:
    """The film's frames, as they are read: no more is in memory than what crosses from one piece into the next."""
    tail: list[io.Frame] = []  # the end of the piece before
    for piece, following, count in zip(pieces, [*pieces[1:], None], lengths(pieces), strict=True):
        kept = count - crossing(count, following, fps)
        leaving: list[io.Frame] = []
        for i, frame in enumerate(read(piece)):
            entered = mix(tail[i], frame, (i + 1) / (len(tail) + 1)) if i < len(tail) else frame
            if i < kept:
                yield entered
            else:
                leaving.append(entered)
        tail = leaving


def timeline(board: Storyboard, pieces: Sequence[Piece], fps: float) -> str:
    """An OpenTimelineIO time line of the pieces, for an editing program; their files are named from where it lies."""
    import opentimelineio as otio

    def moment(frames: int) -> otio.opentime.RationalTime:
        return otio.opentime.RationalTime(frames, fps)

    line = otio.schema.Timeline(name=board.title or "Haneul")
    track = otio.schema.Track(name="V1", kind=otio.schema.TrackKind.Video)
    line.tracks.append(track)
    entering = 0  # frames that cross from the piece before
    for piece, following, count in zip(pieces, [*pieces[1:], None], lengths(pieces), strict=True):
        leaving = crossing(count, following, fps)
        # A dissolve lies across a cut in its middle: it shows half of its frames of each side beyond that cut.
        first, last = entering - entering // 2, count - leaving // 2
        if entering:
            track.append(
                otio.schema.Transition(
                    transition_type=otio.schema.TransitionTypes.SMPTE_Dissolve,
                    in_offset=moment(entering - entering // 2),
                    out_offset=moment(entering // 2),
                )
            )
        whole = otio.opentime.TimeRange(moment(0), moment(count))
        track.append(
            otio.schema.Clip(
                name=piece.path.stem,
                media_reference=otio.schema.ExternalReference(f"{piece.path.parent.name}/{piece.path.name}", whole),
                source_range=otio.opentime.TimeRange(moment(first), moment(last - first)),
                metadata={"haneul": {"prompt": piece.shot.prompt, "shot": piece.number}},
            )
        )
        entering = leaving
    text: str = line.to_json_string(indent=2)
    return text
