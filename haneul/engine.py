"""READ FIRST. A sentence in, a signed video out, in plain order:

    prompt -> language -> text encoder -> concepts -> transformer (N steps) -> codec -> upscaler -> watermark -> mp4
    -> signature

Every frame that Haneul makes goes through `make` here: command line, Python, service, and every mode of edits.py.
Watermark and signature are stages of it and not options, so nothing leaves without them; what is put together from
finished files (storyboard.py, variations.py) is signed again with those files as its ingredients.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, TypedDict, Unpack

import numpy as np
from numpy.typing import NDArray

from haneul.backbones.base import Backbone, Capabilities, Given, Identity, Progress, Request
from haneul.config import Settings, load_settings
from haneul.errors import InputError
from haneul.prompt import language
from haneul.prompt.camera import AXES, parse, velocities
from haneul.trust import credentials
from haneul.trust.watermark import NoWatermark, Watermark
from haneul.video import io
from haneul.video.picture import is_animation, is_picture, read_picture, write_gif, write_picture

OUTPUT = "out.mp4"
#: What the report repeats of a request.
ASKED = ("prompt", "negative", "remember", "seconds", "size", "seed", "steps", "guidance", "mode", "loop")
SIDES = (64, 1920)  #: shortest and longest side of a picture in pixels
MAX_STEPS = 200


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
    camera: str | NDArray[np.float32] | None
    overwrite: bool
    preview: str | Path | None
    progress: Progress | None
    settings: Settings | None
    backbone: Backbone | None


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
        options = {"expand": False, **options}  # the picture says what the prompt leaves open

    def plan(able: Capabilities) -> Take:
        frames = 1 if still else max(1, round(seconds * able.fps))
        if image is None:
            return Take(mode=mode, size=size, frames=frames, loop=loop)
        given = (Given(frames=read_picture(image)[None]),)
        return Take(mode=mode, size=size, frames=frames, given=given, media=(Path(image),))

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
    camera: str | NDArray[np.float32] | None = None,
    overwrite: bool = False,
    preview: str | Path | None = None,
    progress: Progress | None = None,
    settings: Settings | None = None,
    backbone: Backbone | None = None,
) -> Result:
    """The one way out: every mode plans a take (see edits.py), and this makes, writes and signs it.

    `guidance` is how strictly the prompt is followed (1 to 20); `negative` what to keep away from; `remember` says
    what holds where the prompt is silent (the subject and its look, the place, the style), so that several shots fit
    together; with `expand` what is still open is filled in by a scene that the model has seen, drawn by the seed, and
    told in the report; `camera` is its path, in words ("orbit left 40, then push in", see prompt/camera.py) or as six
    numbers for each new frame; `preview` is a .png of sampled frames, signed too. Raises InputError for what
    cannot be used, OutputError when the file cannot be written, CredentialError when it could not be signed: all three
    before any compute is spent where that can be known. A file of the final name is always whole.
    """
    began = time.monotonic()
    settings = settings or load_settings()
    checked = language.check(prompt)
    unwanted = language.check(negative) if negative.strip() else None
    remembered = language.check(remember) if remember.strip() else None
    check_numbers(steps, guidance, seed)
    if isinstance(camera, str) and camera:
        parse(camera)  # before anything is loaded
    check_names(output, preview, overwrite)
    signer = credentials.check_signer(settings)
    with io.atomic_output(Path(output), overwrite=overwrite) as unsigned:
        backbone = backbone or default_backbone(settings)
        able = backbone.capabilities()
        take = plan(able)
        if is_picture(output) and (take.length or take.frames) != 1:
            raise InputError(f"{take.mode} makes a video, which {Path(output).name} cannot hold; name it .mp4 or .gif")
        request = Request(
            prompt=checked.encoded,
            negative=unwanted.encoded if unwanted else "",
            remember=remembered.encoded if remembered else "",
            expand=expand,
            seconds=take.frames / able.fps,
            size=take.size,
            seed=secrets.randbelow(2**31) if seed is None else seed,
            steps=steps or able.default_steps,
            guidance=able.default_guidance if guidance is None else guidance,
            mode=take.mode,
            given=take.given,
            loop=take.loop,
            camera=camera_of(camera, take, able.fps),
            fixed=camera_slot(camera),
        )
        check_able(request, able)
        warnings = warn_of(backbone.unknown_words(checked.encoded))
        understood = backbone.understood(checked.encoded, request.remember)
        added = backbone.expanded(request)
        loaded = time.monotonic()
        watermark = NoWatermark()
        finished = take.join(backbone.generate(request, progress))
        kept = Keep(watermark.embed(finished), count=take.length or take.frames)
        if is_picture(output):
            write_picture(next(iter(kept)), unsigned)
        elif is_animation(output):
            write_gif(kept, unsigned, fps=able.fps)
        else:
            io.write_mp4(kept, unsigned, fps=able.fps)
        identity = backbone.identity()
        manifest = manifest_of(
            Path(output).name, identity, mode=request.mode, seed=request.seed, media=take.media, watermark=watermark
        )
        credentials.sign_in_place(unsigned, manifest, signer)
    if preview:
        sheet = io.contact_sheet(np.stack(kept.frames), columns=4, rows=-(-len(kept.frames) // 4))
        write_signed(sheet, Path(preview), manifest, signer, overwrite=overwrite)
    took = {"setup": round(loaded - began, 2), "total": round(time.monotonic() - began, 2)}
    asked = {name: getattr(request, name) for name in ASKED} | {"media": [path.name for path in take.media]}
    asked |= {"camera": camera if isinstance(camera, str) or camera is None else camera.tolist()}
    report = {"prompt": prompt, "language": checked.language, "request": asked, "model": asdict(identity)}
    report |= {"understood": understood_json(understood), "expanded": added, "warnings": warnings, "seconds": took}
    return Result(path=Path(output), seed=request.seed, warnings=warnings, report=report)


def understand(
    prompt: str, *, settings: Settings | None = None, backbone: Backbone | None = None
) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """What the model takes a prompt to say, slot -> {"value", "probability"}, and a warning for each unknown word.

    Raises InputError for a prompt that cannot be used.
    """
    checked = language.check(prompt)
    backbone = backbone or default_backbone(settings or load_settings())
    return understood_json(backbone.understood(checked.encoded)), warn_of(backbone.unknown_words(checked.encoded))


def default_backbone(settings: Settings) -> Backbone:
    """The bundled model."""
    import torch

    from haneul.backbones.native import BUNDLED, Native

    if settings.threads:
        torch.set_num_threads(settings.threads)
    return Native(settings.weights or BUNDLED)


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


def camera_of(camera: str | NDArray[np.float32] | None, take: Take, fps: float) -> NDArray[np.float32] | None:
    """The camera's velocity at every frame of a take, [frames, 6]. A path is that of the new frames; within the given
    ones around them the camera is taken to move as where they meet."""
    if camera is None or (isinstance(camera, str) and not camera):
        return None
    new = take.frames - sum(take.context)
    rates = velocities(camera, new, fps) if isinstance(camera, str) else np.asarray(camera, np.float32)
    if rates.shape != (new, AXES) or not np.isfinite(rates).all():
        raise InputError(
            f"the camera is {list(rates.shape)}; {AXES} finite numbers for each of {new} frames are needed"
        )
    return np.pad(rates, (take.context, (0, 0)), mode="edge")


def camera_slot(camera: str | NDArray[np.float32] | None) -> dict[str, str | None]:
    """What a camera's path says in a word: its one move, or that no word says it."""
    if camera is None or (isinstance(camera, str) and not camera):
        return {}
    moves = {leg.move for leg in parse(camera)} if isinstance(camera, str) else set()
    return {"camera": moves.pop() if len(moves) == 1 else None}


