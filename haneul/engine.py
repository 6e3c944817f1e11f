"""READ FIRST. A sentence in, a signed video out, in plain order:

    prompt -> screen -> language -> text encoder -> concepts -> transformer (N steps) -> codec -> upscaler -> watermark
    -> mp4 -> screen -> signature

Every frame that Haneul makes goes through `make` here: command line, Python, service, and every mode of edits.py.
Screen, watermark and signature are stages of it and not options, so nothing leaves without them; what is put together
from finished files (storyboard.py, variations.py) is signed again with those files as its ingredients.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO, TypedDict, Unpack

import numpy as np
from numpy.typing import NDArray

from haneul import screen
from haneul.backbones.base import Backbone, Capabilities, Given, Glimpse, Identity, Memory, Progress, Request
from haneul.config import Settings, load_settings
from haneul.errors import InputError
from haneul.prompt import action as actions
from haneul.prompt import language
from haneul.prompt.camera import AXES, parse, velocities
from haneul.prompt.expander import Expander, agrees, describe, expander_of
from haneul.trust import credentials, stamp
from haneul.video import io
from haneul.video.live import live_output
from haneul.video.output import is_video, write_video
from haneul.video.picture import Keep, is_picture, read_picture, write_picture

OUTPUT = "out.mp4"
#: What the report repeats of a request.
ASKED = ("prompt", "negative", "remember", "seconds", "size", "seed", "steps", "guidance", "mode", "loop")
SIDES = (64, 1920)  #: shortest and longest side of a picture in pixels
MAX_STEPS = 200
STRANGE = 0.3  #: share of words that the model never learned, from which a chat endpoint's caption is none for it


@dataclass(frozen=True, kw_only=True)
class Result:
    """A finished video: its file, the seed that makes it again, warnings for the user, and a report."""

    path: Path
    seed: int
    warnings: list[str] = field(default_factory=list)
    report: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, eq=False)
class Take:
    """What is asked of the model for one video, and how the frames that it makes become the finished one."""

    mode: str  # one of backbones.base.MODES
    size: tuple[int, int]
    frames: int  # that the model makes; of a loop, its length
    given: tuple[Given, ...] = ()
    loop: bool = False
    media: tuple[Path, ...] = ()  # the files that were given
    length: int | None = None  # frames of the finished video, where they are others
    context: tuple[int, int] = (0, 0)  # frames at the beginning and at the end that a given clip has already
    join: Callable[[Iterator[io.Frame]], Iterator[io.Frame]] = iter


class Options(TypedDict, total=False):
    """What every way to make a video takes besides its own, see `make`."""

    output: str | Path
    seed: int | None
    steps: int | None
    guidance: float | None
    negative: str
    remember: str
    expand: bool
    expander: str | Expander | None
    camera: str | NDArray[np.float32] | None
    action: str | NDArray[np.float32] | None
    overwrite: bool
    preview: str | Path | None
    stream: str | Path | BinaryIO | None
    progress: Progress | None
    glimpse: Glimpse | None
    memory: Memory | None
    settings: Settings | None
    backbone: Backbone | None
    model: str | Path | None


def generate(
    prompt: str,
    *,
    seconds: float = 4.0,
    size: tuple[int, int] = (896, 512),
    image: str | Path | None = None,
    loop: bool = False,
    **options: Unpack[Options],
) -> Result:
    """Make one video; or one picture, where the output's name ends in .png or .webp (`seconds` then means nothing).

    `image` is a picture file that the video begins with, its middle cut to the video's aspect. With `loop` the end
    leads into the beginning, and the length is rounded to what the model can close. `size` is (width, height), both
    even, 64 to 1920; `seconds` 0.1 or more. The rest as `make`.
    """
    check_shape(seconds, size)
    still = is_picture(options.get("output", OUTPUT))
    if still and (image is not None or loop):
        raise InputError("a picture cannot begin with a picture, nor be a loop; name the output .mp4 for a video")
    if loop and image is not None:
        raise InputError("a loop has no beginning, so none can be given; leave out the image or the loop")
    mode = "text-to-image" if still else "loop" if loop else "text-to-video" if image is None else "image-to-video"
    if image is not None:
        options = given_says(options)

    def plan(able: Capabilities) -> Take:
        frames = 1 if still else max(1, round(seconds * able.fps))
        if image is None:
            return Take(mode=mode, size=size, frames=frames, loop=loop)
        given = (Given(frames=read_picture(image)[None]),)
        return Take(mode=mode, size=size, frames=frames, given=given, media=(Path(image),))

    return make(prompt, plan, **options)


def guided(
    prompt: str,
    guide: Callable[[float, float], NDArray[np.uint8]],
    *,
    hold: float = 0.4,
    seconds: float = 4.0,
    size: tuple[int, int] = (896, 512),
    **options: Unpack[Options],
) -> Result:
    """Make a video that follows another one, which is not seen itself: `guide(seconds, fps)` gives it, uint8 [T, H, W,
    3], such as a scene that was simulated (world/guide.py). A model that takes control follows it as it is; of a model
    that only makes videos anew, `hold` of it stays. For open checkpoints; the rest as `make`.
    """
    check_shape(seconds, size)

    def plan(able: Capabilities) -> Take:
        if "guided" not in able.modes:
            raise InputError(f"this model cannot follow a guide; it can: {', '.join(able.modes)}")
        frames = guide(seconds, able.fps)
        return Take(
            mode="guided", size=size, frames=len(frames), given=(Given(frames=frames, keep=hold, control=True),)
        )

    return make(prompt, plan, **options)


def make(
    prompt: str,
    plan: Callable[[Capabilities], Take],
    *,
    output: str | Path = OUTPUT,
    seed: int | None = None,
    steps: int | None = None,
    guidance: float | None = None,
    negative: str = "",
    remember: str = "",
    expand: bool = True,
    expander: str | Expander | None = None,
    camera: str | NDArray[np.float32] | None = None,
    action: str | NDArray[np.float32] | None = None,
    overwrite: bool = False,
    preview: str | Path | None = None,
    stream: str | Path | BinaryIO | None = None,
    progress: Progress | None = None,
    glimpse: Glimpse | None = None,
    memory: Memory | None = None,
    settings: Settings | None = None,
    backbone: Backbone | None = None,
    model: str | Path | None = None,
) -> Result:
    """The one way out: every mode plans a take (see edits.py), and this makes, writes and signs it.

    `guidance` is how strictly the prompt is followed (1 to 20); `negative` what to keep away from; `remember` says
    what holds where the prompt is silent (the subject and its look, the place, the style), so that several shots fit
    together; with `expand` what is still open is filled in by a scene that the model has seen, drawn by the seed, and
    told in the report, after a chat endpoint (`expander`: its address, or the settings' one) has described it;
    `camera` is its path, in words ("orbit left 40, then push in", see prompt/camera.py) or as six
    numbers for each new frame; `action` what the subject does, in words ("drive, then jump", see prompt/action.py) or
    as four numbers for each new frame; `preview` is a .png of sampled frames, signed too; `stream` is a file or an
    open binary stream where the video can be watched while it is made (video/live.py), and the file goes away at the
    end; `glimpse` may look at what is becoming of it at every step, small, screened and marked, but not signed;
    `memory` holds what is done already, so that the same request, with a seed, goes on where its process ended;
    `model` is another model than the settings', see `backbone_of`.
    Raises InputError for what cannot be used, RefusedError for what the screen refuses, OutputError when the file
    cannot be written, CredentialError when it could not be signed: all before any compute is spent where that can be
    known. A file of the final name is always whole.
    """
    began = time.monotonic()
    settings = settings or load_settings()
    checked = language.check(prompt)
    unwanted = language.check(negative) if negative.strip() else None
    remembered = language.check(remember) if remember.strip() else None
    check_numbers(steps, guidance, seed)
    if isinstance(camera, str) and camera:
        parse(camera)  # before anything is loaded
    if isinstance(action, str) and action:
        actions.parse(action)
    check_names(output, preview, overwrite)
    if stream is not None and Path(output).suffix.lower() != ".mp4":
        raise InputError(f"{Path(output).name} cannot be streamed while it is made; name the output .mp4")
    if isinstance(stream, str | Path) and Path(stream).absolute() == Path(output).absolute():
        raise InputError(f"the stream and the finished video are both {Path(output).name}; name another for the stream")
    chat = expander_of(expander, settings)
    ours = stamp.ready(settings)
    flagged = screen.words(settings, prompt=prompt, negative=negative, remember=remember)
    with (
        live_output(stream, overwrite=overwrite) as live,
        io.atomic_output(Path(output), overwrite=overwrite) as unsigned,
    ):
        backbone = backbone or backbone_of(model, settings)
        able = backbone.capabilities()
        take = plan(able)
        flagged += screen.given(settings, take.media, [given.frames for given in take.given])
        seed = secrets.randbelow(2**31) if seed is None else seed
        about = remembered.encoded if remembered else ""
        caption, doubts = described(checked.encoded, about, chat, backbone, seed) if expand and chat else ("", [])
        if caption:
            flagged += screen.words(settings, prompt=caption)  # an endpoint is no way round the screen
        if is_picture(output) and (take.length or take.frames) != 1:
            raise InputError(
                f"{take.mode} makes a video, which {Path(output).name} cannot hold; name it .mp4, .webm or .gif"
            )
        request = Request(
            prompt=checked.encoded,
            negative=unwanted.encoded if unwanted else "",
            remember=f"{about}. {caption}" if about and caption else about or caption,
            expand=expand,
            seconds=take.frames / able.fps,
            size=take.size,
            seed=seed,
            steps=steps or able.default_steps,
            guidance=able.default_guidance if guidance is None else guidance,
            mode=take.mode,
            given=take.given,
            loop=take.loop,
            camera=path_of("camera", camera, velocities, AXES, take, able.fps),
            action=path_of("action", action, actions.actions, len(actions.CHANNELS), take, able.fps),
            fixed=camera_slot(camera),
        )
        check_able(request, able)
        told_unknown = warn_of(backbone.unknown_words(checked.encoded))
        warnings = [*ours.warnings, *flagged, *doubts, *unheard(request, able), *told_unknown]
        understood = backbone.understood(checked.encoded, request.remember)
        added = backbone.expanded(request)
        loaded = time.monotonic()
        number = ours.number(request, *told(request), take.length, take.context, *take.media, backbone.identity())
        request = replace(request, memory=memory, glimpse=glimpse and shown(glimpse, settings, ours, number))
        finished = take.join(backbone.generate(request, progress))
        kept = Keep(ours.mark(finished, number), count=take.length or take.frames)
        if is_picture(output):
            write_picture(next(iter(kept)), unsigned)
        else:
            write_video(kept, unsigned, fps=able.fps, live=live)
        if live is not None and live.failure is not None:
            warnings.append(f"the stream could not be written to its end: {live.failure.strerror or live.failure}")
        warnings += backbone.notes(request)
        warnings += screen.made(settings, kept.frames)
        identity = backbone.identity()
        manifest = manifest_of(Path(output).name, identity, mode=request.mode, seed=request.seed, media=take.media)
        ours.sign(unsigned, manifest, number)
    if preview:
        sheet = io.contact_sheet(np.stack(kept.frames), columns=4, rows=-(-len(kept.frames) // 4))
        write_signed(sheet, Path(preview), manifest, ours, overwrite=overwrite)
    took = {"setup": round(loaded - began, 2), "total": round(time.monotonic() - began, 2)}
    asked = {name: getattr(request, name) for name in ASKED} | {"media": [path.name for path in take.media]}
    paths = {"camera": camera, "action": action}
    asked |= {k: path if isinstance(path, str) or path is None else path.tolist() for k, path in paths.items()}
    report = {"prompt": prompt, "language": checked.language, "request": asked, "model": asdict(identity)}
    report |= {
        "understood": understood_json(understood),
        "caption": caption,
        "expanded": added,
        "warnings": warnings,
        "seconds": took,
    }
    return Result(path=Path(output), seed=request.seed, warnings=warnings, report=report)


def shown(glimpse: Glimpse, settings: Settings, ours: stamp.Stamp, number: int) -> Glimpse:
    """Nobody sees even a glimpse that the screen has not seen, or without a mark. Raises RefusedError where it is
    drawn."""

    def look(draw: Callable[[], NDArray[np.uint8]], done: int, total: int) -> None:
        def seen() -> NDArray[np.uint8]:
            picture = draw()
            screen.made(settings, [picture])
            return next(ours.mark([picture], number))

        glimpse(seen, done, total)

    return look


def given_says(options: Options) -> Options:
    """What the prompt leaves open is not filled in, unless asked for, where given media say it."""
    return {"expand": bool(options.get("expander")), **options}


def described(prompt: str, remember: str, chat: Expander, backbone: Backbone, seed: int) -> tuple[str, list[str]]:
    """A caption of the prompt by a chat endpoint, and warnings; none where it is not about what was asked."""
    vocabulary = backbone.capabilities().vocabulary
    caption, warning = describe(chat, prompt, seed=seed, vocabulary=vocabulary, remember=remember)
    if caption:
        both = [{slot: value for slot, (value, _) in backbone.understood(x).items()} for x in (prompt, caption)]
        strange = len(backbone.unknown_words(caption)) > STRANGE * len(set(caption.split()))
        if vocabulary and (strange or not agrees(*both)):
            caption, warning = "", f"the expander's answer is not about the prompt and was left out: {caption[:80]!r}"
    return caption, [warning] if warning else []


def understand(
    prompt: str, *, settings: Settings | None = None, backbone: Backbone | None = None
) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """What the model takes a prompt to say, slot -> {"value", "probability"}, and a warning for each unknown word.

    Raises InputError for a prompt that cannot be used.
    """
    checked = language.check(prompt)
    backbone = backbone or default_backbone(settings or load_settings())
    return understood_json(backbone.understood(checked.encoded)), warn_of(backbone.unknown_words(checked.encoded))


def backbone_of(
    model: str | Path | None, settings: Settings, *, weights: Path | None = None,
    loras: tuple[tuple[Path, float], ...] = (), cache: float = 0.0, compiled: bool = False, exact: bool = False,
    context_noise: float | None = None, quantise: bool = False,
) -> Backbone:  # fmt: skip
    """A model by its name: "" is the bundled one, a folder or a name of the hub (owner/name) an open checkpoint
    (backbones/open), or one of our own in either layout (backbones/layout.py); None is the settings'. The rest is for
    open checkpoints, see `backbones.open.extras.Extras`. Raises CheckpointError for what is no model, InputError where
    the extra `open` is not installed."""
    extras = bool(weights or loras or cache or compiled or exact or context_noise is not None or quantise)
    if model is None and not extras:
        return default_backbone(settings)
    name, folder = settings.model if model is None else str(model), settings.weights
    if name:
        from haneul.backbones.layout import is_ours
        from haneul.backbones.open.backbone import open_checkpoint
        from haneul.backbones.open.extras import Extras
        from haneul.backbones.open.hub import locate

        folder = locate(name)
        if not is_ours(folder):
            chosen = Extras(
                weights=weights, loras=loras, cache=cache, compile=compiled, exact=exact, context_noise=context_noise,
                quantise=quantise,
            )  # fmt: skip
            return open_checkpoint(name, settings, chosen)
    if extras:
        raise InputError("weights, LoRAs, cache and the like are for an open checkpoint; name it as the model")
    from haneul.backbones.native import own

    return own(folder, settings)


def default_backbone(settings: Settings) -> Backbone:
    """The settings' model."""
    return backbone_of(settings.model, settings)


def check_shape(seconds: float, size: tuple[int, int]) -> None:
    """Refuse lengths and sizes that no model can work with."""
    w, h = size
    if not (SIDES[0] <= w <= SIDES[1] and SIDES[0] <= h <= SIDES[1]):
        raise InputError(f"size {w}x{h} is out of range: each side must be {SIDES[0]} to {SIDES[1]} pixels")
    if w % 2 or h % 2:
        raise InputError(f"size {w}x{h} is odd: H.264 needs even sides; try {w + w % 2}x{h + h % 2}")
    if not 0.4 <= w / h <= 2.5:
        raise InputError(f"size {w}x{h} is too long and narrow: the sides must be within 1:2.5 of each other")
    if not 0.1 <= seconds <= 3600:
        raise InputError(f"a length of {seconds:g} s cannot be made; choose 0.1 s or more")


def check_numbers(steps: int | None, guidance: float | None, seed: int | None) -> None:
    """Refuse numbers that no model can work with."""
    if steps is not None and not 1 <= steps <= MAX_STEPS:
        raise InputError(f"{steps} steps is out of range; choose 1 to {MAX_STEPS}")
    if guidance is not None and not 1 <= guidance <= 20:
        raise InputError(f"guidance {guidance:g} is out of range; choose 1 (off) to 20")
    if seed is not None and not 0 <= seed < 2**63:
        raise InputError(f"seed {seed} is out of range; choose 0 to 2^63 - 1")


def path_of(
    name: str, path: str | NDArray[np.float32] | None, read: Callable[[str, int, float], NDArray[np.float32]],
    width: int, take: Take, fps: float,
) -> NDArray[np.float32] | None:  # fmt: skip
    """What the camera or the subject does at every frame of a take, [frames, width]. A path is that of the new frames;
    within the given ones around them it is taken to be as where they meet."""
    if path is None or (isinstance(path, str) and not path):
        return None
    new = take.frames - sum(take.context)
    rates = read(path, new, fps) if isinstance(path, str) else np.asarray(path, np.float32)
    if rates.shape != (new, width) or not np.isfinite(rates).all():
        raise InputError(
            f"the {name} is {list(rates.shape)}; {width} finite numbers for each of {new} frames are needed"
        )
    return np.pad(rates, (take.context, (0, 0)), mode="edge")


def unheard(request: Request, able: Capabilities) -> list[str]:
    """A warning for each action that the model was never shown."""
    if request.action is None:
        return []
    used = [name for name, rates in zip(actions.CHANNELS, request.action.T, strict=True) if rates.any()]
    return [
        f"the model was never shown {name!r} as an action, and does not hear it"
        for name in used
        if name not in able.actions
    ]


def camera_slot(camera: str | NDArray[np.float32] | None) -> dict[str, str | None]:
    """What a camera's path says in a word: its one move, or that no word says it."""
    if camera is None or (isinstance(camera, str) and not camera):
        return {}
    moves = {leg.move for leg in parse(camera)} if isinstance(camera, str) else set()
    return {"camera": moves.pop() if len(moves) == 1 else None}


def manifest_of(
    title: str, identity: Identity, *, mode: str, seed: int, media: tuple[Path, ...]
) -> credentials.ManifestInfo:
    """What is said about something that was made."""
    return credentials.ManifestInfo(
        title=title,
        model=identity.model,
        weights_sha256=identity.weights_sha256,
        data_ledger_root=identity.data_ledger_root,
        licence=identity.card.get("licence", ""),
        mode=mode,
        ingredients=media,
        seed=seed,
    )


def told(request: Request) -> Iterator[object]:
    """What a request's own text leaves out: given frames, the camera's path, the subject's actions."""
    yield from (request.camera, request.action)
    for given in request.given:
        yield from (given.frames, given.at, given.keep_T, given.box)


def check_names(output: str | Path, preview: str | Path | None, overwrite: bool) -> None:
    """Refuse files that could not be written or signed under their names."""
    io.check_output(output, overwrite=overwrite)
    if not is_video(output) and not is_picture(output):
        raise InputError(
            f"{Path(output).name!r} does not say what to write; name it .mp4, .webm or .gif, or for a picture .png or "
            ".webp"
        )
    if preview is not None:
        if Path(preview).suffix.lower() != ".png":
            raise InputError(f"the preview {str(preview)!r} is a PNG; give it a name that ends in .png")
        io.check_output(preview, overwrite=overwrite)


def check_able(request: Request, able: Capabilities) -> None:
    """Refuse what this model cannot do."""
    if request.mode not in able.modes:
        raise InputError(f"this model cannot make {request.mode}; it can: {', '.join(able.modes)}")
    if request.seconds > able.max_seconds:
        raise InputError(f"{request.seconds:g} s is longer than this model's {able.max_seconds:g} s; ask for less")
    if request.size[0] > able.max_size[0] or request.size[1] > able.max_size[1]:
        most, asked = (f"{w}x{h}" for w, h in (able.max_size, request.size))
        raise InputError(f"{asked} is larger than this model's {most}; ask for less")


def write_signed(
    picture: NDArray[np.uint8],
    path: Path,
    manifest: credentials.ManifestInfo,
    ours: stamp.Stamp,
    *,
    overwrite: bool,
) -> None:
    """A sheet of frames, signed as what it was taken from. It is a picture of its own, with a mark of its own: those of
    the frames in it are too small to be read."""
    number = ours.number(picture)
    with io.atomic_output(path, overwrite=overwrite) as unsigned:
        write_picture(next(ours.mark([picture], number)), unsigned)
        ours.sign(unsigned, replace(manifest, title=path.name), number)


def understood_json(understood: dict[str, tuple[str, float]]) -> dict[str, dict[str, Any]]:
    """What the prompt was taken to say, for the report."""
    return {slot: {"value": value, "probability": round(sure, 3)} for slot, (value, sure) in understood.items()}


def warn_of(unknown: dict[str, list[str]]) -> list[str]:
    """One line for each word that the model never learned."""
    return [f"the model never learned {w!r}; nearest it knows: {', '.join(near)}" for w, near in unknown.items()]