def manifest_of(
    title: str, identity: Identity, *, mode: str, seed: int, media: tuple[Path, ...], watermark: Watermark
) -> credentials.ManifestInfo:
    """What is said about something that was made."""
    return credentials.ManifestInfo(
        title=title,
        model=identity.model,
        weights_sha256=identity.weights_sha256,
        data_ledger_root=identity.data_ledger_root,
        mode=mode,
        ingredients=media,
        seed=seed,
        watermark=watermark.name,
    )


def check_names(output: str | Path, preview: str | Path | None, overwrite: bool) -> None:
    """Refuse files that could not be written or signed under their names."""
    io.check_output(output, overwrite=overwrite)
    if Path(output).suffix.lower() != ".mp4" and not is_picture(output) and not is_animation(output):
        raise InputError(
            f"{Path(output).name!r} does not say what to write; name it .mp4 or .gif, or for a picture .png or .webp"
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
    signer: credentials.Signer,
    *,
    overwrite: bool,
) -> None:
    """A sheet of frames, signed as what it was taken from."""
    with io.atomic_output(path, overwrite=overwrite) as unsigned:
        write_picture(picture, unsigned)
        credentials.sign_in_place(unsigned, replace(manifest, title=path.name), signer)


def understood_json(understood: dict[str, tuple[str, float]]) -> dict[str, dict[str, Any]]:
    """What the prompt was taken to say, for the report."""
    return {slot: {"value": value, "probability": round(sure, 3)} for slot, (value, sure) in understood.items()}


def warn_of(unknown: dict[str, list[str]]) -> list[str]:
    """One line for each word that the model never learned."""
    return [f"the model never learned {w!r}; nearest it knows: {', '.join(near)}" for w, near in unknown.items()]


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
